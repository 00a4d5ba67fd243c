"""Labels that differ only in case, width or characters that cannot be seen."""

from __future__ import annotations

import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence

from lora_bert.names import write_label_names
from lora_bert.wording import counted, visible

_VARIANTS = "\ufe0e\ufe0f"
"""Characters that choose between two looks of the character before them."""
_GROUPS_NAMED = 5
_JOINED = 100
"""The most labels to rename in one option."""


def spelling_warnings(labels: Sequence[str]) -> list[str]:
    """What to say of labels that one meant to be one: the groups and the option that joins them."""
    sizes = Counter(labels)
    groups: dict[str, list[str]] = {}
    for label in sizes:
        groups.setdefault(_key(label), []).append(label)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        return []
    names: dict[str, str] = {}
    for group in several:
        plain = [label for label in group
                 if label.isprintable() and unicodedata.is_normalized("NFKC", label)]  # fmt: skip
        best = max(plain or group, key=lambda label: (sizes[label], label))
        names |= {label: best for label in group if label != best}
    shown = "; ".join(
        ", ".join(f"'{visible(label, 40)}' ({sizes[label]:,})" for label in group)
        for group in several[:_GROUPS_NAMED]
    )
    more = len(several) - _GROUPS_NAMED
    shown += f"; and {counted(more, 'more group')}" if more > 0 else ""
    pairs = dict(list(names.items())[:_JOINED])
    some = f" (the first {_JOINED} of {len(names):,})" if len(names) > _JOINED else ""
    option = shlex.quote(write_label_names(pairs))
    total = sum(map(len, several))
    return [
        f"{total:,} labels differ from another one only in case, width or invisible characters: "
        f"{shown}. To join them{some}: --label-names {option}"
    ]


def _key(label: str) -> str:
    """A key that is the same for labels which look alike."""
    if not label.isascii():
        label = unicodedata.normalize("NFKC", label)
        label = "".join(
            char for char in label if unicodedata.category(char) != "Cf" and char not in _VARIANTS
        )
    return " ".join(label.casefold().split())
