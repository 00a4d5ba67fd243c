"""Figures of tagged words, held against seqeval's own answers on real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lora_bert.data.tag_schemes import entities_of, read_tags, scheme_of, tags_of
from lora_bert.errors import DataError
from lora_bert.metrics.tagging import compare, intervals, score
from tests.conftest import real

CASES = {"snips_slots/test.conll": "IOB2", "resume_ner/test.char.bmes": "BMES"}


@pytest.fixture(scope="module")
def known() -> dict:
    """What seqeval says of predictions for :data:`CASES`."""
    path = real("LORA_BERT_KNOWN_ANSWERS", "known_answers") / "seqeval.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"]


def true_tags(path: Path) -> list[list[str]]:
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    rows = [[line.split()[-1] for line in block.splitlines() if line.strip()] for block in blocks]
    return [[tag.replace("M-", "I-") for tag in row] for row in rows if row]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["strict", "default"])
def test_entities_are_those_of_seqeval(name, mode, known, data_dir):
    ends = CASES[name] == "BMES"
    both = [
        [tags_of(entities_of(tags, strict=mode == "strict", ends=ends), len(tags)) for tags in rows]
        for rows in (known[name]["predicted"], true_tags(data_dir / name))
    ]
    scores, theirs = score(*both), known[name][mode]
    for entry in scores.per_type:
        figures = theirs[entry.type]
        got = (entry.precision, entry.recall, entry.f1, entry.entities)
        wanted = [figures[key] for key in ("precision", "recall", "f1-score", "support")]
        assert got == pytest.approx(wanted, abs=1e-6)
    assert scores.f1 == pytest.approx(theirs["micro avg"]["f1-score"], abs=1e-6)
    assert scores.macro_f1 == pytest.approx(theirs["macro avg"]["f1-score"], abs=1e-6)


def test_what_is_written_wrongly_does_not_count():
    true = [["B-PER", "I-PER", "O"]]
    assert score([["B-PER", "I-PER", "O"]], true).f1 == 1
    assert score([["I-PER", "I-PER", "O"]], true).f1 == 0  # seqeval's default has 1
    assert score([["B-PER", "I-ORG", "O"]], true).f1 == 0
    scores = score([["I-PER", "I-PER", "O"]], true)
    assert (scores.token_accuracy, scores.rows, scores.words) == (2 / 3, 1, 3)
    nothing = score([["O"]], [["O"]])
    assert (nothing.f1, nothing.precision, nothing.recall) == (0, 0, 0)
    with pytest.raises(DataError, match="no rows"):
        score([], [])


def test_intervals_and_comparisons_draw_sentences():
    true = [["B-A", "O"], ["O", "B-B"]] * 50
    good = score(true, true)
    poor = score([["O", "O"], ["O", "B-B"]] * 50, true)
    assert intervals(good)["f1"] == (1, 1)
    low, high = intervals(poor)["f1"]
    assert low < poor.f1 < high
    found = compare("other", good, poor, settings={"rank": (8, 4)})
    assert (found.metric, found.only_ours, found.only_theirs) == ("f1", 50, 0)
    assert found.verdict == "better in entity F1"
    assert found["f1"].difference == pytest.approx(1 - poor.f1)
    assert found["f1"].interval.low < 1 - poor.f1 < found["f1"].interval.high
    assert np.isclose(found["token_accuracy"].theirs, 0.75)


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB2", "B-A I-A B-A O B-B"),
        ("IOB1", "I-A I-A B-A O I-B"),
        ("BIOES", "B-A E-A S-A O S-B"),
        ("BMES", "B-A E-A S-A O S-B M-C"),
        ("BILOU", "B-A L-A U-A O U-B"),
    ],
)
def test_schemes_are_recognised_and_written_back(scheme, tags):
    words = tags.split()
    assert scheme_of([words, ["O"]]) == scheme
    entities, _ = read_tags(words[:5], scheme)
    assert entities == [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]
    assert tags_of(entities, 5, scheme) == words[:5]


def test_what_begins_wrongly_is_mended_and_counted():
    assert read_tags(["B-A", "I-B", "O"], "IOB2") == ([(0, 1, "A"), (1, 2, "B")], 1)
    assert read_tags(["I-A", "O"], "IOB2") == ([(0, 1, "A")], 1)
    assert read_tags(["I-A", "O"], "IOB1") == ([(0, 1, "A")], 0)
    assert read_tags(["B-A", "I-A", "O"], "BIOES") == ([(0, 2, "A")], 1)
    assert scheme_of([["NN", "O"]]) is None
