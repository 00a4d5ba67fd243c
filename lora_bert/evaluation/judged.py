"""An evaluation together with the rows it judged, for what names single rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lora_bert.data.examples import Examples
from lora_bert.evaluation.result import Evaluation
from lora_bert.evaluation.row_tables import SuspectRow, WrongRow
from lora_bert.metrics.classification import Floats, Indices
from lora_bert.metrics.suspects import suspects


@dataclass(frozen=True, eq=False)
class Judged:
    """What was found, and where.

    Attributes:
        evaluation: The figures.
        rows: What was scored.
        probabilities: [rows, classes].
        true: [rows], the index of each row's label.
    """

    evaluation: Evaluation
    rows: Examples
    probabilities: Floats
    true: Indices

    @cached_property
    def wrong(self) -> list[WrongRow]:
        """The mistakes, the most confident first: those are where wrong labels show."""
        best, highest = self.probabilities.argmax(axis=1), self.probabilities.max(axis=1)
        found = [
            WrongRow(self.rows.mark(row), text, label, self._labels[answer], float(score), own)
            for row, (text, label, true, answer, score, own) in enumerate(zip(
                self.rows.texts, self.rows.labels, self.true, best, highest, self._ids, strict=True,
            ))
            if true != answer
        ]  # fmt: skip
        return sorted(found, key=lambda row: -row.score)

    @cached_property
    def suspects(self) -> list[SuspectRow]:
        """The rows whose label is doubted, the most doubtful first."""
        rows = self.rows
        return [
            SuspectRow(
                rows.mark(one.row), rows.texts[one.row], rows.labels[one.row],
                self._labels[one.suggested], one.given, one.other, self._ids[one.row],
            )
            for one in suspects(self.probabilities, self.true)
        ]  # fmt: skip

    @property
    def _ids(self) -> Sequence[str]:
        return self.rows.ids or [""] * len(self.rows)

    @property
    def _labels(self) -> list[str]:
        return self.evaluation.scores.labels
