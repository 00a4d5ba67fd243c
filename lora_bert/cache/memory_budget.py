"""How much room there is: memory, the device's memory, the disk of the cache."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from lora_bert.cache.entries import total_limit
from lora_bert.files import cache_dir

_CGROUP = Path("/sys/fs/cgroup")


def memory_budget(device: torch.device, limit: int | None = None) -> int:
    """Bytes a cache may take in a device's memory: half of what is free, or up to ``limit``."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_memory()
    return free // 2 if limit is None else min(free, limit)


def disk_budget(limit: int | None = None) -> int:
    """Bytes that one entry may take on the disk of the cache.

    At most half of what is free there, and no more than all entries may take together; none where
    nobody may look.
    """
    place = cache_dir()
    try:
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
    except OSError:
        return 0
    rooms = [free // 2, total_limit()]
    return min(rooms if limit is None else [*rooms, limit])


def _free_memory() -> int:
    """Bytes that this process can still have without swapping, within a container's limit."""
    available: int = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # in no container, or in one without a limit
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        return min(available, max(0, limit - used))
    return available
