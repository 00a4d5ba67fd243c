"""The text and the label column are found, said, or asked for."""

from __future__ import annotations

import csv
import json
import logging

import pytest

from lora_bert.data.columns import find_columns
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import examples_from
from lora_bert.data.sources import load_splits
from lora_bert.data.tables import read_table
from lora_bert.errors import ConfigError, DataError


def find(columns, text=None, label=None, **more):
    return find_columns(columns, text=text, label=label, **{"cells": {}, "source": "a.csv", **more})


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("label", "review"), ("review", "label")),
        (("cat", "label", "review"), ("review", "label")),
        (("text", "category"), ("text", "category")),
        (("id", "Text ", "LABEL"), ("Text ", "LABEL")),
        (("title", "text", "topic"), ("text", "topic")),
        (("标签", "评论"), ("评论", "标签")),
        (("内容", "类别", "id"), ("内容", "类别")),
        (("question", "intent"), ("question", "intent")),
        (("tweet", "sentiment", "target"), ("tweet", "target")),
    ],
)
def test_by_name(caplog, columns, found):
    caplog.set_level(logging.INFO)
    assert find(columns) == found
    assert caplog.messages == [f"text column '{found[0]}', label column '{found[1]}'"]


def test_told(caplog):
    caplog.set_level(logging.INFO)
    assert find(("a", "label", "b"), text="b", label="a") == ("b", "a")
    assert caplog.messages == []
    assert find(("text", "label"), text="label", label="text") == ("label", "text")


def test_a_column_that_is_taken_is_not_found_again():
    assert find(("label", "category", "x"), text="label") == ("label", "category")


def test_absent():
    with pytest.raises(DataError, match=r"no column 'reveiw'; its columns are 'label', 'review'"):
        find(("label", "review"), text="reveiw")  # codespell:ignore
    with pytest.raises(DataError) as caught:
        find(("label", "review"), label="labels", need_label=False)
    assert caught.value.hint == "Did you mean 'label'?"


@pytest.mark.parametrize("what", ["text", "label"])
def test_none_found(what):
    columns = ("x", "label") if what == "text" else ("text", "x")
    with pytest.raises(DataError, match=f"called like a {what}") as caught:
        find(columns)
    assert f"--{what}-column" in caught.value.hint


def test_several():
    with pytest.raises(DataError, match=r"several columns .* 'Text', 'TEXT'") as caught:
        find(("Text", "TEXT", "label"))
    assert "--text-column" in caught.value.hint


def test_without_label():
    assert find(("text", "x"), need_label=False) == ("text", None)
    assert find(("text", "label", "Label"), need_label=False) == ("text", None)


def test_one_column_for_both():
    with pytest.raises(ConfigError, match="both"):
        find(("text", "label"), text="text", label="text")


CELLS = {
    "label": ["a", "b", "a", "b"],
    "transcript": ["never again, awful", "good value", "two hours late", "friendly people"],
    "id": ["1", "2", "3", "4"],
    "column_4": ["", "", "", ""],
    "v1": ["ham", "spam", "ham", "ham"],
}


def test_the_column_that_is_left_beside_the_label_holds_the_texts(caplog):
    caplog.set_level("INFO")
    assert find(("id", "label", "transcript", "column_4"), cells=CELLS) == ("transcript", "label")
    assert "text column 'transcript'" in caplog.text
    assert find(("v1", "transcript"), label="v1", cells=CELLS) == ("transcript", "v1")


def test_a_column_that_looks_like_no_text_is_not_taken_for_it():
    with pytest.raises(DataError, match="called like a text"):
        find(("label", "price"), cells={**CELLS, "price": ["1", "2", "3", "4"]})
    with pytest.raises(DataError, match="called like a text"):
        find(("label", "transcript", "other"), cells={**CELLS, "other": CELLS["transcript"]})


def test_where_no_name_tells_the_hint_says_what_the_cells_look_like():
    with pytest.raises(DataError, match="called like a text") as caught:
        find(("v1", "transcript", "column_4"), cells=CELLS)
    assert caught.value.hint.endswith("--text-column transcript --label-column v1.")


def test_a_single_column_without_a_usual_name_may_be_the_first_text():
    """A list of texts without a header: naming its first one as the column would eat a row."""
    with pytest.raises(DataError) as caught:
        find(("too slow",), need_label=False, source="a/new.csv")
    assert caught.value.hint == (
        "If 'too slow' is the first text: --no-header --columns text. If it is the column's name: "
        "--text-column 'too slow'."
    )
    with pytest.raises(DataError) as caught:
        find(("too slow",), need_label=False, source="new.parquet")
    assert caught.value.hint == "Name the text column with --text-column."


PAIRS = "id,question1,question2,is_duplicate\n" + "".join(
    f"{at},How does one get to the place number {at}?,Which way leads to place {at}?,{at % 2}\n"
    for at in range(20)
)


def hint_of(path, **options) -> str:
    with pytest.raises(DataError) as found:
        examples_from(read_table(path), **options)
    return f"{found.value} {found.value.hint}"


def test_the_hint_names_what_is_missing_and_nothing_else(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(PAIRS, encoding="utf-8")
    said = hint_of(path)
    assert "its columns are 'id', 'question1', 'question2', 'is_duplicate'" in said
    assert said.endswith("By the look of their cells: --label-column is_duplicate.")
    path.write_text(PAIRS.replace("question1", "essay").replace("question2", "other"))
    assert "--label-column" not in hint_of(path, need_labels=False)
    lines = [f"{at},An excerpt of a text that is long enough {at},{at / 7:.3f},0.4{at % 2}"
             for at in range(20)]  # fmt: skip
    path.write_text("id,excerpt,target,error\n" + "\n".join(lines), encoding="utf-8")
    assert hint_of(path).endswith("By the look of their cells: --text-column excerpt.")


def test_a_named_label_is_no_text_of_a_pair(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("question,answer\nIs it so?,yes\nIs it not?,no\n", encoding="utf-8")
    rows = examples_from(read_table(path), label_column="answer")
    assert (list(rows.texts), list(rows.labels)) == (["Is it so?", "Is it not?"], ["yes", "no"])


def test_what_json_calls_no_number_is_missing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": NaN}\n{"text": "b", "label": 1}\n', encoding="utf-8")
    assert list(examples_from(read_table(path)).labels) == ["1"]


def test_two_columns_of_texts_without_a_header_are_a_pair(tmp_path):
    path = tmp_path / "a.tsv"
    lines = [f"How does one get to place {at}?\tWhich way leads to place {at}?\t{at % 2}"
             for at in range(20)]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as found:
        read_table(path)
    assert "--no-header --columns text_a,text_b,label" in str(found.value.hint)


def test_texts_that_are_objects_are_told(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": {"en": "great", "de": "gut"}, "label": 1}\n', encoding="utf-8")
    examples_from(read_table(path))
    assert "the texts of column 'text' are JSON objects" in caplog.text


def test_the_hint_for_spacys_own_list(tmp_path):
    path = tmp_path / "a.json"
    rows = [[f"Ann met {at}", {"entities": [[0, 3, "PER"]]}] for at in range(3)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError) as found:
        read_table(path)
    assert "--no-header --columns text,entities." in str(found.value.hint)


def test_questions_without_a_start_are_told_their_task(tmp_path):
    path = tmp_path / "a.jsonl"
    row = {"question": "Who?", "context": "Ann came.", "answers": ["Ann"]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(DataError) as found:
        load_splits(str(path), options=DataOptions())
    assert "--task question-answering" in str(found.value.hint)


def test_pairs_without_a_gold_label_are_left_out(tmp_path, caplog):
    rows = [{"gold_label": label, "sentence1": f"a {at}", "sentence2": f"b {at}"}
            for at, label in enumerate(["neutral", "-", "entailment"])]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = examples_from(read_table(path))
    assert list(found.labels) == ["neutral", "entailment"]
    assert "1 row" in caplog.text


LISTS = ['["One.", "Two."]', "['One.' 'Two.']", "array(['One.', 'Two.'], dtype=object)",
         "[np.str_('One.'), np.str_('Two.')]"]  # fmt: skip


@pytest.mark.parametrize("written", LISTS)
def test_texts_that_are_lists_of_sentences_are_texts(written, tmp_path, caplog):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), (written, "a"), ("['Three.']", "b"),
                                      ("[]", "a"), ("", "b")])  # fmt: skip
    with caplog.at_level("INFO"):
        found = examples_from(read_table(path))
    assert list(found.texts) == ["One.\nTwo.", "Three."]
    assert "the texts of column 'text' are lists; what stands in each is read as one" in caplog.text
    assert "Dropped 2 rows with an empty text" in caplog.text
    path.write_text(path.read_text() + "[SPAM] call now,b\n")
    assert examples_from(read_table(path)).texts[0] == written


def labels_of(tmp_path, labels, **options):
    path = tmp_path / "a.csv"
    rows = (f"text {at},{label}" for at, label in enumerate(labels))
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return list(examples_from(read_table(path), **options).labels)


NUMBERED = [["0", "1", "2"] * 30 + ["-1"] * 2, ["1", "0"] * 50 + ["-1"]]
NUMBERED += [["1.0", "0.0"] * 50 + ["-1.0"], ["0", "1"] * 50 + ["-100"]]


@pytest.mark.parametrize("labels", NUMBERED)
def test_a_rare_minus_one_among_numbered_classes_says_that_there_is_no_label(
    labels, tmp_path, caplog
):
    """As in SNLI, whose annotators disagree about a few pairs."""
    none = labels[-1]
    assert labels_of(tmp_path, labels) == [label for label in labels if label != none]
    assert f"the label {none}, which says here that there is none" in caplog.text
    renamed = labels_of(tmp_path, labels, label_names={none: "unsure"})
    assert renamed.count("unsure") == labels.count(none)
    assert labels_of(tmp_path, labels, known_labels={*labels}) == labels


@pytest.mark.parametrize("labels", [["good", "bad"] * 50, ["1", "2", "5"] * 30])
@pytest.mark.parametrize("none", ["-", "?"])
def test_a_rare_mark_among_words_says_that_there_is_no_label(labels, none, tmp_path, caplog):
    assert labels_of(tmp_path, [*labels, none]) == labels
    assert f"1 row has the label {none}, which says here that there is none" in caplog.text
    assert labels_of(tmp_path, [*labels, none], label_names={none: "x"}) == [*labels, "x"]
    assert (
        labels_of(tmp_path, ["good"] * 50 + [none], known_labels=["good", "bad"]) == ["good"] * 50
    )


@pytest.mark.parametrize("none", ["N/A", "none", "nan", "-1"])
def test_a_rare_word_that_may_be_a_class_is_told(none, tmp_path, caplog):
    labels = ["good", "bad"] * 50 + [none]
    assert labels_of(tmp_path, labels) == labels
    assert f"1 row has the label {none}, which is taken for a class" in caplog.text
    caplog.clear()
    labels_of(tmp_path, labels, known_labels={*labels})
    labels_of(tmp_path, ["good", "bad", none] * 9)
    assert "taken for a class" not in caplog.text


@pytest.mark.parametrize(
    "labels",
    [["-1", "0", "1"] * 30, ["1"] * 99 + ["-1"], ["+", "-", "0"] * 2 + ["+"] * 90, ["?"] * 9],
)
def test_another_minus_one_is_a_class(labels, tmp_path):
    assert labels_of(tmp_path, labels) == labels


def test_the_hint_names_no_column_that_never_changes(tmp_path):
    """GoEmotions' raw rows have a time and whether they are unclear, beside the emotions."""
    path = tmp_path / "a.csv"
    header = "text,id,author,created_utc,example_very_unclear,spam,joy,anger,grief"
    rows = [f"text {at},x{at},someone,15{at},{at % 9 == 0},0,{int(at % 3 == 0)},{int(at % 3 == 1)},"
            f"{int(at == 1100)}" for at in range(1200)]  # fmt: skip
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    with pytest.raises(DataError) as found:
        load_splits(str(path))
    assert found.value.hint.endswith("one a class: --label-column joy,anger,grief.")


def test_the_hint_for_a_file_without_header_takes_no_column_that_never_changes(tmp_path):
    path = tmp_path / "a.tsv"
    rows = [f"train\tthe weather is fine and dry {at}\tsome{at}\t" for at in range(9)]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError) as found:
        load_splits(str(path))
    assert "--no-header --columns column_1,text,label,column_4" in found.value.hint
