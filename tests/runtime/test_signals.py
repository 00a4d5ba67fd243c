"""Signals become exceptions, and wait while they must."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

from lora_bert.runtime.signals import Terminated, stoppable, uninterrupted


def test_ctrl_c_and_sigterm_raise() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, stoppable():
        signal.raise_signal(signal.SIGINT)
    assert caught.type is KeyboardInterrupt
    with pytest.raises(Terminated), stoppable():
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("numbers", "raised"),
    [((signal.SIGINT,), KeyboardInterrupt), ((signal.SIGINT, signal.SIGTERM), Terminated)],
)
def test_they_wait_for_the_end_of_the_outermost_block(
    numbers: tuple[signal.Signals, ...], raised: type
) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, stoppable(), uninterrupted():
        with uninterrupted():
            for number in numbers:
                signal.raise_signal(number)
            done.append(1)
        done.append(2)
    assert (done, caught.type) == ([1, 2], raised)
    with stoppable(), uninterrupted():
        pass  # nothing is left over


def test_handlers_are_as_before_and_others_stay() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable(), stoppable():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    try:
        with stoppable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == [signal.SIGTERM]


def test_in_another_thread_the_blocks_just_run() -> None:
    ran: list[int] = []

    def body() -> None:
        with stoppable(), uninterrupted():
            ran.append(1)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert ran == [1]


STOPS = """\
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
for _ in range(20):
    time.sleep(0.01)
whole = True
"""


def test_an_import_is_finished_first(tmp_path, monkeypatch):
    (tmp_path / "stops_midway.py").write_text(STOPS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), stoppable():
        import stops_midway

        assert stops_midway.whole
        for _ in range(500):  # interrupt_main cuts no sleep short
            time.sleep(0.01)
    assert sys.modules["stops_midway"].whole


def test_a_program_that_is_imported_itself_can_be_stopped(tmp_path, monkeypatch):
    program = "from lora_bert.runtime.signals import stoppable\nwith stoppable():\n"
    program += "".join(f"    {line}\n" for line in STOPS.splitlines())
    (tmp_path / "stoppable_program.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import stoppable_program  # noqa: F401
    assert "stoppable_program" not in sys.modules
