"""Rows of many requests, and their logits, as a few arrays that pass from process to process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lora_bert.inference.engines.engine import Engine
from lora_bert.inference.predictor import Predictor
from lora_bert.serving.asked import Asked
from lora_bert.tokens.tokenized import TokenizedTexts, cu_seqlens


def packed(numbers: Sequence[int], tokens: Sequence[TokenizedTexts]) -> list[np.ndarray]:
    """Rows that the adapters with these numbers are asked.

    Returns:
        Who is asked, how many windows each row has, how long these are, their tokens and types.
    """
    typed = any(each.token_type_ids is not None for each in tokens)
    return [
        np.array(numbers, np.int64),
        np.array([len(each) for each in tokens], np.int64),
        np.concatenate([each.lengths for each in tokens]),
        np.concatenate([each.ids for each in tokens]),
        np.concatenate([_types(each) for each in tokens]) if typed else np.empty(0, np.uint8),
    ]


def unpacked(arrays: Sequence[np.ndarray], predictor_of: Callable[[int], Predictor]) -> list[Asked]:
    """What :func:`packed` made arrays of."""
    numbers, windows, lengths, ids, types = arrays
    asked, ends = list[Asked](), cu_seqlens(windows)
    begins = cu_seqlens(lengths)
    for number, first, last in zip(numbers.tolist(), ends[:-1], ends[1:], strict=True):
        predictor, own = predictor_of(number), slice(begins[first], begins[last])
        kinds = types[own] if len(types) and types[own].any() else None
        starts, cut = begins[first : last + 1] - begins[first], np.zeros(last - first, bool)
        pad = predictor.tokenizer.pad_id
        asked.append(Asked(predictor, TokenizedTexts(ids[own], starts, kinds, cut, pad)))
    return asked


def divided(
    outputs: np.ndarray, engines: Sequence[Engine], tokens: Sequence[TokenizedTexts]
) -> list[np.ndarray]:
    """All logits, one behind the other -> those of each row, as its engine has them."""
    found, start = list[np.ndarray](), 0
    for engine, each in zip(engines, tokens, strict=True):
        rows = len(each.ids) if engine.of_tokens else len(each)
        size = rows * engine.outputs
        found.append(outputs[start : start + size].reshape(rows, engine.outputs))
        start += size
    return found


def _types(tokens: TokenizedTexts) -> np.ndarray:
    if tokens.token_type_ids is None:
        return np.zeros(len(tokens.ids), np.uint8)
    return tokens.token_type_ids
