"""Texts answered by many predictors on one backbone at once: a row by one of them, or by all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from lora_bert.data.texts import Text
from lora_bert.errors import ConfigError, TextError
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE
from lora_bert.inference.engines.many_adapters import answer_all, answer_rows
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.inference.predictor import Predictor
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts


@dataclass(frozen=True)
class Request:
    """Texts for many adapters.

    Attributes:
        texts: Texts, pairs, or both.
        predictors: By the name of the adapter; they are on one backbone.
        names: Who answers each text; None: each text is answered by all of them.
    """

    texts: Sequence[Text]
    predictors: Mapping[str, Predictor]
    names: Sequence[str] | None

    def values(self, batch_size: int) -> list[np.ndarray]:
        """For each predictor the values of its own texts, float32 ``[its texts, labels]``.

        Raises:
            InputTypeError: A text is not what its predictor is asked: a text, or a pair.
            TextError: A text holds a token that the embeddings have no row for.
        """
        predictors = list(self.predictors.values())
        engines = [cast(TorchEngine, predictor.engine) for predictor in predictors]
        parts = [[np.empty((0, engine.outputs), dtype=np.float32)] for engine in engines]
        owners = self._owners
        for start in range(0, len(self.texts), TEXTS_AT_ONCE):
            some = self.texts[start : start + TEXTS_AT_ONCE]
            if owners is not None:
                those = owners[start : start + TEXTS_AT_ONCE]
                tokens = _encoded(predictors, those, some, start)
                found = answer_rows(engines, tokens, those, batch_size)
                for part, outputs in zip(parts, found, strict=True):
                    part.append(outputs)
                continue
            for numbers, tokens in _alike(predictors, some, start):
                found = answer_all([engines[number] for number in numbers], tokens, batch_size)
                for number, outputs in zip(numbers, found, strict=True):
                    parts[number].append(outputs)
        return [
            predictor.task.values(np.concatenate(part))
            for predictor, part in zip(predictors, parts, strict=True)
        ]

    def arranged(self, answers: Sequence[Any]) -> list[Any] | dict[str, Any]:
        """Each predictor's answers to its own texts -> in the order of the texts, or by name."""
        by_name = dict(zip(self.predictors, answers, strict=True))
        if self.names is None:
            return by_name
        rest = {name: iter(each) for name, each in by_name.items()}
        return [next(rest[name]) for name in self.names]

    @property
    def _owners(self) -> np.ndarray | None:
        """The number of the predictor that answers each text, int64 ``[texts]``."""
        if self.names is None:
            return None
        numbers = {name: number for number, name in enumerate(self.predictors)}
        return np.array([numbers[name] for name in self.names], dtype=np.int64)


def tasks_of(
    predictors: Mapping[str, Predictor], min_score: float | None, otherwise: str | None
) -> dict[str, Task]:
    """The task of each adapter, with the options of :meth:`Predictor.predict`.

    Raises:
        ConfigError: They make no sense for one of them, which is named.
    """
    found = {}
    for name, predictor in predictors.items():
        try:
            found[name] = predictor.task.answering(min_score, otherwise)
        except ConfigError as error:
            raise ConfigError(f"Adapter '{name}': {error}", hint=error.hint) from None
    return found


def _encoded(
    predictors: Sequence[Predictor], owners: np.ndarray, texts: Sequence[Text], start: int
) -> TokenizedTexts:
    """The texts from row ``start`` on, each as the tokenizer of its predictor encodes it."""
    parts, order = [], []
    for numbers in _by_tokenizer(predictors):
        rows, listed = list[int](), list[Text]()
        for number in numbers:
            own = np.flatnonzero(owners == number).tolist()
            rows += own
            numbered = [start + row for row in own]
            listed += predictors[number].listed([texts[row] for row in own], numbered)
        if rows:
            numbered = [start + row for row in rows]
            parts.append(_tokens(predictors[numbers[0]], listed, numbered))
            order += rows
    joined, places = TokenizedTexts.joined(parts), np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return joined.take(places)


def _alike(
    predictors: Sequence[Predictor], texts: Sequence[Text], start: int
) -> list[tuple[list[int], TokenizedTexts]]:
    """The numbers of predictors to which the texts are the same tokens, and these."""
    found: list[tuple[list[int], TokenizedTexts]] = []
    rows = range(start, start + len(texts))
    for numbers in _by_tokenizer(predictors):
        for number in numbers:
            listed = predictors[number].listed(texts, rows)
        tokens = _tokens(predictors[numbers[0]], listed, rows)
        others = next((others for others, before in found if _same(tokens, before)), None)
        if others is None:
            found.append((numbers, tokens))
        else:
            others.extend(numbers)
    return found


def _same(one: TokenizedTexts, other: TokenizedTexts) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("starts", "ids", "token_type_ids")
    )


def _by_tokenizer(predictors: Sequence[Predictor]) -> list[list[int]]:
    """The numbers of predictors that encode what they are asked alike.

    Who may be asked texts or pairs is asked the one now and the others in their turn: it is alone.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, predictor in enumerate(predictors):
        own, inputs = predictor.tokenizer, predictor.manifest.inputs
        asked = inputs or -number - 1
        key = id(own.shared), own.max_length, own.pad_id, own.takes_types, own.rows, asked
        alike.setdefault(key, []).append(number)
    return list(alike.values())


def _tokens(predictor: Predictor, texts: Sequence[Text], rows: Sequence[int]) -> TokenizedTexts:
    try:
        return predictor.tokenizer.encode(texts)
    except TextError as error:
        error.number = rows[error.number]
        raise
