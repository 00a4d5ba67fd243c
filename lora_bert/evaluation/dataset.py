"""Which rows an evaluation scores, and which ones the classifier was trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.trained_on import training_format, training_of
from lora_bert.config import EvaluateConfig, TrainConfig
from lora_bert.data import named
from lora_bert.data.data_options import DataOptions, data_options, read_options
from lora_bert.data.digests import note_data_location, noted_data_location, whole_fingerprints
from lora_bert.data.examples import Examples
from lora_bert.data.given import Given
from lora_bert.data.label_file import renaming, separator
from lora_bert.data.part_names import DATA_OPTIONS
from lora_bert.data.sources import Splits, load_rows, load_splits
from lora_bert.data.splits import sample
from lora_bert.data.texts import Text
from lora_bert.errors import ConfigError, DataError, NotFoundError
from lora_bert.tasks.problem_types import task_of

log = logging.getLogger(__name__)

_NAME_THEM = (
    "Name the rows to score with --data, and for --baseline those to train on with --train."
)


class EvaluationRows:
    """The rows an evaluation works with: named ones, or those of the adapter's training."""

    def __init__(self, config: EvaluateConfig, manifest: Manifest) -> None:
        self.config, self.manifest = config, manifest
        task = task_of(manifest.problem_type)
        self._form: dict[str, Any] = {"classes": task.classes, "label_form": task.label_form}

    def to_score(self) -> Examples:
        """The rows to score."""
        rows = self._named_or_own()
        most = self.config.limit
        if most is None or most >= len(rows):
            return rows
        log.info(
            "Scoring %s of the %s rows of '%s', drawn at random.",
            f"{most:,}", f"{len(rows):,}", Path(rows.source).name,
        )  # fmt: skip
        # With the training's own seed its --limit would draw the very rows it was trained on.
        return sample(rows, most, (self.training.split_seed if self.training else 0) + 1)

    def _named_or_own(self) -> Examples:
        config = self.config
        part = None if config.part == "auto" else config.part
        if config.data is None:
            part = part or ("test" if "test" in self.manifest.metrics else "validation")
            self._warn_if_fitted_to(part)
            return self.own(part)
        rows, _, digest = load_rows(config.data, options=self.options, part=part)
        kept = str(self.manifest.data.get("sha256"))
        if kept in (digest, *whole_fingerprints(config.data)):
            note_data_location(kept, {"data": config.data})
        if digest in self.manifest.learned_from and (part is None or self.training is None):
            log.warning(
                "The adapter was trained on rows of '%s': this score is too good.%s", config.data,
                " For rows it has not seen, leave --data out or use --part."
                if self.training else "",
            )  # fmt: skip
        if digest == kept:
            self._warn_if_fitted_to(part)
        return rows

    def _warn_if_fitted_to(self, part: str | None) -> None:
        """Say so where the adapter has learned from the part that is to be scored."""
        if part == "validation" and self._fitted_to_all:
            log.warning(
                "The adapter has learned from the validation rows too, after they had been "
                "answered: this score is too good.%s", self._said_before(),
            )  # fmt: skip

    def _said_before(self) -> str:
        """What the validation rows said before they were learned from; "" where it is not kept."""
        metric = task_of(self.manifest.problem_type).metrics[0]
        value = self.manifest.metrics.get("validation", {}).get(metric.name)
        if value is None:  # several adapters were combined, or scoring was stopped
            return ""
        said = f"{100 * value:.1f} %" if metric.share else f"{value:.3f}"
        return f" Before, their {metric.shown} was {said}."

    @cached_property
    def to_train(self) -> Examples:
        """The training rows: those named with --train, or the adapter's own."""
        if self.config.train:
            return load_rows(self.config.train, options=self.options)[0]
        return self.own("train")

    def trained_on(self) -> Sequence[Text] | None:
        """The texts or pairs that were learned from; None where they are not here any more."""
        own = self.training.data if self.training and not self.config.train else None
        if own in named.NAMED and not named.is_here(own):
            log.info("Whether rows were seen in training is not known: '%s' is not here.", own)
            return None
        try:
            if not self.config.train and self.own_splits.sha256 != self.manifest.data.get("sha256"):
                log.info("Whether rows were seen in training is not known: those have changed.")
                return None
            texts = self.to_train.texts
            if not self.config.train and self._fitted_to_all:
                return [*texts, *self.own("validation").texts]
            return texts
        except (ConfigError, DataError, NotFoundError) as error:
            if self.config.train:
                raise
            log.info("Whether rows were seen in training is not known: %s", error)
            return None

    def own(self, part: str) -> Examples:
        """One part of the rows the adapter's own training used."""
        rows: Examples | None = getattr(self.own_splits, part)
        if rows is None:
            raise ConfigError(f"--part {part}: the adapter's training had no such rows.")
        if part != "train" and self.own_splits.sha256 != self.manifest.data.get("sha256"):
            log.warning("'%s' has changed since the adapter was trained on it: rows it was trained "
                        "on may be among the %s rows now.", self.own_splits.name, part)  # fmt: skip
        log.info("Using the %s rows of '%s'.", part, Path(rows.source).name)
        return rows

    @property
    def _fitted_to_all(self) -> bool:
        """Whether the validation rows too were learned from."""
        return bool(self.manifest.data.get("fitted_to_all"))

    @cached_property
    def options(self) -> DataOptions:
        """Reading as the options say; labels and split as in the adapter's training."""
        config = self.config
        base = data_options(self.training or TrainConfig(), **self._form)
        format_ = training_format(self.manifest)
        format_ = replace(format_, labels=format_.labels.union(config.out_of_scope))
        return replace(
            base,
            text_column=config.text_column,
            text_pair_column=config.text_pair_column,
            label_column=config.label_column,
            label_names={**self.manifest.label_names, **renaming(config)},
            label_separator=separator(config.label_separator) or base.label_separator,
            read=read_options(config, format_),
            limit=None if config.part == "auto" else base.limit,
            beside=config.by,
        )

    @cached_property
    def training(self) -> TrainConfig | None:
        """How the rows of the training were named, read and divided, if that is kept."""
        return training_of(Path(self.config.path), self.manifest)

    @cached_property
    def own_splits(self) -> Splits:
        """The rows of the adapter's own training, split as they were then."""
        own, kept = self.training, str(self.manifest.data.get("sha256"))
        if self.manifest.data.get("from_python"):
            if (splits := self._given(own)) and splits.sha256 == kept:
                return splits
            raise ConfigError(
                f"The rows that '{self.config.path}' was trained on were given from Python, as "
                f"'{self.manifest.data.get('name')}': no file holds them.",
                hint=_NAME_THEM,
            )
        if own is None:
            raise ConfigError(
                f"'{self.config.path}' does not say what rows it was trained on.", hint=_NAME_THEM
            )
        noted = self._noted(own, kept)
        if noted and noted.sha256 == kept:
            return noted
        try:
            return self._split(own)
        except NotFoundError as error:
            if noted:
                return noted
            raise NotFoundError(
                f"The rows the adapter was trained on are not here: {error}",
                hint="Name them with --data (and for --baseline with --train); an adapter keeps no "
                "paths, so where they were is known only to the machine it was trained on.",
            ) from error

    def _given(self, own: TrainConfig | None) -> Splits | None:
        """The rows that were given again from Python, which may be those of the training."""
        if own is None or not isinstance(self.config.data, Given):
            return None
        options: dict[str, Any] = {**dict.fromkeys(DATA_OPTIONS), "data": self.config.data}
        try:
            return self._split(replace(own, **options))
        except (ConfigError, DataError):
            return None

    def _noted(self, own: TrainConfig, sha256: str) -> Splits | None:
        """The rows from where this machine has seen them, if they are still there."""
        noted = noted_data_location(sha256)
        if not noted:
            return None
        options: dict[str, Any] = dict.fromkeys(DATA_OPTIONS)
        options |= {option: paths[0] if len(paths) == 1 else tuple(paths)
                    for option, paths in noted.items() if option in DATA_OPTIONS}  # fmt: skip
        try:
            return self._split(replace(own, **options))
        except NotFoundError:
            return None
        except (ConfigError, DataError) as error:
            log.info("Where the rows were when it was trained, there are others now: %s", error)
            return None

    def _split(self, own: TrainConfig) -> Splits:
        options = data_options(own, **self._form)
        # Whether they are pairs was decided by the training, and not by what names say today.
        asked = replace(options.read.training, inputs=self.manifest.inputs)
        return load_splits(
            own.data, train=own.train, validation=own.validation, test=own.test,
            options=replace(options, read=replace(options.read, training=asked),
                            beside=self.config.by),
        )  # fmt: skip
