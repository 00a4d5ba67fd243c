"""``evaluate``: a classifier and labelled rows -> a judgement, and files to look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from lora_bert.config import EvaluateConfig
from lora_bert.config.keywords import EvaluateOptions
from lora_bert.config.kinds import RowsLike, StrPath
from lora_bert.data.examples import Examples
from lora_bert.data.given import with_given_rows
from lora_bert.data.locations import inputs
from lora_bert.data.texts import Text, are_pairs
from lora_bert.errors import ConfigError, DataError, TextError, did_you_mean
from lora_bert.evaluation.baseline import tfidf_baseline
from lora_bert.evaluation.dataset import EvaluationRows
from lora_bert.evaluation.overlap import overlap
from lora_bert.evaluation.page import write_report
from lora_bert.evaluation.plots import confusion_png
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.evaluation.row_tables import table_columns, table_rows, tables_of, write_rows
from lora_bert.evaluation.slices import columns_of_slices, slices
from lora_bert.evaluation.training_settings import differences, trained_for
from lora_bert.files import atomic_directory, claim_file, claim_output, spare_inputs
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.inference.read_texts import told_of_texts
from lora_bert.json_files import json_text
from lora_bert.options import build, flag
from lora_bert.python_face import called_from_python
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.wording import listed, shortened

log = logging.getLogger(__name__)

_OR_OUT_OF_SCOPE = "Rows that belong to no class are scored with --out-of-scope LABEL."


@called_from_python(EvaluateConfig, EvaluateOptions)
def evaluate(
    path: StrPath, data: RowsLike | None = None, **options: Unpack[EvaluateOptions]
) -> Evaluation:
    """Score an adapter or merged model on labelled rows.

    Args:
        path: Its directory.
        data: A file, directory or name, or the rows themselves as :func:`lora_bert.train` takes
            them; None: the rows that its own training held out.
        **options: See :class:`lora_bert.config.EvaluateConfig`.

    Raises:
        ConfigError: An option that is unknown or makes no sense.
        DataError, NotFoundError: The rows cannot be read, or have labels it does not know.
        AdapterError: It is incomplete, damaged, or made for another backbone.

    Example:
        >>> evaluate("adapters/waimai").scores.accuracy  # doctest: +SKIP
        0.902
    """
    return run(build(EvaluateConfig, with_given_rows({"path": path, "data": data, **options})))


def run(config: EvaluateConfig) -> Evaluation:
    """As :func:`evaluate`, of a checked configuration."""
    # Whether the results can be written is found out before any work.
    if config.output:
        claim_output(Path(config.output), overwrite=config.overwrite)
    if config.report:
        claim_file(Path(config.report), overwrite=config.overwrite)
    predictor = open_predictor(config.path, config)
    task = predictor.task.asked_with(
        max_answer_length=config.max_answer_length, null_threshold=config.null_threshold,
        answer_units=config.answer_units,
    )  # fmt: skip
    _check_fits(config, task)
    metric = task.metric(config.metric or trained_for(config.path, predictor.manifest)).name
    other = open_predictor(config.against, config) if config.against else None
    _spare(config, predictor, other)
    source = EvaluationRows(config, predictor.manifest)
    rows, outside = _by_scope(config, source.to_score(), predictor.labels)
    by = columns_of_slices(config.by, rows)
    tokens = _tokens_of(rows, predictor)
    targets = task.targets(rows, tokens, hint=_OR_OUT_OF_SCOPE if task.classes else "")
    with told_of_texts({config.path: predictor}):
        values = predictor.values_of(tokens)
    beside: dict[str, Any] = {}
    if training_texts := source.trained_on():
        beside["overlap"] = overlap(rows.texts, training_texts, task.right(values, targets))
    if other:
        _warn_of_rows_seen(config, other, rows.texts)
        theirs = _values_of(other, rows.texts, config, predictor)
        against = str(config.against)
        them = other.task.asked_with(max_answer_length=config.max_answer_length)
        apart = differences((config.path, predictor.manifest), (against, other.manifest))
        beside["against"] = task.compare(
            against, values, theirs, targets, by=them, metric=metric, settings=apart
        )
    if config.baseline:
        learned = source.to_train
        if task.linear_class:
            log.info("Training TF-IDF + %s on %s rows.", task.linear_model, f"{len(learned):,}")
        fitted_on = learned, task.targets(learned, _tokens_of(learned, predictor))
        beside["baseline"] = tfidf_baseline(task, fitted_on, (rows, targets), values, metric=metric)
    if by:
        beside["slices"] = slices(task, values, targets, rows, tokens, by)
    if outside:
        values_outside = predictor.values_of(_tokens_of(outside, predictor))
        beside["outside"] = config.out_of_scope, values_outside
    accuracy = config.target_accuracy
    evaluation = judge(task, values, targets, metric=metric, target_accuracy=accuracy, **beside)
    if config.output:
        _write(Path(config.output), evaluation, rows, config.overwrite)
    if config.report:
        title = f"{config.path} on {Path(rows.source).name}"
        write_report(Path(config.report), evaluation, rows, title=title, overwrite=config.overwrite)
    return evaluation


def _check_fits(config: EvaluateConfig, task: Task) -> None:
    """Refuse what only classes can be judged by, before anything is computed."""
    for name in ("target_accuracy", "out_of_scope", "against", "baseline"):
        if getattr(config, name) and name not in task.judged_with:
            raise ConfigError(
                f"{flag(name)} is for models that say which class a text is of; '{config.path}' "
                f"answers a '{task.problem_type}'."
            )


def _tokens_of(rows: Examples, predictor: Predictor) -> TokenizedTexts:
    """The tokens of the texts; a text that the model cannot read is named with its row."""
    try:
        return predictor.tokenizer.encode(rows.texts)
    except TextError as error:
        raise error.at(rows.at(error.number)) from None


def _warn_of_rows_seen(config: EvaluateConfig, other: Predictor, texts: Sequence[Text]) -> None:
    """Say so where the other classifier was trained on rows that both are scored on."""
    own = replace(config, path=str(config.against), data=None, part="auto", train=None)
    training_texts = EvaluationRows(own, other.manifest).trained_on()
    if training_texts and (seen := overlap(texts, training_texts, None).rows):
        log.warning(
            "%s of the %s texts stand in the training rows of '%s' too, which flatters it.",
            f"{seen:,}", f"{len(texts):,}", config.against,
        )  # fmt: skip


def _by_scope(
    config: EvaluateConfig, rows: Examples, known: Sequence[str]
) -> tuple[Examples, Examples | None]:
    """The rows of the classes, and those that ``--out-of-scope`` says belong to none of them."""
    present = set(rows.labels)
    for label in config.out_of_scope:
        if label in known:
            raise ConfigError(
                f"--out-of-scope '{shortened(label)}': the adapter knows this label.",
                hint="Only labels that it was not trained on are out of its scope.",
            )
        if label not in present:
            raise ConfigError(
                f"--out-of-scope '{shortened(label)}': no row has this label.",
                hint=did_you_mean(label, present - set(known)),
            )
    if not config.out_of_scope:
        return rows, None
    strangers = [at for at, label in enumerate(rows.labels) if label in config.out_of_scope]
    own = [at for at, label in enumerate(rows.labels) if label not in config.out_of_scope]
    if not own:
        raise DataError(
            "--out-of-scope: every row is out of scope, and there is nothing to compare with.",
            hint="The data must hold rows of the adapter's own labels, too.",
        )
    return rows.take(own), rows.take(strangers)


def _spare(config: EvaluateConfig, *predictors: Predictor | None) -> None:
    places = [place for each in predictors if each for place in each.places]
    read = (config.path, config.against, *places, *inputs((config.data, config.train)))
    for target in filter(None, (config.output, config.report)):
        spare_inputs(Path(target), read)


def _values_of(
    other: Predictor, texts: Sequence[Text], config: EvaluateConfig, ours: Predictor
) -> np.ndarray:
    """The other classifier's values, its outputs in the order of our labels."""
    if other.manifest.problem_type != ours.manifest.problem_type:
        raise ConfigError(
            f"--against '{config.against}' answers a '{other.manifest.problem_type}', "
            f"'{config.path}' a '{ours.manifest.problem_type}': they cannot be compared."
        )
    if other.manifest.inputs not in (0, 2 if are_pairs(texts) else 1):
        kinds = ("single texts", "pairs of texts")
        own, theirs = kinds[::-1] if other.manifest.inputs == 1 else kinds
        raise ConfigError(
            f"--against '{config.against}' was trained on {theirs}, '{config.path}' on {own}."
        )
    labels = ours.labels
    if unlike := set(other.labels) ^ set(labels):
        raise ConfigError(
            f"--against '{config.against}' knows other labels than '{config.path}': "
            f"{listed(sorted(unlike))}."
        )
    return ours.task.reordered(other.computed(texts), [other.labels.index(each) for each in labels])


def _write(output: Path, evaluation: Evaluation, rows: Examples, overwrite: bool) -> None:
    with atomic_directory(output, overwrite=overwrite) as work:
        text = json_text(evaluation.as_dict()) + "\n"
        (work / "evaluation.json").write_text(text, encoding="utf-8")
        if evaluation.by_class:
            confusion_png(evaluation.by_class, work / "confusion.png")
        for table in tables_of(evaluation):
            lines = (list(row.values()) for row in table_rows(evaluation, table, rows))
            write_rows(work / f"{table}.csv", table_columns(table, rows), lines)
