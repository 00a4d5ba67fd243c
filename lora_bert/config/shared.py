"""Options of several commands, and the headings that they stand under in the help."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lora_bert.options import option

data_option = partial(option, group="Data")
adapter_option = partial(option, group="Adapter")
training_option = partial(option, group="Training")
run_option = partial(option, group="Run")
device_option = partial(run_option, "auto", "Where to compute.", choices=("auto", "cpu", "cuda"))
backbone_option = partial(
    run_option, None, "Where the adapter's backbone is, if not found by name.", metavar="DIR"
)
dtype_option = partial(
    run_option, "auto", "Precision of the frozen weights (auto: bfloat16 where it is fast).",
    choices=("auto", "float32", "bfloat16"),
)  # fmt: skip

answer_length_option = partial(
    option, None, "Of question answering: tokens of the longest answer (default: 64, or what "
    "the training was told).", metavar="N", minimum=1,
)  # fmt: skip
null_threshold_option = partial(
    option, None, "Of question answering: no answer is given where its score is more than so much "
    "above that of the best one, in logits (default: what the validation rows of the training "
    "chose; where all of its questions had answers, every question is answered).",
    metavar="NUMBER",
)  # fmt: skip
answer_units_option = partial(
    option, "auto", "In what answers are compared with true ones: words as SQuAD does, "
    "characters as CMRC 2018 (auto: by the script).", choices=("auto", "words", "characters"),
)  # fmt: skip

LARGEST_SEED = 2**32 - 1  # numpy's and scikit-learn's


@dataclass(frozen=True)
class TrainRows:
    """The rows to train on."""

    data: str | None = data_option(
        None,
        "Labelled data: a file (csv, tsv, json, jsonl, parquet, xlsx), a directory with train/"
        "validation/test files or a folder per class, a pattern such as 'data/train-*.parquet', or "
        "a name (waimai, takeaway-mini). Default: takeaway-mini.",
        metavar="FILE|DIR|NAME",
    )
    train: tuple[str, ...] = data_option(
        (),
        "Training file or a pattern of several, in place of --data; may be repeated.",
        metavar="FILE",
    )
    validation: tuple[str, ...] = data_option(
        (), "Validation file or pattern; may be repeated.", metavar="FILE"
    )
    test: tuple[str, ...] = data_option(
        (), "Test file or pattern, scored once at the end; may be repeated.", metavar="FILE"
    )
    validation_fraction: float | None = data_option(
        None,
        "Share of the rows held out where there is no validation file (default: 0.2; 0.1 of fewer "
        "than 20 rows a class).",
        minimum=0,
        maximum=1,
        exclusive=True,
    )
    test_fraction: float = data_option(
        0.0,
        "Share of the rows held out first, for one score at the end, where there is no test file.",
        minimum=0,
        maximum=0.9,
    )
    split: str = data_option(
        "stratified",
        "How they are drawn; random is scikit-learn's train_test_split.",
        choices=("stratified", "random"),
    )
    split_seed: int = data_option(
        42, "Seed of the split and of --limit.", minimum=0, maximum=LARGEST_SEED
    )
    limit: int | None = data_option(
        None, "Use at most N rows of each file, drawn at random.", metavar="N", minimum=1
    )
    clean: bool = data_option(False, "Turn punctuation into spaces; kept in the saved tokenizer.")
    max_length: int | None = data_option(
        None,
        "Tokens kept of a text (default: 256, or fewer if the backbone has fewer positions).",
        minimum=3,
        metavar="N",
    )
    overflow: str | None = data_option(
        None,
        "What is done with a text that has more tokens: it is cut, or read in windows, which all "
        "count (default: cut; contexts of questions always come in windows).",
        choices=("cut", "windows"),
    )


@dataclass(frozen=True)
class ScoredRows:
    """What to score, and on which rows."""

    path: str = option("", "Adapter or merged model.", positional=True, metavar="ADAPTER|MERGED")
    data: str | None = data_option(
        None,
        "Labelled rows to score: a file, a directory or a name. Default: the rows that the "
        "adapter's own training held out.",
        metavar="FILE|DIR|NAME",
    )
    part: str = data_option(
        "auto",
        "Which rows of the data (auto: the test rows, else validation; of a file, all).",
        choices=("auto", "train", "validation", "test"),
    )
    baseline: bool = data_option(
        False, "Score a linear model on TF-IDF too, trained on the adapter's training rows."
    )
    against: str | None = data_option(
        None, "Another adapter or model, to compare with on the same rows.", metavar="ADAPTER|MODEL"
    )
    metric: str | None = data_option(
        None,
        "Figure that stands first and that comparisons are judged by (default: the one the "
        "adapter was trained for, else the task's first).",
        metavar="[accuracy|macro_f1|log_loss|…]",  # a task has its own
    )
    max_answer_length: int | None = answer_length_option(group="Data")
    null_threshold: float | None = null_threshold_option(group="Data")
    answer_units: str = answer_units_option(group="Data")
    target_accuracy: float | None = data_option(
        None,
        "Look for the probability that answers must reach so that this share of them is right.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
        exclusive=True,
    )
    out_of_scope: tuple[str, ...] = data_option(
        (),
        "Label of rows that belong to no class of the adapter: they are scored by how well their "
        "probabilities tell them from the others. May be repeated.",
        metavar="LABEL",
    )
    train: str | None = data_option(
        None,
        "Training rows, for --baseline and to find texts seen in training (default: the "
        "adapter's own).",
        metavar="FILE|DIR|NAME",
    )
    by: tuple[str, ...] = data_option(
        (),
        "Score parts of the rows apart: those of each value of a column, of many numbers four "
        "ranges; length: by the tokens of a text. May be repeated.",
        metavar="COLUMN",
    )
    limit: int | None = data_option(
        None, "Score at most N rows, drawn at random.", metavar="N", minimum=1
    )


@dataclass(frozen=True)
class TextFileOptions:
    """How to read a file of texts."""

    text_column: str | None = data_option(
        None, "Column with the texts (default: found by name).", metavar="NAME"
    )
    text_pair_column: str | None = data_option(
        None,
        "Column with the second texts, where rows are pairs (default: found by name, such as "
        "sentence1 and sentence2).",
        metavar="NAME",
    )
    header: bool | None = data_option(
        None, "Whether the files have a header line (default: detected)."
    )
    columns: str | None = data_option(
        None, "Names of the columns of a file without header.", metavar="NAME,…", form="list"
    )
    encoding: str = data_option(
        "auto", "Text encoding of the files (auto: detected).", metavar="NAME"
    )


@dataclass(frozen=True)
class LabelledFileOptions(TextFileOptions):
    """How to read a labelled file."""

    label_column: str | None = data_option(
        None,
        "Column with the labels (default: found by name), or columns of 0 and 1, one a label: "
        "a,b,c.",
        metavar="NAME",
        form="list",
    )
    label_separator: str | None = data_option(
        None,
        "What stands between the labels of a cell, where rows have several (default: found).",
        metavar="TEXT",
    )
    label_file: str | None = data_option(
        None,
        "File with the names of labels that are numbers: one a line, from 0, or JSON "
        '{"0": "name"}.',
        metavar="FILE",
    )
    label_names: str | None = data_option(
        None,
        "Rename labels while reading: 0=negative,1=positive. A label with a comma or an equals "
        'sign stands in double quotes: "a,b"=both.',
        metavar="OLD=NEW,…",
        form="mapping",
    )


@dataclass(frozen=True)
class Decoding:
    """What is answered, where it is not to be what the adapter answers by itself."""

    min_score: float | None = option(
        None,
        "Answer --otherwise where no label reaches this probability; evaluate says what it costs. "
        "Of several labels: answer those that reach it, in place of their own thresholds.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
    )
    otherwise: str | None = option(
        None,
        "The answer below --min-score (default: unknown; of several labels: nothing).",
        metavar="NAME",
    )
    aggregation: str | None = option(
        None,
        "How a tagger joins words to entities: legal (default): the likeliest of all tags that "
        "stand for entities; first: each word's likeliest tag.",
        metavar="[legal|first]",
    )
    max_answer_length: int | None = answer_length_option()
    null_threshold: float | None = null_threshold_option()


BY_ITSELF = Decoding()
"""Nothing is said."""


@dataclass(frozen=True)
class Opening:
    """How to open an adapter: what it needs beside its own files."""

    backbone: str | None = backbone_option()
    allow_backbone_mismatch: bool = run_option(
        False, "Take a backbone whose fingerprint is not the one the adapter was trained on."
    )
    labels: str | None = run_option(
        None,
        "Labels of an adapter that plain PEFT wrote, in the order of its outputs.",
        metavar="NAME,…",
        form="list",
    )


@dataclass(frozen=True)
class Computing:
    """Where and how precisely to compute, and how much at once."""

    device: str = device_option()
    dtype: str = run_option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast; int8: their products in "
        "eight bits, on CPUs).",
        choices=("auto", "float32", "bfloat16", "int8"),
    )
    batch_size: int = run_option(
        32, "Rows computed at once (on a GPU: as many tokens as so many rows of 512 have).",
        minimum=1,
    )  # fmt: skip


@dataclass(frozen=True)
class _Engine:
    engine: str = run_option(
        "auto",
        "What computes: torch runs adapters and merged models, the others exported ones (auto: "
        "the fastest that fits and is installed).",
        choices=("auto", "torch", "openvino", "onnx"),
    )


@dataclass(frozen=True)
class Compute(Computing, _Engine):
    """Where, how precisely and by what to compute."""


@dataclass(frozen=True)
class Answering(Opening, Compute):
    """How to open what answers."""
