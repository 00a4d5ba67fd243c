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
        whole = cut(joined, self.leaves)
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


class GatheredFactors(RoundedFactors):
    """The same bits by few operations, however many layers there are.

    For a GPU: to start one takes it longer than to move a few thousand numbers. The numbers of all
    leaves stand one behind the other, and so do those of the adapter's factors; either side takes
    its own out of the other's.
    """

    def __init__(self, backbone: Backbone, adapter: Adapter) -> None:
        super().__init__(backbone, adapter)
        rounded, device = self.leaves[: len(self.leaves) - len(self._head)], backbone.device
        self._rounded = torch.zeros(
            sum(leaf.numel() for leaf in rounded), dtype=backbone.dtype, device=device
        )
        shares = self._shares(cut(torch.arange(len(self._rounded)), rounded))
        rounded = [leaf.requires_grad_() for leaf in cut(self._rounded, rounded)]
        self.leaves, self._views = [*rounded, *self._head], []
        pairs = zip(rounded[::2], rounded[1::2], strict=True)
        self.updates = {
            name: LoraUpdate(*pair) for name, pair in zip(self.updates, pairs, strict=True)
        }

        order = torch.cat([torch.zeros(0, dtype=torch.int64), *(part.ravel() for part in shares)])
        # What belongs to no layer of its rank is the zero that stands behind the exact numbers.
        source = torch.full((len(self._rounded),), len(order))
        source[order] = torch.arange(len(order))
        self._order, self._source = (part.int().to(device) for part in (order, source))
        self._zero = torch.zeros(1, device=device)
        pairs_of = zip(self._exact, self._scalings, strict=True)
        scalings = [torch.full((tensor.numel(),), scaling) for tensor, scaling in pairs_of]
        self._scaling = torch.cat([torch.zeros(0), *scalings]).to(device)
        self._gradient = torch.zeros(len(order), device=device)
        self._gradients = cut(self._gradient, self._exact)

    def refresh(self) -> None:
        """As :meth:`RoundedFactors.refresh`."""
        with torch.no_grad():
            exact = flatten([*self._exact, self._zero])
            exact[:-1].mul_(self._scaling)
            self._rounded.copy_(exact.index_select(0, self._source))

    def joined(self, gradients: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """As :meth:`RoundedFactors.joined`."""
        at = len(gradients) - len(self._head)
        parts = [flatten(some).to(dtype) for some in (gradients[:at], gradients[at:]) if some]
        return torch.cat(parts)

    def pass_on(self, joined: Tensor) -> None:
        """As :meth:`RoundedFactors.pass_on`; the tensors are the same ones each time."""
        of_leaves, of_head = joined.tensor_split([len(self._rounded)])
        torch.index_select(of_leaves, 0, self._order, out=self._gradient).mul_(self._scaling)
        gradients = [*self._gradients, *cut(of_head, self._head)]
        for tensor, gradient in zip([*self._exact, *self._head], gradients, strict=True):
            tensor.grad = gradient


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """The numbers of tensors of one kind, one behind the other."""
    return torch._C._nn.flatten_dense_tensors(list(tensors))


def cut(numbers: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of numbers that lie one behind the other, shaped as other tensors."""
    parts = torch.split(numbers, [tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]
