"""The open inference protocol (KServe v2, Triton): tensors in JSON, or in bytes behind it."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from lora_bert import __version__
from lora_bert.data.texts import Text
from lora_bert.inference.predictor import Predictor
from lora_bert.serving.answering import Answered, Question
from lora_bert.serving.bodies import json_bytes, read_json, typed
from lora_bert.serving.operations import Call, Operation, Protocol, plain_error
from lora_bert.serving.refusals import RefusedError

_LENGTH = "inference-header-content-length"
_STATUSES = {"invalid": 400, "unusable": 500}
_EXTENSIONS = ["binary_tensor_data"]

Size = Annotated[int, Meta(ge=0)]


class InputTensor(msgspec.Struct):
    """Texts: shape ``[n]`` or ``[n, 1]``; pairs: ``[n, 2]``, or a second tensor."""

    name: str
    shape: Annotated[list[Size], Meta(min_length=1, max_length=2)]
    datatype: str
    data: list[str | list[str]] | None = None
    parameters: dict[str, Any] | None = None


class OutputTensor(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """The body of ``/infer``."""

    inputs: Annotated[list[InputTensor], Meta(min_length=1, max_length=2)]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[OutputTensor] | None = None


@dataclass(frozen=True)
class Tensor:
    """An output: its type in this protocol, its shape and its values, flat."""

    datatype: Literal["BYTES", "FP32"]
    shape: list[int]
    data: list[Any]

    def binary(self) -> bytes:
        """The values in bytes; each text with its length before it."""
        if self.datatype == "FP32":
            return np.asarray(self.data, "<f4").tobytes()
        encoded = [text.encode("utf-8", "replace") for text in self.data]
        return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


async def infer(call: Call) -> Any:
    """The answers to texts or pairs, as tensors."""
    header, rest = _parted(call)
    body = typed(read_json(header), InferRequest)
    name = call.name_of()
    _check_version(call)
    texts = _texts(body, rest)
    if len(body.inputs) > 1:
        predictor = await call.answerer.run(lambda: call.answerer.predictor(name))
        if _are_turned([each.name for each in body.inputs], predictor):
            texts = [(pair[1], pair[0]) for pair in texts]

    def say(answered: Answered) -> Any:
        return _written(body, name, _chosen(body, _tensors(answered)))

    answer, parts = await call.ask_one(Question(name, texts), say)
    if not parts:
        return answer
    from starlette.responses import Response

    head = json_bytes(answer)
    return Response(b"".join([head, *parts]), media_type="application/octet-stream",
                    headers={_LENGTH: str(len(head))})  # fmt: skip


async def metadata(call: Call) -> Any:
    """An adapter's tensors."""
    name = call.name_of()
    _check_version(call)
    predictor = await call.answerer.run(lambda: call.answerer.predictor(name))
    pairs = [2] if predictor.manifest.inputs == 2 else []
    outputs = [{"name": "prediction", "datatype": "BYTES", "shape": [-1]},
               {"name": "document", "datatype": "BYTES", "shape": [-1]}]  # fmt: skip
    if not predictor.engine.of_tokens:
        shape = [-1, len(predictor.labels)]
        outputs.append({"name": "scores", "datatype": "FP32", "shape": shape})
    return {
        "name": name, "versions": ["1"], "platform": "lora-bert",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, *pairs]}],
        "outputs": outputs, "parameters": {"labels": list(predictor.labels)},
    }  # fmt: skip


async def ready(call: Call) -> Any:
    """Whether an adapter answers."""
    name = call.name_of()
    _check_version(call)
    await call.answerer.run(lambda: call.answerer.predictor(name))
    return {"name": name, "ready": True}


async def server(call: Call) -> Any:
    """What the server is."""
    return {"name": "lora-bert", "version": __version__, "extensions": _EXTENSIONS}


async def live(call: Call) -> Any:
    """Whether the server runs."""
    return {"live": True}


async def server_ready(call: Call) -> Any:
    """Whether requests are taken."""
    if not call.ready:
        raise RefusedError("unavailable", "The server is shutting down.")
    return {"ready": True}


def _check_version(call: Call) -> None:
    version = call.request.path_params.get("version", "1")
    if version != "1":
        raise RefusedError("unknown", f"'{call.named}' has no version '{version:.40}'.",
                      hint="There is one, which is called 1.")  # fmt: skip


def _parted(call: Call) -> tuple[bytes, bytes]:
    """The JSON of a body, and the bytes behind it."""
    said = call.request.headers.get(_LENGTH)
    if said is None:
        return call.raw, b""
    if not said.isdecimal() or len(said) > 12 or int(said) > len(call.raw):
        raise RefusedError("malformed", f"The header {_LENGTH} is no length of a part of the body.")
    return call.raw[: int(said)], call.raw[int(said) :]


def _texts(body: InferRequest, rest: bytes) -> list[Text]:
    columns, at = list[list[str]](), 0
    for tensor in body.inputs:
        if tensor.datatype != "BYTES":
            raise RefusedError(
                "invalid", f"`{tensor.name:.40}` is of {tensor.datatype:.20}: texts are BYTES."
            )
        if 0 in tensor.shape:
            raise RefusedError("empty", f"`{tensor.name:.40}` is empty.")
        wide = tensor.shape[1] if len(tensor.shape) == 2 else 1
        if wide > 2:
            raise _unfit()
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            flat = _flat(tensor)
        else:
            if type(size) is not int or not 0 <= size <= len(rest) - at:
                raise RefusedError(
                    "malformed", "`binary_data_size` is no size of bytes behind the JSON."
                )
            flat = list(_strings(rest[at : at + size]))
            at += size
        if len(flat) != math.prod(tensor.shape):
            raise RefusedError(
                "invalid",
                f"`{tensor.name:.40}` has {len(flat)} texts, and the shape {tensor.shape}.",
            )
        columns += [flat[column::wide] for column in range(wide)]
    if at != len(rest):
        raise RefusedError(
            "malformed", f"{len(rest) - at} bytes behind the JSON belong to no tensor."
        )
    if len(columns) > 2 or len({len(column) for column in columns}) > 1:
        raise _unfit()
    if len(columns) < 2:
        return list(columns[0]) if columns else []
    return list(zip(*columns, strict=True))


def _are_turned(names: Sequence[str], predictor: Predictor) -> bool:
    """Whether two tensors are the second and the first text, by what either is called.

    Names that nobody knows stand in their order; one that is known alone would be guesswork.
    """
    called = predictor.task.input_names
    columns = (predictor.manifest.column("text"), predictor.manifest.column("text_pair"))
    firsts, seconds = zip(called, columns, strict=True)
    one, other = names
    if one in seconds and other in firsts:
        return True
    if not (one in firsts and other in seconds) and not {*names}.isdisjoint(firsts + seconds):
        raise RefusedError(
            "invalid", f"`{one:.40}` and `{other:.40}` are not the two texts of a pair.",
            hint=f"They are called `{called[0]}` and `{called[1]}`.",
        )  # fmt: skip
    return False


def _unfit() -> RefusedError:
    return RefusedError(
        "invalid", "A text, or the two texts of a pair, are needed for each answer."
    )


def _flat(tensor: InputTensor) -> list[str]:
    flat = list[str]()
    for each in tensor.data or ():
        flat += [each] if isinstance(each, str) else each
    return flat


def _strings(raw: bytes) -> Iterator[str]:
    """Texts with their lengths before them, in four bytes each."""
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise RefusedError("malformed", "A tensor of BYTES ends within a length.")
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4 + size
        if at > len(raw):
            raise RefusedError("malformed", "A tensor of BYTES ends within a text.")
        try:
            yield raw[at - size : at].decode("utf-8")
        except UnicodeDecodeError as error:
            raise RefusedError("malformed", f"A text is not UTF-8: {error}.") from error


def _tensors(answered: Answered) -> dict[str, Tensor]:
    """What an adapter says, by the outputs' names."""
    task, values = answered.task, answered.values
    documents = [task.document(each) for each in task.decode(values)]
    rows = [len(documents)]
    found = {
        "prediction": Tensor("BYTES", rows, list(map(_short, documents))),
        "document": Tensor("BYTES", rows, [json_bytes(each).decode() for each in documents]),
    }
    if not answered.predictor.engine.of_tokens:
        found["scores"] = Tensor("FP32", list(values.shape), values.ravel().tolist())
    return found


def _short(document: Mapping[str, Any]) -> str:
    """The answer by itself: a label or an answer as it is, all else as JSON."""
    answer = document.get("prediction", document.get("answer"))
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _chosen(body: InferRequest, tensors: dict[str, Tensor]) -> list[tuple[OutputTensor, Tensor]]:
    asked = [OutputTensor(name) for name in tensors] if body.outputs is None else body.outputs
    if len({each.name for each in asked}) < len(asked):
        raise RefusedError("invalid", "An output is asked for twice.")
    for each in asked:
        if each.name not in tensors:
            raise RefusedError("invalid", f"There is no output `{each.name:.40}`.",
                          hint=f"There are: {', '.join(tensors)}.")  # fmt: skip
        if (each.parameters or {}).get("classification"):
            raise RefusedError("invalid", "The outputs are classes already: ask for `prediction`.")
    return [(each, tensors[each.name]) for each in asked]


def _written(
    body: InferRequest, name: str, chosen: Sequence[tuple[OutputTensor, Tensor]]
) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON of an answer, and what stands in bytes behind it."""
    usual = (body.parameters or {}).get("binary_data_output", False)
    outputs, parts = list[dict[str, Any]](), list[bytes]()
    for asked, tensor in chosen:
        said = {"name": asked.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if (asked.parameters or {}).get("binary_data", usual) is True:
            parts.append(tensor.binary())
            outputs.append({**said, "parameters": {"binary_data_size": len(parts[-1])}})
        else:
            outputs.append({**said, "data": tensor.data})
    more = {} if body.id is None else {"id": body.id}
    return {"model_name": name, "model_version": "1", **more, "outputs": outputs}, parts


_EXAMPLE = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["很快，好吃"]}]}
_MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
KSERVE = Protocol(
    "kserve",
    (
        Operation("GET", "/v2", server, "What the server is."),
        Operation("GET", "/v2/health/live", live, "Whether the server runs.", key=""),
        Operation("GET", "/v2/health/ready", server_ready, "Whether requests are taken.", key=""),
        *(Operation("GET", path, metadata, "An adapter's tensors.") for path in _MODELS),
        *(Operation("GET", f"{path}/ready", ready, "Whether an adapter answers.")
          for path in _MODELS),
        *(Operation("POST", f"{path}/infer", infer, "Answers as tensors.", InferRequest, _EXAMPLE)
          for path in _MODELS),
    ),
    plain_error,
    _STATUSES,
)  # fmt: skip
