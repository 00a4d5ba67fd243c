"""The first stage of a training: what it reads, checked; what options leave open, decided."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.backbones.fingerprint import read_identified
from lora_bert.backbones.pooling import pooling_before, resolved_pooling
from lora_bert.backbones.resolve import BackboneFiles, find_backbone
from lora_bert.backbones.weights import embedded_tokens
from lora_bert.config import TrainConfig
from lora_bert.data import named
from lora_bert.data.data_checks import warn_about, warn_of_imbalance
from lora_bert.data.data_options import DataOptions, data_options
from lora_bert.data.label_file import renaming
from lora_bert.data.locations import inputs
from lora_bert.data.sources import Splits, load_splits
from lora_bert.data.tables import Table
from lora_bert.data.texts import Text, texts_of
from lora_bert.errors import ConfigError, DataError
from lora_bert.files import spare_inputs
from lora_bert.json_files import json_text
from lora_bert.model.builder import build_backbone
from lora_bert.names import parse_label_names
from lora_bert.runtime.device import pick_device, pick_dtype
from lora_bert.tasks.base import Task
from lora_bert.tasks.problem_types import (
    AUTO,
    USUAL,
    check_metric,
    chosen_task,
    option_of,
    task_of,
)
from lora_bert.tokens.batching import LAYOUT
from lora_bert.tokens.tokenizer import DEFAULT_MAX_LENGTH, TextTokenizer, load_tokenizer
from lora_bert.training.context import Context
from lora_bert.training.identity import check_same, settings_of
from lora_bert.training.methods import starts_fitted, with_layers
from lora_bert.training.tokenize_rows import Tokens, check_texts_left, tokenise, warn_of_tokens
from lora_bert.training.trackers import check_trackers
from lora_bert.wording import counted, listed

log = logging.getLogger(__name__)


def resolve(config: TrainConfig) -> TrainConfig:
    """Fill in what depends on other options."""
    if config.task != AUTO:
        task_of(config.task).metric(config.metric)
    elif config.metric is not None:
        check_metric(config.metric)
    if not any((config.data, config.train, config.validation, config.test)):
        config = replace(config, data=named.DEFAULT)
        log.info("No --data: training on the small data set '%s' that ships here.", named.DEFAULT)
    first = config.data or next(iter(config.train), "")
    last = PurePath(first).name or Path(first).resolve().name
    name = last.split(".")[0].strip("*?[]-_") or "adapter"
    return replace(
        config,
        alpha=config.alpha if config.alpha is not None else 2.0 * config.rank,
        output=config.output or str(Path("runs") / name),
    )


def prepare(config: TrainConfig, begun: Mapping[str, Any] | None) -> Context:
    """Read everything that a training needs; what cannot work is found as early as it can be.

    ``config`` has its output and precision; ``begun`` is the identity of a training to go on with.

    Raises:
        ConfigError: An option makes no sense, or what was begun was something else.
        DataError, NotFoundError: The data cannot be read or are not fit to train on.
        BackboneError, UnavailableError: The backbone cannot be had.
    """
    device = pick_device(config.device)
    here = {"layout": LAYOUT, "dtype": config.dtype, "device": device.type}
    check_same(begun, here, config)
    files = _files(config)
    encoder = read_encoder_config(files.path)
    asked_length, layers = config.max_length, config.layers
    config = _fitted_to(config, encoder)
    begun = _begun_with(begun, "pooling", pooling_before(encoder))
    asked = begun["settings"]["pooling"] if begun and config.pooling == "auto" else config.pooling
    config = replace(config, pooling=resolved_pooling(asked, files, encoder))
    if begun and config.validation_fraction is None:  # by a version that always held out a fifth
        config = replace(config, validation_fraction=begun["settings"].get("validation_fraction"))

    config, splits, task = _rows(config)
    if (layers, config.method) == ("auto", "lora"):
        usual = "all" if splits.train.inputs > 1 else task.layers
        layers = begun["settings"]["layers"] if begun else usual
    config = with_layers(replace(config, layers=layers), encoder)
    if task.head().of_tokens:
        encoder = encoder.reading_tokens(task.auto_class)
        config = replace(config, pooling=asked)
        _check_pooling(config)
    if task.max_length and not asked_length:
        config = replace(config, max_length=min(task.max_length, encoder.max_length))
    stride = window_stride(config, task)
    begun = _begun_with(begun, "overflow", _named(task.stride))
    config = replace(config, overflow=_named(stride))
    config = with_epochs(config, task, len(splits.train))
    check_same(begun, {"data": splits.sha256, "settings": settings_of(config)}, config)

    tokenizer = load_tokenizer(
        files.path, encoder, max_length=int(config.max_length or 0), clean=config.clean,
        words=task.words, stride=stride, answers=task.label_form == "answers",
        rows=embedded_tokens(files.path, encoder),
    )  # fmt: skip
    _check_stride(config, tokenizer, pairs=splits.train.inputs > 1)
    # What could not be answered afterwards is said before.
    watched = tokenizer.encode(to_watch(config, splits.train.inputs))
    tokens = _tokens(splits, tokenizer, task, files.name)
    _check_metric(config, task, tokens["validation"])

    weights, fingerprint = read_identified(files.path, encoder)
    check_same(begun, {"backbone": fingerprint}, config)
    dtype = pick_dtype(config.dtype, device)
    backbone = build_backbone(weights, encoder, dtype=dtype, device=device)
    return Context(config, files, fingerprint, splits, task, tokenizer, tokens, watched, backbone)


def _begun_with(begun: Mapping[str, Any] | None, name: str, usual: str) -> Mapping[str, Any] | None:
    """The identity of what was begun, with what versions did that had no choice of ``name``."""
    if begun is None or name in begun["settings"]:
        return begun
    return {**begun, "settings": {**begun["settings"], name: usual}}


def _named(stride: int) -> str:
    """What ``--overflow`` calls it."""
    return "windows" if stride else "cut"


def window_stride(config: TrainConfig, task: Task) -> int:
    """How many tokens the windows of texts that are too long share; 0 where these are cut.

    Raises:
        ConfigError: The task has no choice, or windows share tokens and there are none.
    """
    if task.stride and config.overflow == "cut":
        raise ConfigError(
            "--overflow cut: the answer to a question may stand anywhere in its context, which is "
            "always read in windows.",
            hint="Leave it out.",
        )
    if task.stride:
        return task.stride
    if config.overflow == "windows":
        return config.doc_stride or max(1, int(config.max_length or 0) // 4)
    if config.doc_stride:
        raise ConfigError(
            f"--doc-stride {config.doc_stride}: texts that are too long are cut, and nothing is "
            "shared.",
            hint="Say --overflow windows too.",
        )
    return 0


def _check_stride(config: TrainConfig, tokenizer: TextTokenizer, *, pairs: bool) -> None:
    """Refuse windows that share more of a text than they can."""
    room, wanted = tokenizer.max_length - tokenizer.special_tokens(pair=pairs), config.doc_stride
    parts, most = ("question and context", room - 1) if tokenizer.answers else ("text", room // 2)
    if (wanted or 0) > most:
        raise ConfigError(
            f"--doc-stride {wanted}: a window of {tokenizer.max_length} tokens has room for {room} "
            f"of {parts}, of which windows can share {most} at most.",
            hint="Use a smaller --doc-stride, or a larger --max-length.",
        )


def _check_metric(config: TrainConfig, task: Task, validation: Tokens) -> None:
    """Refuse to choose an epoch by a figure that the validation rows do not have."""
    there = task.figures_of(validation.targets)
    metric = task.metric(config.metric)
    # Where its first one says nothing, a task warns and goes on.
    if metric not in (*there, task.metrics[0]):
        raise ConfigError(
            f"--metric {config.metric}: the validation rows say nothing of it; they have "
            f"{listed(each.name for each in there)}.",
            hint="Figures of queries need queries with relevant rows and others, correlations need "
            "numbers that vary.",
        )


def to_watch(config: TrainConfig, inputs: int) -> Sequence[Text]:
    """The texts or pairs of ``--watch``, of which a row has ``inputs``.

    Raises:
        ConfigError: They are not what the rows are.
    """
    first, second = config.watch, config.watch_pair
    if inputs == 1 and second:
        raise ConfigError(
            "--watch-pair: the training rows are single texts.",
            hint="Name their second texts with --text-pair-column.",
        )
    if inputs > 1 and len(first) != len(second):
        raise ConfigError(
            f"--watch and --watch-pair: {counted(len(first), 'first text')} and "
            f"{counted(len(second), 'second text')} make no pairs, which the training rows are.",
            hint="Give --watch-pair once for each --watch.",
        )
    return texts_of((first, second)[:inputs])


def _check_pooling(config: TrainConfig) -> None:
    """Raise ConfigError where a head that reads every token is to read something else."""
    if config.pooling != "auto":
        raise ConfigError(
            f"--pooling {config.pooling}: the head of a '{config.task}' reads every token.",
            hint="Leave it out.",
        )


def with_epochs(config: TrainConfig, task: Task, rows: int) -> TrainConfig:
    """The configuration with its number of epochs; none where a fitted head is all.

    Raises:
        ConfigError: The head is to start where the task can say nothing of it.
    """
    if config.head_start == "probe" and not task.has_probe():
        raise ConfigError(
            f"--head-start probe: the task '{task.problem_type}' has nothing to fit a head with.",
            hint="Leave it out, or say --head-start random.",
        )
    fitted = starts_fitted(config, task)
    if config.epochs or (config.method == "head-only" and fitted):
        return config
    return replace(config, epochs=task.epochs(rows, fitted=fitted))


def _files(config: TrainConfig) -> BackboneFiles:
    """The backbone's files; neither they nor the rows lie where the adapter is to be written."""
    files = find_backbone(config.backbone, config.revision)
    if config.revision and not files.from_hub:
        log.warning("'%s' is not from the hub: --revision counts for nothing.", config.backbone)
    read = (config.data, *config.train, *config.validation, *config.test)
    spare_inputs(Path(str(config.output)), (files.path, *inputs(read)))
    return files


def _fitted_to(config: TrainConfig, encoder: EncoderConfig) -> TrainConfig:
    """The configuration with the layers and the maximum length that the backbone has."""
    check_trackers(config)
    config, longest = with_layers(config, encoder), encoder.max_length
    if (config.max_length or 0) > longest:
        raise ConfigError(
            f"--max-length {config.max_length}: the backbone has positions for {longest} tokens.",
            hint=f"Use --max-length {longest} or less.",
        )
    return replace(config, max_length=config.max_length or min(DEFAULT_MAX_LENGTH, longest))


def _rows(config: TrainConfig) -> tuple[TrainConfig, Splits, Task]:
    """The labelled rows and the task that they make, which the configuration then names.

    What looks wrong with the rows is said.
    """
    kind: type[Task] = task_of(USUAL)

    def reading(table: Table, options: DataOptions) -> DataOptions:
        nonlocal kind
        kind = chosen_task(config.task, table, options)
        return data_options(config, classes=kind.classes, label_form=kind.label_form)

    splits = load_splits(
        config.data, train=config.train, validation=config.validation, test=config.test,
        options=data_options(config), reading=reading,
    )  # fmt: skip
    name = option_of(kind.problem_type) or kind.problem_type
    config = replace(config, task=name, metric=kind.metric(config.metric).name)
    warn_about(splits, classes=kind.classes)
    if kind.classes:
        warn_of_imbalance(splits.train, metric=str(config.metric), weights=config.class_weights)
    task = kind.of(splits.train, class_weights=config.class_weights).asked_with(
        doc_stride=config.doc_stride if kind.stride else None,
        max_answer_length=config.max_answer_length, answer_units=config.answer_units,
    )  # fmt: skip
    if not getattr(task, "labels", ()):  # of a task from elsewhere; after the training it is late
        raise ConfigError(f"The task '{config.task}' has no labels, which name its outputs.")
    try:
        json_text(task.settings)
    except TypeError as error:
        raise ConfigError(f"The task '{config.task}' has settings of which {error}.") from None
    if kind.classes:
        _check_names(config, task)
    return config, splits, task


def _check_names(config: TrainConfig, task: Task) -> None:
    """What is wrong with the names that are put for labels."""
    # A name that no label got is a slip of the keyboard.
    for raw, name in parse_label_names(config.label_names).items():
        if name not in task.named:
            log.warning("No training row has the label '%s', which --label-names renames.", raw)
    if config.label_file:
        named = renaming(config)
        if nameless := [label for label in task.labels if label not in named.values()]:
            raise DataError(
                f"--label-file: '{config.label_file}' has no name for {listed(nameless)}; it names "
                f"{counted(len(named), 'label')}, '{next(iter(named))}' to '{[*named][-1]}'."
            )


def _tokens(
    splits: Splits, tokenizer: TextTokenizer, task: Task, backbone_name: str
) -> dict[str, Tokens]:
    """The rows of each part as tokens and targets; what the tokenizer cannot do well is said."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    tokens = {
        part: tokenise(rows, tokenizer, task) for part, rows in parts.items() if rows is not None
    }
    pairs = splits.train.inputs > 1
    check_texts_left(tokens["train"], tokenizer, splits.train.source, pairs=pairs)
    warn_of_tokens(tokens["train"], tokenizer, backbone_name)
    for note in task.learning_notes(tokens["train"].targets):
        log.warning("%s", note)
    return tokens
