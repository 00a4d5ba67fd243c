"""What rows were answered before, kept by what decides the answer."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

_OVERHEAD = 500
"""Bytes that an answer takes beside its numbers and what was read, about."""


class AnswerKey(NamedTuple):
    """By what two rows have the same answer.

    Attributes:
        owner: Who answers; whatever takes its place is another one. It is not kept in memory.
        read: What it reads.
    """

    owner: ref[Any]
    read: tuple[bytes, ...]


class AnswerCache:
    """Answers by their keys, for many threads at once.

    Beyond the limit those go that were asked longest ago. An owner that nobody holds any more takes
    its answers with it.

    Args:
        limit: Bytes that they may take; 0: nothing is kept.
        hit: Is told of each answer that was there.
    """

    def __init__(self, limit: float, hit: Callable[[], None] = lambda: None) -> None:
        self._limit, self._hit, self._bytes = limit, hit, 0
        # Each with the keys of its owner: those of one that is gone are no longer found by it.
        self._answers: OrderedDict[AnswerKey, tuple[np.ndarray, set[AnswerKey]]] = OrderedDict()
        self._keys_of: dict[ref[Any], set[AnswerKey]] = {}
        # Garbage is collected at any moment, in a thread that holds the lock too.
        self._gone: deque[ref[Any]] = deque()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the answers take."""
        with self._lock:
            self._let_go()
            return self._bytes

    def get(self, key: AnswerKey) -> np.ndarray | None:
        """The answer to what was asked before, not to be changed; None: it is not there."""
        if not self._limit:
            return None
        with self._lock:
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            answer, _ = self._answers[key]
        self._hit()
        return answer

    def keep(self, key: AnswerKey, answer: np.ndarray) -> None:
        """Keep a copy of an answer."""
        size = _size(key, answer)
        owner = key.owner()
        if size > self._limit or owner is None:
            return
        with self._lock:
            if key in self._answers:
                return
            if key.owner not in self._keys_of:
                self._keys_of[ref(owner, self._gone.append)] = set()
            keys = self._keys_of[key.owner]
            keys.add(key)
            self._answers[key] = answer.copy(), keys  # it is a part of a batch's
            self._bytes += size
            self._let_go()

    def _let_go(self) -> None:
        while self._gone:
            for key in tuple(self._keys_of.pop(self._gone.popleft())):
                self._drop(key)
        while self._bytes > self._limit:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: AnswerKey) -> None:
        answer, keys = self._answers.pop(key)
        keys.discard(key)
        self._bytes -= _size(key, answer)


def _size(key: AnswerKey, answer: np.ndarray) -> int:
    return _OVERHEAD + sum(map(len, key.read)) + answer.nbytes
