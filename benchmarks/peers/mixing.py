"""Rows of many adapters in one padded batch: PEFT, PolyLoRA and LateFuse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Workload
from benchmarks.many import BATCH, TOGETHER, places, timed

_NAMES = [f"a{number}" for number in range(TOGETHER)]
_EACH = [_NAMES[row % TOGETHER] for row in range(BATCH)]


def peft(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """PEFT's mixed batches (``adapter_names``), and ``set_adapter`` before the rows of each."""
    from peft import PeftModel

    work, found = Workload(**workload), places(target, "deep")
    network, tokens = _opened(work, found[0])
    model: Any = PeftModel.from_pretrained(
        network, found[0], adapter_name=_NAMES[0], autocast_adapter_dtype=False
    )
    for name, place in zip(_NAMES[1:], found[1:], strict=True):
        model.load_adapter(place, adapter_name=name, autocast_adapter_dtype=False)
    model.to(network.dtype).eval()

    def switched(texts: Sequence[str]) -> None:
        for number, name in enumerate(_NAMES):
            model.set_adapter(name)
            _answer(model, tokens(texts[number::TOGETHER]))

    return timed(work, {
        "one": lambda texts: _answer(model, tokens(texts)),
        "mixed": lambda texts: _answer(model, tokens(texts), adapter_names=_EACH),
        "switched": switched,
    })  # fmt: skip


def polylora(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """PolyLoRA: the same LoRA weights; it has no heads, so all rows are given the same one."""
    from polylora import PolyLoraConfig, PolyLoraModel

    work, found = Workload(**workload), places(target, "deep")
    config = json.loads((found[0] / "adapter_config.json").read_text(encoding="utf-8"))
    network, tokens = _opened(work, found[0])
    model = PolyLoraModel(
        network, PolyLoraConfig(TOGETHER, config["r"], target_modules=config["target_modules"])
    ).eval()
    for name, place in zip(_NAMES, found, strict=True):
        model.load_adapter_from_disk(name, str(place))
    return timed(work, {
        "one": lambda texts: _answer(model, tokens(texts), adapter_ids=_NAMES[:1] * BATCH),
        "mixed": lambda texts: _answer(model, tokens(texts), adapter_ids=_EACH),
    })  # fmt: skip


def latefuse(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """LateFuse, which adapts query and value of all layers; its weights and heads are random."""
    import torch
    from latefuse import MultiTenantClassifier

    work = Workload(**workload)
    model = MultiTenantClassifier.from_pretrained(
        work.backbone, batch_size=BATCH, max_seq_len=work.max_length, device="cpu", dtype=_dtype()
    )
    for number, name in enumerate(_NAMES):
        model.register_synthetic(name, seed=number)
        model.heads.load(name, torch.randn(2, model.config.hidden_size), torch.zeros(2))
    return timed(work, {
        "one": lambda texts: model.predict_proba(texts, _NAMES[:1] * BATCH),
        "mixed": lambda texts: model.predict_proba(texts, _EACH),
    })  # fmt: skip


def _opened(work: Workload, adapter: Path) -> tuple[Any, Any]:
    """The backbone with two labels, and what makes a padded batch of texts."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(adapter)
    network = AutoModelForSequenceClassification.from_pretrained(
        work.backbone, num_labels=2, dtype=_dtype()
    )

    def tokens(texts: Sequence[str]) -> Any:
        return tokenizer(list(texts), truncation=True, max_length=work.max_length, padding=True,
                         return_tensors="pt", return_token_type_ids=False)  # fmt: skip

    return network, tokens


def _answer(model: Any, inputs: Any, **more: Any) -> None:
    import torch

    with torch.inference_mode():
        torch.softmax(model(**inputs, **more).logits.float(), -1).numpy()


def _dtype() -> Any:
    """The precision that is fast here."""
    import torch

    from lora_bert.runtime.device import pick_dtype

    return pick_dtype("auto", torch.device("cpu"))
