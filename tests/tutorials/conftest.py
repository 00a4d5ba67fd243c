"""A workplace as the tutorials' readers have it: the files they name, some rows of each."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

ROWS = 300


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """The tutorials' data files, shortened; do not change them."""
    place = tmp_path_factory.mktemp("tutorials")
    shopping = data_dir / "online_shopping_10_cats" / "online_shopping_10_cats.csv"
    with shopping.open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["review"]]
    # Every so many rows: both labels and all categories are among them.
    chosen = [{"label": row["label"], "review": row["review"]} for row in rows[:: len(rows) // 700]]
    write(place / "train", chosen[:500])
    write(place / "test", chosen[500:650])
    shutil.copy(data_dir / "waimai" / "waimai_10k.csv", place)
    shutil.copytree(data_dir / "chnsenticorp", place / "chnsenticorp")
    emotions = place / "goemotions"
    emotions.mkdir()
    for name in ("train.tsv", "dev.tsv", "test.tsv", "labels.txt"):
        shutil.copy(data_dir / "goemotions" / name, emotions)
    shutil.copytree(data_dir / "stsb", place / "stsb")
    pairs = place / "bq"
    pairs.mkdir()
    for name in ("dev.csv", "test.csv"):
        lines = (data_dir / "bq" / name).read_text(encoding="utf-8").splitlines()
        (pairs / name).write_text("\n".join(lines[:ROWS]), encoding="utf-8")
    for folder, ends in (("snips_slots", "conll"), ("resume_ner", "char.bmes")):
        (place / folder).mkdir()
        for part in ("train", "dev", "test"):
            text = (data_dir / folder / f"{part}.{ends}").read_text(encoding="utf-8")
            sentences = text.strip().split("\n\n")
            kept = "\n\n".join(sentences[:: max(1, len(sentences) // ROWS)])
            (place / folder / f"{part}.{ends}").write_text(f"{kept}\n", encoding="utf-8")
    for folder in ("cmrc2018", "subjqa_electronics"):
        (place / folder).mkdir()
        for path in (data_dir / folder).glob("*.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            for article in document["data"]:
                article["paragraphs"] = [each for each in article["paragraphs"]
                                         if len(each["context"]) < 800][:ROWS // 3]  # fmt: skip
            document["data"] = document["data"][: ROWS // 3]
            text = json.dumps(document, ensure_ascii=False)
            (place / folder / path.name).write_text(text, encoding="utf-8")
    news = place / "20newsgroups"
    news.mkdir()
    for part in ("train", "test"):
        with (data_dir / "20newsgroups" / f"{part}.jsonl").open(encoding="utf-8") as stream:
            lines = stream.readlines()
        # They stand by class: every so many of them.
        kept = "".join(lines[:: len(lines) // ROWS])
        (news / f"{part}.jsonl").write_text(kept, encoding="utf-8")
    return place


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows as ``PATH.csv`` and ``PATH.json``."""
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["label", "review"])
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def workplace(files: Path, tmp_path: Path, minilm: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own directory to work in, with the tutorials' files in it."""
    for entry in files.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    return tmp_path
