"""Writes an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lora_bert.inference.engines.graph_inputs import HIDDEN, IDS, MASK

_OPSET, _IR = 20, 10  # what ONNX Runtime 1.17 and OpenVINO 2024 read


@dataclass(frozen=True)
class Writer:
    """Nodes in the order of the computation, each once; a value is known by its name.

    ``inputs`` are the names of what the model takes, int64 ``[rows, length]`` each; of hidden
    states, float32, with their width as ``width``.
    """

    inputs: tuple[str, ...] = (IDS, MASK)
    width: int = 0
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)

    def constant(self, value: Any, name: str = "") -> str:
        """A constant; Python's whole numbers and lists of them become int64."""
        from onnx import numpy_helper

        array = np.array(value, order="C")
        if not name:
            content = (array.dtype.str, array.shape, array.tobytes())
            name = self.known.setdefault(content, f"constant_{len(self.constants)}")
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """The result of an operation; inputs that are no names are constants."""
        return self._ops(kind, inputs, 1, attributes)[0]

    def halves(self, value: str) -> tuple[str, str]:
        """A value cut in two along its last dimension."""
        first, second = self._ops("Split", [value], 2, {"axis": -1, "num_outputs": 2})
        return first, second

    def first(self, value: str, axis: int) -> str:
        """The first entry of a value along a dimension, which is then 1 long."""
        return self.op("Slice", value, [0], [1], [axis])

    def mean(self, hidden: str) -> str:
        """The mean of each row's real tokens, ``[rows, length, hidden]`` -> ``[rows, hidden]``."""
        real = self.op("Unsqueeze", self.cast(MASK, "FLOAT"), [2])
        total = self.op("ReduceSum", self.op("Mul", hidden, real), [1], keepdims=0)
        return self.op("Div", total, self.op("ReduceSum", real, [1], keepdims=0))

    def cast(self, value: str, kind: str) -> str:
        """A value as ``FLOAT``, ``INT64`` or ``BOOL``."""
        from onnx import TensorProto

        return self.op("Cast", value, to=TensorProto.DataType.Value(kind))

    def model(self, name: str, result: str, outputs: int, *, of_tokens: bool = False) -> Any:
        """The finished model, which gives the value ``result``, float32 ``[rows, outputs]``.

        It is called ``name`` there. ``of_tokens``: it is ``[rows, length, outputs]``.
        """
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [result], [name], name=name))
        shape: list[str | int] = ["rows", "length"]
        taken = [self._value(each, [*shape, self.width] if each == HIDDEN else shape)
                 for each in self.inputs]  # fmt: skip
        given = self._value(name, [*(shape if of_tokens else shape[:1]), outputs], floats=True)
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, "classifier", taken, [given], constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=_IR)

    def _value(self, name: str, shape: Sequence[str | int], *, floats: bool = False) -> Any:
        """What the model takes or gives; hidden states, and what it gives, are ``floats``."""
        from onnx import TensorProto, helper

        kind = TensorProto.FLOAT if floats or name == HIDDEN else TensorProto.INT64
        return helper.make_tensor_value_info(name, kind, shape)

    def _ops(
        self, kind: str, inputs: Iterable[Any], outputs: int, attributes: Mapping[str, Any]
    ) -> list[str]:
        from onnx import helper

        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        operation = f"{kind} {names} {attributes}"
        results: list[str] | None = self.known.get(operation)
        if results is None:
            label = f"{kind}_{len(self.nodes)}"
            results = [label] if outputs == 1 else [f"{label}_{at}" for at in range(outputs)]
            self.nodes.append(helper.make_node(kind, names, results, name=label, **attributes))
            self.known[operation] = results
        return results
