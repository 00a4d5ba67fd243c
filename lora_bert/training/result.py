"""What a training hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lora_bert.evaluation.result import Evaluation
from lora_bert.training.watch import Watched


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training.

    Attributes:
        path: The adapter's directory.
        labels: In the order of the scores.
        evaluations: By part: ``validation``, and ``test`` where there is one; scored as
            ``evaluate`` does; without those that Ctrl-C cut short.
        history: A dict an epoch: epoch, train_loss, seconds and the validation figures.
        best_epoch: The epoch that was kept, from 1; 0 when stopped before the first one ended.
        steps: Optimizer steps, those of earlier calls that were gone on with included.
        trainable: Trained parameters; ``total``: those and the frozen ones.
        size: Bytes of the adapter's directory.
        interrupted: Stopped with Ctrl-C.
        resumable: Stopped, and the same call with ``resume=True`` goes on.
        watched: What was predicted of the texts to watch.
        seconds: Of the call.
        resumed_at: The step after which it went on; 0 when it began.
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
    interrupted: bool = False
    resumable: bool = False
    watched: Sequence[Watched] = ()
    seconds: float = 0.0
    resumed_at: int = 0

    @property
    def accuracy(self) -> float:
        """Accuracy on the validation rows, 0..1."""
        return self.evaluations["validation"].scores.accuracy

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "path": str(self.path),
            "labels": list(self.labels),
            **{part: found.as_dict() for part, found in self.evaluations.items()},
            "history": [dict(row) for row in self.history],
            "best_epoch": self.best_epoch,
            "steps": self.steps,
            "resumed_at": self.resumed_at,
            "trainable_parameters": self.trainable,
            "total_parameters": self.total,
            "bytes": self.size,
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "resumable": self.resumable,
            "watched": [asdict(one) for one in self.watched],
        }
