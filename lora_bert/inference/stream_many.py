"""Files in, files out, for many adapters: each row by all of them, or by the one that it names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.adapters.directory import Kind, check_named_once
from lora_bert.adapters.trained_on import training_format
from lora_bert.adapters.trunk import is_branch, is_trunk, read_trunk
from lora_bert.config.shared import BY_ITSELF, Answering, Decoding
from lora_bert.data.pair_columns import find_text_columns
from lora_bert.data.rows import TrainingFormat
from lora_bert.data.tables import Table
from lora_bert.data.tagged import Places, untagged_texts
from lora_bert.data.texts import Text, are_lists, texts_in
from lora_bert.errors import ConfigError, DataError, TextError, did_you_mean
from lora_bert.inference.adapter_pool import adapter_places
from lora_bert.inference.engines.choice import check_fits
from lora_bert.inference.many_adapters import Request, tasks_of
from lora_bert.inference.predictor import Predictor
from lora_bert.inference.session import Session
from lora_bert.inference.sinks import Sink
from lora_bert.inference.stream import free_names
from lora_bert.tasks.base import Task


def open_adapters(paths: Sequence[str], config: Answering) -> dict[str, Predictor]:
    """Adapters on one backbone, or on one exported trunk, by the names of their directories.

    A directory that holds adapters stands for all of them.

    Raises:
        ConfigError: Two have the same name, one is named twice, or an option fits no more than one
            adapter.
        NotFoundError, AdapterError: As :func:`.open_predictor`.
    """
    check_named_once(map(Path, paths), "Name each adapter once: it answers once.")
    places = adapter_places(paths)
    for flag, given in (
        ("--labels", config.labels), ("--engine", config.engine not in ("auto", "torch")),
        ("--allow-backbone-mismatch", config.allow_backbone_mismatch),
    ):  # fmt: skip
        if given:
            raise ConfigError(f"{flag} is for one adapter, and several are to answer.")
    backbone = config.backbone or _base_of(next(iter(places.values())))
    if is_trunk(backbone):
        kind: Kind = "onnx" if read_trunk(Path(backbone)).format == "onnx" else "openvino"
        check_fits(config.engine, kind, Path(backbone))
    session = Session(
        backbone, device=config.device, dtype=config.dtype, batch_size=config.batch_size
    )
    return {
        name: session.predictor(session.add(place, name=name)) for name, place in places.items()
    }


def common_format(predictors: Mapping[str, Predictor]) -> TrainingFormat:
    """How files are read that all of the adapters answer: as their training's, where that agrees.

    Raises:
        ConfigError: Some are asked single texts, others pairs.
    """
    formats = {name: training_format(each.manifest) for name, each in predictors.items()}
    first_name, first = next(iter(formats.items()))
    for name, other in formats.items():
        if other.inputs != first.inputs:
            kinds = {0: "either", 1: "single texts", 2: "pairs of texts"}
            raise ConfigError(
                f"'{first_name}' is asked {kinds[first.inputs]}, '{name}' {kinds[other.inputs]}: "
                "they cannot answer the same rows.",
                hint="Ask them one after the other.",
            )
    names = (
        "header", "columns", "encoding", "text_column", "pair_column", "tagging", "finds_answers",
    )  # fmt: skip
    alike = {
        name: getattr(first, name) for name in names
        if len({getattr(each, name) for each in formats.values()}) == 1
    }  # fmt: skip
    return TrainingFormat(inputs=first.inputs, **alike)


def predict_many_into(
    predictors: Mapping[str, Predictor], pieces: Iterable[Table], sink: Sink, *, batch_size: int,
    adapter_column: str | None = None, text_column: str | None = None,
    text_pair_column: str | None = None, decoding: Decoding = BY_ITSELF,
) -> int:  # fmt: skip
    """Answer rows that are read in ``pieces`` into a sink; how many there were.

    The columns are those of each adapter's task, with its name and ``_`` before them; with
    ``adapter_column``, which names the adapter of each row, ``prediction``, as text, and ``score``.

    Raises:
        ConfigError, DataError: As :func:`.predict_file`; or a row names no adapter of these.
    """
    training, rows = common_format(predictors), 0
    tasks = tasks_of(predictors, decoding)
    columns, lists = tuple[str, ...](), list[bool]()
    names: Sequence[str] = ()
    for piece in pieces:
        columns = columns or find_text_columns(
            piece.columns, text=text_column, pair=text_pair_column, training=training,
            cells=piece.values, source=piece.source,
        ).names  # fmt: skip
        cells = [piece.values[name] for name in columns]
        lists = lists or list(map(are_lists, cells))
        # What a cell with a list of words says depends on who reads it.
        read = {rule: untagged_texts(cells[0], rule) if rule else (texts_in(cells, lists), ())
                for rule in dict.fromkeys(task.words for task in tasks.values())}  # fmt: skip
        named = None if adapter_column is None else _adapters_of(piece, adapter_column, predictors)
        try:
            values = _values(read, tasks, predictors, named, batch_size)
        except TextError as error:
            raise error.at(piece.at(error.number)) from None
        each = {name: task.columns_at(values[name], _own(read[task.words][1], name, named))
                for name, task in tasks.items()}  # fmt: skip
        added = _side_by_side(each) if named is None else _by_row(each, named)
        like = dict[str, Any](prediction="", score=0.0)
        if named is None:
            like = _side_by_side({name: task.cells for name, task in tasks.items()})
        names = names or free_names(piece.columns, added)
        like = {name: like[column] for name, column in zip(names, added, strict=True)
                if column in like}  # fmt: skip
        sink.write(piece, dict(zip(names, added.values(), strict=True)), like)
        rows += len(piece)
    return rows


def _base_of(place: Path) -> str:
    """Where the backbone of an adapter is, or the trunk of a branch."""
    if is_branch(place):
        return str(place.resolve().parent)
    from lora_bert.adapters.loading import backbone_files

    return str(backbone_files(place).path)


def _adapters_of(piece: Table, column: str, known: Iterable[str]) -> list[str]:
    """The adapter of each row."""
    if column not in piece.columns:
        raise DataError(
            f"'{piece.source}' has no column '{column}', which is to name the adapter of each row.",
            hint=did_you_mean(column, piece.columns) or f"It has: {', '.join(piece.columns)}.",
        )
    named, known = list(piece.values[column]), list(known)
    for row, name in enumerate(named):
        if not name.strip():
            raise DataError(
                f"{piece.at(row)}: the column '{column}' names no adapter.",
                hint=f"There are: {', '.join(known[:8])}.",
            )
        if name not in known:
            raise DataError(
                f"{piece.at(row)}: its adapter, '{name:.60}' in the column '{column}', is none of "
                "those that are given.",
                hint=did_you_mean(name, known) or f"There are: {', '.join(known[:8])}.",
            )
    return named


def _values(
    read: Mapping[str, tuple[Sequence[Text], Places]], tasks: Mapping[str, Task],
    predictors: Mapping[str, Predictor], named: Sequence[str] | None, batch_size: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Each adapter's values of its texts; ``read`` has them by the rule of those who read them."""
    if named is not None:
        texts = [read[tasks[name].words][0][row] for row, name in enumerate(named)]
        values = Request(texts, predictors, named).values(batch_size)
        return dict(zip(predictors, values, strict=True))
    # Who reads the same shares what can be shared.
    lists = {rule: list(texts) for rule, (texts, _) in read.items()}
    found: dict[str, np.ndarray] = {}
    while rest := [name for name in predictors if name not in found]:
        texts = lists[tasks[rest[0]].words]
        alike = {rule for rule, others in lists.items() if others == texts}
        some = {name: predictors[name] for name in rest if tasks[name].words in alike}
        found |= dict(zip(some, Request(texts, some, None).values(batch_size), strict=True))
    return {name: found[name] for name in predictors}


def _own(places: Places, name: str, named: Sequence[str] | None) -> Places:
    """Where the words stand in the texts that an adapter answers."""
    if named is None or not places:
        return places
    return [place for place, owner in zip(places, named, strict=True) if owner == name]


def _side_by_side(each: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What stands by the columns' names, the adapters' before them."""
    return {f"{name}_{column}": what
            for name, columns in each.items() for column, what in columns.items()}  # fmt: skip


def _by_row(
    each: Mapping[str, Mapping[str, Sequence[Any]]], named: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """The columns that rows of different tasks have in common, in the order of the rows.

    What a task answers stands in the first of its columns; a cell of its score, where it has none,
    is empty.
    """
    said = {name: iter(next(iter(columns.values()))) for name, columns in each.items()}
    found = dict[str, Sequence[Any]]()
    found["prediction"] = [_as_text(next(said[name])) for name in named]
    scores = {name: iter(columns["score"]) for name, columns in each.items() if "score" in columns}
    if scores:
        found["score"] = [float(next(scores[name])) if name in scores else None for name in named]
    return found


def _as_text(value: Any) -> str:
    """An answer of whichever task, as a cell that holds those of all tasks."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
