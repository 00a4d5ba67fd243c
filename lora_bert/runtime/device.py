"""Where to compute and how precisely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lora_bert.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` -> the device.

    Raises:
        UnavailableError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UnavailableError(
            "--device cuda: no NVIDIA GPU that this build of torch can use.",
            hint="Use --device cpu, or install a CUDA build of torch.",
        )
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """``int8``, ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the device is fast in it."""
    if name == "int8":
        return torch.int8
    narrow = _bfloat16_is_fast(device) if name == "auto" else name == "bfloat16"
    return torch.bfloat16 if narrow else torch.float32


def dtype_name(name: str, device: str) -> str:
    """The precision that ``name`` comes to on the device of that name: ``float32``, ``bfloat16``.

    Raises:
        UnavailableError: As :func:`pick_device`.
    """
    return str(pick_dtype(name, pick_device(device))).removeprefix("torch.")


def processor_of(device: torch.device) -> str:
    """What computes there, as far as it decides the last bits: the GPU, or the instruction set."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    amx = ", AMX" if has_amx() else ""
    return torch.backends.cpu.get_cpu_capability() + amx


def has_row_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch has attention there that reads rows of different lengths without padding."""
    return (
        device.type == "cuda"
        and dtype in (torch.bfloat16, torch.float16)
        and torch.backends.cuda.is_flash_attention_available()
        and torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def tensor_on(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """An array on a device; a GPU does not finish first what it was told before.

    That is safe: numpy's memory is not pinned, so CUDA has read it when the call returns.
    """
    return torch.from_numpy(array).to(device, non_blocking=True)


def _bfloat16_is_fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return has_amx() or _has("_is_avx512_bf16_supported")


def has_amx() -> bool:
    """Whether the processor multiplies whole tiles of bfloat16 at once."""
    return _has("_is_amx_tile_supported")


def multiplies_int8(device: torch.device) -> bool:
    """Whether the processor has instructions for products of eight bits (VNNI)."""
    return device.type == "cpu" and _has("_is_vnni_supported")


def _has(probe: str) -> bool:
    """Torch has no public question for the CPU's instruction sets; an absent one counts as no."""
    return bool(getattr(torch.cpu, probe, lambda: False)())
