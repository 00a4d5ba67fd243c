"""``train``: from a configuration to an adapter on disk: prepare, fit, finish."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from lora_bert.adapters.manifest import MANIFEST
from lora_bert.config import TrainConfig
from lora_bert.config.keywords import TrainOptions
from lora_bert.config.kinds import RowsLike
from lora_bert.data.given import with_given_rows
from lora_bert.errors import DivergedError, OutputError
from lora_bert.files import claim_output
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import dtype_name
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import Terminated, stoppable
from lora_bert.training.checkpoints import (
    Checkpoint,
    discard_checkpoints,
    is_its_own,
    to_continue,
    training_into,
)
from lora_bert.training.finish import finish
from lora_bert.training.fit import fit
from lora_bert.training.option_checks import resolve
from lora_bert.training.prepare import prepare
from lora_bert.training.train_result import TrainResult

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
        context = prepare(config, checkpoint.identity if checkpoint else None)
        with training_into(output) if us.is_first else nullcontext(output) as place:
            # Another process may have gone on, or come to the end, before the lock was ours.
            checkpoint = _to_continue(config, output)
            context = replace(context, config=_may_replace(context.config, checkpoint))
            if config.resume and checkpoint is None:
                log.info("'%s' left no checkpoint: beginning at the beginning.", output)
            if us.is_first:
                discard_checkpoints(output, after=checkpoint.progress.step if checkpoint else -1)
            try:
                fitted, learner, before = fit(context, place, checkpoint)
                result = finish(context, fitted, learner, before)
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
