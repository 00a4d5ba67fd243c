"""Which tokens begin words, and tokenizers whose pieces end where words do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from lora_bert.backbones.embedded import EMBEDDED
from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.backbones.resolve import find_backbone
from lora_bert.data.words import RULES, words_in
from lora_bert.tokens.tokenizer import load_tokenizer
from lora_bert.tokens.word_pieces import cut_into_words, word_spans


def test_the_first_piece_of_each_word():
    text = "New York's 京都"
    offsets = [(0, 0), (0, 3), (3, 8), (8, 10), (10, 12), (12, 13), (0, 0)]
    spans = word_spans(text, offsets, "spaces").tolist()
    assert [text[a:b] if a >= 0 else "" for a, b in spans] == [
        "",
        "New",
        "York's",
        "",
        "京",
        "都",
        "",
    ]
    assert word_spans("", [(0, 0)], "spaces").tolist() == [[-1, -1]]
    assert word_spans("a", [], "spaces").shape == (0, 2)


@pytest.fixture(scope="module")
def place():
    return find_backbone(EMBEDDED[0]).path


@pytest.mark.parametrize("rule", RULES)
def test_pieces_of_the_embedded_backbone_end_where_words_do(rule, place):
    encoder = read_encoder_config(place)
    tokenizer = load_tokenizer(place, encoder, max_length=64, words=rule)
    texts = [
        "高勇：男，中国国籍PMI2009年",
        "I live in New York, U.S.A.; o'clock",
        "",
        "\ud83d x",
        "  a\u3000b ",
    ]
    tokens = tokenizer.encode(texts)
    assert list(tokens.texts) == texts
    for row, text in enumerate(texts):
        spans = tokens.spans[tokens.starts[row] : tokens.starts[row + 1]]
        assert [tuple(span) for span in spans.tolist() if span[0] >= 0] == words_in(text, rule)
    some = tokens.take(np.array([1, 0]))
    assert some.texts == [texts[1], texts[0]]
    assert len(some.spans) == len(some.ids)
    plain = load_tokenizer(place, encoder, max_length=64)
    assert plain.encode(texts).spans is None
    if rule == "spaces":  # words between spaces have the pieces that they had
        assert plain.encode(texts[1:2]).ids.tolist() == some.ids[: some.lengths[0]].tolist()


@given(st.text(alphabet="ab张，. ", max_size=12), st.sampled_from(sorted(RULES)))
def test_no_piece_reaches_over_words_side_by_side(text, rule):
    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    cut = Tokenizer.from_str(cut_into_words(core.to_str(), rule))
    words = words_in(text, rule)
    for start, end in cut.encode(text).offsets:
        assert any(a <= start and end <= b for a, b in words)
