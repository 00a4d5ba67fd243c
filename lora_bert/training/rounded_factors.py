"""LoRA factors as the branch multiplies by them: put together, scaled and rounded once a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lora_bert.model.adapter import Adapter
from lora_bert.model.backbone import Backbone
from lora_bert.model.lora import LoraUpdate


class RoundedFactors:
    """What :func:`~lora_bert.model.forward.lora_updates` makes of an adapter, step after step.

    Every slice of a step has gradients for these tensors; only their sum goes on to the adapter's.

    Args:
        backbone: Its linear layers, in its dtype.
        adapter: Trained in place.

    Attributes:
        updates: By the name of the fused linear.
        leaves: What gradients are taken for: their tensors, and the head's, which are exact.
    """

    def __init__(self, backbone: Backbone, adapter: Adapter) -> None:
        self.updates: dict[str, LoraUpdate] = {}
        self.leaves: list[Tensor] = []
        self._exact: list[Tensor] = []
        self._scalings: list[float] = []
        self._places: list[tuple[int, tuple[slice, ...], bool]] = []
        for name, fused in backbone.fused(adapter.depth).items():
            output, rank = 0, 0
            for linear in fused.linears:
                outputs = slice(output, output := output + len(linear.weight))
                if (pair := adapter.factors.get(linear.name)) is not None:
                    ranks = slice(rank, rank := rank + len(pair.lora_A))
                    self._exact += [pair.lora_A, pair.lora_B]
                    self._scalings += [1.0, pair.scaling]
                    at = len(self.leaves)
                    self._places += [(at, (ranks,), False), (at + 1, (ranks, outputs), True)]
            if rank:
                down = fused.weight.new_zeros(rank, fused.weight.shape[1])
                up = fused.weight.new_zeros(rank, output)
                self.updates[name] = LoraUpdate(down.requires_grad_(), up.requires_grad_())
                self.leaves += [down, up]
        self._head = list(adapter.head.values())
        self._views = self._shares([leaf.detach() for leaf in self.leaves])
        self.leaves += self._head

    def refresh(self) -> None:
        """Take over what the adapter's tensors are now."""
        if not self._exact:
            return
        with torch.no_grad():
            torch._foreach_copy_(self._views, torch._foreach_mul(self._exact, self._scalings))

    def joined(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """The gradients of :attr:`leaves` one behind the other, ``[numbers]``."""
        return torch.cat([part.ravel() for part in gradients]).to(dtype)

    def pass_on(self, joined: Tensor) -> None:
        """Give the adapter's tensors their share of a float32 sum of :meth:`joined`; uses it up."""
        parts = torch.split(joined, [leaf.numel() for leaf in self.leaves])
        whole = [part.view_as(leaf) for leaf, part in zip(self.leaves, parts, strict=True)]
        if self._exact:
            shares = self._shares(whole)
            torch._foreach_mul_(shares, self._scalings)
            for tensor, share in zip(self._exact, shares, strict=True):
                tensor.grad = share.contiguous()
        for tensor, gradient in zip(self._head, whole[-len(self._head) :], strict=True):
            tensor.grad = gradient

    def _shares(self, whole: Sequence[Tensor]) -> list[Tensor]:
        """What each of the adapter's LoRA factors has of tensors like :attr:`leaves`, as views."""
        parts = [(whole[at][place], turned) for at, place, turned in self._places]
        return [part.t() if turned else part for part, turned in parts]
