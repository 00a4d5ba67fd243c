"""What the HTTP classifier of vllm's semantic-router asks: every label of one text, once."""

from __future__ import annotations

from typing import Any

import msgspec

from lora_bert.serving.answering import Answered, Question
from lora_bert.serving.operations import Call
from lora_bert.serving.refusals import RefusedError
from lora_bert.serving.scores import ranked

_TOLERANCE = 0.02
"""How far the sum of the scores may be from 1: the client takes no others."""


class ClassifyRequest(msgspec.Struct):
    """The body of ``/classify`` that has ``inputs``."""

    inputs: str
    model: str | None = None


async def classify(call: Call, body: ClassifyRequest) -> Any:
    """All labels with their probabilities, which add up to 1."""

    def say(answered: Answered) -> Any:
        row = answered.scores[0]
        # Of some texts the sigmoids of several labels add up to 1 too.
        one_of_several = answered.task.label_form == "one" and answered.task.classes
        if not one_of_several or abs(float(row.sum()) - 1) > _TOLERANCE:
            raise RefusedError(
                "invalid", f"The scores of '{answered.name}' do not add up to 1: it does not "
                "choose one label of several.",
                hint="Ask it with the other form of /classify, or at /predict.",
            )  # fmt: skip
        return ranked(answered.task.labels, row)

    return await call.ask_one(Question(call.name_of(body.model), [body.inputs]), say)
