"""Several adapters as one: the sum of what they change, and the mean of their heads, as tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from lora_bert.backbones.config import EncoderConfig
from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.lora import LoraFactors

Factors = Mapping[str, LoraFactors]
"""LoRA factors by the name of the linear layer that they change."""


def changes(adapter: Adapter) -> Factors:
    """The factors of an adapter; none where all of them are zero, as before any step."""
    pairs = adapter.factors.values()
    any_does = any(pair.scaling and pair.lora_A.any() and pair.lora_B.any() for pair in pairs)
    return adapter.factors if any_does else {}


def summed(parts: Sequence[Factors], shares: Sequence[float]) -> dict[str, LoraFactors]:
    """The weighted sum of changes, exactly: each ``lora_A`` below the other, ``lora_B`` beside it.

    Share and scaling are in ``lora_B``. A part whose share is 0 is left out.
    """
    counted = [(part, share) for part, share in zip(parts, shares, strict=True) if share]
    sums = {}
    for name in dict.fromkeys(name for part, _ in counted for name in part):
        pairs = [(part[name], share) for part, share in counted if name in part]
        down = torch.cat([pair.lora_A for pair, _ in pairs])
        up = torch.cat([pair.lora_B * (pair.scaling * share) for pair, share in pairs], dim=1)
        sums[name] = LoraFactors(down, up, 1.0)
    return sums


def of_rank(factors: Factors, rank: int) -> tuple[dict[str, LoraFactors], float]:
    """The nearest factors of that rank, a singular value decomposition of each change cut short.

    Args:
        factors: Whose scaling is 1.
        rank: At most the width of the layers.

    Returns:
        The factors; which share of the Frobenius norm of all changes together is lost, 0…1.
    """
    kept: dict[str, LoraFactors] = {}
    lost = whole = 0.0
    for name, pair in factors.items():
        # The change itself is as large as the layer: only the small core of it is decomposed.
        left, core_left = torch.linalg.qr(pair.lora_B.double())
        right, core_right = torch.linalg.qr(pair.lora_A.double().t())
        u, values, v = torch.linalg.svd(core_left @ core_right.t(), full_matrices=False)
        whole += float(values.square().sum())
        lost += float(values[rank:].square().sum())
        roots = values[:rank].sqrt()
        up, down = left @ u[:, :rank] * roots, roots[:, None] * (v[:rank] @ right.t())
        kept[name] = LoraFactors(down.float().contiguous(), up.float().contiguous(), 1.0)
    return kept, (lost / whole) ** 0.5 if whole else 0.0


def places_of(names: Collection[str], config: EncoderConfig) -> tuple[tuple[str, ...], list[int]]:
    """Paths below a layer, and layers, which hold all these linear layers and maybe more."""
    layout = config.layout
    found = [
        (layer, path)
        for layer in range(config.num_hidden_layers)
        for slot, path in layout.linears.items()
        if layout.module(layer, slot) in names
    ]
    paths = {path for _, path in found}
    ordered = tuple(path for path in layout.linears.values() if path in paths)
    return ordered, list(dict.fromkeys(layer for layer, _ in found))


def filled(factors: Factors, names: Collection[str], backbone: Backbone) -> dict[str, LoraFactors]:
    """The same on all these linear layers and of one rank: zero where they change nothing."""
    rank = max(len(pair.lora_A) for pair in factors.values())
    linears, made = backbone.linears, {}
    for name in names:
        out_features, in_features = linears[name].weight.shape
        down, up = torch.zeros(rank, in_features), torch.zeros(out_features, rank)
        if pair := factors.get(name):
            own = len(pair.lora_A)
            down[:own], up[:, :own] = pair.lora_A, pair.lora_B
        made[name] = LoraFactors(down, up, 1.0)
    return made


def with_outputs(
    head: Mapping[str, Tensor], output: str, order: Sequence[int], factor: float, addend: float
) -> dict[str, Tensor]:
    """A head whose outputs stand in another order, multiplied and moved; ``output`` is its layer.

    Numbers are float64, to be summed up.
    """
    exact = {name: tensor.double() for name, tensor in head.items()}
    weight = exact[f"{output}.weight"][list(order)]
    bias = exact.get(f"{output}.bias", weight.new_zeros(len(head[f"{output}.weight"])))
    bias = bias[list(order)] * factor + addend
    return exact | {f"{output}.weight": weight * factor, f"{output}.bias": bias}


def mean_head(heads: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of heads of one shape, float32."""
    return {
        name: torch.stack(
            [head[name] * share for head, share in zip(heads, shares, strict=True)]
        ).sum(dim=0).float()
        for name in heads[0]
    }  # fmt: skip


def stacked_head(heads: Sequence[Mapping[str, Tensor]], output: str) -> dict[str, Tensor]:
    """The hidden layers of the first head, and the outputs of all, one below the other, float32."""
    last = {name: torch.cat([head[name] for head in heads])
            for name in (f"{output}.weight", f"{output}.bias")}  # fmt: skip
    return {name: tensor.float() for name, tensor in {**heads[0], **last}.items()}
