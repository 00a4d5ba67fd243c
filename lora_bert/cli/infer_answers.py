"""What ``infer`` says of texts: the answer of one adapter or model, or those of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lora_bert.config import InferConfig

if TYPE_CHECKING:
    from lora_bert.data.texts import Text
    from lora_bert.inference.predictor import Predictor
    from lora_bert.tasks.base import Task


@dataclass(frozen=True)
class Asked:
    """What texts are asked about.

    Attributes:
        inputs: How many texts a row has; 0: one or two.
        names: What they are called, of pairs both.
        contexts: Whether answers are found in the second one.
        task: The problem type.
    """

    inputs: int
    names: tuple[str, str]
    contexts: bool
    task: str

    @classmethod
    def by(cls, predictors: Sequence[Predictor]) -> Asked:
        """What is asked of all of them, which are asked as many texts a row."""
        contexts = [each.manifest.finds_answers for each in predictors]
        like = predictors[0] if all(contexts) else predictors[contexts.index(False)]
        task = like.task
        return cls(like.manifest.inputs, task.input_names, any(contexts), task.problem_type)


class Answers(Protocol):
    """Answers texts."""

    @property
    def asked(self) -> Asked:
        """What it is asked."""

    @property
    def predictors(self) -> Mapping[str, Predictor]:
        """Who answers, by name."""

    def lines(self, texts: Sequence[Text]) -> Iterator[list[tuple[str, ...]]]:
        """For each text the cells that stand before it, a line for each answer."""

    def documents(self, texts: Sequence[Text]) -> Iterator[dict[str, Any]]:
        """For each text what stands behind it in JSON."""


@dataclass(frozen=True)
class OneAnswer:
    """Of one adapter or model."""

    predictor: Predictor
    task: Task
    asked: Asked

    @classmethod
    def of(cls, path: str, config: InferConfig) -> OneAnswer:
        """Open it."""
        from lora_bert.inference.predictor import open_predictor

        predictor = open_predictor(path, config)
        return cls(predictor, predictor.task.told(config), Asked.by([predictor]))

    @property
    def predictors(self) -> Mapping[str, Predictor]:
        """The one there is."""
        return {"": self.predictor}

    def lines(self, texts: Sequence[Text]) -> Iterator[list[tuple[str, ...]]]:
        """A line a text."""
        return ([self.task.line(each)] for each in self._predictions(texts))

    def documents(self, texts: Sequence[Text]) -> Iterator[dict[str, Any]]:
        """As the task has them."""
        return map(self.task.document, self._predictions(texts))

    def _predictions(self, texts: Sequence[Text]) -> list[Any]:
        return self.task.decode(self.predictor.computed(texts))


@dataclass(frozen=True)
class ManyAnswers:
    """Of several adapters on one backbone, by name."""

    predictors: Mapping[str, Predictor]
    tasks: Mapping[str, Task]
    asked: Asked
    batch_size: int

    @classmethod
    def of(cls, config: InferConfig) -> ManyAnswers:
        """Open them."""
        from lora_bert.inference.many_adapters import tasks_of
        from lora_bert.inference.stream_many import common_format, open_adapters

        predictors = open_adapters(config.adapter, config)
        common_format(predictors)
        tasks = tasks_of(predictors, config)
        return cls(predictors, tasks, Asked.by(list(predictors.values())), config.batch_size)

    def lines(self, texts: Sequence[Text]) -> Iterator[list[tuple[str, ...]]]:
        """A line an adapter, its name first."""
        for answers in self._predictions(texts):
            yield [(name, *self.tasks[name].line(each)) for name, each in answers.items()]

    def documents(self, texts: Sequence[Text]) -> Iterator[dict[str, Any]]:
        """Those of the tasks, by the adapter's name."""
        for answers in self._predictions(texts):
            found = {name: self.tasks[name].document(each) for name, each in answers.items()}
            yield {"adapters": found}

    def _predictions(self, texts: Sequence[Text]) -> Iterator[dict[str, Any]]:
        from lora_bert.inference.many_adapters import Request

        values = Request(texts, self.predictors, None).values(self.batch_size)
        tasks = zip(self.tasks.items(), values, strict=True)
        answers = {name: task.decode(each) for (name, task), each in tasks}
        return ({name: each[row] for name, each in answers.items()} for row in range(len(texts)))
