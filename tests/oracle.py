"""The same adapter in plain PEFT on a plain ``transformers`` classifier: the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone
from lora_bert.model.new_adapter import new_adapter
from lora_bert.model.target_modules import parse_layers, target_suffixes
from lora_bert.tokens.batching import TokenBatch
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.tiny import FAMILIES, tiny_classifier, with_mean_layer_added

_USUAL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
NO_DROPOUT: Mapping[str, Mapping[str, float]] = {
    **dict.fromkeys(FAMILIES, _USUAL),
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
    "albert": {**_USUAL, "classifier_dropout_prob": 0.0},
    "modernbert": {},
}


def tiny_engine(model_type: str, **extra: Any) -> Backbone:
    """Our backbone made of a tiny classifier without dropout."""
    model = tiny_classifier(model_type, **NO_DROPOUT[model_type], **extra)
    return build_backbone(model.state_dict(), encoder_config(model.config.to_dict()))


def rows_of(encodings: TokenizedTexts) -> list[list[int]]:
    """The token ids of each text."""
    return [ids.tolist() for ids in np.split(encodings.ids, encodings.starts[1:])[: len(encodings)]]


def random_adapter(
    backbone: Backbone,
    *,
    labels: int = 3,
    rank: int = 4,
    target_modules: str = "all-linear",
    layers: str = "all",
    seed: int = 0,
) -> Adapter:
    """An adapter with noise in every tensor, so that each of them matters."""
    generator = torch.Generator().manual_seed(seed)
    adapter = new_adapter(
        backbone,
        labels,
        rank=rank,
        alpha=2.0 * rank,
        dropout=0.0,
        target_modules=target_modules,
        layers=layers,
        generator=generator,
    )
    for tensor in adapter.tensors:
        tensor.add_(torch.empty_like(tensor).normal_(0.0, 0.1, generator=generator))
    return adapter


def peft_twin(
    model_type: str,
    adapter: Adapter,
    *,
    target_modules: str = "all-linear",
    layers: str = "all",
    **extra: Any,
) -> Any:
    """The PEFT model of ``adapter`` on the classifier that :func:`tiny_engine` is made of.

    If its head reads the mean of the tokens, that has a layer more.
    """
    model = tiny_classifier(model_type, **NO_DROPOUT[model_type], **extra)
    config = encoder_config(model.config.to_dict())
    top = parse_layers(layers, config)
    deeper = adapter.pooling == "mean" and not config.head.pooling_key
    model = with_mean_layer_added(model) if deeper else model
    rank = next(iter(adapter.factors.values())).lora_A.shape[0]
    twin = get_peft_model(
        model,
        LoraConfig(
            task_type="SEQ_CLS",
            r=rank,
            lora_alpha=2 * rank,
            target_modules=list(target_suffixes(config, target_modules)),
            layers_to_transform=list(top) if top.start or deeper else None,
            modules_to_save=list(config.layout.head.modules),
        ),
    )
    ours = named_tensors(adapter)
    theirs = named_parameters(twin)
    assert theirs.keys() == ours.keys()
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(ours[name])
    return twin.eval()


def of_plain_peft(
    base: Any, task_type: str, modules: Sequence[str], saved: Sequence[str] | None
) -> Any:
    """A ``transformers`` model with an adapter that PEFT alone has made, LoRA's part not zero."""
    config = LoraConfig(
        task_type=task_type, r=2, target_modules=list(modules), modules_to_save=saved
    )  # fmt: skip
    peft = get_peft_model(base, config).eval()
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    return peft


def named_tensors(adapter: Adapter) -> dict[str, Tensor]:
    """What training changes, by the names it has in a file."""
    named = dict(adapter.head)
    for name, pair in adapter.factors.items():
        named |= {f"{name}.lora_A.weight": pair.lora_A, f"{name}.lora_B.weight": pair.lora_B}
    return named


def named_parameters(twin: Any) -> dict[str, torch.nn.Parameter]:
    """A PEFT model's trainable parameters by the names they have in a file."""
    return {
        name.removeprefix("base_model.model.")
        .replace(".modules_to_save", "")
        .replace(".default", ""): parameter
        for name, parameter in twin.named_parameters()
        if parameter.requires_grad
    }


@dataclass(frozen=True)
class Batch:
    """The same texts as everyone else pads them, and as our model takes them."""

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    pad_id: int

    @property
    def tokens(self) -> TokenBatch:
        """One behind the other."""
        lengths = self.mask.sum(1).tolist()

        def rows(padded: Tensor) -> list[list[int]]:
            return [row[:size] for row, size in zip(padded.tolist(), lengths, strict=True)]

        types = None if self.types is None else rows(self.types)
        texts = TokenizedTexts.of(rows(self.ids), self.pad_id, token_type_ids=types)
        return TokenBatch.of(texts, range(len(lengths)))


def random_batch(
    lengths: Sequence[int], *, pad_id: int = 1, types: bool = False, seed: int = 1
) -> Batch:
    """Random token ids, padded with ``pad_id``; token types that change halfway."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 60, mask.shape, generator=generator).masked_fill(~mask, pad_id)
    halves = (torch.arange(longest)[None] * 2 > torch.tensor(lengths)[:, None]) & mask
    return Batch(ids, mask, halves.long() if types else None, pad_id)


def their_logits(model: Any, batch: Batch) -> Tensor:
    """What a ``transformers`` or PEFT model says of a batch."""
    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask.long()}
    if batch.types is not None:
        inputs["token_type_ids"] = batch.types
    found: Tensor = model(**inputs).logits
    return found


def elsewhere(
    code: str, *arguments: str, cwd: Path | None = None, **environment: str
) -> dict[str, Any]:
    """Run Python code in a process of its own; the JSON object it prints last.

    ``sys.argv[1:]`` are ``arguments``. The hub is off and none of our modules is on the path unless
    ``PYTHONPATH`` says so.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
