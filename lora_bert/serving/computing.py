"""Rows of many requests at once: by the adapter of each, or one text by several of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast
from weakref import ref

import numpy as np

from lora_bert.inference.engines.many_adapters import answer_all, answer_rows
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.inference.predictor import Predictor
from lora_bert.serving.answer_cache import AnswerKey
from lora_bert.serving.scheduler import Row
from lora_bert.tokens.tokenized import TokenizedTexts


@dataclass(frozen=True)
class Asked:
    """A text or pair, for one adapter.

    Attributes:
        predictor: Who answers.
        tokens: What it reads: one row, or the windows of one.
    """

    predictor: Predictor
    tokens: TokenizedTexts


def rows_of(predictor: Predictor, tokens: TokenizedTexts) -> list[Row[Asked]]:
    """What the scheduler computes, a row for each text of ``tokens``."""
    rows = (tokens.of_rows(row, row + 1) for row in range(tokens.row_count))
    return [_row(Asked(predictor, each)) for each in rows]


def compute(asked: Sequence[Asked], batch_size: int) -> list[np.ndarray]:
    """The logits of each row, float32 ``[1, outputs]``; of heads that read tokens ``[tokens, …]``.

    A text that several adapters are asked, as the same tokens, is computed for them together.
    """
    outputs: list[np.ndarray | None] = [None] * len(asked)
    first: dict[object, int] = {}
    keys = [(id(each.predictor), _identity(each.tokens)) for each in asked]
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    rest = list[int]()
    for same in _same_texts(asked, first.values()):
        if len(same[0]) == 1:
            rest += [places[0] for places in same]
            continue
        engines = [_engine(asked[place]) for place in same[0]]
        tokens = TokenizedTexts.joined(asked[places[0]].tokens.plain for places in same)
        for number, found in enumerate(answer_all(engines, tokens, batch_size)):
            _share(outputs, asked, [places[number] for places in same], found)
    own: dict[int, list[int]] = {}
    for place in rest:
        own.setdefault(id(asked[place].predictor), []).append(place)
    if own:
        engines = [_engine(asked[places[0]]) for places in own.values()]
        tokens_of = [TokenizedTexts.joined(asked[place].tokens.plain for place in places)
                     for places in own.values()]  # fmt: skip
        for places, found in zip(
            own.values(), answer_rows(engines, tokens_of, batch_size), strict=True
        ):
            _share(outputs, asked, places, found)
    return [cast(np.ndarray, outputs[first[key]]) for key in keys]


def _same_texts(asked: Sequence[Asked], places: Iterable[int]) -> Iterator[list[tuple[int, ...]]]:
    """Rows of equal tokens, those together that the same adapters are asked.

    Each is the places of one text, in the order of the adapters; all ``places`` differ in their
    text or their adapter.
    """
    texts: dict[object, dict[int, int]] = {}
    for place in places:
        each = asked[place]
        texts.setdefault(_identity(each.tokens), {})[id(each.predictor)] = place
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for same in texts.values():
        order = sorted(same)
        groups.setdefault(tuple(order), []).append(tuple(same[who] for who in order))
    return iter(groups.values())


def _share(
    outputs: list[np.ndarray | None], asked: Sequence[Asked], places: Sequence[int],
    found: np.ndarray,
) -> None:  # fmt: skip
    """Give each row its own of the outputs of several."""
    start = 0
    for place in places:
        tokens = asked[place].tokens
        size = len(tokens.ids) if _engine(asked[place]).of_tokens else len(tokens)
        outputs[place] = found[start : start + size]
        start += size


def _row(asked: Asked) -> Row[Asked]:
    key = AnswerKey(ref(asked.predictor.engine), _identity(asked.tokens))
    return Row(asked, len(asked.tokens.ids), key)


def _identity(tokens: TokenizedTexts) -> tuple[bytes, bytes, bytes]:
    """By what tokens are the same to the layers."""
    types = b"" if tokens.token_type_ids is None else tokens.token_type_ids.tobytes()
    return tokens.ids.tobytes(), types, tokens.starts.tobytes()


def _engine(asked: Asked) -> TorchEngine:
    return cast(TorchEngine, asked.predictor.engine)
