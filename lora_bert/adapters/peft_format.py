"""PEFT's two files, ``adapter_config.json`` and ``adapter_model.safetensors``, both ways.

They are written by hand, not through PEFT, so that training does not import it; tests hold what is
written against PEFT itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_bert.adapters.peft_config import (
    CONFIG,
    FOLD_IN,
    NO_MODULES,
    WEIGHTS,
    is_not_for_peft,
    not_for_peft,
    read_peft_config,
    value_for,
)
from lora_bert.backbones.config import EncoderConfig, Pooling
from lora_bert.backbones.layout import Layout
from lora_bert.backbones.weights import check_finite, read_safetensors, write_safetensors
from lora_bert.errors import AdapterError
from lora_bert.json_files import json_text
from lora_bert.wording import listed

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.model.adapter import Adapter
    from lora_bert.model.backbone import Backbone
    from lora_bert.model.lora import LoraFactors

_PREFIX = "base_model.model."
_LORA_A, _LORA_B = ".lora_A.weight", ".lora_B.weight"
_OTHER_BACKBONE = "It was trained on another backbone: name that with --backbone."


@dataclass(frozen=True)
class LoraSettings:
    """How the factors came about, as ``adapter_config.json`` keeps it; unless said, none did."""

    rank: int = 1
    alpha: float = 1.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class PeftAdapter:
    """An adapter as it stands on disk, not yet checked against a backbone."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    path: Path


def write_peft(
    directory: Path, adapter: Adapter, settings: LoraSettings, encoder: EncoderConfig,
    *, task_type: str, backbone_name: str, revision: str | None,
) -> None:  # fmt: skip
    """Write both files into ``directory``.

    Where the head reads another vector than the backbone's classifier gives it, plain PEFT is made
    to refuse the adapter: it would open it in silence and answer otherwise.
    """
    layers = list(settings.layers) if settings.layers else None
    otherwise = reads_otherwise(adapter.pooling, encoder)
    if settings.target_modules and (otherwise or encoder.has_mean_layer):
        layers = layers or list(range(encoder.num_hidden_layers))  # PEFT's model has one more
    config = {
        "peft_type": "LORA",
        "task_type": task_type,
        "base_model_name_or_path": backbone_name,
        "revision": revision,
        "inference_mode": True,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "target_modules": list(settings.target_modules) or NO_MODULES,
        "layers_to_transform": layers,
        "modules_to_save": list(encoder.layout.head.modules),
    }
    if otherwise:
        count = encoder.num_hidden_layers
        config |= not_for_peft(count, changes_layers=bool(settings.target_modules))
    (directory / CONFIG).write_text(json_text(config) + "\n", encoding="utf-8")
    tensors = {f"{_PREFIX}{name}": tensor for name, tensor in adapter.head.items()}
    for name, pair in adapter.factors.items():
        tensors[f"{_PREFIX}{name}{_LORA_A}"] = pair.lora_A
        tensors[f"{_PREFIX}{name}{_LORA_B}"] = pair.lora_B
    write_safetensors(directory / WEIGHTS, tensors)


def reads_otherwise(pooling: Pooling, encoder: EncoderConfig) -> bool:
    """Whether a head reads another vector than the backbone's own classifier would give it."""
    return pooling not in ("none", encoder.head.pooling)


def read_peft(directory: Path) -> PeftAdapter:
    """Read both files, ours or plain PEFT's.

    Raises:
        AdapterError: One of them is missing or damaged, or it is a kind of adapter that the
            branch cannot compute.
    """
    config = read_peft_config(directory)
    tensors = read_safetensors(directory / WEIGHTS, AdapterError)
    check_finite(tensors, directory / WEIGHTS, AdapterError)
    return PeftAdapter(config, tensors, directory)


def with_own_embeddings(stored: PeftAdapter, backbone: Backbone) -> Backbone:
    """The backbone with what an adapter of PEFT's brings of the embeddings, where it does.

    These are word embeddings, which PEFT saves where the vocabulary was resized: what it saved is
    what the adapter was trained with, and what PEFT puts in the backbone's place when it loads it.
    And LoRA on the projection of the embeddings, which ``all-linear`` means too, is folded into it.

    Raises:
        AdapterError: They do not fit.
    """
    return _with_own_projection(stored, _with_own_words(stored, backbone))


def _with_own_projection(stored: PeftAdapter, backbone: Backbone) -> Backbone:
    projection = backbone.projection
    if projection is None or f"{_PREFIX}{projection.name}{_LORA_A}" not in stored.tensors:
        return backbone
    from lora_bert.model.fused_linear import FusedLinear, Linear

    weight = projection.weight
    pair = _factors(stored, projection.name, tuple(weight.shape))
    changed = (weight.float() + pair.delta().to(weight.device)).to(weight.dtype)
    own = FusedLinear.of([Linear(projection.name, changed, projection.bias)])
    return replace(backbone, projection=own)


def _with_own_words(stored: PeftAdapter, backbone: Backbone) -> Backbone:
    name, shared = _PREFIX + _word_embeddings(backbone), backbone.word_embeddings
    own = stored.tensors.get(name)
    if own is None:
        return backbone
    copy = stored.tensors.get(name.removesuffix("weight") + "modules_to_save.weight", own)
    if not copy.equal(own):
        raise AdapterError(f"'{stored.path}' holds two word embeddings that differ.", hint=FOLD_IN)
    if own.ndim != 2 or own.shape[1] != shared.shape[1] or not len(own):
        raise AdapterError(
            f"'{stored.path}': its word embeddings, {list(own.shape)}, do not fit the "
            f"backbone's, {list(shared.shape)}.",
            hint=_OTHER_BACKBONE,
        )
    own = own.to(device=backbone.device, dtype=backbone.dtype)
    return backbone if own.equal(shared) else replace(backbone, word_embeddings=own)


def _word_embeddings(backbone: Backbone) -> str:
    """Their name in a classifier of transformers."""
    layout = backbone.config.layout
    return f"{layout.prefix}{layout.word_embeddings}.weight"


def assemble(stored: PeftAdapter, backbone: Backbone, pooling: Pooling | None = None) -> Adapter:
    """The adapter as a state object, every shape checked against the backbone's.

    ``backbone`` is that of :func:`with_own_embeddings`; ``pooling`` is what its head reads; None:
    what the backbone's own classifier reads.

    What the adapter lacks of the head's hidden layers comes from the backbone, where that has them;
    LoRA on the pooler, which PEFT's ``all-linear`` means too, is folded into it.

    Raises:
        AdapterError: A tensor fits nowhere, or the head is incomplete.
    """
    from lora_bert.model.adapter import Adapter

    projection = backbone.projection.name if backbone.projection else ""
    embeddings = _word_embeddings(backbone)
    # From the top: what layers share belongs to the lowest of them.
    depths = {
        linear.name: index
        for index, layer in reversed(list(enumerate(backbone.layers)))
        for fused in layer.fused.values()
        for linear in fused.linears
    }
    shapes = {name: tuple(linear.weight.shape) for name, linear in backbone.linears.items()}
    factors: dict[str, LoraFactors] = {}
    head = {
        name: tensor
        for name, tensor in backbone.pretrained_head.items()
        if not name.startswith(f"{backbone.config.layout.head.output}.")
    }
    for full, tensor in stored.tensors.items():
        name = full.removeprefix(_PREFIX)
        if name.endswith(_LORA_A):
            linear = name.removesuffix(_LORA_A)
            if (pooled := head.get(f"{linear}.weight")) is not None:
                pair = _factors(stored, linear, tuple(pooled.shape))
                head[f"{linear}.weight"] = pooled + pair.delta().to(pooled.device)
            elif linear != projection:
                factors[linear] = _factors(stored, linear, shapes.get(linear))
        elif name.endswith(_LORA_B):
            if f"{_PREFIX}{name.removesuffix(_LORA_B)}{_LORA_A}" not in stored.tensors:
                raise AdapterError(f"'{stored.path}': '{full}' has no lora_A beside it.")
        elif name.replace(".modules_to_save.", ".").replace(".original_module.", ".") != embeddings:
            head[name] = tensor.float()
    _check_head(stored, head, backbone)
    _check_targets(stored, [*shapes, projection])
    depth = min((depths[name] for name in factors), default=len(backbone.layers))
    dropout = float(stored.config.get("lora_dropout") or 0.0)
    pooling = _pooling(stored, backbone.config, pooling)
    return Adapter(factors, head, depth, dropout, pooling)


def _pooling(stored: PeftAdapter, encoder: EncoderConfig, described: Pooling | None) -> Pooling:
    """What the head reads: as ``lora_bert.json`` describes it, else as the backbone's own does."""
    if described is None and is_not_for_peft(stored.config):
        raise AdapterError(
            f"'{stored.path}' does not say what its head reads, as its lora_bert.json should.",
            hint="Copy the directory again, with all its files.",
        )
    if described == "mean" and encoder.no_mean:
        raise AdapterError(
            f"'{stored.path}' reads the mean of a text's tokens, which this {encoder.model_type} "
            f"backbone has not: {encoder.no_mean}.",
            hint=_OTHER_BACKBONE,
        )
    return described or encoder.head.pooling


def _factors(stored: PeftAdapter, name: str, shape: tuple[int, ...] | None) -> LoraFactors:
    """The LoRA factors of a linear layer, whose weight has ``shape``: (out_features, in_features).

    ``shape`` is None where the backbone has no layer of that name.
    """
    from lora_bert.model.lora import LoraFactors

    if shape is None:
        raise AdapterError(
            f"'{stored.path}' changes '{name}', which is none of the linear layers of this "
            "backbone's layers, nor of its pooler or the projection of its embeddings.",
            hint="If it was trained on another backbone, name that with --backbone. Else leave it "
            f"out in training, with PEFT's exclude_modules=['{name}']; or fold it in with PEFT and "
            "save the whole: merge_and_unload(), then save_pretrained(OUT).",
        )
    lora_A = stored.tensors[f"{_PREFIX}{name}{_LORA_A}"].float()
    lora_B = stored.tensors.get(f"{_PREFIX}{name}{_LORA_B}")
    if lora_B is None:
        raise AdapterError(f"'{stored.path}': '{name}' has a lora_A but no lora_B.")
    out_features, in_features = shape
    rank = int(value_for(name, stored.config, "rank_pattern", "r"))
    if (lora_B.shape[:1], lora_A.shape[1:], lora_B.ndim) != ((out_features,), (in_features,), 2):
        raise AdapterError(
            f"'{stored.path}': the factors of '{name}', {list(lora_B.shape)} times "
            f"{list(lora_A.shape)}, do not fit the backbone's [{out_features}, {in_features}].",
            hint=_OTHER_BACKBONE,
        )
    if found := {lora_B.shape[1], len(lora_A)} - {rank}:
        raise AdapterError(
            f"'{stored.path}': '{name}' is of rank {rank!s:.60} in {CONFIG}, and of rank "
            f"{' and '.join(map(str, sorted(found)))} in {WEIGHTS}.",
            hint="The two files are not those of one adapter: copy the directory again.",
        )
    alpha = value_for(name, stored.config, "alpha_pattern", "lora_alpha")
    root = math.sqrt(rank) if stored.config.get("use_rslora") else rank
    return LoraFactors(lora_A, lora_B.float(), float(alpha) / root)


def _check_targets(stored: PeftAdapter, names: Iterable[str]) -> None:
    """Check that none of these linear layers that the configuration names lacks its factors.

    Without them it would be left as it is, in silence. ``target_modules`` that are a pattern, or
    have exceptions, are not looked at.
    """
    config = stored.config
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    if not isinstance(targets, list) or config.get("exclude_modules"):
        return
    if layers is not None and config.get("layers_pattern"):
        return
    ends = tuple(f".{target}" for target in targets)
    lacking = [
        name
        for name in names
        if f"{_PREFIX}{name}{_LORA_A}" not in stored.tensors
        and f".{name}".endswith(ends)
        and _is_among(name, layers)
    ]
    if lacking:
        raise AdapterError(
            f"'{stored.path}' has no LoRA matrices for {listed(lacking, 3)}, which its {CONFIG} "
            "names.",
            hint="The two files are not those of one adapter: copy the directory again.",
        )


def _is_among(name: str, layers: Any) -> bool:
    """Whether a linear layer is in one of these ``layers``, as PEFT counts them; None: in any."""
    number = re.findall(r"\.(\d+)\.", name)
    chosen = layers if isinstance(layers, list) else [layers]
    return layers is None or (bool(number) and int(number[-1]) in chosen)


def _is_deep(name: str, layout: Layout) -> bool:
    """Whether a tensor belongs to embeddings or layers, and not to the head."""
    inside = name.removeprefix(layout.prefix)
    parts = (layout.word_embeddings, layout.layer)
    return inside.partition(".")[0] in {path.partition(".")[0] for path in parts}


def _check_head(stored: PeftAdapter, head: Mapping[str, Tensor], backbone: Backbone) -> None:
    config, layout, names = backbone.config, backbone.config.layout, backbone.config.layout.head
    allowed = names.parts
    for name in head:
        if ".lora_" in name or (name.startswith(layout.prefix) and _is_deep(name, layout)):
            raise AdapterError(
                f"'{stored.path}' changes '{name}', a part of the backbone that no adapter here "
                "changes.",
                hint=FOLD_IN,
            )
        if name.rpartition(".")[0] not in allowed:
            raise AdapterError(
                f"'{stored.path}' holds '{name}', which a {config.model_type} classifier has no "
                "place for.",
                hint="It belongs to another kind of backbone: name that with --backbone.",
            )
    for part in allowed:
        if f"{part}.weight" not in head:
            raise AdapterError(
                f"'{stored.path}' lacks the head's '{part}', and so does the backbone; filling "
                "it at random would make the predictions random.",
                hint="Save it with the adapter: list it in PEFT's modules_to_save.",
            )
    output, width = head[f"{names.output}.weight"], backbone.hidden_size
    dense = head[f"{names.dense}.weight"] if names.dense else output.new_empty(width, width)
    if list(dense.shape) != [width, width] or list(output.shape[1:]) != [width]:
        shapes = [str(list(each.shape)) for each in (dense, output)][not names.dense :]
        raise AdapterError(
            f"'{stored.path}': the head's layers, {' and '.join(shapes)}, do not fit the "
            f"backbone's hidden size {width}.",
            hint=_OTHER_BACKBONE,
        )
