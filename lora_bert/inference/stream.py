"""Files in, files out: the same rows with their predictions, in memory that does not grow."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.data.columns import find_columns
from lora_bert.data.locations import to_predict
from lora_bert.data.rows import DEFAULT_READ, ReadOptions, TrainingFormat
from lora_bert.data.tables import Table, iter_tables
from lora_bert.errors import ConfigError, OutputError, TextError
from lora_bert.files import atomic_file, claim_file
from lora_bert.inference.predictor import TEXTS_AT_ONCE, Predictor
from lora_bert.inference.sinks import Columns, Sink, open_sink
from lora_bert.tasks.single_label import Refusal, answered

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def predict_file(
    predictor: Predictor,
    source: Path | Sequence[Path],
    target: Path,
    *,
    text_column: str | None = None,
    options: ReadOptions = DEFAULT_READ,
    overwrite: bool = False,
    refusal: Refusal | None = None,
) -> int:
    """Classify every row of ``source`` into ``target``; how many there were.

    Of a directory with parts, the rows are those of the test part, else the validation part, else
    the training part; of several files they are written one after the other.

    The columns of the input stay as they are and in order; behind them stand ``prediction``,
    ``score`` and ``prob_<label>``. A name that the input has already gets a number. With a
    ``refusal`` the prediction of rows that no label is probable enough for is its answer.

    Raises:
        ConfigError: An output format that is not known.
        OutputError: ``target`` exists (unless ``overwrite``), is the input, or cannot be written.
        DataError, NotFoundError: The input cannot be read.
    """
    files = to_predict(source) if isinstance(source, Path) else source
    check_target(files, target, overwrite=overwrite)
    suffix = target.suffix.lower()
    with (
        atomic_file(target, overwrite=overwrite) as work,
        open_sink(work, suffix, files, options, TEXTS_AT_ONCE) as sink,
    ):
        return predict_into(
            predictor, files, sink, text_column=text_column, options=options, refusal=refusal
        )


def predict_into(
    predictor: Predictor,
    files: Sequence[Path],
    sink: Sink,
    *,
    text_column: str | None = None,
    options: ReadOptions = DEFAULT_READ,
    refusal: Refusal | None = None,
) -> int:
    """As :func:`predict_file`, of files that are known, into any sink."""
    waiting: deque[tuple[Table, str]] = deque()
    known = predictor.manifest.column("text")

    def texts() -> Iterator[Sequence[str]]:
        for piece, text in _pieces(files, text_column, known, options):
            waiting.append((piece, text))
            yield piece.values[text]

    rows = 0
    names: Sequence[str] = ()
    try:
        for found in predictor.stream(texts()):
            piece, _ = waiting.popleft()
            names = names or _free_names(piece.columns, predictor.labels, refusal)
            sink.write(piece, _answers(predictor, found, names, refusal))
            rows += len(piece)
    except TextError as error:
        piece, column = waiting[-1]
        raise error.at(piece.at(piece.values[column].index(error.text))) from None
    return rows


def check_target(files: Sequence[Path], target: Path, *, overwrite: bool) -> None:
    """Find what is wrong with an output file before any work is done for it."""
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"--output '{target}': results are written as {', '.join(SUFFIXES)}.",
            hint="The name's ending decides.",
        )
    if target.exists() and any(file.exists() and target.samefile(file) for file in files):
        raise OutputError(f"Output '{target}' is the input.", hint="Name another file.")
    claim_file(target, overwrite=overwrite)


def _pieces(
    files: Sequence[Path], text_column: str | None, known: str | None, options: ReadOptions
) -> Iterator[tuple[Table, str]]:
    text = ""
    for piece in iter_tables(files, options, rows=TEXTS_AT_ONCE):
        if not text:
            text, _ = find_columns(
                piece.columns,
                text=text_column,
                label=None,
                need_label=False,
                training=TrainingFormat(text_column=known),
                cells=piece.values,
                source=piece.source,
            )
        yield piece, text


def _answers(
    predictor: Predictor, found: np.ndarray, names: Sequence[str], refusal: Refusal | None
) -> Columns:
    """The columns to add for the probabilities ``[rows, labels]`` of a piece."""
    answers = answered(predictor.labels, found, refusal)
    columns: list[Sequence[Any]] = [answers, found.max(axis=1).tolist(), *found.T.tolist()]
    if refusal:
        columns.insert(1, answered(predictor.labels, found))
    return dict(zip(names, columns, strict=True))


def _free_names(taken: Sequence[str], labels: Sequence[str], refusal: Refusal | None) -> list[str]:
    """Names for the added columns that the input does not have."""
    names: list[str] = []
    best = ["best"] if refusal else []  # whose probability the score is, given or not
    for wanted in ["prediction", *best, "score", *(f"prob_{label}" for label in labels)]:
        name, number = wanted, 2
        while name in taken or name in names:
            name, number = f"{wanted}_{number}", number + 1
        if name != wanted:
            log.info("The input has a column '%s': the new one is called '%s'.", wanted, name)
        names.append(name)
    return names
