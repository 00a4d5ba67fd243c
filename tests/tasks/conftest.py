"""Tagged sentences that a tiny backbone learns."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_bert
from tests.tasks.answers import rows, write_rows
from tests.tiny import write_backbone

FOODS, PLACES = "tasty cold hot fine".split(), "fast late slow bad".split()


def sentences(rows: int) -> list[list[tuple[str, str]]]:
    """Sentences with a dish of one or two words after "good", and a place after "awful"."""
    made = []
    for number in range(rows):
        dish, place = FOODS[number % 4], PLACES[number // 4 % 4]
        words = [("good", "O"), (dish, "B-DISH")]
        if number % 3 == 0:
            words.append((FOODS[(number + 1) % 4], "I-DISH"))
        words += [("awful", "O"), (place, "B-PLACE")]
        made.append(words if number % 2 else [*words, ("zoo", "O")])
    return made


def write_conll(path: Path, rows: list[list[tuple[str, str]]]) -> Path:
    """The sentences, a word and its tag a line."""
    blocks = ("\n".join(f"{word}\t{tag}" for word, tag in row) for row in rows)
    path.write_text("-DOCSTART-\tO\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def dishes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``train.conll`` and ``test.conll``; do not change it."""
    place = tmp_path_factory.mktemp("dishes")
    write_conll(place / "train.conll", sentences(48))
    write_conll(place / "test.conll", sentences(12))
    return place


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory, dishes: Path) -> Path:
    """An adapter that tags :func:`dishes`, beside its backbone; do not change it."""
    place = tmp_path_factory.mktemp("tagger")
    backbone = write_backbone(place / "backbone")
    lora_bert.train(
        dishes, backbone=backbone, output=place / "adapter", epochs=6, learning_rate=0.03,
        batch_size=8, dtype="float32",
    )  # fmt: skip
    return place / "adapter"


@pytest.fixture(scope="session")
def foods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of questions, ``train.jsonl`` and ``test.jsonl``; do not change it."""
    place = tmp_path_factory.mktemp("foods")
    write_rows(place / "train.jsonl", rows(60))
    write_rows(place / "test.jsonl", rows(16))
    return place


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory, foods: Path) -> Path:
    """An adapter that answers :func:`foods`, beside its backbone; do not change it."""
    place = tmp_path_factory.mktemp("reader")
    backbone = write_backbone(place / "backbone")
    lora_bert.train(
        foods, backbone=backbone, output=place / "adapter", epochs=8, learning_rate=0.03,
        batch_size=8, doc_stride=8, dtype="float32",
    )  # fmt: skip
    return place / "adapter"
