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

    Args:
        steps: Of the whole training.
        validations: Rows that are scored after each epoch, as a share of those trained on.
        at_most: Whether the training may end earlier.
    """

    def __init__(self, steps: int, validations: float, *, at_most: bool) -> None:
        self.steps, self.validations, self.at_most = steps, validations, at_most
        self._seen: list[float] | None = []

    def end_step(self, done: int, seconds: float) -> None:
        """Note a step, so many of the training being ``done``; say what is known, once."""
        if self._seen is None:
            return
        self._seen.append(seconds)
        known = self._seen[_WARM:]
        if len(known) < _STEPS or sum(known) < _SECONDS:
            return
        self._seen = None
        left = self.steps - done
        most = left * (1 + _ANSWERING * self.validations) * sum(known) / len(known)
        if most > _WORTH:
            limit = "At most a" if self.at_most else "A"
            log.info("%sbout %s for the other %s.", limit, duration(most), counted(left, "step"))
