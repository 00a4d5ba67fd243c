"""``evaluate``: a classifier and labelled rows -> a judgement, and files to look at."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.saving import RUN
from lora_bert.config import EvaluateConfig, TrainConfig, parse_label_names, parse_names
from lora_bert.data import named
from lora_bert.data.asked import data_options, read_options
from lora_bert.data.examples import Examples
from lora_bert.data.sources import DataOptions, Splits, load_rows, load_splits
from lora_bert.errors import ConfigError, NotFoundError
from lora_bert.evaluation.baseline import Baseline, tfidf_baseline
from lora_bert.evaluation.metrics import Floats
from lora_bert.evaluation.plots import confusion_png
from lora_bert.evaluation.result import Evaluation, judge
from lora_bert.evaluation.wrong_rows import write_wrong_rows
from lora_bert.files import atomic_directory, claim_output, spare_inputs
from lora_bert.inference.predictor import Predictor, load
from lora_bert.options import build, read_yaml
from lora_bert.tasks.classification import LabelCodec

log = logging.getLogger(__name__)


def evaluate(path: str | Path, data: str | Path | None = None, **options: Any) -> Evaluation:
    """Score an adapter or merged model on labelled rows.

    Args:
        path: Its directory.
        data: A file, directory or name; None: the rows that its own training held out.
        **options: See :class:`lora_bert.config.EvaluateConfig`.

    Raises:
        ConfigError: An option that is unknown or makes no sense.
        DataError, NotFoundError: The rows cannot be read, or have labels it does not know.
        AdapterError: It is incomplete, damaged, or made for another backbone.

    Example:
        >>> evaluate("adapters/waimai").scores.accuracy  # doctest: +SKIP
        0.902
    """
    return run(build(EvaluateConfig, {"path": path, "data": data, **options}))


def run(config: EvaluateConfig) -> Evaluation:
    """As :func:`evaluate`, of a checked configuration."""
    if config.output:
        claim_output(Path(config.output), overwrite=config.overwrite)
    if config.train and not config.baseline:
        raise ConfigError("--train names the rows for --baseline, which is not asked for.")
    predictor = load(
        config.path,
        backbone=config.backbone,
        labels=parse_names(config.labels),
        device=config.device,
        dtype=config.dtype,
        batch_size=config.batch_size,
        engine=config.engine,
    )
    if config.output:
        files = [name for name in (config.data, config.train) if name not in named.NAMED]
        spare_inputs(Path(config.output), (config.path, *predictor.places, *files))
    source = _Rows(config, predictor.manifest)
    rows = source.to_score()
    codec = LabelCodec(predictor.labels)
    true = np.asarray(codec.encode(rows.labels, rows.lines, rows.source))
    probabilities = predictor.probabilities(rows.texts)
    baseline = _baseline(source, rows) if config.baseline else None
    found = judge(codec.labels, probabilities, true, baseline=baseline)
    if config.output:
        _write(Path(config.output), found, rows, probabilities, predictor, config.overwrite)
    return found


class _Rows:
    """The rows an evaluation works with: those told, or those of the adapter's own training."""

    def __init__(self, config: EvaluateConfig, manifest: Manifest) -> None:
        self.config, self.manifest = config, manifest

    def to_score(self) -> Examples:
        """The rows to score."""
        config = self.config
        part = None if config.part == "auto" else config.part
        if config.data is None:
            return self.own(part or ("test" if "test" in self.manifest.metrics else "validation"))
        rows, _, digest = load_rows(config.data, options=self.options, part=part)
        if part is None and digest == self.manifest.data.get("sha256"):
            log.warning(
                "The adapter was trained on rows of '%s': this score is too good. For rows it has "
                "not seen, leave --data out or use --part.",
                config.data,
            )
        return rows

    def to_train(self) -> Examples:
        """The baseline's training rows."""
        if self.config.train:
            return load_rows(self.config.train, options=self.options)[0]
        return self.own("train")

    def own(self, part: str) -> Examples:
        """One part of the rows the adapter's own training used."""
        rows: Examples | None = getattr(self.own_splits, part)
        if rows is None:
            raise ConfigError(f"--part {part}: the adapter's training had no such rows.")
        if part != "train" and self.own_splits.sha256 != self.manifest.data.get("sha256"):
            log.warning(
                "'%s' has changed since the adapter was trained on it: rows it was trained on may "
                "be among the %s rows now.",
                self.own_splits.name,
                part,
            )
        log.info("Using the %s rows of '%s'.", part, self.own_splits.name)
        return rows

    @cached_property
    def options(self) -> DataOptions:
        """Reading as told; renaming labels and splitting as the adapter's training did."""
        config = self.config
        base = data_options(self.training) if self.training else DataOptions()
        return replace(
            base,
            text_column=config.text_column,
            label_column=config.label_column,
            known_text=self.manifest.column("text"),
            known_label=self.manifest.column("label"),
            label_names={**self.manifest.label_names, **parse_label_names(config.label_names)},
            read=read_options(config),
            limit=None if config.part == "auto" else base.limit,
        )

    @cached_property
    def training(self) -> TrainConfig | None:
        """How the adapter was trained, from its ``run.yaml``; None without one."""
        path = Path(self.config.path) / RUN
        return build(TrainConfig, read_yaml(path, TrainConfig)) if path.is_file() else None

    @cached_property
    def own_splits(self) -> Splits:
        """The rows of the adapter's own training, split as they were then."""
        own = self.training
        if own is None:
            raise ConfigError(
                f"'{self.config.path}' does not say what rows it was trained on.",
                hint="Name the rows to score with --data, and for --baseline those to train on "
                "with --train.",
            )
        try:
            return load_splits(
                own.data, train=own.train, validation=own.validation, test=own.test,
                options=data_options(own),
            )  # fmt: skip
        except NotFoundError as error:
            raise NotFoundError(
                f"The rows the adapter was trained on are not here: {error}",
                hint="Run this in the directory it was trained in, or name the rows with --data "
                "(and for --baseline with --train).",
            ) from error


def _baseline(rows: _Rows, scored: Examples) -> Baseline:
    train = rows.to_train()
    log.info("Training TF-IDF + linear SVM on %s rows.", f"{len(train):,}")
    return tfidf_baseline(train.texts, train.labels, scored.texts, scored.labels)


def _write(
    output: Path,
    found: Evaluation,
    rows: Examples,
    probabilities: Floats,
    predictor: Predictor,
    overwrite: bool,
) -> None:
    best = probabilities.argmax(axis=1)
    predicted: Sequence[str] = [predictor.labels[index] for index in best]
    with atomic_directory(output, overwrite=overwrite) as work:
        text = json.dumps(found.as_dict(), ensure_ascii=False, indent=2) + "\n"
        (work / "evaluation.json").write_text(text, encoding="utf-8")
        confusion_png(found.scores, work / "confusion.png")
        write_wrong_rows(
            work / "wrong.csv",
            texts=rows.texts,
            lines=rows.lines,
            true_labels=rows.labels,
            predicted_labels=predicted,
            confidence=probabilities.max(axis=1),
        )
