"""``lora-bert info``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lora_bert.cli.console import visible
from lora_bert.cli.declare import Answer, declare
from lora_bert.config import InfoConfig
from lora_bert.wording import counted

_DIGEST = re.compile("[0-9a-f]{64}")


@declare("info", InfoConfig, needs="a directory", usage="adapters/waimai")
def command(config: InfoConfig, as_json: bool) -> Answer:
    """Say what a directory holds: task, labels, backbone, sizes, scores, data, versions.

    Examples:
      lora-bert info adapters/waimai
      lora-bert info out/ --json
      lora-bert info e5-small-zh-en
    """
    from lora_bert.adapters.describe import describe

    facts = describe(config.path)
    shown = {name: _shown(name, value) for name, value in facts.items()}
    if "metrics" in facts:
        shown["metrics"] = _scored(facts["metrics"], facts["problem_type"])
    if shown.get("metrics") and facts.get("exported", {}).get("precision") == "int8":
        shown["metrics"] += " (of the model in float, before it was quantised)"
    lines = [
        f"{name.replace('_', ' '):<16} {visible(text)}" for name, text in shown.items() if text
    ]
    return Answer(facts, "\n".join(lines))


def _shown(name: str, value: Any) -> str:
    if name == "bytes":
        return f"{value / 1e6:.1f} MB"
    if name == "backbone_here":
        return value or "no: name it with --backbone"
    if name == "exported":
        return _exported(value)
    if name == "labels" and len(value) > 20:
        return f"{len(value)}: {', '.join(value[:20])}, …"
    if name == "layers":
        return _layers(value)
    if name == "combined":
        return ", ".join(
            f"{part['adapter']} {part['share']:.1%}" if "share" in part else part["adapter"]
            for part in value
        )
    if name == "data" and isinstance(value, dict):
        # How the rows were read is for the commands; --json and lora_bert.json have it.
        value = {key: entry for key, entry in value.items() if key != "told"}
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return f"{value[:12]}…"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(
            f"{key.replace('_', ' ')} {_shown(key, entry)}" for key, entry in value.items()
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _scored(parts: Mapping[str, Mapping[str, Any]], problem_type: str) -> str:
    """The first figures of each part, those of them that are there."""
    from lora_bert.tasks.problem_types import task_of

    metrics, shown = task_of(problem_type).metrics, []
    for part, scores in parts.items():
        known = [each for each in metrics if isinstance(scores.get(each.name), float)]
        figures = ", ".join(
            f"{each.shown} {scores[each.name]:{'.2%' if each.share else '.4f'}}"
            for each in known[:2]
        )
        shown.append(f"{part}: {figures} on {scores['rows']:,} rows")
    return "; ".join(shown)


def _exported(facts: Mapping[str, Any]) -> str:
    """Format and precision, and of a quantised model what was seen of its answers."""
    words = [part for key in ("format", "precision") if (part := facts.get(key))]
    trunk = facts.get("trunk")
    if isinstance(trunk, dict) and type(layers := trunk.get("layers")) is int:
        words.append(f"on a trunk of {counted(layers, 'layer')}")
    agreement, texts = facts.get("agreement"), facts.get("texts")
    if facts.get("precision") == "int8" and isinstance(agreement, float):
        words.append(f"same label as in float on {agreement:.1%} of {texts} texts")
        accuracy = facts.get("accuracy")
        if isinstance(accuracy, list) and len(accuracy) == 2:
            words.append(f"accuracy on them {accuracy[1]:.1%}, in float {accuracy[0]:.1%}")
    return ", ".join(words)


def _layers(indices: Any) -> str:
    """As ``train`` names layers: counted from 1. Plain PEFT writes a list, a number or nothing."""
    if indices is None:
        return "all"
    numbers = indices if isinstance(indices, list) else [indices]
    if not numbers or not all(type(number) is int for number in numbers):
        return str(indices)
    low, high = min(numbers), max(numbers)
    if high > low and sorted(numbers) == list(range(low, high + 1)):
        return f"{low + 1} to {high + 1}, counted from 1"
    return f"{', '.join(str(number + 1) for number in numbers)}, counted from 1"
