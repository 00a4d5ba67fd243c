"""OpenVINO in this process, as its threads come to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST_TOGETHER = """
import threading
from lora_bert.inference.engines.openvino_engine import import_openvino
kind, both = import_openvino().Type.f32, threading.Barrier(2)
def first():
    both.wait()
    kind.to_dtype()
threads = [threading.Thread(target=first, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
PROCESSES = 6
"""Two threads waited for each other in every third process, or in every eighth."""


def test_two_threads_that_answer_first_do_not_wait_for_each_other() -> None:
    pytest.importorskip("openvino")
    processes = [subprocess.Popen([sys.executable, "-c", FIRST_TOGETHER])
                 for _ in range(PROCESSES)]  # fmt: skip
    try:
        assert [process.wait(60) for process in processes] == [0] * PROCESSES
    finally:
        for process in processes:
            process.kill()
            process.wait()
