"""Rows come out of the arrays as they were put in, and so do their logits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from lora_bert.serving.packed_rows import divided, packed, unpacked
from lora_bert.tokens.tokenized import TokenizedTexts


def row(*windows, types=None):
    return TokenizedTexts.of(windows, 0, token_type_ids=types)


def test_rows_of_any_kind():
    windows = row([5, 6], [7], [8, 9], types=[[0, 1], [0], [1, 1]])
    tokens = [row([1, 2, 3]), windows, row([4]), row([2], [])]
    numbers = [3, 8, 3, 8]
    found = unpacked(packed(numbers, tokens), known().__getitem__)
    assert [each.predictor.number for each in found] == numbers
    for each, want in zip((one.tokens for one in found), tokens, strict=True):
        assert each.ids.tolist() == want.ids.tolist()
        assert each.starts.tolist() == want.starts.tolist()
        assert (each.token_type_ids is None) == (want.token_type_ids is None)
        assert each.pad_id == 9
    assert found[1].tokens.token_type_ids.tolist() == [0, 1, 0, 1, 1]
    assert packed(numbers[:1], tokens[:1])[-1].size == 0  # types that nobody has are not sent


def test_logits_are_divided_as_engines_give_them():
    known_by = known()
    tokens = [row([1, 2, 3]), row([5, 6], [7]), row([4])]
    engines = [known_by[number].engine for number in (3, 8, 8)]
    sizes = [1 * 2, 3 * 4, 1 * 4]  # a line a text, and lines of each token
    found = divided(np.arange(sum(sizes), dtype=np.float32), engines, tokens)
    assert [each.shape for each in found] == [(1, 2), (3, 4), (1, 4)]
    assert [each.ravel()[0] for each in found] == [0, 2, 14]


def known():
    """An adapter with two outputs a text, number 3, and one with four a token, number 8."""
    return {
        number: SimpleNamespace(
            number=number, tokenizer=SimpleNamespace(pad_id=9),
            engine=SimpleNamespace(outputs=outputs, of_tokens=of_tokens),
        )
        for number, outputs, of_tokens in ((3, 2, False), (8, 4, True))
    }  # fmt: skip
