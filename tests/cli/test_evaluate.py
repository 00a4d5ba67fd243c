from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import contents

USAGE, OUTPUT = 2, 73
KEYS = {"accuracy", "macro_f1", "log_loss", "rows", "interval"}


def test_evaluate_json_is_one_document(cli: Cli, adapter: Path, reviews: Path) -> None:
    found = cli("evaluate", adapter, "--data", reviews, "--json").document
    assert found.keys() >= KEYS
    assert found["rows"] == 60
    low, high = found["interval"]
    assert 0 <= low <= found["accuracy"] <= high <= 1
    assert len(found["per_class"]) == len(found["confusion"]) == 2


def test_evaluate_prints_figures_and_tables(cli: Cli, adapter: Path, reviews: Path) -> None:
    text = cli("evaluate", adapter, "--data", reviews).stdout
    for part in ("accuracy", "macro-F1", "weighted F1", "log loss", "95 % interval"):
        assert part in text
    for part in ("class", "precision", "recall", "negative", "positive", "confusion"):
        assert part in text
    assert "\x1b" not in text


def test_without_data_it_scores_what_training_held_out(
    cli: Cli, adapter: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reviews.parent)
    outcome = cli("evaluate", adapter, "--json")
    trained = json.loads((adapter / "lora_bert.json").read_text())["metrics"]["validation"]
    assert {key: outcome.document[key] for key in trained} == trained
    assert "Using the validation rows of 'reviews.csv'." in outcome.stderr
    assert cli("evaluate", adapter, "--part", "train", "--json").document["rows"] == 48


def test_data_that_changed_since_training_are_warned_of(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    text = reviews.read_text(encoding="utf-8")
    Path("reviews.csv").write_text(text + "positive,new\n", encoding="utf-8")
    assert "warning: 'reviews.csv' has changed since" in cli("evaluate", adapter).stderr


def test_a_part_of_named_data_is_the_one_training_split_off(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    trained = json.loads((adapter / "lora_bert.json").read_text())["metrics"]["validation"]
    words = ("--data", reviews, "--part", "validation", "--json")
    assert cli("evaluate", adapter, *words).document["accuracy"] == trained["accuracy"]


def test_scoring_rows_it_was_trained_on_is_warned_of(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    stderr = cli("evaluate", adapter, "--data", reviews, "--json").stderr
    assert "warning: The adapter was trained on rows of" in stderr


def test_a_merged_model_scores_the_same(
    cli: Cli, adapter: Path, merged: Path, reviews: Path
) -> None:
    words = ("--data", reviews, "--json", "--dtype", "float32")
    one, other = (cli("evaluate", model, *words).document for model in (adapter, merged))
    assert other["confusion"] == one["confusion"]
    assert other["log_loss"] == pytest.approx(one["log_loss"], abs=1e-5)


def test_baseline_stands_beside(
    cli: Cli, adapter: Path, merged: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reviews.parent)
    outcome = cli("evaluate", adapter, "--baseline")
    assert "TF-IDF" in outcome.stdout
    assert "Training TF-IDF + linear SVM on 48 rows." in outcome.stderr
    words = ("--data", reviews, "--baseline", "--train", reviews, "--json")
    assert 0 <= cli("evaluate", merged, *words).document["baseline"]["accuracy"] <= 1


def test_output_holds_tables_and_wrong_rows(cli: Cli, adapter: Path, reviews: Path) -> None:
    outcome = cli("evaluate", adapter, "--data", reviews, "--output", "report")
    assert outcome.stdout.endswith("\ntables in report\n")
    names = {"evaluation.json", "confusion.png", "wrong.csv", "suspects.csv"}
    assert set(contents(Path("report"))) == names
    saved = json.loads(Path("report/evaluation.json").read_text())
    with Path("report/wrong.csv").open(encoding="utf-8-sig", newline="") as stream:
        wrong = list(csv.DictReader(stream))
    assert len(wrong) == saved["rows"] - round(saved["accuracy"] * saved["rows"])
    assert Path("report/confusion.png").read_bytes().startswith(b"\x89PNG")


def test_texts_seen_in_training_are_said(
    cli: Cli, adapter: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reviews.parent)
    seen = cli("evaluate", adapter, "--data", reviews, "--json").document["overlap"]
    assert (seen["rows"], seen["unseen_rows"]) == (48, 12)
    assert (
        "48 of 60 texts stand in the training rows too"
        in cli("evaluate", adapter, "--data", reviews).stdout
    )
    assert cli("evaluate", adapter, "--json").document["overlap"]["rows"] == 0


def test_training_rows_that_have_changed_say_nothing(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    Path("reviews.csv").write_text(reviews.read_text(encoding="utf-8") + "positive,good 99\n")
    outcome = cli("evaluate", adapter, "--data", "reviews.csv")
    assert "seen in training is not known: those have changed" in outcome.stderr
    assert cli("evaluate", adapter, "--data", "reviews.csv", "--json").document["overlap"] is None


def test_training_rows_that_would_have_to_be_fetched_are_left_alone(
    cli: Cli, adapter: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LORA_BERT_DATA", raising=False)
    own = Path(shutil.copytree(adapter, "own"))
    text = (own / "run.yaml").read_text(encoding="utf-8")
    (own / "run.yaml").write_text(text.replace("data: reviews.csv", "data: waimai"))
    outcome = cli("evaluate", own, "--data", reviews)
    assert outcome.code == 0
    assert "seen in training is not known: 'waimai' is not here" in outcome.stderr
    assert "Downloading" not in outcome.stderr


def test_against_another(cli: Cli, adapter: Path, merged: Path, reviews: Path) -> None:
    words = ("evaluate", adapter, "--data", reviews, "--against", merged)
    found = cli(*words, "--json").document["against"]
    assert (found["difference"], found["p_value"]) == (0, 1)
    text = cli(*words).stdout
    assert "against" in text
    assert "McNemar p = 1" in text


def test_against_one_whose_labels_stand_in_another_order(
    cli: Cli, adapter: Path, own_adapter: Path, reviews: Path
) -> None:
    manifest = json.loads((own_adapter / "lora_bert.json").read_text(encoding="utf-8"))
    manifest["labels"].reverse()
    (own_adapter / "lora_bert.json").write_text(json.dumps(manifest))
    words = ("evaluate", adapter, "--data", reviews, "--against", own_adapter, "--json")
    found = cli(*words).document
    assert found["against"]["accuracy"] == pytest.approx(1 - found["accuracy"])
    right = round(found["accuracy"] * 60)
    assert (found["against"]["only_ours"], found["against"]["only_theirs"]) == (right, 60 - right)


def test_against_one_with_other_labels(
    mistake: Mistake, cli: Cli, adapter: Path, reviews: Path
) -> None:
    Path("other.csv").write_text(reviews.read_text(encoding="utf-8").replace("positive", "great"))
    cli("train", "--data", "other.csv", "--backbone", "tiny-bert", "--epochs", 1, "--output", "o")
    says = ["--against 'o' knows other labels", "'great'", "'positive'"]
    mistake(USAGE, "evaluate", adapter, "--data", reviews, "--against", "o", says=says)


def test_report_is_one_html_file(cli: Cli, mistake: Mistake, adapter: Path, reviews: Path) -> None:
    words = ("evaluate", adapter, "--data", reviews, "--report", "r.html")
    assert cli(*words).stdout.endswith("\nreport in r.html\n")
    page = Path("r.html").read_text(encoding="utf-8")
    assert "reviews.csv" in page
    mistake(OUTPUT, *words, says=["'r.html' exists", "--overwrite"])
    assert cli(*words, "--overwrite").code == 0
    mistake(OUTPUT, "evaluate", adapter, "--data", reviews, "--report", reviews, "--overwrite",
            says=["which is read here"])  # fmt: skip
    mistake(OUTPUT, "evaluate", adapter, "--data", reviews, "--report", adapter / "README.md",
            "--overwrite", says=["lies inside", "Name a place outside it."])  # fmt: skip


def test_labels_are_renamed_as_told(cli: Cli, adapter: Path, here: Path) -> None:
    Path("stars.csv").write_text("stars,text\n1,bad\n5,good\n")
    words = ("--data", "stars.csv", "--label-column", "stars")
    renamed = cli("evaluate", adapter, *words, "--label-names", "1=negative,5=positive", "--json")
    assert renamed.document["rows"] == 2


def test_python_gives_the_same(cli: Cli, adapter: Path, reviews: Path) -> None:
    found = cli("evaluate", adapter, "--data", reviews, "--json").document
    assert lora_bert.evaluate(adapter, reviews).as_dict() == found


# Steered by another metric


@pytest.fixture
def by_macro_f1(own_adapter: Path) -> Path:
    """The adapter, as if it had been trained for macro-F1."""
    run = own_adapter / "run.yaml"
    text = run.read_text(encoding="utf-8").replace("metric: accuracy", "metric: macro_f1")
    run.write_text(text.replace("class_weights: none", "class_weights: balanced"))
    return own_adapter


def test_rows_that_the_other_one_was_trained_on_are_said(
    cli: Cli, adapter: Path, reviews: Path, tiny_backbone: Path
) -> None:
    first, *rows = reviews.read_text(encoding="utf-8").splitlines(keepends=True)
    Path("mine.csv").write_text(first + "".join(row.replace(",", ",no ") for row in rows))
    words = ("--data", "mine.csv", "--backbone", tiny_backbone, "--epochs", 1, "--output", "out")
    assert cli("train", *words).code == 0
    shutil.copy(reviews, ".")
    outcome = cli("evaluate", "out", "--data", reviews.name, "--against", adapter)
    said = f"warning: 48 of the 60 texts stand in the training rows of '{adapter}' too"
    assert said in outcome.stderr
    assert "of 60 texts stand" not in outcome.stdout


def test_the_metric_it_was_trained_for_stands_first(
    cli: Cli, by_macro_f1: Path, adapter: Path, reviews: Path
) -> None:
    words = ("evaluate", by_macro_f1, "--data", reviews, "--baseline", "--train", reviews)
    text = cli(*words, "--against", adapter).stdout
    assert text.startswith("macro-F1 ")
    assert "verdict      the rows cannot tell which has the better macro-F1" in text
    table = text.split("\n\n")[2].splitlines()
    assert table[0].split() == ["what", "differs", "this", "one", "the", "other"]
    assert [line.split() for line in table[1:]] == [
        ["class_weights", "balanced", "none"],
        ["metric", "macro_f1", "accuracy"],
    ]
    found = cli(*words, "--against", adapter, "--json").document
    assert (found["metric"], found["against"]["metric"]) == ("macro_f1", "macro_f1")
    assert found["against"]["macro_f1_interval"] == [0, 0]
    assert found["against"]["settings"]["class_weights"] == ["balanced", "none"]
    baseline = found["baseline"]["comparison"]
    assert (baseline["metric"], baseline["macro_f1"]) == ("macro_f1", found["baseline"]["macro_f1"])
    low, high = baseline["macro_f1_interval"]
    assert low <= baseline["macro_f1_difference"] <= high


def test_the_metric_can_be_chosen(cli: Cli, adapter: Path, merged: Path, reviews: Path) -> None:
    words = ("evaluate", adapter, "--data", reviews, "--against", merged, "--metric", "log_loss")
    text = cli(*words).stdout
    assert text.startswith("log loss ")
    assert "better log loss" in text
    assert re.search(r"log loss     \d\.\d{3}, the other \d\.\d{3}: [+-]0\.000", text)
    assert cli("evaluate", merged, "--data", reviews, "--json").document["metric"] == "accuracy"


# Sure answers only, and rows of no class


def test_a_target_comes_with_the_command_that_reaches_it(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    words = ("evaluate", adapter, "--data", reviews, "--target-accuracy", 0.55)
    found = cli(*words, "--json").document["target"]
    assert found["reached"]["accuracy"] >= 0.55
    text = cli(*words).stdout
    assert "target       from --min-score " in text
    line = text.splitlines()[-1]
    assert line.startswith(f"next         lora-bert infer --adapter {adapter} --min-score ")
    assert float(line.split()[-2]) == found["reached"]["min_score"]
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split() == ["--min-score", "answered", "%", "of", "rows", "%", "right"]
    assert table[1].split()[:3] == ["0", "60", "100.0"]


def test_a_target_that_all_answers_reach_needs_no_line(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    words = ("evaluate", adapter, "--data", reviews, "--target-accuracy", 0.01)
    text = cli(*words).stdout
    assert re.search(
        r"target       no --min-score is needed: of all rows \d+\.\d % are right", text
    )
    assert "next  " not in text


@pytest.fixture
def with_strangers(reviews: Path, here: Path) -> Path:
    """The reviews, and nine rows of two labels that no adapter knows."""
    rows = [f"{'odd' if number % 3 else 'spam'},what is {number}" for number in range(9)]
    text = reviews.read_text(encoding="utf-8") + "\n".join(rows) + "\n"
    Path("mixed.csv").write_text(text, encoding="utf-8")
    return Path("mixed.csv")


def test_rows_out_of_scope_are_scored_apart(
    cli: Cli, adapter: Path, reviews: Path, with_strangers: Path
) -> None:
    plain = cli("evaluate", adapter, "--data", reviews, "--json").document
    words = ("evaluate", adapter, "--data", with_strangers, "--out-of-scope", "odd",
             "--out-of-scope", "spam")  # fmt: skip
    found = cli(*words, "--json").document
    assert found["confusion"] == plain["confusion"]
    apart = found["out_of_scope"]
    assert (apart["labels"], apart["rows"]) == (["odd", "spam"], 9)
    low, high = apart["auroc_interval"]
    assert 0 <= low <= apart["auroc"] <= high <= 1
    first, last = apart["lines"][0], apart["lines"][-1]
    assert (first["answered"], first["recall"]) == (1, 0)
    assert first["accuracy"] == found["accuracy"]
    assert last["min_score"] > 0.5
    assert plain["out_of_scope"] is None
    text = cli(*words, "--report", "r.html").stdout
    assert "out of scope 9 rows, not in the figures above; AUROC " in text
    assert "Rows that belong to no class: odd, spam" in Path("r.html").read_text("utf-8")


def test_a_rare_mark_that_is_named_out_of_scope_is_a_label(
    cli: Cli, adapter: Path, reviews: Path
) -> None:
    """Unnamed, it says that a row has no label."""
    Path("mixed.csv").write_text(reviews.read_text(encoding="utf-8") + "?,what is it\n", "utf-8")
    words = ("evaluate", adapter, "--data", "mixed.csv", "--json")
    assert cli(*words, "--out-of-scope", "?").document["out_of_scope"]["rows"] == 1
    plain = cli(*words)
    assert plain.document["rows"] == 60
    assert "1 row has the label ?, which says here that there is none" in plain.stderr


def test_labels_that_are_not_out_of_scope(
    mistake: Mistake, adapter: Path, with_strangers: Path
) -> None:
    words = ("evaluate", adapter, "--data", with_strangers)
    says = ["the label 'spam' is not one of the adapter's", "--out-of-scope LABEL"]
    mistake(65, *words, says=says)
    mistake(65, *words, "--out-of-scope", "spam", says=["the label 'odd' is not one"])
    says = ["--out-of-scope 'sapm': no row has this label.", "Did you mean 'spam'?"]
    mistake(USAGE, *words, "--out-of-scope", "sapm", says=says)
    says = ["--out-of-scope 'negative': the adapter knows this label."]
    mistake(USAGE, *words, "--out-of-scope", "negative", says=says)
    Path("only.csv").write_text("label,review\nspam,buy this\nspam,and that\n")
    words = ("evaluate", adapter, "--data", "only.csv", "--out-of-scope", "spam")
    mistake(65, *words, says=["every row is out of scope"])
