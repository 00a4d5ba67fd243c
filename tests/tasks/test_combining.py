"""Whatever the task: what two models of it decide by is averaged, or keeps them apart."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lora_bert
from lora_bert.errors import ConfigError
from lora_bert.tasks.combining import apart, averaged, independent, side_by_side
from lora_bert.tasks.multi_label import MultiLabel
from lora_bert.tasks.question_answering import QuestionAnswering
from lora_bert.tasks.regression import Regression
from lora_bert.tasks.relevance import Relevance
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tasks.token_tagging import TokenTagging
from tests.inference.test_session import with_other_weights

PROBABILITY = st.floats(0, 1)


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (SingleLabel(("a", "b")), SingleLabel(("b", "a")), ""),
        (MultiLabel(("a",), (0.1,)), MultiLabel(("a",), (0.9,)), ""),
        (Regression(mean=2.0, deviation=3.0), Regression(mark=","), ""),
        (Relevance(("1",), {"0": 0.0, "1": 1.0}), Relevance(("1",), {"1": 1.0}), "grades"),
        (TokenTagging(("O", "B-X", "I-X")), TokenTagging(("O", "B-X", "I-X"), "BIOES"), "scheme"),
        (QuestionAnswering(null_threshold=0.5), QuestionAnswering(null_threshold=-1.0), ""),
        (QuestionAnswering(null_threshold=0.0), QuestionAnswering(), "null_threshold"),
        (QuestionAnswering(stride=64), QuestionAnswering(), "stride"),
    ],
)
def test_settings_that_keep_two_models_apart(one, other, name):
    assert apart(one, other) == apart(other, one) == name
    assert apart(one, one) == ""


@given(lines=st.lists(st.tuples(PROBABILITY, PROBABILITY), min_size=2, max_size=4))
def test_mean_thresholds_are_between(lines):
    tasks = [MultiLabel(("a", "b") if at % 2 else ("b", "a"), line)
             for at, line in enumerate(lines)]  # fmt: skip
    found = averaged(tasks, [1 / len(lines)] * len(lines))
    assert isinstance(found, MultiLabel)
    for label, line in zip(found.labels, found.thresholds, strict=True):
        own = [dict(zip(task.labels, task.thresholds, strict=True))[label] for task in tasks]
        assert min(own) <= line <= max(own)


def test_a_threshold_is_to_the_mean_of_outputs_what_each_was_to_its_own():
    tasks = [MultiLabel(("a",), (0.2,)), MultiLabel(("a",), (0.7,))]
    line = averaged(tasks, [0.25, 0.75]).settings["thresholds"][0]
    outputs = np.log([0.2 / 0.8, 0.7 / 0.3]) @ [0.25, 0.75]
    assert tasks[0].values(np.array([[outputs]]))[0, 0] == pytest.approx(line)


def test_which_outputs_are_independent():
    assert independent(MultiLabel(("a",)))
    assert not independent(SingleLabel(("a", "b")))
    assert not independent(Regression())
    found = side_by_side([MultiLabel(("b", "a"), (0.1, 0.2)), MultiLabel(("c",), (0.3,))])
    assert found == MultiLabel(("b", "a", "c"), (0.1, 0.2, 0.3))


@pytest.mark.parametrize("kind", ["tagger", "reader"])
def test_tags_and_answers(kind, request, tmp_path):
    place = request.getfixturevalue(kind)
    other = with_other_weights(place, tmp_path / "other", 1)
    backbone = place.parent / "backbone"
    result = lora_bert.combine([place, other], tmp_path / "out", backbone=backbone)
    assert result.difference < 1e-5
    assert lora_bert.merge(tmp_path / "out", tmp_path / "merged").difference < 1e-5
    assert lora_bert.verify(tmp_path / "out").passed
    path = shutil.copytree(other, tmp_path / "changed") / "lora_bert.json"
    said = json.loads(path.read_text())
    name = "scheme" if kind == "tagger" else "stride"
    settings = said["settings"] | {"scheme": "BIOES", "stride": 9}
    path.write_text(json.dumps(said | {"settings": settings}))
    with pytest.raises(ConfigError, match=f"differ in their '{name}'"):
        lora_bert.combine([place, path.parent], tmp_path / "no", backbone=backbone)
