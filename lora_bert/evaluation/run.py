"""``evaluate``: a classifier and labelled rows -> a judgement, and files to look at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Unpack

import numpy as np

from lora_bert.config import EvaluateConfig, parse_names
from lora_bert.config.keywords import EvaluateOptions
from lora_bert.config.kinds import Place, Rows
from lora_bert.data import named
from lora_bert.data.examples import Examples
from lora_bert.data.given import with_given_rows
from lora_bert.data.wording import listed
from lora_bert.errors import ConfigError
from lora_bert.evaluation.baseline import Baseline, tfidf_baseline
from lora_bert.evaluation.comparison import Comparison, compare
from lora_bert.evaluation.judged import Judged
from lora_bert.evaluation.metrics import Indices
from lora_bert.evaluation.overlap import overlap
from lora_bert.evaluation.page import write_report
from lora_bert.evaluation.plots import confusion_png
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.evaluation.row_tables import SuspectRow, WrongRow, write_rows
from lora_bert.evaluation.rows import EvaluationRows
from lora_bert.files import atomic_directory, claim_file, claim_output, spare_inputs
from lora_bert.inference.predictor import Predictor, open_predictor
from lora_bert.json_files import json_text
from lora_bert.options import build
from lora_bert.python_face import called_from_python
from lora_bert.tasks.classification import LabelCodec

log = logging.getLogger(__name__)


@called_from_python(EvaluateConfig, EvaluateOptions)
def evaluate(
    path: Place, data: Rows | None = None, **options: Unpack[EvaluateOptions]
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
    _claim(config)
    predictor = _load(config, config.path)
    other = _load(config, config.against) if config.against else None
    _spare(config, predictor, other)
    source = EvaluationRows(config, predictor.manifest)
    rows = source.to_score()
    codec = LabelCodec(predictor.labels)
    true = np.asarray(codec.encode(rows))
    probabilities = predictor.probabilities(rows.texts)
    answers = probabilities.argmax(axis=1)
    training_texts = source.trained_on()
    found = judge(
        codec.labels,
        probabilities,
        true,
        overlap=overlap(rows.texts, training_texts, answers, true) if training_texts else None,
        against=_compare(config, predictor, other, rows, answers, true) if other else None,
        baseline=_baseline(source, rows) if config.baseline else None,
    )
    judged = Judged(found, rows, probabilities, true)
    if config.output:
        _write(Path(config.output), judged, config.overwrite)
    if config.report:
        title = f"{config.path} on {Path(rows.source).name}"
        write_report(Path(config.report), judged, title=title, overwrite=config.overwrite)
    return found


def _claim(config: EvaluateConfig) -> None:
    """Find out before any work that the results can be written."""
    if config.output:
        claim_output(Path(config.output), overwrite=config.overwrite)
    if config.report:
        claim_file(Path(config.report), overwrite=config.overwrite)


def _spare(config: EvaluateConfig, *predictors: Predictor | None) -> None:
    places = [place for one in predictors if one for place in one.places]
    files = [name for name in (config.data, config.train) if name not in named.NAMED]
    inputs = (config.path, config.against, *places, *files)
    for target in filter(None, (config.output, config.report)):
        spare_inputs(Path(target), inputs)


def _load(config: EvaluateConfig, path: str) -> Predictor:
    return open_predictor(
        path,
        backbone=config.backbone,
        allow_backbone_mismatch=config.allow_backbone_mismatch,
        labels=parse_names(config.labels),
        device=config.device,
        dtype=config.dtype,
        batch_size=config.batch_size,
        engine=config.engine,
    )


def _compare(
    config: EvaluateConfig,
    predictor: Predictor,
    other: Predictor,
    rows: Examples,
    answers: Indices,
    true: Indices,
) -> Comparison:
    if set(other.labels) != set(predictor.labels):
        raise ConfigError(
            f"--against '{config.against}' knows other labels than '{config.path}': "
            f"{listed(sorted(set(other.labels) ^ set(predictor.labels)))}.",
        )
    place = np.array([predictor.labels.index(label) for label in other.labels])
    theirs = place[other.probabilities(rows.texts).argmax(axis=1)]
    return compare(str(config.against), answers, theirs, true)


def _baseline(source: EvaluationRows, scored: Examples) -> Baseline:
    train = source.to_train
    log.info("Training TF-IDF + linear SVM on %s rows.", f"{len(train):,}")
    return tfidf_baseline(train.texts, train.labels, scored.texts, scored.labels)


def _write(output: Path, judged: Judged, overwrite: bool) -> None:
    with atomic_directory(output, overwrite=overwrite) as work:
        text = json_text(judged.evaluation.as_dict()) + "\n"
        (work / "evaluation.json").write_text(text, encoding="utf-8")
        confusion_png(judged.evaluation.scores, work / "confusion.png")
        write_rows(work / "wrong.csv", WrongRow._fields, judged.wrong)
        write_rows(work / "suspects.csv", SuspectRow._fields, judged.suspects)
