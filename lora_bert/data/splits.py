"""Dividing one set of examples: validation rows from training rows, some rows from many."""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lora_bert.data.data_options import SplitKind
from lora_bert.data.examples import Examples
from lora_bert.data.label_sets import read_set
from lora_bert.data.pair_groups import split_groups
from lora_bert.errors import DataError
from lora_bert.wording import counted

logger = logging.getLogger(__name__)


FEW = 20
"""Of fewer rows a class a tenth is held out."""


def usual_fraction(rows: int, classes: int) -> float:
    """The share of rows to hold out: a fifth, or a tenth where each one counts for the training."""
    return 0.1 if rows < FEW * classes else 0.2


def split(
    examples: Examples, *, fraction: float = 0.2, how: SplitKind = "stratified", seed: int,
    classes: bool = True,
) -> tuple[Examples, Examples]:  # fmt: skip
    """Divide examples into training and validation rows.

    Pairs that share a text come into the same part, unless ``how`` is ``"random"`` or nearly all of
    them do; so do questions about one context.

    Args:
        examples: Labelled rows.
        fraction: The share of validation rows, between 0 and 1, rounded up to whole rows.
        how: ``"random"`` gives exactly what scikit-learn's ``train_test_split`` gives with
            ``test_size=fraction, random_state=seed``; ``"stratified"`` what it gives with
            ``stratify=labels``, save that a class of one row stays in training, and that with fewer
            validation rows than classes every class still keeps a training row. Rows of several
            labels are divided by the rarest of them. Tagged rows are drawn at random either way,
            and those with a type that no training row has go back to training.
        seed: The seed, from 0 to 2**32 - 1.
        classes: Whether labels are classes; others are not stratified.

    Returns:
        Training rows and validation rows, both shuffled.

    Raises:
        DataError: There are too few rows.
    """
    wanted = math.ceil(fraction * len(examples))
    at_random = how == "random" or not classes
    if len(examples) < 2 or (at_random and wanted == len(examples)):
        raise _too_few(examples)
    if examples.inputs > 1 and how != "random":
        divided = split_groups(examples, fraction, seed, classes=classes)
        if divided is not None:
            asked = examples.label_form == "answers"
            logger.info("%s are divided as one.", "Questions about the same context" if asked
                        else "Pairs that share a text")  # fmt: skip
            return examples.take(divided[0]), examples.take(divided[1])
    if at_random:
        rows = np.random.RandomState(seed).permutation(len(examples))
        train, validation = rows[wanted:], rows[:wanted]
    else:
        train, validation = _stratified(examples, fraction, seed)
    if examples.label_form == "tags" or (examples.label_form == "set" and not at_random):
        train, validation = _with_every_label(examples, train, validation)
        if not len(validation):
            raise _too_few(examples)
    return examples.take(train), examples.take(validation)


def sample(examples: Examples, limit: int, seed: int) -> Examples:
    """At most ``limit`` rows, drawn at random without replacement, in their order."""
    if limit >= len(examples):
        return examples
    return examples.take(sorted(random.Random(seed).sample(range(len(examples)), limit)))


def _stratified(examples: Examples, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    strata = _strata(examples)
    numbers = {label: number for number, label in enumerate(sorted(set(strata)))}
    labels = np.fromiter(map(numbers.__getitem__, strata), np.int32, len(examples))
    sizes = np.bincount(labels)
    single, several = (np.flatnonzero(which) for which in (sizes[labels] == 1, sizes[labels] > 1))
    if not len(several):
        raise _too_few(examples)
    if len(single):
        kept = counted(len(single), "class", "classes")
        logger.info("%s of a single row: kept in training.", kept)
    classes = int((sizes > 1).sum())
    wanted = math.ceil(fraction * len(several))
    train = several[:0]
    if wanted >= classes and len(several) - wanted >= classes:
        train, validation = _in_shares(labels, several, wanted, seed)
    # Shares are rounded, at times a small class's to all of its rows.
    if len(np.unique(labels[train])) < classes:
        train, validation = _sparse(labels, several, wanted, fraction, seed)
        logger.info(
            "%s for %s: too few to hold every class in its share.",
            counted(len(validation), "validation row"),
            counted(classes, "class", "classes"),
        )
    return np.concatenate([train, single]), validation


def _strata(examples: Examples) -> Sequence[str]:
    """Of each row its label; of several the rarest, of none ""."""
    if examples.label_form != "set":
        return examples.labels
    counts = examples.label_counts
    rarest = {
        written: min(read_set(written), key=lambda label: (counts[label], label), default="")
        for written in dict.fromkeys(examples.labels)
    }
    return [rarest[written] for written in examples.labels]


def _with_every_label(
    examples: Examples, train: np.ndarray, validation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same rows, those with a label that no training row has put into training."""
    known = {label for at in train for label in examples.each(examples.labels[at])}
    lacking = np.array([not known.issuperset(examples.each(examples.labels[at]))
                        for at in validation], dtype=bool)  # fmt: skip
    return np.concatenate([train, validation[lacking]]), validation[~lacking]


def _in_shares(
    labels: np.ndarray, rows: np.ndarray, wanted: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``wanted`` rows, of each class its share, by the draws that scikit-learn makes.

    Which rows an adapter has not seen is known by the seed alone: they must stay the same.
    """
    by_class = rows[np.argsort(labels[rows], kind="stable")]
    sizes = np.unique(labels[rows], return_counts=True)[1]
    generator = np.random.RandomState(seed)
    kept = _shares(sizes, len(rows) - wanted, generator)
    _shares(sizes - kept, wanted, generator)  # all that are left: for its draws alone
    drawn = [generator.permutation(members) for members in np.split(by_class, sizes.cumsum()[:-1])]
    train = [members[:size] for members, size in zip(drawn, kept, strict=True)]
    validation = [members[size:] for members, size in zip(drawn, kept, strict=True)]
    shuffled = [generator.permutation(np.concatenate(part)) for part in (train, validation)]
    return shuffled[0], shuffled[1]


def _shares(sizes: np.ndarray, total: int, generator: np.random.RandomState) -> np.ndarray:
    """``total`` in proportion to ``sizes``, by largest remainder; equal remainders draw lots."""
    exact = sizes / sizes.sum() * total
    shares: np.ndarray = np.floor(exact).astype(int)
    for remainder in np.unique(exact - shares)[::-1]:
        if left := total - int(shares.sum()):
            tied = np.flatnonzero(exact - np.floor(exact) == remainder)
            shares[generator.choice(tied, min(left, len(tied)), replace=False)] += 1
    return shares


def _sparse(
    labels: np.ndarray, rows: np.ndarray, wanted: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw at most ``wanted`` rows, of each class at most its share and never its last row."""
    sizes = Counter(labels[rows].tolist())
    quota = {label: min(size - 1, max(1, round(fraction * size))) for label, size in sizes.items()}
    train: list[int] = []
    validation: list[int] = []
    for at in random.Random(seed).sample(rows.tolist(), len(rows)):
        if len(validation) < wanted and quota[labels[at]] > 0:
            quota[labels[at]] -= 1
            validation.append(at)
        else:
            train.append(at)
    return np.array(train), np.array(validation, dtype=np.int64)


def _too_few(examples: Examples) -> DataError:
    rows, kinds = counted(len(examples), "row"), len(set(examples.labels))
    if len(examples) > 3 and kinds > len(examples) / 2:
        # Texts in place of labels, most likely.
        return DataError(
            f"'{examples.source}' has {rows} and {kinds} different labels, too few rows of each to "
            "split validation rows off.",
            hint="If these are not the labels, name their column with --label-column.",
        )
    return DataError(
        f"'{examples.source}' has {rows}, too few to split validation rows off.",
        hint="Add rows, or give validation rows of their own with --validation.",
    )
