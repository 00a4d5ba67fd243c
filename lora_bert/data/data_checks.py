"""What is worth knowing about a data set before training on it."""

from __future__ import annotations

import logging
import math
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lora_bert.data.examples import Examples
from lora_bert.data.pair_groups import text_hashes
from lora_bert.data.sources import Splits
from lora_bert.data.stored import hashes
from lora_bert.data.texts import columns_of
from lora_bert.errors import DataError
from lora_bert.mapped import mapped
from lora_bert.names import write_label_names
from lora_bert.wording import counted, printable, shortened

logger = logging.getLogger(__name__)

_FEW = 5
_NAMED = 5
_EVEN = 0.85
_OFTEN_SHARED = 0.2
"""Share of pairs with a known text from which on that is said."""
_LEARNED = 0.5
"""Share of known validation texts above which they say nothing of others."""
_VARIANTS = "\ufe0e\ufe0f"
"""Characters that choose between two looks of the character before them."""
_JOINED = 100
"""The most labels to rename in one option."""


def warn_about(splits: Splits, *, classes: bool = True) -> list[str]:
    """Log a warning, with figures, for everything that is likely to spoil a result; the sentences.

    That is classes with fewer than 5 training rows, texts that stand in training and in validation
    or test, texts with more than one label, labels that differ only in how they are spelt. Where
    the labels are no ``classes``, the texts alone are looked at.

    Raises:
        DataError: The training rows have one class only.
    """
    train = splits.train
    if classes and len(set(train.labels)) == 1:
        only = ", ".join(train.each(train.labels[0]))
        what = f"one class only, '{shortened(only)}'" if only else "no label in any row"
        raise DataError(f"'{train.source}' has {what}: there is nothing to tell apart.")
    others = {"validation": splits.validation, "test": splits.test}
    judged = {part: examples for part, examples in others.items() if examples}
    what = "text" if train.inputs == 1 else "pair"
    own, *texts = [_hashes(rows) for rows in (train, *judged.values())]
    own_rows = splits.held_out is None
    shared = [sentence for part, other in zip(judged, texts, strict=True)
              for sentence in _shared_texts(own, other, part, what, own_rows=own_rows)]  # fmt: skip
    sentences = [
        *(spelling_warnings(train.label_counts) if classes else ()),
        *(_small_classes(train) if classes else ()),
        *shared,
        *(_shared_sides(train, judged) if train.inputs > 1 else ()),
        *(_contradictions([train, *judged.values()], [own, *texts], what) if classes else ()),
    ]
    for sentence in sentences:
        logger.warning("%s", sentence)
    return sentences


def warn_of_imbalance(train: Examples, *, metric: str, weights: str) -> str:
    """Warn of classes so unequal that accuracy hardly sees the small ones, and name the options.

    Measured is how many classes of equal size would be as hard to guess, exp(entropy of their
    shares): below 85 % of the classes there are, which for two classes is one row in 4.5, they
    count as imbalanced. A few rows a class say too little. The sentence is "" where there is
    nothing to say or both ``--metric`` and ``--class-weights`` are there.
    """
    if train.label_form != "one":  # a label of few rows is the rule
        return ""
    wanted = ["--metric macro_f1"] if metric != "macro_f1" else []
    wanted += ["--class-weights balanced"] if weights != "balanced" else []
    sizes = Counter(train.labels).most_common()
    rows, classes = len(train), len(sizes)
    if not wanted or rows < _FEW * classes:
        return ""
    entropy = -sum(size / rows * math.log(size / rows) for _, size in sizes)
    # Miller and Madow: shares counted on few rows look less equal than they are.
    if math.exp(entropy + (classes - 1) / (2 * rows)) >= _EVEN * classes:
        return ""
    (largest, most), (smallest, fewest) = sizes[0], sizes[-1]
    sentence = (
        f"Classes are imbalanced: '{shortened(largest, 40)}' has {most:,} of {rows:,} training "
        f"rows, '{shortened(smallest, 40)}' has {fewest:,}. {' '.join(wanted)} "
        f"{'makes' if len(wanted) == 1 else 'make'} the small ones count."
    )
    logger.warning("%s", sentence)
    return sentence


def _small_classes(train: Examples) -> list[str]:
    sizes = train.label_counts
    small = [(label, size) for label, size in sizes.items() if size < _FEW]
    if not small:
        return []
    shown = ", ".join(f"'{shortened(label, 40)}' ({size})" for label, size in small[:_NAMED])
    more = f" and {len(small) - _NAMED:,} more" if len(small) > _NAMED else ""
    have = "has" if len(small) == 1 else "have"
    classes = counted(len(small), "class", "classes")
    return [f"{classes} {have} fewer than {_FEW} training rows: {shown}{more}."]


def _hashes(rows: Examples) -> np.ndarray:
    """What stands for each text or pair here, without the white space around it."""
    columns = [map(str.strip, column) for column in columns_of(rows.texts)]
    texts = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
    return mapped(hashes(texts, len(rows)))


def _shared_texts(
    train: np.ndarray, other: np.ndarray, part: str, what: str, *, own_rows: bool
) -> list[str]:
    """What to say of a part whose texts were learned from; ``own_rows``: it was not split off."""
    known = np.sort(train)
    shared = int((known[np.searchsorted(known[:-1], other)] == other).sum())
    if not shared:
        return []
    share = shared / len(other)
    texts = counted(len(other), f"{part} {what}")
    stand = "stands" if shared == 1 else "stand"
    sentences = [f"{shared:,} of {texts} ({share:.1%}) also {stand} in training."]
    if own_rows and (part, what) == ("validation", "pair") and share > _LEARNED:
        sentences.append(
            "What is chosen on the validation pairs is chosen on what was learned: without them "
            "(--train FILE alone) training pairs that share no text with the others are held out."
        )
    return sentences


def _shared_sides(train: Examples, judged: Mapping[str, Examples]) -> list[str]:
    """What to say of parts whose pairs have a text in common with training pairs.

    Of questions that is their context: the same may be asked about many.
    """
    asked = train.label_form == "answers"
    text, read = "context" if asked else "text", columns_of(train.texts)[1 if asked else 0 :]
    known = np.concatenate([text_hashes(column) for column in read])
    sentences = []
    for part, rows in judged.items():
        columns = columns_of(rows.texts)[-len(read) :]
        shared = int(np.any([np.isin(text_hashes(each), known) for each in columns], axis=0).sum())
        if shared >= _OFTEN_SHARED * len(rows):
            pairs = counted(len(rows), f"{part} pair")
            sentences.append(
                f"{shared:,} of {pairs} ({shared / len(rows):.1%}) have a {text} that stands in a "
                "training pair too: the score on them flatters where new ones are to be answered."
            )
    return sentences


def _contradictions(parts: list[Examples], texts: list[np.ndarray], what: str) -> list[str]:
    """Texts or pairs that carry more than one label, in one part or in two."""
    every = np.concatenate(texts)
    numbers: dict[str, int] = {}
    labels = (numbers.setdefault(label, len(numbers)) for part in parts for label in part.labels)
    label_of = np.fromiter(labels, np.int32, len(every))
    rows = np.argsort(every, kind="stable")  # equal texts side by side, each in the rows' order
    begins = np.flatnonzero(np.diff(every[rows], prepend=~every[rows[0]]))
    first = np.repeat(begins, np.diff(begins, append=len(rows)))
    differs = np.flatnonzero(label_of[rows] != label_of[rows[first]])
    if not len(differs):
        return []
    count = len(np.unique(first[differs]))
    carry = "carries" if count == 1 else "carry"
    example = differs[rows[differs].argmin()]
    places = " and ".join(_place(parts, int(rows[at])) for at in (first[example], example))
    return [f"{counted(count, what)} {carry} more than one label, for example {places}."]


def _place(parts: Sequence[Examples], row: int) -> str:
    """Where a row stands, of all parts one behind the other."""
    for part in parts:
        if row < len(part):
            break
        row -= len(part)
    return part.at(row)


def spelling_warnings(labels: Iterable[str] | Mapping[str, int]) -> list[str]:
    """What to say of labels that one meant to be one: the groups and the option that joins them.

    Given is the label of each row, or how many rows each has.
    """
    sizes = Counter(labels)
    groups: dict[str, list[str]] = {}
    for label in sizes:
        groups.setdefault(_look(label), []).append(label)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        return []
    names: dict[str, str] = {}
    for group in several:
        plain = [label for label in group
                 if label.isprintable() and unicodedata.is_normalized("NFKC", label)]  # fmt: skip
        best = max(plain or group, key=lambda label: (sizes[label], label))
        names |= {label: best for label in group if label != best}
    shown = "; ".join(
        ", ".join(f"'{shortened(printable(label), 40)}' ({sizes[label]:,})" for label in group)
        for group in several[:_NAMED]
    )
    more = len(several) - _NAMED
    shown += f"; and {counted(more, 'more group')}" if more > 0 else ""
    pairs = dict(list(names.items())[:_JOINED])
    part = f" (the first {_JOINED} of {len(names):,})" if len(names) > _JOINED else ""
    option = shlex.quote(write_label_names(pairs))
    total = sum(map(len, several))
    return [
        f"{total:,} labels differ from another one only in case, width or invisible characters: "
        f"{shown}. To join them{part}: --label-names {option}"
    ]


def _look(label: str) -> str:
    """A key that is the same for labels which look alike."""
    if not label.isascii():
        label = unicodedata.normalize("NFKC", label)
        label = "".join(
            char for char in label if unicodedata.category(char) != "Cf" and char not in _VARIANTS
        )
    return " ".join(label.casefold().split())
