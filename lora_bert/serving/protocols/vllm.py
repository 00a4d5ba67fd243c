"""The pooling protocol of vLLM: classify, score, rerank, and the list of models."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from lora_bert.data.texts import Text
from lora_bert.serving.answering import Answered, Question
from lora_bert.serving.bodies import typed
from lora_bert.serving.operations import Call, Operation, Protocol
from lora_bert.serving.protocols import semantic_router, tei
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scores import relevances

_STATUSES = {"invalid": 400, "unusable": 500}
_TYPES = {
    400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError",
    429: "RateLimitError", 500: "InternalServerError", 503: "ServiceUnavailableError",
}  # fmt: skip

Id = Annotated[str, Meta(max_length=128)]


class _Pooling(msgspec.Struct, kw_only=True):
    model: str | None = None
    user: str | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1)] | None = None
    truncation_side: str | None = None
    request_id: Id | None = None
    priority: int = 0
    use_activation: bool | None = None
    activation: bool | None = None  # as it was called before

    @property
    def is_raw(self) -> bool:
        """Whether logits are wanted."""
        return self.use_activation is False or self.activation is False

    def question(
        self, name: str, texts: Sequence[Text] = (), ids: Sequence[list[int]] = ()
    ) -> Question:
        """Texts with what the request says of their length."""
        if self.priority != 0:
            raise RefusedError(
                "invalid", "`priority`: requests are answered in their turn; it must be 0."
            )
        if self.truncation_side not in (None, "right"):
            raise RefusedError("invalid", "`truncation_side`: texts are cut on the right.")
        cut = self.truncate_prompt_tokens
        truncate = None if cut is None else True
        return Question(name, texts, ids, truncate, cut if cut != -1 else None)


class ClassifyRequest(_Pooling, kw_only=True):
    """The body of ``/classify``."""

    input: str | list[str | int | list[int]]
    add_special_tokens: bool = True


class ScoreRequest(_Pooling, kw_only=True):
    """The body of ``/score``: one of each, or one and several, or as many of both."""

    queries: str | list[str] | None = None
    documents: str | list[str] | None = None
    items: str | list[str] | None = None
    text_1: str | list[str] | None = None
    text_2: str | list[str] | None = None
    data_1: str | list[str] | None = None
    data_2: str | list[str] | None = None


class RerankRequest(_Pooling, kw_only=True):
    """The body of ``/rerank``."""

    query: str
    documents: list[str]
    top_n: Annotated[int, Meta(ge=0)] = 0


async def classify(call: Call) -> Any:
    """The likeliest label of each text, and the probabilities of all."""
    written = call.json()
    if isinstance(written, dict) and "inputs" in written:
        asked = typed(written, semantic_router.ClassifyRequest)
        return await semantic_router.classify(call, asked)
    body = typed(written, ClassifyRequest)
    name = call.name_of(body.model)
    if not body.add_special_tokens:
        raise RefusedError(
            "invalid", "`add_special_tokens`: the adapters need them; send token ids."
        )

    def say(answered: Answered) -> Any:
        probs = answered.raw_scores if body.is_raw else answered.scores
        best = answered.scores.argmax(axis=1).tolist()
        labels = answered.task.labels
        data = [
            {"index": at, "label": labels[first], "probs": row, "num_classes": len(labels)}
            for at, (first, row) in enumerate(zip(best, probs.tolist(), strict=True))
        ]
        return _answer("classify", body, answered, {"data": data})

    return await call.ask_one(body.question(name, *_inputs(body.input)), say)


async def score(call: Call) -> Any:
    """How relevant second texts are to first ones."""
    body = call.body(ScoreRequest)
    name, pairs = call.name_of(body.model), _pairs(body)

    def say(answered: Answered) -> Any:
        data = [{"index": at, "object": "score", "score": score}
                for at, score in enumerate(relevances(answered, raw=body.is_raw))]  # fmt: skip
        return _answer("score", body, answered, {"data": data})

    return await call.ask_one(body.question(name, pairs), say)


async def rerank(call: Call) -> Any:
    """Documents by their relevance to a query."""
    body = call.body(RerankRequest)
    name = call.name_of(body.model)

    def say(answered: Answered) -> Any:
        scores = relevances(answered, raw=body.is_raw)
        order = np.argsort(-np.asarray(scores), kind="stable").tolist()
        results = [
            {"index": at, "document": {"text": body.documents[at]}, "relevance_score": scores[at]}
            for at in order[: body.top_n or None]
        ]
        said = _answer("rerank", body, answered, {"results": results})
        return {key: said[key] for key in ("id", "model", "usage", "results")}

    pairs = [(body.query, document) for document in body.documents]
    return await call.ask_one(body.question(name, pairs), say)


async def either_rerank(call: Call) -> Any:
    """The rerank of the server that the body is meant for: TEI's has ``texts``."""
    written = call.json()
    if isinstance(written, dict) and "texts" in written:
        call.spoken = tei.TEI
        return await tei.rerank(call)
    return await rerank(call)


async def models(call: Call) -> Any:
    """The backbone and every adapter."""
    session = call.answerer.session
    names = await call.answerer.run(lambda: session.names)
    backbone = session.backbone
    return {"object": "list", "data": [
        _model(backbone, None), *(_model(name, backbone) for name in names)
    ]}  # fmt: skip


async def health(call: Call) -> Any:
    """Nothing, where requests are taken."""
    from starlette.responses import Response

    return Response(status_code=200 if call.ready else 503)


def _model(name: str, parent: str | None) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "lora-bert",
            "root": name, "parent": parent, "max_model_len": None, "permission": []}  # fmt: skip


_STARTED = int(time.time())


def _inputs(given: str | list[Any]) -> tuple[list[str], list[list[int]]]:
    """Texts, or in their place lists of token ids."""
    if isinstance(given, str):
        return [given], []
    if not given:
        raise RefusedError("invalid", "`input` is empty.")
    if all(isinstance(each, int) for each in given):
        return [], [given]
    if all(isinstance(each, str) for each in given):
        return given, []
    if all(isinstance(each, list) for each in given):
        return [], given
    raise RefusedError("invalid", "`input` mixes texts, token ids and lists of these.")


def _pairs(body: ScoreRequest) -> list[Text]:
    ways = (("queries", "documents"), ("queries", "items"), ("text_1", "text_2"),
            ("data_1", "data_2"))  # fmt: skip
    for first, second in ways:
        left, right = getattr(body, first), getattr(body, second)
        if left is None or right is None:
            continue
        lefts, rights = _listed(left), _listed(right)
        if len(lefts) == 1:
            lefts = lefts * len(rights)
        if not lefts or len(lefts) != len(rights):
            raise RefusedError(
                "invalid", f"`{first}` has {len(lefts)} texts, `{second}` {len(rights)}: one and "
                "several make pairs, or as many of both."
            )  # fmt: skip
        return list(zip(lefts, rights, strict=True))
    raise RefusedError("invalid", "`queries` and `documents` are missing.")


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _answer(kind: str, body: _Pooling, answered: Answered, more: dict[str, Any]) -> dict[str, Any]:
    tokens = len(answered.tokens.ids)
    return {
        "id": f"{kind}-{body.request_id or uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": answered.name,
        **more,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0,
                  "prompt_tokens_details": None},
    }  # fmt: skip


def error(refusal: RefusedError, status: int) -> dict[str, Any]:
    """As OpenAI's clients read it; older ones of vLLM look at the top."""
    kind = _TYPES.get(status, "BadRequestError" if status < 500 else "InternalServerError")
    said = {"message": refusal.sentence, "type": kind, "param": None, "code": status}
    return {"object": "error", **said, "error": said}


_CLASSIFY = {"model": "waimai", "input": ["很快，好吃", "等了两个小时"]}
_SCORE = {"model": "bq", "queries": "怎么提前还款", "documents": ["可以提前还钱吗"]}
_RERANK = {"model": "bq", "query": "怎么提前还款", "documents": ["可以提前还钱吗"]}
VLLM = Protocol(
    "vllm",
    (
        Operation("POST", "/classify", classify, "Labels of texts: vLLM's, and with `inputs` "
                  "semantic-router's.", ClassifyRequest, _CLASSIFY),
        Operation("POST", "/adapters/{name}/classify", classify, "The same of one adapter.",
                  ClassifyRequest, _CLASSIFY),
        *(Operation("POST", path, score, "How relevant second texts are to first ones.",
                    ScoreRequest, _SCORE, sized=False) for path in ("/score", "/v1/score")),
        Operation("POST", "/rerank", either_rerank, "vLLM's, and with `texts` TEI's.",
                  RerankRequest, _RERANK, sized=False),
        *(Operation("POST", path, rerank, "Documents by their relevance to a query.",
                    RerankRequest, _RERANK, sized=False) for path in ("/v1/rerank", "/v2/rerank")),
        Operation("GET", "/v1/models", models, "The backbone and every adapter."),
        Operation("GET", "/health", health, "200 where requests are taken, else 503.", key=""),
    ),
    error,
    _STATUSES,
)  # fmt: skip
