"""Texts answered by many predictors on one backbone at once: a row by one of them, or by all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from lora_bert.config.shared import Decoding
from lora_bert.data.texts import Text
from lora_bert.errors import ConfigError, TextError
from lora_bert.inference.engines.branches import BranchEngine
from lora_bert.inference.engines.engine import TEXTS_AT_ONCE, Engine
from lora_bert.inference.predictor import Predictor
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts


@dataclass(frozen=True)
class Request:
    """Texts for many adapters.

    Attributes:
        texts: Texts, pairs, or both.
        predictors: By the name of the adapter; they are on one backbone, or on one exported trunk.
        names: Who answers each text; None: each text is answered by all of them.
    """

    texts: Sequence[Text]
    predictors: Mapping[str, Predictor]
    names: Sequence[str] | None

    def values(self, batch_size: int) -> list[np.ndarray]:
        """For each predictor what :meth:`Predictor.values` gives of its own texts.

        Raises:
            InputTypeError: A text is not what its predictor is asked: a text, or a pair.
            TextError: A text holds a token that the embeddings have no row for.
        """
        predictors = list(self.predictors.values())
        parts: list[list[np.ndarray]] = [[] for _ in predictors]
        for start in range(0, max(1, len(self.texts)), TEXTS_AT_ONCE):
            tokens, outputs = self._outputs(predictors, start, batch_size)
            for part, predictor, own, found in zip(parts, predictors, tokens, outputs, strict=True):
                part.append(predictor.row_values(found, own))
        return [np.concatenate(part) for part in parts]

    def _outputs(
        self, predictors: Sequence[Predictor], start: int, batch_size: int
    ) -> tuple[list[TokenizedTexts], list[np.ndarray]]:
        """The texts from row ``start`` on: for each predictor its tokens, and their logits."""
        texts = self.texts[start : start + TEXTS_AT_ONCE]
        engines = [predictor.engine for predictor in predictors]
        together = _together(engines)
        owners = self._owners
        if owners is not None:
            tokens = _own_tokens(predictors, owners[start : start + len(texts)], texts, start)
            return tokens, together.answer_rows(engines, tokens, batch_size) if engines else []
        tokens = _tokens_of_all(predictors, texts, start)
        outputs: dict[int, np.ndarray] = {}
        for numbers in _alike(tokens):
            some = [engines[number] for number in numbers]
            found = together.answer_all(some, tokens[numbers[0]], batch_size)
            outputs |= dict(zip(numbers, found, strict=True))
        return tokens, [outputs[number] for number in range(len(predictors))]

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


def _together(engines: Sequence[Engine]) -> ModuleType:
    """The module that has ``answer_rows`` and ``answer_all`` of such engines."""
    if all(isinstance(engine, BranchEngine) for engine in engines):
        from lora_bert.inference.engines import branches

        return branches
    from lora_bert.inference.engines import many_adapters

    return many_adapters


def tasks_of(predictors: Mapping[str, Predictor], decoding: Decoding) -> dict[str, Task]:
    """The task of each adapter, with what is said of its answers.

    Raises:
        ConfigError: They make no sense for one of them, which is named.
    """
    found = {}
    for name, predictor in predictors.items():
        try:
            found[name] = predictor.task.told(decoding)
        except ConfigError as error:
            raise ConfigError(f"Adapter '{name}': {error}", hint=error.hint) from None
    return found


def _own_tokens(
    predictors: Sequence[Predictor], owners: np.ndarray, texts: Sequence[Text], start: int
) -> list[TokenizedTexts]:
    """For each predictor the texts, from row ``start`` on, that are its own, as it encodes them."""
    found: dict[int, TokenizedTexts] = {}
    for numbers in _by_tokenizer(predictors):
        rows, listed, ends = list[int](), list[Text](), [0]
        for number in numbers:
            own = np.flatnonzero(owners == number).tolist()
            numbered = [start + row for row in own]
            listed += predictors[number].listed([texts[row] for row in own], numbered)
            rows += numbered
            ends.append(len(rows))
        tokens = _tokens(predictors[numbers[0]], listed, rows)
        for number, begin, end in zip(numbers, ends, ends[1:], strict=False):
            found[number] = tokens.of_rows(begin, end)
    return [found[number] for number in range(len(predictors))]


def _tokens_of_all(
    predictors: Sequence[Predictor], texts: Sequence[Text], start: int
) -> list[TokenizedTexts]:
    """For each predictor all texts, from row ``start`` on; the same object where it is the same."""
    found: dict[int, TokenizedTexts] = {}
    rows = range(start, start + len(texts))
    for numbers in _by_tokenizer(predictors):
        for number in numbers:
            listed = predictors[number].listed(texts, rows)
        tokens = _tokens(predictors[numbers[0]], listed, rows)
        found |= dict.fromkeys(numbers, tokens)
    return [found[number] for number in range(len(predictors))]


def _alike(tokens: Sequence[TokenizedTexts]) -> list[list[int]]:
    """The numbers of those that are the same tokens."""
    found: list[list[int]] = []
    for number, own in enumerate(tokens):
        others = next((others for others in found if _same(tokens[others[0]], own)), None)
        if others is None:
            found.append([number])
        else:
            others.append(number)
    return found


def _same(one: TokenizedTexts, other: TokenizedTexts) -> bool:
    return one is other or all(
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
        cut = own.max_length, own.stride, own.words, own.answers
        key = id(own.shared), own.pad_id, own.takes_types, own.rows, cut, asked
        alike.setdefault(key, []).append(number)
    return list(alike.values())


def _tokens(predictor: Predictor, texts: Sequence[Text], rows: Sequence[int]) -> TokenizedTexts:
    try:
        return predictor.tokenizer.encode(texts)
    except TextError as error:
        error.number = rows[error.number]
        raise
