"""What a directory is and what it says of itself, from its small files: no weights, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Literal

from lora_bert.adapters.manifest import MANIFEST, Manifest, read_manifest
from lora_bert.adapters.peft_config import CONFIG, WEIGHTS, scaling_of
from lora_bert.adapters.trunk import branch_names, is_trunk
from lora_bert.backbones.config import read_config
from lora_bert.backbones.nearby import above, below, in_words, transformer_in
from lora_bert.backbones.resolve import find_local
from lora_bert.errors import AdapterError, ConfigError, LoraBertError, missing
from lora_bert.files import sha256
from lora_bert.json_files import read_object
from lora_bert.tasks.problem_types import ANSWERING, TAGGING, USUAL, problem_types
from lora_bert.wording import listed, shortened

Kind = Literal["adapter", "merged", "openvino", "onnx"]

EXPORTED: Mapping[Kind, tuple[str, ...]] = {
    "openvino": ("openvino_model.xml", "openvino_model.bin"),
    "onnx": ("model.onnx",),
}
"""The files of each exported format, as they are written here; the first one is opened."""


def located(path: str | Path, what: str) -> Path:
    """The directory of that name, or of the backbone of that name; ``what`` is looked for.

    Raises:
        NotFoundError: Neither is here.
    """
    place = Path(path)
    if not place.is_dir():
        backbone = find_local(str(path))
        if backbone is None:
            raise missing(path, what)
        place = backbone.path
    return place if (place / CONFIG).is_file() else transformer_in(place) or place


def check_named_once(places: Iterable[Path], hint: str = "") -> None:
    """Raise ConfigError, with that hint, for a directory that is named twice, however spelled."""
    seen = set[Path]()
    for place in places:
        if (real := place.resolve()) in seen:
            raise ConfigError(f"'{place}' is named twice.", hint=hint)
        seen.add(real)


def kind_of(path: Path) -> Kind:
    """What a directory holds: an adapter, a merged model, or one exported for an engine.

    Raises:
        NotFoundError: No such directory.
        AdapterError: None of them, or an exported model whose description is damaged.
    """
    if not path.is_dir():
        raise missing(path, "adapter or merged model")
    if (path / CONFIG).exists() or (path / WEIGHTS).exists() or (path / "run.yaml").exists():
        return "adapter"
    if any((path / f"model.safetensors{end}").exists() for end in ("", ".index.json")):
        return "merged"
    for kind, files in EXPORTED.items():
        if any((path / name).exists() for name in files):
            return kind
    if is_trunk(path):
        names = branch_names(path)
        raise AdapterError(
            f"'{path}' holds a trunk and branches on it, and one classifier is wanted.",
            hint=f"Name one of {listed(names)}: '{path / names[0]}'." if names else "",
        )
    if (path / MANIFEST).is_file():
        written = read_manifest(path / MANIFEST).exported.get("format")
        for kind in EXPORTED:
            if written == kind:
                return kind
    module = transformer_in(path)
    if module is not None and module.resolve() != path.resolve():
        raise AdapterError(
            f"'{path}' is a model of sentence-transformers, which makes embeddings; it is no text "
            "classifier.",
            hint="To train one on it: lora-bert train --backbone …",
        )
    if (path / "config.json").exists():
        return next((kind for kind in EXPORTED if _graphs(path, kind)), "merged")
    raise AdapterError(
        f"'{path}' is neither an adapter (it has no {CONFIG}) nor a merged model (no config.json).",
        hint=in_words(below(path, (CONFIG, "config.json"))) or above(path),
    )


def described(path: Path) -> str:
    """What a directory holds, in words: "an adapter", "a backbone"; errors as :func:`kind_of`."""
    kind = kind_of(path)
    if kind in EXPORTED:
        return f"exported for {kind}"
    if kind == "merged":
        return "a merged model" if is_classifier(read_config(path)) else "a backbone"
    return "an adapter"


def graph_files(path: Path, kind: Kind) -> tuple[str, ...]:
    """The files of an exported model, below its directory; the first one is opened.

    Optimum and the hub call them ``model_quantized.onnx``, or keep them in ``onnx``.

    Raises:
        AdapterError: There are several, and none of them is called as is usual.
    """
    usual = EXPORTED[kind]
    if any((path / name).exists() for name in usual):
        return usual
    graphs = _graphs(path, kind)
    stem = PurePath(usual[0]).stem
    chosen = [name for name in graphs if PurePath(name).stem == stem] or graphs
    if len(chosen) > 1:
        raise AdapterError(
            f"'{path}' holds several graphs, {listed(chosen)}, and does not say which is meant.",
            hint=f"Call that one '{PurePath(chosen[0]).with_name(usual[0])}', or leave it alone "
            "there.",
        )
    if not chosen:
        return usual
    ends = [PurePath(name).suffix for name in usual]
    return tuple(PurePath(chosen[0]).with_suffix(end).as_posix() for end in ends)


def _graphs(path: Path, kind: Kind) -> list[str]:
    """Graphs under other names than ours; those in a folder count where it is a classifier's."""
    end = PurePath(EXPORTED[kind][0]).suffix
    places = [path]
    with suppress(LoraBertError):
        if is_classifier(read_object(path / "config.json", AdapterError)):
            places.append(path / kind)
    for place in places:
        graphs = [
            graph.relative_to(path).as_posix()
            for graph in sorted(place.glob(f"*{end}"))
            if end != ".xml" or graph.with_suffix(".bin").is_file()
        ]
        if graphs:
            return graphs
    return []


def manifest_of(path: Path) -> Manifest | None:
    """What the adapter at ``path`` says of itself; None for one that plain PEFT wrote.

    Raises:
        AdapterError: Its ``lora_bert.json`` is gone or damaged.
    """
    if (path / MANIFEST).is_file():
        return read_manifest(path / MANIFEST)
    if (path / "run.yaml").is_file():
        raise AdapterError(f"'{path}' is not a whole adapter: it has no {MANIFEST}.")
    return None


def backbone_name(path: Path, config: Mapping[str, Any], described: Manifest | None) -> str:
    """The name of the backbone that the adapter at ``path`` was trained on.

    ``config`` is its ``adapter_config.json``, ``described`` its manifest, if there is one.

    Raises:
        AdapterError: It does not say.
    """
    name = described.backbone_name if described else config.get("base_model_name_or_path")
    if not name:
        raise AdapterError(
            f"'{path}' does not say which backbone it belongs to.", hint="Name it with --backbone."
        )
    return str(name)


def standalone_manifest(path: Path, config: Mapping[str, Any], positions: int) -> Manifest:
    """What a merged or exported model says of itself; if nothing, what its ``config.json`` says.

    ``positions`` is how many tokens the backbone has positions for.

    Raises:
        AdapterError: Neither names the labels, or one of the files is damaged.
    """
    if (path / MANIFEST).is_file():
        return read_manifest(path / MANIFEST)
    settings = path / "tokenizer_config.json"
    written = read_object(settings, AdapterError) if settings.is_file() else {}
    length = written.get("model_max_length") or positions
    if not isinstance(length, int | float) or not length >= 1:
        raise AdapterError(f"'{settings}': model_max_length is {length!r}.")
    return Manifest(
        labels_in(config, path), int(min(length, positions)), {"name": path.name},
        problem_type=(problem := problem_type_of(config)), inputs=inputs_of(problem),
        pooling="none" if _architecture(config).endswith(_OF_TOKENS) else None,
    )  # fmt: skip


def check_tokenizer(path: Path, manifest: Manifest) -> None:
    """Raise AdapterError for a tokenizer that is not the one saved with an adapter or model.

    Other tokens mean other texts to it, silently.
    """
    needed, file = manifest.tokenizer.get("fingerprint"), path / "tokenizer.json"
    fingerprint = sha256(file) if file.is_file() else "none"
    if needed not in (None, fingerprint):
        raise AdapterError(
            f"'{path}': its tokenizer is not the one it was trained with: fingerprint "
            f"{str(needed)[:12]}… is needed, this one has {fingerprint[:12]}….",
            hint="Copy the directory again, with all its files.",
        )


def check_written(
    path: Path, kept: Mapping[str, str], names: Iterable[str], told: str = MANIFEST
) -> None:
    """Raise AdapterError for one of these files in ``path`` that is not the one that was written.

    ``kept`` is the SHA-256 of each, where the file ``told`` has it.
    """
    for name in filter(kept.__contains__, names):
        if (found := sha256(path / name)) != kept[name]:
            raise AdapterError(
                f"'{path / name}' is not the file that was written: SHA-256 {kept[name]!s:.12}… is "
                f"needed, this one has {found[:12]}….",
                hint="Copy the directory again, with all its files; if you have changed that file "
                f"yourself, remove 'files' from {told}.",
            )


def check_scaling(path: Path, kept: Mapping[str, Any]) -> None:
    """Raise AdapterError where the matrices of an adapter count for more or less than when written.

    ``kept`` is the scaling in its manifest, {} where there is none.
    """
    if not kept:
        return
    for key, value in scaling_of(read_object(path / CONFIG, AdapterError)).items():
        if key in kept and value != kept[key]:
            said, was = (
                f"{each:g}" if isinstance(each, float) else shortened(json.dumps(each))
                for each in (value, kept[key])
            )
            raise AdapterError(
                f"'{path / CONFIG}': {key} is {said} here and was {was} when the adapter was "
                "written, so its LoRA matrices count otherwise.",
                hint="Copy the directory again, with all its files; if you have changed that file "
                f"yourself, remove 'scaling' from {MANIFEST}.",
            )


_OF_TEXTS = "ForSequenceClassification"
_BY_CLASS = {"ForTokenClassification": TAGGING, "ForQuestionAnswering": ANSWERING}
_OF_TOKENS = tuple(_BY_CLASS)
_OTHER_TASKS: Mapping[str, str] = {
    "MultipleChoice": "a model that chooses among several texts",
    "MaskedLM": "a masked language model, which fills in words",
    "PreTraining": "a pretrained language model",
    "LMHeadModel": "a language model",
    "CausalLM": "a language model",
    "NextSentencePrediction": "a model that judges whether two texts follow each other",
}
"""Endings of a class in transformers -> what it is."""
_UNSAID_LABELS = 2
"""How many outputs a classifier has in transformers whose ``config.json`` says nothing of them."""
_MOST_LABELS = 1 << 20


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is that of a classifier, and not of a backbone alone."""
    return _architecture(config).endswith((_OF_TEXTS, *_OF_TOKENS))


def inputs_of(problem_type: str) -> int:
    """How many texts a row has, by the task; 0: not known."""
    return {TAGGING: 1, ANSWERING: 2}.get(problem_type, 0)


def check_answerable(config: Mapping[str, Any], path: Path) -> None:
    """Raise AdapterError for a model that stands alone and is made for something else than a task.

    Its answers would look like probabilities, and be none.
    """
    name = _architecture(config)
    kind = name.partition("For")[2] or ("LMHeadModel" if name.endswith("LMHeadModel") else "")
    if kind and not is_classifier(config):
        what = _OTHER_TASKS.get(kind, "a model for another task")
        raise AdapterError(
            f"'{path}' is {what} ({name}), not a text classifier.",
            hint="To train a text classifier on its encoder: lora-bert train --backbone …",
        )
    problem = problem_type_of(config)
    if problem not in problem_types():
        raise AdapterError(
            f"'{path}' is made for a problem that is not known here (problem_type '{problem}'); "
            f"there are {', '.join(problem_types())}.",
            hint="transformers answers with it as it is meant. To train a classifier on its "
            "encoder: lora-bert train --backbone …",
        )


def problem_type_of(config: Mapping[str, Any]) -> str:
    """What a classifier's outputs mean, by transformers' rules where it does not say."""
    of_tokens = (_BY_CLASS[end] for end in _OF_TOKENS if _architecture(config).endswith(end))
    if problem := next(of_tokens, ""):
        return problem
    if (said := config.get("problem_type")) is not None:
        return f"{said!s:.60}"
    labels = config.get("id2label")
    outputs = len(labels) if isinstance(labels, dict) else config.get("num_labels")
    return "regression" if outputs == 1 else USUAL


def _architecture(config: Mapping[str, Any]) -> str:
    """The class in transformers that a ``config.json`` names, or ""."""
    names = config.get("architectures")
    return f"{names[0]!s:.60}" if isinstance(names, list) and names else ""


def labels_in(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The labels that a ``config.json`` names, in the order of the outputs.

    transformers leaves out those that nobody has named, and their number where it is two.

    Raises:
        AdapterError: It names none, or not one for each output.
    """
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", _UNSAID_LABELS)
        if type(count) is int and 1 <= count <= _MOST_LABELS:
            return tuple(f"LABEL_{index}" for index in range(count))
    if not isinstance(names, dict) or not names:
        raise AdapterError(f"'{path / 'config.json'}' names no labels (id2label).")
    try:
        labels = {int(key): str(name) for key, name in names.items()}
    except ValueError:
        labels = {}
    if sorted(labels) != list(range(len(names))):
        raise AdapterError(
            f"'{path / 'config.json'}' does not number its labels from 0 (id2label)."
        )
    return tuple(labels[index] for index in range(len(labels)))


def check_stands_alone(path: Path, backbone: str | None, labels: Sequence[str]) -> None:
    """Raise ConfigError for a backbone or labels, which only an adapter can be given."""
    if backbone is not None:
        raise ConfigError(f"'{path}' has its backbone inside.", hint="--backbone is for adapters.")
    if labels:
        raise labels_of_its_own(path)


def labels_of_its_own(path: Path) -> ConfigError:
    """The error for ``--labels`` where there are labels already."""
    return ConfigError(
        f"'{path}' has labels of its own.", hint="--labels is for adapters that plain PEFT wrote."
    )
