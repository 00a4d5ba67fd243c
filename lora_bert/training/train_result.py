"""What a training hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lora_bert.data.texts import Text
from lora_bert.evaluation.display import html_table, html_text
from lora_bert.evaluation.report import figure_text
from lora_bert.evaluation.result import Evaluation
from lora_bert.wording import counted


@dataclass(frozen=True)
class Watched:
    """What is predicted of a text, or of a pair, before the first step of a training and after.

    Attributes:
        lines: Both as they stand in a terminal.
    """

    text: Text
    before: Any
    after: Any
    lines: tuple[str, str] = ("", "")

    def as_dict(self) -> dict[str, Any]:
        """Text and predictions as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if name != "lines"}


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training.

    Attributes:
        path: The adapter's directory.
        labels: In the order of the scores.
        evaluations: By part: ``validation``, and ``test`` where there is one; scored as
            ``evaluate`` does; without those that Ctrl-C cut short.
        history: A dict an epoch: epoch, train_loss, seconds and the validation figures.
        best_epoch: The epoch that was kept, from 1; 0 where a fitted head was kept as it was, or
            stopped before the first one ended.
        head_start: Where the head started: ``probe`` (fitted on the frozen backbone), ``random``.
        steps: Optimizer steps, those of earlier calls that were gone on with included.
        trainable: Trained parameters; ``total``: those and the frozen ones.
        size: Bytes of the adapter's directory.
        interrupted: Stopped with Ctrl-C.
        resumable: Stopped, and the same call with ``resume=True`` goes on.
        watched: What was predicted of the texts to watch.
        seconds: Of the call.
        resumed_at: The step after which it went on; 0 when it began.
        asked_as: How ``lora-bert infer`` is asked such a row.
    """

    path: Path
    labels: tuple[str, ...]
    evaluations: Mapping[str, Evaluation]
    history: Sequence[Mapping[str, Any]]
    best_epoch: int
    steps: int
    trainable: int
    total: int
    size: int
    head_start: str = "random"
    interrupted: bool = False
    resumable: bool = False
    watched: Sequence[Watched] = ()
    seconds: float = 0.0
    resumed_at: int = 0
    asked_as: str = '"…"'

    @property
    def accuracy(self) -> float:
        """Accuracy on the validation rows, 0..1; AttributeError if the task has no such figure."""
        scores = self.evaluations["validation"].scores
        if "accuracy" not in scores.figures:
            raise AttributeError(f"no accuracy; there is {', '.join(scores.figures)}")
        return scores.figures["accuracy"]

    def __repr__(self) -> str:
        scored = "".join(
            f", {part} "
            + ", ".join(
                f"{figure.shown} {figure_text(judged, figure, interval=False)}"
                for figure in judged.shown[:2]
            )
            for part, judged in self.evaluations.items()
        )
        stopped = ", stopped" if self.interrupted else ""
        return (
            f"TrainResult({str(self.path)!r}: epoch {self.best_epoch:,} of {len(self.history):,}, "
            f"{counted(len(self.labels), 'label')}{scored}{stopped})"
        )

    def _repr_html_(self) -> str:
        """The epochs, and the scores of the one that was kept, for a notebook."""
        names = list(dict.fromkeys(name for row in self.history for name in row))
        epochs = [[_figure(row.get(name)) for name in names] for row in self.history]
        scores = [
            (part, *(figure_text(judged, figure) for figure in judged.shown[:2]),
             f"{judged.scores.rows:,}")
            for part, judged in self.evaluations.items()
        ]  # fmt: skip
        figures = next(([figure.shown for figure in judged.shown[:2]]
                        for judged in self.evaluations.values()), [])  # fmt: skip
        tables = html_table([name.replace("_", " ") for name in names], epochs)
        tables += html_table(("part", *figures, "rows"), scores)
        return html_text(f"{self.path}, epoch {self.best_epoch} kept") + tables

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "path": str(self.path),
            "labels": list(self.labels),
            **{part: judged.as_dict() for part, judged in self.evaluations.items()},
            "history": [dict(row) for row in self.history],
            "best_epoch": self.best_epoch,
            "head_start": self.head_start,
            "steps": self.steps,
            "resumed_at": self.resumed_at,
            "trainable_parameters": self.trainable,
            "total_parameters": self.total,
            "bytes": self.size,
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "resumable": self.resumable,
            "watched": [watched.as_dict() for watched in self.watched],
        }


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else f"{value}"
