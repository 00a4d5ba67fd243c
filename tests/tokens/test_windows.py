"""Windows of contexts: those of transformers' own tokenizers, with offsets that are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.cache import kept_tokens
from lora_bert.data.texts import TextPairs
from lora_bert.errors import TextError
from lora_bert.tokens.tokenizer import TextTokenizer, load_tokenizer
from tests.tiny import write_backbone

CONTEXT = "good hot  tasty awful fast zoo " * 6


@pytest.fixture(scope="module", params=["bert", "roberta"])
def place(request, tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp(request.param) / "backbone", request.param)


@pytest.fixture(scope="module")
def whole(place) -> TextTokenizer:
    return load_tokenizer(place, read_encoder_config(place), max_length=130, stride=1)


@pytest.fixture(scope="module")
def of_transformers(place):
    return AutoTokenizer.from_pretrained(place)


def cut(whole: TextTokenizer, max_length: int, stride: int) -> TextTokenizer:
    return replace(whole, max_length=max_length, stride=stride)


@settings(max_examples=30)
@given(length=st.integers(14, 60), stride=st.integers(1, 4), words=st.integers(1, 36))
def test_they_are_those_of_transformers(whole, of_transformers, length, stride, words):
    pairs = [("good", " ".join(CONTEXT.split()[:words])), ("bad zoo", "cold")]
    ours = cut(whole, length, stride).encode(pairs)
    theirs = of_transformers(
        *map(list, zip(*pairs, strict=True)), max_length=length, stride=stride,
        truncation="only_second", return_overflowing_tokens=True, return_offsets_mapping=True,
        return_token_type_ids=True,
    )  # fmt: skip
    assert len(ours) == len(theirs["input_ids"])
    rows = ours.rows_of(np.arange(len(ours))).tolist()
    assert rows == theirs["overflow_to_sample_mapping"]
    for at, ids in enumerate(theirs["input_ids"]):
        tokens = slice(*ours.starts[at : at + 2])
        assert ours.ids[tokens].tolist() == ids
        if ours.token_type_ids is not None:
            assert ours.token_type_ids[tokens].tolist() == theirs["token_type_ids"][at]
        both = zip(theirs["offset_mapping"][at], theirs.sequence_ids(at), strict=True)
        wanted = [span if side == 1 else (-1, -1) for span, side in both]
        assert list(map(tuple, ours.spans[tokens].tolist())) == wanted


def test_each_token_of_a_context_is_in_a_window(whole):
    tokens = cut(whole, 40, 100).encode([("good bad", CONTEXT)])
    assert len(tokens) > 1
    assert tokens.row_count == 1
    assert tokens.firsts.tolist() == [True] + [False] * (len(tokens) - 1)
    words = {CONTEXT[start:end] for start, end in tokens.spans.tolist() if start >= 0}
    assert words >= {"good", "hot", "tasty", "awful", "fast"}
    assert max(tokens.lengths) <= 40
    covered = {at for start, end in tokens.spans.tolist() for at in range(start, end)}
    assert covered >= {at for at, char in enumerate(CONTEXT) if not char.isspace()}
    empty = cut(whole, 40, 8).encode([("good", ""), ("", "good")])
    assert empty.row_count == len(empty) == 2


def test_a_question_that_is_too_long_is_named(whole):
    with pytest.raises(TextError, match=r"The question 'zoo zoo .*has 60 tokens: a window of 40"):
        cut(whole, 40, 8).encode([("good", "hot"), ("zoo " * 20, CONTEXT)])


def test_windows_that_are_kept_are_the_same(whole, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path))
    monkeypatch.setattr(kept_tokens, "WORTH_KEEPING", 1)
    made, pairs = cut(whole, 30, 8), TextPairs(["good", "bad"], [CONTEXT, "hot"])
    first, second = (kept_tokens.tokenize_cached(made, pairs) for _ in range(2))
    for name in ("ids", "starts", "spans", "firsts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert list(first.texts) == list(second.texts) == [CONTEXT] * (len(first) - 1) + ["hot"]
    other = kept_tokens.tokenize_cached(cut(whole, 30, 4), pairs)
    assert len(other) != len(first)
    some = first.take(np.array([len(first) - 1, 0]))
    assert some.texts == ["hot", CONTEXT]
    assert some.firsts.all()
