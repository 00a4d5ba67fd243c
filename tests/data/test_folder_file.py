"""A folder of texts for each class."""

from __future__ import annotations

import time

import pytest

from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.tables import ReadOptions, iter_tables, read_table
from lora_bert.errors import ConfigError, DataError


def texts(place, label, contents, ending=".txt"):
    (place / label).mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents):
        raw = content if isinstance(content, bytes) else content.encode()
        (place / label / f"{number}_7{ending}").write_bytes(raw)


def imdb(place, size=10):
    for part in ("train", "test"):
        for label in ("neg", "pos"):
            texts(place / part, label, [f"{label} {part} {n}\n" for n in range(size)])
    return str(place)


def test_parts_and_classes(tmp_path, caplog):
    caplog.set_level("INFO")
    splits = load_splits(imdb(tmp_path / "aclImdb"))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [18, 2, 20]
    assert set(splits.test.labels) == {"neg", "pos"}
    assert splits.columns == {"text": "text", "label": "label"}
    assert splits.test.at(11) == f"'{tmp_path}/aclImdb/test/pos/1_7.txt'"
    assert splits.test.mark(11) == "pos/1_7.txt"
    assert splits.test.texts[11] == "pos test 1\n"
    rows, name, _ = load_rows(f"{tmp_path}/aclImdb/test")
    assert (rows.texts, name) == (splits.test.texts, "test")


def test_classes_without_parts(tmp_path):
    texts(tmp_path / "all", "spam", ["buy"] * 5)
    texts(tmp_path / "all", "ham", ["hello"] * 5)
    splits = load_splits(str(tmp_path / "all"))
    assert [len(splits.train), len(splits.validation)] == [9, 1]


def test_the_order_is_that_of_the_numbers(tmp_path):
    texts(tmp_path, "a", [f"a{n}" for n in range(12)])
    texts(tmp_path, "b", ["b"])
    table = read_table(tmp_path)
    assert table.values["text"] == [*(f"a{n}" for n in range(12)), "b"]
    assert table.values["file"][10:] == ["a/10_7.txt", "a/11_7.txt", "b/0_7.txt"]


def test_the_hash_knows_contents_and_labels(tmp_path):
    data = imdb(tmp_path / "set")
    before = load_splits(data).sha256
    assert load_splits(data).sha256 == before
    (tmp_path / "set" / "train" / "neg" / "0_7.txt").write_text("other", encoding="utf-8")
    changed = load_splits(data).sha256
    (tmp_path / "set" / "train" / "neg").rename(tmp_path / "set" / "train" / "negative")
    (tmp_path / "set" / "test" / "neg").rename(tmp_path / "set" / "test" / "negative")
    assert len({before, changed, load_splits(data).sha256}) == 3


def test_texts_without_a_label_and_what_is_no_text(tmp_path, caplog):
    caplog.set_level("INFO")
    data = imdb(tmp_path / "set")
    texts(tmp_path / "set" / "train", "unsup", ["what"] * 7)
    (tmp_path / "set" / "train" / "urls_pos.txt").write_text("http://x\n", encoding="utf-8")
    (tmp_path / "set" / "train" / "labeledBow.feat").write_text("0\n", encoding="utf-8")
    (tmp_path / "set" / "train" / "pos" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "set" / "train" / "pos" / "page.html").write_text("<p>", encoding="utf-8")
    (tmp_path / "set" / "README").write_text("about", encoding="utf-8")
    splits = load_splits(data)
    assert set(splits.train.labels) == {"neg", "pos"}
    assert "unsup' holds 7 texts without a label: left out." in caplog.text
    assert "Left out 3 files" in caplog.text
    unlabelled = read_table(tmp_path / "set" / "train" / "unsup")
    assert (unlabelled.columns, len(unlabelled)) == (("file", "text"), 7)


def test_a_test_part_of_texts_without_folders_has_no_labels(tmp_path, caplog):
    for label in ("neg", "pos"):
        texts(tmp_path / "train", label, [label] * 5)
    texts(tmp_path, "test", ["one", "two"])
    assert load_splits(str(tmp_path)).test is None
    assert "'has no label column" in caplog.text.replace("test' has", "'has")


def test_files_called_by_a_number(tmp_path):
    for label in ("alt.atheism", "sci.space"):
        texts(tmp_path, label, [f"From: {label}"] * 3, ending="")
        for number in range(3):
            (tmp_path / label / f"{number}_7").rename(tmp_path / label / f"5{number}")
    assert set(load_rows(str(tmp_path))[0].labels) == {"alt.atheism", "sci.space"}


def test_empty_texts_are_dropped_and_counted(tmp_path, caplog):
    texts(tmp_path, "a", ["one", "", " \n"])
    texts(tmp_path, "b", ["two"])
    assert len(load_rows(str(tmp_path))[0]) == 2
    assert "Dropped 2 rows with an empty text" in caplog.text


def test_encodings(tmp_path):
    texts(tmp_path, "a", ["plain", "很好，很快，下次还来".encode("gb18030")])
    texts(tmp_path, "b", ["太慢了，不好吃".encode("gb18030"), "中文"])
    assert read_table(tmp_path).values["text"] == [
        "plain", "很好，很快，下次还来", "太慢了，不好吃", "中文",
    ]  # fmt: skip
    texts(tmp_path, "a", ["café".encode("latin-1")] * 2)
    texts(tmp_path, "b", [b"plain"] * 2)
    found = read_table(tmp_path, ReadOptions(encoding="latin-1"))
    assert found.values["text"] == ["café", "café", "plain", "plain"]
    with pytest.raises(DataError, match=r"a/0_7\.txt"):
        read_table(tmp_path, ReadOptions(encoding="utf-8"))
    texts(tmp_path, "a", ["utf16".encode("utf-16"), "two".encode("utf-16")])
    assert read_table(tmp_path).values["text"] == ["utf16", "two", "plain", "plain"]


def test_no_text_at_all(tmp_path):
    texts(tmp_path, "a", [bytes(range(256)) * 10])
    texts(tmp_path, "b", ["b"])
    with pytest.raises(DataError, match=r"a/0_7\.txt' is not text"):
        read_table(tmp_path)
    with pytest.raises(ConfigError, match="--no-header"):
        read_table(tmp_path, ReadOptions(header=False))


def test_a_link_to_the_folder_itself_does_not_loop(tmp_path):
    imdb(tmp_path / "set")
    (tmp_path / "set" / "train" / "loop").symlink_to(tmp_path / "set" / "train")
    assert len(load_splits(str(tmp_path / "set")).train) == 18


def test_a_directory_of_tables_is_no_folder_of_texts(tmp_path):
    (tmp_path / "README.txt").write_text("about", encoding="utf-8")
    (tmp_path / "reviews.csv").write_text("text,label\na,x\n", encoding="utf-8")
    with pytest.raises(DataError, match="is a directory"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="no file called train"):
        load_splits(str(tmp_path))


def test_many_files_take_time_in_proportion(tmp_path):
    for label in "ab":
        texts(tmp_path, label, [f"text {n}" for n in range(2000)])
    started = time.perf_counter()
    pieces = list(iter_tables(tmp_path, rows=500))
    assert sum(map(len, pieces)) == 4000
    assert time.perf_counter() - started < 10
