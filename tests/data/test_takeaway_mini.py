"""The data set that ships: six hundred reviews, no two nearly the same."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from lora_bert.data import named
from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.tables import read_table


@pytest.fixture(scope="module")
def reviews() -> Examples:
    return examples_from(read_table(named.find("takeaway-mini")))


def test_rows(reviews):
    table = read_table(named.find("takeaway-mini"))
    assert len(reviews) == len(table) == 600
    assert table.columns == ("label", "review")


def test_both_classes(reviews):
    sizes = Counter(reviews.labels)
    assert set(sizes) == {"negative", "positive"}
    assert min(sizes.values()) >= 200


def grams(text):
    return {text[at : at + 3] for at in range(max(1, len(text) - 2))}


def test_no_near_duplicates(reviews):
    found = [grams(text) for text in reviews.texts]
    close = [
        (reviews.texts[a], reviews.texts[b])
        for a, b in combinations(range(len(found)), 2)
        if (common := len(found[a] & found[b]))
        and common >= 0.6 * (len(found[a]) + len(found[b]) - common)
    ]
    assert close == []
