"""``combine``: several adapters become one, compared with what it is made of before it counts."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np

from lora_bert.adapters.combined import (
    Combined,
    averaged,
    folded_by_hand,
    side_by_side,
    write_combined,
)
from lora_bert.adapters.loading import Loaded, load_any
from lora_bert.config import CombineConfig
from lora_bert.config.keywords import CombineOptions
from lora_bert.config.kinds import StrPath
from lora_bert.data.texts import Text
from lora_bert.errors import AdapterError, ConfigError
from lora_bert.exporting.combinable import check_heads, check_one_pass, described, task_of_all
from lora_bert.exporting.merge import TOLERANCE
from lora_bert.files import atomic_directory, claim_output, portable, size_of, spare_inputs
from lora_bert.inference.predictor import Predictor
from lora_bert.inference.samples import answerable, probes
from lora_bert.names import parse_names
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.wording import amount, counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CombineResult:
    """A written adapter that was combined of others.

    Attributes:
        path: Its directory.
        shares: What each adapter counts for, in their order, 1 in all; empty where their labels
            stand side by side.
        rank: Of its LoRA matrices; None where it changes no layer.
        difference: Largest difference of a probability (of a number: in standard deviations)
            between it and what it is made of, float32: the same sum folded into the backbone's
            weights, or the adapters' own answers.
        texts: On how many texts.
        size: Bytes of the directory.
        lost: Where a lower rank was asked for, which share of the norm of the sum that cost, 0…1.
        moved: Where it was, the largest difference from the exact sum, as ``difference``.
        measured_in: What these differences are measured in, in words.
    """

    path: Path
    shares: tuple[float, ...]
    rank: int | None
    difference: float
    texts: int
    size: int
    lost: float | None = None
    moved: float | None = None
    measured_in: str = "probability"

    def __repr__(self) -> str:
        rank = "no layer changed" if self.rank is None else f"rank {self.rank}"
        return (
            f"CombineResult({str(self.path)!r}: {amount(self.size)}, {rank}, largest difference "
            f"{self.difference:.1e} on {counted(self.texts, 'text')})"
        )


@called_from_python(CombineConfig, CombineOptions)
def combine(
    adapters: Sequence[StrPath], output: StrPath, **options: Unpack[CombineOptions]
) -> CombineResult:
    """Make one adapter of several on the same backbone.

    With the same labels it is the weighted mean of their weights: what they change in the layers
    is summed up exactly, its rank being the sum of theirs, and heads are averaged. Multi-label
    adapters without a label in common, which change the same in the layers or nothing, become one
    that answers the labels of all.

    Args:
        adapters: Their directories.
        output: The directory to make.
        **options: See :class:`lora_bert.config.CombineConfig`.

    Raises:
        ConfigError: They cannot be one adapter, or the weights are none; says what to do instead.
        AdapterError: One of them is damaged, or the result does not answer as what it is made of,
            to within 1e-4; nothing is written then.
        OutputError: ``output`` is taken, not writable, or one of the adapters.
    """
    return run(build(CombineConfig, {"adapters": adapters, "output": output, **options}))


def run(config: CombineConfig) -> CombineResult:
    """As :func:`combine`, of a checked configuration."""
    places, output = [Path(name) for name in config.adapters], Path(config.output)
    if len(places) < 2:
        raise ConfigError(
            "combine needs two adapters or more, and a directory for the result.",
            hint="lora-bert combine A B OUT",
        )
    shares = _shares(config.weights, len(places))
    manifests = described(places)
    joined = task_of_all(places, manifests)
    if joined and (given := [name for name in ("weights", "rank") if getattr(config, name)]):
        raise ConfigError(
            f"--{given[0]} is for adapters with the same labels; these have none in common, and "
            "stand side by side."
        )
    spare_inputs(output, places)
    claim_output(output, overwrite=config.overwrite)
    parts = [load_any(place, backbone=config.backbone) for place in places]
    spare_inputs(output, [part.files.path for part in parts])
    check_heads(places, parts)
    names = [portable(name) for name in config.adapters]
    if joined:
        check_one_pass(places, parts)
        combined = side_by_side(parts, names, joined)
    else:
        _check_rank(config.rank, parts[0].backbone.hidden_size)
        combined = averaged(parts, names, shares, config.rank)
    return _written(combined, parts, () if joined else shares, config)


def _written(
    combined: Combined, parts: Sequence[Loaded], shares: tuple[float, ...], config: CombineConfig
) -> CombineResult:
    """Write it where it belongs, and compare what was written with what it is made of."""
    output, loaded = Path(config.output), combined.loaded
    texts = answerable(probes(loaded.manifest.inputs), loaded.tokenizer).texts
    exact = wanted = _wanted(combined, parts, shares, texts)
    if combined.lost is not None:
        factors = loaded.adapter.factors
        wanted = _values(folded_by_hand(loaded, [(factors, 1.0)]), output, texts)
    with atomic_directory(output, overwrite=config.overwrite) as work:
        write_combined(work, combined)
        after = load_any(work, backbone=config.backbone)  # as everybody reads it
        answers, task = _values(after, work, texts), after.manifest.restored_task(work)
        difference = float(task.apart(wanted, answers).max())
        if not difference <= TOLERANCE:
            raise AdapterError(
                f"The combined adapter differs from what it is made of by {difference:.2g} in "
                f"{task.apart_in}, more than {TOLERANCE:g}; it was not kept."
            )
        moved = None if combined.lost is None else float(task.apart(exact, answers).max())
    return CombineResult(
        path=output,
        shares=shares,
        rank=combined.lora.rank if loaded.adapter.factors else None,
        difference=difference,
        texts=len(texts),
        size=size_of(output),
        lost=combined.lost,
        moved=moved,
        measured_in=task.apart_in,
    )


def _wanted(
    combined: Combined, parts: Sequence[Loaded], shares: Sequence[float], texts: Sequence[Text]
) -> np.ndarray:
    """What it has to answer, by another way: the sum in the weights, or each adapter alone."""
    place = Path("it")
    if shares:
        return _values(folded_by_hand(combined.loaded, combined.changes), place, texts)
    return np.concatenate([_values(part, place, texts) for part in parts], axis=1)


def _values(loaded: Loaded, place: Path, texts: Sequence[Text]) -> np.ndarray:
    return Predictor.of(loaded, place).computed(texts)


def _shares(weights: str | None, count: int) -> tuple[float, ...]:
    """What each of so many adapters counts for, 1 in all.

    Raises:
        ConfigError: The weights are not as many numbers, from 0 on and not all 0.
    """
    if weights is None:
        return (1 / count,) * count
    numbers = [_weight(word) for word in parse_names(weights)]
    if len(numbers) != count:
        raise ConfigError(
            f"--weights has {counted(len(numbers), 'number')}, and there are "
            f"{counted(count, 'adapter')}.",
            hint="Give one for each, in the order of the adapters.",
        )
    largest = max(numbers)
    if not largest:
        raise ConfigError(
            "--weights are all 0: nothing would be left.", hint="For equal shares leave it out."
        )
    total = math.fsum(number / largest for number in numbers)
    return tuple(number / largest / total for number in numbers)


def _weight(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ConfigError(
            f"--weights: '{word}' is not a number from 0 on.",
            hint="They are shares, such as 0.7,0.3: what each counts for of their sum.",
        )
    return number


def _check_rank(rank: int | None, width: int) -> None:
    if rank is not None and rank > width:
        raise ConfigError(
            f"--rank {rank}: the backbone's layers are {width} wide, so a change of them has no "
            f"rank above {width}.",
            hint="Leave it out: the rank is then the sum of the adapters' ranks.",
        )
