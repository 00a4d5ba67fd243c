"""The options of the commands that answer or judge: ``evaluate``, ``infer``."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import (
    Answering,
    Computing,
    Decoding,
    LabelledFileOptions,
    ScoredRows,
    TextFileOptions,
    run_option,
)
from lora_bert.options import option


@dataclass(frozen=True)
class EvaluateConfig(Answering, LabelledFileOptions, ScoredRows):
    """The options of ``evaluate``."""

    output: str | None = run_option(
        None,
        "Directory for evaluation.json, confusion.png and tables of rows to look at.",
        metavar="DIR",
    )
    report: str | None = run_option(
        None, "Write everything into one HTML file.", metavar="FILE.html"
    )
    overwrite: bool = run_option(False, "Replace the output directory and the report.")


@dataclass(frozen=True)
class LoadConfig(Answering):
    """The options of ``load``, from Python alone."""

    path: str = option(
        "", "Adapter, merged or exported model.", positional=True, metavar="ADAPTER|MODEL"
    )


@dataclass(frozen=True)
class SessionConfig(Computing):
    """The options of a ``Session``, from Python alone."""

    backbone: str = option("", "Embedded name, local directory or hub id.", positional=True)


@dataclass(frozen=True)
class DirectoryConfig(Computing):
    """The options of ``Session.from_directory``, from Python alone."""

    directory: str = option("", "Directory of adapters.", positional=True, metavar="DIR")
    backbone: str | None = run_option(None, "Their backbone, if not found by name.", metavar="DIR")
    memory: float | None = run_option(
        None, "Gigabytes that adapters may take.", minimum=0, metavar="GB"
    )
    pinned: str | None = run_option(
        None, "Names of adapters that stay in memory.", metavar="NAME,…", form="list"
    )


@dataclass(frozen=True)
class InferConfig(Answering, Decoding, TextFileOptions):
    """The options of ``infer``."""

    texts: tuple[str, ...] = option((), "Texts to classify.", positional=True, metavar="[TEXT]…")
    pair: tuple[str, ...] = option(
        (),
        "The second text of a pair, of an adapter that was trained on pairs: once for each TEXT.",
        metavar="TEXT",
    )
    question: tuple[str, ...] = option(
        (), "A question, of an adapter that finds answers; may be repeated.", metavar="TEXT"
    )
    context: tuple[str, ...] = option(
        (), "The text that its answer stands in: once for each --question, or once for all.",
        metavar="TEXT",
    )  # fmt: skip
    adapter: tuple[str, ...] = option(
        (),
        "Adapter directory. Given several times, each of them answers every text, and shares with "
        "the others what it can.",
        metavar="DIR",
    )
    adapter_column: str | None = option(
        None,
        "Column of --input that names the adapter of each row, one of those of --adapter, by the "
        "name of its directory; a directory of adapters stands for all of them.",
        metavar="NAME",
    )
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
    overwrite: bool = run_option(False, "Replace the output file.")
    on: str | None = run_option(
        None,
        "Where to compute, if not in this process: ray answers files of any size on a cluster.",
        choices=("ray",),
    )
    ray_address: str | None = run_option(
        None, "The Ray cluster (default: one of this machine alone).", metavar="HOST:PORT"
    )
