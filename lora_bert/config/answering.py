"""What the commands that answer or judge can be told: ``evaluate``, ``infer``."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import RUN, Answering, Columns, Computing, Reading, ScoredRows
from lora_bert.options import option


@dataclass(frozen=True)
class EvaluateConfig(Answering, Columns, ScoredRows):
    """What ``evaluate`` can be told."""

    output: str | None = option(
        None,
        "Directory for evaluation.json, confusion.png, wrong.csv and suspects.csv.",
        metavar="DIR",
        group=RUN,
    )
    report: str | None = option(
        None, "Write everything into one HTML file.", metavar="FILE.html", group=RUN
    )
    overwrite: bool = option(False, "Replace the output directory and the report.", group=RUN)


@dataclass(frozen=True)
class LoadConfig(Answering):
    """What ``load`` can be told, from Python alone."""

    path: str = option(
        "", "Adapter, merged or exported model.", positional=True, metavar="ADAPTER|MODEL"
    )


@dataclass(frozen=True)
class SessionConfig(Computing):
    """What a ``Session`` can be told, from Python alone."""

    backbone: str = option("", "Embedded name, local directory or hub id.", positional=True)


@dataclass(frozen=True)
class InferConfig(Answering, Reading):
    """What ``infer`` can be told."""

    texts: tuple[str, ...] = option((), "Texts to classify.", positional=True, metavar="[TEXT]…")
    adapter: str | None = option(None, "Adapter directory.", metavar="DIR")
    model: str | None = option(None, "Merged or exported model; needs no backbone.", metavar="DIR")
    input: str | None = option(
        None,
        "File to classify (csv, tsv, json, jsonl, parquet, xlsx), or a directory, whose test rows "
        "are meant.",
        metavar="FILE|DIR",
    )
    output: str | None = option(
        None, "Where its rows go, predictions added (csv, tsv, jsonl, parquet).", metavar="FILE"
    )
    min_score: float | None = option(
        None,
        "Answer --otherwise where no label reaches this probability; evaluate says what it costs.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
    )
    otherwise: str | None = option(
        None, "The answer below --min-score (default: unknown).", metavar="NAME"
    )
    overwrite: bool = option(False, "Replace the output file.", group=RUN)
