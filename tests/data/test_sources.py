"""From a file, a directory or a name to examples."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import datasets
import pytest

from lora_bert.data import named
from lora_bert.data.data_options import DataOptions
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import ConfigError, DataError, NotFoundError


def write(path, rows, header="text,label"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def rows_of(count, labels="xy", start=0):
    return [f"text {n},{labels[n % len(labels)]}" for n in range(start, start + count)]


def sizes(splits):
    parts = (splits.train, splits.validation, splits.test)
    return [None if part is None else len(part) for part in parts]


def test_a_file_is_split(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(tmp_path / "a.csv", rows_of(50))
    splits = load_splits(path)
    assert sizes(splits) == [40, 10, None]
    assert splits.name == "a.csv"
    assert splits.sha256 == hashlib.sha256((tmp_path / "a.csv").read_bytes()).hexdigest()
    assert caplog.messages == [
        "text column 'text', label column 'label'",
        "Split off 10 of 50 rows for validation (stratified, seed 42).",
    ]
    other = load_splits(path, options=DataOptions(validation_fraction=0.5, split_seed=1))
    assert sizes(other) == [25, 25, None]


@pytest.mark.parametrize("validation", ["validation", "valid", "val", "dev", "Dev"])
def test_a_directory(tmp_path, caplog, validation):
    caplog.set_level("INFO")
    write(tmp_path / "set" / "train.csv", rows_of(20))
    write(tmp_path / "set" / f"{validation}.csv", rows_of(6, start=50))
    write(tmp_path / "set" / "test.csv", rows_of(4, start=90))
    write(tmp_path / "set" / "README.md", [])
    splits = load_splits(str(tmp_path / "set"))
    assert sizes(splits) == [20, 6, 4]
    assert splits.name == "set"
    assert caplog.messages == ["text column 'text', label column 'label'"]
    files = [tmp_path / "set" / f"{part}.csv" for part in ("train", validation, "test")]
    together = b"".join(file.read_bytes() for file in files)
    assert splits.sha256 == hashlib.sha256(together).hexdigest()


def test_a_directory_without_parts(tmp_path):
    only = write(tmp_path / "reviews.csv", rows_of(4))
    with pytest.raises(DataError, match="no file called train") as caught:
        load_splits(str(tmp_path))
    assert only in caught.value.hint
    write(tmp_path / "test.csv", rows_of(4))
    with pytest.raises(DataError, match="no training rows; it has 'test'"):
        load_splits(str(tmp_path))


def test_two_files_for_one_part(tmp_path):
    write(tmp_path / "train.csv", rows_of(4))
    write(tmp_path / "train.tsv", rows_of(4))
    with pytest.raises(DataError, match=r"more than one file for train: 'train.csv', 'train.tsv'"):
        load_splits(str(tmp_path))


def test_files_named_singly(tmp_path):
    train = write(tmp_path / "one.csv", rows_of(20))
    other = write(tmp_path / "two.csv", rows_of(4), header="review,category")
    splits = load_splits(None, train=train, validation=other, test=other)
    assert sizes(splits) == [20, 4, 4]
    assert splits.name == "one.csv"
    assert sizes(load_splits(train, test=other)) == [18, 2, 4]
    with pytest.raises(ConfigError, match="--data and --train"):
        load_splits(train, train=train)
    with pytest.raises(ConfigError, match="no training rows"):
        load_splits(None, validation=other)
    with pytest.raises(NotFoundError, match="No such data file"):
        load_splits(None, train=str(tmp_path / "none.csv"))


def test_unseen_label(tmp_path):
    train = write(tmp_path / "train.csv", ["a,positive", "b,negative"] * 3)
    other = write(tmp_path / "dev.csv", ["a,positive", "b,negativ"])  # codespell:ignore
    for part in ("validation", "test"):
        with pytest.raises(DataError, match=r"dev\.csv', line 3: the label 'negativ'") as caught:
            load_splits(None, train=train, **{part: other})
        assert caught.value.hint == "Did you mean 'negative'?"
    write(tmp_path / "dev.csv", ["a,7"])
    with pytest.raises(DataError) as caught:
        load_splits(None, train=train, validation=other)
    assert caught.value.hint == "Training rows have 'positive', 'negative'."


def test_a_random_split_that_leaves_a_class_without_training_row(tmp_path):
    path = write(tmp_path / "a.csv", [*rows_of(6), "rare,z"])
    caught = 0
    for seed in range(20):
        try:
            load_splits(path, options=DataOptions(split="random", split_seed=seed))
        except DataError as error:
            assert "the label 'z'" in str(error)
            assert "--split stratified" in error.hint
            caught += 1
    assert 0 < caught < 20


def test_limit(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(tmp_path / "a.csv", rows_of(100))
    splits = load_splits(path, options=DataOptions(limit=20))
    assert sizes(splits) == [18, 2, None]
    assert f"Using 20 of 100 rows of '{path}', drawn at random." in caplog.messages
    assert len(load_rows(path, options=DataOptions(limit=20))[0]) == 20


def test_limit_that_takes_labels_away(tmp_path, caplog):
    labels = [f"l{n}" for n in range(30)]
    train = write(tmp_path / "train.csv", rows_of(60, labels))
    test = write(tmp_path / "test.csv", rows_of(50, labels))
    splits = load_splits(None, train=train, test=test, options=DataOptions(limit=20))
    assert set(splits.test.labels) <= set(splits.train.labels)
    assert "--limit left their labels without a training row" in caplog.text


def test_label_names_and_columns(tmp_path):
    path = write(tmp_path / "a.csv", [f"{n % 2},t{n}" for n in range(10)], header="a,b")
    options = DataOptions("b", "a", {"0": "neg", "1": "pos"})
    assert set(load_splits(path, options=options).train.labels) == {"neg", "pos"}


def test_read_options_reach_the_file(tmp_path):
    path = write(tmp_path / "a.csv", rows_of(9), header="text 9,y")
    read = ReadOptions(header=False, columns=("text", "label"))
    assert sizes(load_splits(path, options=DataOptions(read=read))) == [9, 1, None]


def dataset_of(labels):
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"])
    )
    columns = {"text": [f"t{n}" for n in range(len(labels))], "label": labels}
    return datasets.Dataset.from_dict(columns, features=features)


def test_saved_datasets(tmp_path, caplog):
    parts = {"train": dataset_of([0, 1] * 5), "test": dataset_of([1, 0, -1])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    splits = load_splits(str(tmp_path / "saved"))
    assert sizes(splits) == [9, 1, 2]
    assert splits.test.labels == ("pos", "neg")
    assert "Dropped 1 row with an empty label" in caplog.text
    rows, name, _ = load_rows(str(tmp_path / "saved" / "train"))
    assert (len(rows), name) == (10, "train")


def test_damaged_saved_dataset(tmp_path):
    dataset_of([0, 1]).save_to_disk(str(tmp_path / "saved"))
    for file in (tmp_path / "saved").glob("*.arrow"):
        file.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a readable saved dataset"):
        read_table(tmp_path / "saved")


def test_names(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(named.NAMED, "takeaway-mini", tmp_path / "mini.csv")
    write(tmp_path / "mini.csv", rows_of(10))
    caplog.set_level("INFO")
    assert load_splits("takeaway-mini").name == "takeaway-mini"
    assert load_rows("takeaway-mini")[1] == "takeaway-mini"
    caplog.clear()
    assert load_splits(None).name == "takeaway-mini"
    assert "No data given: using 'takeaway-mini'" in caplog.text
    with pytest.raises(NotFoundError, match="No such data: 'takeaway-mni'") as caught:
        load_splits("takeaway-mni")
    assert caught.value.hint == "Did you mean 'takeaway-mini'?"
    with pytest.raises(NotFoundError, match="No such data file or directory") as caught:
        load_splits("mni.csv")
    assert caught.value.hint == "Did you mean 'mini.csv'?"
    (tmp_path / "takeaway-mini").mkdir()
    assert load_splits("takeaway-mini").name == "takeaway-mini"
    assert "./takeaway-mini" in caplog.text


def test_rows_of_a_file(tmp_path):
    path = write(tmp_path / "a.csv", rows_of(50))
    rows, name, sha = load_rows(path)
    assert (len(rows), name) == (50, "a.csv")
    splits = load_splits(path)
    assert sha == splits.sha256
    assert load_rows(path, part="train")[0] == splits.train
    assert load_rows(path, part="validation")[0] == splits.validation
    with pytest.raises(NotFoundError, match="no test part; it has 'train'"):
        load_rows(path, part="test")


def test_test_rows_are_held_out_first(tmp_path):
    path = write(tmp_path / "a.csv", rows_of(100))
    options = DataOptions(test_fraction=0.2)
    splits = load_splits(path, options=options)
    assert sizes(splits) == [64, 16, 20]
    assert splits.test == load_splits(path).validation
    for part in ("train", "validation", "test"):
        assert load_rows(path, options=options, part=part)[0] == getattr(splits, part)
    with_test = load_splits(path, test=path, options=options)
    assert sizes(with_test) == [80, 20, 100]


def test_rows_of_a_directory(tmp_path, caplog):
    caplog.set_level("INFO")
    train = write(tmp_path / "train.csv", rows_of(20))
    assert len(load_rows(str(tmp_path))[0]) == 20
    write(tmp_path / "dev.csv", rows_of(6))
    assert len(load_rows(str(tmp_path))[0]) == 6
    write(tmp_path / "test.csv", rows_of(4))
    rows, name, sha = load_rows(str(tmp_path))
    assert (len(rows), name) == (4, tmp_path.name)
    assert sha == hashlib.sha256((tmp_path / "test.csv").read_bytes()).hexdigest()
    assert f"Using the test rows of '{tmp_path}'." in caplog.messages
    assert len(load_rows(str(tmp_path), part="train")[0]) == 20
    assert load_rows(str(tmp_path), part="train")[0].source == train


def test_the_tutorials_split_of_waimai(data_dir, monkeypatch):
    from sklearn.model_selection import train_test_split

    monkeypatch.setenv("LORA_BERT_DATA", str(data_dir))
    splits = load_splits("waimai", options=DataOptions(split="random", split_seed=2023))
    texts = read_table(data_dir / "waimai" / "waimai_10k.csv").values["review"]
    train, validation = train_test_split(texts, random_state=2023, test_size=0.2)
    assert list(splits.train.texts) == train
    assert list(splits.validation.texts) == validation


@pytest.mark.parametrize(
    ("path", "rows", "classes", "dropped"),
    [
        ("waimai/waimai_10k.csv", 11_987, 2, 0),
        ("chnsenticorp/train.parquet", 9_600, 2, 0),
        ("chnsenticorp/test.parquet", 1_200, 2, 0),
        ("20newsgroups/train.jsonl", 11_290, 20, 24),
        ("20newsgroups/test.jsonl", 7_507, 20, 25),
        ("online_shopping_10_cats/online_shopping_10_cats.csv", 62_773, 2, 1),
        ("banking77/train.csv", 10_003, 77, 0),
        ("banking77/test.csv", 3_080, 77, 0),
    ],
)
def test_real_files(data_dir, path, rows, classes, dropped, caplog):
    found = load_rows(str(data_dir / path))[0]
    assert (len(found), len(set(found.labels))) == (rows, classes)
    assert [log.args[0] for log in caplog.records if log.msg.startswith("Dropped")] == (
        [f"{dropped} row{'s' * (dropped > 1)} with an empty text"] if dropped else []
    )
    assert not found.texts[0].startswith("\ufeff")


@pytest.mark.parametrize(
    ("path", "rows", "column"),
    [
        ("bq/dev.csv", 10_000, "sentence1"),
        ("cmrc2018/cmrc2018_dev.json", 3_219, "question"),
        ("xquad/xquad.zh.json", 1_190, "question"),
    ],
)
def test_real_files_of_other_tasks(data_dir, path, rows, column):
    table = read_table(data_dir / path)
    assert len(table) == rows
    assert column in table.columns


def test_nothing_heavy_is_imported():
    code = (
        "import sys, lora_bert.data.data_checks; "
        "print({'torch', 'transformers', 'pyarrow', 'pandas', 'sklearn', 'datasets'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(("rows", "held_out"), [(38, 0.1), (40, 0.2), (400, 0.2)])
def test_of_few_rows_a_class_a_tenth_is_held_out(rows, held_out, tmp_path):
    splits = load_splits(write(tmp_path / "a.csv", rows_of(rows)))
    assert splits.held_out == held_out
    assert len(splits.validation) == math.ceil(rows * held_out)
    part, _, _ = load_rows(str(tmp_path / "a.csv"), part="validation")
    assert list(part.texts) == list(splits.validation.texts)
    a_fifth = DataOptions(validation_fraction=0.2)
    assert len(load_splits(str(tmp_path / "a.csv"), options=a_fifth).validation) == math.ceil(
        rows / 5
    )


def test_a_limit_makes_few_rows(tmp_path):
    path = write(tmp_path / "a.csv", rows_of(400))
    assert sizes(load_splits(path, options=DataOptions(limit=30))) == [27, 3, None]


def test_rows_named_for_validation_are_no_share(tmp_path):
    path = write(tmp_path / "a.csv", rows_of(10))
    other = write(tmp_path / "b.csv", rows_of(4, start=10))
    assert load_splits(None, train=path, validation=other).held_out is None
