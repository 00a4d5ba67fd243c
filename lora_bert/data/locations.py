"""Where the parts of a data set lie: a file or several, a directory with parts, or a name."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_bert.data import named
from lora_bert.data.formats import folder_file
from lora_bert.data.formats.arrow_file import is_saved
from lora_bert.data.given import Given
from lora_bert.data.opening import SUFFIXES, TAGGED, data_stem, data_suffix
from lora_bert.data.part_names import JUDGED_FIRST, PARTS
from lora_bert.errors import DataError, NotFoundError, missing
from lora_bert.wording import by_number, counted, listed, utf8_name

logger = logging.getLogger(__name__)

_PART_OF = {stem: part for part, stems in PARTS.items() for stem in stems}
# train-00000-of-00002, also with the hash that the hub used to add; train_0, train.1
_SHARD = re.compile(r"([a-z]+(?:_matched)?)[-_.]?(\d+)(?:-of-(\d+))?(?:-[0-9a-f]{8,})?")
_TOTAL = re.compile(r"(\d+)-of-(\d+)")
_NUMBERED = re.compile(r"(?:part|shard|data)?[-_.]?\d{2,}")
_ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json")
"""Files that describe a data set on the hub."""
_NO_DATA = {"submission", "sample", "readme", "info", "infos", "license", "requirements"}
_TO_JUDGE = {*PARTS["test"], *PARTS["validation"]}
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Location:
    """Where the parts of a data set are.

    Attributes:
        name: Its name without directories: the same on every machine.
        parts: ``train``, ``validation``, ``test`` -> its files, saved datasets, folders of texts or
            rows given from Python, those that exist.
    """

    name: str
    parts: Mapping[str, tuple[Path | Given, ...]]


def locate(data: str) -> Location:
    """Find a data set.

    ``data`` is a known name (which goes before a file or directory of that name); a file or a
    pattern such as ``data/train-*.parquet``, which are then all training rows, unless the pattern
    also fits files called test or validation; or a directory that holds, itself or in its ``data``,
    files or folders called train, validation (valid, val, dev) and test, also in shards, or that
    ``datasets.save_to_disk`` wrote, or with a folder of texts for each class.

    Raises:
        NotFoundError: There is none.
        DataError: The directory holds no part, two files for one, or not all shards of one.
    """
    if isinstance(data, Given):
        parts = data.parts or {"train": data}
        return Location(str(data), {part: (rows,) for part, rows in parts.items()})
    try:
        return _located(data, Path(data))
    except OSError as error:
        raise DataError(f"Cannot read '{data}': {error.strerror or error}.") from error


def locate_files(names: Sequence[str], part: str) -> tuple[Path | Given, ...]:
    """The files that were named for a part: patterns are filled in, each file counts once.

    Rows given from Python stay what they are.

    Raises:
        NotFoundError: There is no such file.
        DataError: A pattern for training rows fits a file that is called test or validation.
    """
    files: list[Path | Given] = []
    for name in names:
        path = Path(name)
        if isinstance(name, Given):
            files.append(name)
        elif _is_pattern(path):
            matches = _matches(name)
            if part == "train":
                _refuse_other_parts(name, matches)
            files += matches
        else:
            files += (path.is_dir() and _undivided(path)) or [path]
    return tuple(dict.fromkeys(files))


def to_predict(source: Path) -> tuple[Path, ...]:
    """The files to answer the rows of: of a directory with parts, its test part, else the next.

    Raises:
        NotFoundError, DataError: As :func:`locate`.
    """
    is_pattern = _is_pattern(source)
    if not is_pattern and (not source.is_dir() or is_saved(source)):
        return (source,)
    divided = {} if is_pattern else _parts_of(source, first_of=JUDGED_FIRST)
    if not divided and folder_file.is_folder(source):
        return (source,)
    parts = divided or locate(str(source)).parts
    part = next(part for part in JUDGED_FIRST if part in parts)
    files = tuple(path for path in parts[part] if isinstance(path, Path))
    first, *others = files
    more = f" and {len(others):,} more" if others else ""
    logger.info("Using the %s rows of '%s': '%s'%s.", part, source, first, more)
    return files


def part_to_predict(files: Sequence[str]) -> Sequence[str]:
    """Of files that are called like several parts, those of the part to answer; else all."""
    by_part: dict[str | None, list[str]] = {}
    for name in files:
        by_part.setdefault(_part(Path(name)), []).append(name)
    if None in by_part or len(by_part) < 2:
        return files
    return by_part[next(part for part in JUDGED_FIRST if part in by_part)]


def inputs(names: Iterable[str | None]) -> list[Path]:
    """The files and directories on disk that names, paths and patterns stand for."""
    paths: list[Path] = []
    for name in names:
        if name and name not in named.NAMED and not isinstance(name, Given):
            paths += _matches(name) if _is_pattern(Path(name)) else [Path(name)]
    return paths


def _located(data: str, path: Path) -> Location:
    if data in named.NAMED:
        if path.exists():
            logger.info("'%s' is the data set of that name; './%s' is the one here.", data, data)
        return Location(data, {"train": (named.find(data),)})
    if _is_pattern(path):
        return _of_pattern(data)
    if not path.exists():
        if path.name == data and not path.suffix:
            named.find(data)  # raises, with the known names
        raise missing(path, "data file or directory")
    name = utf8_name(path.absolute().name)
    if not path.is_dir() or is_saved(path):
        return Location(name, {"train": (path,)})
    if parts := _parts_of(path):
        return Location(name, parts)
    if files := _undivided(path):
        return Location(name, {"train": files})
    if folders := _folders_by_part(path):
        return Location(name, folders)
    if inside := _only_folder(path):
        logger.info("'%s': using '%s'.", data, inside)
        return replace(_located(str(inside), inside), name=name)
    raise _no_parts(path, data)


def _folders_by_part(directory: Path) -> dict[str, tuple[Path, ...]]:
    """Folders of texts whose names end with a part's, ``20news-bydate-train``: one for each."""
    folders: dict[str, tuple[Path, ...]] = {}
    for entry in _visible(directory):
        *_, last = ["", *_WORD.findall(entry.name.lower())]
        part = _PART_OF.get(last)
        if part and entry.is_dir() and folder_file.is_folder(entry, least=2):
            if part in folders:
                return {}
            folders[part] = (entry,)
    return {part: folders[part] for part in PARTS if part in folders} if "train" in folders else {}


def _only_folder(directory: Path) -> Path | None:
    """The one directory within a directory that holds no data itself."""
    folders = [entry for entry in _visible(directory) if entry.is_dir()]
    if len(folders) != 1 or _tables(directory) or folder_file.classes(directory):
        return None
    return None if _words(folders[0]) & _TO_JUDGE else folders[0]


def _undivided(directory: Path) -> tuple[Path, ...]:
    """What a directory holds that is one set of rows: a folder for each class, or shards."""
    if is_saved(directory) or folder_file.is_folder(directory, least=2):
        return (directory,)
    tables = _tables(directory)
    if _part(directory) or (tables and all(_NUMBERED.match(path.name) for path in tables)):
        return _files_in(directory)
    return ()


def _of_pattern(data: str) -> Location:
    """The files that a pattern fits, by their parts where it fits several."""
    files = _matches(data)
    name = utf8_name(Path(data).name)
    by_part = _by_part(files)
    if len(by_part) > 1 and sum(map(len, by_part.values())) == len(files):
        return Location(name, {part: _as_one(part, by_part[part], data) for part in by_part})
    _refuse_other_parts(data, files)
    return Location(name, {"train": tuple(files)})


def _refuse_other_parts(pattern: str, files: Sequence[Path]) -> None:
    """Refuse a pattern for training rows that fits test rows too."""
    others = [file for file in files if _words(file) & _TO_JUDGE]
    if others and len(files) > len(others):
        raise DataError(
            f"'{pattern}' fits training files and also "
            f"{listed((path.name for path in others), 3)}.",
            hint="Name a pattern that fits the training files only, and the others with "
            "--validation and --test.",
        )


def _is_pattern(path: Path) -> bool:
    return any(mark in str(path) for mark in "*?[") and not path.exists()


def _matches(pattern: str) -> list[Path]:
    """The files that fit a pattern, ``train2`` before ``train10``."""
    # Path.glob takes no pattern that is absolute.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    files = [path for path in map(Path, sorted(names, key=by_number)) if _is_data(path)]
    if not files:
        others = f"; it fits {listed(names, 3)}" if names else ""
        raise NotFoundError(f"No data file fits the pattern '{pattern}'{others}.")
    if len(files) > 1:
        shown = f"'{files[0]}' to '{files[-1]}'"
        logger.info("'%s' fits %s: %s.", pattern, counted(len(files), "file"), shown)
    if absent := _lacking(files):
        logger.warning(
            "'%s' does not fit all shards: by their names %s more should be there.",
            pattern, counted(absent, "shard"),
        )  # fmt: skip
    return files


def _parts_of(directory: Path, *, first_of: Sequence[str] = ()) -> dict[str, tuple[Path, ...]]:
    """The parts in a directory, or in the one directory within it that has some.

    With ``first_of`` only the first of these that is there.
    """
    entries = _visible(directory)
    if by_part := _by_part(entries):
        wanted = [part for part in first_of if part in by_part][:1] or by_part
        return {part: _as_one(part, by_part[part], str(directory)) for part in wanted}
    inside = [entry for entry in entries if entry.is_dir() and _by_part(_visible(entry))]
    if any(path.name not in _ABOUT for path in _tables(directory)):
        # Which of them is meant is not certain; of the hub's layout it is.
        inside = [entry for entry in inside if entry.name == "data"]
    if len(inside) > 1:
        raise DataError(
            f"'{directory}' holds several data sets: {listed(path.name for path in inside)}.",
            hint=f"Name one of them: --data {inside[0]}.",
        )
    if not inside:
        return {}
    logger.info("'%s': using '%s'.", directory, inside[0])
    return _parts_of(inside[0], first_of=first_of)


def _by_part(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The data files and folders that are called like a part, in the order of the parts."""
    by_part: dict[str, list[Path]] = {part: [] for part in PARTS}
    for path in paths:
        part = _part(path)
        if part and (_is_data(path) or (path.is_dir() and _files_in(path))):
            by_part[part].append(path)
    return {part: files for part, files in by_part.items() if files}


def _part(path: Path) -> str | None:
    stem = data_stem(path.name).lower()
    if path.suffix.lower() in TAGGED:
        stem = stem.partition(".")[0]  # "train.char.bmes"
    shard = _SHARD.fullmatch(stem)
    # MNLI's are of texts of the training's kinds, and of others, which are called _mismatched.
    return _PART_OF.get((shard[1] if shard else stem).removesuffix("_matched"))


def _as_one(part: str, paths: Sequence[Path], data: str) -> tuple[Path, ...]:
    """The files of a part: one, or all shards of it."""
    shards = [path for path in paths if _SHARD.fullmatch(data_stem(path.name).lower())]
    if len(paths) > 1 and (len(shards) < len(paths) or len(set(map(data_suffix, shards))) > 1):
        raise DataError(
            f"'{data}' holds more than one file for {part}: {listed(path.name for path in paths)}.",
            hint="Name the files with --train, --validation and --test.",
        )
    if len(paths) == 1 and paths[0].is_dir() and not is_saved(paths[0]):
        return _files_in(paths[0])
    return _whole(paths, part)


def _whole(shards: Sequence[Path], part: str) -> tuple[Path, ...]:
    """The shards in their order.

    Raises:
        DataError: Their names say that there are more, or tell of two sets of shards.
    """
    numbered = [path for path in shards if _TOTAL.search(data_stem(path.name))]
    absent = _lacking(numbered)
    if absent is None:
        names = listed(path.name for path in numbered)
        raise DataError(
            f"The shards of {part} are of more than one set: {names}.",
            hint="Keep those that belong together, or name them with a pattern.",
        )
    if absent:
        raise DataError(
            f"'{numbered[0].parent}' lacks {counted(absent, 'shard')} of {part}: it has "
            f"{listed((path.name for path in numbered), 3)}.",
            hint="Get the rest of them, or name those that are here with a pattern.",
        )
    if len(shards) > 1:
        ends = f"'{shards[0].name}' to '{shards[-1].name}'"
        logger.info("Reading %s for %s: %s.", counted(len(shards), "file"), part, ends)
    return tuple(shards)


def _lacking(shards: Iterable[Path]) -> int | None:
    """How many shards are not here by the others' names; None where they are of several sets."""
    names = [match for path in shards if (match := _TOTAL.search(data_stem(path.name)))]
    numbers, totals = {int(name[1]) for name in names}, {int(name[2]) for name in names}
    if len(totals) > 1 or len(numbers) < len(names):
        return None
    return sum(totals) - len(numbers)


def _files_in(directory: Path) -> tuple[Path, ...]:
    """What a directory called like a part holds: texts by class, shards, texts without labels."""
    if is_saved(directory) or folder_file.is_folder(directory):
        return (directory,)
    tables = _tables(directory)
    return _whole(tables, directory.name) if tables else ()


def _tables(directory: Path) -> list[Path]:
    """The data files in a directory that are not single texts."""
    files = [path for path in _visible(directory) if path.suffix.lower() != ".txt"]
    return [path for path in files if not path.is_dir() and _is_data(path)]


def _no_parts(directory: Path, data: str) -> DataError:
    """Which file is meant for training; never one that is called test or validation."""
    files = [path for path in _visible(directory) if _is_data(path)]
    to_judge = {path: part for part in ("validation", "test") for path in files
                if _words(path) & {*PARTS[part]}}  # fmt: skip
    free = [path for path in files if path not in to_judge and not _words(path) & _NO_DATA]
    train = [path for path in free if _words(path) & {*PARTS["train"]}] or free
    if not files:
        hint = f"Texts stand right in their class's folder: {directory}/a/1.txt."
    elif len(train) == 1 and not to_judge:
        hint = f"Name the file: --data {train[0]}."
    elif len(train) == 1:
        judged = "".join(f" --{part} {path}" for path, part in to_judge.items())
        hint = f"Name the files: --train {train[0]}{judged}."
    else:
        hint = f"Name the training file with --train; there are {listed(map(str, files))}."
    return DataError(
        f"'{data}' holds no file called train, validation or test ({', '.join(SUFFIXES)}), and no "
        "folder of texts for each class.",
        hint=hint if train or not files else "",
    )


def _words(path: Path) -> set[str]:
    return set(_WORD.findall(data_stem(path.name).lower()))


def _visible(directory: Path) -> list[Path]:
    """What stands in a directory, ``train2`` before ``train10``."""
    entries = [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
    return sorted(entries, key=lambda path: by_number(path.name))


def _is_data(entry: Path) -> bool:
    if entry.is_dir():
        return is_saved(entry)
    try:
        return entry.is_file() and data_suffix(entry) in SUFFIXES
    except DataError:
        return True  # an archive that is called like data: whoever reads it says what is wrong
