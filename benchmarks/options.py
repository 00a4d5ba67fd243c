"""What a benchmark can be told, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TRIAL = ROOT / "runs" / "benchmarks"
"""Where ``--quick`` writes: figures of a trial never take the place of measured ones."""

QUICK_ROWS = 320


@dataclass(frozen=True)
class Options:
    """The command line, resolved.

    Attributes:
        work: A scratch directory for everything that is not a result.
        results: Where the JSON and the plot go.
        rounds: How often each contender is measured; None for the benchmark's own default.
        rows: Training rows to use; None for the benchmark's own default.
        quick: One round on few rows: to see that everything runs.
        device: ``cpu`` or ``cuda``.
        data: Whose texts, or lengths, ``train``, ``run``, ``predict`` and ``layers`` work on.
        only: Contenders to measure; empty for all.
        machine: A word that keeps the results beside those of other machines; "" for none.
        resume: Go on with the results that are there, if they are of the same settings.
        hours: CPU hours after which the searches stop.
        command: The command line, for the record.
    """

    work: Path
    results: Path
    rounds: int | None = None
    rows: int | None = None
    quick: bool = False
    device: str = "cpu"
    data: str = "waimai"
    only: tuple[str, ...] = ()
    machine: str = ""
    resume: bool = False
    hours: float = 12.0
    command: str = ""

    def rounds_or(self, default: int) -> int:
        """Rounds to measure."""
        return self.rounds or (1 if self.quick else default)

    def rows_or(self, default: int | None) -> int | None:
        """Training rows to use; None for all."""
        return self.rows or (QUICK_ROWS if self.quick else default)

    def name(self, benchmark: str) -> str:
        """The results' name: the benchmark's, what is not usual about this run, the machine."""
        extra = [self.device] if self.device != "cpu" else []
        extra += [self.data] if self.data != "waimai" else []
        return "@".join(filter(None, ["-".join([benchmark, *extra]), self.machine]))
