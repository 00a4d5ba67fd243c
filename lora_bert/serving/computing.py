"""Rows of many requests at once: by the adapter of each, or one text by several of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np

from lora_bert.config import DirectoryConfig
from lora_bert.inference.bases import Base, base_of
from lora_bert.inference.engines.many_adapters import answer_all, answer_rows
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.serving.asked import Asked, identity
from lora_bert.tokens.tokenized import TokenizedTexts


class Here:
    """As :class:`.Computer`, in this process."""

    def open(self, config: DirectoryConfig) -> Base:
        """As :func:`.base_of`."""
        self._batch_size = config.batch_size
        return base_of(config)

    def compute(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """As :func:`compute`, in batches of the size that is configured."""
        return compute(asked, self._batch_size)


def compute(asked: Sequence[Asked], batch_size: int) -> list[np.ndarray]:
    """The logits of each row, float32 ``[1, outputs]``; of heads that read tokens ``[tokens, …]``.

    A text that several adapters are asked, as the same tokens, is computed for them together.
    """
    outputs: list[np.ndarray | None] = [None] * len(asked)
    first: dict[object, int] = {}
    keys = [(id(each.predictor), identity(each.tokens)) for each in asked]
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
        texts.setdefault(identity(each.tokens), {})[id(each.predictor)] = place
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


def _engine(asked: Asked) -> TorchEngine:
    return cast(TorchEngine, asked.predictor.engine)
