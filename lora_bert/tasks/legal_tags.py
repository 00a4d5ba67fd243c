"""Tags of IOB2: whether labels are some, and the likeliest of all that stand for entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.data.tag_schemes import OUTSIDE, parts_of
from lora_bert.errors import AdapterError
from lora_bert.wording import shortened


def check_tags(labels: Sequence[str]) -> None:
    """Raise AdapterError for labels that are no tags of IOB2; the sentence names no file."""
    if len(set(labels)) != len(labels):
        raise AdapterError("'labels' holds the same label twice.")
    letters = [parts_of(label) for label in labels]
    if wrong := [label for label, parts in zip(labels, letters, strict=True)
                 if parts is None or parts[0] not in ("", "B", "I")]:  # fmt: skip
        raise AdapterError(
            f"the label '{shortened(wrong[0])}' is no tag of IOB2 (O, B-TYPE, I-TYPE).",
            hint="The tags of an adapter that plain PEFT wrote are named with --labels, in the "
            "order of its outputs.",
        )
    types = {letter: {label[2:] for label in labels if label[0] == letter} for letter in "BI"}
    if OUTSIDE not in labels or not types["I"] <= types["B"]:
        raise AdapterError(
            f"the labels have no '{OUTSIDE}', or an I- without its B-: they are of another "
            "scheme than IOB2."
        )


class LegalTags:
    """Chooses among IOB2 tags: an I- follows a B- or an I- of its type and nothing else.

    Args:
        labels: The tags, in the order of the outputs.

    References:
        A. Viterbi (1967). Error bounds for convolutional codes and an asymptotically optimum
        decoding algorithm. IEEE Transactions on Information Theory 13(2).
    """

    def __init__(self, labels: Sequence[str]) -> None:
        index = {label: number for number, label in enumerate(labels)}
        parts = [parts_of(label) or ("", "") for label in labels]
        self._inner = np.array([at for at, (letter, _) in enumerate(parts) if letter == "I"], int)
        kinds = [parts[at][1] for at in self._inner]
        own = self._inner.tolist()
        self._begin = np.array(
            [index.get(f"B-{kind}", at) for kind, at in zip(kinds, own, strict=True)], int
        )
        self._follows = np.zeros((len(labels), len(labels)), dtype=bool)
        self._follows[:] = True
        self._follows[:, self._inner] = False
        self._follows[self._begin, self._inner] = True
        self._follows[self._inner, self._inner] = True
        self._first = np.ones(len(labels), dtype=bool)
        self._first[self._inner] = False

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities of tags ``[words, labels]`` -> the tags' indices, int64 ``[words]``."""
        best: np.ndarray = probabilities.argmax(axis=1)
        if not len(best) or (self._first[best[0]] and self._follows[best[:-1], best[1:]].all()):
            return best
        return self._searched(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))

    def _searched(self, scores: np.ndarray) -> np.ndarray:
        """The path of the highest sum of scores ``[words, labels]``."""
        words, labels = scores.shape
        came = np.empty((words, labels), dtype=np.int64)
        total = np.where(self._first, scores[0], -np.inf)
        for word in range(1, words):
            came[word] = total.argmax()
            begun = total[self._begin] >= total[self._inner]
            came[word, self._inner] = np.where(begun, self._begin, self._inner)
            total = total[came[word]] + scores[word]
        path = np.empty(words, dtype=np.int64)
        path[-1] = total.argmax()
        for word in range(words - 1, 0, -1):
            path[word - 1] = came[word, path[word]]
        return path
