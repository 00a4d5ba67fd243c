"""The options of ``train``."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import (
    LARGEST_SEED,
    LabelledFileOptions,
    TrainRows,
    adapter_option,
    answer_length_option,
    answer_units_option,
    device_option,
    dtype_option,
    run_option,
    training_option,
)

TRACKERS = (
    "tensorboard", "wandb", "mlflow", "trackio", "comet_ml", "aim", "clearml", "dvclive", "swanlab",
)  # fmt: skip
"""What Accelerate can log to, each by the name of its package."""


@dataclass(frozen=True)
class TrainConfig(LabelledFileOptions, TrainRows):
    """The options of ``train``."""

    backbone: str = adapter_option(
        "e5-small-zh-en", "Embedded name, local directory or hub id.", metavar="NAME|DIR|ID"
    )
    revision: str | None = adapter_option(
        None, "Commit, tag or branch of a backbone from the hub.", metavar="REV"
    )
    method: str = adapter_option(
        "lora",
        "What is trained: LoRA matrices and the head, or the head alone, fitted on the frozen "
        "backbone in seconds.",
        choices=("lora", "head-only"),
    )
    rank: int = adapter_option(8, "Rank of the LoRA matrices.")
    alpha: float | None = adapter_option(
        None, "LoRA's scaling is alpha / rank (default: 2 · rank).", minimum=0, exclusive=True
    )
    dropout: float = adapter_option(0.0, "Dropout on the LoRA path.", minimum=0, maximum=0.99)
    target_modules: str = adapter_option(
        "all-linear",
        "Linear layers to adapt: all-linear, attention, or names.",
        metavar="all-linear|attention|NAME,…",
        form="list",
    )
    layers: str = adapter_option(
        "auto",
        "Transformer layers to adapt (auto: the upper half, of pairs, taggers and answers all; "
        "all: slower, at times a point better).",
        metavar="auto|all|top:N",
    )
    pooling: str = adapter_option(
        "auto",
        "What the head reads: the first token of a text or the mean of its tokens (auto: what the "
        "backbone was made for; the first token where that is not known).",
        choices=("auto", "cls", "mean"),
    )
    head_start: str = training_option(
        "auto",
        "Where the head starts: fitted on the frozen backbone, or at random (auto: fitted, unless "
        "validation rows say that guessing is better).",
        choices=("auto", "probe", "random"),
    )
    epochs: int | None = training_option(
        None,
        "Passes over the training rows (default: 3, of a tagger 10; up to 8 on few rows or many "
        "classes, up to 20 where the head starts at random).",
        minimum=1,
        metavar="N",
    )
    learning_rate: float = training_option(
        1e-3, "Peak learning rate of AdamW.", minimum=0, maximum=1, exclusive=True
    )
    batch_size: int = training_option(32, "Rows per batch.", minimum=1)
    batch_tokens: int | None = training_option(
        None, "Tokens per batch, in place of --batch-size.", metavar="N", minimum=1
    )
    gradient_accumulation: int = training_option(1, "Batches per optimizer step.", minimum=1)
    max_grad_norm: float = training_option(
        1.0, "Clip gradients to this norm (0: never).", minimum=0
    )
    gradient_checkpointing: bool = training_option(
        False, "Recompute activations: less memory, slower."
    )
    warmup: float = training_option(
        0.1, "Share of the steps in which the rate rises.", minimum=0, maximum=1
    )
    weight_decay: float = training_option(0.01, "AdamW's weight decay.", minimum=0)
    class_weights: str = training_option(
        "none", "Weigh the classes in the loss.", choices=("none", "balanced")
    )
    early_stopping: int | None = training_option(
        None,
        "Stop after N epochs without a better --metric (an equal one is no better).",
        metavar="N",
        minimum=1,
    )
    metric: str | None = training_option(
        None,
        "What picks the epoch that is kept; of equal ones, the lower loss (default: the first "
        "figure of the task: accuracy for one label a text).",
        metavar="[accuracy|macro_f1|log_loss|…]",  # a task has its own
    )
    task: str = training_option(
        "auto",
        "What is asked of a text (auto: what the training rows are made for; or single-label, "
        "multi-label, regression, relevance, token-tagging, question-answering).",
        metavar="auto|NAME",
    )
    doc_stride: int | None = training_option(
        None,
        "Tokens that the windows of a text share (default: 128 of a context; with --overflow "
        "windows a quarter of --max-length).",
        metavar="N",
        minimum=1,
    )
    max_answer_length: int | None = answer_length_option(group="Training")
    answer_units: str = answer_units_option(group="Training")
    seed: int = training_option(
        42, "Seed of initialisation, order and dropout.", minimum=0, maximum=LARGEST_SEED
    )
    watch: tuple[str, ...] = run_option(
        (),
        "Text whose prediction is shown before training and after; may be repeated.",
        metavar="TEXT",
    )
    watch_pair: tuple[str, ...] = run_option(
        (),
        "The second text of a pair to watch: once for each --watch.",
        metavar="TEXT",
    )
    device: str = device_option()
    dtype: str = dtype_option()
    trunk_cache: str = run_option(
        "auto",
        "Where the output of the layers below the adapted ones is kept, so that they run once "
        "(auto: a file, which the next run finds, or memory).",
        choices=("auto", "memory", "disk", "off"),
    )
    trunk_cache_limit: float | None = run_option(
        None,
        "Gigabytes it may take (default: half of what is free; on disk at most "
        "$LORA_BERT_CACHE_LIMIT).",
        minimum=0,
        metavar="GB",
    )
    save_every: float = run_option(
        1.0, "Minutes between checkpoints (0: none).", minimum=0, metavar="MINUTES"
    )
    save_every_steps: int | None = run_option(
        None, "Optimizer steps between checkpoints, in place of minutes.", minimum=1, metavar="N"
    )
    log_to: str | None = run_option(
        None,
        "Trackers that every step and epoch is logged to: tensorboard, wandb, mlflow, trackio, …",
        metavar="NAME,…",
        form="list",
    )
    resume: bool = run_option(
        False,
        "Go on where the same command was stopped; from the beginning if it left no checkpoint.",
    )
    output: str | None = run_option(
        None, "Directory of the adapter (default: runs/DATA).", metavar="DIR"
    )
    overwrite: bool = run_option(False, "Replace the output directory.")
