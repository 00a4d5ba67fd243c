"""The likeliest tags of a sentence, of all that stand for entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lora_bert.data.tag_schemes import parts_of


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
