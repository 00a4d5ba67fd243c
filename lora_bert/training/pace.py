"""How long a training will take, said once its first steps have shown how fast it is."""

from __future__ import annotations

import logging

from lora_bert.wording import counted, duration

log = logging.getLogger(__name__)

_WARM = 3
"""The first steps are slower: their products are prepared, their memory is new."""
_STEPS, _SECONDS = 10, 5.0
"""Enough to know the pace."""
_WORTH = 10.0
"""What takes no longer need not be announced, in seconds."""
_ANSWERING = 1 / 3
"""Of a training step's time: the same rows without their way back."""


class Pace:
    """Watches the steps of this call until it can say how long the others will take.

    A step's time is held to be as its tokens: rows of like length stand together, so that one step
    may have ten times as many as the next.

    Args:
        steps: Of the whole training.
        tokens: Of a step, on average.
        validations: Rows that are scored after each epoch, as a share of those trained on.
        at_most: Whether the training may end earlier.
    """

    def __init__(self, steps: int, tokens: float, validations: float, *, at_most: bool) -> None:
        self.steps, self.tokens = steps, tokens
        self.validations, self.at_most = validations, at_most
        self._seen: list[tuple[int, float]] | None = []

    def end_step(self, done: int, tokens: int, seconds: float) -> None:
        """Note a step, so many of the training being ``done``; say what is known, once."""
        if self._seen is None:
            return
        self._seen.append((tokens, seconds))
        known = self._seen[_WARM:]
        taken = sum(each for _, each in known)
        if len(known) < _STEPS or taken < _SECONDS:
            return
        self._seen = None
        left, pace = self.steps - done, taken / sum(each for each, _ in known)
        most = left * self.tokens * pace * (1 + _ANSWERING * self.validations)
        if most > _WORTH:
            limit = "At most a" if self.at_most else "A"
            log.info("%sbout %s for the other %s.", limit, duration(most), counted(left, "step"))
