"""Linear classifiers: on words or characters, and on a backbone's frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.data import Workload, read_rows
from benchmarks.scoring import Stopwatch, judged

_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Of scikit-learn's C, on standardised features."""
_FOLDS_UP_TO = 2_000
"""Rows up to which C is chosen by five folds; by one left-out fifth of more."""


def tfidf_svm(workload: dict[str, Any], characters: bool) -> dict[str, Any]:
    """TF-IDF (character 1-3-grams or word 1-2-grams, sublinear) and a linear SVM, C = 1."""
    watch = Stopwatch()
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    work = Workload(**workload)
    unit, lengths = ("char", (1, 3)) if characters else ("word", (1, 2))
    model = make_pipeline(
        TfidfVectorizer(analyzer=unit, ngram_range=lengths, sublinear_tf=True),
        LinearSVC(C=1.0, random_state=work.seed),
    )
    texts, labels = zip(*read_rows(work.train), strict=True)
    model.fit(texts, labels)
    found = watch.read()
    rows = read_rows(work.test)
    return {**found, **judged(model.predict([text for text, _ in rows]).tolist(), rows)}


def logistic_regression(workload: dict[str, Any], pooling: str) -> dict[str, Any]:
    """Logistic regression on frozen features, its strength chosen on the training rows.

    Args:
        workload: Rows and backbone.
        pooling: ``mean`` of a text's tokens, or ``cls``: its first.
    """
    watch = Stopwatch()
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    work = Workload(**workload)
    texts, labels = zip(*read_rows(work.train), strict=True)
    features = _Features(work, pooling)
    folds: Any = StratifiedKFold(5, shuffle=True, random_state=work.seed)
    if len(texts) > _FOLDS_UP_TO:
        folds = ShuffleSplit(1, test_size=0.2, random_state=work.seed)
    classifier = LogisticRegression(max_iter=1000)
    model = make_pipeline(StandardScaler(), GridSearchCV(classifier, {"C": _STRENGTHS}, cv=folds))
    vectors = features(texts)
    with threadpool_limits(1):  # so small products only wait for a second thread
        model.fit(vectors, labels)
    found = {**watch.read(), "strength": model[-1].best_params_["C"]}
    rows = read_rows(work.test)
    answers = model.predict(features([text for text, _ in rows])).tolist()
    return {**found, **judged(answers, rows)}


class _Features:
    """A text's vector by ``transformers``, float32."""

    def __init__(self, work: Workload, pooling: str) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(work.backbone)
        self._model = AutoModel.from_pretrained(work.backbone, dtype=torch.float32).eval()
        self._work, self._pooling = work, pooling

    def __call__(self, texts: Sequence[str]) -> Any:
        """``[texts, width]``; texts of like length are computed together."""
        import numpy as np
        import torch

        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        found: dict[int, Any] = {}
        for start in range(0, len(order), self._work.batch_size):
            chosen = order[start : start + self._work.batch_size]
            batch = self._tokenizer(
                [texts[at] for at in chosen], padding=True, truncation=True,
                max_length=self._work.max_length, return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state
            if self._pooling == "mean":
                mask = batch["attention_mask"].unsqueeze(-1)
                vectors = (hidden * mask).sum(1) / mask.sum(1)
            else:
                vectors = hidden[:, 0]
            found.update(zip(chosen, vectors.numpy(), strict=True))
        return np.stack([found[at] for at in range(len(texts))])
