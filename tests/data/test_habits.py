"""What exporting programs and hands add to a table: rules, titles, spare commas, odd JSON."""

from __future__ import annotations

import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lora_bert.data.originals import iter_objects
from lora_bert.data.sources import load_splits
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError
from tests.workbooks import write_workbook

ROWS = [("too slow, never again", "neg"), ("very good soup", "pos"), ("hot and fresh", "pos")]
OBJECTS = [{"text": text, "label": label} for text, label in ROWS]


def rows_of(path):
    table = read_table(path)
    return list(zip(table.values["text"], table.values["label"], strict=True))


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_the_rule_of_a_markdown_table_is_no_row(tmp_path, name, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    text = "| text | label |\n| :--- | ---: |\n" + "".join(f"| {t} | {la} |\n" for t, la in ROWS)
    path = written(tmp_path, name, text)
    assert rows_of(path) == ROWS
    assert "rule under its header" in caplog.text


def test_dashes_in_a_cell_are_a_cell(tmp_path):
    path = written(tmp_path, "a.csv", "text|label\n--|neg\nfine|pos\n")
    assert rows_of(path) == [("--", "neg"), ("fine", "pos")]


@pytest.mark.parametrize("gap", [" ", "  "])
def test_quotes_behind_a_tab_and_spaces(tmp_path, gap, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    text = "label\ttext\n" + "".join(f'{label}\t{gap}"{text}"\n' for text, label in ROWS)
    assert rows_of(written(tmp_path, "a.tsv", text)) == ROWS
    assert "spaces behind its separators are left out" in caplog.text


def test_quotes_behind_a_tab_that_do_not_balance_stay(tmp_path):
    path = written(tmp_path, "a.tsv", 'label\ttext\nneg\t "no\npos\tyes\n')
    assert rows_of(path) == [(' "no', "neg"), ("yes", "pos")]


@pytest.mark.parametrize("header", ["text,label", "text,label,", "text,label,,,"])
def test_rows_that_end_with_more_or_fewer_commas(tmp_path, header, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    lines = [f'"{text}",{label}' + "," * at for at, (text, label) in enumerate(ROWS)]
    assert rows_of(written(tmp_path, "a.csv", "\n".join([header, *lines]))) == ROWS
    assert "some rows end with empty cells" in caplog.text


def test_a_comma_in_a_text_is_no_spare_one(tmp_path):
    path = written(tmp_path, "a.csv", "label,text\nneg,slow,\npos,good, cheap\n")
    with pytest.raises(DataError, match="3 cells where there are 2 columns"):
        read_table(path)


TITLED = [("Reviews of 2023",), ("exported by hand",), ("text", "label"), *ROWS]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.xlsx"])
def test_titles_before_the_header(tmp_path, name, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    path = tmp_path / name
    if name == "a.xlsx":
        pytest.importorskip("python_calamine")
        write_workbook(path, {"Remarks": [("made in 2023",)], "Reviews": TITLED})
    else:
        quote, mark = ('"', ",") if name == "a.csv" else ("", "\t")
        lines = [mark.join(f"{quote}{cell}{quote}" for cell in row) for row in TITLED]
        path.write_text("\n".join(lines), encoding="utf-8")
    assert rows_of(path) == ROWS
    assert "2 lines before the header left out" in caplog.text


def test_one_column_called_text_has_no_title(tmp_path):
    path = written(tmp_path, "a.txt", "text\nlabel\nfine\n")
    assert read_table(path).values == {"text": ["label", "fine"]}


def test_a_tuple_of_one_label_is_that_label(tmp_path):
    text = "text,label\n" + "".join(f'"{text}","(\'{label}\',)"\n' for text, label in ROWS * 3)
    splits = load_splits(str(written(tmp_path, "a.csv", text)))
    assert set(splits.train.labels) == {"neg", "pos"}


def test_intervals_in_round_brackets_are_labels(tmp_path):
    text = "text,label\n" + 'slow,"(0, 10)"\ngood,"(10, 20)"\n' * 4
    splits = load_splits(str(written(tmp_path, "a.csv", text)))
    assert set(splits.train.labels) == {"(0, 10)", "(10, 20)"}


LINES = [json.dumps(one) for one in OBJECTS]
PRETTY = [json.dumps(one, indent=2) for one in OBJECTS]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    "text",
    ["".join(LINES), "\n".join(PRETTY), ",\n".join(LINES), ",\n".join(LINES) + ",\n",
     ",\n".join(PRETTY)],
    ids=["one line", "indented", "commas", "a last comma", "indented with commas"],
)  # fmt: skip
def test_json_objects_one_after_another(tmp_path, name, text):
    assert rows_of(written(tmp_path, name, text)) == ROWS


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (str(OBJECTS), "json.dumps"),
        ("\n".join(map(str, OBJECTS)), "json.dumps"),
        ("[\n" + ",\n".join(LINES) + ",\n]", "comma behind the last value"),
        ("// mine\n" + json.dumps(OBJECTS), "JSON has no comments"),
        ("".join(LINES) + "{", ""),
    ],
)
def test_usual_mistakes_in_json_are_named(tmp_path, name, text, says):
    with pytest.raises(DataError, match="not JSON") as caught:
        read_table(written(tmp_path, name, text))
    assert says in (caught.value.hint or "")


SPAM = 'ham\tGo "there\nspam\tWin, now\nham\tok\n'


@pytest.mark.parametrize("name", ["SMSSpamCollection", "reviews.data", "a.xls", "a.xlsx"])
def test_a_table_of_another_name_is_read_as_what_it_holds(tmp_path, name, caplog):
    caplog.set_level(logging.INFO, "lora_bert")
    options = ReadOptions(header=False, columns=("label", "text"))
    table = read_table(written(tmp_path, name, SPAM), options)
    assert table.values["text"] == ['Go "there', "Win, now", "ok"]
    assert "as what it holds, a table separated by tabs" in caplog.text


@pytest.mark.parametrize("codec", ["utf-16", "cp949", "gb18030", "utf-8-sig"])
def test_a_tsv_called_xls_in_other_encodings(tmp_path, codec):
    texts = ["이 영화 정말 재미있어요", "너무 지루해서 졸았습니다"]
    texts = texts if codec != "gb18030" else ["味道很好送餐也快", "难吃死了再也不来"]
    path = tmp_path / "a.xls"
    path.write_text("text\tlabel\n" + "".join(f"{t}\tx\n" for t in texts), encoding=codec)
    assert read_table(path).values["text"] == texts


@pytest.mark.parametrize("name", ["a.csv", "a.data", "a"])
def test_a_workbook_and_a_parquet_file_of_another_name(tmp_path, name, caplog):
    pytest.importorskip("python_calamine")
    caplog.set_level(logging.INFO, "lora_bert")
    write_workbook(tmp_path / name, {"Rows": [("text", "label"), *ROWS]})
    assert rows_of(tmp_path / name) == ROWS
    assert "as what it holds, a workbook" in caplog.text
    pq.write_table(pa.Table.from_pylist(OBJECTS), tmp_path / name)
    assert rows_of(tmp_path / name) == ROWS
    assert "as what it holds, parquet" in caplog.text


def test_a_web_page_that_is_called_a_workbook(tmp_path):
    with pytest.raises(DataError, match="holds a web page") as caught:
        read_table(written(tmp_path, "a.xls", "<html><table></table></html>"))
    assert "save it as .xlsx" in caught.value.hint


def test_a_last_comma_in_json_lines_that_are_written_back(tmp_path):
    path = written(tmp_path, "a.jsonl", ",\n".join(LINES) + ",\n")
    assert [*iter_objects([path], ReadOptions(), rows=9)] == [OBJECTS]


@pytest.mark.parametrize("above", ["txt_sentoken", "data/corpus", "a/b/c"])
def test_class_folders_that_lie_deeper(tmp_path, above):
    for at, (text, label) in enumerate(ROWS * 3):
        place = tmp_path / "mine" / above / label
        place.mkdir(parents=True, exist_ok=True)
        written(place, f"{at}.txt", text)
    splits = load_splits(str(tmp_path / "mine"))
    assert len(splits.train) + len(splits.validation) == 9
    assert splits.name == "mine"


def test_folders_whose_names_end_with_a_part(tmp_path):
    for part, rows in (("train", ROWS * 3), ("test", ROWS)):
        for at, (text, label) in enumerate(rows):
            place = tmp_path / f"20news-bydate-{part}" / label
            place.mkdir(parents=True, exist_ok=True)
            written(place, str(at), text)
    splits = load_splits(str(tmp_path))
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (9, 3)


def test_a_folder_of_a_configuration_in_data(tmp_path):
    place = tmp_path / "data" / "default"
    place.mkdir(parents=True)
    written(place, "train-00000-of-00001.jsonl", "\n".join(LINES * 3))
    written(place, "test-00000-of-00001.jsonl", "\n".join(LINES))
    assert len(load_splits(str(tmp_path)).test) == 3


@pytest.mark.parametrize("folder", ["testing-set", "test_data/corpus"])
def test_a_folder_of_test_texts_alone_is_not_trained_on(tmp_path, folder):
    for at, (text, label) in enumerate(ROWS):
        place = tmp_path / folder / label
        place.mkdir(parents=True, exist_ok=True)
        written(place, f"{at}.txt", text)
    with pytest.raises(DataError, match="holds no file called train"):
        load_splits(str(tmp_path))


def test_texts_that_lie_too_deep_are_told_where_they_belong(tmp_path):
    place = tmp_path / "pos" / "2020"
    place.mkdir(parents=True)
    written(place, "1.md", "fine")
    (tmp_path / "neg").mkdir()
    with pytest.raises(DataError, match="no folder of texts") as caught:
        load_splits(str(tmp_path))
    assert "right in their class's folder" in caught.value.hint


@pytest.mark.parametrize(
    "document",
    [
        {"rasa_nlu_data": {"common_examples": OBJECTS, "regex_features": []}},
        {"version": 1, "data": {"rows": OBJECTS}},
        {"features": [{"name": "text"}], "rows": [{"row_idx": 0, "row": one} for one in OBJECTS]},
        {"a": {"b": {"c": {"d": OBJECTS}}}},
    ],
    ids=["rasa", "data", "the hub's server", "deep"],
)
def test_rows_deeper_in_a_json_document(tmp_path, document):
    assert rows_of(written(tmp_path, "a.json", json.dumps(document))) == ROWS


def test_a_json_document_that_goes_on_and_on_is_refused(tmp_path):
    path = written(tmp_path, "a.json", '{"a": ' * 900 + json.dumps(OBJECTS) + "}" * 900)
    with pytest.raises(DataError):
        load_splits(str(path))


def test_the_parts_in_one_json_document_become_files_by_the_hint(tmp_path):
    parts = {"train": OBJECTS * 4, "test": OBJECTS}
    with pytest.raises(DataError, match="several lists of rows") as caught:
        load_splits(str(written(tmp_path, "a.json", json.dumps(parts))))
    assert "a file of its own, in one directory: train.json, test.json" in caught.value.hint


@pytest.mark.parametrize("text", ["文本，标签\n好，1\n坏，0\n", "1_!_a story_!_x\n2_!_b_!_y\n"])
def test_a_separator_that_is_not_known_is_said(tmp_path, text):
    with pytest.raises(DataError, match="seems to have no header") as caught:
        read_table(written(tmp_path, "a.csv", text))
    assert "no separator was found" in caught.value.hint


def test_the_hint_takes_no_date_and_no_name_for_the_text(tmp_path):
    lines = [
        f'"{at % 2 * 4}","{1467810369 + at}","Mon Apr 06 22:{at:02}:45 PDT 2009","NO_QUERY",'
        f'"somebody_of_that_name{at % 5}","short {at} {text}"'
        for at, (text, _) in enumerate(ROWS * 8)
    ]
    with pytest.raises(DataError, match="seems to have no header") as caught:
        read_table(written(tmp_path, "a.csv", "\n".join(lines)))
    assert "--columns label,column_2,column_3,column_4,column_5,text" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "label"),
    [("内容", "标签"), ("Phrase", "Sentiment"), ("본문", "라벨"), ("本文", "ラベル")],
)
def test_usual_names_in_other_languages(tmp_path, text, label):
    body = "".join(f'{at},"{words}",{kind}\n' for at, (words, kind) in enumerate(ROWS * 4))
    splits = load_splits(str(written(tmp_path, "a.csv", f"n,{text},{label}\n{body}")))
    assert splits.columns == {"text": text, "label": label}


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (['{"label": 1}', '{"label": 0}'], {"1", "0"}),
        (['{"label": 1, "score": 0.9}', '{"label": 0, "score": 0.8}'], {"1", "0"}),
        (['[{"label": 1, "user": 1}]', '[{"label": 2, "user": 1}]'], {"1", "2"}),
        (['{"class": "a", "confidence": 0.9}', "{'Label': 'b'}"], {"a", "b"}),
        (['{"label": true}', '{"label": false}'], {"true", "false"}),
    ],
)
def test_the_label_of_an_object_that_names_it(tmp_path, cells, labels):
    rows = [{"text": f"t{at}", "label": json.loads(cell.replace("'", '"'))}
            for at, cell in enumerate(cells * 5)]  # fmt: skip
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    splits = load_splits(str(path))
    assert set(splits.train.labels) == labels
    assert len(splits.train) + len(splits.validation) == 10


def test_json_lines_of_lists_are_a_table_without_names(tmp_path):
    path = written(tmp_path, "a.jsonl", "\n".join(json.dumps(list(row)) for row in ROWS * 3))
    with pytest.raises(DataError, match="seems to have no header") as caught:
        read_table(path)
    assert "--no-header --columns text,label" in caught.value.hint
    table = read_table(path, ReadOptions(header=False, columns=("text", "label")))
    assert table.values["label"] == [label for _, label in ROWS * 3]
    named = written(tmp_path, "b.jsonl", '["text", "label"]\n["a", "b"]\n')
    assert rows_of(named) == [("a", "b")]


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_a_title_before_other_separators(tmp_path, mark):
    lines = ["Export of 2023", f"text{mark}label", *(f"{t}{mark}{la}" for t, la in ROWS)]
    assert rows_of(written(tmp_path, "a.csv", "\n".join(lines))) == ROWS


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_key_that_stands_twice_in_a_later_object(tmp_path, name):
    path = written(tmp_path, name, LINES[0] + '{"text": "a", "text": "b"}')
    with pytest.raises(DataError, match="the key 'text' stands twice"):
        read_table(path)
