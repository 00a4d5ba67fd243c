from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import COMMAND, environment, finish, start

ADDED = ["prediction", "score", "prob_negative", "prob_positive"]


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put ``data`` on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def check(row: dict[str, Any], text: str, predictor: lora_bert.Predictor) -> None:
    """Whether a written row says of ``text`` what Python says."""
    wanted = predictor.predict([text])[0]
    assert row["prediction"] == wanted.label
    assert float(row["score"]) == pytest.approx(wanted.score, abs=1e-5)
    for label, score in wanted.scores.items():
        assert float(row[f"prob_{label}"]) == pytest.approx(score, abs=1e-5)


@pytest.fixture(scope="module")
def predictor(merged: Path) -> lora_bert.Predictor:
    return lora_bert.load(merged, dtype="float32")


# Arguments, lines, a prompt


def test_texts_as_arguments(cli: Cli, adapter: Path) -> None:
    outcome = cli("infer", "--adapter", adapter, "很好吃", "bad, slow")
    rows = [line.split("\t") for line in outcome.stdout.splitlines()]
    wanted = lora_bert.load(adapter).predict(["很好吃", "bad, slow"])
    assert rows == [
        [one.label, f"{one.score:.4f}", text]
        for one, text in zip(wanted, ["很好吃", "bad, slow"], strict=True)
    ]
    assert (outcome.code, outcome.stderr) == (0, "")


def test_texts_that_are_too_long_are_told_once(cli: Cli, adapter: Path, tmp_path: Path) -> None:
    long, said = "good " * 500, "of 3 texts is longer than 130 tokens and read up to there"
    alone = cli("infer", "--adapter", adapter, "bad", long, "good")
    assert alone.stderr.count(said) == 1
    rows = tmp_path / "rows.csv"
    rows.write_text(f"text\nbad\n{long}\ngood\n", encoding="utf-8")
    from_file = cli("infer", "--adapter", adapter, "--input", rows, "--output", tmp_path / "o.csv")
    assert from_file.stderr.count(f"1 {said}") == 1
    labelled = tmp_path / "labelled.csv"
    labelled.write_text(f"text,label\nbad,negative\n{long},positive\n", encoding="utf-8")
    assert "1 of 2 texts is longer" in cli("evaluate", adapter, "--data", labelled).stderr


def test_empty_texts_are_answered_and_told(cli: Cli, adapter: Path, tmp_path: Path) -> None:
    rows, said = tmp_path / "rows.jsonl", "1 of 3 texts is empty, and answered all the same"
    rows.write_text('{"text": "good"}\n{"txt": "bad"}\n{"text": "slow"}\n', encoding="utf-8")
    found = cli("infer", "--adapter", adapter, "--input", rows, "--output", tmp_path / "o.jsonl")
    assert (found.code, found.stderr.count(said)) == (0, 1)
    assert cli("infer", "--adapter", adapter, "bad", " ", "good").stderr.count(said) == 1


def test_a_text_that_starts_with_a_dash(cli: Cli, merged: Path) -> None:
    assert cli("infer", "--model", merged, "--", "-5 stars").stdout.endswith("\t-5 stars\n")


def test_json_is_one_document(cli: Cli, merged: Path, predictor: lora_bert.Predictor) -> None:
    found = cli("infer", "--model", merged, "--json", "good", "好吃").document
    assert [one["text"] for one in found] == ["good", "好吃"]
    wanted = predictor.predict(["good", "好吃"])
    for one, other in zip(found, wanted, strict=True):
        assert one["prediction"] == other.label == max(one["scores"], key=one["scores"].get)
        assert one["score"] == max(one["scores"].values())
        assert sum(one["scores"].values()) == pytest.approx(1, abs=1e-6)
        assert list(one["scores"]) == ["negative", "positive"]


# Answers that are not sure enough


@pytest.fixture(scope="module")
def line(predictor: lora_bert.Predictor) -> float:
    """A probability between those of the answers to "good" and "x"."""
    scores = sorted(one.score for one in predictor.predict(["good tasty", "bad good"]))
    assert scores[1] - scores[0] > 1e-3
    return sum(scores) / 2


UNSURE = ("good tasty", "bad good")


def test_below_min_score_the_answer_is_otherwise(
    cli: Cli, merged: Path, predictor: lora_bert.Predictor, line: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = ("infer", "--model", merged, "--dtype", "float32", "--min-score", line)
    plain = predictor.predict(UNSURE)
    wanted = [one.label if one.score >= line else "unknown" for one in plain]
    assert sorted(wanted)[1] == "unknown"
    found = [row.split("\t")[0] for row in cli(*words, *UNSURE).stdout.splitlines()]
    assert found == wanted
    feed(monkeypatch, "\n".join(UNSURE).encode())
    found = [row.split("\t")[0] for row in cli(*words, "--otherwise", "?").stdout.splitlines()]
    assert found == [label.replace("unknown", "?") for label in wanted]
    for one, label, was in zip(cli(*words, *UNSURE, "--json").document, wanted, plain, strict=True):
        assert (one["prediction"], one["best"]) == (label, was.label)
        assert one["score"] == pytest.approx(was.score, abs=1e-6)
    assert "best" not in cli("infer", "--model", merged, "good", "--json").document[0]


def test_an_adapter_that_is_given_as_a_text(mistake: Mistake, adapter: Path) -> None:
    mistake(2, "infer", adapter, "good", says=[f"--adapter {adapter}"])


def test_min_score_of_a_file(
    cli: Cli, merged: Path, predictor: lora_bert.Predictor, line: float
) -> None:
    Path("new.csv").write_text("text\n" + "\n".join(UNSURE) + "\n")
    words = ("infer", "--model", merged, "--dtype", "float32", "--min-score", line,
             "--otherwise", "none of them", "--input", "new.csv")  # fmt: skip
    assert cli(*words, "--output", "out.csv").code == 0
    with Path("out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["prediction"] for row in rows] == [
        one.label if one.score >= line else "none of them" for one in predictor.predict(UNSURE)
    ]
    assert [row["best"] for row in rows] == [one.label for one in predictor.predict(UNSURE)]
    assert cli(*words).stdout == Path("out.csv").read_text()


def test_lines_of_stdin(cli: Cli, merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, "good one\n\n  \r\nbad, 太慢了\r\nno end".encode())
    lines = cli("infer", "--model", merged).stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == [
        "good one",
        "",
        "  ",
        "bad, 太慢了",
        "no end",
    ]


def test_more_lines_than_a_batch_keep_their_order(
    cli: Cli, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'good ' * (number % 7)}{number}" for number in range(600)]
    feed(monkeypatch, "\n".join(texts).encode())
    found = cli("infer", "--model", merged, "--json", "--batch-size", 100).document
    assert [one["text"] for one in found] == texts


def test_a_stray_byte_on_stdin_ends_nothing(
    cli: Cli, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"good \xff one\nbad\n")
    assert len(cli("infer", "--model", merged).stdout.splitlines()) == 2


def test_empty_stdin_gives_no_rows(cli: Cli, merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"")
    outcome = cli("infer", "--model", merged)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")
    feed(monkeypatch, b"")
    assert cli("infer", "--model", merged, "--json").document == []


def test_a_file_given_as_a_text_is_noticed(cli: Cli, merged: Path) -> None:
    Path("new.csv").write_text("text\ngood\n")
    outcome = cli("infer", "--model", merged, "new.csv")
    assert "'new.csv' is taken as a text" in outcome.stderr
    assert "--input" in outcome.stderr
    assert "standard input is read where no text is" in cli("infer", "--model", merged, "-").stderr


def test_the_adapters_own_column_is_looked_for_first(cli: Cli, adapter: Path) -> None:
    Path("new.csv").write_text("text,review\nbad,good\n")
    outcome = cli("infer", "--adapter", adapter, "--input", "new.csv", "--output", "out.csv")
    assert "text column 'review'" in outcome.stderr


def test_an_empty_text_gets_an_answer(cli: Cli, merged: Path) -> None:
    assert len(cli("infer", "--model", merged, "--json", "").document) == 1


def test_a_prompt_on_a_terminal(merged: Path) -> None:
    ours, theirs = pty.openpty()
    process = start("infer", "--model", merged, stdin=theirs, stderr=subprocess.STDOUT)
    os.close(theirs)
    os.write(ours, "good\n好吃\n\n".encode())
    outcome = finish(process)
    os.close(ours)
    assert outcome.code == 0
    said = outcome.stdout.replace("text> ", "\n").split("\n")
    assert [line.split("\t")[2] for line in said if line] == ["good", "好吃"]
    assert outcome.stdout.count("text> ") == 3


def test_head_closes_the_pipe_quietly(merged: Path, here: Path) -> None:
    rows = [f"good {number},{number}" for number in range(60_000)]
    Path("in.csv").write_text("\n".join(["review,id", *rows]) + "\n")
    words = ("infer", "--model", merged, "--input", "in.csv", "--batch-size", 512)
    process = start(*words)
    assert process.stdout is not None
    header = process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert (header, process.stderr.read()) == (
        "review,id,prediction,score,prob_negative,prob_positive\n",
        "text column 'review'\n",
    )
    assert process.wait(60) == 0


def test_a_pipe_in_and_out(merged: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "infer", "--model", str(merged)],
        input="很好吃\nbad\n".encode(),
        env=environment(PYTHONIOENCODING="ascii", LC_ALL="C"),
        capture_output=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b""


# Files


def read(path: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of a written file."""
    if path.endswith(".parquet"):
        table = parquet.read_table(path)
        return table.column_names, table.to_pylist()
    text = Path(path).read_text(encoding="utf-8")
    if path.endswith(".jsonl"):
        rows = [json.loads(line) for line in text.splitlines()]
        return list(rows[0]), rows
    delimiter = "\t" if path.endswith(".tsv") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    return list(reader.fieldnames or []), list(reader)


ROWS = [
    {"id": "007", "review": "good, 好吃", "note": "NA"},
    {"id": "1.0", "review": 'a "bad" one', "note": ""},
    {"id": "-", "review": "", "note": "x y"},
]


def write(path: str) -> None:
    """Write :data:`ROWS`."""
    if path.endswith(".parquet"):
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.endswith(".jsonl"):
        Path(path).write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    elif path.endswith(".json"):
        Path(path).write_text(json.dumps(ROWS))
    else:
        with Path(path).open("w", encoding="utf-8", newline="") as stream:
            delimiter = "\t" if path.endswith(".tsv") else ","
            writer = csv.DictWriter(stream, list(ROWS[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(ROWS)


@pytest.mark.parametrize("source", ["in.csv", "in.tsv", "in.json", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("target", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_columns_stay_and_answers_stand_behind(
    cli: Cli, merged: Path, predictor: lora_bert.Predictor, source: str, target: str
) -> None:
    write(source)
    words = ("--input", source, "--output", target, "--dtype", "float32")
    outcome = cli("infer", "--model", merged, *words)
    assert (outcome.code, outcome.stdout) == (0, f"3 rows in {target}\n")
    columns, rows = read(target)
    assert columns == ["id", "review", "note", *ADDED]
    for row, was in zip(rows, ROWS, strict=True):
        assert {name: row[name] for name in was} == was
        check(row, was["review"], predictor)


def test_without_output_a_file_is_answered_as_csv(cli: Cli, merged: Path) -> None:
    write("in.jsonl")
    reader = csv.DictReader(
        io.StringIO(cli("infer", "--model", merged, "--input", "in.jsonl").stdout)
    )
    assert [row["id"] for row in reader] == ["007", "1.0", "-"]
    assert reader.fieldnames == ["id", "review", "note", *ADDED]


def test_json_with_a_file_is_one_document(cli: Cli, merged: Path) -> None:
    write("in.csv")
    words = ("--input", "in.csv", "--output", "out.csv", "--json")
    assert cli("infer", "--model", merged, *words).document == {"output": "out.csv", "rows": 3}


def test_jsonl_values_keep_their_types(cli: Cli, merged: Path) -> None:
    rows = [
        {
            "text": "good",
            "n": 1,
            "x": 1.5,
            "b": True,
            "none": None,
            "list": [1, "a"],
            "o": {"k": 1},
        },
        {"text": "bad", "n": 2**60, "x": 1e-9, "b": False, "extra": "only here"},
    ]
    Path("in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    cli("infer", "--model", merged, "--input", "in.jsonl", "--output", "out.jsonl")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    for row, was in zip(found, rows, strict=True):
        assert list(row) == [*was, *ADDED]
        assert {name: row[name] for name in was} == was


def test_parquet_values_keep_their_types(cli: Cli, merged: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int16()),
            "text": ["good", "bad"],
            "price": pa.array([Decimal("1.20"), None], pa.decimal128(9, 2)),
            "tags": [["a"], []],
            "at": pa.array([0, 1], pa.timestamp("ms", "UTC")),
        }
    )
    parquet.write_table(table, "in.parquet", row_group_size=1)
    cli("infer", "--model", merged, "--input", "in.parquet", "--output", "out.parquet")
    found = parquet.read_table("out.parquet")
    assert found.column_names == [*table.column_names, *ADDED]
    kept = found.select(table.column_names)
    assert kept.schema.types == table.schema.types
    assert kept.to_pylist() == table.to_pylist()


def test_columns_of_these_names_stay_and_the_new_ones_are_renamed(cli: Cli, merged: Path) -> None:
    Path("in.csv").write_text("text,prediction,score,score_2\ngood,mine,0.1,0.2\n")
    outcome = cli("infer", "--model", merged, "--input", "in.csv", "--output", "out.csv")
    columns, rows = read("out.csv")
    new = ["prediction_2", "score_3", "prob_negative", "prob_positive"]
    assert columns == ["text", "prediction", "score", "score_2", *new]
    assert (rows[0]["prediction"], rows[0]["score"], rows[0]["score_2"]) == ("mine", "0.1", "0.2")
    assert "has a column 'prediction': the new one is called 'prediction_2'." in outcome.stderr
    assert "has a column 'score': the new one is called 'score_3'." in outcome.stderr


def test_classifying_the_output_again(cli: Cli, merged: Path) -> None:
    write("in.csv")
    cli("infer", "--model", merged, "--input", "in.csv", "--output", "one.csv")
    cli("infer", "--model", merged, "--input", "one.csv", "--output", "two.csv")
    columns, rows = read("two.csv")
    assert columns == ["id", "review", "note", *ADDED, *(f"{name}_2" for name in ADDED)]
    assert all(row["prediction"] == row["prediction_2"] for row in rows)


def test_how_to_read_can_be_told(cli: Cli, merged: Path) -> None:
    Path("in.csv").write_bytes("1,好吃\n2,太慢了\n".encode("gb18030"))
    words = ("--input", "in.csv", "--output", "out.csv", "--encoding", "gb18030")
    told = ("--no-header", "--columns", "id,what", "--text-column", "what")
    assert cli("infer", "--model", merged, *words, *told).code == 0
    columns, rows = read("out.csv")
    assert columns == ["id", "what", *ADDED]
    assert [row["what"] for row in rows] == ["好吃", "太慢了"]


def test_overwrite_and_only_then(cli: Cli, merged: Path) -> None:
    write("in.csv")
    Path("out.csv").write_text("dear")
    words = ("infer", "--model", merged, "--input", "in.csv", "--output", "out.csv")
    assert cli(*words).code == 73
    assert Path("out.csv").read_text() == "dear"
    assert cli(*words, "--overwrite").code == 0
    assert len(read("out.csv")[1]) == 3
    assert sorted(entry.name for entry in Path().iterdir()) == ["in.csv", "out.csv"]


def test_a_directory_for_the_output_is_made(cli: Cli, merged: Path) -> None:
    write("in.csv")
    cli("infer", "--model", merged, "--input", "in.csv", "--output", "new/deep/out.csv")
    assert len(read("new/deep/out.csv")[1]) == 3


def test_more_rows_than_a_piece(cli: Cli, merged: Path) -> None:
    texts = [f"good {number}" for number in range(4100)]
    Path("in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n")
    words = ("--input", "in.jsonl", "--output", "out.jsonl", "--batch-size", 512)
    assert cli("infer", "--model", merged, *words).stdout == "4,100 rows in out.jsonl\n"
    assert [row["text"] for row in read("out.jsonl")[1]] == texts


def test_an_adapter_with_its_backbone_elsewhere(
    cli: Cli, adapter: Path, own_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    words = ("--adapter", adapter, "--backbone", own_backbone, "good")
    assert cli("infer", *words).code == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
def test_dtype_and_device(cli: Cli, merged: Path, dtype: str) -> None:
    words = ("--dtype", dtype, "--device", "cpu", "--json", "good")
    scores = cli("infer", "--model", merged, *words).document[0]["scores"]
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


# On a cluster


def test_what_only_a_cluster_does_and_what_it_does_not(mistake: Mistake, merged: Path) -> None:
    words = ("infer", "--model", merged)
    mistake(2, *words, "good", "--on", "ray", says=["--input", "--output"])
    mistake(2, *words, "--input", "in.csv", "--on", "ray", says=["--output"])
    mistake(2, *words, "--input", "in.csv", "--ray-address", "h:1", says=["--on ray"])
    both = ("--input", "s3://b/in.csv", "--output", "out.csv")
    mistake(2, *words, *both, says=["--input 's3://b/in.csv' is a URL", "--on ray"])
    mistake(2, *words, "--input", "in.csv", "--output", "s3://b/o.csv", says=["is a URL"])


def test_a_cluster_without_its_package(
    mistake: Mistake, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ("infer", "--model", merged, "--input", "in.csv", "--output", "out.csv", "--on", "ray")
    mistake(69, *words, says=["--on ray needs ray, which is not installed", "lora-bert[ray]"])


def test_a_gpu_that_this_machine_has_not_is_not_waited_for(
    mistake: Mistake, merged: Path, here: Path
) -> None:
    pytest.importorskip("ray")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    Path("in.csv").write_text("text\ngood\n")
    words = ("infer", "--model", merged, "--input", "in.csv", "--output", "out.csv", "--on", "ray")
    mistake(69, *words, "--device", "cuda", says=["cuda"])
