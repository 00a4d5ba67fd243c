"""From what the user names to training, validation and test examples."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_bert.data import named
from lora_bert.data.answers import learnable
from lora_bert.data.data_options import DEFAULTS, DataOptions
from lora_bert.data.digests import fingerprint
from lora_bert.data.examples import Examples
from lora_bert.data.given import Given
from lora_bert.data.locations import Location, locate, locate_files
from lora_bert.data.part_names import JUDGED_FIRST, PARTS
from lora_bert.data.parts import Parts, Reading
from lora_bert.data.splits import sample, split, usual_fraction
from lora_bert.errors import ConfigError, DataError, NotFoundError, did_you_mean
from lora_bert.wording import counted, listed, shortened, utf8_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The parts of a data set to train on.

    Attributes:
        test: The test rows; None where there are none.
        name: The data set's name without directories.
        sha256: Over the bytes of all files read, in the order train, validation, test.
        columns: What the training rows' columns are called, by ``text``, ``label`` and, of pairs,
            ``text_pair``.
        held_out: The share of rows that was split off for validation; None where those are rows of
            their own.
    """

    train: Examples
    validation: Examples
    test: Examples | None
    name: str
    sha256: str
    columns: Mapping[str, str]
    held_out: float | None = None


Named = str | Sequence[str] | None
"""A file or a pattern that files fit, or several of them."""


def load_splits(
    data: str | None,
    *,
    train: Named = None,
    validation: Named = None,
    test: Named = None,
    options: DataOptions = DEFAULTS,
    reading: Reading | None = None,
) -> Splits:
    """Read a data set for training.

    Args:
        data: As :func:`lora_bert.data.locations.locate` takes it; ``None`` with no other file
            stands for ``takeaway-mini``.
        train: A file of training rows, a pattern, or several of them, in place of ``data``.
        validation: The same of validation rows; without any they are split off the training rows.
            Validation or test rows without labels are left out, with a warning.
        test: The same of test rows.
        options: How to read and divide.
        reading: What the training rows, as they stand in the file, make of these options.

    Raises:
        ConfigError: ``data`` and ``train`` are both given, or neither though rows to train are
            needed.
        NotFoundError: A file, directory or name does not exist.
        DataError: A file cannot be understood, or has a label that training rows do not have.
    """
    location = _location(data, {"train": train, "validation": validation, "test": test})
    if "train" not in location.parts:
        raise DataError(
            f"'{data}' has no training rows; it has {listed(location.parts)}.",
            hint="A directory's training rows are a file called train, such as train.csv.",
        )
    parts = Parts(location, options, reading)
    labelled = parts.labelled()
    labelled["train"] = _to_learn(labelled["train"])
    options = _with_fraction(labelled["train"], parts.options)
    fitted = _fit_to_train(labelled, options)
    return Splits(
        train=fitted["train"],
        validation=fitted["validation"],
        test=fitted.get("test"),
        name=location.name,
        sha256=fingerprint(file for part in labelled for file in location.parts[part]),
        columns=parts.columns,
        held_out=None if "validation" in labelled else options.validation_fraction,
    )


def load_rows(
    data: str, *, options: DataOptions = DEFAULTS, part: str | None = None
) -> tuple[Examples, str, str]:
    """Read one labelled set.

    Args:
        data: A file, a directory or a name.
        options: How to read; the split options count only where ``part`` needs a split.
        part: ``"train"``, ``"validation"`` or ``"test"``. By default all rows of a file; of a
            directory the test rows, else the validation rows, else the training rows, the first
            that have labels. Where there is no file for a part, or one without labels, it is what
            training would split off.

    Returns:
        The examples, the portable name of the data, the SHA-256 of the files read.

    Raises:
        NotFoundError: The data or the part of it does not exist.
        DataError: The file cannot be understood, or has no labels.
    """
    location = locate(data)
    parts = Parts(location, options)
    labelled: Collection[str] = location.parts
    if len(labelled) > 1 and part is not None:
        labelled = [name for name in location.parts if not parts.without_labels(name)]
    must_split = part is not None and part in _to_divide(labelled, options)
    chosen = "train" if must_split else part or _first_to_judge(parts, location, data)
    if chosen not in location.parts:
        raise NotFoundError(f"'{data}' has no {part} part; it has {listed(location.parts)}.")
    rows = parts.rows(chosen)
    rows = _limited(_to_learn(rows) if must_split else rows, options)
    if part is not None and must_split:
        rows = _divided(rows, labelled, _with_fraction(rows, options))[part]
    return rows, location.name, fingerprint(location.parts[chosen])


def _to_learn(rows: Examples) -> Examples:
    """The training rows that can be learned from; their held-out rows come from among them too."""
    return learnable(rows) if rows.label_form == "answers" else rows


def _first_to_judge(parts: Parts, location: Location, data: str) -> str:
    """The part to score where none is named: the first with labels."""
    candidates = [part for part in JUDGED_FIRST if part in location.parts]
    if len(candidates) == 1:
        return candidates[0]
    for part in candidates:
        if reason := parts.without_labels(part):
            logger.warning("The %s rows of '%s' are not scored: %s.", part, data, reason)
        else:
            logger.info("Using the %s rows of '%s'.", part, data)
            return part
    return candidates[0]


def _location(data: str | None, files: Mapping[str, Named]) -> Location:
    """Where the parts lie: those of ``data``, with the ones named singly put in their place."""
    given = {
        part: locate_files([names] if isinstance(names, str | Path) else names, part)
        for part, names in files.items()
        if names
    }
    _refuse_the_same(given)
    if data is not None and "train" in given:
        raise ConfigError(
            "--data and --train are both given.", hint="Give one: both name the training rows."
        )
    if data is None and not given:
        logger.info("No data given: using '%s', which ships with lora-bert.", named.DEFAULT)
        data = named.DEFAULT
    if data is None and "train" not in given:
        raise ConfigError("There are no training rows.", hint="Give them with --train or --data.")
    if data is None:
        first, *others = given["train"]
        name = str(first) if isinstance(first, Given) else utf8_name(first.absolute().name)
        return Location(f"{name} (and {len(others):,} more)" if others else name, given)
    location = locate(data)
    merged = {**location.parts, **given}
    return Location(location.name, {part: merged[part] for part in PARTS if part in merged})


def _refuse_the_same(given: Mapping[str, tuple[Path | Given, ...]]) -> None:
    """Refuse training files that are named for another part too, as by a pattern."""
    train = given.get("train", ())
    for part in ("validation", "test"):
        both = [Path(path).name for path in given.get(part, ()) if len(train) > 1 and path in train]
        if both:
            raise DataError(
                f"The files of --train and of --{part} are in part the same: {listed(both)}.",
                hint="Name each file once.",
            )


def _fit_to_train(parts: dict[str, Examples], options: DataOptions) -> dict[str, Examples]:
    """Parts of the wanted size, with a validation part and no label that training rows lack."""
    if options.classes:
        for part in [part for part in parts if part != "train"]:
            _check_labels(parts["train"], parts[part])
    fitted = {part: _limited(examples, options) for part, examples in parts.items()}
    fitted |= _divided(fitted["train"], fitted, options)
    train = fitted["train"]
    for part in [part for part in fitted if part != "train"]:
        if options.limit is not None and (options.classes or train.label_form == "tags"):
            fitted[part] = _with_known_labels(train, fitted[part])
        if options.classes:
            _check_labels(train, fitted[part], divided=part not in parts)
    return fitted


def _with_known_labels(train: Examples, other: Examples) -> Examples:
    """The rows of ``other`` with a label that is left after ``--limit`` took rows from training."""
    known = set(train.label_counts)
    within = {label for label in dict.fromkeys(other.labels) if known.issuperset(other.each(label))}
    kept = [at for at, label in enumerate(other.labels) if label in within]
    if not kept:
        raise DataError(
            f"--limit leaves no label of '{other.source}' in the training rows.",
            hint="Use a larger limit.",
        )
    if len(kept) < len(other):
        logger.warning(
            "Left out %s of '%s': --limit left their labels without a training row.",
            counted(len(other) - len(kept), "row"), other.source,
        )  # fmt: skip
    return other.take(kept)


def _limited(examples: Examples, options: DataOptions) -> Examples:
    if options.limit is None:
        return examples
    chosen = sample(examples, options.limit, options.split_seed)
    if len(chosen) < len(examples):
        logger.info(
            "Using %s of %s of '%s', drawn at random.",
            f"{len(chosen):,}", counted(len(examples), "row"), examples.source,
        )  # fmt: skip
    return chosen


def _to_divide(present: Collection[str], options: DataOptions) -> list[str]:
    """The parts that come from dividing the training rows: those, and the ones not there."""
    wanted = ["test"] * (options.test_fraction > 0) + ["validation"]
    parts = [part for part in wanted if part not in present]
    return ["train", *parts] if parts else []


def _with_fraction(examples: Examples, options: DataOptions) -> DataOptions:
    """The options with the share of validation rows: where it is open, by how many a class has."""
    if options.validation_fraction is not None:
        return options
    rows = min(len(examples), options.limit or len(examples))
    classes = len(examples.label_counts) if options.classes else 1
    return replace(options, validation_fraction=usual_fraction(rows, classes))


def _divided(
    examples: Examples, present: Collection[str], options: DataOptions
) -> dict[str, Examples]:
    """Training rows and what is split off them: test rows first, then validation rows."""
    fractions = {"test": options.test_fraction, "validation": options.validation_fraction or 0.0}
    parts = {"train": examples}
    for part in _to_divide(present, options)[1:]:
        rows = parts["train"]
        parts["train"], parts[part] = split(
            rows, fraction=fractions[part], how=options.split, seed=options.split_seed,
            classes=options.classes,
        )  # fmt: skip
        logger.info(
            "Split off %s of %s for %s (%s, seed %s).",
            f"{len(parts[part]):,}", counted(len(rows), "row"), part,
            options.split if options.classes else "random", options.split_seed,
        )  # fmt: skip
    return parts


def _check_labels(train: Examples, other: Examples, *, divided: bool = False) -> None:
    """Raise a :class:`DataError` for the first row of ``other`` with a label ``train`` lacks."""
    known = dict.fromkeys(train.label_counts)
    if (strange := other.first_beside(known)) is None:
        return
    row, label = strange
    raise DataError(
        f"{other.at(row)}: the label '{shortened(label)}' stands in no training row.",
        hint="--split stratified keeps a row of every class in training."
        if divided
        else did_you_mean(label, known) or f"Training rows have {listed(known)}.",
    )
