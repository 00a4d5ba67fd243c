"""How the process that computes is started: before all else is imported, as it takes longest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from lora_bert.serving.compute_process import main
main()
"""


@contextmanager
def computing_process() -> Iterator[subprocess.Popen[bytes]]:
    """The process, told and answering through pipes; at the end of the block there is none."""
    # Without what -c puts first: a module of the directory we happen to be in.
    command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)]
    # Nobody watches the bars of long batches.
    environment = os.environ | {"TQDM_DISABLE": "1"}
    process = None
    try:
        with _kept_from(signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        yield process
    finally:
        if process is not None:
            process.kill()
            process.wait()


@contextmanager
def _kept_from(*numbers: signal.Signals) -> Iterator[None]:
    """What is started in the block never gets these signals, and we get them afterwards.

    They are sent to both: by Ctrl-C, and by whoever ends a group. Windows has no such mask.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
