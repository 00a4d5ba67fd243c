"""The one thread that computes: rows of many requests and adapters in batches of so many tokens."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lora_bert.serving.refusals import RefusedError

WorkT = TypeVar("WorkT")
OutputT = TypeVar("OutputT")

_MEMORY = 0.7
"""What an estimate of what requests ask keeps of the one before."""
_HALF = 0.2
"""Seconds of computing after which half of the rate is forgotten that was before."""
_LONGEST_RETRY = 60
_LARGE, _PATIENT = 5, 10
"""A request that takes a fifth of the patience itself may wait ten times as long as it takes."""
_CROWDED, _LEAST = 1 / 3, 1 / 16
"""While requests are refused, a batch takes so much of the patience, but is no smaller than this
share of a full one: the rate of small ones is low, which would make the next ones smaller still."""
_SEVERAL, _SHARE = 4, 0.25
"""From how many rows of a batch on the next one is waited for longer: this share of its time."""


@dataclass(eq=False)
class Row(Generic[WorkT]):
    """What is computed at once or not at all.

    Attributes:
        work: What the scheduler hands on.
        tokens: How much it is.
        key: Rows of equal keys have equal outputs; one that waits or is computed stands for all.
    """

    work: WorkT
    tokens: int
    key: Hashable
    waiting: list[tuple[Ticket, int]] = field(default_factory=list)
    client: str = ""
    since: float = 0.0


class Ticket:
    """A request that waits for its rows.

    Attributes:
        done: Gets the outputs of the rows, in their order, or the error of one of them.
    """

    def __init__(self, scheduler: Scheduler[Any, Any], rows: int) -> None:
        self.done: Future[list[Any]] = Future()
        self._scheduler, self._rows = scheduler, list[Row[Any]]()
        self._outputs: list[Any] = [None] * rows
        self._left = rows

    def cancel(self) -> None:
        """Have dropped what nobody else waits for and is not computed yet."""
        self._scheduler._forget(self)

    def _got(self, place: int, output: Any) -> None:
        self._outputs[place] = output
        self._left -= 1
        if not self._left:
            with suppress(InvalidStateError):  # cancelled, or a row of it has failed
                self.done.set_result(self._outputs)

    def _failed(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self.done.set_exception(error)


@dataclass(eq=False)
class Seat:
    """What a request that was let in is expected to ask, until that is known or it has gone.

    Attributes:
        client: Who asks.
        tokens: So many; 0 once it has been left.
    """

    client: str
    tokens: int


@dataclass(frozen=True)
class Batch:
    """What is said of a batch that was computed, for whoever counts.

    Attributes:
        rows: How many it had.
        tokens: Those of its rows together.
        seconds: What it took.
        waited: Seconds that its oldest row had waited.
    """

    rows: int
    tokens: int
    seconds: float
    waited: float


class Scheduler(Generic[WorkT, OutputT]):
    """Computes the rows of requests in one thread, in batches.

    Clients take turns, row by row. Those who are answered together ask again at once, but one after
    the other: the next batch waits for half as many rows, so that one half is computed while the
    other is answered. A batch of a single row would take nearly as long. Rows that nobody waits for
    any more are not computed. Where a batch fails, its rows are computed one by one, so that only
    those fail that have to.

    Args:
        compute: Rows' work -> their outputs.
        budget: Tokens of a batch; a longer row is a batch of its own.
        max_wait: Seconds that a row waits for others to fill its batch; behind a batch of several
            rows up to a quarter of what that took, unless it is 0.
        limit: Tokens that may wait. A request that is larger by itself may wait where nothing else
            does.
        patience: Seconds that a request may have to wait for its turn, by the rate so far; ten
            times as long as it takes itself where that is longer.
        counted: Is shown every batch.
        known: A row's key -> its output, where that need not be computed; None: it always must be.
        keep: Is given every key with its output.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[WorkT]], Sequence[OutputT]],
        *,
        budget: int,
        max_wait: float,
        limit: int,
        patience: float = math.inf,
        counted: Callable[[Batch], None] = lambda batch: None,
        known: Callable[[Any], OutputT | None] | None = None,
        keep: Callable[[Any, OutputT], None] = lambda key, output: None,
    ) -> None:
        self._compute, self._counted = compute, counted
        self._known, self._keep = known, keep
        self.budget, self.limit, self._max_wait = budget, limit, max_wait
        self._patience, self._tokens_of = patience, Counter[str]()
        self._queues: OrderedDict[str, deque[Row[WorkT]]] = OrderedDict()
        self._in_flight: dict[Hashable, Row[WorkT]] = {}
        self._waiting_tokens, self._computing_tokens, self._rate = 0, 0, 0.0
        self._last, self._ended, self._usual = (0, 0.0), 0.0, 0.0
        self._closed, self._crowded = False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lora-bert compute", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> tuple[int, int]:
        """How many rows wait, and their tokens."""
        with self._changed:
            return sum(map(len, self._queues.values())), self._waiting_tokens

    def submit(
        self, rows: Sequence[Row[WorkT]], client: str = "", seat: Seat | None = None
    ) -> Ticket:
        """Have rows computed, for whom a seat was kept or not.

        Raises:
            RefusedError: ``busy`` where too much waits already, ``unavailable`` after
                :meth:`close`.
        """
        ticket, now = Ticket(self, len(rows)), time.monotonic()
        unknown = list[tuple[int, Row[WorkT]]]()
        for place, row in enumerate(rows):
            if self._known is None or (output := self._known(row.key)) is None:
                unknown.append((place, row))
            else:
                ticket._got(place, output)
        with self._changed:
            if self._closed:
                raise RefusedError("unavailable", "The server is shutting down.")
            new = {row.key: row for _, row in unknown if row.key not in self._in_flight}
            tokens = sum(row.tokens for row in new.values())
            self._leave(seat)
            share = _MEMORY if self._usual else 0.0
            self._usual = share * self._usual + (1 - share) * tokens
            if tokens and self._waiting_tokens and self._is_too_much(tokens, client):
                raise self._busy(tokens, client)
            self._waiting_tokens += tokens
            if tokens:
                self._tokens_of[client] += tokens
            self._in_flight |= new
            for row in new.values():
                row.client, row.since = client, now
                self._queues.setdefault(client, deque()).append(row)
            for place, asked in unknown:
                row = self._in_flight[asked.key]
                row.waiting.append((ticket, place))
                ticket._rows.append(row)
            self._changed.notify_all()
        if not rows:
            ticket.done.set_result([])
        return ticket

    def is_late_for(self, client: str = "") -> bool:
        """Whether :meth:`check_room` refuses whatever a client asks that is not large by itself."""
        if self._known is not None:  # it may ask what needs no computing
            return False
        with self._changed:
            return bool(self._tokens_of and self._rate) and self._is_late(1, 1, client)

    def check_room(self, most: int, client: str = "") -> Seat | None:
        """Refuse a request of about so many tokens before anything is done for it.

        Returns:
            Its seat, for :meth:`submit` and :meth:`leave`: until it is known what is asked, it
            counts as much as requests do on average. Else of many that come together all would be
            let in, made ready and then refused.

        Raises:
            RefusedError: ``busy``: :meth:`submit` would say so.
        """
        if self._known is not None:  # it may ask what needs no computing
            return None
        with self._changed:
            if self._tokens_of and self._rate and self._is_late(1, most, client):
                raise self._busy(1, client)
            seat = Seat(client, min(most, round(self._usual)))
            if seat.tokens:
                self._tokens_of[client] += seat.tokens
            return seat

    def leave(self, seat: Seat | None) -> None:
        """Give a seat back, if that was not done before."""
        with self._changed:
            self._leave(seat)

    def close(self, timeout: float | None = None) -> bool:
        """Take no more rows and finish those that wait; whether that was done in time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _leave(self, seat: Seat | None) -> None:
        if seat is not None and seat.tokens:
            self._lessen(seat.client, seat.tokens)
            seat.tokens = 0

    def _is_too_much(self, tokens: int, client: str) -> bool:
        """Whether so many tokens more would wait for too long, or take too much memory."""
        if self._waiting_tokens + tokens > self.limit:
            return True
        return bool(self._rate) and self._is_late(tokens, tokens, client)

    def _is_late(self, tokens: int, size: int, client: str) -> bool:
        """Whether so many tokens, of a request of a ``size``, would wait for too long."""
        most = self._patience * self._rate
        if _LARGE * size > most:
            most = _PATIENT * size
        return self._ahead(tokens, client) > most

    def _ahead(self, tokens: int, client: str) -> int:
        """The tokens that are computed until so many more are done: clients take turns."""
        own = self._tokens_of[client] + tokens
        others = (each for name, each in self._tokens_of.items() if name != client)
        return own + sum(min(own, each) for each in others)

    def _busy(self, tokens: int, client: str) -> RefusedError:
        seconds, self._crowded = 1.0, True
        if self._rate:
            over = self._waiting_tokens + self._computing_tokens + tokens - self.limit
            seconds = max(
                over / self._rate, self._ahead(tokens, client) / self._rate - self._patience
            )
        retry = min(_LONGEST_RETRY, max(1, math.ceil(seconds)))
        return RefusedError(
            "busy", f"Too much is waiting: {self._waiting_tokens:,} tokens.",
            hint=f"Ask again in {retry} s.", retry_after=retry,
        )  # fmt: skip

    def _forget(self, ticket: Ticket) -> None:
        with self._changed:
            for row in dict.fromkeys(ticket._rows):
                row.waiting = [each for each in row.waiting if each[0] is not ticket]
                queue = self._queues.get(row.client)
                if not row.waiting and queue and row in queue:
                    queue.remove(row)
                    self._waiting_tokens -= row.tokens
                    self._gone(row)
                    del self._in_flight[row.key]
                    if not queue:
                        del self._queues[row.client]
        ticket.done.cancel()

    def _run(self) -> None:
        # Of what was computed nothing stays while the next rows are waited for.
        while self._computed(self._next()):
            pass

    def _computed(self, rows: Sequence[Row[WorkT]]) -> bool:
        """Compute a batch; False where there is none."""
        if not rows:
            return False
        started = time.monotonic()
        self._answer(rows)
        seconds = max(1e-6, time.monotonic() - started)
        tokens = sum(row.tokens for row in rows)
        with self._changed:
            share = 0.5 ** (seconds / _HALF) if self._rate else 0.0
            self._rate = share * self._rate + (1 - share) * tokens / seconds
            self._computing_tokens = 0
            self._last, self._ended = (len(rows), seconds), started + seconds
        waited = started - min(row.since for row in rows)
        self._counted(Batch(len(rows), tokens, seconds, waited))
        return True

    def _next(self) -> list[Row[WorkT]]:
        """The rows of the next batch; none when all is done."""
        with self._changed:
            while True:
                if self._queues and (self._closed or (left := self._to_wait()) <= 0):
                    return self._taken()
                if not self._queues and self._closed:
                    return []
                self._changed.wait(left if self._queues else None)

    def _to_wait(self) -> float:
        """Seconds until the rows that wait have to be computed, full batch or not."""
        if self._waiting_tokens >= self.budget:
            return 0.0
        (rows, seconds), now, wait = self._last, time.monotonic(), self._max_wait
        if wait and rows >= _SEVERAL and now - self._ended < seconds:
            if 2 * sum(map(len, self._queues.values())) >= rows:
                return 0.0
            wait = max(wait, _SHARE * seconds)
        oldest = min(queue[0].since for queue in self._queues.values())
        return oldest + wait - now

    def _taken(self) -> list[Row[WorkT]]:
        rows, tokens, full = list[Row[WorkT]](), 0, float(self.budget)
        short = full
        if self._crowded:  # whoever is taken waits for the batch before it, and for all of its own
            short = max(self._patience * self._rate * _CROWDED, full * _LEAST)
        while self._queues:
            client, queue = next(iter(self._queues.items()))
            # Of few long rows none is left to be computed alone: cores would be idle.
            most = full if len(rows) < _SEVERAL else min(full, short)
            if rows and tokens + queue[0].tokens > most:
                break
            row = queue.popleft()
            self._gone(row)
            rows.append(row)
            tokens += row.tokens
            self._queues.move_to_end(client)
            if not queue:
                del self._queues[client]
        self._waiting_tokens -= tokens
        self._computing_tokens, self._crowded = tokens, self._crowded and bool(self._queues)
        return rows

    def _gone(self, row: Row[WorkT]) -> None:
        """A row waits no more."""
        self._lessen(row.client, row.tokens)

    def _lessen(self, client: str, tokens: int) -> None:
        self._tokens_of[client] -= tokens
        if not self._tokens_of[client]:
            del self._tokens_of[client]

    def _answer(self, rows: Sequence[Row[WorkT]]) -> None:
        try:
            outputs = self._compute([row.work for row in rows])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this row's and no other's
            if len(rows) == 1:
                for ticket, _ in self._finished(rows[0]):
                    ticket._failed(error)
                return
            for row in rows:
                self._answer([row])
            return
        for row, output in zip(rows, outputs, strict=True):
            self._keep(row.key, output)
            for ticket, place in self._finished(row):
                ticket._got(place, output)

    def _finished(self, row: Row[WorkT]) -> list[tuple[Ticket, int]]:
        """Who waits for a row that is computed; from now on its key is computed anew."""
        with self._changed:
            self._in_flight.pop(row.key, None)
            return row.waiting
