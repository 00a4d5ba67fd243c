"""Where in a directory a backbone lies, and what lies there instead of one.

Directories come as other programs leave them: with the transformer in a folder of its own, as an
adapter, as a graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from lora_bert.backbones.inside import is_inside
from lora_bert.errors import BackboneError
from lora_bert.json_files import read_json, read_object, read_own

MODULES = "modules.json"
"""What sentence-transformers says of the parts of a model."""
_CONFIG = "config.json"
_ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_OURS = "lora_bert.json"
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


def transformer_in(directory: Path) -> Path | None:
    """The directory of the transformer in a directory: itself, or sentence-transformers' module.

    Old versions of sentence-transformers keep the transformer in ``0_Transformer``, beside
    ``modules.json``, with nothing or another ``config.json`` above it.
    """
    config, module = directory / _CONFIG, _module(directory)
    if module is not None and not read_own(config).keys() & {"model_type", "architectures"}:
        return module
    return directory if config.is_file() else None


def name_of(directory: Path) -> str:
    """What a local backbone is called: as its directory; sentence-transformers', as the model."""
    return model_of(directory).name


def model_of(directory: Path) -> Path:
    """The directory of the model that a transformer is a part of: itself, or the one above it."""
    home = directory.resolve()
    return home.parent if _module(home.parent) == home else home


def _module(directory: Path) -> Path | None:
    """The folder of sentence-transformers' first module, if that is a transformer in a folder."""
    path = directory / MODULES
    modules: object = None
    with suppress(BackboneError, OSError):
        if not is_inside(path, directory):
            return None
        modules = read_json(path, BackboneError)
    first = modules[0] if isinstance(modules, list) and modules else None
    named = first.get("path") if isinstance(first, dict) else None
    if not isinstance(named, str) or PurePath(named).name != named or not named.isprintable():
        return None
    place = directory.resolve() / named
    with suppress(OSError):
        # A link could lead anywhere; what is meant lies inside.
        if place.resolve() == place and (place / _CONFIG).is_file():
            return place
    return None


def below(directory: Path, names: Iterable[str]) -> list[Path]:
    """The folders below a directory, or in a hub's ``snapshots``, that hold such a file."""
    patterns = [f"{folder}/{name}" for name in names for folder in ("*", "snapshots/*")]
    return sorted({file.parent for pattern in patterns for file in directory.glob(pattern)})


def in_words(folders: Sequence[Path]) -> str:
    """Which folder may have been meant, as a hint; "" where there is none."""
    if len(folders) == 1:
        return f"Did you mean '{folders[0]}'?"
    names = ", ".join(f"'{folder.name}'" for folder in folders[:4])
    more = f" and {len(folders) - 4} more" if len(folders) > 4 else ""
    return f"Name one of the directories in it: {names}{more}." if folders else ""


def above(directory: Path) -> str:
    """A hint for a folder of graphs that was named in place of the model it lies in."""
    named = any(directory.glob("*.onnx")) or any(directory.glob("openvino*.xml"))
    held = named and (directory.resolve().parent / _CONFIG).is_file()
    return f"Did you mean '{directory.resolve().parent}'?" if held else ""


def no_backbone(directory: Path) -> BackboneError | None:
    """What is wrong with a place that holds no backbone; None where it seems to hold one.

    An adapter beside a backbone's weights does not count.
    """
    if directory.is_file():
        held = transformer_in(directory.parent) is not None
        hint = f"Did you mean '{directory.parent}'?" if held else ""
        return BackboneError(f"'{directory}' is a file; a backbone is a directory.", hint=hint)
    if transformer_in(directory) is not None and (
        not (directory / _ADAPTER).is_file() or _has_weights(directory)
    ):
        return None
    if any((directory / name).is_file() for name in (_ADAPTER, _ADAPTER_WEIGHTS, _OURS)):
        return is_adapter(directory)
    if folders := below(directory, [_CONFIG]):
        hint = in_words(folders)
    elif _has_weights(directory):
        hint = "The weights are there: copy config.json and the tokenizer's files beside them."
    else:
        hint = "A backbone is a directory as transformers saves it."
    return BackboneError(f"'{directory}' is not a backbone: it has no config.json.", hint=hint)


def is_adapter(directory: Path) -> BackboneError:
    """The error for an adapter where a backbone is wanted."""
    name: object = None
    kind: object = "LORA"
    with suppress(BackboneError):
        if (directory / _OURS).is_file():
            backbone = read_object(directory / _OURS, BackboneError).get("backbone")
            name = backbone.get("name") if isinstance(backbone, dict) else None
        else:
            config = read_object(directory / _ADAPTER, BackboneError)
            kind = config.get("peft_type")
            name = config.get("base_model_name_or_path") or config.get("model_name")
    trained = f", trained on the backbone '{name:.100}'" if isinstance(name, str) and name else ""
    hint = "Name that backbone" if trained else "Name the backbone that it was trained on"
    # Of other kinds, and of pickles, merge makes nothing.
    merge = (
        "; or, to build on the adapter, make one model of the two, which is a backbone: "
        "lora-bert merge ADAPTER OUT"
    )
    hint += merge if kind == "LORA" and (directory / _ADAPTER_WEIGHTS).is_file() else "."
    return BackboneError(f"'{directory}' is an adapter{trained}; it is no backbone.", hint=hint)


def no_weights(directory: Path) -> BackboneError:
    """The error for a directory with ``config.json`` and without weights that are read."""
    if (directory / _ADAPTER).is_file():
        return is_adapter(directory)
    graphs = [
        graph
        for place in (directory, directory / "onnx", directory / "openvino")
        for graph in (*place.glob("*.onnx"), *place.glob("openvino*.xml"))
    ]
    if graphs:
        return BackboneError(
            f"'{directory}' is exported for an engine ('{graphs[0].name}'); a graph is no "
            "backbone.",
            hint="Name the backbone itself, or the merged model.",
        )
    for pattern, program in (("tf_model*.h5", "TensorFlow"), ("flax_model*.msgpack", "Flax")):
        if any(directory.glob(pattern)):
            return BackboneError(
                f"'{directory}' holds its weights for {program} only.",
                hint=f"transformers 4 converts them: AutoModel.from_pretrained(DIR, "
                f"from_{'tf' if program == 'TensorFlow' else 'flax'}=True).save_pretrained(OUT)",
            )
    others = sorted(path.name for path in directory.glob("*.safetensors"))
    hint = f"Should '{others[0]}' be called model.safetensors?" if len(others) == 1 else ""
    return BackboneError(f"'{directory}' has no model.safetensors.", hint=hint)


def _has_weights(directory: Path) -> bool:
    return any(any(directory.glob(pattern)) for pattern in _WEIGHTS)
