"""The rows and backbones that benchmarks work on: real ones where they are, else made up."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender, once
from benchmarks.options import ROOT, Options

Row = tuple[str, str]
"""A text and its label."""

E5 = "e5-small-zh-en"
_SPLIT_SEED = 2023
_CHARACTERS = "的一是了不在有人这上大来和我个中地为到说们生国年着就那要下以会可也"
# Share of the texts -> tokens (e5-small-zh-en's tokenizer), for texts of like lengths where the
# real ones are not at hand.
_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
_LENGTHS = {
    "waimai": (5, 9, 11, 16, 26, 42, 55, 76, 96, 157, 346),
    "20newsgroups": (3, 47, 87, 173, 339, 683, 1205, 2468, 4463, 55522, 57066),
}


@dataclass(frozen=True)
class Workload:
    """What every contender is given: files, and settings that mean the same work.

    Attributes:
        train: Training rows, JSON lines with ``text`` and ``label``; ``validation`` and ``test``
            likewise.
        backbone: A ``transformers`` directory.
        source: Where the texts are from, for the record.
        epochs: Passes over the training rows, in a whole run.
    """

    train: str
    validation: str
    test: str
    backbone: str
    source: str
    device: str = "cpu"
    seed: int = 42
    epochs: int = 3
    batch_size: int = 32
    rank: int = 8
    learning_rate: float = 1e-3
    max_length: int = 256

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a measuring process."""
        return asdict(self)


def folder(variable: str, name: str) -> Path | None:
    """The directory that ``variable`` names, else ``../shared/<name>``; None where absent."""
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    return path if path.is_dir() else None


def prepare(
    options: Options, *, rows: int | None, test_rows: int | None = None, spare: bool = False
) -> Workload:
    """Write the rows of ``options.data`` into ``options.work`` and find or make the backbone.

    Args:
        options: The command line.
        rows: Training rows to keep, None for all; a ninth as many are for validation.
        test_rows: Test rows to keep; None for all, a fifth of the rows.
        spare: Whether rows that are left over are test rows too.
    """
    found = real_rows(options.data)
    source = options.data if found else f"random characters, as long as {options.data}"
    everything = found or synthetic_rows(options.data, 12_000)
    random.Random(_SPLIT_SEED).shuffle(everything)
    held, kept = len(everything) // 5, everything[len(everything) // 5 :]
    count = min(rows or len(kept), len(kept) * 9 // 10)
    used = count + max(64, count // 9)
    tested = everything[:held] + (kept[used:] if spare else [])
    parts = {
        "test": tested[:test_rows],
        "train": kept[:count],
        "validation": kept[count:used],
    }
    for name, part in parts.items():
        write_rows(options.work / f"{name}.jsonl", part)
    return Workload(
        train=str(options.work / "train.jsonl"),
        validation=str(options.work / "validation.jsonl"),
        test=str(options.work / "test.jsonl"),
        backbone=str(backbone(options)),
        source=source,
        device=options.device,
    )


def backbone(options: Options) -> Path:
    """The real small backbone; on CUDA a random one of bert-base's shape, with its tokenizer."""
    shared = folder("LORA_BERT_BACKBONES", "backbones")
    small = shared / E5 if shared else None
    if small is None or not small.is_dir():
        small = options.work / E5
        arguments = {"target": str(small)}
        if not small.is_dir():
            once(
                Contender("backbone", "benchmarks.public:embedded_backbone", arguments),
                options.work,
            )
    if options.device == "cpu":
        return small
    return random_backbone(options, "bert-base", small)


def random_backbone(options: Options, shape: str, tokenizer: Path) -> Path:
    """A BERT with random weights: ``bert-base``, ``one-layer`` or ``two-layer``."""
    target = options.work / shape
    if not target.is_dir():
        arguments = {"target": str(target), "shape": shape}
        once(Contender(shape, "benchmarks.peers.models:random_bert", arguments), options.work)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(tokenizer / name, target / name)
    return target


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write JSON lines with ``text`` and ``label``."""
    with path.open("w", encoding="utf-8") as stream:
        for text, label in rows:
            stream.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")


def read_rows(path: str | Path) -> list[Row]:
    """What :func:`write_rows` wrote."""
    with Path(path).open(encoding="utf-8") as stream:
        return [(row["text"], row["label"]) for row in map(json.loads, stream)]


def text_encoder(
    directory: str, max_length: int
) -> tuple[Callable[[Sequence[str]], list[list[int]]], int]:
    """A function texts -> token ids with a model's tokenizer, and the padding id."""
    from tokenizers import Tokenizer

    core = Tokenizer.from_file(str(Path(directory, "tokenizer.json")))
    core.no_padding()
    core.enable_truncation(max_length)
    written = json.loads(Path(directory, "tokenizer_config.json").read_text(encoding="utf-8"))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [found.ids for found in core.encode_batch(list(texts))]

    return encode, int(core.token_to_id(written["pad_token"]))


def real_rows(name: str) -> list[Row]:
    """All labelled rows of ``waimai`` or ``20newsgroups``; none where the data are not here."""
    data = folder("LORA_BERT_DATA", "data")
    if data is None or not (data / name).is_dir():
        return []
    return [(text, label) for text, label in _read(data / name) if text.strip()]


def synthetic_rows(name: str, count: int) -> list[Row]:
    """Random characters, as long as the texts of ``name`` are; labels at random."""
    draw = random.Random(0)
    return [(_text(draw, _length(draw, name)), draw.choice(("no", "yes"))) for _ in range(count)]


def short_rows(count: int, tokens: int) -> Iterator[Row]:
    """Any number of different texts of about ``tokens`` tokens, a row at a time."""
    draw = random.Random(0)
    for _ in range(count):
        yield _text(draw, tokens), draw.choice(("no", "yes"))


def rows_of_one_length(tokens: int, count: int) -> tuple[list[list[int]], list[int]]:
    """Token ids of ``count`` rows, all of ``tokens`` tokens, and a class index for each."""
    ids = [[0, *(5 + (row + at) % 1000 for at in range(tokens - 2)), 2] for row in range(count)]
    return ids, [row % 2 for row in range(count)]


def _read(place: Path) -> Iterator[Row]:
    for path in sorted(place.iterdir()):
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as stream:
                yield from ((row["review"], row["label"]) for row in csv.DictReader(stream))
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as stream:
                rows = map(json.loads, stream)
                yield from ((row["text"], str(row["label"])) for row in rows)


def _length(draw: random.Random, name: str) -> int:
    share = draw.random()
    at = max(index for index, left in enumerate(_SHARES) if left <= share)
    low, high = _LENGTHS[name][at], _LENGTHS[name][at + 1]
    return round(low + (share - _SHARES[at]) / (_SHARES[at + 1] - _SHARES[at]) * (high - low))


def _text(draw: random.Random, tokens: int) -> str:
    # Two special tokens, and the word-start mark that this tokenizer puts before a text.
    return "".join(draw.choices(_CHARACTERS, k=max(1, min(tokens, 1000) - 3)))
