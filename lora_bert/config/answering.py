"""The options of the commands that answer or judge: ``evaluate``, ``infer``."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import (
    Compute,
    LabelledFileOptions,
    Opening,
    ScoredRows,
    TextFileOptions,
    run_option,
)
from lora_bert.options import option


@dataclass(frozen=True)
class EvaluateConfig(Opening, Compute, LabelledFileOptions, ScoredRows):
    """The options of ``evaluate``."""

    output: str | None = run_option(
        None,
        "Directory for evaluation.json, confusion.png, wrong.csv and suspects.csv.",
        metavar="DIR",
    )
    report: str | None = run_option(
        None, "Write everything into one HTML file.", metavar="FILE.html"
    )
    overwrite: bool = run_option(False, "Replace the output directory and the report.")


@dataclass(frozen=True)
class LoadConfig(Opening, Compute):
    """The options of ``load``, from Python alone."""

    path: str = option(
        "", "Adapter, merged or exported model.", positional=True, metavar="ADAPTER|MODEL"
    )


@dataclass(frozen=True)
class InferConfig(Opening, Compute, TextFileOptions):
    """The options of ``infer``."""

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
    overwrite: bool = run_option(False, "Replace the output file.")
