"""What no other server's protocol has: several adapters at once, everything that a task says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lora_bert import __version__
from lora_bert.config.shared import Decoding
from lora_bert.data.texts import Text
from lora_bert.errors import ConfigError
from lora_bert.options import build, flag, options_of
from lora_bert.serving.answering import Answered, Question
from lora_bert.serving.operations import Call, Operation, Protocol
from lora_bert.serving.refusals import RefusedError
from lora_bert.tasks.base import Task

_DECODING = tuple(options_of(Decoding))


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``/v1/predict``."""

    texts: Annotated[list[str | list[str]], Meta(min_length=1)]
    adapters: Annotated[list[str], Meta(min_length=1)] | None = None
    truncate: bool | None = None
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None
    otherwise: str | None = None
    aggregation: str | None = None
    max_answer_length: Annotated[int, Meta(ge=1)] | None = None
    null_threshold: float | None = None


async def predict(call: Call) -> Any:
    """What each adapter says of each text; what they have in common is computed once."""
    body = call.body(PredictRequest)
    names = list(dict.fromkeys(body.adapters or [call.name_of()]))
    call.adapter = names[0] if len(names) == 1 else ""
    texts = [_text(each, at) for at, each in enumerate(body.texts)]

    def say(answered: list[Answered]) -> Any:
        return {"predictions": {each.name: _documents(each, body) for each in answered},
                "tokens": sum(len(each.tokens.ids) for each in answered)}  # fmt: skip

    return await call.ask([Question(name, texts, truncate=body.truncate) for name in names], say)


async def adapters(call: Call) -> Any:
    """The names of all adapters, and which of them are in memory."""
    session = call.answerer.session

    def said() -> Any:
        loaded = set(session.loaded)
        return {
            "backbone": session.backbone, "default": call.answerer.default,
            "version": __version__,
            "adapters": [{"name": name, "loaded": name in loaded} for name in session.names],
        }  # fmt: skip

    return await call.answerer.run(said)


async def adapter(call: Call) -> Any:
    """What one adapter is asked and what it answers."""
    name = call.name_of()
    predictor = await call.answerer.run(lambda: call.answerer.predictor(name))
    manifest = predictor.manifest
    return {
        "name": name, "problem_type": manifest.problem_type, "labels": list(manifest.labels),
        "inputs": manifest.inputs, "input_names": list(predictor.task.input_names),
        "max_length": predictor.tokenizer.max_length, "backbone": manifest.backbone_name,
        "pipeline": predictor.task.pipeline,
    }  # fmt: skip


async def metrics(call: Call) -> Any:
    """Counters, for Prometheus."""
    from prometheus_client import CONTENT_TYPE_LATEST
    from starlette.responses import Response

    # As it stands: Starlette would name the character set a second time.
    return Response(call.answerer.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


async def live(call: Call) -> Any:
    """Whether the server runs."""
    return {"status": "live"}


async def ready(call: Call) -> Any:
    """Whether requests are taken."""
    if not call.ready:
        raise RefusedError("unavailable", "The server is shutting down.")
    return {"status": "ready"}


def _text(given: str | list[str], at: int) -> Text:
    if isinstance(given, str):
        return given
    if len(given) != 2:
        raise RefusedError(
            "invalid", f"A list of {len(given)} texts is no pair - at `$.texts[{at}]`."
        )
    return given[0], given[1]


def _documents(answered: Answered, body: PredictRequest) -> list[Mapping[str, Any]]:
    values, task = answered.values, _told(answered.task, answered.name, body)
    return [task.document(each) for each in task.decode(values)]


def _told(task: Task, name: str, body: PredictRequest) -> Task:
    """The task with what the request says of its answers."""
    try:
        return task.told(build(Decoding, {each: getattr(body, each) for each in _DECODING}))
    except ConfigError as error:
        said = str(error)
        for option in _DECODING:
            said = said.replace(flag(option), f"`{option}`")
        raise RefusedError("invalid", f"'{name}': {said}") from error


def _error(refusal: RefusedError, status: int) -> dict[str, Any]:
    return {"error": {"kind": refusal.kind, "message": str(refusal), "hint": refusal.hint}}


_EXAMPLE = {"texts": ["很快，好吃", "等了两个小时"], "adapters": ["waimai"]}
OWN = Protocol(
    "lora-bert",
    (
        Operation("POST", "/v1/predict", predict, "Texts or pairs, answered by any number of "
                  "adapters.", PredictRequest, _EXAMPLE, sized=False),
        Operation("GET", "/v1/adapters", adapters, "What the server holds."),
        Operation("GET", "/v1/adapters/{name}", adapter, "What an adapter is asked and answers."),
        Operation("GET", "/health/live", live, "Whether the server runs.", key=""),
        Operation("GET", "/health/ready", ready, "Whether requests are taken.", key=""),
        Operation("GET", "/metrics", metrics, "Counters, for Prometheus.", content="text/plain"),
    ),
    _error,
)  # fmt: skip
