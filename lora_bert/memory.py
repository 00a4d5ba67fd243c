"""Memory that is needed again at once stays with the process."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM, _PAD, _MAP = -1, -2, -3  # glibc's M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD


@cache
def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed, up to the most that was in use.

    A training step frees what the next one allocates; by default glibc hands large blocks back to
    the system in between, which clears every page of them anew: a tenth of the time of a step.

    Returns:
        Whether the library is one that can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows
        return False
    # Releases differ in how large a threshold they accept.
    mapped = mallopt(_MAP, 2**30) or mallopt(_MAP, 2**25)
    return bool(mapped and mallopt(_TRIM, 2**31 - 1) and mallopt(_PAD, 2**27))
