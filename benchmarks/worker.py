"""A fresh process that measures one thing: ``python -m benchmarks.worker MODULE:FUNCTION``.

Its arguments come as one JSON object on stdin; what the function returns goes out as one JSON line,
with the process's peak memory. Imports of what is measured happen inside the functions, so that
their time and memory count.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def main(target: str) -> None:
    """Run ``MODULE:FUNCTION`` and print what it returns."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    # Libraries print; only our line may stand on the real stdout.
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    started = time.perf_counter()
    private = _PrivateMemory()
    module, _, name = target.partition(":")
    found: dict[str, Any] = getattr(importlib.import_module(module), name)(**arguments)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    whole = {
        "process_seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss": peak_rss(),
        "peak_private": private.peak,
        "peak_device": _peak_device(),
    }
    line.write(json.dumps({**whole, **found}, ensure_ascii=False) + "\n")
    line.flush()


def peak_rss() -> int:
    """Bytes of memory that were resident at the peak, pages of mapped files included."""
    # Not getrusage: its peak is inherited from the process that started this one.
    peak = _status("VmHWM")
    return peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    """Bytes of memory that are resident now, pages of mapped files included."""
    return _status("VmRSS")


def private() -> int:
    """Bytes of memory that are resident now and no file's pages."""
    return _status("RssAnon")


def _status(key: str) -> int:
    with suppress(OSError):
        for row in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if row.startswith(f"{key}:"):
                return int(row.split()[1]) * 1024
    return 0


def _peak_device() -> int:
    """Bytes that torch had allocated on the GPU at the peak; 0 where it was not used."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else 0


class _PrivateMemory:
    """Watches the memory that is not a file's pages, which the system can take back."""

    def __init__(self) -> None:
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, private())
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
