"""The one progress bar: on stderr, on terminals only, for what takes longer than two seconds."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm


def track(total: int | None, label: str, unit: str = "row", *, done: int = 0) -> tqdm[Any]:
    """A bar to ``update(n)`` and ``close()``, or to use in a ``with``; none with $TQDM_DISABLE."""
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=f" {unit}s",
        file=sys.stderr,
        disable=True if os.environ.get("TQDM_DISABLE") else None,
        delay=2,
        leave=False,
        dynamic_ncols=True,
    )
