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
from lora_bert.backbones.family import Family
from lora_bert.files import atomic_directory
from lora_bert.model.adapter import Adapter
from lora_bert.tasks.registry import task_of
from lora_bert.tokens.tokenizer import TextTokenizer

CURVE = "curve.png"


def save_adapter(
    path: Path,
    adapter: Adapter,
    manifest: Manifest,
    tokenizer: TextTokenizer,
    settings: LoraSettings | None,
    family: Family,
    *,
    run_yaml: str,
    command: str,
    overwrite: bool = False,
    extra: Callable[[Path], None] = lambda directory: None,
) -> None:
    """Write everything an adapter is to ``path``.

    Args:
        path: The directory to make.
        adapter: Trained weights.
        manifest: What goes into ``lora_bert.json``.
        tokenizer: The backbone's, cleaning included.
        settings: Rank, alpha, targets: for ``adapter_config.json``; None where no layer is adapted.
        family: The backbone's family.
        run_yaml: The resolved configuration.
        command: The command that repeats the run, for the card.
        overwrite: Replace a directory that stands there.
        extra: Writes further files (the curve) into the directory it is given.

    Raises:
        OutputError: ``path`` cannot be written, or is taken.
    """
    with atomic_directory(path, overwrite=overwrite) as work:
        write_peft(
            work,
            adapter,
            settings,
            family,
            task_type=task_of(manifest.problem_type).peft_task_type,
            backbone_name=manifest.backbone_name,
            revision=manifest.backbone.get("revision"),
        )
        tokenizer.save(work)
        (work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        (work / RUN).write_text(run_yaml, encoding="utf-8")
        text = card(
            manifest, "adapter", command=command,
            size=adapter.parameter_count, changes_layers=bool(adapter.factors),
        )  # fmt: skip
        (work / "README.md").write_text(text, encoding="utf-8")
        extra(work)


def versions() -> dict[str, str]:
    """lora-bert and the libraries whose version can change what comes out."""
    names = ("torch", "tokenizers", "safetensors")
    return {"lora-bert": __version__} | {name: importlib.metadata.version(name) for name in names}
