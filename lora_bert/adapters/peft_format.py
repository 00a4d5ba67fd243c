"""PEFT's two files, ``adapter_config.json`` and ``adapter_model.safetensors``, both ways.

They are written by hand, not through PEFT, so that training does not import it; tests hold what is
written against PEFT itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_bert.backbones.family import Family
from lora_bert.backbones.inside import check_inside
from lora_bert.backbones.weights import check_finite, read_safetensors, write_safetensors
from lora_bert.errors import AdapterError
from lora_bert.json_files import json_text, read_object
from lora_bert.tasks.registry import TASKS
from lora_bert.wording import shortened

if TYPE_CHECKING:
    from torch import Tensor

    from lora_bert.model.backbone import Backbone
    from lora_bert.model.branch import Adapter
    from lora_bert.model.lora import LoraFactors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"

_OTHER_TASKS: Mapping[str, str] = {
    "TOKEN_CLS": "labelling each word",
    "QUESTION_ANS": "finding answers within a text",
    "CAUSAL_LM": "writing texts",
    "SEQ_2_SEQ_LM": "turning texts into others",
    "FEATURE_EXTRACTION": "making embeddings",
}
_LARGEST_ALPHA = 1e6
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
# What would change the result and that our branch does not compute; falsy means unused.
_UNSUPPORTED = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "fan_in_fan_out",
    "trainable_token_indices",
    "target_parameters",
    "arrow_config",
    "alora_invocation_tokens",
    "layer_replication",
    "lora_bias",
    "kasa_config",
    "monteclora_config",
)
_FOLD_IN = (
    "Fold it in with PEFT, and save the whole: merge_and_unload(), then save_pretrained(OUT); name "
    "that directory instead."
)
NOTHING = "dummy-target-modules"
"""PEFT's own word for "no layer", where an empty list is an error."""
# Initialisations that leave the backbone's weights as they are; PiSSA, OLoRA and kin change them.
_HARMLESS_INITIAL = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class LoraSettings:
    """How the factors came about, as ``adapter_config.json`` keeps it."""

    rank: int
    alpha: float
    dropout: float
    target_modules: tuple[str, ...]
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class PeftAdapter:
    """An adapter as it stands on disk, not yet checked against a backbone."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    path: Path


def write_peft(
    directory: Path,
    adapter: Adapter,
    settings: LoraSettings | None,
    family: Family,
    *,
    task_type: str,
    backbone_name: str,
    revision: str | None,
) -> None:
    """Write both files into ``directory``; without ``settings``, of an adapter that is a head."""
    if settings is None:
        settings = LoraSettings(rank=1, alpha=1.0, dropout=0.0, target_modules=())
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
        "target_modules": list(settings.target_modules) or NOTHING,
        "layers_to_transform": list(settings.layers) if settings.layers else None,
        "modules_to_save": list(family.head.modules),
    }
    text = json_text(config) + "\n"
    (directory / CONFIG).write_text(text, encoding="utf-8")
    tensors = {f"{_PREFIX}{name}": tensor for name, tensor in adapter.head.items()}
    for name, pair in adapter.factors.items():
        tensors[f"{_PREFIX}{name}{_DOWN}"] = pair.lora_A
        tensors[f"{_PREFIX}{name}{_UP}"] = pair.lora_B
    write_safetensors(directory / WEIGHTS, tensors)


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


def read_peft_config(directory: Path) -> dict[str, Any]:
    """Read ``adapter_config.json`` of a whole adapter.

    Raises:
        AdapterError: One of the two files is missing, this one is damaged, or it is a kind of
            adapter that the branch cannot compute.
    """
    check_inside(directory, AdapterError)
    path = directory / CONFIG
    config = read_object(path, AdapterError) if path.is_file() else {"peft_type": "LORA"}
    if config.get("peft_type") != "LORA":
        raise _another_kind(path, config)
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).is_file():
            raise _lacks(directory, name)
    task = config.get("task_type")
    if task not in (None, *(known.peft_task_type for known in TASKS.values())):
        what = _OTHER_TASKS.get(str(task), "another task")
        raise AdapterError(
            f"'{path}' was made for {what} (task_type '{task!s:.40}'), not for classifying texts."
        )
    used = [key for key in _UNSUPPORTED if config.get(key)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    initial = config.get("init_lora_weights", True)
    if initial not in _HARMLESS_INITIAL:
        used.append(f"init_lora_weights={initial}")
    if used:
        raise AdapterError(
            f"'{path}' uses {', '.join(used)}, which is not supported.", hint=_FOLD_IN
        )
    _check_numbers(config, path)
    return config


def _lacks(directory: Path, name: str) -> AdapterError:
    """The error for an adapter without one of its two files."""
    if name == WEIGHTS and (directory / _PICKLE).is_file():
        return AdapterError(
            f"'{directory}' holds its weights only as a pickle ({_PICKLE}), which could run code.",
            hint="Have PEFT write them as safetensors: "
            "PeftModel.from_pretrained(BASE, DIR).save_pretrained(OUT)",
        )
    return AdapterError(
        f"'{directory}' is not a whole adapter: it has no {name}.",
        hint="Copy the directory again, with all its files.",
    )


def _another_kind(path: Path, config: Mapping[str, Any]) -> AdapterError:
    """The error for an adapter that is none of LoRA's."""
    kind = config.get("peft_type")
    if kind is not None:
        # What stands before the text as vectors is in no weight that it could be folded into.
        foldable = not any(part in str(kind) for part in ("PROMPT", "PREFIX", "P_TUNING"))
        return AdapterError(
            f"'{path}' does not describe a LoRA adapter, but one of the kind '{kind!s:.40}'.",
            hint=_FOLD_IN if foldable else "",
        )
    if isinstance(config.get("config"), dict | str) or "model_class" in config:
        return AdapterError(
            f"'{path}' does not describe a LoRA adapter, but one of the library 'adapters'.",
            hint="That library answers with it.",
        )
    return AdapterError(f"'{path}' does not describe a LoRA adapter: it has no 'peft_type'.")


def _check_numbers(config: Mapping[str, Any], path: Path) -> None:
    """Check rank, alpha, dropout and the patterns over them; what they are is used in sums."""
    ranks = [config.get("r"), *_patterns(config, "rank_pattern", path).values()]
    alphas = [config.get("lora_alpha"), *_patterns(config, "alpha_pattern", path).values()]
    for rank in ranks:
        if type(rank) is not int or rank < 1:
            raise AdapterError(f"'{path}': the rank is {rank!r}, not a whole number from 1.")
    for alpha in alphas:
        if type(alpha) not in (int, float) or not 0 <= alpha <= _LARGEST_ALPHA:
            raise AdapterError(f"'{path}': lora_alpha is {alpha!r}, not a number from 0.")
    dropout = config.get("lora_dropout") or 0.0
    if type(dropout) not in (int, float) or not 0 <= dropout < 1:
        raise AdapterError(f"'{path}': lora_dropout is {dropout!r}, not between 0 and 1.")
    for key in ("base_model_name_or_path", "revision"):
        if not isinstance(config.get(key), str | None):
            raise AdapterError(f"'{path}': '{key}' is not a text.")


def _patterns(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """PEFT's ``rank_pattern``/``alpha_pattern``, each a regular expression that ends in time."""
    found = config.get(key) or {}
    if not isinstance(found, dict):
        raise AdapterError(f"'{path}': '{key}' is not an object.")
    for pattern in found:
        # Repeated groups, and many repetitions, can take longer than the universe; names need
        # neither.
        plain = re.fullmatch(r"[\w.^$|()\[\]*+\\-]{1,200}", pattern, re.ASCII)
        if not plain or re.search(r"\)[*+]", pattern) or len(re.findall(r"[*+]", pattern)) > 2:
            raise AdapterError(f"'{path}': '{shortened(pattern)}' in '{key}' is no usual pattern.")
        try:
            re.compile(_at_the_end(pattern))
        except re.error as problem:
            raise AdapterError(f"'{path}': '{pattern}' in '{key}' is no pattern.") from problem
    return found


def with_own_words(stored: PeftAdapter, backbone: Backbone) -> Backbone:
    """The backbone with the word embeddings that PEFT saved with an adapter, where it saved them.

    PEFT does so where the vocabulary was resized. What it saved is what the adapter was trained
    with, and what PEFT puts in the backbone's place when it loads it.

    Raises:
        AdapterError: They are of another width.
    """
    name = _PREFIX + _words(backbone)
    words = stored.tensors.get(name)
    if words is None:
        return backbone
    copy = stored.tensors.get(name.removesuffix("weight") + "modules_to_save.weight", words)
    if not copy.equal(words):
        raise AdapterError(f"'{stored.path}' holds two word embeddings that differ.", hint=_FOLD_IN)
    if words.ndim != 2 or words.shape[1] != backbone.word_embeddings.shape[1] or not len(words):
        raise AdapterError(
            f"'{stored.path}': its word embeddings, {list(words.shape)}, do not fit the "
            f"backbone's, {list(backbone.word_embeddings.shape)}.",
            hint="It was trained on another backbone: name that with --backbone.",
        )
    own = words.to(device=backbone.device, dtype=backbone.dtype)
    return (
        backbone if own.equal(backbone.word_embeddings) else replace(backbone, word_embeddings=own)
    )


def _words(backbone: Backbone) -> str:
    return f"{backbone.family.prefix}{backbone.family.words}.weight"


def assemble(stored: PeftAdapter, backbone: Backbone) -> Adapter:
    """The adapter as a state object, every shape checked against the backbone's.

    What the adapter lacks of the head's hidden layers comes from the backbone, where that has them;
    LoRA on the pooler, which PEFT's ``all-linear`` means too, is folded into it.

    Raises:
        AdapterError: A tensor fits nowhere, or the head is incomplete.
    """
    from lora_bert.model.branch import Adapter

    family, linears, words = backbone.family, backbone.linears, _words(backbone)
    # From the top: what layers share belongs to the lowest of them.
    depths = {
        linear.name: index
        for index, layer in reversed(list(enumerate(backbone.layers)))
        for stack in layer.stacks.values()
        for linear in stack.linears
    }
    shapes = {name: tuple(linear.weight.shape) for name, linear in linears.items()}
    factors: dict[str, LoraFactors] = {}
    head = {
        name: tensor
        for name, tensor in backbone.pretrained_head.items()
        if not name.startswith(f"{family.head.output}.")
    }
    for full, tensor in stored.tensors.items():
        name = full.removeprefix(_PREFIX)
        if name.endswith(_DOWN):
            linear = name.removesuffix(_DOWN)
            if (pooled := head.get(f"{linear}.weight")) is not None:
                pair = _factors(stored, linear, tuple(pooled.shape))
                head[f"{linear}.weight"] = pooled + pair.delta().to(pooled.device)
            else:
                factors[linear] = _factors(stored, linear, shapes.get(linear))
        elif name.endswith(_UP):
            if f"{_PREFIX}{name.removesuffix(_UP)}{_DOWN}" not in stored.tensors:
                raise AdapterError(f"'{stored.path}': '{full}' has no lora_A beside it.")
        elif name.replace(".modules_to_save.", ".").replace(".original_module.", ".") != words:
            head[name] = tensor.float()
    _check_head(stored, head, backbone)
    depth = min((depths[name] for name in factors), default=len(backbone.layers))
    return Adapter(factors, head, depth, float(stored.config.get("lora_dropout") or 0.0))


def _factors(stored: PeftAdapter, name: str, shape: tuple[int, ...] | None) -> LoraFactors:
    """The change of the linear layer of that name, whose weight has that shape."""
    from lora_bert.model.lora import LoraFactors

    if shape is None:
        raise AdapterError(
            f"'{stored.path}' changes '{name}', which is none of the linear layers of this "
            "backbone's layers, nor of its pooler.",
            hint="If it was trained on another backbone, name that with --backbone; LoRA on other "
            "parts is not supported.",
        )
    down = stored.tensors[f"{_PREFIX}{name}{_DOWN}"].float()
    up = stored.tensors.get(f"{_PREFIX}{name}{_UP}")
    if up is None:
        raise AdapterError(f"'{stored.path}': '{name}' has a lora_A but no lora_B.")
    out_features, in_features = shape
    rank = int(_pattern(stored.config.get("rank_pattern"), name, stored.config.get("r")))
    fits = down.ndim == up.ndim == 2 and down.shape[0] == up.shape[1] == rank
    if not fits or down.shape[1] != in_features or up.shape[0] != out_features:
        raise AdapterError(
            f"'{stored.path}': the factors of '{name}', {list(up.shape)} times "
            f"{list(down.shape)} at rank {rank}, do not fit the backbone's "
            f"[{out_features}, {in_features}].",
            hint="It was trained on another backbone: name that with --backbone.",
        )
    alpha = _pattern(stored.config.get("alpha_pattern"), name, stored.config.get("lora_alpha"))
    root = math.sqrt(rank) if stored.config.get("use_rslora") else rank
    return LoraFactors(down, up.float(), float(alpha) / root)


def _pattern(patterns: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """PEFT's ``rank_pattern``/``alpha_pattern``: regular expressions over the name's end."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(_at_the_end(pattern), name):
            return value
    return default


def _at_the_end(pattern: str) -> str:
    """A pattern over the last parts of a name, as PEFT means it."""
    return rf"(?:.*\.)?(?:{pattern})"


def _is_deep(name: str, family: Family) -> bool:
    """Whether a tensor belongs to embeddings or layers, and not to the head."""
    inside = name.removeprefix(family.prefix)
    return inside.startswith(("embeddings.", "encoder.", "transformer.", "layers."))


def _check_head(stored: PeftAdapter, head: Mapping[str, Tensor], backbone: Backbone) -> None:
    family, names = backbone.family, backbone.family.head
    allowed = [part for part in (names.dense, names.norm, names.output) if part]
    for name in head:
        if ".lora_" in name or (name.startswith(family.prefix) and _is_deep(name, family)):
            raise AdapterError(
                f"'{stored.path}' changes '{name}', a part of the backbone that no adapter here "
                "changes.",
                hint=_FOLD_IN,
            )
        if name.rpartition(".")[0] not in allowed:
            raise AdapterError(
                f"'{stored.path}' holds '{name}', which a {family.model_type} classifier has no "
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
    output, dense = head[f"{names.output}.weight"], head[f"{names.dense}.weight"]
    width = backbone.hidden_size
    if list(dense.shape) != [width, width] or list(output.shape[1:]) != [width]:
        raise AdapterError(
            f"'{stored.path}': the head's layers, {list(dense.shape)} and {list(output.shape)}, do "
            f"not fit the backbone's hidden size {width}.",
            hint="It was trained on another backbone: name that with --backbone.",
        )
