"""Figures of answers, held against the official scorers' own on real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.data.data_options import DataOptions
from lora_bert.data.sources import load_rows
from lora_bert.data.texts import columns_of
from lora_bert.errors import DataError
from lora_bert.metrics.answer_texts import UNITS, exact_and_f1, unit_of
from lora_bert.metrics.answers import best_threshold, compare, intervals, score
from tests.conftest import real


def known(name: str) -> dict:
    """What an official scorer says of predictions."""
    place = real("LORA_BERT_KNOWN_ANSWERS", "known_answers")
    return json.loads((place / name).read_text(encoding="utf-8"))


def gold(path: Path) -> dict[str, list[str]]:
    """The true answers of a file of questions, as it is read, by id."""
    rows, *_ = load_rows(str(path), options=DataOptions(label_form="answers", classes=False))
    contexts = columns_of(rows.texts)[1]
    return {
        name: [true if isinstance(true, str) else context[slice(*true)]
               for true in json.loads(label)]
        for name, context, label in zip(rows.ids, contexts, rows.labels, strict=True)
    }  # fmt: skip


def test_figures_are_those_of_squad_2(data_dir):
    theirs = known("squad_v2.json")
    true, names = gold(data_dir / theirs["data"]), list(theirs["predictions"])
    assert sorted(true) == sorted(names)
    said = [theirs["predictions"][name] for name in names]
    null = np.array([theirs["no_answer_probability"][name] for name in names])
    scores = score(said, [true[name] for name in names], "words", null_scores=null)
    for part, by_row in (("exact", scores.exact_by_row), ("f1", scores.f1_by_row)):
        by_question = theirs[f"{part}_by_question"]
        assert by_row.tolist() == pytest.approx([by_question[name] for name in names], abs=1e-6)
    expected = {name: value / 100 for name, value in theirs["expected"].items()}
    pairs = {"f1": "f1", "exact": "exact", "best_f1": "best_f1", "HasAns_f1": "has_answer_f1",
             "HasAns_exact": "has_answer_exact", "NoAns_f1": "no_answer_f1",
             "NoAns_exact": "no_answer_exact"}  # fmt: skip
    for their, our in pairs.items():
        assert getattr(scores, our) == pytest.approx(expected[their], abs=1e-6)
    given = np.array([bool(text) for text in said])
    best = best_threshold(null, scores.exact_by_row, scores.answerable, given)[1]
    assert best == pytest.approx(expected["best_exact"], abs=1e-6)


def test_figures_are_those_of_cmrc_2018(data_dir):
    theirs = known("cmrc2018.json")
    true = gold(data_dir / theirs["data"])
    names = list(theirs["predictions"])
    assert sorted(true) == sorted(names)  # without a question, or with an answer that is nowhere
    scores = score([theirs["predictions"][name] for name in names],
                   [true[name] for name in names], "characters")  # fmt: skip
    by_row = np.stack([scores.exact_by_row, scores.f1_by_row], axis=1)
    wanted = np.array([theirs["em_f1_by_question"][name] for name in names])
    np.testing.assert_allclose(by_row, wanted, atol=1e-6)
    assert 100 * scores.f1 == pytest.approx(theirs["expected"]["f1"], abs=1e-6)
    assert 100 * scores.exact == pytest.approx(theirs["expected"]["em"], abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "true", "units", "exact", "f1"),
    [
        ("The  Eiffel-Tower!", ["eiffeltower"], "words", 1, 1),
        ("in Paris", ["Paris", "the city of Paris"], "words", 0, 2 / 3),
        ("", [], "words", 1, 1),
        ("Paris", [], "words", 0, 0),
        ("", ["Paris"], "words", 0, 0),
        ("", ["the"], "words", 1, 1),  # nothing is left of that answer
        ("《三国志》。", ["三国志"], "characters", 1, 1),
        ("光荣和ABC公司", ["ABC公司"], "characters", 0, 6 / 9),
        ("国三", ["三国"], "characters", 0, 1 / 2),  # the longest run, not the same characters
        ("约3.5%", ["3.5%"], "characters", 0, 4 / 5),
        ("", [], "characters", 1, 1),
    ],
)
def test_texts_are_compared_as_the_papers_say(answer, true, units, exact, f1):
    assert exact_and_f1(answer, true, units) == pytest.approx((exact, f1))


@settings(max_examples=50)
@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3), st.sampled_from(UNITS))
def test_figures_are_shares_and_an_answer_is_itself(answer, true, units):
    exact, f1 = exact_and_f1(answer, true, units)
    assert exact in (0, 1)
    assert 0 <= f1 <= 1
    assert exact_and_f1(answer, [answer], units) == (1, 1)


def test_the_script_says_what_is_compared():
    assert unit_of(["深圳市的人口是多少？", "A b"]) == "characters"
    assert unit_of(["What is the population of 深圳?"]) == "words"
    assert unit_of([]) == "words"
    with pytest.raises(ValueError, match="units are 'words', 'characters'"):
        exact_and_f1("a", ["a"], "letters")


def test_the_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(30):
        null, figures = rng.normal(size=12), rng.choice([0.0, 0.3, 1.0], size=12)
        answerable, given = rng.random(12) < 0.6, rng.random(12) < 0.9

        def of(threshold, null=null, figures=figures, answerable=answerable, given=given):
            answered = (null <= threshold) & given
            return np.where(answerable, figures * (null <= threshold), ~answered).mean()

        found, figure = best_threshold(null, figures, answerable, given)
        assert figure == pytest.approx(max(map(of, [null.min() - 1, *null])))
        assert of(found) == pytest.approx(figure)


def test_rows_without_unanswerable_ones_have_fewer_figures():
    scores = score(["a", "b"], [["a"], ["c"]], "words")
    assert [metric.name for metric in scores.shown] == ["f1", "exact", "best_f1", "has_answer_f1"]
    assert scores.figures == {"f1": 0.5, "exact": 0.5}
    low, high = intervals(scores)["f1"]
    assert (low, high) == (0, 1)
    with pytest.raises(DataError, match="no rows"):
        score([], [], "words")


def test_two_models_are_compared_question_by_question():
    true = [["a"]] * 40
    ours, theirs = (score(said, true, "words") for said in (["a"] * 40, ["a"] * 20 + ["b"] * 20))
    found = compare("other", ours, theirs, metric="exact")
    assert (found.metric, found.only_ours, found.only_theirs) == ("exact", 20, 0)
    assert found["f1"].difference == 0.5
    assert found["f1"].verdict == "better"
