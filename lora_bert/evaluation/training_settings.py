"""How a classifier came about, as far as its directory says, and in what two of them differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_bert.adapters.directory import EXPORTED, kind_of
from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.trained_on import RUN, RUN_OPTIONS
from lora_bert.config import TrainConfig
from lora_bert.errors import ConfigError
from lora_bert.options import options_of, read_yaml
from lora_bert.tasks.problem_types import task_of

log = logging.getLogger(__name__)

_NO_MATTER = (RUN_OPTIONS - {"dtype"}) | {"encoding", "gradient_checkpointing", "task"}
"""Options that say how to go about it; not what is learned, nor from what."""
_BEFORE = {"head_start": "random"}
"""What trainings did before there was an option for it."""


def training_settings(path: str | Path) -> Mapping[str, Any]:
    """The settings that an adapter was trained with; none where it does not say."""
    place = Path(path) / RUN
    if not place.is_file():
        return {}
    try:
        written = read_yaml(place, TrainConfig)
    except ConfigError as error:
        log.info("How '%s' was trained is not known: %s", path, error)
        return {}
    return {
        name: written.get(name, _BEFORE.get(name, option.default))
        for name, option in options_of(TrainConfig).items()
        if name not in _NO_MATTER
    }


def trained_for(path: str | Path, manifest: Manifest) -> str:
    """The metric that picked an adapter's best epoch; the task's first where it does not say.

    Models that are made of an adapter have it in what they say of themselves.
    """
    kept = manifest.data.get("told")
    places = (training_settings(path), kept if isinstance(kept, dict) else {})
    known = [metric.name for metric in task_of(manifest.problem_type).metrics]
    return next((place["metric"] for place in places if place.get("metric") in known), known[0])


def differences(
    ours: tuple[str, Manifest], theirs: tuple[str, Manifest]
) -> dict[str, tuple[Any, Any]]:
    """In what two classifiers differ: name -> ours, theirs. What only one of them says is left out.

    Of each the directory is given, and what it says of itself.
    """
    we, they = _facts(*ours), _facts(*theirs)
    both = [name for name in we if name in they]
    return {name: (we[name], they[name]) for name in both if we[name] != they[name]}


def _facts(path: str, manifest: Manifest) -> dict[str, Any]:
    rows = manifest.data.get("rows")
    form: str = kind_of(Path(path))
    if form in EXPORTED:
        form = f"exported ({form}, {manifest.exported.get('precision', 'float32')})"
    known = {
        "form": form,
        "backbone": manifest.backbone_name or None,
        "max_length": manifest.max_length,
        "overflow": manifest.overflow,
        "pooling": manifest.pooling,
        "training rows": rows.get("train") if isinstance(rows, dict) else None,
    }
    said = {name: value for name, value in known.items() if value is not None}
    settings = dict(training_settings(path))
    settings.pop("pooling", None)  # older adapters were not asked
    return {**settings, **said}
