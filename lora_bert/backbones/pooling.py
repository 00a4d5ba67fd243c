"""What a head is to read of a text on a backbone: its first token, or the mean of its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePath

from lora_bert.backbones.config import EncoderConfig, Pooling
from lora_bert.backbones.inside import is_inside
from lora_bert.backbones.nearby import model_of
from lora_bert.backbones.resolve import POOLING, BackboneFiles
from lora_bert.errors import ConfigError
from lora_bert.json_files import read_own

_MEANS = (
    "e5-*", "multilingual-e5-*", "gte-small", "gte-base", "gte-large", "m3e-*", "text2vec-*",
    "*all-minilm-*", "*paraphrase-*", "*distiluse-*", "*all-distilroberta-*",
)  # fmt: skip
"""Names of backbones that were made for the mean, where no file beside them says so."""

_FLAGS: Mapping[Pooling, str] = {
    "cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"
}  # fmt: skip


def resolved_pooling(asked: str, files: BackboneFiles, encoder: EncoderConfig) -> Pooling:
    """``--pooling`` of a training on a backbone, ``auto`` being decided.

    Raises:
        ConfigError: The mean is asked for, and models of that family cannot compute it.
    """
    if asked == "mean" and encoder.no_mean:
        raise ConfigError(
            f"--pooling mean: on this {encoder.model_type} backbone, {encoder.no_mean}, so no "
            "merged model could compute the mean.",
            hint="Leave --pooling out: the head then reads the first token.",
        )
    if asked == "auto":
        return _auto(files, encoder)
    return "mean" if asked == "mean" else "cls"


def pooling_before(encoder: EncoderConfig) -> Pooling:
    """What heads read before they had a choice: of ours, those that do not say it."""
    return encoder.head.pooling if encoder.head.pooling_key else "cls"


def _auto(files: BackboneFiles, encoder: EncoderConfig) -> Pooling:
    """What the backbone was made for; the first token where that is not known.

    This is where ``auto`` is decided, and nowhere else.
    """
    if encoder.no_mean:
        return "cls"
    said = _by_its_files(files.path) or _by_name(files.name)
    if not said or encoder.has_mean_layer:
        return encoder.head.pooling
    return said


def _by_its_files(directory: Path) -> Pooling | None:
    """What sentence-transformers says beside the transformer; None where it says neither."""
    home = model_of(directory)
    places = [path for path in sorted(home.glob(POOLING)) if is_inside(path, home)]
    written = read_own(places[0]) if places else {}
    said: list[Pooling] = [
        mode
        for mode, key in _FLAGS.items()
        if written.get(key) is True or written.get("pooling_mode") == mode
    ]
    return said[0] if len(said) == 1 else None


def _by_name(name: str) -> Pooling | None:
    last = PurePath(name).name.lower()
    return "mean" if any(fnmatch(last, pattern) for pattern in _MEANS) else None
