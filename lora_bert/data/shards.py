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
    numbered = [path for path in shards if _TOTAL.search(data_stem(path.name))]
    absent = lacking(numbered)
    if absent is None:
        names = listed(path.name for path in numbered)
        raise DataError(
            f"The shards of {part} are of more than one set: {names}.",
            hint="Keep those that belong together, or name them with a pattern.",
        )
    if absent:
        raise DataError(
            f"'{numbered[0].parent}' lacks {counted(absent, 'shard')} of {part}: it has "
            f"{listed((path.name for path in numbered), 3)}.",
            hint="Get the rest of them, or name those that are here with a pattern.",
        )
    if len(shards) > 1:
        ends = f"'{shards[0].name}' to '{shards[-1].name}'"
        logger.info("Reading %s for %s: %s.", counted(len(shards), "file"), part, ends)
    return tuple(shards)


def lacking(shards: Iterable[Path]) -> int | None:
    """How many shards are not here by the others' names; None where they are of several sets."""
    names = [match for path in shards if (match := _TOTAL.search(data_stem(path.name)))]
    numbers, totals = {int(name[1]) for name in names}, {int(name[2]) for name in names}
    if len(totals) > 1 or len(numbers) < len(names):
        return None
    return sum(totals) - len(numbers)
