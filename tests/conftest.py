"""Where the real data and backbones are, and the fixtures every room shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def real(variable: str, folder: str) -> Path:
    """The directory that ``variable`` names, else ``../shared/<folder>``; skips where absent."""
    path = Path(os.environ.get(variable) or SHARED / folder)
    if not path.is_dir():
        pytest.skip(f"real {folder} not here: set ${variable} (looked in {path})")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real labelled data sets, one folder each."""
    return real("LORA_BERT_DATA", "data")


@pytest.fixture(scope="session")
def backbones_dir() -> Path:
    """Real pretrained backbones, one folder each."""
    return real("LORA_BERT_BACKBONES", "backbones")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT with a tokenizer: trains in a second."""
    from tests.tiny import write_backbone

    return write_backbone(tmp_path_factory.mktemp("backbones") / "tiny-bert")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 labelled rows that a tiny backbone learns: csv with the columns label, review."""
    good = ["good", "tasty", "fast", "hot", "fine", "好吃", "很好", "快"]
    bad = ["bad", "awful", "slow", "cold", "late", "太慢了", "差", "太差了"]
    rows = ["label,review"]
    for number in range(60):
        words = good if number % 2 else bad
        label = "positive" if number % 2 else "negative"
        text = f"{words[number % 8]} {words[(number * 3 + number // 8) % 8]} {number}"
        rows.append(f"{label},{text}")
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, reviews: Path) -> Path:
    """An adapter trained on :func:`reviews` with :func:`tiny_backbone`; do not change it."""
    import lora_bert

    path = tmp_path_factory.mktemp("adapters") / "reviews"
    lora_bert.train(reviews, backbone=str(tiny_backbone), output=str(path), epochs=2)
    return path


@pytest.fixture(scope="session")
def merged(tmp_path_factory: pytest.TempPathFactory, adapter: Path) -> Path:
    """:func:`adapter` folded into its backbone; do not change it."""
    import lora_bert

    path = tmp_path_factory.mktemp("merged") / "reviews"
    lora_bert.merge(adapter, path)
    return path


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the suite's own: no test reads or changes the user's."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_BERT_CACHE", str(cache))
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        yield
