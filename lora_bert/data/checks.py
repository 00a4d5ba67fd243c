"""What is worth knowing about a data set before training on it."""

from __future__ import annotations

import logging
from collections import Counter

from lora_bert.data.examples import Examples
from lora_bert.data.sources import Splits
from lora_bert.data.spellings import spelling_warnings
from lora_bert.data.wording import counted, shortened
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_FEW = 5
_NAMED = 5


def warn_about(splits: Splits) -> list[str]:
    """Log a warning, with figures, for everything that is likely to spoil a result.

    Returns:
        The sentences: classes with fewer than 5 training rows, texts that stand in training and in
        validation or test, texts with more than one label, labels that differ only in how they are
        spelt.

    Raises:
        DataError: The training rows have one class only.
    """
    sentences = []
    train = splits.train
    if len(set(train.labels)) == 1:
        raise DataError(
            f"'{train.source}' has one class only, '{shortened(train.labels[0])}': there is "
            "nothing to tell apart."
        )
    others = {"validation": splits.validation}
    if splits.test is not None:
        others["test"] = splits.test
    sentences += spelling_warnings(train.labels)
    sentences += _small_classes(train)
    for part, examples in others.items():
        sentences += _shared_texts(train, examples, part)
    sentences += _contradictions([train, *others.values()])
    for sentence in sentences:
        logger.warning("%s", sentence)
    return sentences


def _small_classes(train: Examples) -> list[str]:
    sizes = Counter(train.labels)
    small = [(label, size) for label, size in sizes.items() if size < _FEW]
    if not small:
        return []
    shown = ", ".join(f"'{shortened(label, 40)}' ({size})" for label, size in small[:_NAMED])
    more = f" and {len(small) - _NAMED:,} more" if len(small) > _NAMED else ""
    have = "has" if len(small) == 1 else "have"
    classes = counted(len(small), "class", "classes")
    return [f"{classes} {have} fewer than {_FEW} training rows: {shown}{more}."]


def _shared_texts(train: Examples, other: Examples, part: str) -> list[str]:
    known = {text.strip() for text in train.texts}
    shared = sum(text.strip() in known for text in other.texts)
    if not shared:
        return []
    share = shared / len(other)
    texts = counted(len(other), f"{part} text")
    stand = "stands" if shared == 1 else "stand"
    return [f"{shared:,} of {texts} ({share:.1%}) also {stand} in training."]


def _contradictions(parts: list[Examples]) -> list[str]:
    """Texts that carry more than one label, in one part or in two."""
    first: dict[str, tuple[str, Examples, int]] = {}
    example = ""
    texts = set()
    for part in parts:
        for row, (text, label) in enumerate(zip(part.texts, part.labels, strict=True)):
            known, where, there = first.setdefault(text.strip(), (label, part, row))
            if known != label:
                texts.add(text.strip())
                example = example or f"{where.at(there)} and {part.at(row)}"
    if not texts:
        return []
    carry = "carries" if len(texts) == 1 else "carry"
    return [f"{counted(len(texts), 'text')} {carry} more than one label, for example {example}."]
