"""Memory: what is needed again at once stays with the process; and how its lack is told."""

from __future__ import annotations

import ctypes
import errno
from functools import cache

_LACKING = (
    "can't allocate memory", "cannot allocate memory", "out of memory", "not enough memory",
    "bad_alloc", "bad allocation", "failed to map segment", "could not create a primitive",
    "can't start new thread",
)  # fmt: skip
_TRIM, _PAD, _MAP = -1, -2, -3  # glibc's M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on the CPU or on a GPU.

    Only CUDA has a class of its own for that in torch; elsewhere it is a sentence.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    said = str(error).lower().replace("a primitive descriptor", "")  # that is something else
    # ImportError: a library of which no more could be loaded.
    return isinstance(error, RuntimeError | ImportError) and any(part in said for part in _LACKING)


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


def reserve_for_blas() -> None:
    """Have numpy's BLAS take its buffers now, while there is memory.

    OpenBLAS takes them when it is first used and keeps them; where it cannot have them, it ends the
    process, and what was trained until then with it.
    """
    import numpy as np

    square = np.eye(256)  # small ones are multiplied without buffers
    np.linalg.inv(square @ square)
