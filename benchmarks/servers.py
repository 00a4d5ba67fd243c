"""Servers as processes, for as long as they are measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO


@contextmanager
def served(command: Sequence[str], log: IO[str] | None = None) -> Iterator[tuple[str, int]]:
    """The URL that a server prints as JSON, and the number of its process.

    It is ended with SIGTERM, if it has not ended by then. ``log`` gets what it says on stderr.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ
    )
    try:
        lines = ""
        while not lines.endswith("}\n"):
            line = process.stdout.readline()  # type: ignore[union-attr]
            if not line:
                raise RuntimeError(f"the server ended with {process.wait()}")
            lines += line
        yield json.loads(lines)["url"], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def serving(adapters: str, backbone: str, *options: str) -> list[str]:
    """The command that serves a directory of adapters."""
    return [sys.executable, "-m", "lora_bert", "serve", adapters, "--backbone", backbone,
            "--json", "--quiet", *options]  # fmt: skip
