"""Labels that were meant to be one."""

from __future__ import annotations

import shlex
from time import perf_counter

import pytest

from lora_bert.data.data_checks import spelling_warnings
from lora_bert.names import parse_label_names


def joined(labels):
    """The labels after what the warning says was pasted into a shell."""
    (sentence,) = spelling_warnings(labels)
    option, names = shlex.split(sentence[sentence.index("--label-names") :])
    assert option == "--label-names"
    renames = parse_label_names(names)
    return [renames.get(label, label) for label in labels]


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "A", "a"],
        ["pos\u200b", "pos", "pos\u00ad", "\ufeffpos", "p\u00a0os", "p os"],
        ["ｐｏｓ１", "pos1"],
        ["a,B", "a,b", "it's", "It's", 'x "q"', 'X "q"', "p=q", "P=q", "b\\s", "B\\s"],
        ["好评", "好评\u3000\u200b"],
        ["Straße", "STRASSE"],
        ["❤\ufe0f", "❤"],
    ],
)
def test_pasting_the_option_joins_them(labels):
    one = joined(labels)
    assert len({label.casefold() for label in one}) == len(set(one))
    assert not spelling_warnings(one)


def test_the_plain_and_the_frequent_spelling_stays():
    assert set(joined(["b\u200b", "b\u200b", "b", "A", "a", "a"])) == {"b", "a"}


def test_invisible_characters_are_shown():
    (sentence,) = spelling_warnings(["pos\u200b", "pos"])
    assert r"'pos\u200b' (1), 'pos' (1)" in sentence
    assert sentence.isprintable()


def test_nothing_is_said_where_nothing_is_to_join():
    assert spelling_warnings(["a", "b", "ab", "1", "1.0", "01", "é", "e"]) == []


def test_many_groups_are_cut_short():
    labels = [f"{kind}{number}" for number in range(300) for kind in "xX"]
    (sentence,) = spelling_warnings(labels)
    assert "and 295 more groups" in sentence
    assert "(the first 100 of 300)" in sentence


def test_many_classes_cost_little():
    labels = [f"класс {number}" for number in range(5000)] * 4
    start = perf_counter()
    assert spelling_warnings(labels) == []
    assert perf_counter() - start < 1
