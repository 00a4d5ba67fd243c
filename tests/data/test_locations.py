"""Shards, patterns, several files, the layouts of the hub: read whole, and never the test rows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lora_bert.data.locations import inputs, locate, to_predict
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.errors import DataError, NotFoundError
from tests.conftest import real


def csv(path, start, count=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"text {n},{'xy'[n % 2]}" for n in range(start, start + count)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return str(path)


def shard(path, start, count=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = range(start, start + count)
    columns = {"text": [f"text {n}" for n in rows], "label": ["xy"[n % 2] for n in rows]}
    parquet.write_table(pa.table(columns), path)
    return str(path)


def numbers(examples):
    return sorted(int(text.split()[1]) for text in examples.texts)


LAYOUTS = {
    "below data": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
                   "data/test-00000-of-00001.parquet"],
    "with a hash": ["train-00000-of-00002-0a1b2c3d4e.parquet",
                    "train-00001-of-00002-5f6a7b8c9d.parquet",
                    "test-00000-of-00001-1a2b3c4d5e.parquet"],
    "converted by the hub": ["default/train/0000.parquet", "default/train/0001.parquet",
                             "default/test/0000.parquet"],
    "folders": ["train/part-0.parquet", "train/part-1.parquet", "test/0000.parquet"],
    "numbered": ["train_0.parquet", "train_1.parquet", "test.parquet"],
    "from 1": ["train-00001-of-00002.parquet", "train-00002-of-00002.parquet", "test.parquet"],
}  # fmt: skip


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=list(LAYOUTS))
def test_shards(tmp_path, names):
    (tmp_path / "README.md").write_text("---\nconfigs: []\n---\n", encoding="utf-8")
    for at, name in enumerate(names):
        shard(tmp_path / name, 10 * at)
    splits = load_splits(str(tmp_path))
    assert numbers(splits.test) == list(range(20, 30))
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(20))
    assert load_splits(str(tmp_path)).sha256 == splits.sha256
    assert [path.name for path in to_predict(tmp_path)] == [Path(names[2]).name]


def test_more_than_ten_shards_keep_their_order(tmp_path):
    for at in range(12):
        csv(tmp_path / f"train-{at}.csv", 10 * at)
    train = load_rows(str(tmp_path), part=None)[0]
    assert [int(text.split()[1]) for text in train.texts] == list(range(120))
    assert train.at(115) == f"'{tmp_path}/train-11.csv', line 7"
    assert train.take([115, 3]).at(0) == f"'{tmp_path}/train-11.csv', line 7"
    assert train.mark(115) == "train-11.csv:7"
    assert train.source == f"{tmp_path}/train-0.csv (and 11 more)"


def test_shards_that_are_not_here(tmp_path):
    for at in (0, 2):
        shard(tmp_path / f"train-0000{at}-of-00003.parquet", 10 * at)
    with pytest.raises(DataError, match="lacks 1 shard of train") as caught:
        load_splits(str(tmp_path))
    assert "with a pattern" in caught.value.hint
    csv(tmp_path / "test.csv", 50)
    assert [path.name for path in to_predict(tmp_path)] == ["test.csv"]


def test_a_pattern_may_leave_shards_out_and_it_is_said(tmp_path, caplog):
    for at in (0, 1):
        shard(tmp_path / f"train-0000{at}-of-00003.parquet", 10 * at)
    assert len(load_rows(f"{tmp_path}/train-*.parquet")[0]) == 20
    assert "does not fit all shards: by their names 1 shard more" in caplog.text


def test_shards_of_two_sets(tmp_path):
    shard(tmp_path / "train-00000-of-00001.parquet", 0)
    shard(tmp_path / "train-00000-of-00002.parquet", 0)
    shard(tmp_path / "train-00001-of-00002.parquet", 10)
    with pytest.raises(DataError, match="of more than one set"):
        load_splits(str(tmp_path))


def test_two_formats_are_not_shards(tmp_path):
    csv(tmp_path / "train-0.csv", 0)
    shard(tmp_path / "train-1.parquet", 10)
    with pytest.raises(DataError, match="more than one file for train"):
        load_splits(str(tmp_path))


def test_packed_parts(tmp_path):
    for part, start in (("train", 0), ("test", 50)):
        path = Path(csv(tmp_path / f"{part}.csv", start))
        (tmp_path / f"{part}.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    splits = load_splits(str(tmp_path))
    assert numbers(splits.test) == list(range(50, 60))


def test_several_files(tmp_path):
    one, two = csv(tmp_path / "one.csv", 0), shard(tmp_path / "two.parquet", 10)
    test = csv(tmp_path / "held.csv", 30)
    splits = load_splits(None, train=[one, two, one], test=[test])
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(20))
    assert splits.name == "one.csv (and 1 more)"
    places = {splits.train.at(row) for row in range(len(splits.train))}
    assert {place.split(",")[1].split()[0] for place in places} == {"line", "row"}
    with pytest.raises(DataError, match=r"in part the same: .*two\.parquet"):
        load_splits(None, train=[one, two], test=two)


def test_files_of_other_columns(tmp_path):
    one = csv(tmp_path / "one.csv", 0)
    other = tmp_path / "other.csv"
    other.write_text("label,text\nx,text 50\ny,text 51\n", encoding="utf-8")
    assert len(load_splits(None, train=[one, str(other)]).train) == 10
    other.write_text("title,text\nx,text 50\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"other\.csv' has other columns than '.*one\.csv': 'title'"
    ):
        load_splits(None, train=[one, str(other)])


def test_json_objects_may_lack_keys_in_one_file_as_in_one_line(tmp_path):
    files = []
    for at, more in enumerate((', "note": "n"', "")):
        path = tmp_path / f"train-{at}.jsonl"
        lines = [f'{{"text": "text {n}", "label": "{"xy"[n % 2]}"{more}}}' for n in range(6)]
        path.write_text("\n".join(lines), encoding="utf-8")
        files.append(path)
    assert len(load_rows(f"{tmp_path}/train-*.jsonl")[0]) == 12


def test_patterns(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    for at in range(3):
        csv(tmp_path / "data" / f"train-{at}.csv", 10 * at)
    csv(tmp_path / "data" / "test-0.csv", 50)
    splits = load_splits("data/train-*.csv", test="data/test-?.csv")
    assert (len(splits.train), len(splits.test), splits.name) == (27, 10, "train-*.csv")
    assert "'data/train-*.csv' fits 3 files" in caplog.text
    whole = load_splits("data/*.csv")
    assert (len(whole.train), len(whole.test)) == (27, 10)
    with pytest.raises(NotFoundError, match=r"No data file fits the pattern 'data/dev-\*'"):
        load_splits("data/dev-*")
    assert inputs(["data/train-*.csv", "waimai", None]) == [
        Path(f"data/train-{at}.csv") for at in range(3)
    ]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    assert len(load_rows(csv(tmp_path / "a[1].csv", 0))[0]) == 10


def test_a_pattern_for_training_never_takes_test_rows(tmp_path):
    csv(tmp_path / "reviews.csv", 0)
    csv(tmp_path / "reviews_test.csv", 50)
    for given in ({"data": f"{tmp_path}/*.csv"}, {"data": None, "train": f"{tmp_path}/*.csv"}):
        with pytest.raises(DataError, match=r"fits training files and also 'reviews_test\.csv'"):
            load_splits(**given)


def test_no_hint_trains_on_test_rows(tmp_path):
    def hint(*names):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in names:
            csv(place / name, 0)
        with pytest.raises(DataError, match=r"no file called train|no training rows") as caught:
            load_splits(str(place))
        return caught.value.hint.replace(f"{place}/", "")

    assert hint("my_test.csv", "reviews.csv") == (
        "Name the files: --train reviews.csv --test my_test.csv."
    )
    assert hint("a_train.csv", "b.csv", "my_test.csv", "sample_submission.csv") == (
        "Name the files: --train a_train.csv --test my_test.csv."
    )
    assert hint("my_test.csv") == ""
    assert "--data" not in hint("a.csv", "b.csv", "my_test.csv")
    assert "test" not in hint("test.csv")
    assert "test" not in hint("data/test-00000-of-00001.csv")


def test_several_data_sets_in_one_directory(tmp_path):
    for name in ("en", "zh"):
        csv(tmp_path / name / "train.csv", 0)
    with pytest.raises(DataError, match="holds several data sets: 'en', 'zh'") as caught:
        load_splits(str(tmp_path))
    assert caught.value.hint == f"Name one of them: --data {tmp_path}/en."
    assert len(load_splits(str(tmp_path / "zh")).train) == 9


def test_a_folder_of_old_files_is_not_taken_for_the_data(tmp_path):
    csv(tmp_path / "reviews.csv", 0)
    csv(tmp_path / "old" / "train.csv", 0)
    with pytest.raises(DataError, match="no file called train") as caught:
        load_splits(str(tmp_path))
    assert "reviews.csv" in caught.value.hint


def test_one_folder_of_shards(tmp_path):
    for at in range(2):
        shard(tmp_path / "reviews.parquet" / f"part-0000{at}.parquet", 10 * at)
    assert len(load_rows(str(tmp_path / "reviews.parquet"))[0]) == 20
    assert locate(str(tmp_path / "reviews.parquet")).name == "reviews.parquet"


def test_the_hubs_layout():
    found = real("LORA_BERT_FIELD_REPORTS", "field_reports") / "hub_repo_shards"
    splits = load_splits(str(found))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [80, 20, 28]
    with pytest.raises(DataError, match="fits training files") as caught:
        load_splits(None, train=str(found / "data" / "*.parquet"))
    assert "--test" in caught.value.hint


@pytest.mark.parametrize("form", ["{}.csv", "{}-00000-of-00001.parquet"])
def test_the_matched_files_of_mnli_are_the_parts(form, tmp_path):
    write = csv if form.endswith("csv") else shard
    names = ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched")
    for at, name in enumerate(names):
        write(tmp_path / form.format(name), 10 * at)
    splits = load_splits(str(tmp_path))
    found = [numbers(part)[0] for part in (splits.train, splits.validation, splits.test)]
    assert found == [0, 10, 30]
    assert [path.name for path in to_predict(tmp_path)] == [form.format("test_matched")]
