"""What the trainer turns: parameters that learn, on a backbone that does not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lora_bert.errors import DivergedError, UnavailableError
from lora_bert.inference.engines.engine import answer
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.memory import is_out_of_memory
from lora_bert.runtime.threads import computing_with
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.divergence import LOWER
from lora_bert.training.gradients import Gradients, HiddenStates
from lora_bert.training.progress import Progress
from lora_bert.training.tokenize_rows import Tokens

log = logging.getLogger(__name__)


class Learner(Protocol):
    """Parameters, their gradients, and the outputs that they give."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """What an optimizer moves, float32, by names that stay: a learner's whole state."""

    def gradients(self, batches: Sequence[np.ndarray], weight: float, progress: Progress) -> Tensor:
        """Set the gradients of the loss of one step's training rows, divided by ``weight``.

        Batches are row numbers. Where memory runs out, the ``cuts`` of ``progress`` go up.

        Returns:
            The loss, summed over the rows; to read it is to wait for a GPU.

        Raises:
            UnavailableError: There is not enough memory for a single row.
        """

    def outputs(self, part: str) -> Tensor:
        """What it says of the rows of a part, ``[rows, outputs]``, float32, on the CPU.

        The bits are those of a predictor that answers the same rows in the same order.
        """


@dataclass(eq=False)
class BranchLearner:
    """An adapter on the shared backbone.

    Attributes:
        compute: The gradients of a fresh adapter on the backbone's device, trained in place.
        texts: Of each part that outputs are wanted of.
        hidden: What the trunk makes of batches of a part; of others it is computed.
        cores: With how many torch answers a batch that is alone: as many as a predictor has.
    """

    compute: Gradients
    texts: Mapping[str, TokenizedTexts]
    hidden: Mapping[str, HiddenStates]
    cores: int

    def __post_init__(self) -> None:
        self.adapter, self.backbone = self.compute.adapter, self.compute.backbone
        self.parameters = self.adapter.named_tensors
        for tensor in self.parameters.values():
            tensor.requires_grad_()

    def gradients(self, batches: Sequence[np.ndarray], weight: float, progress: Progress) -> Tensor:
        """As :class:`Learner` says; in smaller slices from the moment that memory runs out."""
        while (loss := self._attempt(batches, weight, progress)) is None:
            # All processes have come here, and must cut alike.
            if any(processes().gather(self._give_back())):
                continue
            progress.cuts *= 2
            if progress.cuts > 2 * max(map(len, batches)):
                raise UnavailableError(
                    "There is not enough memory for the gradient of a single text.",
                    hint="Lower --max-length, or try --gradient-checkpointing.",
                )
            log.warning(
                "Memory ran out at step %d: from now on slices are half as large.",
                progress.step + 1,
            )
        return loss

    def _attempt(
        self, batches: Sequence[np.ndarray], weight: float, progress: Progress
    ) -> Tensor | None:
        """The gradients of a step, and its loss; None if memory runs out."""
        try:
            return self.compute(batches, weight, progress.step + 1, progress.cuts)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            # What the attempt has added to the gradients must not be added again.
            for tensor in self.parameters.values():
                tensor.grad = None
            return None

    def outputs(self, part: str) -> Tensor:
        """As :class:`Learner` says."""
        engine = TorchEngine(self.backbone, self.adapter, self.hidden.get(part))
        with computing_with(self.cores):
            # A row's last bits depend on its batch: this is a predictor's size.
            answering = partial(answer, engine, self.texts[part], batch_size=32)
            try:
                found = answering()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._give_back():
                    raise
                found = None
            return torch.from_numpy(answering() if found is None else found)

    def _give_back(self) -> bool:
        """Free what memory can be spared; whether there was any that steps had kept."""
        kept = self.compute.spare_memory()
        if self.backbone.device.type == "cuda":
            torch.cuda.empty_cache()
        return kept


@dataclass(frozen=True)
class Validation:
    """What the validation rows say of one epoch.

    Attributes:
        figures: The task's metrics by name, and ``validation_loss``.
        values: What the task makes of the outputs, a row each.
    """

    figures: dict[str, float]
    values: np.ndarray


def validate(
    learner: Learner, task: Task, rows: Tokens, part: str, owners: np.ndarray
) -> Validation:
    """Score all validation ``rows``.

    ``part`` of the learner's rows is what this process has of them; ``owners`` has the rank of the
    process that has each.

    Raises:
        DivergedError: An output is not a number.
    """
    tokens, targets = rows.encodings, rows.targets
    if task.head().of_tokens:
        owners = np.repeat(owners, tokens.lengths)
    outputs = torch.from_numpy(processes().collect(learner.outputs(part).numpy(), owners))
    values = values_of(task, outputs, tokens)
    joined = torch.from_numpy(task.joined(outputs.numpy(), tokens))
    loss = task.validation_loss(joined, targets)
    figures = task.tuned(values, targets).score(values, targets).figures
    return Validation({**figures, "validation_loss": loss}, values)


def values_of(task: Task, outputs: Tensor, tokens: TokenizedTexts) -> np.ndarray:
    """What the task makes of the outputs of rows; DivergedError if one is no number."""
    if not outputs.isfinite().all():
        raise DivergedError(
            "Training diverged: what the adapter says of other rows is not a number.", hint=LOWER
        )
    return task.row_values(outputs.numpy(), tokens)
