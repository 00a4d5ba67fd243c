"""Files that are one table in several pieces, ``train-00000-of-00002`` and so on."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lora_bert.data.opening import data_stem
from lora_bert.errors import DataError
from lora_bert.wording import counted, listed

logger = logging.getLogger(__name__)

_TOTAL = re.compile(r"(\d+)-of-(\d+)")


def whole(shards: Sequence[Path], part: str) -> tuple[Path, ...]:
    """The shards in their order.

    Raises:
        DataError: Their names say that there are more, or tell of two sets of shards.
    """
    told = [path for path in shards if _TOTAL.search(data_stem(path.name))]
    absent = lacking(told)
    if absent is None:
        raise DataError(
            f"The shards of {part} are of more than one set: {listed(path.name for path in told)}.",
            hint="Keep those that belong together, or name them with a pattern.",
        )
    if absent:
        raise DataError(
            f"'{told[0].parent}' lacks {counted(absent, 'shard')} of {part}: it has "
            f"{listed((path.name for path in told), 3)}.",
            hint="Get the rest of them, or name those that are here with a pattern.",
        )
    if len(shards) > 1:
        names = [path.name for path in shards]
        logger.info("Reading %s for %s: '%s' to '%s'.", counted(len(names), "file"), part,
                    names[0], names[-1])  # fmt: skip
    return tuple(shards)


def lacking(shards: Iterable[Path]) -> int | None:
    """How many shards are not here by the others' names; None where they are of several sets."""
    told = [match for path in shards if (match := _TOTAL.search(data_stem(path.name)))]
    numbers, totals = {int(match[1]) for match in told}, {int(match[2]) for match in told}
    if len(totals) > 1 or len(numbers) < len(told):
        return None
    return sum(totals) - len(numbers)
