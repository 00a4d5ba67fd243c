"""Pairs that share a text are divided as one, and whoever divides them is warned where not."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_checks import warn_about
from lora_bert.data.examples import Examples
from lora_bert.data.pair_groups import groups_of, split_groups
from lora_bert.data.sources import Splits, load_splits
from lora_bert.data.splits import split
from lora_bert.data.texts import TextPairs
from tests.oracle import elsewhere


def pairs(*sides: tuple[str, str], labels: list[str] | None = None) -> Examples:
    first, second = zip(*sides, strict=True)
    labels = labels or [str(at % 2) for at in range(len(sides))]
    return Examples(TextPairs(first, second), labels, range(1, len(sides) + 1), "x.csv")


def clusters(count: int, each: int) -> Examples:
    """``count`` groups of ``each`` pairs that have their first text in common."""
    return pairs(*((f"q{at // each}", f"a{at}") for at in range(count * each)))


def sides(examples: Examples) -> set[str]:
    return {text for pair in examples.texts for text in pair}


def test_a_text_in_common_makes_a_group_over_others_too() -> None:
    examples = pairs(("a", "b"), ("c", "d"), (" b ", "c"), ("e", "f"), ("f", "e"), ("g", "g"))
    groups = groups_of(examples).tolist()
    assert groups[0] == groups[1] == groups[2]
    assert groups[3] == groups[4]
    assert len(set(groups)) == 3


@given(links=st.lists(st.tuples(*[st.integers(0, 12)] * 2), min_size=1, max_size=30))
def test_pairs_are_of_one_group_where_texts_lead_from_one_to_the_other(
    links: list[tuple[int, int]],
) -> None:
    groups = groups_of(pairs(*((f"t{a}", f"t{b}") for a, b in links))).tolist()
    reached = [{*link} for link in links]
    for _ in links:
        reached = [set().union(*(r for r in reached if r & one)) for one in reached]
    for one, group in zip(reached, groups, strict=True):
        for other, theirs in zip(reached, groups, strict=True):
            assert (group == theirs) == bool(one & other)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_no_text_stands_on_both_sides(seed: int) -> None:
    train, validation = split(clusters(60, 5), seed=seed)
    assert not sides(train) & sides(validation)
    assert len(train) + len(validation) == 300
    assert 45 <= len(validation) <= 60
    again = split(clusters(60, 5), seed=seed)[1]
    assert list(again.texts) == list(validation.texts)


def test_every_process_divides_alike() -> None:
    """Python's hashes of texts are others in each process; a resume and ``evaluate`` are, too."""
    code = """
import json
from lora_bert.data.examples import Examples
from lora_bert.data.splits import split
from lora_bert.data.texts import TextPairs
from lora_bert.tasks.relevance import Relevance
every = range(300)
pairs = TextPairs([f"q{at // 5}" for at in every], [f"a{at}" for at in every])
examples = Examples(pairs, [str(at % 2) for at in every], range(1, 301), "x.csv")
train, validation = split(examples, seed=1)
targets = Relevance.of(train).targets(train, None)
print(json.dumps({"rows": list(validation.lines), "queries": targets[:, 1].tolist()}))
"""
    root = str(Path(__file__).parents[2])
    one, other = (elsewhere(code, PYTHONPATH=root, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert one == other
    assert len(one["rows"]) > 40


def test_classes_keep_their_shares() -> None:
    labels = ["rare" if at % 10 == 0 else "usual" for at in range(400)]
    examples = pairs(*((f"q{at // 4}", f"a{at}") for at in range(400)), labels=labels)
    train, validation = split(examples, seed=3)
    assert 0.05 <= list(validation.labels).count("rare") / len(validation) <= 0.15
    assert set(train.labels) == {"rare", "usual"}


@pytest.mark.parametrize(
    "examples", [clusters(1, 100), clusters(5, 20), pairs(*[("all", f"x{at}") for at in range(50)])]
)
def test_too_few_groups_are_divided_row_by_row(examples: Examples) -> None:
    assert split_groups(examples, 0.2, 0, classes=True) is None
    train, validation = split(examples, seed=0)
    assert len(validation) == int(np.ceil(0.2 * len(examples)))
    assert sides(train) & sides(validation)


def test_a_class_of_one_group_stays_in_training() -> None:
    labels = ["only"] * 3 + [str(at % 2) for at in range(297)]
    examples = pairs(*((f"q{at // 3}", f"a{at}") for at in range(300)), labels=labels)
    for seed in range(5):
        train, validation = split(examples, seed=seed)
        assert "only" in train.labels
        assert set(validation.labels) <= set(train.labels)


def test_random_is_random() -> None:
    train, validation = split(clusters(60, 5), seed=0, how="random")
    assert sides(train) & sides(validation)


def test_numbers_are_divided_by_groups_too() -> None:
    examples = pairs(
        *((f"q{at // 5}", f"a{at}") for at in range(300)), labels=[str(at) for at in range(300)]
    )
    train, validation = split(examples, seed=0, classes=False)
    assert not sides(train) & sides(validation)


def test_the_same_questions_about_many_contexts_are_divided_by_these() -> None:
    asked = [(f"q{at % 4}", f"c{at // 4}") for at in range(200)]
    examples = replace(pairs(*asked, labels=["[]"] * 200), label_form="answers")
    train, validation = split(examples, seed=0, classes=False)
    assert not {context for _, context in train.texts} & {
        context for _, context in validation.texts
    }
    assert 30 <= len(validation) <= 40
    splits = Splits(train, validation, None, "x", "", {})
    assert not [said for said in warn_about(splits, classes=False) if "flatters" in said]
    splits = Splits(examples, validation, None, "x", "", {})
    said = warn_about(splits, classes=False)
    assert "100.0%) have a context that stands in a training pair too" in said[-1]


def test_a_part_of_known_texts_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["sentence1,sentence2,label", *(f"q{at},a{at},{at % 2}" for at in range(20))]
    (tmp_path / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    dev = ["sentence1,sentence2,label", "q1,new,1", "new,a2,0", "x,y,0", "z,w,1"]
    (tmp_path / "dev.csv").write_text("\n".join(dev), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        said = warn_about(
            load_splits(
                None, train=str(tmp_path / "train.csv"), validation=str(tmp_path / "dev.csv")
            )
        )
    assert [one for one in said if "2 of 4 validation pairs (50.0%) have a text" in one]
