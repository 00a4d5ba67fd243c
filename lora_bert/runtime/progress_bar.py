"""The one progress bar: on stderr, on terminals and in notebooks, where work takes two seconds."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def track(total: int | None, label: str, unit: str = "row", *, done: int = 0) -> tqdm[Any]:
    """A bar to ``update(n)`` and ``close()``, or to use in a ``with``; none with $TQDM_DISABLE."""
    from tqdm import tqdm

    shown = False if is_notebook() else None  # None: where stderr is a terminal
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=f" {unit}s",
        file=sys.stderr,
        disable=True if os.environ.get("TQDM_DISABLE") else shown,
        delay=2,
        leave=False,
        dynamic_ncols=True,
    )


def is_notebook() -> bool:
    """Whether the code runs in a Jupyter kernel: its stderr is no terminal, but somebody reads."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return getattr(running, "kernel", None) is not None
