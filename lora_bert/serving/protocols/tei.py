"""The HTTP protocol of text-embeddings-inference, for classifiers and rerankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from lora_bert import __version__
from lora_bert.data.texts import Text
from lora_bert.serving.answering import Answered, Question, check_characters
from lora_bert.serving.operations import Call, Operation, Protocol
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scores import ranked, relevances
from lora_bert.tokens.tokenizer import TextTokenizer
from lora_bert.tokens.tokenizer_files import without_surrogates

_TYPES = {
    "busy": "Overloaded", "failed": "Backend", "unusable": "Backend", "unavailable": "Unhealthy",
    "timeout": "Backend", "empty": "Empty",
}  # fmt: skip
"""By the kind of a refusal; all others are of what was sent."""
_STATUSES = {"failed": 424, "timeout": 424}


class PredictRequest(msgspec.Struct):
    """The body of ``/predict``."""

    inputs: str | list[str | list[str]]
    truncate: bool | None = None
    truncation_direction: str = "right"
    raw_scores: bool = False


class RerankRequest(msgspec.Struct):
    """The body of ``/rerank``."""

    query: str
    texts: list[str]
    truncate: bool | None = None
    truncation_direction: str = "right"
    raw_scores: bool = False
    return_text: bool = False


class TokenizeRequest(msgspec.Struct):
    """The body of ``/tokenize``."""

    inputs: str | list[str]
    add_special_tokens: bool = True


async def predict(call: Call) -> Any:
    """Labels and scores, the best first."""
    body = call.body(PredictRequest)
    _check_direction(body.truncation_direction)
    texts, is_batch = _texts(body.inputs)

    def say(answered: Answered) -> Any:
        scores = answered.raw_scores if body.raw_scores else answered.scores
        each = [ranked(answered.task.labels, row) for row in scores]
        return each if is_batch else each[0]

    return await call.ask_one(Question(call.name_of(), texts, truncate=body.truncate), say)


async def rerank(call: Call) -> Any:
    """How relevant texts are to a query, the best first."""
    body = call.body(RerankRequest)
    _check_direction(body.truncation_direction)
    if not body.texts:
        raise RefusedError("empty", "`texts` is empty.")

    def say(answered: Answered) -> Any:
        scores = relevances(answered, raw=body.raw_scores)
        order = np.argsort(-np.asarray(scores), kind="stable").tolist()
        return [
            {"index": at, **({"text": body.texts[at]} if body.return_text else {}),
             "score": scores[at]}
            for at in order
        ]  # fmt: skip

    texts: list[Text] = [(body.query, text) for text in body.texts]
    return await call.ask_one(Question(call.name_of(), texts, truncate=body.truncate), say)


async def tokenize(call: Call) -> Any:
    """The tokens of texts, and where they stand."""
    body, name = call.body(TokenizeRequest), call.name_of()
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    if not texts:
        raise RefusedError("empty", "`inputs` is empty.")
    check_characters(texts)
    if len(texts) > call.answerer.limits.texts:
        raise RefusedError("too_large", f"At most {call.answerer.limits.texts:,} texts are taken.")

    def tokens() -> Any:
        return _tokens(call.answerer.predictor(name).tokenizer, texts, body.add_special_tokens)

    return await call.answerer.run(tokens)


async def info(call: Call) -> Any:
    """What the adapter is."""
    name, limits = call.name_of(), call.answerer.limits
    predictor = await call.answerer.run(lambda: call.answerer.predictor(name))
    labels = predictor.labels
    return {
        "model_id": name,
        "model_sha": None,
        "model_dtype": str(predictor.engine).split()[1].rstrip(","),
        "served_model_name": name,
        "model_type": {"classifier": {
            "id2label": {str(at): label for at, label in enumerate(labels)},
            "label2id": {label: at for at, label in enumerate(labels)},
        }},
        "max_concurrent_requests": limits.requests,
        "max_input_length": predictor.tokenizer.max_length,
        "max_batch_tokens": call.answerer.scheduler.budget,
        "max_batch_requests": None,
        "max_client_batch_size": limits.texts,
        "auto_truncate": limits.truncate,
        "tokenization_workers": call.answerer.threads,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }  # fmt: skip


def _texts(inputs: str | list[str | list[str]]) -> tuple[list[Any], bool]:
    """The texts or pairs, and whether they are a batch: ``["a", "b"]`` is one pair."""
    if isinstance(inputs, str):
        return [inputs], False
    if not inputs:
        raise RefusedError("empty", "`inputs` is empty.")
    if all(isinstance(each, str) for each in inputs):
        return [_one(inputs)], False  # type: ignore[arg-type]
    if not all(isinstance(each, list) for each in inputs):
        raise RefusedError("invalid", "`inputs` mixes texts and lists of texts.")
    return [_one(each) for each in inputs], True


def _one(parts: Sequence[str]) -> Text:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return parts[0], parts[1]
    raise RefusedError(
        "invalid", f"`inputs` has a list of {len(parts)} texts: one is a text, two are a pair.",
        hint="Several texts are a batch as [[text], [text]].",
    )  # fmt: skip


def _check_direction(direction: str) -> None:
    if direction.lower() != "right":
        raise RefusedError(
            "invalid", "`truncation_direction`: texts are cut on the right, as in training."
        )


def _tokens(tokenizer: TextTokenizer, texts: Sequence[str], special: bool) -> list[list[Any]]:
    with tokenizer.shared.lock:
        tokenizer.core.no_truncation()
        made = tokenizer.core.encode_batch(
            [without_surrogates(text) for text in texts], add_special_tokens=special
        )
    return [
        [
            {"id": number, "text": token, "special": bool(mark),
             "start": None if mark else start, "stop": None if mark else end}
            for number, token, mark, (start, end) in zip(
                each.ids, each.tokens, each.special_tokens_mask, each.offsets, strict=True
            )
        ]
        for each in made
    ]  # fmt: skip


def _error(refusal: RefusedError, status: int) -> dict[str, Any]:
    return {"error": refusal.sentence, "error_type": _TYPES.get(refusal.kind, "Validation")}


_PREDICT = {"inputs": "很快，好吃"}
_RERANK = {"query": "怎么提前还款", "texts": ["可以提前还钱吗", "信用卡额度"]}
TEI = Protocol(
    "text-embeddings-inference",
    (
        Operation("POST", "/predict", predict, "Labels and scores of texts or pairs.",
                  PredictRequest, _PREDICT),
        Operation("POST", "/adapters/{name}/predict", predict, "The same of one adapter.",
                  PredictRequest, _PREDICT),
        Operation("POST", "/adapters/{name}/rerank", rerank, "Texts by their relevance to a query.",
                  RerankRequest, _RERANK, sized=False),
        Operation("POST", "/tokenize", tokenize, "The tokens of texts.", TokenizeRequest, _PREDICT,
                  sized=False),
        Operation("POST", "/adapters/{name}/tokenize", tokenize, "The same of one adapter.",
                  TokenizeRequest, _PREDICT, sized=False),
        Operation("GET", "/info", info, "What the default adapter is, and the limits."),
        Operation("GET", "/adapters/{name}/info", info, "The same of one adapter."),
    ),
    _error,
    _STATUSES,
)  # fmt: skip
