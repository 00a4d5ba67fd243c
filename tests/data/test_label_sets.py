"""Rows of none, one or several labels, in every shape that files have them in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import examples_from
from lora_bert.data.label_sets import read_set, rows_of_several, write_set
from lora_bert.data.sources import load_splits
from lora_bert.data.tables import read_table
from lora_bert.errors import DataError

SETS = [("joy",), ("anger", "joy"), (), ("fear",), ("anger",)] * 4
TEXTS = [f"text number {at}" for at in range(len(SETS))]


def jsonl(path, key="label"):
    lines = [json.dumps({"text": t, key: list(s)}) for t, s in zip(TEXTS, SETS, strict=True)]
    path.write_text("\n".join(lines))
    return path


def joined(path, mark):
    rows = [f"{text}\t{mark.join(labels)}" for text, labels in zip(TEXTS, SETS, strict=True)]
    path.write_text("\n".join(["text\tlabels", *rows]))
    return path


def bits(path):
    names = ("anger", "fear", "joy")
    rows = [",".join([text, *("01"[name in labels] for name in names)])
            for text, labels in zip(TEXTS, SETS, strict=True)]  # fmt: skip
    path.write_text("\n".join([",".join(["text", *names]), *rows]))
    return path


def parquet(path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": TEXTS, "labels": [list(each) for each in SETS]}), path)
    return path


def objects(path):
    """As doccano's first versions and Label Studio write them."""
    lines = [json.dumps({"text": t, "label": [{"label": name, "user": 1} for name in s]})
             for t, s in zip(TEXTS, SETS, strict=True)]  # fmt: skip
    path.write_text("\n".join(lines))
    return path


def choices(path):
    tasks = [{"data": {"text": t}, "annotations": [{"result": [
        {"from_name": "feel", "value": {"choices": list(s)}}]}]}
        for t, s in zip(TEXTS, SETS, strict=True)]  # fmt: skip
    path.write_text(json.dumps(tasks))
    return path


FILES = {
    "lists.jsonl": jsonl,
    "comma.tsv": lambda path: joined(path, ","),
    "bar.tsv": lambda path: joined(path, "|"),
    "semicolon.tsv": lambda path: joined(path, "; "),
    "bits.csv": bits,
    "lists.parquet": parquet,
    "doccano.jsonl": objects,
    "studio.json": choices,
}


@pytest.mark.parametrize("name", FILES)
def test_every_shape_is_read_and_recognised(name, tmp_path):
    table = read_table(FILES[name](tmp_path / name))
    options = DataOptions(label_form="set")
    assert rows_of_several(table, options) == 4
    rows = examples_from(table, label_form="set")
    assert [rows.each(label) for label in rows.labels] == SETS
    assert rows.label_counts == {"joy": 8, "anger": 8, "fear": 4}
    assert rows.texts == tuple(TEXTS) or list(rows.texts) == TEXTS


def test_a_separator_that_is_named(tmp_path):
    path = joined(tmp_path / "a.tsv", " / ")
    rows = examples_from(read_table(path), label_form="set", label_separator="/")
    assert [rows.each(label) for label in rows.labels] == SETS


def test_names_are_put_in_place(tmp_path):
    rows = examples_from(
        read_table(joined(tmp_path / "a.tsv", ",")), label_form="set",
        label_names={"joy": "gioia", "anger": "ira"},
    )  # fmt: skip
    assert rows.each(rows.labels[1]) == ("gioia", "ira")


def test_a_name_with_the_separator_in_it_stays_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [{"text": "a", "label": "New York, NY"}, {"text": "b", "label": ["x", "New York, NY"]}]
    path.write_text("\n".join(map(json.dumps, lines)))
    rows = examples_from(read_table(path), label_form="set")
    assert [rows.each(label) for label in rows.labels] == [
        ("New York, NY",), ("New York, NY", "x"),
    ]  # fmt: skip


def test_rows_of_one_label_are_not_taken_for_several(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,"New York, NY"\nb,"Rome, IT"\nc,Berlin\n')
    assert rows_of_several(read_table(path), DataOptions()) == 0


def test_columns_of_bits_beside_another_are_not_guessed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,a,b,c,stars\nx,0,1,0,4\ny,1,0,0,2\n")
    with pytest.raises(DataError, match=r"No column .* called like a label"):
        examples_from(read_table(path))


@given(st.lists(st.text(min_size=1)))
def test_sets_come_back(labels):
    assert set(read_set(write_set(labels))) == set(labels)
    assert write_set(labels) == write_set(reversed(labels))


def test_every_label_keeps_training_rows_when_rows_are_divided(tmp_path):
    path = tmp_path / "a.jsonl"
    sets = [["common"]] * 40 + [["common", "rare"]] * 2 + [["rare", "rarer"]] + [["twice", "rarer"]]
    lines = [json.dumps({"text": f"t {at}", "label": each}) for at, each in enumerate(sets)]
    path.write_text("\n".join(lines))
    for seed in range(8):
        options = DataOptions(label_form="set", validation_fraction=0.5, split_seed=seed)
        splits = load_splits(str(path), options=options)
        assert set(splits.train.label_counts) == {"common", "rare", "rarer", "twice"}
        assert len(splits.train) + len(splits.validation) == len(sets)


def test_a_label_that_no_training_row_has(tmp_path):
    for name, labels in (("train", [["a"], ["b", "a"]]), ("test", [["a"], ["c", "a"]])):
        lines = [json.dumps({"text": f"{name} {at}", "label": each})
                 for at, each in enumerate(labels)]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines * 3))
    with pytest.raises(DataError, match=r"test\.jsonl', line 2: the label 'c' stands in no train"):
        load_splits(str(tmp_path), options=DataOptions(label_form="set"))


def test_columns_whose_labels_are_kept_back(tmp_path):
    bits(tmp_path / "train.csv")
    rows = [f"new {at},-1,-1,-1" for at in range(4)]
    (tmp_path / "test.csv").write_text("\n".join(["text,anger,fear,joy", *rows]))
    assert load_splits(str(tmp_path), options=DataOptions(label_form="set")).test is None


@pytest.mark.parametrize("task", ["set", "one"])
@pytest.mark.parametrize("mark", ["-1", "-1.0"])
def test_rows_that_nobody_has_scored_are_left_out(task, mark, tmp_path, caplog):
    """As in the test rows of Jigsaw's comments."""
    rows = [
        "1,good,1,0,0",
        f"2,bad,{mark},{mark},{mark}",
        "3,fine,0,0,1",
        f"4,no,{mark},{mark},{mark}",
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["id,comment_text,toxic,insult,threat", *rows]))
    found = examples_from(read_table(path), label_form=task)
    assert list(found.texts) == ["good", "fine"]
    assert found.label_counts == {"toxic": 1, "threat": 1}
    assert "2 rows have -1 in every column of labels" in caplog.text
    path.write_text("\n".join(["id,comment_text,toxic,insult,threat", *rows[1::2]]))
    with pytest.raises(DataError, match="has nothing left: 2 rows with an empty label"):
        examples_from(read_table(path), label_column="toxic,insult,threat", label_form=task)
    path.write_text("\n".join(["id,comment_text,toxic,insult,threat", *rows, "5,so,-1,0,1"]))
    with pytest.raises(DataError, match="line 6: column 'toxic' holds '-1' where 0 or 1 is needed"):
        examples_from(read_table(path), label_column="toxic,insult,threat", label_form=task)


def test_that_rows_of_several_labels_are_seen_beside_those(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,a,b,c\none,1,1,0\ntwo,-1,-1,-1\nthree,0,1,0\n")
    assert rows_of_several(read_table(path), DataOptions()) == 1
