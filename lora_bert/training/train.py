"""``train``: from a configuration to an adapter on disk: prepare, fit, finish."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from lora_bert.config import TrainConfig
from lora_bert.config.keywords import TrainOptions
from lora_bert.config.kinds import RowsLike
from lora_bert.data.given import with_given_rows
from lora_bert.errors import DivergedError
from lora_bert.garbage import set_aside
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.runtime.device import dtype_name
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import Terminated, stoppable
from lora_bert.training.checkpoints import discard_checkpoints, to_continue, training_into
from lora_bert.training.finish import finish
from lora_bert.training.fit import fit
from lora_bert.training.prepare import prepare, resolve
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
    group = processes()
    config = resolve(config)
    output = Path(str(config.output))
    choice = {"resume": config.resume, "overwrite": config.overwrite}
    with set_aside(), group.one_voice(), stoppable():
        checkpoint, _ = to_continue(output, **choice)
        # The precision of the frozen weights is decided once, by the first of several calls.
        begun = checkpoint.identity["dtype"] if checkpoint and config.dtype == "auto" else None
        config = replace(config, dtype=begun or dtype_name(config.dtype, config.device))
        context = prepare(config, checkpoint.identity if checkpoint else None)
        with training_into(output) if group.is_first else nullcontext(output) as place:
            # Another process may have gone on, or come to the end, before the lock was ours.
            checkpoint, replaces = to_continue(output, **choice)
            context = replace(context, config=replace(context.config, overwrite=replaces))
            if config.resume and checkpoint is None:
                log.info("'%s' left no checkpoint: beginning at the beginning.", output)
            if group.is_first:
                discard_checkpoints(output, after=checkpoint.progress.step if checkpoint else -1)
            try:
                fitted, learner, before = fit(context, place, checkpoint)
                result = finish(context, fitted, learner, before)
            except DivergedError:
                if group.is_first:
                    discard_checkpoints(output)  # from them it would diverge again
                raise
    if isinstance(fitted.stopped, Terminated):
        raise fitted.stopped
    return replace(
        result,
        seconds=time.perf_counter() - started,
        resumed_at=checkpoint.progress.step if checkpoint else 0,
    )
