"""Files in, files out: the input's columns as they were, then the predictions."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

import lora_bert
from lora_bert.config.shared import Decoding
from lora_bert.errors import ConfigError, DataError, NotFoundError, OutputError
from lora_bert.inference import stream
from lora_bert.inference.stream import predict_file

ADDED = ["prediction", "score", "prob_negative", "prob_positive"]
TEXTS = ["good, tasty", 'he said "bad"', "太慢了\n差", "", "NA", "slow\rcold"]


@pytest.fixture(scope="module")
def predictor(adapter):
    return lora_bert.load(adapter, dtype="float32")


def test_one_text_in_brackets_far_down_is_read_as_in_training(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "TEXTS_AT_ONCE", 2)
    texts = ["good", "bad", '["slow", "cold"]']
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    predict_file(predictor, tmp_path / "rows.jsonl", tmp_path / "out.jsonl")
    found = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").open()]
    assert found == pytest.approx([each.score for each in predictor.predict(texts)], abs=1e-4)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "text", "note"])
        writer.writerows([f"0{row}", text, "None"] for row, text in enumerate(TEXTS))
    return path


def rows_of(path):
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("at_once", [2, 4096])
def test_columns_unchanged_and_in_order_then_the_predictions(
    suffix, at_once, predictor, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(stream, "TEXTS_AT_ONCE", at_once)
    target = tmp_path / f"out{suffix}"
    assert predict_file(predictor, source, target) == len(TEXTS)
    found = rows_of(target)
    expected = predictor.predict(TEXTS)
    for number, (row, answer) in enumerate(zip(found, expected, strict=True)):
        assert list(row) == ["id", "text", "note", *ADDED]
        assert (row["id"], row["text"], row["note"]) == (f"0{number}", TEXTS[number], "None")
        assert row["prediction"] == answer.label
        assert float(row["score"]) == pytest.approx(answer.score, abs=1e-6)
        assert float(row["prob_positive"]) == pytest.approx(answer.scores["positive"], abs=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_rows_that_no_label_is_probable_enough_for(suffix, predictor, source, tmp_path):
    plain = predictor.predict(TEXTS)
    line = sorted(one.score for one in plain)[3]
    target = tmp_path / f"out{suffix}"
    predict_file(predictor, source, target, decoding=Decoding(line, "nobody knows"))
    found = [(row["prediction"], float(row["score"])) for row in rows_of(target)]
    assert [label for label, _ in found] == [
        one.label if one.score >= line else "nobody knows" for one in plain
    ]
    assert [score for _, score in found] == pytest.approx([one.score for one in plain], abs=1e-6)
    assert sum(label == "nobody knows" for label, _ in found) == 3


def test_types_stay_where_both_formats_have_them(predictor, tmp_path):
    table = pa.table({"text": ["good", "bad"], "stars": [5, None], "when": [1.5, 2.5]})
    parquet.write_table(table, tmp_path / "in.parquet")
    predict_file(predictor, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").select(table.column_names).equals(table)
    rows = [{"text": "good", "tags": ["a", 1], "n": None}, {"text": "bad", "n": 2.0}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(lines)
    predict_file(predictor, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    for before, after in zip(rows, rows_of(tmp_path / "out.jsonl"), strict=True):
        assert {name: after[name] for name in before} == before


def test_names_that_are_taken_get_a_number(predictor, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "in.csv").write_text("text,score,score_2,prob_negative\ngood,1,2,3\n")
    predict_file(predictor, tmp_path / "in.csv", tmp_path / "out.csv")
    names = ["text", "score", "score_2", "prob_negative"]
    assert list(rows_of(tmp_path / "out.csv")[0]) == [
        *names, "prediction", "score_3", "prob_negative_2", "prob_positive",
    ]  # fmt: skip
    assert "'score': the new one is called 'score_3'" in caplog.text
    # What was classified can be classified again.
    predict_file(predictor, tmp_path / "out.csv", tmp_path / "twice.csv")
    assert "prediction_2" in rows_of(tmp_path / "twice.csv")[0]


def test_nothing_is_lost(predictor, source, tmp_path):
    with pytest.raises(OutputError, match="is the input"):
        predict_file(predictor, source, source, overwrite=True)
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        predict_file(predictor, source, target)
    broken = tmp_path / "broken.csv"
    broken.write_text('text,note\ngood,a\n"bad')
    with pytest.raises(lora_bert.LoraBertError):
        predict_file(predictor, broken, target, overwrite=True)
    assert target.read_text() == "mine"
    predict_file(predictor, source, target, overwrite=True)
    assert len(rows_of(target)) == len(TEXTS)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "broken.csv", "out.csv"}


def test_other_mistakes(predictor, source, tmp_path):
    with pytest.raises(ConfigError, match=r"written as \.csv"):
        predict_file(predictor, source, tmp_path / "out.xlsx")
    with pytest.raises(NotFoundError):
        predict_file(predictor, tmp_path / "nowhere.csv", tmp_path / "out.csv")
    with pytest.raises(lora_bert.LoraBertError, match="txt"):
        predict_file(predictor, source, tmp_path / "out.csv", text_column="txt")
    with pytest.raises(OutputError, match="is a directory"):
        (tmp_path / "dir.csv").mkdir()
        predict_file(predictor, source, tmp_path / "dir.csv")


def test_white_space_and_numbers_that_json_and_python_see_otherwise(predictor, tmp_path):
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"text": "good"}\u3000\n\n{"text": "so so"}\xa0\n', encoding="utf-8")
    assert predict_file(predictor, path, out) == 2
    assert [row["text"] for row in rows_of(out)] == ["good", "so so"]
    path.write_text(f'{{"text": "good"}}\n{{"text": "bad", "n": {"9" * 5000}}}\n')
    with pytest.raises(DataError, match="line 2: a number has too many digits"):
        predict_file(predictor, path, out, overwrite=True)
    assert len(rows_of(out)) == 2
    assert predict_file(predictor, path, tmp_path / "out.csv") == 2  # as it is spelled


def test_a_file_that_came_to_stand_there_meanwhile_is_kept(
    predictor, source, tmp_path, monkeypatch
):
    out = tmp_path / "out.csv"
    inner = stream.predict_into

    def slow(*given, **more):
        out.write_text("somebody else's")
        return inner(*given, **more)

    monkeypatch.setattr(stream, "predict_into", slow)
    with pytest.raises(OutputError, match="exists"):
        predict_file(predictor, source, out)
    assert out.read_text() == "somebody else's"
