"""What the machines of a Ray cluster do: read files in parts, answer a part, write it.

A part has the same rows whoever reads it, and its file the same name whoever writes it: what is
done twice, because a machine went away, is there once.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from lora_bert._version import __version__
from lora_bert.config import InferConfig
from lora_bert.data.pair_columns import TextColumns
from lora_bert.data.rows import ReadOptions
from lora_bert.data.tables import Table, iter_pieces
from lora_bert.errors import DataError, LoraBertError, OutputError, UnavailableError
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.sinks import in_schema, open_sink, typed_rows
from lora_bert.inference.stream import predict_into
from lora_bert.remote import is_url, local_copy, state_of, whole_file

PIECES = 8
"""So many times :data:`TEXTS_AT_ONCE` rows are a part: a minute of an actor, if it is lost."""

PART = "part-"
"""What the names of part files begin with."""

MODEL, BACKBONE = "model", "backbone"
"""The directories of what is sent to machines."""

Model = Mapping[str, bytes]
"""The files of an adapter or model, and of its backbone, by their names below these; or none."""
Row = dict[str, list[Any]]
"""What Ray passes on, one row at a time: see :func:`row`."""
Piece = tuple[Table, Any]
"""Rows as strings and, where they keep their types, in these."""


@dataclass(frozen=True)
class Job:
    """What every machine is told.

    Attributes:
        path: The adapter or model.
        reading: How the files are read.
        texts: The column of the texts, or the two of pairs.
        columns: Those of all files, which are called as in the file ``first``.
        schema: Of ``first``, where values keep their types and the format has a schema; else None.
        typed: Whether values keep their types.
        room: The directory where parts wait.
        suffix: The format to write.
        done: The parts that wait there already.
    """

    path: str
    config: InferConfig
    reading: ReadOptions
    texts: TextColumns
    columns: tuple[str, ...]
    first: str
    schema: Any
    typed: bool
    room: str
    suffix: str
    done: frozenset[str] = frozenset()
    version: str = __version__

    def check_version(self) -> None:
        """Raise UnavailableError on a machine with another version of the package."""
        if self.version != __version__:
            raise UnavailableError(
                f"The machine '{platform.node()}' has lora-bert {__version__}, this one "
                f"{self.version}.",
                hint="All machines of a cluster need the same version.",
            )


def row(*, name: str = "", file: int = 0, rows: int = 0, load: bytes = b"", said: str = "") -> Row:
    """A part of a file, or without a ``name`` the end of one, with how many ``rows`` it has.

    ``load`` are the pieces of a part that is to be answered; ``said`` is what :class:`Said` gives.
    """
    return {"name": [name], "file": [file], "rows": [rows], "load": [load], "said": [said]}


class Said(logging.Handler):
    """Collects notes, and the error that ended the work, for whoever gave the command.

    They are lists of a kind and what it needs: ``note``, ``error``, ``formulas`` and ``texts``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[list[Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.entries.append(["note", record.name, record.levelno, record.getMessage()])

    def take(self) -> str:
        """All of them as JSON, once."""
        text, self.entries = json.dumps(self.entries), []
        return text

    @contextmanager
    def listening(self) -> Iterator[None]:
        """In the block notes are collected, and an error of ours only ends it."""
        log = logging.getLogger("lora_bert")
        log.addHandler(self)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        except LoraBertError as error:
            self.entries.append(["error", type(error).__name__, str(error), error.hint])
        finally:
            log.removeHandler(self)


def read(batch: Mapping[str, Any], job: Job) -> Iterator[Row]:
    """The parts of one file, then its end: for Ray Data."""
    number, source = int(batch["number"][0]), str(batch["source"][0])
    said, total = Said(), 0
    with said.listening():
        job.check_version()
        # Named after its content: a part of a file that has changed since is not taken for one.
        state = sha256(f"{source} {state_of(source)}".encode()).hexdigest()[:12]
        with local_copy(source) as path:
            for part, pieces in enumerate(_parts(path, source, job)):
                name = f"{PART}{number:06d}-{part:06d}-{state}{job.suffix}"
                rows = sum(len(piece) for piece, _ in pieces)
                load = b"" if name in job.done else pickle.dumps(pieces)
                yield row(name=name, file=number, rows=rows, load=load, said=said.take())
                total += rows
    yield row(file=number, rows=total, said=said.take())


class Answerer:
    """A predictor in a process of its own: an actor of Ray Data's."""

    def __init__(self, job: Job, model: Any) -> None:
        import ray

        self._job, self._said = job, Said()
        self._predictor: Predictor | None = None
        with self._said.listening():
            job.check_version()
            self._predictor, self._place = _opened(job, ray.get(model))

    def __call__(self, batch: Mapping[str, Any]) -> Row:
        """Answer one part and write it."""
        name, load, said = str(batch["name"][0]), batch["load"][0], str(batch["said"][0])
        if load and self._predictor:
            with self._said.listening():
                self._write(self._predictor, name, pickle.loads(load))
        said = json.dumps([*json.loads(said), *json.loads(self._said.take())])
        return row(name=name, file=int(batch["file"][0]), rows=int(batch["rows"][0]), said=said)

    def _write(self, predictor: Predictor, name: str, pieces: Sequence[Piece]) -> None:
        job = self._job
        if not is_url(job.room) and not Path(job.room).is_dir():
            raise OutputError(
                f"'{job.room}' is not there on the machine '{platform.node()}'.",
                hint="A path must be one that all machines share; else name a URL.",
            )
        originals = [_unpacked(original) for _, original in pieces]
        before = replace(predictor.read)
        with (
            whole_file(f"{job.room}/{name}") as work,
            open_sink(work, job.suffix, iter(originals) if originals[0] else None) as sink,
        ):
            predict_into(
                predictor, (piece for piece, _ in pieces), sink, text_column=job.texts.text,
                text_pair_column=job.texts.pair, decoding=job.config,
            )  # fmt: skip
        self._said.entries.append(["formulas", sink.formulas])
        self._said.entries.append(["texts", *astuple(predictor.read.since(before))])


def _parts(path: Path, source: str, job: Job) -> Iterator[list[Piece]]:
    """The rows of a file, :data:`PIECES` pieces at a time, each with its values in their types."""
    pieces = iter_pieces(
        path, job.reading, rows=TEXTS_AT_ONCE, columns=job.columns, first=job.first
    )
    typed = typed_rows([path], job.suffix, job.reading, TEXTS_AT_ONCE) if job.typed else None
    if job.typed and typed is None:
        raise DataError(
            f"'{source}' holds its rows in another way than '{job.first}': their values would have "
            "other types.",
            hint="Answer such files by themselves, or write csv.",
        )
    whole = (_piece(replace(piece, source=source), typed, job) for piece in pieces)
    while part := list(islice(whole, PIECES)):
        yield part


def _piece(piece: Table, originals: Iterator[Any] | None, job: Job) -> Piece:
    if originals is None:
        return piece, None
    original = next(originals)
    # Of the strings only the texts are needed then.
    piece = replace(piece, values={name: piece.values[name] for name in job.texts.names})
    if job.suffix != ".parquet":
        return piece, original
    import pyarrow as pa

    packed = pa.BufferOutputStream()  # a pickled slice has all that it is a slice of
    table = in_schema(original, job.schema)
    with pa.ipc.new_stream(packed, table.schema) as stream:
        stream.write_table(table)
    return piece, packed.getvalue().to_pybytes()


def _unpacked(original: Any) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(original).read_all() if isinstance(original, bytes) else original


def _opened(job: Job, model: Model) -> tuple[Predictor, object]:
    """The predictor of the directories that were sent, and what holds these if it reads on."""
    if not model:
        return open_predictor(job.path, job.config), None
    cache = os.environ.get("LORA_BERT_CACHE")
    held = tempfile.TemporaryDirectory(prefix="lora-bert-", ignore_cleanup_errors=True)
    place = Path(held.name)
    for name, content in model.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    backbone = str(place / BACKBONE) if (place / BACKBONE).is_dir() else None
    # What is noted of these directories goes with them.
    os.environ["LORA_BERT_CACHE"] = str(place / "cache")
    try:
        predictor = open_predictor(place / MODEL, replace(job.config, backbone=backbone))
    finally:
        del os.environ["LORA_BERT_CACHE"]
        if cache is not None:
            os.environ["LORA_BERT_CACHE"] = cache
    if predictor.engine.name == "torch":  # has all of it in memory; the others open graphs again
        held.cleanup()
    return predictor, held
