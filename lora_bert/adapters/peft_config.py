"""PEFT's ``adapter_config.json``, ours or a stranger's: reading and checking it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_bert.backbones.inside import check_inside
from lora_bert.errors import AdapterError
from lora_bert.json_files import read_object
from lora_bert.tasks.problem_types import problem_types, task_of
from lora_bert.wording import shortened

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"

_OTHER_TASKS: Mapping[str, str] = {
    "CAUSAL_LM": "writing texts",
    "SEQ_2_SEQ_LM": "turning texts into others",
    "FEATURE_EXTRACTION": "making embeddings",
}
_LARGEST_ALPHA = 1e6
# What would change the result and that our branch does not compute; falsy means unused.
_UNSUPPORTED = (
    "use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "trainable_token_indices",
    "target_parameters", "arrow_config", "alora_invocation_tokens", "layer_replication",
    "lora_bias", "kasa_config", "monteclora_config",
)  # fmt: skip
FOLD_IN = (
    "Fold it in with PEFT, and save the whole: merge_and_unload(), then save_pretrained(OUT); name "
    "that directory instead."
)
NO_MODULES = "dummy-target-modules"
"""PEFT's own word for "no layer", where an empty list is an error."""
OTHERWISE = "the head reads another vector than PEFT would give it: README.md here says how"
"""PEFT refuses to initialise LoRA matrices so, with these words in its error."""
_SCALING: Mapping[str, Any] = {"lora_alpha": 0, "use_rslora": False, "alpha_pattern": {}}
"""What decides, with the rank, how much the matrices count for -> what it is unsaid."""
# Initialisations that leave the backbone's weights as they are; PiSSA, OLoRA and kin change them.
_HARMLESS_INITIAL = (True, False, None, "gaussian", "eva", "orthogonal", OTHERWISE)


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
    if task not in (None, *(task_of(known).peft_task_type for known in problem_types())):
        what = _OTHER_TASKS.get(str(task), "another task")
        raise AdapterError(
            f"'{path}' was made for {what} (task_type '{task!s:.40}'), not for classifying texts."
        )
    _check_computable(config, path)
    _check_numbers(config, path)
    return config


def not_for_peft(layers: int, *, changes_layers: bool) -> dict[str, Any]:
    """What makes plain PEFT refuse an adapter whose head reads what PEFT would not give it.

    An adapter without LoRA matrices asks for a layer more than the backbone has (``layers``).
    """
    if changes_layers:
        return {"init_lora_weights": OTHERWISE}
    return {"layer_replication": [[0, layers + 1]]}


def is_not_for_peft(config: Mapping[str, Any]) -> bool:
    """Whether an ``adapter_config.json`` says what :func:`not_for_peft` gives."""
    if config.get("target_modules") == NO_MODULES:
        return bool(config.get("layer_replication"))
    return config.get("init_lora_weights") == OTHERWISE


def _check_computable(config: Mapping[str, Any], path: Path) -> None:
    used = [key for key in _UNSUPPORTED if config.get(key)]
    if is_not_for_peft(config):
        used = [key for key in used if key != "layer_replication"]
    if config.get("bias", "none") != "none":
        used.append("bias")
    initial = config.get("init_lora_weights", True)
    if initial not in _HARMLESS_INITIAL:
        used.append(f"init_lora_weights={initial}")
    if used:
        raise AdapterError(
            f"'{path}' uses {', '.join(used)}, which is not supported.", hint=FOLD_IN
        )


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
            hint=FOLD_IN if foldable else "",
        )
    if isinstance(config.get("config"), dict | str) or "model_class" in config:
        return AdapterError(
            f"'{path}' does not describe a LoRA adapter, but one of the library 'adapters'.",
            hint="That library answers with it.",
        )
    return AdapterError(f"'{path}' does not describe a LoRA adapter: it has no 'peft_type'.")


def _check_numbers(config: Mapping[str, Any], path: Path) -> None:
    """Check rank, alpha, dropout and the patterns over them; what they are is used in sums."""
    for key in ("r", "lora_alpha"):
        if key not in config:
            raise AdapterError(f"'{path}' has no '{key}'.", hint="Copy it again.")
    ranks = [config.get("r"), *_patterns(config, "rank_pattern", path).values()]
    alphas = [config.get("lora_alpha"), *_patterns(config, "alpha_pattern", path).values()]
    for rank in ranks:
        if type(rank) is not int or rank < 1:
            raise AdapterError(f"'{path}': the rank is {rank!r:.60}, not a whole number from 1.")
    for alpha in alphas:
        if type(alpha) not in (int, float) or not 0 <= alpha <= _LARGEST_ALPHA:
            raise AdapterError(f"'{path}': lora_alpha is {alpha!r:.60}, not a number from 0.")
    dropout = config.get("lora_dropout") or 0.0
    if type(dropout) not in (int, float) or not 0 <= dropout < 1:
        raise AdapterError(f"'{path}': lora_dropout is {dropout!r}, not between 0 and 1.")
    for key in ("base_model_name_or_path", "revision"):
        if not isinstance(config.get(key), str | None):
            raise AdapterError(f"'{path}': '{key}' is not a text.")


def _patterns(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """PEFT's ``rank_pattern``/``alpha_pattern``, each a regular expression that ends in time."""
    patterns = config.get(key) or {}
    if not isinstance(patterns, dict):
        raise AdapterError(f"'{path}': '{key}' is not an object.")
    for pattern in patterns:
        # Repeated groups, and many repetitions, can take longer than the universe; names need
        # neither.
        plain = re.fullmatch(r"[\w.^$|()\[\]*+\\-]{1,200}", pattern, re.ASCII)
        if not plain or re.search(r"\)[*+]", pattern) or len(re.findall(r"[*+]", pattern)) > 2:
            raise AdapterError(f"'{path}': '{shortened(pattern)}' in '{key}' is no usual pattern.")
        try:
            re.compile(_at_the_end(pattern))
        except re.error as problem:
            raise AdapterError(f"'{path}': '{pattern}' in '{key}' is no pattern.") from problem
    return patterns


def scaling_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an ``adapter_config.json`` says of how much the matrices count for, beside the rank."""
    return {key: config.get(key) or unsaid for key, unsaid in _SCALING.items()}


def value_for(name: str, config: Mapping[str, Any], patterns: str, default: str) -> Any:
    """The rank or alpha of the linear layer ``name``: of the first pattern that fits its end.

    Where none does, it is the adapter's. ``patterns`` and ``default`` are the keys of the two:
    ``rank_pattern`` and ``r``, or ``alpha_pattern`` and ``lora_alpha``.
    """
    for pattern, value in (config.get(patterns) or {}).items():
        if re.fullmatch(_at_the_end(pattern), name):
            return value
    return config.get(default)


def _at_the_end(pattern: str) -> str:
    """A pattern over the last parts of a name, as PEFT means it."""
    return rf"(?:.*\.)?(?:{pattern})"
