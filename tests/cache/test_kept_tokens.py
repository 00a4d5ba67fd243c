"""The same texts are tokenised once; anything else is another entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.cache import kept_tokens as tokens
from lora_bert.cache.kept_tokens import tokenize_cached
from lora_bert.tokens.tokenizer import TextTokenizer, load_tokenizer

TEXTS = ["good tasty 7", "很好吃", "", "bad and awful, slow slow late cold " * 9, "half \ud83d"]


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch):
    monkeypatch.setattr(tokens, "WORTH_KEEPING", 1)


def tokenizer_of(directory, **options):
    return load_tokenizer(directory, read_encoder_config(directory), **{"max_length": 20} | options)


def same(one, other):
    for name in ("ids", "starts", "token_type_ids", "truncated"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert np.array_equal(mine, theirs)
        assert mine is None or mine.dtype == theirs.dtype
    assert one.pad_id == other.pad_id


@pytest.fixture
def forbidden(monkeypatch):
    def refuse(*_):
        raise AssertionError("tokenised again")

    return lambda: monkeypatch.setattr(TextTokenizer, "encode", refuse)


def test_read_back_as_it_was_made(tiny_backbone, forbidden, cache):
    tokenizer = tokenizer_of(tiny_backbone)
    expected = tokenizer.encode(TEXTS)
    assert expected.truncated.any()
    same(tokenize_cached(tokenizer, TEXTS), expected)
    again = tokenizer_of(tiny_backbone)
    forbidden()
    same(tokenize_cached(again, TEXTS), expected)
    same(tokenize_cached(tokenizer, TEXTS), expected)
    assert len(list((cache / "tokens").iterdir())) == 1


def test_token_types_come_back(tiny_backbone, forbidden, monkeypatch):
    from tokenizers import processors

    tokenizer = tokenizer_of(tiny_backbone)
    tokenizer.core.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:1 [SEP]:1", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    expected = tokenizer.encode(TEXTS)
    assert expected.token_type_ids is not None
    tokenize_cached(tokenizer, TEXTS)
    forbidden()
    same(tokenize_cached(tokenizer, TEXTS), expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=5))
def test_any_texts_at_all(tiny_backbone, texts):
    tokenizer = tokenizer_of(tiny_backbone)
    expected = tokenizer.encode(texts)
    same(tokenize_cached(tokenizer, texts), expected)
    same(tokenize_cached(tokenizer, texts), expected)


def test_everything_it_depends_on_makes_another_entry(tiny_backbone, cache):
    tokenizer = tokenizer_of(tiny_backbone)
    for changed, texts in (
        (tokenizer, TEXTS),
        (tokenizer, TEXTS[::-1]),
        (tokenizer, [*TEXTS, ""]),
        (tokenizer, [TEXTS[0] + TEXTS[1], *TEXTS[2:]]),
        (tokenizer_of(tiny_backbone, max_length=19), TEXTS),
        (tokenizer_of(tiny_backbone, clean=True), TEXTS),
        (replace(tokenizer, takes_types=False), TEXTS),
        (replace(tokenizer, pad_id=0), TEXTS),
    ):
        before = set((cache / "tokens").glob("*"))
        same(tokenize_cached(changed, texts), changed.encode(texts))
        assert len(set((cache / "tokens").glob("*")) - before) == 1


def test_few_texts_are_not_written(tiny_backbone, cache, monkeypatch):
    tokenizer = tokenizer_of(tiny_backbone)
    texts = ["好" * 10] * 10
    for worth in (301, 1000):
        monkeypatch.setattr(tokens, "WORTH_KEEPING", worth)
        same(tokenize_cached(tokenizer, texts), tokenizer.encode(texts))
        assert not cache.exists()
    monkeypatch.setattr(tokens, "WORTH_KEEPING", 300)
    tokenize_cached(tokenizer, texts)
    assert cache.exists()


@pytest.mark.parametrize("harm", ["cut", "scrambled"])
def test_a_damaged_entry_is_made_again(harm, tiny_backbone, cache):
    tokenizer = tokenizer_of(tiny_backbone)
    expected = tokenize_cached(tokenizer, TEXTS)
    (path,) = (cache / "tokens").glob("*/ids.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if harm == "cut" else bytes(len(whole)))
    same(tokenize_cached(tokenizer, TEXTS), expected)
    assert path.read_bytes() == whole


def test_no_more_on_disk_than_the_cache_may_take(tiny_backbone, cache, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0")
    tokenizer = tokenizer_of(tiny_backbone)
    same(tokenize_cached(tokenizer, TEXTS), tokenizer.encode(TEXTS))
    assert not cache.exists()


def test_where_nothing_can_be_written(tiny_backbone, cache):
    cache.write_text("a file where the directory should be")
    tokenizer = tokenizer_of(tiny_backbone)
    same(tokenize_cached(tokenizer, TEXTS), tokenizer.encode(TEXTS))
