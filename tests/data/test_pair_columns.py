"""Whether rows are pairs, and which columns hold them: by names, options and the adapter."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_checks import warn_about
from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import examples_from
from lora_bert.data.pair_columns import find_pair, find_text_columns, plain_name
from lora_bert.data.rows import NO_TRAINING, ReadOptions, TrainingFormat
from lora_bert.data.sources import load_rows, load_splits
from lora_bert.data.splits import split
from lora_bert.data.tables import read_table
from lora_bert.data.texts import TextPairs, columns_of
from lora_bert.errors import ConfigError, DataError

PAIRS = TrainingFormat(text_column="a", pair_column="b", inputs=2)
SINGLE = TrainingFormat(inputs=1)


def found(*columns: str, text=None, pair=None, training=NO_TRAINING):
    cells = {name: [f"{name} {at}" for at in range(3)] for name in columns}
    return find_pair(
        columns, text=text, pair=pair, training=training, cells=cells, source="x.csv"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("sentence1", "sentence2"), ("Sentence_1", "SENTENCE 2"), ("text_a", "text_b"),
        ("textA", "TextB"), ("question1", "question2"), ("premise", "hypothesis"),
        ("Question", "Answer"), ("question", "sentence"), ("query", "passage"),
        ("query", "doc"), ("#1 String", "#2 String"), ("s1", "s2"), ("句子1", "句子2"),
        ("句子一", "句子二"), ("问题", "答案"), ("前提", "假设"), ("查询", "文档"),
        ("文本-A", "文本-B"), ("문장1", "문장2"), ("context", "response"),
    ],
)  # fmt: skip
def test_names_that_say_a_pair(first: str, second: str) -> None:
    assert found("id", first, second, "label") == (first, second)
    assert found("label", second, first) == (first, second)


@pytest.mark.parametrize(
    "columns",
    [
        ("text", "label"), ("question", "label"), ("sentence1", "label"), ("title", "content"),
        ("sentence1", "sentence2", "sentence3", "label"), ("question", "text", "label"),
    ],
)  # fmt: skip
def test_names_that_say_none(columns: tuple[str, ...]) -> None:
    assert found(*columns) == (None, None)


@given(name=st.sampled_from(["sentence", "text", "q"]), dots=st.text("_- .", max_size=3))
def test_case_and_separators_make_no_other_name(name: str, dots: str) -> None:
    columns = (f"{name}{dots}1".upper(), f"{name.title()}{dots}2")
    assert found(*columns) == columns
    assert plain_name(columns[0]) == f"{name}1"


def test_a_column_that_is_named_alone_is_a_single_text() -> None:
    assert found("sentence1", "sentence2", "label", text="sentence2") == ("sentence2", None)


def test_columns_that_are_named_are_the_pair() -> None:
    columns = ("left", "right", "sentence1", "sentence2", "label")
    assert found(*columns, text="left", pair="right") == ("left", "right")
    # The first text is found: by its partner's name, else as texts are called.
    assert found(*columns, pair="sentence2") == ("sentence1", "sentence2")
    assert found("text", "other", "label", pair="other") == ("text", "other")


def test_an_adapter_decides_what_is_asked() -> None:
    assert found("question", "answer", training=SINGLE) == (None, None)
    assert found("a", "b", training=PAIRS) == ("a", "b")
    assert found("question", "answer", training=PAIRS) == ("question", "answer")
    assert found("sentence1", "sentence2", text="sentence1", training=PAIRS)[1] == "sentence2"
    with pytest.raises(DataError, match="one text a row where pairs"):
        found("text", "label", training=PAIRS)
    with pytest.raises(ConfigError, match="trained on single texts"):
        found("a", "b", pair="b", training=SINGLE)


def test_what_could_be_either_is_asked_for() -> None:
    with pytest.raises(DataError, match="either could be meant") as raised:
        found("text", "question", "answer", "label")
    assert "--text-column text" in raised.value.hint
    assert found("text", "sentence1", "sentence2") == ("sentence1", "sentence2")
    assert found("query", "passage", "title") == ("query", "passage")


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match="cannot hold both"):
        found("a", "b", text="a", pair="a")
    with pytest.raises(DataError, match="no column 'c'"):
        found("a", "b", text="a", pair="c")


def test_columns_to_predict_need_no_labels() -> None:
    columns = ("premise", "hypothesis")
    cells = {name: ["x y"] for name in columns}
    both = find_text_columns(
        columns, text=None, pair=None, training=NO_TRAINING, cells=cells, source="x"
    )
    assert both.names == columns


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_without_either_text_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(
        tmp_path / "x.csv", "sentence1,sentence2,label", "a,b,1", " ,c,0", "d, ,1", "e,f,0", "g,h,"
    )
    examples = examples_from(read_table(path))
    assert list(examples.texts) == [("a", "b"), ("e", "f")]
    assert examples.inputs == 2
    assert list(examples.labels) == ["1", "0"]
    assert list(examples.lines) == [2, 5]
    assert "2 rows with an empty text and 1 row with an empty label" in caplog.text


def many(count: int) -> list[str]:
    return ["sentence1,sentence2,label"] + [f"a {at},b {at},{at % 2}" for at in range(count)]


@pytest.mark.parametrize("count", [40, 10_050])
def test_pairs_stay_together_however_they_are_divided(tmp_path: Path, count: int) -> None:
    path = written(tmp_path / "x.csv", *many(count))
    splits = load_splits(str(path))
    assert splits.columns == {"text": "sentence1", "label": "label", "text_pair": "sentence2"}
    for part in (splits.train, *split(splits.train, seed=1), splits.validation):
        assert part.inputs == 2
        assert isinstance(part.texts, TextPairs)
        for (first, second), label in zip(part.texts, part.labels, strict=True):
            assert first[2:] == second[2:]
            assert int(first[2:]) % 2 == int(label)
    assert len(columns_of(splits.train.texts)) == 2


def test_every_part_has_pairs_where_the_first_has(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *many(20))
    other = written(tmp_path / "dev.csv", "question1,question2,label", "x,y,1", "z,w,0")
    splits = load_splits(None, train=str(train), validation=str(other))
    assert list(splits.validation.texts) == [("x", "y"), ("z", "w")]
    single = written(tmp_path / "single.csv", "text,label", "x,1", "y,0")
    with pytest.raises(DataError, match="'text', 'label'"):
        load_splits(None, train=str(train), validation=str(single))


def test_an_old_adapter_of_single_texts_reads_its_rows_as_before(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "question,answer,label", "a,b,1", "c,d,0")
    options = DataOptions(read=ReadOptions(training=SINGLE))
    rows, _, _ = load_rows(str(path), options=options)
    assert list(rows.texts) == ["a", "c"]


def test_the_same_pair_is_what_leaks_and_contradicts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"a{at},b{at},{at % 2}" for at in range(10)]
    train = written(tmp_path / "train.csv", "sentence1,sentence2,label", *rows, "a0,b0,1")
    # The same first text with another second one is another pair.
    dev = written(tmp_path / "dev.csv", "sentence1,sentence2,label", "a1,b2,1", "a2,b2,0")
    with caplog.at_level(logging.WARNING):
        said = warn_about(load_splits(None, train=str(train), validation=str(dev)))
    assert any("1 of 2 validation pairs (50.0%) also stands in training" in one for one in said)
    assert not any("is chosen on what was learned" in one for one in said)
    same = warn_about(load_splits(None, train=str(train), validation=str(train)))
    assert any("is chosen on what was learned" in one for one in same)
    assert any("1 pair carries more than one label" in one for one in said)


@pytest.mark.parametrize("header", [("text_a", "text_b"), ("句子1", "句子2"), ("q1", "q2")])
def test_a_header_of_a_pair_is_one(tmp_path: Path, header: tuple[str, str]) -> None:
    path = written(tmp_path / "x.tsv", "\t".join((*header, "label")), "1 a?\tb.\t1", "c.\td!\t0")
    assert list(examples_from(read_table(path)).texts) == [("1 a?", "b."), ("c.", "d!")]
