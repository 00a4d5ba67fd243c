"""What a classic linear classifier makes of the same rows: the bar an adapter has to clear."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from lora_bert.data.examples import Examples
from lora_bert.data.texts import Text, columns_of
from lora_bert.errors import DataError
from lora_bert.metrics.comparison import Comparison
from lora_bert.metrics.intervals import Interval
from lora_bert.tasks.base import Task

# Han, Kana, Hangul, Thai, Lao, Myanmar, Khmer: written without spaces, or with long inflected
# words (Korean), so that runs of characters say more than what stands between spaces.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Baseline:
    """How a linear model on TF-IDF does on the same test rows.

    Attributes:
        comparison: The judged model against it, row by row.
        interval: 95 % bootstrap interval of the first figure of its kind: accuracy, macro-F1 …
        seconds: Wall time of fitting and predicting.
        description: What was fitted, in words.
    """

    comparison: Comparison
    interval: Interval
    seconds: float
    description: str

    @property
    def accuracy(self) -> float:
        """Share of test rows predicted right, 0…1."""
        return self.comparison["accuracy"].theirs

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes in the test rows or the predictions, 0…1."""
        return self.comparison["macro_f1"].theirs

    def __repr__(self) -> str:
        figures = ", ".join(
            f"{figure.metric.shown} {figure.theirs:.3f}" for figure in self.comparison.figures[:2]
        )
        return f"Baseline({self.description}: {figures}; beside it: {self.comparison.verdict})"

    def as_dict(self) -> dict[str, Any]:
        """Everything in it as plain JSON values; ``interval`` is that of its own accuracy."""
        figures = {figure.name: figure.theirs for figure in self.comparison.figures}
        return figures | {
            "interval": list(self.interval),
            "seconds": self.seconds,
            "description": self.description,
            "comparison": self.comparison.as_dict(),
        }


def tfidf_baseline(
    task: Task, train: tuple[Examples, np.ndarray], test: tuple[Examples, np.ndarray],
    values: np.ndarray, *, metric: str,
) -> Baseline:  # fmt: skip
    """Fit a linear model on TF-IDF of the training rows, and compare our ``values`` with its own.

    Rows come with their targets; ``values`` are those of the test rows. The task says which model:
    LinearSVC for one label a text. Where answers are of words, it is given texts as they are.

    Of pairs the classifier sees the terms of either text, those that both have, and their cosine.
    Character 1-3-grams where more than 30 % of the training letters are of a script written
    without spaces (Chinese, Japanese, Thai, …), word 1-2-grams elsewhere; sublinear term
    frequencies, no n-gram left out for being rare, C = 1: nothing is tuned on the test rows.

    The verdict is about ``metric``, or the first figure where that needs probabilities, which a
    linear SVM does not have.

    Raises:
        DataError: The training rows hold fewer than two classes or no usable text, or there are no
            test rows.

    References:
        S. Wang, C. Manning (2012). Baselines and bigrams: simple, good sentiment and topic
        classification. ACL 2012.
    """
    if len(test[0]) == 0:
        raise DataError("There are no rows to score the TF-IDF baseline on.")
    started = time.perf_counter()
    if not task.linear_class:
        comparison, interval = task.baseline(
            (train[0].texts, train[1]), test[0].texts, values, test[1], metric=metric
        )
        return Baseline(comparison, interval, time.perf_counter() - started, task.linear_model)
    if len(set(train[0].labels)) < 2:
        raise DataError("The TF-IDF baseline needs training rows of at least two classes.")
    by_character = unspaced_share(chain(*columns_of(train[0].texts))) > 0.3
    learned, features = _both(train[0].texts, test[0].texts, by_character)
    comparison, interval = task.baseline(
        (learned, train[1]), features, values, test[1], metric=metric
    )
    grams = "character 1–3-grams" if by_character else "word 1–2-grams"
    of_pairs = " of both texts and of what they share" if train[0].inputs > 1 else ""
    return Baseline(
        seconds=time.perf_counter() - started,
        comparison=comparison,
        interval=interval,
        description=f"TF-IDF ({grams}){of_pairs} + {task.linear_class}",
    )


def unspaced_share(texts: Iterable[str]) -> float:
    """Share of the letters that are of a script written without spaces, 0…1."""
    unspaced = letters = 0
    for text in texts:
        unspaced += len(_UNSPACED.findall(text))
        letters += len(_LETTER.findall(_UNSPACED.sub("", text)))
    return unspaced / max(1, unspaced + letters)


def _both(
    train_texts: Sequence[Text], test_texts: Sequence[Text], by_character: bool
) -> tuple[Any, Any]:
    """TF-IDF of both, sparse ``[rows, n-grams]``, of the n-grams in the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    unit, lengths = ("char", (1, 3)) if by_character else ("word", (1, 2))
    vectorizer = TfidfVectorizer(analyzer=unit, ngram_range=lengths, sublinear_tf=True)
    columns = columns_of(train_texts)
    try:
        vectorizer.fit(chain(*columns))
    except ValueError as error:  # scikit-learn's "empty vocabulary"
        raise DataError("The TF-IDF baseline finds no words in the training texts.") from error
    learned, asked = (
        _features([vectorizer.transform(column) for column in each])
        for each in (columns, columns_of(test_texts))
    )
    return learned, asked


def _features(terms: Sequence[Any]) -> Any:
    """The terms of single texts as they are; of pairs those of each, those of both, the cosine."""
    if len(terms) == 1:
        return terms[0]
    from scipy.sparse import csr_matrix, hstack

    first, second = terms
    cosine = csr_matrix(first.multiply(second).sum(axis=1))
    return hstack([first, second, first.minimum(second), cosine]).tocsr()
