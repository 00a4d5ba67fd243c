"""What each command can be told.

A field's ``option(...)`` says what it means and what it may be. The command line makes its flags
from these classes, ``--config FILE`` its keys, the Python functions their keyword arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.errors import ConfigError
from lora_bert.options import option

_DATA = "Data"
_ADAPTER = "Adapter"
_TRAINING = "Training"
_RUN = "Run"

_LARGEST_SEED = 2**32 - 1  # numpy's and scikit-learn's


@dataclass(frozen=True)
class _TrainRows:
    """The rows to train on."""

    data: str | None = option(
        None,
        "Labelled data: a file (csv, tsv, json, jsonl, parquet), a directory with train/"
        "validation/test files, or a name (waimai, takeaway-mini). Default: takeaway-mini.",
        metavar="FILE|DIR|NAME",
        group=_DATA,
    )
    train: str | None = option(
        None, "Training file, in place of --data.", metavar="FILE", group=_DATA
    )
    validation: str | None = option(None, "Validation file.", metavar="FILE", group=_DATA)
    test: str | None = option(
        None, "Test file, scored once at the end.", metavar="FILE", group=_DATA
    )
    validation_fraction: float = option(
        0.2,
        "Share of the rows held out where there is no validation file.",
        minimum=0,
        maximum=1,
        exclusive=True,
        group=_DATA,
    )
    test_fraction: float = option(
        0.0,
        "Share of the rows held out first, for one score at the end, where there is no test file.",
        minimum=0,
        maximum=0.9,
        group=_DATA,
    )
    split: str = option(
        "stratified",
        "How they are drawn; random is scikit-learn's train_test_split.",
        choices=("stratified", "random"),
        group=_DATA,
    )
    split_seed: int = option(
        42,
        "Seed of the split and of --limit.",
        minimum=0,
        maximum=_LARGEST_SEED,
        group=_DATA,
    )
    limit: int | None = option(
        None, "Use at most N rows, drawn at random.", metavar="N", minimum=1, group=_DATA
    )
    clean: bool = option(
        False, "Turn punctuation into spaces; kept in the saved tokenizer.", group=_DATA
    )
    max_length: int | None = option(
        None,
        "Tokens kept of a text (default: 256, or fewer if the backbone has fewer positions); "
        "padding is to the batch's longest.",
        minimum=3,
        metavar="N",
        group=_DATA,
    )


@dataclass(frozen=True)
class _ScoredRows:
    """What to score, and on which rows."""

    path: str = option("", "Adapter or merged model.", positional=True, metavar="ADAPTER|MERGED")
    data: str | None = option(
        None,
        "Labelled rows to score: a file, a directory or a name. Default: the rows that the "
        "adapter's own training held out.",
        metavar="FILE|DIR|NAME",
        group=_DATA,
    )
    part: str = option(
        "auto",
        "Which rows of the data (auto: the test rows, else validation; of a file, all).",
        choices=("auto", "train", "validation", "test"),
        group=_DATA,
    )
    baseline: bool = option(
        False,
        "Score TF-IDF + linear SVM too, trained on the adapter's training rows.",
        group=_DATA,
    )
    train: str | None = option(
        None,
        "Training rows for --baseline (default: the adapter's own).",
        metavar="FILE|DIR|NAME",
        group=_DATA,
    )


@dataclass(frozen=True)
class _Columns:
    """How to read a labelled file."""

    text_column: str | None = option(
        None, "Column with the texts (default: found by name).", group=_DATA, metavar="NAME"
    )
    label_column: str | None = option(
        None, "Column with the labels (default: found by name).", group=_DATA, metavar="NAME"
    )
    label_names: str | None = option(
        None,
        "Rename labels while reading: 0=negative,1=positive.",
        group=_DATA,
        metavar="OLD=NEW,…",
    )
    header: bool | None = option(
        None, "Whether the files have a header line (default: found out).", group=_DATA
    )
    columns: str | None = option(
        None, "Names of the columns of a file without header.", group=_DATA, metavar="NAME,…"
    )
    encoding: str = option(
        "auto", "Text encoding of the files (auto: detected).", group=_DATA, metavar="NAME"
    )


@dataclass(frozen=True)
class _Compute:
    """Where and how precisely to compute."""

    engine: str = option(
        "auto",
        "What computes: torch runs adapters and merged models, the others exported ones (auto: "
        "the fastest that fits and is installed).",
        choices=("auto", "torch", "openvino", "onnx"),
        group=_RUN,
    )
    device: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), group=_RUN)
    dtype: str = option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast).",
        choices=("auto", "float32", "bfloat16"),
        group=_RUN,
    )
    batch_size: int = option(32, "Rows computed at once.", minimum=1, group=_RUN)
    labels: str | None = option(
        None,
        "Labels of an adapter that plain PEFT wrote, in the order of its outputs.",
        metavar="NAME,…",
        group=_RUN,
    )


@dataclass(frozen=True)
class TrainConfig(_Columns, _TrainRows):
    """What ``train`` can be told."""

    backbone: str = option(
        "e5-small-zh-en",
        "Embedded name, local directory or hub id.",
        metavar="NAME|DIR|ID",
        group=_ADAPTER,
    )
    revision: str | None = option(
        None, "Commit, tag or branch of a backbone from the hub.", metavar="REV", group=_ADAPTER
    )
    rank: int = option(8, "Rank of the LoRA matrices.", group=_ADAPTER)
    alpha: float | None = option(
        None,
        "LoRA's scaling is alpha / rank (default: 2 · rank).",
        minimum=0,
        exclusive=True,
        group=_ADAPTER,
    )
    dropout: float = option(
        0.0, "Dropout on the LoRA path.", minimum=0, maximum=0.99, group=_ADAPTER
    )
    target_modules: str = option(
        "all-linear",
        "Linear layers to adapt: all-linear, attention, or names.",
        metavar="all-linear|attention|NAME,…",
        group=_ADAPTER,
    )
    layers: str = option(
        "auto",
        "Transformer layers to adapt (auto: the upper half, which is faster).",
        metavar="auto|all|top:N",
        group=_ADAPTER,
    )
    epochs: int | None = option(
        None,
        "Passes over the training rows (default: 3; up to 20 on few rows or many classes).",
        minimum=1,
        metavar="N",
        group=_TRAINING,
    )
    learning_rate: float = option(
        1e-3,
        "Peak learning rate of AdamW.",
        minimum=0,
        maximum=1,
        exclusive=True,
        group=_TRAINING,
    )
    batch_size: int = option(32, "Rows per batch.", minimum=1, group=_TRAINING)
    batch_tokens: int | None = option(
        None,
        "Tokens per batch, padding included, in place of --batch-size.",
        metavar="N",
        minimum=1,
        group=_TRAINING,
    )
    gradient_accumulation: int = option(
        1, "Batches per optimizer step.", minimum=1, group=_TRAINING
    )
    max_grad_norm: float = option(
        1.0, "Clip gradients to this norm (0: never).", minimum=0, group=_TRAINING
    )
    gradient_checkpointing: bool = option(
        False, "Recompute activations: less memory, slower.", group=_TRAINING
    )
    warmup: float = option(
        0.1, "Share of the steps in which the rate rises.", minimum=0, maximum=1, group=_TRAINING
    )
    weight_decay: float = option(0.01, "AdamW's weight decay.", minimum=0, group=_TRAINING)
    class_weights: str = option(
        "none",
        "Weigh the classes in the loss.",
        choices=("none", "balanced"),
        group=_TRAINING,
    )
    early_stopping: int | None = option(
        None, "Stop after N epochs without improvement.", metavar="N", minimum=1, group=_TRAINING
    )
    metric: str = option(
        "accuracy",
        "What picks the best epoch.",
        choices=("accuracy", "macro_f1", "log_loss"),
        group=_TRAINING,
    )
    seed: int = option(
        42,
        "Seed of initialisation, order and dropout.",
        minimum=0,
        maximum=_LARGEST_SEED,
        group=_TRAINING,
    )
    device: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), group=_RUN)
    dtype: str = option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast).",
        choices=("auto", "float32", "bfloat16"),
        group=_RUN,
    )
    trunk_cache: str = option(
        "auto",
        "Where the output of the layers below the adapted ones is kept, so that they run once "
        "(auto: a file, which the next run finds, or memory).",
        choices=("auto", "memory", "disk", "off"),
        group=_RUN,
    )
    trunk_cache_limit: float | None = option(
        None,
        "Gigabytes it may take (default: half of what is free).",
        minimum=0,
        metavar="GB",
        group=_RUN,
    )
    output: str | None = option(
        None, "Directory of the adapter (default: runs/DATA).", metavar="DIR", group=_RUN
    )
    overwrite: bool = option(False, "Replace the output directory.", group=_RUN)


@dataclass(frozen=True)
class EvaluateConfig(_Compute, _Columns, _ScoredRows):
    """What ``evaluate`` can be told."""

    backbone: str | None = option(
        None, "Where the adapter's backbone is, if not found by name.", metavar="DIR", group=_RUN
    )
    output: str | None = option(
        None,
        "Directory for evaluation.json, confusion.png and wrong.csv.",
        metavar="DIR",
        group=_RUN,
    )
    overwrite: bool = option(False, "Replace the output directory.", group=_RUN)


@dataclass(frozen=True)
class MergeConfig:
    """What ``merge`` can be told."""

    adapter: str = option("", "Adapter to merge.", positional=True, metavar="ADAPTER")
    output: str = option("", "Directory of the merged model.", positional=True, metavar="OUT")
    backbone: str | None = option(
        None, "Where the adapter's backbone is, if not found by name.", metavar="DIR"
    )
    labels: str | None = option(
        None,
        "Labels of an adapter that plain PEFT wrote, in the order of its outputs.",
        metavar="NAME,…",
    )
    data: str | None = option(
        None,
        "Texts for the comparison (the first 1,000), in place of the 64 shipped ones.",
        metavar="FILE",
    )
    text_column: str | None = option(None, "Column of --data with the texts.", metavar="NAME")
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class ExportConfig:
    """What ``export`` can be told."""

    path: str = option(
        "", "Adapter or merged model to export.", positional=True, metavar="ADAPTER|MERGED"
    )
    output: str = option("", "Directory of the exported model.", positional=True, metavar="OUT")
    format: str = option("openvino", "For which engine.", choices=("openvino", "onnx"))
    int8: bool = option(
        False, "Quantise to eight bits: a quarter of the size, faster on CPUs without bfloat16."
    )
    backbone: str | None = option(
        None, "Where the adapter's backbone is, if not found by name.", metavar="DIR"
    )
    labels: str | None = option(
        None,
        "Labels of an adapter that plain PEFT wrote, in the order of its outputs.",
        metavar="NAME,…",
    )
    data: str | None = option(
        None,
        "Texts for the comparison (1,000, drawn at random) and for quantising, in place of the 64 "
        "shipped ones; with labels, the accuracy is compared too.",
        metavar="FILE",
    )
    text_column: str | None = option(None, "Column of --data with the texts.", metavar="NAME")
    label_column: str | None = option(None, "Column of --data with the labels.", metavar="NAME")
    overwrite: bool = option(False, "Replace the output directory.")


@dataclass(frozen=True)
class InferConfig(_Compute):
    """What ``infer`` can be told."""

    dtype: str = option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast).",
        choices=("auto", "float32", "bfloat16"),
        group=_RUN,
    )
    texts: tuple[str, ...] = option((), "Texts to classify.", positional=True, metavar="[TEXT]…")
    adapter: str | None = option(None, "Adapter directory.", metavar="DIR")
    model: str | None = option(None, "Merged or exported model; needs no backbone.", metavar="DIR")
    input: str | None = option(
        None, "File to classify (csv, tsv, json, jsonl, parquet).", metavar="FILE"
    )
    output: str | None = option(
        None, "Where its rows go, predictions added (csv, tsv, jsonl, parquet).", metavar="FILE"
    )
    text_column: str | None = option(
        None, "Column with the texts (default: found by name).", metavar="NAME"
    )
    header: bool | None = option(None, "Whether the input has a header line (default: found out).")
    columns: str | None = option(
        None, "Names of the columns of an input without header.", metavar="NAME,…"
    )
    encoding: str = option("auto", "Text encoding of the input.", metavar="NAME")
    backbone: str | None = option(
        None, "Where the adapter's backbone is, if not found by name.", metavar="DIR", group=_RUN
    )
    overwrite: bool = option(False, "Replace the output file.", group=_RUN)


@dataclass(frozen=True)
class InfoConfig:
    """What ``info`` can be told."""

    path: str = option("", "Adapter, model or backbone.", positional=True, metavar="PATH")


@dataclass(frozen=True)
class CacheConfig:
    """What ``cache`` can be told."""

    action: str = option("list", "list or clear.", positional=True, metavar="[list|clear]")
    names: tuple[str, ...] = option(
        (), "Kinds or keys; the beginning of a key will do.", positional=True, metavar="[NAME]…"
    )
    older_than: float | None = option(
        None, "Only what was not used for so many days.", metavar="DAYS", minimum=0
    )


def parse_names(text: str | None) -> tuple[str, ...]:
    """``a,b`` -> ``("a", "b")``; None or "" -> ``()``."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def parse_label_names(text: str | None) -> dict[str, str]:
    """``0=negative,1=positive`` -> ``{"0": "negative", "1": "positive"}``.

    Raises:
        ConfigError: A part without ``=``.
    """
    names = {}
    for part in parse_names(text):
        old, equals, new = part.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise ConfigError(
                f"--label-names: '{part}' is not of the form OLD=NEW.",
                hint="For example: --label-names 0=negative,1=positive",
            )
        names[old.strip()] = new.strip()
    return names
