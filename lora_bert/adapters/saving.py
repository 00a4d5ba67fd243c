"""Writing an adapter directory: whole or not at all, with no path of this machine in it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from lora_bert._version import __version__
from lora_bert.adapters.card import card
from lora_bert.adapters.manifest import MANIFEST, Manifest
from lora_bert.adapters.peft_format import LoraSettings, write_peft
from lora_bert.adapters.trained_on import RUN
from lora_bert.backbones.config import EncoderConfig
from lora_bert.files import atomic_directory
from lora_bert.model.adapter import Adapter
from lora_bert.tasks.problem_types import task_of
from lora_bert.tokens.tokenizer import TextTokenizer

CURVE = "curve.png"


def save_adapter(
    path: Path, adapter: Adapter, manifest: Manifest, tokenizer: TextTokenizer,
    settings: LoraSettings | None, encoder: EncoderConfig, *, run_yaml: str, command: str,
    overwrite: bool = False, extra: Callable[[Path], None] = lambda directory: None,
) -> None:  # fmt: skip
    """Write everything an adapter is into the directory ``path``.

    ``settings`` is None where no layer is adapted; ``run_yaml`` is the resolved configuration, and
    ``command``, which repeats the run, is for the card. ``extra`` writes further files (the curve)
    into the directory it is given.

    Raises:
        OutputError: ``path`` cannot be written, or is taken.
    """
    with atomic_directory(path, overwrite=overwrite) as work:
        write_peft(
            work,
            adapter,
            settings,
            encoder,
            task_type=task_of(manifest.problem_type).peft_task_type,
            backbone_name=manifest.backbone_name,
            revision=manifest.backbone.get("revision"),
        )
        tokenizer.save(work)
        (work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        (work / RUN).write_text(run_yaml, encoding="utf-8")
        size, changes_layers = adapter.parameter_count, bool(adapter.factors)
        text = card(manifest, "adapter", command=command, size=size, changes_layers=changes_layers)
        (work / "README.md").write_text(text, encoding="utf-8")
        extra(work)


def versions() -> dict[str, str]:
    """lora-bert and the libraries whose version can change what comes out."""
    names = ("torch", "tokenizers", "safetensors")
    return {"lora-bert": __version__} | {name: importlib.metadata.version(name) for name in names}
