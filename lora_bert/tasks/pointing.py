"""Which tokens of a window an answer begins and ends with, as a linear layer alone can say it.

A softmax over tokens whose weights are the same for each of them is McFadden's conditional logit.

References:
    D. McFadden (1978). Modelling the choice of residential location. Section 6: some of the
    alternatives that were not chosen say what all of them do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lora_bert.tasks.answer_targets import UNKNOWN, Column
from lora_bert.tasks.logistic import solve, spread_of, unscaled

_OTHERS = 32
"""So many tokens of a context stand for all that no answer begins or ends with."""


@dataclass(frozen=True)
class _Choices:
    """Windows, each with tokens to choose from.

    Attributes:
        features: Standardised, of all tokens, window by window, float32 ``[tokens, width]``.
        more: What a token's score gets for those that it stands for, ``[tokens, 1]``.
        begins: The first token of each window, ``[windows]``; it is the choice of no answer.
        chosen: The tokens that are right, ``[windows, 2]``.
    """

    features: np.ndarray
    more: np.ndarray
    begins: np.ndarray
    chosen: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return 2, self.features.shape[1] + 1

    @property
    def kinds(self) -> np.ndarray:
        return (self.chosen[:, 0] > self.begins).astype(np.int64)

    @property
    def _sizes(self) -> np.ndarray:
        return np.diff(np.append(self.begins, len(self.features)))

    def at(self, windows: np.ndarray) -> Self:
        sizes = self._sizes[windows]
        begins = np.cumsum(sizes) - sizes
        tokens = np.repeat(self.begins[windows] - begins, sizes) + np.arange(sizes.sum())
        chosen = self.chosen[windows] + (begins - self.begins[windows])[:, None]
        return replace(
            self, features=self.features[tokens], more=self.more[tokens], begins=begins,
            chosen=chosen,
        )  # fmt: skip

    def loss(self, solution: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean of both ends; its slope by the constant, which moves all tokens alike, is 0."""
        windows, ends = np.repeat(np.arange(len(self.begins)), self._sizes), np.arange(2)
        scores = self.features @ solution[:, :-1].astype(np.float32).T + self.more
        scores -= np.maximum.reduceat(scores, self.begins)[windows]
        right = scores[self.chosen, ends]
        np.exp(scores, out=scores)
        sums = np.add.reduceat(scores, self.begins)
        loss = float((np.log(sums) - right).mean(dtype=np.float64))
        scores /= sums[windows]
        scores[self.chosen, ends] -= 1
        gradient = np.zeros_like(solution)
        gradient[:, :-1] = scores.T @ self.features / right.size
        return loss, gradient


def pointing_layer(
    features: np.ndarray, targets: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The weight ``[2, width]`` and bias ``[2]`` of the linear layer that answers best.

    As strong as windows left out say, see :mod:`lora_bert.tasks.logistic`.

    Args:
        features: Of all tokens of windows, window by window, float32 ``[tokens, width]``.
        targets: Of the windows, see :mod:`lora_bert.tasks.answer_targets`.
        seed: Decides which tokens stand for others, and which windows are left out together.
    """
    tokens, more, begins, chosen = _choices(targets, np.random.default_rng(seed))
    scaled = features[tokens]
    middle, spread = scaled.mean(axis=0), spread_of(scaled)
    scaled -= middle
    scaled /= spread
    solution = solve(_Choices(scaled, more, begins, chosen), seed)
    weight, bias = unscaled(solution, middle, spread)
    return weight.astype(np.float32), bias.astype(np.float32)


def _choices(
    targets: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of windows to choose from, with the other fields of :class:`_Choices`."""
    starts = np.cumsum(targets[:, Column.LENGTH]) - targets[:, Column.LENGTH]
    tokens, more, begins, chosen = list[int](), list[float](), list[int](), list[list[int]]()
    for at, line in zip(starts.tolist(), targets[:, : len(Column)].tolist(), strict=True):
        right = line[Column.START], line[Column.LAST]
        if right[0] == UNKNOWN:
            continue
        kept = sorted({0, *right})
        others = np.setdiff1d(np.arange(line[Column.BEGIN], line[Column.END]), kept)
        drawn = random.permutation(others)[:_OTHERS].tolist()
        begins.append(len(tokens))
        chosen.append([len(tokens) + kept.index(each) for each in right])
        tokens += [at + each for each in (*kept, *drawn)]
        stands_for = max(1, len(others)) / max(1, len(drawn))
        more += [0.0] * len(kept) + [np.log(stands_for)] * len(drawn)
    column = np.array(more, dtype=np.float32)[:, None]
    return np.array(tokens), column, np.array(begins), np.array(chosen)
