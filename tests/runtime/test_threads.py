"""Threads side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from lora_bert.runtime.threads import Workers, computing_with, workers

CPU = torch.device("cpu")


@pytest.fixture
def four_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def cores_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(
    ("most", "count", "cores"), [(1, 1, 4), (2, 2, 2), (3, 3, 1), (4, 4, 1), (99, 4, 1), (0, 1, 4)]
)
def test_cores_are_shared_out(four_cores, most, count, cores):
    with workers(most, device=CPU) as made:
        assert (made.count, made.cores) == (count, cores)
        assert list(made.map(lambda _: torch.get_num_threads(), range(6))) == [cores] * 6
        assert (torch.get_num_threads(), cores_of_a_new_thread()) == (4, 4)
    assert torch.get_num_threads() == 4


def test_the_callers_own_share_is_its_own(four_cores):
    with computing_with(2):
        assert (torch.get_num_threads(), cores_of_a_new_thread()) == (2, 4)
    with computing_with(None):
        assert torch.get_num_threads() == 4
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (4, 4)


def test_a_gpu_is_fed_by_one(four_cores):
    with workers(4, device=torch.device("cuda")) as made:
        assert made.count == 1


def test_answers_come_in_the_order_of_the_questions(four_cores):
    def slow_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return number

    with workers(4, device=CPU) as made:
        assert list(made.map(slow_first, range(8))) == list(range(8))


@pytest.mark.parametrize("count", [1, 3])
def test_errors_arrive(count):
    made = Workers(count, 1)
    with pytest.raises(ZeroDivisionError):
        list(made.map(lambda number: 1 // number, [1, 0]))
    made.shutdown()


def test_an_error_drops_the_rest():
    begun = []

    def breaks(number):
        begun.append(number)
        time.sleep(0.01)
        return 1 // number

    with Workers(2) as made:
        with pytest.raises(ZeroDivisionError):
            list(made.map(breaks, [0, *range(1, 50)]))
        count = len(begun)
        time.sleep(0.05)
    assert len(begun) <= count + 2 < 10


def test_threads_outlive_the_calls():
    def names(count):
        with Workers(count) as made:
            return set(made.map(lambda _: threading.current_thread().name, [0.0] * 20))

    names(3)
    before = threading.active_count()
    for count in (1, 2, 3) * 5:
        names(count)
    assert threading.active_count() == before


def test_no_more_at_once_than_a_call_may_have():
    lock, now, most = threading.Lock(), [0], [0]

    def task(_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= 1

    with Workers(7) as wide:
        list(wide.map(task, range(30)))
        assert most[0] > 2
        most[0] = 0
        with Workers(2) as narrow:
            list(narrow.map(task, range(30)))
    assert most[0] == 2


def test_calls_take_turns():
    """A short call is not behind the whole of a long one, though that has every thread."""
    done = []

    def work(_):
        time.sleep(0.005)
        done.append(1)

    with Workers(9) as long, Workers(1) as short:
        for number in range(900):
            long.submit(work, number)
        assert [short.submit(int).result() for _ in range(5)] == [0] * 5
        assert len(done) < 450


def test_what_waits_is_dropped_at_the_end():
    release, begun = threading.Event(), threading.Event()

    def first():
        begun.set()
        return release.wait(60)

    with Workers(1) as made:
        running, waiting = made.submit(first), made.submit(int)
        begun.wait()
        threading.Timer(0.05, release.set).start()
    assert running.done()
    assert running.result()
    assert waiting.cancelled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, sys
from lora_bert.runtime.threads import Workers
def squares():
    with Workers(3) as made:
        return list(made.map(lambda number: number * number, range(9)))
expected = squares()
child = os.fork()
if not child:
    os._exit(0 if squares() == expected else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_does_not_wait_for_threads_that_torch_had():
    code = """
import os, signal, sys, torch
import lora_bert.runtime.threads
torch.set_num_threads(2)
numbers = torch.rand(1 << 22)
expected = numbers.exp()
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if torch.equal(numbers.exp(), expected) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_end_of_the_interpreter_waits_for_nothing_but_what_is_begun():
    """A thread that still waits for its tasks gets them, and the process ends."""
    code = """
import threading, time
from lora_bert.runtime.threads import Workers
def answer():
    with Workers(2) as made:
        print(sum(made.map(lambda number: time.sleep(0.01) or number, range(20))), flush=True)
threading.Thread(target=answer).start()
time.sleep(0.05)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=60, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "190\n", "")
