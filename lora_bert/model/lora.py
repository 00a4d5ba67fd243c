"""LoRA: the low-rank change of a frozen linear layer (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lora_bert.model.activation import Activation
from lora_bert.model.dropout import dropout
from lora_bert.model.product import Product


@dataclass(frozen=True)
class Factors:
    """The change ``scaling · up @ down`` of one linear layer.

    Attributes:
        down: ``[rank, in]``, PEFT's ``lora_A``.
        up: ``[out, rank]``, PEFT's ``lora_B``.
        scaling: ``alpha / rank`` (rank-stabilised: ``alpha / sqrt(rank)``).
    """

    down: Tensor
    up: Tensor
    scaling: float

    def delta(self) -> Tensor:
        """The change of the weight, ``[out, in]``."""
        return (self.up @ self.down) * self.scaling


@dataclass(frozen=True)
class Linear:
    """A frozen linear layer and the name it has in ``transformers``."""

    name: str
    weight: Tensor
    bias: Tensor | None


def initial_factors(linear: Linear, rank: int, alpha: float, generator: torch.Generator) -> Factors:
    """Fresh factors as PEFT draws them: Kaiming-uniform (a = √5) down, zero up; float32."""
    out_features, in_features = linear.weight.shape
    bound = 1 / math.sqrt(in_features)
    down = torch.empty(rank, in_features).uniform_(-bound, bound, generator=generator)
    return Factors(down, torch.zeros(out_features, rank), alpha / rank)


@dataclass(frozen=True)
class Stack:
    """Linear layers that read the same input, computed as one.

    Attributes:
        linears: The layers, in the order of their outputs; their weights are views of ``weight``.
        weight: ``[out, in]``, all of them below one another.
        bias: ``[out]``.
    """

    linears: tuple[Linear, ...]
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, linears: Sequence[Linear]) -> Stack:
        """Put layers together; their tensors are held once."""
        if len(linears) == 1:
            return cls(tuple(linears), linears[0].weight, linears[0].bias)
        weight, bias = torch.cat([linear.weight for linear in linears]), None
        biases = [linear.bias for linear in linears]
        if any(part is not None for part in biases):
            bias = torch.cat(
                [weight.new_zeros(len(linear.weight)) if linear.bias is None else linear.bias
                 for linear in linears]
            )  # fmt: skip
        sizes = [len(linear.weight) for linear in linears]
        shares = [None] * len(linears) if bias is None else torch.split(bias, sizes)
        views = [
            Linear(linear.name, part, None if linear.bias is None else share)
            for linear, part, share in zip(linears, torch.split(weight, sizes), shares, strict=True)
        ]
        return cls(tuple(views), weight, bias)

    @property
    def is_wide(self) -> bool:
        """Whether its output is wider than its input."""
        return self.weight.shape[0] > self.weight.shape[1]

    @property
    def name(self) -> str:
        """What it is known by: the name of its first layer."""
        return self.linears[0].name

    @cached_property
    def forward(self) -> Product:
        """``x @ weight.T + bias``."""
        return Product(self.weight, self.bias)

    @cached_property
    def backward(self) -> Product:
        """``g @ weight``, which leads from the gradient of the output to that of the input."""
        return Product(self.weight.t())


@dataclass(frozen=True)
class Change:
    """What an adapter changes in a :class:`Stack`: ``up @ down``.

    Attributes:
        down: ``[ranks, in]``, the ranks of all changed layers together.
        up: ``[out, ranks]``, scaled; zero where an output does not belong to a rank's layer.
        joined: ``[x, x @ down.T] @ [weight, up].T + bias``, the changed layers in one product: for
            outputs that are wide, which a second product would read and write once more.
    """

    down: Tensor
    up: Tensor
    joined: Product | None = None

    def joined_to(self, stack: Stack) -> Change:
        """The same with the product that has the weights of ``stack`` in it."""
        # Processors multiply in pieces of 32: zeros up to there are faster than a remainder.
        missing = -(stack.weight.shape[1] + len(self.down)) % 32
        down, up = F.pad(self.down, (0, 0, 0, missing)), F.pad(self.up, (0, missing))
        return Change(down, up, Product(torch.cat([stack.weight, up], dim=1), stack.bias))

    def to(self, dtype: torch.dtype) -> Change:
        """The same in another dtype."""
        return Change(self.down.to(dtype), self.up.to(dtype))


def change_of(stack: Stack, factors: Mapping[str, Factors]) -> Change | None:
    """The change of a stack, float32, differentiable in the factors; None where there is none."""
    pairs = [factors.get(linear.name) for linear in stack.linears]
    if not any(pairs):
        return None
    blocks = [
        linear.weight.new_zeros(len(linear.weight), 0, dtype=torch.float32)
        if pair is None
        else pair.up * pair.scaling
        for linear, pair in zip(stack.linears, pairs, strict=True)
    ]
    down = torch.cat([pair.down for pair in pairs if pair])
    return Change(down, torch.block_diag(*blocks))  # type: ignore[no-untyped-call]


def adapted(
    x: Tensor,
    stack: Stack,
    change: Change | None,
    onto: Tensor | None = None,
    act: Activation | None = None,
    *,
    rate: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """``x @ weight.T + bias`` plus the LoRA path.

    Args:
        x: ``[…, in]``.
        stack: The frozen layers.
        change: What the adapter changes in them, None for nothing.
        onto: ``[…, out]``, added to the result.
        act: Applied at the end.
        rate: Dropout of the LoRA path's input.
        seed: Which elements that drops.

    Returns:
        ``[…, out]``, in the dtype of ``x``.
    """
    if x.device.type == "cpu" and not rate and not torch.is_grad_enabled():
        below = None if onto is None else onto.reshape(-1, onto.shape[-1])
        y, _ = forward_product(x.reshape(-1, x.shape[-1]), stack, change, below, act)
        return y.view(*x.shape[:-1], -1)
    if x.device.type == "cpu" and not rate:
        parts = (change.down, change.up) if change else (None, None)
        y = _Adapted.apply(x, stack, *parts)  # type: ignore[no-untyped-call]
    else:
        y = F.linear(x, stack.weight, stack.bias)
        if change is not None:
            y = y + F.linear(F.linear(dropout(x, rate, seed), change.down), change.up)
    y = y if onto is None else onto + y
    return y if act is None else act(y)


def forward_product(
    x: Tensor,
    stack: Stack,
    change: Change | None,
    onto: Tensor | None = None,
    act: Activation | None = None,
) -> tuple[Tensor, Tensor | None]:
    """``[rows, in]`` -> ``[rows, out]`` and the low-rank activations ``[rows, ranks]``.

    Args:
        x: The input.
        stack: The frozen layers.
        change: What the adapter changes in them.
        onto: ``[rows, out]``, added to the result.
        act: Applied at the end.
    """
    if change is None:
        return stack.forward(x, onto, act), None
    low = x @ change.down.t()
    if change.joined is not None:
        return change.joined(torch.cat([x, low], dim=1), onto, act), low
    y = stack.forward(x, onto).addmm_(low, change.up.t())
    return y if act is None else act(y), low


def backward_product(
    g: Tensor,
    x: Tensor,
    low: Tensor | None,
    stack: Stack,
    change: Change | None,
    onto: Tensor | None = None,
    *,
    wanted: bool = True,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The gradient of the output -> those of ``x`` (empty if not ``wanted``), ``down`` and ``up``.

    The weights are frozen: nothing is computed for them, and both paths share one gradient of
    ``x``, summed inside the products together with ``onto``, which comes another way.
    """
    towards_x = stack.backward(g, onto) if wanted else g.new_empty(0)
    if change is None or low is None:
        return towards_x, None, None
    narrow = g @ change.up
    if wanted:
        towards_x.addmm_(narrow, change.down)
    # Short times long and then turned round: faster than long times short.
    return towards_x, narrow.t() @ x, (low.t() @ g).t()


class _Adapted(torch.autograd.Function):
    """:func:`adapted` with a backward pass that knows what is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, stack: Stack, down: Tensor | None, up: Tensor | None
    ) -> Tensor:
        change = None if down is None or up is None else Change(down, up)
        rows = x.reshape(-1, x.shape[-1])
        y, low = forward_product(rows, stack, change)
        ctx.save_for_backward(rows, low, down, up)
        ctx.stack = stack
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        rows, low, down, up = ctx.saved_tensors
        change = None if down is None else Change(down, up)
        g = gradient.reshape(len(rows), -1)
        wanted = ctx.needs_input_grad[0]
        towards_x, *towards = backward_product(g, rows, low, ctx.stack, change, wanted=wanted)
        shaped = towards_x.view(*gradient.shape[:-1], -1) if wanted else None
        return shaped, None, *towards
