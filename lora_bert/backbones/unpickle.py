"""``python unpickle.py IN OUT``: the tensors of one ``.bin`` file as safetensors.

A program of its own, for a process of its own that knows nothing of this one. torch's reader for
weights alone builds tensors and plain containers; whatever else a pickle asks for, it refuses.
"""

from __future__ import annotations

import pickle
import sys

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file


def main() -> None:
    """Convert, or say on the last line of stderr why not and exit with 1."""
    source, target = sys.argv[1:]
    try:
        stored = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        sys.exit(f"it asks for more than weights ({_reason(error)})")
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        sys.exit(f"it is damaged or not written by torch ({_reason(error)})")
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        sys.exit("it does not hold weights by name")
    tensors = {
        name: value.detach().clone().contiguous()
        for name, value in stored.items()
        if isinstance(value, torch.Tensor) and value.layout == torch.strided
    }
    try:
        save_file(tensors, target)
    except SafetensorError as error:
        sys.exit(f"its weights cannot be written ({_reason(error)})")


def _reason(error: Exception) -> str:
    """The error's first line that says something of its own."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line.startswith(("WeightsUnpickler error", "Unsupported"))]
    return (telling or [line for line in lines if line] or [type(error).__name__])[0].rstrip(".:")


if __name__ == "__main__":
    main()
