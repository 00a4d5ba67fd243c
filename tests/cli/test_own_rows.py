"""An adapter remembers its rows: where they were, how they are read, how they were divided."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Cli, Mistake

GOOD = ["good", "tasty", "fast", "hot", "fine"]
BAD = ["bad", "awful", "slow", "cold", "late"]


def lines(count: int = 40) -> list[tuple[str, str]]:
    return [((GOOD if n % 2 else BAD)[n % 5] + f" {n}", "ham" if n % 2 else "spam")
            for n in range(count)]  # fmt: skip


def headless(path: Path, count: int = 40, encoding: str = "utf-8") -> Path:
    """Label and text without a header: no usual order, so the columns have to be told."""
    text = "".join(f"{label},{text}\n" for text, label in lines(count))
    path.write_text(text, encoding=encoding)
    return path


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path):
    def call(*words: object) -> Path:
        more = (
            "--backbone",
            tiny_backbone,
            "--epochs",
            1,
            "--head-start",
            "random",
            "--output",
            "out",
        )
        outcome = cli("train", *words, *more)
        assert outcome.code == 0, outcome.stderr
        return Path("out").resolve()

    return call


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def metrics(path: Path) -> dict[str, object]:
    return dict(json.loads((path / "lora_bert.json").read_text())["metrics"]["validation"])


def agrees(cli: Cli, path: Path, *words: object) -> None:
    outcome = cli("evaluate", path, "--json", *words)
    assert outcome.code == 0, outcome.stderr
    told = metrics(path)
    assert outcome.document["rows"] == told["rows"]
    assert outcome.document["accuracy"] == told["accuracy"]
    assert "has changed" not in outcome.stderr


def test_rows_of_an_absolute_path_are_found_again(cli, train, reviews, elsewhere, monkeypatch):
    out = train("--data", reviews.resolve())
    monkeypatch.chdir(elsewhere)
    agrees(cli, out)
    agrees(cli, out, "--part", "validation")
    assert cli("evaluate", out, "--part", "train", "--json").document["rows"] == 48


def test_rows_of_a_relative_path_are_found_from_elsewhere(
    cli, train, reviews, elsewhere, monkeypatch
):
    Path("rows").mkdir()
    shutil.copy(reviews, "rows/mine.csv")
    out = train("--data", "rows/mine.csv")
    monkeypatch.chdir(elsewhere)
    agrees(cli, out)


def test_each_file_of_a_training_is_found(cli, train, reviews, elsewhere, monkeypatch):
    places = [elsewhere / name for name in ("a.csv", "b.csv", "c.csv")]
    for place in places:
        shutil.copy(reviews, place)
    words = zip(("--train", "--validation", "--test"), places, strict=True)
    out = train(*(word for pair in words for word in pair))
    assert cli("evaluate", out, "--json").document["rows"] == 60
    assert cli("evaluate", out, "--part", "train", "--json").document["rows"] == 60
    assert cli("evaluate", out, "--baseline").code == 0


def test_what_is_noted_of_a_file_is_said_once(cli, train, reviews, elsewhere):
    """The file is read three times: to be scored, and as either adapter's training rows."""
    own = elsewhere / "mine.csv"
    own.write_text(reviews.read_text(), encoding="utf-8-sig")
    first = train("--data", own)
    second = Path(shutil.copytree(first, first.with_name("second")))
    notes = cli("evaluate", first, "--data", own, "--against", second).stderr.splitlines()
    assert [note for note in notes if note.startswith("text column")] == [
        "text column 'review', label column 'label'"
    ]
    assert sum("is read as" in note for note in notes) == 1
    assert len(set(notes)) == len(notes)
    again = cli("evaluate", first, "--data", own).stderr
    assert "text column 'review'" in again


def test_what_has_changed_where_it_was_is_said(cli, train, reviews, elsewhere):
    own = Path(shutil.copy(reviews, elsewhere / "mine.csv"))
    out = train("--data", own)
    own.write_text(own.read_text() + "positive,something new\n")
    outcome = cli("evaluate", out)
    assert outcome.code == 0
    assert "warning: 'mine.csv' has changed since the adapter was trained on it" in outcome.stderr


def test_what_is_gone_is_said(cli, train, mistake: Mistake, reviews, elsewhere):
    own = Path(shutil.copy(reviews, elsewhere / "mine.csv"))
    out = train("--data", own)
    own.unlink()
    mistake(66, "evaluate", out, says=["rows the adapter was trained on are not here", "--data"])
    shutil.copy(reviews, "mine.csv")
    agrees(cli, out)


def test_a_path_given_once_to_evaluate_is_found_again(cli, adapter, reviews, monkeypatch):
    assert cli("evaluate", adapter).code == 66
    assert cli("evaluate", adapter, "--data", reviews).code == 0
    agrees(cli, adapter)


def test_a_directory_given_once_to_evaluate_is_found_again(
    cli, train, reviews, elsewhere, monkeypatch
):
    """Its test part has no labels, so that it did not count in the training."""
    for name in ("train.csv", "validation.csv"):
        shutil.copy(reviews, elsewhere / name)
    (elsewhere / "test.csv").write_text("review\ngood\n")
    out = train("--data", elsewhere)
    (Path(os.environ["LORA_BERT_CACHE"]) / "data" / "known.json").unlink()
    monkeypatch.chdir(out.parent)
    assert cli("evaluate", out.name).code == 66
    assert cli("evaluate", out.name, "--data", elsewhere).code == 0
    assert cli("evaluate", out.name, "--json").document["rows"] == 60


def test_no_path_of_a_stranger_is_read(cli, mistake: Mistake, train, reviews):
    out = train("--data", reviews)
    written = json.loads((out / "lora_bert.json").read_text())
    settings = yaml.safe_load((out / "run.yaml").read_text())
    assert settings["data"] == written["data"]["told"]["data"] == "reviews.csv"
    assert str(reviews.parent) not in (out / "lora_bert.json").read_text()
    settings["data"] = str(reviews)
    (out / "run.yaml").write_text(yaml.safe_dump(settings))
    mistake(65, "evaluate", out, says=["by a path of another machine"])


@pytest.mark.parametrize("form", ["merged", "onnx"])
def test_what_is_made_of_an_adapter_scores_the_same_rows(cli, train, reviews, form):
    out = train("--data", reviews, "--test-fraction", 0.2, "--split-seed", 7)
    words = ("merge",) if form == "merged" else ("export", "--format", "onnx")
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    made = cli(*words, out, "made")
    assert made.code == 0, made.stderr
    for part in ("train", "validation", "test"):
        same = [cli("evaluate", path, "--part", part, "--dtype", "float32", "--json").document
                for path in (out, "made")]  # fmt: skip
        assert same[0]["confusion"] == same[1]["confusion"], part
    assert cli("evaluate", "made", "--json").document["rows"] == 12


def test_what_is_made_of_an_adapter_is_judged_by_its_metric(cli, train, reviews):
    out = train("--data", reviews, "--metric", "macro_f1")
    assert cli("merge", out, "merged").code == 0
    for path in (out, "merged"):
        assert cli("evaluate", path, "--json").document["metric"] == "macro_f1"


@pytest.mark.parametrize("labels", [["-1"], [""], ["-1", ""]])
def test_labels_that_are_kept_back_are_no_obstacle_to_a_comparison(cli, adapter, labels):
    rows = "".join(f"{labels[n % len(labels)]},good {n}\n" for n in range(8))
    Path("test.csv").write_text(f"label,review\n{rows}")
    for command in ("merge", "export"):
        outcome = cli(command, adapter, f"out-{command}", "--data", "test.csv", "--json")
        assert outcome.code == 0, outcome.stderr
        assert outcome.document["texts"] == 8
        assert "'test.csv' has none of the model's labels: only its texts count." in outcome.stderr


def test_models_of_older_adapters_remember_too(cli, train, reviews):
    out = train("--data", reviews)
    written = json.loads((out / "lora_bert.json").read_text())
    del written["data"]["told"]
    (out / "lora_bert.json").write_text(json.dumps(written))
    assert cli("merge", out, "made").code == 0
    assert cli("evaluate", "made", "--json").document["rows"] == 12
    old = json.loads(Path("made/lora_bert.json").read_text())
    del old["data"]["told"]
    Path("made/lora_bert.json").write_text(json.dumps(old))
    assert "does not say what rows it was trained on" in cli("evaluate", "made").stderr


def test_a_manifest_that_tells_nonsense(cli, mistake: Mistake, train, reviews):
    out = train("--data", reviews)
    cli("merge", out, "made")
    written = json.loads(Path("made/lora_bert.json").read_text())
    for told, says in ((5, "makes no sense"), ({"split": "x"}, "makes no sense"),
                       ({"data": "/etc/passwd"}, "by a path of another machine"),
                       ({"train": "../../x.csv"}, "by a path of another machine")):  # fmt: skip
        written["data"]["told"] = told
        Path("made/lora_bert.json").write_text(json.dumps(written))
        mistake(65, "evaluate", "made", says=[says])


TOLD = ("--no-header", "--columns", "label,text")


def test_how_rows_are_read_is_remembered(cli, train, tmp_path):
    out = train("--data", headless(tmp_path / "rows.csv"), *TOLD)
    agrees(cli, out)
    new = headless(tmp_path / "new.csv", 10)
    outcome = cli("evaluate", out, "--data", new, "--json")
    assert outcome.document["rows"] == 10
    assert "without" not in outcome.stderr
    assert "as the adapter's training was told" in outcome.stderr
    assert cli("infer", "--adapter", out, "--input", new, "--output", "scored.csv").code == 0
    written = Path("scored.csv").read_text(encoding="utf-8-sig").splitlines()
    assert written[0].startswith("label,text,prediction")
    assert len(written) == 11
    assert cli("merge", out, "merged", "--data", new, "--json").document["texts"] == 10
    assert cli("evaluate", "merged", "--data", new, "--json").document["rows"] == 10


def test_a_label_that_is_called_like_a_column_is_still_a_label(cli, train, tmp_path):
    """ "no" is a usual name of a column of numbers, and an answer."""
    path = tmp_path / "answers.csv"
    path.write_text("".join(f"{'yes' if label == 'ham' else 'no'},{text}\n" for text, label in
                            lines()))  # fmt: skip
    out = train("--data", path, "--no-header", "--columns", "label,text")
    outcome = cli("infer", "--adapter", out, "--input", path)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.count("\n") == 41
    header = tmp_path / "header.csv"
    header.write_text("no,review\n" + path.read_text())
    outcome = cli("infer", "--adapter", out, "--input", header)
    assert outcome.stdout.count("\n") == 41
    assert outcome.stdout.startswith("no,review,")


def test_remembered_names_break_no_other_file(cli, train, tmp_path):
    out = train("--data", headless(tmp_path / "rows.csv"), *TOLD)
    same = "".join(f"{text},{label}\n" for text, label in lines(10))
    for name, header in (("named", "text,label\n"), ("usual", "review,category\n")):
        Path(f"{name}.csv").write_text(header + same)
        outcome = cli("evaluate", out, "--data", f"{name}.csv", "--json")
        assert (outcome.code, outcome.document["rows"]) == (0, 10), outcome.stderr
        assert "as the adapter's training was told" not in outcome.stderr
    Path("texts.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in lines(10)))
    outcome = cli("infer", "--adapter", out, "--input", "texts.csv", "--output", "o.csv", "--json")
    assert outcome.document["rows"] == 10
    Path("rows.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in lines(10))
    )
    assert cli("evaluate", out, "--data", "rows.jsonl", "--json").document["rows"] == 10


def test_what_is_told_again_wins(cli, train, tmp_path):
    out = train("--data", headless(tmp_path / "rows.csv"), *TOLD)
    Path("turned.csv").write_text("".join(f"{text},{label}\n" for text, label in lines(10)))
    words = ("--data", "turned.csv", "--no-header", "--columns", "text,label", "--json")
    assert cli("evaluate", out, *words).document["rows"] == 10


def test_a_single_row_without_header(cli, train, tmp_path):
    out = train("--data", headless(tmp_path / "rows.csv"), *TOLD)
    Path("one.csv").write_text("ham,good\n")
    assert cli("evaluate", out, "--data", "one.csv", "--json").document["rows"] == 1


def test_a_header_that_gave_way_does_so_again(cli, train, tmp_path):
    body = "".join(f"{label},{text},\n" for text, label in lines())
    (tmp_path / "v.csv").write_text("v1,v2,v3\n" + body)
    out = train("--data", "v.csv", "--columns", "label,text,rest")
    agrees(cli, out)
    (tmp_path / "w.csv").write_text("v1,v2,v3\n" + body[:200].rpartition("\n")[0] + "\n")
    outcome = cli("evaluate", out, "--data", "w.csv", "--json")
    assert outcome.code == 0, outcome.stderr
    assert "'label', 'text', 'rest'" in outcome.stderr


def test_names_that_a_header_lacks_are_remembered(cli, train, tmp_path):
    body = "".join(f"{label},{text},,\n" for text, label in lines())
    (tmp_path / "v.csv").write_text("label,text,,\n" + body)
    out = train("--data", "v.csv", "--columns", "label,text,a,b")
    agrees(cli, out, "--data", "v.csv", "--part", "validation")
    for command in (("merge",), ("export", "--format", "onnx")):
        made = cli(*command, out, command[0], "--data", "v.csv", "--json")
        assert made.document["texts"] == 40, made.stderr


def test_a_first_row_is_not_eaten_as_the_header_that_gave_way(cli, train, mistake, tmp_path):
    body = "".join(f"{label},{text},x\n" for text, label in lines())
    (tmp_path / "v.csv").write_text("v1,v2,v3\n" + body)
    out = train("--data", "v.csv", "--columns", "label,text,rest")
    (tmp_path / "w.csv").write_text(body)
    mistake(65, "evaluate", out, "--data", "w.csv", says=["'w.csv' seems to have no header"])


def test_the_encoding_is_remembered_for_files_that_have_it(cli, train, tmp_path):
    words = ["café", "naïve", "été", "mañana"]
    rows = "".join(
        f"{'ham' if n % 2 else 'spam'},{GOOD[n % 5] if n % 2 else BAD[n % 5]} {words[n % 4]} {n}\n"
        for n in range(40)
    )
    (tmp_path / "rows.csv").write_text("label,text\n" + rows, encoding="cp1252")
    out = train("--data", "rows.csv", "--encoding", "cp1252")
    agrees(cli, out)
    for name, encoding in (("same.csv", "cp1252"), ("other.csv", "utf-8"), ("w.csv", "utf-16")):
        (tmp_path / name).write_text("label,text\n" + rows, encoding=encoding)
        words = ("--input", name, "--output", f"scored-{name}")
        outcome = cli("infer", "--adapter", out, *words)
        assert outcome.code == 0, outcome.stderr
        assert "café" in Path(f"scored-{name}").read_text(encoding="utf-8-sig"), name


def test_evaluate_takes_a_limit(cli, adapter, reviews):
    words = ("evaluate", adapter, "--data", reviews)
    outcome = cli(*words, "--limit", 20, "--json")
    assert outcome.document["rows"] == 20
    assert "Scoring 20 of the 60 rows of 'reviews.csv', drawn at random." in outcome.stderr
    assert cli(*words, "--limit", 200, "--json").document["rows"] == 60
    part = cli(*words, "--part", "validation", "--limit", 5, "--json")
    assert part.document["rows"] == 5
    assert part.document["overlap"]["rows"] == 0


def test_a_limit_does_not_draw_what_the_training_drew(cli, train, tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("label,text\n" + "".join(f"{label},{text}\n" for text, label in lines(400)))
    out = train("--data", path, "--limit", 40)
    found = cli("evaluate", out, "--data", path, "--limit", 40, "--json").document
    assert found["overlap"]["rows"] < 20  # 3.2 are to be expected


@pytest.mark.parametrize("command", ["merge", "export"])
def test_texts_for_a_comparison_are_read_as_told(cli, adapter, tmp_path, command):
    if command == "export":
        pytest.importorskip("onnxruntime")
    new = tmp_path / "new.csv"
    text = "".join(f"{'1' if label == 'ham' else '0'},{text} é\n" for text, label in lines(10))
    new.write_text(text, encoding="latin-1")
    words = [command, adapter, "made", "--data", new, *TOLD, "--encoding", "latin-1"]
    words += ["--text-column", "text", "--label-column", "label"]
    words += ["--label-names", "1=positive,0=negative", "--json"]
    words += ["--format", "onnx"] if command == "export" else []
    found = cli(*words)
    assert found.code == 0, found.stderr
    assert found.document["texts"] == 10
    if command == "export":
        assert found.document["accuracy"] is not None
