"""``lora-bert cache``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import CacheConfig
from lora_bert.errors import ConfigError, did_you_mean
from lora_bert.wording import amount, counted

_ACTIONS = ("list", "clear")
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))


@declare("cache", CacheConfig)
def command(config: CacheConfig, as_json: bool) -> Answer:
    """List or clear what is kept on disk to save time: trunk outputs, tokens, unpacked backbones.

    All of it is made again when it is needed. Downloaded data sets are cleared only by name
    (lora-bert cache clear data).

    Examples:
      lora-bert cache
      lora-bert cache clear
      lora-bert cache clear trunk --older-than 7
      lora-bert cache clear 3f2a91c0
    """
    from lora_bert.cache.entries import total_limit
    from lora_bert.cache.housekeeping import clear, entries
    from lora_bert.files import cache_dir

    if config.action not in _ACTIONS:
        raise ConfigError(
            f"cache: '{config.action}' is neither list nor clear.",
            hint=did_you_mean(config.action, _ACTIONS) or "lora-bert cache clear trunk",
        )
    limit, cleared = total_limit(), config.action == "clear"
    act = clear if cleared else entries
    kept = act(config.names, unused_days=config.older_than or 0.0)
    size = sum(entry.size for entry in kept)
    total = f"{counted(len(kept), 'entry', 'entries')}, {amount(size)} ({cache_dir()})"
    return Answer(
        {
            "path": str(cache_dir()),
            "limit_bytes": limit,
            "bytes": size,
            "cleared" if cleared else "entries": [_facts(entry) for entry in kept],
        },
        f"cleared     {total}" if cleared else "\n".join([*_table(kept), f"in all     {total}"]),
    )


def _facts(entry: Any) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "key": entry.key,
        "what": entry.what,
        "bytes": entry.size,
        "last_used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used)),
        "path": str(entry.path),
    }


def _table(kept: Sequence[Any]) -> list[str]:
    if not kept:
        return []
    rows = [("KIND", "KEY", "SIZE", "LAST USED", "WHAT")]
    rows += [
        (entry.kind, _short(entry.key), amount(entry.size), _ago(entry.used), entry.what)
        for entry in kept
    ]
    kind, key, size, used = (max(len(row[at]) for row in rows) for at in range(4))
    return [
        f"{row[0]:<{kind}}  {row[1]:<{key}}  {row[2]:>{size}}  {row[3]:<{used}}  {row[4]}"
        for row in rows
    ]


def _short(key: str) -> str:
    """Enough of a hash to name it by."""
    return key if len(key) <= 32 else key[:12]


def _ago(moment: float) -> str:
    seconds = time.time() - moment
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{counted(int(seconds / length), unit)} ago"
    return "just now"
