"""The inference tasks of Hugging Face: one path for all, each adapter by its own pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from lora_bert.data.texts import Text
from lora_bert.serving.answering import Answered, Question
from lora_bert.serving.bodies import typed
from lora_bert.serving.operations import Call, Operation, Protocol, plain_error
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scores import ranked

TopK = Annotated[int, Meta(ge=1)]


class TextPair(msgspec.Struct):
    """A pair of texts, as the pipeline of ``transformers`` takes it."""

    text: str
    text_pair: str


class Asking(msgspec.Struct):
    """A question and its context."""

    question: str
    context: str


class Request(msgspec.Struct):
    """The body of every task; what ``parameters`` may hold depends on it."""

    inputs: Any
    parameters: dict[str, Any] | None = None


class OfClassifiers(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of ``text-classification``."""

    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None
    top_k: TopK | None = None
    truncation: bool | None = None


class OfTaggers(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of ``token-classification``."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    ignore_labels: list[str] | None = None


class OfAnswers(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of ``question-answering``."""

    top_k: TopK = 1
    max_answer_len: TopK | None = None
    handle_impossible_answer: bool | None = None


async def ask(call: Call) -> Any:
    """What the adapter's pipeline would say."""
    body = call.body(Request)
    name = call.name_of()
    predictor = await call.answerer.run(lambda: call.answerer.predictor(name))
    inputs, is_list = _inputs(body.inputs)
    if not inputs:
        raise RefusedError("empty", "`inputs` is empty.")
    parameters, say_with = _PIPELINES[predictor.task.pipeline]
    given: Any = typed(body.parameters or {}, parameters, "$.parameters")
    say = say_with(given)

    def said(answered: Answered) -> Any:
        each = say(answered)
        # A classifier's list of labels stands in a list for one text too, and so do its clients
        # read it; of the other tasks the answer to one text stands alone.
        return each if is_list or isinstance(given, OfClassifiers) else each[0]

    truncate = given.truncation if isinstance(given, OfClassifiers) else None
    return await call.ask_one(Question(name, inputs, truncate=truncate), said)


def _labels(given: OfClassifiers) -> Callable[[Answered], list[Any]]:
    def say(answered: Answered) -> list[Any]:
        scores = _applied(answered, given.function_to_apply)
        return [ranked(answered.task.labels, row)[: given.top_k] for row in scores]

    return say


def _applied(answered: Answered, function: str | None) -> np.ndarray:
    if function is None:
        return answered.scores
    raw = answered.raw_scores
    if function == "none":
        return raw
    if function == "sigmoid":
        sigmoid: np.ndarray = 0.5 * (1 + np.tanh(0.5 * raw))
        return sigmoid
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _entities(given: OfTaggers) -> Callable[[Answered], list[Any]]:
    """Entities, or words with their tags; both with their places in the text.

    A word has the tag of its first piece, which is what ``first`` asks for, and the others mean to
    come near; ``simple`` are the likeliest of all tags that stand for entities.
    """
    ignored = ["O"] if given.ignore_labels is None else given.ignore_labels
    strategy = given.aggregation_strategy or "simple"

    def say(answered: Answered) -> list[Any]:
        task = answered.task.aggregating("legal" if strategy == "simple" else "first")
        values = answered.values
        documents = list(map(task.document, task.decode(values)))
        if strategy == "none":
            return [_words(document, each.spans.tolist(), ignored)
                    for document, each in zip(documents, values, strict=True)]  # fmt: skip
        return [
            [{"entity_group": found["label"], "score": found["score"], "word": found["text"],
              "start": found["start"], "end": found["end"]}
             for found in document["prediction"] if found["label"] not in ignored]
            for document in documents
        ]  # fmt: skip

    return say


def _words(
    document: Mapping[str, Any], spans: Sequence[Sequence[int]], ignored: Sequence[str]
) -> list[dict[str, Any]]:
    said = zip(document["tags"], document["scores"], document["words"], spans, strict=True)
    return [
        {"entity": tag, "score": score, "index": at, "word": word, "start": start, "end": end}
        for at, (tag, score, word, (start, end)) in enumerate(said, start=1)
        if tag not in ignored
    ]


def _answers(given: OfAnswers) -> Callable[[Answered], list[Any]]:
    def say(answered: Answered) -> list[Any]:
        task = answered.task.asked_with(max_answer_length=given.max_answer_len)
        return [_best(task.document(each), given) for each in task.decode(answered.values)]

    return say


def _best(document: Mapping[str, Any], given: OfAnswers) -> Any:
    """The best answer, or so many of them; no answer at all only where that may be."""
    shown = ("answer", "score", "start", "end")
    each = [{name: found[name] for name in shown}
            for found in (document, *document["alternatives"])]  # fmt: skip
    if given.handle_impossible_answer is False:
        each = [found for found in each if found["answer"]] or each[:1]
    for found in each:  # where there is no answer, the pipeline says 0 for both
        found["start"], found["end"] = max(0, found["start"]), max(0, found["end"])
    return each[0] if given.top_k == 1 else each[: given.top_k]


_PIPELINES: Mapping[str, tuple[type, Callable[[Any], Callable[[Answered], list[Any]]]]] = {
    "text-classification": (OfClassifiers, _labels),
    "token-classification": (OfTaggers, _entities),
    "question-answering": (OfAnswers, _answers),
}


def _inputs(given: Any) -> tuple[list[Text], bool]:
    """Texts, pairs or questions, and whether there is a list of them."""
    is_list = isinstance(given, list)
    each = given if is_list else [given]
    return [_one(one, f"$.inputs[{at}]" if is_list else "$.inputs")
            for at, one in enumerate(each)], is_list  # fmt: skip


def _one(given: Any, where: str) -> Text:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and len(given) == 2 and all(isinstance(e, str) for e in given):
        return given[0], given[1]
    if isinstance(given, dict) and "question" in given:
        asked = typed(given, Asking, where)
        return asked.question, asked.context
    if isinstance(given, dict) and "text_pair" in given:
        pair = typed(given, TextPair, where)
        return pair.text, pair.text_pair
    if isinstance(given, dict) and isinstance(given.get("text"), str):
        return str(given["text"])
    raise RefusedError(
        "invalid", f"Expected a text, a pair {{text, text_pair}} or {{question, context}} - at "
        f"`{where}`."
    )  # fmt: skip


_EXAMPLE = {"inputs": "很快，好吃", "parameters": {"top_k": 2}}
HUB_TASKS = Protocol(
    "hugging-face",
    (
        Operation("POST", "/models/{name}", ask, "An adapter's answer, as the pipeline of its task "
                  "gives it.", Request, _EXAMPLE),
        Operation("POST", "/", ask, "The same of the default adapter.", Request, _EXAMPLE),
    ),
    plain_error,
)  # fmt: skip
