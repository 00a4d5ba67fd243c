"""Answers: texts -> predictions, from an adapter on its backbone or from a merged model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lora_bert.adapters.loading import Loaded, load_any
from lora_bert.backbones.encodings import Encodings, rounded
from lora_bert.errors import ConfigError
from lora_bert.inference.batching import by_length
from lora_bert.model.backbone import Backbone
from lora_bert.model.branch import Adapter, logits
from lora_bert.model.device import pick_device, pick_dtype
from lora_bert.model.encoder import Batch
from lora_bert.progress import track
from lora_bert.tasks.classification import Prediction, decode

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Predictor:
    """A loaded classifier.

    Attributes:
        loaded: Backbone, adapter, tokenizer and what the adapter says of itself.
        batch_size: Texts computed at once.
    """

    loaded: Loaded
    batch_size: int = 32

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the scores."""
        return self.loaded.manifest.labels

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction per text, in order; an empty list for no texts.

        Args:
            texts: Any number of texts; longer ones are cut at the adapter's maximum length.
        """
        if isinstance(texts, str):
            raise TypeError("predict takes a list of texts; for one text, pass [text].")
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"predict takes texts; number {at} is of type {type(text).__name__}."
                )
        return decode(self.labels, self.probabilities(texts))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The same as an array ``[texts, labels]``, float32, rows adding up to 1."""
        loaded = self.loaded
        encodings = loaded.tokenizer.encode(texts)
        scores = predict_logits(loaded.backbone, loaded.adapter, encodings, self.batch_size)
        return torch.softmax(scores, dim=-1).numpy()


def load(
    path: str | Path,
    *,
    backbone: str | None = None,
    labels: Sequence[str] = (),
    device: str = "auto",
    dtype: str = "float32",
    batch_size: int = 32,
) -> Predictor:
    """Load an adapter (with its backbone) or a merged model.

    Args:
        path: Directory of the adapter or merged model.
        backbone: Where the adapter's backbone is, if it is not found by its name.
        labels: The labels of an adapter that plain PEFT wrote, in the order of its outputs.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32``, ``bfloat16`` or ``auto``.
        batch_size: Texts computed at once.

    Raises:
        ConfigError: A device, precision or batch size that makes no sense.
        NotFoundError: No such directory, or the backbone is not to be found.
        AdapterError: Incomplete, damaged, or made for another backbone.

    Example:
        >>> load("adapters/waimai").predict(["很好吃"])[0].label  # doctest: +SKIP
        'positive'
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size: {batch_size} is too small (at least 1).")
    where = pick_device(device)
    loaded = load_any(
        Path(path), backbone=backbone, labels=labels, device=where, dtype=pick_dtype(dtype, where)
    )
    return Predictor(loaded, batch_size)


def predict_logits(
    backbone: Backbone, adapter: Adapter, encodings: Encodings, batch_size: int
) -> torch.Tensor:
    """Logits ``[texts, labels]`` on the CPU, float32, in the order of ``encodings``."""
    classes = adapter.head[f"{backbone.family.head.output}.weight"].shape[0]
    found = torch.empty(len(encodings), classes)
    most = backbone.family.max_length(backbone.config)
    with track(len(encodings), "predicting") as bar:
        for rows in by_length(encodings.lengths, batch_size):
            length = rounded(int(encodings.lengths[rows].max()), most)
            batch = Batch.of(encodings.pad(rows, length), backbone.device)
            found[rows] = logits(backbone, batch, adapter).cpu()
            bar.update(len(rows))
    return found
