"""``train``: from a configuration to an adapter on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from lora_bert.adapters.manifest import MANIFEST
from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.fingerprint import read_identified
from lora_bert.backbones.resolve import find_backbone, remember
from lora_bert.backbones.weights import embedded_tokens
from lora_bert.config import TrainConfig
from lora_bert.config.keywords import TrainOptions
from lora_bert.config.kinds import RowsLike
from lora_bert.data.data_checks import warn_about, warn_of_imbalance
from lora_bert.data.data_options import data_options
from lora_bert.data.given import with_given_rows
from lora_bert.data.locations import inputs
from lora_bert.data.noted_locations import note_data_location
from lora_bert.data.part_names import DATA_OPTIONS
from lora_bert.data.sources import load_splits
from lora_bert.errors import DivergedError, OutputError
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.files import claim_output, spare_inputs
from lora_bert.inference.predictor import predict_logits
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone
from lora_bert.model.target_modules import resolved_layers
from lora_bert.names import parse_label_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import dtype_name, pick_device, pick_dtype
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import Terminated, stoppable, uninterrupted
from lora_bert.tasks.base import Task
from lora_bert.tasks.registry import task_of
from lora_bert.tokens.tokenizer import DEFAULT_MAX_LENGTH, load_tokenizer
from lora_bert.training.advice import advise
from lora_bert.training.checkpoint import (
    Checkpoint,
    discard_checkpoints,
    is_its_own,
    note_written,
    to_continue,
    training_into,
)
from lora_bert.training.fitting import fit_adapter, fresh_adapter, values
from lora_bert.training.identity import check_content, check_settings
from lora_bert.training.loop import Fit, default_epochs
from lora_bert.training.option_checks import check, resolve
from lora_bert.training.record import Run, parts_of, record
from lora_bert.training.tokenize_rows import (
    Tokens,
    check_texts_left,
    tokenise,
    warn_of_rows,
    warn_of_tokens,
)
from lora_bert.training.train_result import TrainResult
from lora_bert.training.watch import Watched, watched

log = logging.getLogger(__name__)


@called_from_python(TrainConfig, TrainOptions)
def train(data: RowsLike | None = None, **options: Unpack[TrainOptions]) -> TrainResult:
    """Train an adapter.

    Args:
        data: A labelled file, a directory with train/validation/test files, or a name; None:
            ``takeaway-mini``. Or the rows themselves: a list of dicts or of ``(text, label)``
            pairs, a DataFrame, a ``datasets.Dataset`` or ``DatasetDict``.
        **options: Every option of ``lora-bert train``, with underscores: see
            :class:`lora_bert.config.TrainConfig`. ``train``, ``validation`` and ``test`` take rows
            too; ``label_names`` a dict, ``columns`` and ``target_modules`` lists.

    Raises:
        ConfigError: An option that is unknown or makes no sense.
        DataError, NotFoundError: The data cannot be read or is not fit to train on.
        BackboneError, UnavailableError: The backbone cannot be had.
        OutputError: The output directory is taken or not writable.
        DivergedError: The loss or a gradient became infinite or NaN in the first epoch.
        KeyboardInterrupt: SIGTERM arrived (:class:`lora_bert.runtime.signals.Terminated`).

    Example:
        >>> result = train("reviews.csv", rank=8, output="runs/reviews")  # doctest: +SKIP
        >>> result.accuracy  # doctest: +SKIP
        0.903
    """
    return run(build(TrainConfig, with_given_rows({"data": data, **options})))


def run(config: TrainConfig) -> TrainResult:
    """As :func:`train`, of a checked configuration."""
    started = time.perf_counter()
    us = processes()
    config = resolve(config)
    output = Path(str(config.output))
    with us.one_voice(), stoppable():
        checkpoint = _to_continue(config, output)
        config = replace(config, dtype=_dtype(config, checkpoint))
        this, tokens, backbone = _read(config, checkpoint)
        with training_into(output) if us.is_first else nullcontext(output) as place:
            # Another process may have gone on, or come to the end, before the lock was ours.
            checkpoint = _to_continue(config, output)
            this = replace(this, config=_may_replace(this.config, checkpoint))
            if config.resume and checkpoint is None:
                log.info("'%s' left no checkpoint: beginning at the beginning.", output)
            if us.is_first:
                discard_checkpoints(output, after=checkpoint.progress.step if checkpoint else -1)
            try:
                fitted = fit_adapter(this, tokens, backbone, place, checkpoint)
                result = _finish(this, tokens, backbone, fitted)
            except DivergedError:
                if us.is_first:
                    discard_checkpoints(output)  # from them it would diverge again
                raise
    if isinstance(fitted.stopped, Terminated):
        raise fitted.stopped
    return replace(
        result,
        seconds=time.perf_counter() - started,
        resumed_at=checkpoint.progress.step if checkpoint else 0,
    )


def _to_continue(config: TrainConfig, output: Path) -> Checkpoint | None:
    """The checkpoint to go on from; whether the output may be written is checked with it."""
    checkpoint = to_continue(output, resume=config.resume, overwrite=config.overwrite)
    at_an_end = config.resume and checkpoint is None and (output / MANIFEST).is_file()
    if at_an_end and not config.overwrite:
        raise OutputError(
            f"'{output}' holds an adapter, and there is no checkpoint to go on from.",
            hint="Train anew with --overwrite.",
        )
    claim_output(output, overwrite=_may_replace(config, checkpoint).overwrite)
    return checkpoint


def _may_replace(config: TrainConfig, checkpoint: Checkpoint | None) -> TrainConfig:
    """What Ctrl-C has left in the output is of the same training: it may be replaced."""
    own = checkpoint is not None and is_its_own(Path(str(config.output)))
    return replace(config, overwrite=config.overwrite or own)


def _dtype(config: TrainConfig, checkpoint: Checkpoint | None) -> str:
    """The precision of the frozen weights: decided once, by the first of several calls."""
    if checkpoint is not None and config.dtype == "auto":
        return str(checkpoint.identity["dtype"])
    return dtype_name(config.dtype, config.device)


def _read(
    config: TrainConfig, checkpoint: Checkpoint | None
) -> tuple[Run, dict[str, Tokens], Backbone]:
    """Everything that a training reads, checked; what the options leave open is decided."""
    kind, device = task_of(config.task), pick_device(config.device)
    if checkpoint:
        here = {"dtype": config.dtype, "device": device.type}
        check_content(checkpoint.identity, here, config)
    files = find_backbone(config.backbone, config.revision)
    if config.revision and not files.from_hub:
        log.warning("'%s' is not from the hub: --revision counts for nothing.", config.backbone)
    read = (config.data, *config.train, *config.validation, *config.test)
    spare_inputs(Path(str(config.output)), (files.path, *inputs(read)))
    facts = read_config(files.path)
    family = family_of(facts)
    if config.method == "lora":
        config = replace(config, layers=resolved_layers(config.layers, family, facts))
    check(config, family, facts)
    max_length = config.max_length or min(DEFAULT_MAX_LENGTH, family.max_length(facts))
    config = replace(config, max_length=max_length)

    splits = load_splits(
        config.data, train=config.train, validation=config.validation, test=config.test,
        options=data_options(config, classes=kind.classes),
    )  # fmt: skip
    rows = parts_of(splits)
    warn_about(splits, classes=kind.classes)
    if kind.classes:
        warn_of_imbalance(splits.train, metric=config.metric, weights=config.class_weights)
    task = kind.of(rows["train"], class_weights=config.class_weights)
    epochs = default_epochs(len(rows["train"]), task.head().outputs)
    config = replace(config, epochs=config.epochs or epochs)
    _warn_of_names(config, task)
    if checkpoint:
        check_content(checkpoint.identity, {"data": splits.sha256}, config)
        check_settings(checkpoint.identity, config)
    tokenizer = load_tokenizer(
        files.path, facts, max_length=max_length, clean=config.clean,
        rows=embedded_tokens(files.path, family),
    )  # fmt: skip
    tokenizer.encode(config.watch)  # what could not be answered afterwards is said before
    tokens = {part: tokenise(examples, tokenizer, task) for part, examples in rows.items()}
    check_texts_left(tokens["train"], tokenizer, rows["train"].source)
    warn_of_tokens(tokens["train"], tokenizer, files.name)
    warn_of_rows(tokenizer, files.name)

    weights, identity = read_identified(files.path, facts, family)
    if checkpoint:
        check_content(checkpoint.identity, {"backbone": identity}, config)
    backbone = build_backbone(weights, facts, dtype=pick_dtype(config.dtype, device), device=device)
    return Run(config, files, family, facts, identity, splits, task, tokenizer), tokens, backbone


def _warn_of_names(config: TrainConfig, task: Task) -> None:
    """A name that no label got is a slip of the keyboard."""
    names = parse_label_names(config.label_names)
    for raw in [raw for raw, name in names.items() if name not in task.labels]:
        log.warning("No training row has the label '%s', which --label-names renames.", raw)


def _finish(
    this: Run, tokens: Mapping[str, Tokens], backbone: Backbone, fitted: Fit
) -> TrainResult:
    """Score the adapter and write it."""
    evaluations: dict[str, Evaluation] = {}
    answers: list[Watched] = []
    with processes().first() as alone:
        if alone:
            evaluations, answers = _write(this, tokens, backbone, fitted)
    output = Path(str(this.config.output))
    return TrainResult(
        path=output,
        labels=this.task.labels,
        evaluations=evaluations,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        steps=fitted.progress.step,
        trainable=fitted.adapter.parameter_count,
        total=fitted.adapter.parameter_count + backbone.parameter_count,
        size=sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
        interrupted=fitted.stopped is not None,
        resumable=fitted.stopped is not None and fitted.saved,
        watched=answers,
    )


def _write(
    this: Run, tokens: Mapping[str, Tokens], backbone: Backbone, fitted: Fit
) -> tuple[dict[str, Evaluation], list[Watched]]:
    """Score the adapter and write it; its scores, and what it says of the watched texts."""
    config, task, output = this.config, this.task, Path(str(this.config.output))
    evaluations = _evaluate(backbone, fitted, tokens, task, config)
    advise(config, fitted, task, tokens["train"].targets, evaluations.get("validation"))
    fresh = fresh_adapter(config, backbone, task.head().outputs).to(backbone.device)
    answers = watched(config.watch, (fresh, fitted.adapter), backbone, this.tokenizer, task)
    with uninterrupted():  # that it stands there, and that its checkpoints know of it, is one thing
        record(this, fitted, evaluations, output)
        if fitted.stopped is None:
            discard_checkpoints(output)
        else:
            note_written(output)
    remember(this.files)
    note_data_location(
        this.splits.sha256, {option: getattr(config, option) for option in DATA_OPTIONS}
    )
    return evaluations, answers


def _evaluate(
    backbone: Backbone,
    fitted: Fit,
    tokens: Mapping[str, Tokens],
    task: Task,
    config: TrainConfig,
) -> dict[str, Evaluation]:
    """Score the kept adapter on every part it was not trained on."""
    evaluations: dict[str, Evaluation] = {}
    try:
        for part in [part for part in tokens if part != "train"]:
            rows = tokens[part]
            found = predict_logits(backbone, fitted.adapter, rows.encodings, config.batch_size)
            evaluations[part] = judge(task, values(task, found), rows.targets, metric=config.metric)
    except KeyboardInterrupt as stop:
        fitted.stopped = stop
        log.warning("Stopped while scoring: the adapter is kept, not all of its scores.")
    return evaluations
