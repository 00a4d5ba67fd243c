"""What a command came to: in process, or in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from lora_bert.cli import main; main()")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """An exit code and what was said."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The one error sentence and its hint."""
        lines = self.stderr.splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith("error: ")]
        assert len(starts) == 1, self.stderr
        assert "Traceback" not in self.stderr
        sentence, *hint = lines[starts[0] :]
        assert len(hint) <= 1, hint
        assert all(line.startswith("       ") for line in hint)
        return "\n".join([sentence, *hint])


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything below a directory, hidden files too: name -> bytes, None for a directory."""
    return {
        str(entry.relative_to(directory)): entry.read_bytes() if entry.is_file() else None
        for entry in directory.rglob("*")
    }


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that finds the package and computes on one core."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **changes}


def start(*words: object, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
    """The command in a process of its own, its stdout and stderr piped."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], env=env or environment(), text=True, **(pipes | more)
    )


def finish(process: subprocess.Popen[str], seconds: float = 180) -> Outcome:
    """What became of it."""
    stdout, stderr = process.communicate(timeout=seconds)
    return Outcome(process.returncode, stdout, stderr)
