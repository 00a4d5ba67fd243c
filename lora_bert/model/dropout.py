"""Dropout that depends on a seed and nothing else: not on threads, order, or what came before."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def dropout(x: Tensor, rate: float, seed: int) -> Tensor:
    """Zero elements of ``x`` with probability ``rate`` and scale the others by ``1 / (1 - rate)``.

    The same seed gives the same elements (Srivastava et al. 2014, JMLR 15).
    """
    if not rate:
        return x
    generator = torch.Generator(x.device).manual_seed(seed)
    kept = torch.empty_like(x, requires_grad=False).bernoulli_(1 - rate, generator=generator)
    return x * kept.div_(1 - rate)


def derived_seed(*parts: int | str) -> int:
    """One seed, 0 ≤ seed < 2⁶³, of several numbers and names."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1
