"""What ``train`` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from lora_bert.config.shared import ADAPTER, LARGEST_SEED, RUN, TRAINING, Columns, TrainRows
from lora_bert.options import option

TRACKERS = (
    "tensorboard", "wandb", "mlflow", "trackio", "comet_ml", "aim", "clearml", "dvclive", "swanlab",
)  # fmt: skip
"""What Accelerate can log to, each by the name of its package."""


@dataclass(frozen=True)
class TrainConfig(Columns, TrainRows):
    """What ``train`` can be told."""

    backbone: str = option(
        "e5-small-zh-en",
        "Embedded name, local directory or hub id.",
        metavar="NAME|DIR|ID",
        group=ADAPTER,
    )
    revision: str | None = option(
        None, "Commit, tag or branch of a backbone from the hub.", metavar="REV", group=ADAPTER
    )
    method: str = option(
        "lora",
        "What is trained: LoRA matrices and the head, or the head alone on the frozen backbone.",
        choices=("lora", "head-only"),
        group=ADAPTER,
    )
    rank: int = option(8, "Rank of the LoRA matrices.", group=ADAPTER)
    alpha: float | None = option(
        None,
        "LoRA's scaling is alpha / rank (default: 2 · rank).",
        minimum=0,
        exclusive=True,
        group=ADAPTER,
    )
    dropout: float = option(
        0.0, "Dropout on the LoRA path.", minimum=0, maximum=0.99, group=ADAPTER
    )
    target_modules: str = option(
        "all-linear",
        "Linear layers to adapt: all-linear, attention, or names.",
        metavar="all-linear|attention|NAME,…",
        form="list",
        group=ADAPTER,
    )
    layers: str = option(
        "auto",
        "Transformer layers to adapt (auto: the upper half; all: slower, at times a point better).",
        metavar="auto|all|top:N",
        group=ADAPTER,
    )
    epochs: int | None = option(
        None,
        "Passes over the training rows (default: 3; up to 20 on few rows or many classes).",
        minimum=1,
        metavar="N",
        group=TRAINING,
    )
    learning_rate: float = option(
        1e-3,
        "Peak learning rate of AdamW.",
        minimum=0,
        maximum=1,
        exclusive=True,
        group=TRAINING,
    )
    batch_size: int = option(32, "Rows per batch.", minimum=1, group=TRAINING)
    batch_tokens: int | None = option(
        None,
        "Tokens per batch, padding included, in place of --batch-size.",
        metavar="N",
        minimum=1,
        group=TRAINING,
    )
    gradient_accumulation: int = option(1, "Batches per optimizer step.", minimum=1, group=TRAINING)
    max_grad_norm: float = option(
        1.0, "Clip gradients to this norm (0: never).", minimum=0, group=TRAINING
    )
    gradient_checkpointing: bool = option(
        False, "Recompute activations: less memory, slower.", group=TRAINING
    )
    warmup: float = option(
        0.1, "Share of the steps in which the rate rises.", minimum=0, maximum=1, group=TRAINING
    )
    weight_decay: float = option(0.01, "AdamW's weight decay.", minimum=0, group=TRAINING)
    class_weights: str = option(
        "none",
        "Weigh the classes in the loss.",
        choices=("none", "balanced"),
        group=TRAINING,
    )
    early_stopping: int | None = option(
        None,
        "Stop after N epochs without a better --metric (an equal one is no better).",
        metavar="N",
        minimum=1,
        group=TRAINING,
    )
    metric: str = option(
        "accuracy",
        "What picks the epoch that is kept; of equal ones, the lower loss.",
        choices=("accuracy", "macro_f1", "log_loss"),
        open=True,
        group=TRAINING,
    )
    task: str = option(
        "single_label_classification",
        "Problem type of a task that is registered.",
        hidden=True,
        group=TRAINING,
    )
    seed: int = option(
        42,
        "Seed of initialisation, order and dropout.",
        minimum=0,
        maximum=LARGEST_SEED,
        group=TRAINING,
    )
    watch: tuple[str, ...] = option(
        (),
        "Text whose prediction is shown before training and after; may be repeated.",
        metavar="TEXT",
        group=RUN,
    )
    device: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), group=RUN)
    dtype: str = option(
        "auto",
        "Precision of the frozen weights (auto: bfloat16 where it is fast).",
        choices=("auto", "float32", "bfloat16"),
        group=RUN,
    )
    trunk_cache: str = option(
        "auto",
        "Where the output of the layers below the adapted ones is kept, so that they run once "
        "(auto: a file, which the next run finds, or memory).",
        choices=("auto", "memory", "disk", "off"),
        group=RUN,
    )
    trunk_cache_limit: float | None = option(
        None,
        "Gigabytes it may take (default: half of what is free; on disk at most "
        "$LORA_BERT_CACHE_LIMIT).",
        minimum=0,
        metavar="GB",
        group=RUN,
    )
    save_every: float = option(
        1.0, "Minutes between checkpoints (0: none).", minimum=0, metavar="MINUTES", group=RUN
    )
    save_every_steps: int | None = option(
        None,
        "Optimizer steps between checkpoints, in place of minutes.",
        minimum=1,
        metavar="N",
        group=RUN,
    )
    log_to: str | None = option(
        None,
        "Trackers that every step and epoch is logged to: tensorboard, wandb, mlflow, trackio, …",
        metavar="NAME,…",
        form="list",
        group=RUN,
    )
    resume: bool = option(
        False,
        "Go on where the same command was stopped; from the beginning if it left no checkpoint.",
        group=RUN,
    )
    output: str | None = option(
        None, "Directory of the adapter (default: runs/DATA).", metavar="DIR", group=RUN
    )
    overwrite: bool = option(False, "Replace the output directory.", group=RUN)
