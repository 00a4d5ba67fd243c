"""Files in, files out: the same rows with their predictions, in memory that does not grow."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lora_bert.config.shared import BY_ITSELF, Decoding
from lora_bert.data.locations import to_predict
from lora_bert.data.pair_columns import find_text_columns
from lora_bert.data.rows import DEFAULT_READ, ReadOptions, TrainingFormat
from lora_bert.data.tables import Table, iter_tables
from lora_bert.data.tagged import Places, untagged_texts
from lora_bert.data.texts import Text, are_lists, texts_in
from lora_bert.errors import ConfigError, OutputError, TextError
from lora_bert.files import atomic_file, claim_file
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE
from lora_bert.inference.predictor import Predictor
from lora_bert.inference.read_texts import told_of_texts
from lora_bert.inference.sinks import Sink, open_sink, typed_rows, warn_of_formulas

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def predict_file(
    predictor: Predictor,
    source: Path | Sequence[Path],
    target: Path,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    options: ReadOptions = DEFAULT_READ,
    overwrite: bool = False,
    decoding: Decoding = BY_ITSELF,
) -> int:
    """Classify every row of ``source`` into ``target``; how many there were.

    Of a directory with parts, the rows are those of the test part, else the validation part, else
    the training part; of several files they are written one after the other.

    The columns of the input stay as they are and in order; behind them stand those of the task, a
    classifier's are ``prediction``, ``score`` and ``prob_<label>``. A name that the input has
    already gets a number. ``decoding`` is what is said of the answers.

    Raises:
        ConfigError: An output format that is not known.
        OutputError: ``target`` exists (unless ``overwrite``), is the input, or cannot be written.
        DataError, NotFoundError: The input cannot be read.
    """
    files = to_predict(source) if isinstance(source, Path) else source
    write = partial(
        predict_into, predictor, text_column=text_column, text_pair_column=text_pair_column,
        decoding=decoding,
    )  # fmt: skip
    with told_of_texts({"": predictor}):
        return into_file(files, target, write, options=options, overwrite=overwrite)


def into_file(
    files: Sequence[Path], target: Path, write: Callable[[Iterable[Table], Sink], int], *,
    options: ReadOptions = DEFAULT_READ, overwrite: bool = False,
) -> int:  # fmt: skip
    """Have the rows of ``files`` written to ``target``, whole or not at all; how many there were.

    ``write`` gets the rows in pieces and the sink.

    Raises:
        ConfigError, OutputError, DataError, NotFoundError: As :func:`predict_file`.
    """
    check_target(files, target, overwrite=overwrite)
    suffix = target.suffix.lower()
    with (
        atomic_file(target, overwrite=overwrite) as work,
        open_sink(work, suffix, typed_rows(files, suffix, options, TEXTS_AT_ONCE)) as sink,
    ):
        rows = write(iter_tables(files, options, rows=TEXTS_AT_ONCE), sink)
        warn_of_formulas(sink.formulas)
        return rows


def predict_into(
    predictor: Predictor, pieces: Iterable[Table], sink: Sink, *, text_column: str | None = None,
    text_pair_column: str | None = None, decoding: Decoding = BY_ITSELF,
) -> int:  # fmt: skip
    """As :func:`predict_file`, of rows that are read in ``pieces``, into any sink."""
    waiting: deque[tuple[Table, Places]] = deque()
    manifest = predictor.manifest
    training = TrainingFormat(
        text_column=manifest.column("text"), pair_column=manifest.column("text_pair"),
        inputs=manifest.inputs, tagging=manifest.tagging, finds_answers=manifest.finds_answers,
    )  # fmt: skip
    task = predictor.task.told(decoding)

    def texts() -> Iterator[Sequence[Text]]:
        names, lists = tuple[str, ...](), list[bool]()
        for piece in pieces:
            if not names:
                names = find_text_columns(
                    piece.columns, text=text_column, pair=text_pair_column, training=training,
                    cells=piece.values, source=piece.source,
                ).names  # fmt: skip
            cells = [piece.values[name] for name in names]
            part, places = untagged_texts(cells[0], task.words) if task.words else (None, ())
            waiting.append((piece, places))
            lists = lists or list(map(are_lists, cells))
            yield texts_in(cells, lists) if part is None else part

    rows = 0
    names: Sequence[str] = ()
    try:
        for values in predictor.computed_parts(texts()):
            piece, places = waiting.popleft()
            columns = task.columns_at(values, places) if places else task.columns(values)
            names = names or free_names(piece.columns, columns)
            like = {name: task.cells[column] for name, column in zip(names, columns, strict=True)
                    if column in task.cells}  # fmt: skip
            sink.write(piece, dict(zip(names, columns.values(), strict=True)), like)
            rows += len(piece)
    except TextError as error:
        raise error.at(waiting[-1][0].at(error.number)) from None
    return rows


def check_target(files: Sequence[Path], target: Path, *, overwrite: bool) -> None:
    """Find what is wrong with an output file before any work is done for it."""
    check_suffix(str(target))
    if target.exists() and any(file.exists() and target.samefile(file) for file in files):
        raise OutputError(f"Output '{target}' is the input.", hint="Name another file.")
    claim_file(target, overwrite=overwrite)


def check_suffix(target: str) -> None:
    """Raise ConfigError for an output of a format that is not written."""
    if Path(target).suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"--output '{target}': results are written as {', '.join(SUFFIXES)}.",
            hint="The name's ending decides.",
        )


def free_names(taken: Sequence[str], names: Iterable[str]) -> list[str]:
    """Names for the added columns that the input does not have."""
    free: list[str] = []
    for wanted in names:
        name, number = wanted, 2
        while name in taken or name in free:
            name, number = f"{wanted}_{number}", number + 1
        if name != wanted:
            log.info("The input has a column '%s': the new one is called '%s'.", wanted, name)
        free.append(name)
    return free
