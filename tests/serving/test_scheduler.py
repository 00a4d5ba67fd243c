"""The scheduler alone: batches, turns, equal rows, too much at once, what nobody waits for."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from weakref import ref

import pytest

from lora_bert.serving import scheduler
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scheduler import Batch, Row, Scheduler


class Machine:
    """Doubles numbers, when it is let; remembers its batches."""

    def __init__(self, **options):
        self.batches, self.counted = list[list[int]](), list[Batch]()
        self.go, self.begun = threading.Event(), threading.Event()
        self.go.set()
        settings = {"budget": 100, "max_wait": 0.0, "limit": 1000, **options}
        self.scheduler = Scheduler(self.compute, counted=self.counted.append, **settings)

    def compute(self, works):
        self.batches.append(list(works))
        self.begun.set()
        assert self.go.wait(10)
        if 13 in works:
            raise ValueError("13")
        return [2 * work for work in works]

    def ask(self, *numbers, tokens=10, client=""):
        rows = [Row(number, tokens, number) for number in numbers]
        return self.scheduler.submit(rows, client)

    def hold(self):
        """A ticket that is computed until ``go`` is set."""
        self.go.clear()
        self.begun.clear()
        ticket = self.ask(0)
        assert self.begun.wait(10)
        return ticket


def result(ticket):
    return ticket.done.result(timeout=10)


def test_outputs_come_in_the_order_of_the_rows():
    machine = Machine()
    assert result(machine.ask(3, 1, 2)) == [6, 2, 4]
    assert result(machine.ask()) == []


def test_a_batch_has_so_many_tokens_and_a_longer_row_is_one_by_itself():
    machine = Machine()
    held = machine.hold()
    tickets = [machine.ask(*range(1, 13)), machine.ask(50, tokens=500), machine.ask(60)]
    machine.go.set()
    assert result(held) == [0]
    assert [result(ticket)[0] for ticket in tickets] == [2, 100, 120]
    sizes = [sum(500 if each == 50 else 10 for each in batch) for batch in machine.batches]
    assert sizes[1] == 100
    assert [50] in machine.batches
    assert all(size <= 100 for batch, size in zip(machine.batches, sizes, strict=True)
               if batch != [50])  # fmt: skip


def test_rows_wait_for_others_but_not_for_long():
    machine = Machine(max_wait=0.3)
    started = time.monotonic()
    first = machine.ask(1)
    time.sleep(0.05)
    second = machine.ask(2)
    assert (result(first), result(second)) == ([2], [4])
    assert machine.batches == [[1, 2]]
    assert 0.2 < time.monotonic() - started < 5
    full = machine.ask(*range(10, 13), *range(20, 27))  # a full batch waits for nobody
    started = time.monotonic()
    result(full)
    assert time.monotonic() - started < 0.25


def test_half_of_those_who_were_answered_are_waited_for():
    machine = Machine(max_wait=0.001)
    machine.go.clear()
    several = machine.ask(*range(20, 28))
    time.sleep(0.8)
    machine.go.set()
    result(several)
    first = machine.ask(1)
    time.sleep(0.05)
    rest = machine.ask(2, 3, 4)
    assert (result(first), result(rest)) == ([2], [4, 6, 8])
    assert machine.batches[1:] == [[1, 2, 3, 4]]
    started = time.monotonic()
    assert result(machine.ask(5)) == [10]  # nobody else comes
    assert time.monotonic() - started < 0.5


def test_without_a_wait_nobody_waits():
    machine = Machine()
    machine.go.clear()
    several = machine.ask(*range(20, 28))
    time.sleep(0.3)
    machine.go.set()
    result(several)
    first = machine.ask(1)
    time.sleep(0.05)
    assert result(machine.ask(2)) == [4]
    assert result(first) == [2]
    assert machine.batches[1:] == [[1], [2]]


def test_clients_take_turns():
    machine = Machine(budget=40)
    held = machine.hold()
    greedy = machine.ask(*range(100, 120), client="greedy")
    modest = machine.ask(1, 2, client="modest")
    machine.go.set()
    assert result(modest) == [2, 4]
    result(greedy), result(held)
    assert sorted(machine.batches[1]) == [1, 2, 100, 101]


def test_equal_rows_in_flight_are_computed_once():
    machine = Machine()
    held = machine.hold()
    tickets = [machine.ask(7, 8), machine.ask(8, 7), machine.ask(7, 7), machine.ask(0)]
    machine.go.set()
    assert [result(ticket) for ticket in tickets] == [[14, 16], [16, 14], [14, 14], [0]]
    assert machine.batches == [[0], [7, 8]]
    assert result(held) == [0]
    assert result(machine.ask(7)) == [14]
    assert machine.batches[-1] == [7]  # what is done is computed anew


def test_one_row_that_fails_fails_nobody_else():
    machine = Machine()
    held = machine.hold()
    good, bad, both = machine.ask(1), machine.ask(13), machine.ask(2, 13)
    machine.go.set()
    assert (result(held), result(good)) == ([0], [2])
    for ticket in (bad, both):
        with pytest.raises(ValueError, match="13"):
            result(ticket)
    assert result(machine.ask(5)) == [10]


def test_too_much_at_once_is_refused_with_a_time():
    machine = Machine(limit=100)
    result(machine.ask(1))
    held = machine.hold()
    waiting = machine.ask(*range(1, 11))
    assert machine.scheduler.waiting == (10, 100)
    with pytest.raises(RefusedError) as refused:
        machine.ask(11)
    assert (refused.value.kind, refused.value.status) == ("busy", 429)
    assert refused.value.retry_after >= 1
    assert machine.ask(5)  # what is computed anyway is no more
    machine.go.set()
    result(held), result(waiting)
    assert machine.scheduler.waiting == (0, 0)
    assert len(result(machine.ask(*range(20, 40)))) == 20  # alone, more than may wait is taken


MANY = range(20, 70)
"""Rows of 500 tokens together."""


def held_at_a_rate(**options):
    """A machine that may keep nobody waiting for more than 500 tokens, and what it computes."""
    machine = Machine(patience=5.0, **options)
    held = machine.hold()
    machine.scheduler._rate = 100.0
    return machine, held


def test_what_would_wait_for_too_long_is_refused_and_what_takes_long_waits_longer():
    machine, held = held_at_a_rate()
    many = machine.ask(*MANY)
    with pytest.raises(RefusedError, match="Too much is waiting: 500 tokens") as found:
        machine.ask(6)
    assert (found.value.kind, found.value.retry_after) == ("busy", 1)
    with pytest.raises(RefusedError):
        machine.scheduler.check_room(5)
    with pytest.raises(RefusedError):
        machine.ask(8, tokens=60)  # not large enough to be let in before smaller ones
    machine.scheduler.leave(machine.scheduler.check_room(130))  # it might be as large as that
    large = machine.ask(7, tokens=130)
    machine.go.set()
    assert [result(ticket)[0] for ticket in (held, many, large)] == [0, 40, 14]


def test_while_some_are_refused_batches_are_short(monkeypatch):
    monkeypatch.setattr(scheduler, "_HALF", 1e9)  # the rate stays as it is
    machine, held = held_at_a_rate(budget=1000)
    many = machine.ask(*MANY)
    with pytest.raises(RefusedError):
        machine.ask(6)
    machine.go.set()
    assert len(result(many)) == len(MANY)
    held = machine.hold()
    more = machine.ask(*MANY)
    machine.go.set()
    assert (result(held), len(result(more))) == ([0], len(MANY))
    assert [len(batch) for batch in machine.batches] == [1, 16, 16, 16, 2, 1, 50]


def test_but_a_few_long_rows_are_not_computed_one_by_one(monkeypatch):
    monkeypatch.setattr(scheduler, "_HALF", 1e9)
    machine, _ = held_at_a_rate(budget=1000)
    many = machine.ask(*range(20, 32), tokens=100)
    with pytest.raises(RefusedError):
        machine.ask(6)
    machine.go.set()
    assert len(result(many)) == 12
    assert [len(batch) for batch in machine.batches] == [1, 4, 4, 4]


def test_of_those_who_come_together_no_more_are_let_in_than_can_be_answered():
    machine, held = held_at_a_rate()
    room = machine.scheduler.check_room
    seats = [room(5) for _ in range(100)]
    with pytest.raises(RefusedError):
        room(5)
    for _ in range(2):  # a second time changes nothing
        machine.scheduler.leave(seats[0])
    seats[0] = room(5)
    with pytest.raises(RefusedError):
        room(5)
    ticket = machine.scheduler.submit([Row(1, 1, 1)], seat=seats[0])
    for seat in seats:
        machine.scheduler.leave(seat)
    assert not machine.scheduler.is_late_for()
    machine.go.set()
    assert [result(each)[0] for each in (held, ticket)] == [0, 2]


def test_another_client_has_its_turn_and_is_not_refused():
    machine, held = held_at_a_rate()
    many = machine.ask(*MANY, client="many")
    machine.scheduler.check_room(5, "few")
    few = machine.ask(6, client="few")
    with pytest.raises(RefusedError):
        machine.ask(7, client="many")
    machine.go.set()
    assert [result(ticket)[0] for ticket in (held, many, few)] == [0, 40, 12]


def test_what_may_be_known_is_not_refused_at_the_door():
    machine, held = held_at_a_rate(known={6: 12}.get)
    many = machine.ask(*MANY)
    machine.scheduler.check_room(5)
    assert result(machine.ask(6)) == [12]
    machine.go.set()
    assert [result(ticket)[0] for ticket in (held, many)] == [0, 40]


def test_what_nobody_waits_for_is_not_computed():
    machine = Machine()
    held = machine.hold()
    shared, other, gone = machine.ask(1, 2), machine.ask(2), machine.ask(3)
    shared.cancel()
    gone.cancel()
    held.cancel()  # it is computed already
    assert machine.scheduler.waiting == (1, 10)
    machine.go.set()
    assert result(other) == [4]
    assert machine.batches == [[0], [2]]
    for ticket in (shared, gone, held):
        with pytest.raises(CancelledError):
            result(ticket)
    gone.cancel()


def test_all_that_wait_may_go_while_their_batch_fills():
    machine = Machine(max_wait=0.2)
    machine.ask(1).cancel()
    time.sleep(0.3)
    assert result(machine.ask(2)) == [4]
    assert machine.batches == [[2]]


def test_closing_finishes_what_waits_and_takes_no_more():
    machine = Machine(max_wait=5)
    held = machine.hold()
    waiting = machine.ask(1, 2)
    closing = ThreadPoolExecutor(1).submit(machine.scheduler.close, 10)
    time.sleep(0.05)
    with pytest.raises(RefusedError) as refused:
        machine.ask(3)
    assert refused.value.kind == "unavailable"
    machine.go.set()
    assert closing.result(10) is True
    assert (result(held), result(waiting)) == ([0], [2, 4])


def test_a_close_that_takes_too_long_says_so():
    machine = Machine()
    held = machine.hold()
    assert machine.scheduler.close(0.05) is False
    machine.go.set()
    assert result(held) == [0]


def test_nothing_stays_of_what_was_computed():
    """Else an adapter that is let go would stay in memory until others are asked."""

    class Work:
        pass

    done = threading.Event()
    scheduler = Scheduler(
        lambda works: [0] * len(works), budget=100, max_wait=0.0, limit=100,
        counted=lambda batch: done.set(),
    )  # fmt: skip
    work = Work()
    seen = ref(work)
    ticket = scheduler.submit([Row(work, 1, 1)])
    result(ticket)
    del work, ticket
    assert done.wait(10)
    end = time.monotonic() + 10
    while seen() is not None and time.monotonic() < end:
        time.sleep(0.01)
        gc.collect()
    assert seen() is None
    assert scheduler.close(10)


def test_batches_are_counted():
    machine = Machine()
    result(machine.ask(1, 2))
    assert machine.scheduler.close(10)
    (batch,) = machine.counted
    assert (batch.rows, batch.tokens) == (2, 20)
    assert batch.seconds > 0 <= batch.waited


def test_many_threads_get_each_their_own():
    machine = Machine(budget=70, limit=10**6)

    def asks(start):
        for number in range(start, start + 40):
            tickets = [machine.ask(number, number + 1, 3, client=str(start)) for _ in range(2)]
            for ticket in tickets:
                assert result(ticket) == [2 * number, 2 * (number + 1), 6]
            machine.ask(number + 1, client="gone").cancel()
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(asks, range(100, 900, 100)))
    assert machine.scheduler.waiting == (0, 0)
