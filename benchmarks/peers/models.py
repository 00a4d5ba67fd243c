"""The peers' models: stock ``transformers`` classifiers with stock PEFT adapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import Row, Workload, read_rows

ALL_LINEAR = ("query", "key", "value", "attention.output.dense", "intermediate.dense",
              "output.dense")  # fmt: skip
"""PEFT's own "all-linear" would take the pooler too, which is trained whole here as in ours."""
QUERY_VALUE = ("query", "value")

_SHAPES: dict[str, dict[str, float]] = {
    "bert-base": {},  # what BertConfig says by itself
    "one-layer": {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    },
    "two-layer": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "initializer_range": 0.3,  # or it would say nearly the same of every text
    },
}


@dataclass(frozen=True)
class Rows:
    """Tokenised rows with class indices: a map-style data set, as Trainer takes them."""

    ids: Sequence[Sequence[int]]
    targets: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, at: int) -> dict[str, Any]:
        ids = self.ids[at]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": self.targets[at]}

    def take(self, order: Sequence[int]) -> Rows:
        """These rows in that order."""
        return Rows([self.ids[at] for at in order], [self.targets[at] for at in order])


def labels_of(workload: Workload) -> list[str]:
    """The labels of the training rows, in order."""
    return sorted({label for _, label in read_rows(workload.train)})


def tokenised(path: str, workload: Workload, tokenizer: Any) -> Rows:
    """Read and tokenise the rows of a file."""
    rows: list[Row] = read_rows(path)
    numbers = {label: at for at, label in enumerate(labels_of(workload))}
    found = tokenizer([text for text, _ in rows], truncation=True, max_length=workload.max_length)
    return Rows(found["input_ids"], [numbers[label] for _, label in rows])


def tokenizer_of(directory: str) -> Any:
    """The directory's fast tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory)


def adapted_classifier(
    workload: Workload,
    *,
    dtype: str = "float32",
    attention: str | None = None,
    dropout: bool = True,
    targets: Sequence[str] = ALL_LINEAR,
    layers: Sequence[int] | None = None,
) -> Any:
    """A classifier on the workload's backbone with a fresh LoRA adapter; the head is trained too.

    Args:
        workload: Backbone, rank, seed.
        dtype: Of the frozen weights; what is trained is float32.
        attention: ``attn_implementation``; None for the library's choice.
        dropout: Whether the frozen layers keep the dropout of their configuration.
        targets: Linear layers to adapt.
        layers: Numbers of the transformer layers to adapt; None for all.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, set_seed

    set_seed(workload.seed)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = AutoModelForSequenceClassification.from_pretrained(
        workload.backbone,
        num_labels=len(labels_of(workload)),
        dtype=getattr(torch, dtype),
        attn_implementation=attention,
        **({} if dropout else off),
    )
    model = get_peft_model(
        model,
        LoraConfig(
            task_type="SEQ_CLS",
            r=workload.rank,
            lora_alpha=2 * workload.rank,
            lora_dropout=0.0,
            target_modules=list(targets),
            layers_to_transform=layers,
            modules_to_save=["pooler", "classifier"],
        ),
    )
    for parameter in model.parameters():
        if parameter.requires_grad:  # PEFT lifts its own factors to float32, not the head
            parameter.data = parameter.data.float()
    return model


def random_bert(target: str, shape: str) -> dict[str, Any]:
    """Write a BERT with random weights and e5-small-zh-en's vocabulary."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = _SHAPES[shape]
    model = BertModel(BertConfig(vocab_size=20121, pad_token_id=1, **sizes))
    model.save_pretrained(target)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters}


def read_labels(directory: str) -> list[str]:
    """The labels of a merged model, in the order of its outputs."""
    config = json.loads(Path(directory, "config.json").read_text(encoding="utf-8"))
    names: dict[str, str] = config["id2label"]
    return [names[str(at)] for at in range(len(names))]
