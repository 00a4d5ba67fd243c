"""Starts several processes as a user does: with torchrun, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def torchrun(*words: str | Path, count: int = 2, **variables: str) -> subprocess.Popen[str]:
    """Begin ``torchrun`` with ``count`` processes of what ``words`` name, a script or a module."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*command, f"--nproc-per-node={count}", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(started: subprocess.Popen[str], *, seconds: float = 60) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr, once it has ended."""
    try:
        out, err = started.communicate(timeout=seconds)
    finally:
        started.kill()
    return started.returncode, out, err
