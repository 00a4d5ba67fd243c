"""What several commands can be told, and the headings it stands under in their help."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.options import option

DATA, ADAPTER, TRAINING, RUN = "Data", "Adapter", "Training", "Run"
LARGEST_SEED = 2**32 - 1  # numpy's and scikit-learn's


@dataclass(frozen=True)
class TrainRows:
    """The rows to train on."""

    data: str | None = option(
        None,
        "Labelled data: a file (csv, tsv, json, jsonl, parquet, xlsx), a directory with train/"
        "validation/test files or a folder per class, a pattern such as 'data/train-*.parquet', or "
        "a name (waimai, takeaway-mini). Default: takeaway-mini.",
        metavar="FILE|DIR|NAME",
        group=DATA,
    )
    train: tuple[str, ...] = option(
        (),
        "Training file or a pattern of several, in place of --data; may be repeated.",
        metavar="FILE",
        group=DATA,
    )
    validation: tuple[str, ...] = option(
        (), "Validation file or pattern; may be repeated.", metavar="FILE", group=DATA
    )
    test: tuple[str, ...] = option(
        (),
        "Test file or pattern, scored once at the end; may be repeated.",
        metavar="FILE",
        group=DATA,
    )
    validation_fraction: float = option(
        0.2,
        "Share of the rows held out where there is no validation file.",
        minimum=0,
        maximum=1,
        exclusive=True,
        group=DATA,
    )
    test_fraction: float = option(
        0.0,
        "Share of the rows held out first, for one score at the end, where there is no test file.",
        minimum=0,
        maximum=0.9,
        group=DATA,
    )
    split: str = option(
        "stratified",
        "How they are drawn; random is scikit-learn's train_test_split.",
        choices=("stratified", "random"),
        group=DATA,
    )
    split_seed: int = option(
        42,
        "Seed of the split and of --limit.",
        minimum=0,
        maximum=LARGEST_SEED,
        group=DATA,
    )
    limit: int | None = option(
        None,
        "Use at most N rows of each file, drawn at random.",
        metavar="N",
        minimum=1,
        group=DATA,
    )
    clean: bool = option(
        False, "Turn punctuation into spaces; kept in the saved tokenizer.", group=DATA
    )
    max_length: int | None = option(
        None,
        "Tokens kept of a text (default: 256, or fewer if the backbone has fewer positions); "
        "padding is to the batch's longest.",
        minimum=3,
        metavar="N",
        group=DATA,
    )


@dataclass(frozen=True)
class ScoredRows:
    """What to score, and on which rows."""

    path: str = option("", "Adapter or merged model.", positional=True, metavar="ADAPTER|MERGED")
    data: str | None = option(
        None,
        "Labelled rows to score: a file, a directory or a name. Default: the rows that the "
        "adapter's own training held out.",
        metavar="FILE|DIR|NAME",
        group=DATA,
    )
    part: str = option(
        "auto",
        "Which rows of the data (auto: the test rows, else validation; of a file, all).",
        choices=("auto", "train", "validation", "test"),
        group=DATA,
    )
    baseline: bool = option(
        False,
        "Score TF-IDF + linear SVM too, trained on the adapter's training rows.",
        group=DATA,
    )
    against: str | None = option(
        None,
        "Another adapter or model, to compare with on the same rows.",
        metavar="ADAPTER|MODEL",
        group=DATA,
    )
    metric: str | None = option(
        None,
        "Figure that stands first and that comparisons are judged by (default: the one the "
        "adapter was trained for, else accuracy).",
        choices=("accuracy", "macro_f1", "log_loss"),
        open=True,
        group=DATA,
    )
    target_accuracy: float | None = option(
        None,
        "Look for the probability that answers must reach so that this share of them is right.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
        exclusive=True,
        group=DATA,
    )
    out_of_scope: tuple[str, ...] = option(
        (),
        "Label of rows that belong to no class of the adapter: they are scored by how well their "
        "probabilities tell them from the others. May be repeated.",
        metavar="LABEL",
        group=DATA,
    )
    train: str | None = option(
        None,
        "Training rows, for --baseline and to find texts seen in training (default: the "
        "adapter's own).",
        metavar="FILE|DIR|NAME",
        group=DATA,
    )
    limit: int | None = option(
        None,
        "Score at most N rows, drawn at random.",
        metavar="N",
        minimum=1,
        group=DATA,
    )


@dataclass(frozen=True)
class Reading:
    """How to read a file of texts."""

    text_column: str | None = option(
        None, "Column with the texts (default: found by name).", group=DATA, metavar="NAME"
    )
    header: bool | None = option(
        None, "Whether the files have a header line (default: detected).", group=DATA
    )
    columns: str | None = option(
        None, "Names of the columns of a file without header.", group=DATA, metavar="NAME,…",
        form="list",
    )  # fmt: skip
    encoding: str = option(
        "auto", "Text encoding of the files (auto: detected).", group=DATA, metavar="NAME"
    )


@dataclass(frozen=True)
class Columns(Reading):
    """How to read a labelled file."""

    label_column: str | None = option(
        None,
        "Column with the labels (default: found by name), or columns of 0 and 1, one a label: "
        "a,b,c.",
        group=DATA, metavar="NAME", form="list",
    )  # fmt: skip
    label_names: str | None = option(
        None,
        "Rename labels while reading: 0=negative,1=positive. A label with a comma or an equals "
        'sign stands in double quotes: "a,b"=both.',
        group=DATA,
        metavar="OLD=NEW,…",
        form="mapping",
    )


@dataclass(frozen=True)
class Opening:
    """How to open an adapter: what it needs beside its own files."""

    backbone: str | None = option(
        None, "Where the adapter's backbone is, if not found by name.", metavar="DIR", group=RUN
    )
    allow_backbone_mismatch: bool = option(
        False,
        "Take a backbone whose fingerprint is not the one the adapter was trained on.",
        group=RUN,
    )
    labels: str | None = option(
        None,
        "Labels of an adapter that plain PEFT wrote, in the order of its outputs.",
        metavar="NAME,…",
        group=RUN,
        form="list",
    )


@dataclass(frozen=True)
class Compute:
    """Where and how precisely to compute."""

    engine: str = option(
        "auto",
        "What computes: torch runs adapters and merged models, the others exported ones (auto: "
        "the fastest that fits and is installed).",
        choices=("auto", "torch", "openvino", "onnx"),
        group=RUN,
    )
    device: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), group=RUN)
    dtype: str = option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast).",
        choices=("auto", "float32", "bfloat16"),
        group=RUN,
    )
    batch_size: int = option(32, "Rows computed at once.", minimum=1, group=RUN)
