"""Exports of annotation tools: Label Studio's three, doccano's."""

from __future__ import annotations

import csv
import json

import pytest

from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import examples_from
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.tables import read_table
from lora_bert.errors import DataError


def chosen(*choices, **more):
    value = {"type": "choices", "from_name": "kind", "value": {"choices": list(choices)}}
    return {"result": [value], **more}


def task(number, *annotations):
    return {
        "id": number,
        "data": {"text": f"t{number}", "source": "web"},
        "annotations": list(annotations),
        "predictions": [chosen("guess")],
    }


TASKS = [
    task(5, chosen("good")),
    task(6, chosen("bad"), chosen("bad"), chosen("good")),
    task(7, chosen("good"), chosen("bad")),
    task(8, chosen("bad", was_cancelled=True)),
    task(9),
    task(10, chosen("bad"), chosen("good", ground_truth=True)),
]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
def test_tasks(tmp_path, name, caplog):
    path = tmp_path / name
    lines = "\n".join(map(json.dumps, TASKS))
    path.write_text(lines if name == "a.jsonl" else json.dumps(TASKS))
    found = examples_from(read_table(path))
    assert found.texts == ("t5", "t6", "t10")
    assert found.labels == ("good", "bad", "good")
    assert found.ids == ("5", "6", "10")
    assert "Dropped 3 rows with an empty label" in caplog.text
    assert caplog.text.count("annotators of 1 task differ") == 1


def test_tasks_without_annotations_have_texts(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task(1), task(2)]))
    assert examples_from(read_table(path), need_labels=False).texts == ("t1", "t2")


def test_tasks_of_several_choices(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task(1, chosen("a")), task(2, chosen("b", "a"))]))
    with pytest.raises(DataError, match=r"record 2: several labels in one row, 'a', 'b'"):
        examples_from(read_table(path))


def test_tasks_of_two_controls_ask_for_one(tmp_path):
    other = {"from_name": "place", "type": "choices", "value": {"choices": ["here"]}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task(1, {"result": [*chosen("a")["result"], other]})]))
    with pytest.raises(DataError, match=r"No column of .* is called like a label"):
        examples_from(read_table(path))
    assert examples_from(read_table(path), label_column="place").labels == ("here",)


def test_tasks_of_named_entities(tmp_path):
    value = {"start": 0, "end": 2, "text": "t1", "labels": ["PER"]}
    one = {"result": [{"from_name": "label", "type": "labels", "value": value}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([task(1, one)]))
    with pytest.raises(DataError, match="marks parts of the text"):
        examples_from(read_table(path))


MIN = [
    {"text": "a", "id": 1, "mood": "good", "annotator": 1, "lead_time": 2.5},
    {"text": "b", "id": 2, "mood": {"choices": ["bad"]}, "annotator": 1, "lead_time": 2.5},
]


def test_json_min_and_csv(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(MIN))
    (tmp_path / "a.csv").write_text(
        'annotation_id,annotator,created_at,id,lead_time,mood,text,updated_at\n1,1,x,1,2.5,good,a,x\n2,1,x,2,2.5,"{""choices"":[""bad""]}",b,x\n'
    )
    for name in ("a.json", "a.csv"):
        assert examples_from(read_table(tmp_path / name)).labels == ("good", "bad")
        splits = load_splits(None, train=str(tmp_path / name), validation=str(tmp_path / name))
        assert splits.columns == {"text": "text", "label": "mood"}


def test_json_min_of_plain_answers(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([row | {"mood": "x"} for row in MIN]))
    assert examples_from(read_table(path)).labels == ("x", "x")


@pytest.mark.parametrize("name", ["label", "labels"])
def test_doccano(tmp_path, name, caplog):
    path = tmp_path / "a.jsonl"
    rows = [{"id": n, "text": f"t{n}", name: label, "Comments": []} for n, label in
            enumerate((["pos"], [], ["neg"]))]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    found = examples_from(read_table(path))
    assert found.labels == ("pos", "neg")
    assert "Dropped 1 row with an empty label" in caplog.text


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1, 0)])
def test_nothing_marked_is_a_text_without_entities(order, tmp_path):
    span = {"from_name": "ner", "value": {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}}
    tasks = [
        {"id": 1, "data": {"text": "Nothing here"}, "annotations": [{"result": []}]},
        {"id": 2, "data": {"text": "Ann met"}, "annotations": [{"result": [span]}]},
    ]
    unseen = {"id": 3, "data": {"text": "not annotated"}, "annotations": []}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([*(tasks[at] for at in order), unseen]), encoding="utf-8")
    table = read_table(path)
    cells = ["[]" if at == 0 else json.dumps([span["value"]]) for at in order]
    assert [json.loads(cell) for cell in table.values["ner"][:-1]] == list(map(json.loads, cells))
    assert table.values["ner"][-1] == ""


@pytest.mark.parametrize("name", ["a.json", "a.csv"])
def test_nothing_marked_in_flat_exports(name, tmp_path, caplog):
    """A row that was annotated is a text without entities, one that was not is left out."""
    marked = [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]
    rows: list[dict[str, object]] = [
        {"id": 1, "text": "nobody", "annotator": 1, "annotation_id": 4, "lead_time": 2.5},
        {"id": 2, "text": "Ann met", "label": marked, "annotator": 1, "annotation_id": 5},
        {"id": 3, "text": "to come"},
    ]
    path = tmp_path / name
    if name == "a.json":
        path.write_text(json.dumps(rows))
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["id", "text", "label", *list(rows[0])[2:]])
            writer.writeheader()
            writer.writerows(row | ({"label": json.dumps(marked)} if "label" in row else {})
                             for row in rows)  # fmt: skip
    options = DataOptions(label_form="tags", classes=False)
    found, _, _ = load_rows(str(path), options=options)
    assert list(found.texts) == ["nobody", "Ann met"]
    assert list(map(json.loads, found.labels)) == [[], [[0, 3, "PER"]]]
    assert "Dropped 1 row without words or tags" in caplog.text
