"""The text and the label column are found, said, or asked for."""

from __future__ import annotations

import logging

import pytest

from lora_bert.data.columns import find_columns
from lora_bert.errors import ConfigError, DataError


def find(columns, text=None, label=None, **more):
    return find_columns(columns, text=text, label=label, source="a.csv", **more)


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
