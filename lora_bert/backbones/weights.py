"""Weights of a backbone or merged model on disk -> tensors under one set of names.

Checkpoints of one and the same encoder differ in their prefix (``bert.``, none, or another model's
name around it) and, old ones, in the names of norms (gamma, beta). Here they all get the names they
have in ``transformers``' sequence classifier. Only safetensors are read.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lora_bert.backbones.config import EncoderConfig
from lora_bert.backbones.inside import check_inside
from lora_bert.backbones.mean_layer import without_mean_layer
from lora_bert.backbones.nearby import no_weights
from lora_bert.errors import BackboneError, LoraBertError
from lora_bert.files import disk_error
from lora_bert.json_files import check_fetched, read_object, read_own

if TYPE_CHECKING:
    from torch import Tensor

_LONGEST_NAME = 255
_INDEX = "model.safetensors.index.json"
_REAL = ("torch.float16", "torch.bfloat16", "torch.float32", "torch.float64")
_OLD_NORM_NAMES = {"gamma": "weight", "beta": "bias"}


def read_safetensors(path: Path, error: type[LoraBertError]) -> dict[str, Tensor]:
    """All tensors of one file, on the CPU, in the dtypes they are stored in.

    Raises:
        error: The file is truncated or not safetensors.
    """
    from safetensors.torch import load_file

    with _readable(path, error):
        return load_file(path)


@contextmanager
def _readable(path: Path, error: type[LoraBertError]) -> Iterator[None]:
    """Turn what safetensors says of a file that it cannot read into an ``error``."""
    from safetensors import SafetensorError

    check_fetched(path, error)
    try:
        yield
    except (SafetensorError, OSError) as problem:
        raise error(
            f"'{path}' is damaged or not a safetensors file: {problem}.",
            hint="Copy or download it again.",
        ) from problem


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, copied to the CPU where they are elsewhere.

    Raises:
        OSError: The disk is full, or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain, storages = {}, set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        # What shares its memory (tied weights) is written once for each of its names.
        if plain[name].untyped_storage().data_ptr() in storages:
            plain[name] = plain[name].clone()
        storages.add(plain[name].untyped_storage().data_ptr())
    try:
        save_file(plain, path, metadata={"format": "pt"})
    except SafetensorError as problem:
        raise disk_error(problem) from problem


def check_finite(tensors: Mapping[str, Tensor], path: Path, error: type[LoraBertError]) -> None:
    """Check that weights are numbers: one NaN makes every answer NaN, one infinity most of them.

    Raises:
        error: One of them is NaN, infinite, or not a floating-point number.
    """
    for name, tensor in tensors.items():
        if name.endswith("_ids"):  # buffers of old checkpoints
            continue
        if str(tensor.dtype) not in _REAL:
            raise error(f"'{path}': '{name}' is of type {tensor.dtype}, which is not supported.")
        if tensor.numel() and not all(math.isfinite(end) for end in tensor.aminmax()):
            raise error(f"'{path}': '{name}' holds NaN or infinity.")


def count_weights(path: Path, error: type[LoraBertError]) -> int:
    """How many numbers one file holds, from its header alone.

    Raises:
        error: The file is truncated or not safetensors.
    """
    return sum(math.prod(shape) for shape in _stored_shapes(path, error).values())


def _stored_shapes(path: Path, error: type[LoraBertError]) -> dict[str, list[int]]:
    from safetensors import safe_open

    with _readable(path, error), safe_open(path, framework="numpy") as tensors:
        return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118


def read_checkpoint(
    directory: Path, config: EncoderConfig, *, checked: bool = False
) -> dict[str, Tensor]:
    """The tensors of a backbone or sequence classifier, named as in the sequence classifier.

    ``checked`` says that all of them are known to be numbers.

    Raises:
        BackboneError: No safetensors there, a shard missing or damaged, or no encoder in them.
    """
    tensors: dict[str, Tensor] = {}
    for path in weight_files(directory):
        shard = read_safetensors(path, BackboneError)
        if not checked:
            check_finite(shard, path, BackboneError)
        tensors |= shard
    named = canonical(tensors, config, directory)
    return without_mean_layer(named, config) if config.has_mean_layer else named


def read_module(directory: Path, path: str) -> dict[str, Tensor]:
    """The tensors of one module, by their paths in it; ``path`` is that below the encoder.

    Raises:
        BackboneError: The weights are missing or damaged.
    """
    from safetensors import safe_open

    tensors: dict[str, Tensor] = {}
    for file in weight_files(directory):
        with _readable(file, BackboneError), safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                _, inside, rest = f".{name}".rpartition(f".{path}.")
                if inside:
                    tensors[rest] = stored.get_tensor(name)
    return tensors


def embedded_tokens(directory: Path, config: EncoderConfig) -> int:
    """How many tokens a backbone's embeddings have a row for, from its files' headers alone.

    Raises:
        BackboneError: The weights are missing, damaged, or not those of that family.
    """
    shapes: dict[str, list[int]] = {}
    for path in weight_files(directory):
        shapes |= _stored_shapes(path, BackboneError)
    shape = shapes[_anchor(shapes, config, directory)]
    return shape[0] if shape else 0


def _anchor(names: Iterable[str], config: EncoderConfig, directory: Path) -> str:
    """What the word embeddings are called among these names."""
    anchor = f"{config.layout.word_embeddings}.weight"
    matches = [name for name in names if name == anchor or name.endswith(f".{anchor}")]
    if len(matches) != 1:
        raise BackboneError(
            f"The weights in '{directory}' are not those of a '{config.model_type}' encoder: "
            f"'{anchor}' is not among them."
        )
    return matches[0]


def weight_files(directory: Path) -> list[Path]:
    """The safetensors of a backbone or model: one file, or the shards that its index names.

    Raises:
        BackboneError: There are none, one is missing, or leads out of the directory.
    """
    check_inside(directory, BackboneError)
    whole = directory / "model.safetensors"
    if whole.is_file():
        return [whole]
    if any(directory.glob("*.bin")) and not any(directory.glob("*.safetensors*")):
        raise BackboneError(
            f"'{directory}' holds its weights only as a pickle (.bin), which could run code.",
            hint=_converted(directory),
        )
    if not (directory / _INDEX).is_file():
        raise no_weights(directory)
    return shards_of(directory, _INDEX)


def _converted(directory: Path) -> str:
    """How safetensors are made of a pickle: a classifier's head is no part of a backbone."""
    names = read_own(directory / "config.json").get("architectures")
    classifies = isinstance(names, list) and "ForSequenceClassification" in str(names[:1])
    command = f"lora-bert convert-backbone {shlex.quote(str(directory))} OUT"
    if not classifies:
        return f"Convert it once: {command}"
    return (
        "Have transformers write the whole classifier: AutoModelForSequenceClassification."
        f"from_pretrained(DIR).save_pretrained(OUT). For its encoder alone, to train on: {command}"
    )


def shards_of(directory: Path, index_name: str) -> list[Path]:
    """The files that an index of weights names, all of them there.

    Raises:
        BackboneError: There is no index, it is damaged, or a file is missing.
    """
    index = directory / index_name
    if not index.is_file():
        raise BackboneError(f"'{directory}' has no {index_name.removesuffix('.index.json')}.")
    places = read_object(index, BackboneError).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise BackboneError(
            f"'{index}' is damaged: it does not say which file holds which weight.",
            hint="Copy or download it again.",
        )
    for name in names:
        plain = PurePath(name).name == name != ".." and "\\" not in name
        if not (plain and name.isprintable()) or len(os.fsencode(name)) > _LONGEST_NAME:
            raise BackboneError(f"'{index}' names '{name}', which is not a file beside it.")
    files = [directory / name for name in sorted(set(names))]
    if absent := [path.name for path in files if not path.is_file()]:
        raise BackboneError(f"'{directory}' lacks {', '.join(absent)}, which its index names.")
    return files


def canonical(
    tensors: dict[str, Tensor], config: EncoderConfig, directory: Path
) -> dict[str, Tensor]:
    """Tensors as they are stored in ``directory`` -> named as in the sequence classifier.

    Raises:
        BackboneError: No encoder of that family is among them.
    """
    layout = config.layout
    prefix = _anchor(tensors, config, directory).removesuffix(f"{layout.word_embeddings}.weight")
    renamed = {}
    for stored, tensor in tensors.items():
        module, dot, kind = stored.rpartition(".")
        name = f"{module}{dot}{_OLD_NORM_NAMES.get(kind, kind)}"
        inside = name.startswith(prefix) and not name.startswith("classifier.")
        renamed[layout.prefix + name.removeprefix(prefix) if inside else name] = tensor
    return renamed
