"""Whether the weights of a backbone fit each other, before one of them is used."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lora_bert.errors import BackboneError
from lora_bert.model.backbone import Backbone, Norm
from lora_bert.model.fused_linear import Linear


def check_linear(linear: Linear) -> None:
    """Raise :class:`BackboneError` unless it is a matrix and a vector as long as that is high."""
    weight, bias = linear.weight, linear.bias
    if weight.ndim != 2 or 0 in weight.shape:
        raise _unfit(linear.name, weight, "a matrix")
    if bias is not None and tuple(bias.shape) != (len(weight),):
        raise _unfit(f"{linear.name}.bias", bias, f"[{len(weight)}]")


def check_shapes(backbone: Backbone) -> None:
    """Check every shape that ``config.json`` decides.

    Raises:
        BackboneError: One of them is another; the first is named.
    """
    config = backbone.config
    hidden, width = config.hidden_size, config.embedding_size
    tables = {
        "words": backbone.word_embeddings,
        "positions": backbone.position_embeddings,
        "types": backbone.token_type_embeddings,
    }
    for name, table in tables.items():
        if table is not None and (table.ndim != 2 or table.shape[1] != width or not len(table)):
            raise _unfit(f"table of {name}", table, f"[…, {width}]")
    if backbone.position_embeddings is not None:
        needed = config.max_position_embeddings
        if len(backbone.position_embeddings) < needed:
            raise _unfit("table of positions", backbone.position_embeddings, f"[{needed}, {width}]")
    _check_norm("embedding norm", backbone.embedding_norm, (width, hidden))
    if backbone.projection is not None:
        _check_matrix("projection", backbone.projection.weight, (hidden, width))
    for index, layer in enumerate(backbone.layers):
        where, inner = f"layer {index}'s", layer.fused["output"].weight.shape[1]
        shapes = {
            "attention_input": (3 * hidden, hidden),
            "attention_output": (hidden, hidden),
            "intermediate": (2 * inner if config.arrangement == "pre" else inner, hidden),
            "output": (hidden, inner),
        }
        for slot, shape in shapes.items():
            _check_matrix(f"{where} {slot.replace('_', ' ')}", layer.fused[slot].weight, shape)
        for name, norm in layer.norms.items():
            _check_norm(f"{where} norm '{name}'", norm, (hidden,))
    if backbone.final_norm is not None:
        _check_norm("final norm", backbone.final_norm, (hidden,))


def _check_matrix(name: str, weight: Tensor, shape: tuple[int, int]) -> None:
    if tuple(weight.shape) != shape:
        raise _unfit(name, weight, str(list(shape)))


def _check_norm(name: str, norm: Norm, widths: Sequence[int]) -> None:
    for part in (norm.weight, norm.bias):
        if part is not None and (part.ndim != 1 or len(part) not in widths):
            raise _unfit(name, part, f"[{widths[-1]}]")


def _unfit(name: str, found: Tensor, wanted: str) -> BackboneError:
    return BackboneError(
        f"The backbone's {name} has the shape {list(found.shape)}, its config.json asks for "
        f"{wanted}."
    )
