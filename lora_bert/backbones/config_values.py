"""What ``config.json`` says must be of the kind it is used as: sizes decide loops and shapes."""

from __future__ import annotations

from collections.abc import Mapping

from lora_bert.backbones.family import Config, Family
from lora_bert.errors import BackboneError

_WHOLE: Mapping[str, tuple[int, int]] = {
    "hidden_size": (1, 1 << 16),
    "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, 1 << 12),
    "intermediate_size": (1, 1 << 20),
    "embedding_size": (1, 1 << 16),
    "max_position_embeddings": (1, 1 << 24),
    "type_vocab_size": (0, 1 << 16),
    "pad_token_id": (0, 1 << 24),
    "num_hidden_groups": (1, 1000),
    "inner_group_num": (1, 1000),
    "conv_kernel_size": (0, 1 << 10),
    "conv_groups": (1, 1 << 16),
    "max_relative_positions": (-1, 1 << 24),
    "position_buckets": (-1, 1 << 24),
    "local_attention": (0, 1 << 24),
    "global_attn_every_n_layers": (1, 1000),
}
_REAL: Mapping[str, tuple[float, float]] = {
    "layer_norm_eps": (0.0, 1.0),
    "initializer_range": (0.0, 100.0),
    "local_rope_theta": (1e-3, 1e12),
    "global_rope_theta": (1e-3, 1e12),
    **dict.fromkeys(
        ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
         "classifier_dropout_prob", "seq_classif_dropout", "pooler_dropout", "dropout",
         "summary_last_dropout"),
        (0.0, 1.0),
    ),
}  # fmt: skip
_TEXT = ("hidden_act", "conv_act", "norm_rel_ebd", "classifier_pooling", "classifier_activation",
         "pooler_hidden_act")  # fmt: skip


def check_settings(config: Config, family: Family) -> None:
    """Check the types and ranges of everything that is used of a ``config.json``.

    Raises:
        BackboneError: One of them is something else; the first is named.
    """
    for name, (low, high) in _WHOLE.items():
        key, value = _found(config, family, name)
        if value is not None and not (type(value) is int and low <= value <= high):
            raise _wrong(key, value, f"a whole number from {low} to {high}")
    for name, (least, most) in _REAL.items():
        key, value = _found(config, family, name)
        if value is not None and not _is_real(value, least, most):
            raise _wrong(key, value, f"a number from {least:g} to {most:g}")
    for name in _TEXT:
        key, value = _found(config, family, name)
        if not isinstance(value, str | None):
            raise _wrong(key, value, "a text")
    _check_lists(config, family)
    _, width = _found(config, family, "hidden_size")
    _, heads = _found(config, family, "num_attention_heads")
    if isinstance(width, int) and isinstance(heads, int) and width % heads:
        raise BackboneError(
            f"The backbone's hidden size, {width}, is not a multiple of {heads} heads."
        )


def _check_lists(config: Config, family: Family) -> None:
    kinds = config.get("layer_types")
    if kinds is not None and not (_is_texts(kinds) and len(kinds) >= family.layer_count(config)):
        raise _wrong("layer_types", kinds, "a list with a text for each layer")
    kinds = family.keys.get("pos_att_type", "pos_att_type")
    written = config.get(kinds)
    if not (isinstance(written, str | None) or _is_texts(written)):
        raise _wrong(kinds, written, "a text or a list of texts")
    rope = config.get("rope_parameters")
    for part in ("sliding_attention", "full_attention"):
        inner = rope.get(part) if isinstance(rope, dict) else None
        base = inner.get("rope_theta") if isinstance(inner, dict) else None
        if not (isinstance(rope, dict | None) and isinstance(inner, dict | None)):
            raise _wrong("rope_parameters", rope, "an object of objects")
        if base is not None and not _is_real(base, *_REAL["global_rope_theta"]):
            raise _wrong("rope_theta", base, "a number from 0.001 to 1e+12")


def _found(config: Config, family: Family, name: str) -> tuple[str, object]:
    key = family.keys.get(name, name)
    return key, config.get(key, family.defaults.get(key))


def _is_real(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and least <= value <= most


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _wrong(key: str, value: object, wanted: str) -> BackboneError:
    return BackboneError(f"The backbone's config.json: '{key}' is {value!r:.60}, not {wanted}.")


_TELLING: Mapping[str, tuple[str, ...]] = {
    "distilbert": ("n_layers", "dim"),
    "deberta-v2": ("pos_att_type", "position_buckets"),
    "albert": ("inner_group_num",),
    "modernbert": ("local_attention",),
    "roformer": ("rotary_value",),
    "ernie": ("use_task_id",),
    "mpnet": ("relative_attention_num_buckets",),
}
"""Keys of ``config.json`` that one family has."""


def line_to_add(config: Config, families: Mapping[str, Family]) -> str:
    """Which line a ``config.json`` without ``model_type`` lacks, as far as the rest of it tells."""
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    for family in families.values():
        stem = family.architecture.removesuffix("ForSequenceClassification")
        if name.startswith((f"{stem}For", f"{stem}Model", f"{stem}LM")):
            return f'Add the line "model_type": "{family.model_type}", as its class is {name:.60}.'
    for model_type, keys in _TELLING.items():
        if all(key in config for key in keys):
            return f'Add the line "model_type": "{model_type}", as it has \'{keys[0]}\'.'
    return f'Add the line "model_type": "…", with one of {", ".join(sorted(families))}.'
