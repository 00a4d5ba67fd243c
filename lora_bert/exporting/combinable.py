"""Whether adapters can be combined: what they must have in common, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import torch

from lora_bert.adapters import directory
from lora_bert.adapters.loading import Loaded
from lora_bert.adapters.manifest import Manifest
from lora_bert.errors import ConfigError
from lora_bert.model.combined import Factors, changes
from lora_bert.tasks import combining
from lora_bert.tasks.base import Task
from lora_bert.wording import counted, listed, repeated, shortened

_ASK = "ask them all: lora-bert infer --adapter A --adapter B"
_AGAIN = "Train one of them again as the other was"

_MAY_DIFFER = frozenset(
    "labels label_names data metrics versions task schema_version exported settings backbone "
    "tokenizer pooling combined files scaling".split()
)
"""What adapters that are combined may say each for itself, or what is looked at in another way."""
_WORDS: Mapping[str, str] = {
    "problem_type": "the task",
    "inputs": "the number of texts in a row",
    "max_length": "the tokens kept of a text",
    "clean": "whether texts are cleaned",
    "stride": "the tokens that windows of a long text share",
}


def described(places: Sequence[Path]) -> list[Manifest]:
    """What adapters say of themselves, where that allows to combine them.

    Raises:
        NotFoundError: One of them is not there.
        AdapterError: One is damaged.
        ConfigError: One is no adapter that was written here, or stands there twice, or two differ.
    """
    manifests = [_described(place) for place in places]
    directory.check_named_once(places, "For more of it, give it a larger share with --weights.")
    for place, manifest in zip(places, manifests, strict=True):
        _check_alike(places[0], manifests[0], place, manifest)
    return manifests


def task_of_all(places: Sequence[Path], manifests: Sequence[Manifest]) -> Task | None:
    """The task of a model with the outputs of all; None where all have the same labels.

    Raises:
        ConfigError: Some labels are the same and some are not, or none may be added to a text's, or
            what the task decides by differs.
    """
    tasks = [each.restored_task(place) for place, each in zip(places, manifests, strict=True)]
    first, labels = tasks[0], set(tasks[0].labels)
    alike = all(set(task.labels) == labels for task in tasks)
    if not alike and not combining.independent(first):
        raise _other_labels(places, tasks)
    for place, task in zip(places, tasks, strict=True):
        if name := combining.apart(first, task):
            values = task.settings.get(name), first.settings.get(name)
            raise _differ(places[0], place, f"their '{name.replace('_', ' ')}'", values)
    if alike:
        return None
    if both := repeated([label for task in tasks for label in task.labels]):
        one, other, *_ = (
            place for place, task in zip(places, tasks, strict=True) if both[0] in task.labels
        )
        raise ConfigError(
            f"'{one}' and '{other}' share {counted(len(both), 'label')}, and others not: "
            f"{listed(both)}.",
            hint=f"Combine adapters with the same labels, or with none in common; or {_ASK}",
        )  # fmt: skip
    return combining.side_by_side(tasks)


def check_heads(places: Sequence[Path], parts: Sequence[Loaded]) -> None:
    """Raise ConfigError unless heads of all read the same of the same tokens and embeddings."""
    first = parts[0]
    for place, part in zip(places, parts, strict=True):
        if part.own_embeddings:
            raise ConfigError(
                f"'{place}' has embeddings, or a projection of them, of its own, which cannot be "
                "combined.", hint=_ASK[0].upper() + _ASK[1:],
            )  # fmt: skip
        if part.adapter.pooling != first.adapter.pooling:
            values = part.adapter.pooling, first.adapter.pooling
            raise _differ(places[0], place, "what the head reads", values)
        if part.tokenizer.fingerprint != first.tokenizer.fingerprint:
            raise _differ(places[0], place, "the tokenizer")
        if part.adapter.head.keys() != first.adapter.head.keys():
            raise _differ(places[0], place, "the layers of their heads")


def check_one_pass(places: Sequence[Path], parts: Sequence[Loaded]) -> None:
    """Raise ConfigError unless the heads of all could have the same last layer but for its rows."""
    first = parts[0]
    output, ours = first.backbone.config.layout.head.output, changes(first.adapter)
    for place, part in zip(places, parts, strict=True):
        if not _same(changes(part.adapter), ours):
            raise ConfigError(
                f"'{place}' and '{places[0]}' change the layers differently, so one pass cannot "
                "answer for both.",
                hint=f"Train both with --method head-only, which changes none; or {_ASK}",
            )
        for name, tensor in first.adapter.head.items():
            hidden = not name.startswith(f"{output}.")
            if hidden and not torch.allclose(tensor, part.adapter.head[name], rtol=1e-5, atol=1e-6):
                raise ConfigError(
                    f"The heads of '{place}' and '{places[0]}' have different hidden layers "
                    f"('{name}'), and an adapter has one.",
                    hint=f"Train both with --method head-only on the same texts; or {_ASK}",
                )


def _described(place: Path) -> Manifest:
    if (what := directory.described(place)) != "an adapter":
        hint = "" if what == "a backbone" else "Name the adapter that it was made of."
        raise ConfigError(f"'{place}' is {what}; what is combined are adapters.", hint=hint)
    if (manifest := directory.manifest_of(place)) is None:
        raise ConfigError(
            f"'{place}' was written by plain PEFT, which keeps neither labels nor what backbone it "
            "was: whether it fits the others cannot be known.",
            hint="PEFT itself combines such adapters: add_weighted_adapter of its models.",
        )
    return manifest


def _check_alike(at: Path, ours: Manifest, place: Path, theirs: Manifest) -> None:
    """Raise ConfigError where what two adapters say of themselves keeps them from being one."""
    known = [each.backbone.get("fingerprint") or each.backbone_name for each in (theirs, ours)]
    if known[0] != known[1]:
        names = theirs.backbone_name, ours.backbone_name
        shown = [f"{name} ({of:.12}…)" for name, of in zip(names, known, strict=True)]
        raise _differ(at, place, "the backbone", shown, hint=f"{_AGAIN}, on its backbone.")
    every = [entry.name for entry in fields(Manifest) if entry.name not in _MAY_DIFFER]
    for name in sorted(every, key=lambda name: name != "inputs"):  # first: no batch has both
        values = getattr(theirs, name), getattr(ours, name)
        if values[0] != values[1]:
            what = _WORDS.get(name, f"their '{name.replace('_', ' ')}'")
            raise _differ(at, place, what, values, hint=f"{_AGAIN}." if name == "inputs" else "")


def _differ(
    first: Path, other: Path, what: str, values: Sequence[object] = (), *, hint: str = ""
) -> ConfigError:
    """The error for two adapters of which one cannot be made; ``values`` are the other's first."""
    said = f": {' and '.join(shortened(str(value)) for value in values)}" if values else ""
    return ConfigError(
        f"'{other}' and '{first}' cannot be combined, because they differ in {what}{said}.",
        hint=hint or f"{_AGAIN}; or {_ASK}",
    )


def _other_labels(places: Sequence[Path], tasks: Sequence[Task]) -> ConfigError:
    """The error for adapters that choose one label of a text each, out of different ones."""
    first = tasks[0].labels
    place, labels = next(
        (place, task.labels)
        for place, task in zip(places, tasks, strict=True)
        if set(task.labels) != set(first)
    )
    lacks = [label for label in first if label not in set(labels)]
    has = [label for label in labels if label not in set(first)]
    said = [f"has no {listed(lacks)}"] if lacks else []
    said += [f"has {listed(has)}"] if has else []
    return ConfigError(
        f"'{place}' has other labels than '{places[0]}': it {' and '.join(said)}.",
        hint=f"{_AGAIN}; or {_ASK}",
    )


def _same(theirs: Factors, ours: Factors) -> bool:
    """Whether factors are the same numbers on the same layers."""
    return theirs.keys() == ours.keys() and all(
        pair.scaling == ours[name].scaling
        and pair.lora_A.equal(ours[name].lora_A)
        and pair.lora_B.equal(ours[name].lora_B)
        for name, pair in theirs.items()
    )
