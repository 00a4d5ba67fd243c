"""Memory that was freed is there again without the system clearing it."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from lora_bert.runtime import memory

FAULTS = """
import resource, threading
import torch
from lora_bert.runtime.memory import keep_freed_memory

assert keep_freed_memory()

SIZES = [100_000, 300_000] * 100

def use():
    for time in range(10):
        if time == 5:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        parts = [torch.ones(size) for size in SIZES]
        del parts
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=use)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again():
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    # Pages that a thread was given while it used the same 160 MB five times; else some 15,000.
    assert int(done.stdout) < 100


@pytest.mark.parametrize("problem", [AttributeError, OSError, TypeError])
def test_another_library_is_left_alone(problem, monkeypatch):
    def absent(_name):
        raise problem

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert memory.keep_freed_memory.__wrapped__() is False
