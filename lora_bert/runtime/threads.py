"""The process's one pool of threads, of which each call takes its share.

Torch splits single operations over the cores and waits for all of them each time; small operations
gain nothing, and half of a batch on each core is faster than the whole batch on both. The threads
outlive the calls, and the calls take turns: behind a task of one stands a task of the next.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lora_bert.runtime.memory import keep_freed_memory

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")


class Workers(Executor):
    """A call's share of the pool: at most ``count`` of its tasks are computed at once.

    Args:
        count: How many threads.
        cores: With how many cores torch computes on each of them; None: torch does not compute.
    """

    def __init__(self, count: int, cores: int | None = None) -> None:
        self.count, self.cores = count, cores
        self._pool = _pool(count)
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._turns = 0
        self._changed = threading.Condition()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Have a thread compute ``fn(*args, **kwargs)``."""
        future: Future[Result] = Future()
        with self._changed:
            self._waiting.append((future, partial(fn, *args, **kwargs)))
            if self._turns < self.count:
                self._pool.submit(self._turn)
                self._turns += 1
        return future

    def map(
        self, fn: Callable[..., Result], *iterables: Iterable[Any], **options: Any
    ) -> Iterator[Result]:
        """``fn`` of each item, in their order; by one worker, on the caller's own thread."""
        return map(fn, *iterables) if self.count == 1 else super().map(fn, *iterables, **options)

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Drop the tasks that wait, and wait for those that are being computed."""
        with self._changed:
            while self._waiting:
                self._waiting.popleft()[0].cancel()
            self._changed.wait_for(lambda: not self._turns)

    def _turn(self) -> None:
        """Compute the next task, and stand behind those of other calls with the one after it."""
        while task := self._next():
            future, function = task
            if future.set_running_or_notify_cancel():
                try:
                    _compute_with(self.cores)
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
                    future.set_exception(error)
            del task, future, function
            try:
                self._pool.submit(self._turn)
            except RuntimeError:  # the interpreter is ending and takes no more: this thread goes on
                continue
            return

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            if self._waiting:
                return self._waiting.popleft()
            self._turns -= 1
            self._changed.notify_all()
            return None


def workers(most: int, *, device: torch.device, exactly: tuple[int, int] | None = None) -> Workers:
    """Threads for the cores that torch may use, at most ``most``; one where a GPU computes.

    ``exactly`` says how many there must be, and cores for each, whatever the machine has.
    """
    import torch

    cores = torch.get_num_threads()
    keep_freed_memory()
    count = max(1, min(most, cores)) if device.type == "cpu" else 1
    return Workers(*(exactly or (count, cores // count)))


@contextmanager
def computing_with(cores: int | None) -> Iterator[None]:
    """In the block torch computes with so many cores on the caller's thread."""
    import torch

    before = torch.get_num_threads()
    _compute_with(cores)
    try:
        yield
    finally:
        _compute_with(before)


class _Process:
    """What every thread shares, and a child that is forked has anew."""

    pool: ThreadPoolExecutor | None = None
    size = 0
    lock = threading.Lock()

    @classmethod
    def forked(cls) -> None:
        """None of the parent's threads is here, nor whoever held the lock.

        Those with which torch shares an operation are gone too, and it would wait for them for
        ever: the child computes on one core.
        """
        cls.pool, cls.size, cls.lock = None, 0, threading.Lock()
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process.forked)


def _pool(count: int) -> ThreadPoolExecutor:
    """The pool; a larger one in its place where it has fewer threads than ``count``."""
    with _Process.lock:
        if _Process.pool is None or _Process.size < count:
            # Whoever uses the one before keeps it; its threads end with the last of them.
            _Process.pool, _Process.size = ThreadPoolExecutor(count, "lora-bert"), count
        return _Process.pool


def _compute_with(cores: int | None) -> None:
    """Have torch compute with so many cores on this thread, and on no other."""
    if cores is None:
        return
    import torch

    if torch.get_num_threads() == cores:
        return
    # Threads to come take the number that was set last, by whichever thread: it is put back.
    with _Process.lock, ThreadPoolExecutor(1) as another:
        before = another.submit(torch.get_num_threads).result()
        torch.set_num_threads(cores)
        another.submit(torch.set_num_threads, before).result()
