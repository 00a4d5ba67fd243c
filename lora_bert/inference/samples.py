"""The texts on which two forms of one model are compared."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.trained_on import training_format
from lora_bert.config import ExportConfig, MergeConfig
from lora_bert.data.columns import label_columns
from lora_bert.data.data_options import read_options
from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.given import Given
from lora_bert.data.label_file import renaming, separator
from lora_bert.data.locations import to_predict
from lora_bert.data.pair_columns import find_text_columns
from lora_bert.data.rows import NO_TRAINING
from lora_bert.data.tables import Table, read_table
from lora_bert.data.tagged import tag_columns, untagged_texts
from lora_bert.data.texts import Text, TextPairs, are_pairs
from lora_bert.errors import AdapterError, TextError
from lora_bert.inference.predictor import Predictor
from lora_bert.tasks.problem_types import task_of
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.wording import counted

log = logging.getLogger(__name__)

MOST_TEXTS = 1000


def probes(inputs: int = 1) -> Examples:
    """The 64 texts that ship for the comparison, Chinese and English, short and long; no labels.

    Where a row has two ``inputs``, they are 64 pairs of these.
    """
    resource = package_files("lora_bert.inference") / "probes.txt"
    first = tuple(resource.read_text(encoding="utf-8").splitlines())
    # Pairs are each text with the one after it.
    texts = TextPairs(first, (*first[1:], first[0])) if inputs == 2 else first
    return Examples(texts, (), tuple(range(1, len(first) + 1)), "probes.txt")


def answerable(rows: Examples, tokenizer: TextTokenizer) -> Examples:
    """The rows whose tokens all have an embedding; an empty text where no row is such.

    Questions that leave no room for a context are none either.
    """
    left = rows
    while len(left):
        try:
            beyond = set(tokenizer.beyond_in(tokenizer.encode_all(left.texts)))
        except TextError as error:
            beyond = {error.number}
        if not beyond:
            return left
        left = left.take(np.array([row for row in range(len(left)) if row not in beyond], int))
    empty: Sequence[Text] = ("",) if rows.inputs == 1 else TextPairs(("",), ("",))
    return Examples(empty, (), (1,), rows.source)


def check_answers(predictor: Predictor) -> str:
    """Have a predictor answer the texts that ship; what it said of them, in words.

    Raises:
        AdapterError: Its answers are no numbers.
    """
    texts = answerable(probes(predictor.manifest.inputs), predictor.tokenizer).texts
    kind = predictor.task.values_are
    if not predictor.task.finite(predictor.computed(texts)):
        raise AdapterError(f"Its answers to the texts that ship are not {kind}.")
    what = "pair" if are_pairs(texts) else "text"
    return f"{kind} for {counted(len(texts), what)}"


def _known_labels(table: Table, manifest: Manifest, renamed: Mapping[str, str]) -> str | None:
    """The column of the training's labels, where this table has it and the model's labels in it.

    A test file may have none in that column, or the -1 of labels that are kept back: then the texts
    alone are compared.
    """
    name = manifest.column("label")
    columns = label_columns(name, table.columns)
    if len(columns) != 1:
        return name if columns else None
    standing = {cell.strip() for cell in table.values[columns[0]]}
    known = {*manifest.labels, *renamed}
    if known.isdisjoint(standing) and not any(cell[:1] in ("[", "{") for cell in standing):
        log.info("'%s' has none of the model's labels: only its texts count.", table.source)
        return None
    return name


def samples(config: MergeConfig | ExportConfig, manifest: Manifest) -> Examples:
    """At most 1,000 rows of a file, with their labels where it has some; else the texts that ship.

    Of more they are drawn at random, the same ones each time. The model's manifest knows its
    columns and labels, and how its training was read.

    Raises:
        DataError, NotFoundError: The file cannot be read, or has no such column.
    """
    data = config.data
    if data is None:
        return probes(manifest.inputs)
    source = data.to_judge if isinstance(data, Given) else to_predict(Path(data))
    table = read_table(source, read_options(config, training_format(manifest)))
    read = _words if manifest.tagging else _questions if manifest.finds_answers else _texts
    rows = read(table, config, manifest)
    if len(rows) <= MOST_TEXTS:
        return rows
    # Drawn, because files are often sorted by label; with one seed, so that it can be repeated.
    log.info(
        "Comparing on %s of %s of '%s', drawn at random.",
        f"{MOST_TEXTS:,}",
        counted(len(rows), "row"),
        rows.source,
    )
    return rows.take(sorted(random.Random(0).sample(range(len(rows)), MOST_TEXTS)))


def _texts(table: Table, config: MergeConfig | ExportConfig, manifest: Manifest) -> Examples:
    """The rows of a table of texts, or of pairs."""
    training, text = training_format(manifest), manifest.column("text")
    renamed = {**manifest.label_names, **renaming(config)}
    return examples_from(
        table,
        text_column=config.text_column or (text if text in table.columns else None),
        pair_column=config.text_pair_column,
        training=replace(NO_TRAINING, pair_column=training.pair_column, inputs=training.inputs),
        label_column=config.label_column or _known_labels(table, manifest, renamed),
        label_names=renamed,
        known_labels=manifest.labels,
        need_labels=False,
        label_form=task_of(manifest.problem_type).label_form,
        label_separator=separator(config.label_separator),
    )


def _questions(table: Table, config: MergeConfig | ExportConfig, manifest: Manifest) -> Examples:
    """The questions and contexts of a table, without answers."""
    names = find_text_columns(
        table.columns, text=config.text_column, pair=config.text_pair_column,
        training=training_format(manifest), cells=table.values, source=table.source,
    ).names  # fmt: skip
    texts = TextPairs(*(table.values[name] for name in names))
    return Examples(texts, (), table.lines, table.source, table.unit, files=table.files)


def _words(table: Table, config: MergeConfig | ExportConfig, manifest: Manifest) -> Examples:
    """The texts of a table of words, without tags."""
    rule = manifest.restored_task(config.data).words
    kept = manifest.column("text")
    kept = kept if kept in table.columns else None
    column, _ = tag_columns(table, text=config.text_column or kept, tags=None)
    texts, _ = untagged_texts(table.values[column], rule)
    return Examples(texts, (), table.lines, table.source, table.unit, files=table.files)
