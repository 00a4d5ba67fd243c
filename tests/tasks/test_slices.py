"""``evaluate --by``: a slice has the figures of a file that holds nothing but its rows."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

import lora_bert
from tests.tasks import answers, test_multi_label, test_regression
from tests.tasks.conftest import sentences

Rows = list[dict[str, Any]]


def reviews_to_score() -> Rows:
    words, chance = "good tasty fast fine bad awful slow cold".split(), random.Random(0)
    return [
        {"text": " ".join(chance.choices(words, k=1 + at % 7)), "label": label}
        for at in range(24)
        for label in ("positive", "negative")
    ]


def tagged_to_score() -> Rows:
    """Sentences, some of which are read in several windows."""
    made = []
    for at, row in enumerate(sentences(40)):
        long = [pair for pair in row for _ in range(1 + 4 * (at % 3))]
        made.append({"tokens": [word for word, _ in long], "tags": [tag for _, tag in long]})
    return made


def questions_to_score() -> Rows:
    made = answers.rows(40)
    for row in made[::5]:
        row["context"] += f" {answers.LONG}"
    return made


def pairs_to_score() -> Rows:
    return [
        {"query": f"good {at // 3}", "passage": f"{'good' if at % 2 else 'bad'} {at}",
         "label": int(at % 3 == 0)}
        for at in range(36)
    ]  # fmt: skip


def written(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By a task's name: an adapter, its rows to score, and the figure that stands first."""
    place = tmp_path_factory.mktemp("sliced")
    backbone = request.getfixturevalue("tiny_backbone")

    def of(name: str) -> tuple[Path, Rows, str]:
        if name == "single-label":
            return request.getfixturevalue("adapter"), reviews_to_score(), "accuracy"
        windows = {}
        if name == "token-tagging":
            rows = tagged_to_score()
            path, windows = written(place / "tags.jsonl", rows), {"overflow": "windows"}
        elif name == "question-answering":
            rows = questions_to_score()
            path = written(place / "questions.jsonl", rows)
        elif name == "multi-label":
            path = test_multi_label.write_reviews(place / "labels.jsonl")
            rows = [json.loads(line) for line in path.read_text().splitlines()][:60]
            rows = [{**row, "labels": ["rare"]} if at % 7 else row for at, row in enumerate(rows)]
        elif name == "regression":
            path = test_regression.write_reviews(place / "prices.csv")
            lines = path.read_text().splitlines()[1:61]
            rows = [dict(zip(("text", "price"), line.split(","), strict=True)) for line in lines]
        else:
            path, rows = written(place / "pairs.jsonl", pairs_to_score()), pairs_to_score()
        label = "price" if name == "regression" else None
        made = lora_bert.train(
            path, task=name, label_column=label, backbone=backbone, epochs=1, learning_rate=1e-2,
            dtype="float32", output=place / name, overwrite=True, max_length=40, **windows,
        )  # fmt: skip
        firsts = {"multi-label": "macro_f1", "regression": "spearman", "relevance": "auc"}
        return made.path, rows, firsts.get(name, "f1")

    return of


@pytest.mark.parametrize(
    "task",
    ["single-label", "multi-label", "regression", "relevance", "question-answering",
     "token-tagging"],
)  # fmt: skip
def test_a_slice_has_the_figures_of_its_rows_alone(trained, tmp_path, task):
    path, rows, first = trained(task)
    rows = [{**row, "shop": "north" if at % 5 < 3 else "south"} for at, row in enumerate(rows)]
    nothing = {key: [] if isinstance(value, list) else None for key, value in rows[0].items()}
    dropped = {**nothing, "shop": "north"}
    options = {"dtype": "float32", "label_column": "price" if task == "regression" else None}
    data = written(tmp_path / "all.jsonl", [dropped, *rows])
    whole = lora_bert.evaluate(path, data, by=["shop", "length"],
                               metric=first, report=tmp_path / "r.html", **options)  # fmt: skip
    shops = {each.value: each for each in whole.slices if each.by == "shop"}
    assert list(shops) == ["north", "south"]
    assert 0 < whole.as_dict()[first] < 1
    for name, found in shops.items():
        own = [row for row in rows if row["shop"] == name]
        alone = lora_bert.evaluate(path, written(tmp_path / f"{name}.jsonl", own), **options)
        assert found.rows == alone.scores.rows == len(own)
        assert found.figures == pytest.approx(
            {metric.name: getattr(alone.scores, metric.name) for metric in alone.shown}, abs=1e-5
        )
        assert found.intervals[first] == pytest.approx(alone.intervals[first], abs=1e-4)
    lengths = [each for each in whole.slices if each.by == "length"]
    assert sum(each.rows for each in lengths) == len(rows)
    assert f"{'shop':<5}  rows" in whole.text()
    assert whole.as_dict()["slices"][0]["figures"][first] == shops["north"].figures[first]
    assert "Parts of the rows" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_rows_that_are_all_alike_have_no_figure(trained, tmp_path):
    path, rows, _ = trained("relevance")
    rows = [{**row, "kind": "irrelevant" if row["label"] == 0 else "some"} for row in rows]
    found = lora_bert.evaluate(path, written(tmp_path / "all.jsonl", rows), by="kind")
    alike, other = found.slices
    assert (alike.value, alike.rows, alike.figures) == ("irrelevant", 24, {})
    assert (other.value, other.figures) == ("some", {})
    assert "irrelevant    24" in found.text()


def test_numbers_that_are_alike_have_no_correlation(trained, tmp_path):
    path, rows, _ = trained("regression")
    rows = [{**row, "same": row["price"]} for row in rows]
    data = written(tmp_path / "all.jsonl", rows)
    found = lora_bert.evaluate(path, data, label_column="price", by="same")
    assert all({*each.figures} == {"rmse", "mae"} for each in found.slices)
    assert re.search(r"same +rows +Spearman", found.text(), re.IGNORECASE)
