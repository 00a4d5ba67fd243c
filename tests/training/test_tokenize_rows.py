"""What is said of texts that the tokenizer could not do well by."""

from __future__ import annotations

import pytest

from lora_bert.backbones.families import read_config
from lora_bert.data.examples import Examples
from lora_bert.errors import DataError
from lora_bert.tasks.single_label import SingleLabel
from lora_bert.tokens.tokenizer import load_tokenizer
from lora_bert.training.tokenize_rows import check_texts_left, tokenise, warn_of_tokens


@pytest.fixture
def tokenizer(tiny_backbone):
    return load_tokenizer(tiny_backbone, read_config(tiny_backbone), max_length=6, clean=True)


def tokens_of(tokenizer, texts):
    labels = tuple("ab"[number % 2] for number in range(len(texts)))
    rows = Examples(tuple(texts), labels, tuple(range(2, len(texts) + 2)), "rows.csv")
    return tokenise(rows, tokenizer, SingleLabel(("a", "b")))


def test_rows_in_order(tokenizer):
    tokens = tokens_of(tokenizer, ["good", "bad cold", "late"])
    assert tokens.targets.tolist() == [0, 1, 0]
    assert tokens.lengths.tolist() == [3, 4, 3]
    assert len(tokens) == 3


def test_what_is_cut_and_what_just_fits(tokenizer, caplog):
    warn_of_tokens(tokens_of(tokenizer, ["good " * 4, "bad"]), tokenizer, "tiny")
    assert caplog.text == ""
    warn_of_tokens(tokens_of(tokenizer, ["good " * 5, "bad", "bad", "bad"]), tokenizer, "tiny")
    assert "25.0 % of the training texts are longer than 6 tokens" in caplog.text


def test_unknown_tokens_over_a_hundredth(tokenizer, caplog):
    warn_of_tokens(tokens_of(tokenizer, ["good bad"] * 60 + ["☃"]), tokenizer, "tiny")
    assert caplog.text == ""
    warn_of_tokens(tokens_of(tokenizer, ["☃ good", "bad ☃"]), tokenizer, "tiny")
    assert "25.0 % of the tokens are unknown to the backbone 'tiny'" in caplog.text


def test_nothing_left_after_cleaning(tokenizer, caplog):
    check_texts_left(tokens_of(tokenizer, ["good", "！！"]), tokenizer, "rows.csv")
    assert "1 of 2 training texts" in caplog.text
    with pytest.raises(DataError, match="nothing left after cleaning"):
        check_texts_left(tokens_of(tokenizer, ["。", "！！", "..."]), tokenizer, "rows.csv")
