"""``train``: from a configuration to an adapter on disk."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from lora_bert.backbones.checkpoint import read_checkpoint
from lora_bert.backbones.families import family_of, read_config
from lora_bert.backbones.family import Family
from lora_bert.backbones.fingerprint import fingerprint
from lora_bert.backbones.resolve import find_backbone, remember
from lora_bert.backbones.tokenizer import DEFAULT_MAX_LENGTH, load_tokenizer
from lora_bert.config import TrainConfig
from lora_bert.data import named
from lora_bert.data.asked import data_options
from lora_bert.data.checks import warn_about
from lora_bert.data.sources import load_splits
from lora_bert.data.wording import counted, shortened
from lora_bert.errors import ConfigError, DivergedError
from lora_bert.evaluation.metrics import METRICS, metric, score
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.files import claim_output, spare_inputs
from lora_bert.inference.predictor import predict_logits, softmax
from lora_bert.model.backbone import Backbone, build_backbone
from lora_bert.model.branch import Adapter
from lora_bert.model.device import pick_device, pick_dtype
from lora_bert.model.initial import head_only, new_adapter
from lora_bert.model.targets import resolved_layers, target_names
from lora_bert.options import build, flag
from lora_bert.tasks.classification import LabelCodec
from lora_bert.threads import workers
from lora_bert.training.gradients import most_workers
from lora_bert.training.loop import Crank, Figures, Fit, default_epochs, fit
from lora_bert.training.order import epoch_batches, padding_share
from lora_bert.training.record import Run, parts_of, record
from lora_bert.training.result import TrainResult
from lora_bert.training.tokens import Tokens, check_texts_left, tokenise, warn_of_tokens
from lora_bert.training.trunk import hidden_states, validation_logits
from lora_bert.training.watch import watched

log = logging.getLogger(__name__)


def train(data: str | Path | None = None, **options: Any) -> TrainResult:
    """Train an adapter.

    Args:
        data: A labelled file, a directory with train/validation/test files, or a name; None:
            ``takeaway-mini``.
        **options: Every option of ``lora-bert train``, with underscores: see
            :class:`lora_bert.config.TrainConfig`.

    Raises:
        ConfigError: An option that is unknown or makes no sense.
        DataError, NotFoundError: The data cannot be read or is not fit to train on.
        BackboneError, UnavailableError: The backbone cannot be had.
        OutputError: The output directory is taken or not writable.
        DivergedError: The loss became NaN in the first epoch.

    Example:
        >>> result = train("reviews.csv", rank=8, output="runs/reviews")  # doctest: +SKIP
        >>> result.accuracy  # doctest: +SKIP
        0.903
    """
    return run(build(TrainConfig, {"data": data, **options}))


def run(config: TrainConfig) -> TrainResult:
    """As :func:`train`, of a checked configuration."""
    started = time.perf_counter()
    config = _resolve(config)
    output = Path(str(config.output))
    claim_output(output, overwrite=config.overwrite)
    files = find_backbone(config.backbone, config.revision)
    if config.revision and not files.from_hub:
        log.warning("'%s' is not from the hub: --revision counts for nothing.", config.backbone)
    data = None if config.data in named.NAMED else config.data
    spare_inputs(output, (files.path, data, config.train, config.validation, config.test))
    facts = read_config(files.path)
    family = family_of(facts)
    if config.method == "lora":
        config = replace(config, layers=resolved_layers(config.layers, family, facts))
    _check(config, family, facts)
    max_length = config.max_length or min(DEFAULT_MAX_LENGTH, family.max_length(facts))
    config = replace(config, max_length=max_length)

    splits = load_splits(
        config.data, train=config.train, validation=config.validation, test=config.test,
        options=data_options(config),
    )  # fmt: skip
    rows = parts_of(splits)
    warn_about(splits)
    codec = LabelCodec.of(rows["train"].labels)
    epochs = config.epochs or default_epochs(len(rows["train"]), len(codec))
    config = replace(config, epochs=epochs)
    tokenizer = load_tokenizer(files.path, facts, max_length=max_length, clean=config.clean)
    tokens = {part: tokenise(examples, tokenizer, codec) for part, examples in rows.items()}
    check_texts_left(tokens["train"], tokenizer, rows["train"].source)
    warn_of_tokens(tokens["train"], tokenizer, files.name)

    device = pick_device(config.device)
    weights = read_checkpoint(files.path, family)
    identity = fingerprint(weights, facts, family)
    dtype = pick_dtype(config.dtype, device)
    backbone = build_backbone(weights, facts, dtype=dtype, device=device)
    del weights
    fitted = _fit(config, epochs, backbone, codec, tokens, identity=identity, name=files.name)
    evaluations = _evaluate(backbone, fitted, tokens, codec, config.batch_size)
    _warn_of_one_answer(evaluations)
    fresh = _new(config, backbone, len(codec)).to(device)
    answers = watched(config.watch, (fresh, fitted.adapter), backbone, tokenizer, codec)
    this = Run(config, files, family, facts, identity, splits, codec, tokenizer)
    record(this, fitted, evaluations, output)
    remember(files)
    return TrainResult(
        path=output,
        labels=codec.labels,
        evaluations=evaluations,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        trainable=fitted.adapter.parameter_count,
        total=fitted.adapter.parameter_count + backbone.parameter_count,
        size=sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
        seconds=time.perf_counter() - started,
        interrupted=fitted.interrupted,
        watched=answers,
    )


def _warn_of_one_answer(evaluations: Mapping[str, Evaluation]) -> None:
    """Say so when a training came to nothing: one class is predicted whatever the text."""
    if found := evaluations.get("validation"):
        predicted = [entry.label for entry in found.scores.per_class if entry.predicted]
        if len(predicted) == 1:
            log.warning(
                "Every validation row is predicted '%s': train longer (--epochs) or on more rows.",
                shortened(predicted[0]),
            )


def _resolve(config: TrainConfig) -> TrainConfig:
    """Fill in what depends on other options or on the machine."""
    if not any((config.data, config.train, config.validation, config.test)):
        config = replace(config, data=named.DEFAULT)
        log.info("No --data: training on the small data set '%s' that ships here.", named.DEFAULT)
    name = PurePath(config.data or config.train or "").name.split(".")[0] or "adapter"
    dtype = pick_dtype(config.dtype, pick_device(config.device))
    return replace(
        config,
        alpha=config.alpha if config.alpha is not None else 2.0 * config.rank,
        output=config.output or str(Path("runs") / name),
        dtype=str(dtype).removeprefix("torch."),
    )


def _check(config: TrainConfig, family: Family, facts: Mapping[str, Any]) -> None:
    """Find what cannot work before the data are read."""
    if config.rank < 1:
        raise ConfigError(
            f"--rank {config.rank}: LoRA matrices need a rank of at least 1.",
            hint="8 is a good start. To train the head alone, say --method head-only.",
        )
    if config.method == "lora":
        target_names(family, facts, config.target_modules, config.layers)
        most = int(family.get(facts, "hidden_size"))
        if config.rank > most:
            raise ConfigError(
                f"--rank {config.rank}: the backbone's layers are {most} wide, so a change of them "
                f"has no rank above {most}.",
                hint="8 is a good start.",
            )
    else:
        _refuse_lora_options(config)
    longest = family.max_length(facts)
    if config.max_length and config.max_length > longest:
        raise ConfigError(
            f"--max-length {config.max_length}: the backbone has positions for {longest} tokens.",
            hint=f"Use --max-length {longest} or less.",
        )


def _refuse_lora_options(config: TrainConfig) -> None:
    """Options that say how layers are adapted contradict adapting none."""
    for key in ("rank", "dropout", "target_modules", "layers"):
        default = TrainConfig.__dataclass_fields__[key].default
        if getattr(config, key) != default:
            raise ConfigError(
                f"{flag(key)} says how layers are adapted; --method head-only adapts none.",
                hint="Leave one of the two out.",
            )


def _new(config: TrainConfig, backbone: Backbone, label_count: int) -> Adapter:
    """The adapter before its first step."""
    generator = torch.Generator().manual_seed(config.seed)
    if config.method == "head-only":
        return head_only(backbone, label_count, generator=generator)
    return new_adapter(
        backbone,
        label_count,
        rank=config.rank,
        alpha=float(config.alpha or 0),
        dropout=config.dropout,
        target_modules=config.target_modules,
        layers=config.layers,
        generator=generator,
    )


def _fit(
    config: TrainConfig,
    epochs: int,
    backbone: Backbone,
    codec: LabelCodec,
    tokens: Mapping[str, Tokens],
    *,
    identity: str,
    name: str,
) -> Fit:
    random.seed(config.seed)
    np.random.seed(config.seed)
    torch.manual_seed(config.seed)
    adapter = _new(config, backbone, len(codec)).to(backbone.device)

    log.info(
        "Training %s of %s parameters on %s for %s (%s, %s).",
        f"{adapter.parameter_count:,}",
        f"{adapter.parameter_count + backbone.parameter_count:,}",
        counted(len(tokens["train"]), "row"),
        counted(epochs, "epoch"),
        backbone.device,
        config.dtype,
    )

    train, validation = tokens["train"], tokens["validation"]
    hidden = hidden_states(backbone, adapter.depth, tokens, config, fingerprint=identity, name=name)
    _say_padding(config, backbone, train)
    with workers(most_workers(config, train), device=backbone.device) as threads:

        def validate(current: Adapter) -> Figures:
            found = validation_logits(
                backbone, current, hidden["validation"], validation.lengths,
                config.batch_size, threads,
            )  # fmt: skip
            scores = score(codec.labels, _probabilities(found), validation.targets)
            figures = {name: metric(name, scores) for name in METRICS}
            return figures | {"validation_loss": scores.log_loss}

        crank = Crank(backbone, adapter, train, config, hidden["train"], threads, epochs=epochs)
        return fit(crank, validate)


def _say_padding(config: TrainConfig, backbone: Backbone, rows: Tokens) -> None:
    batches = epoch_batches(
        rows.lengths, seed=config.seed, epoch=1,
        batch_size=config.batch_size, batch_tokens=config.batch_tokens,
    )  # fmt: skip
    log.info(
        "%s an epoch, %.1f tokens a text, %.1f %% padding.",
        counted(len(batches), "batch", "batches"),
        float(rows.lengths.mean()),
        100 * padding_share(rows.lengths, batches, backbone.padded_length),
    )


def _probabilities(scores: torch.Tensor) -> np.ndarray:
    if not scores.isfinite().all():
        raise DivergedError(
            "Training diverged: what the adapter says of other rows is not a number.",
            hint="Lower --learning-rate.",
        )
    return softmax(scores.numpy())


def _evaluate(
    backbone: Backbone,
    fitted: Fit,
    tokens: Mapping[str, Tokens],
    codec: LabelCodec,
    batch_size: int,
) -> dict[str, Evaluation]:
    """Score the kept adapter on every part it was not trained on."""
    evaluations: dict[str, Evaluation] = {}
    try:
        for part in [part for part in tokens if part != "train"]:
            rows = tokens[part]
            scores = predict_logits(backbone, fitted.adapter, rows.encodings, batch_size)
            evaluations[part] = judge(codec.labels, _probabilities(scores), rows.targets)
    except KeyboardInterrupt:
        fitted.interrupted = True
        log.warning("Stopped by Ctrl-C while scoring: the adapter is kept, not all of its scores.")
    return evaluations
