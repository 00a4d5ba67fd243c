"""``merge``: an adapter and its backbone become one standalone model, compared before it counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np

from lora_bert.adapters.directory import kind_of
from lora_bert.adapters.loading import load_any
from lora_bert.adapters.merged import write_merged
from lora_bert.config import MergeConfig, parse_names
from lora_bert.data.examples import examples_from
from lora_bert.data.tables import read_table
from lora_bert.errors import AdapterError, ConfigError, OutputError
from lora_bert.files import atomic_directory, claim_output, spare_inputs
from lora_bert.inference.predictor import Predictor
from lora_bert.options import build

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
MOST_TEXTS = 1000


@dataclass(frozen=True)
class MergeResult:
    """A written merged model.

    Attributes:
        path: Its directory.
        difference: Largest difference of a probability between it and base + adapter, float32.
        texts: On how many texts.
        size: Bytes of the directory.
    """

    path: Path
    difference: float
    texts: int
    size: int


def merge(adapter: str | Path, output: str | Path, **options: Any) -> MergeResult:
    """Fold an adapter into its backbone and write a standalone ``transformers`` model.

    Args:
        adapter: The adapter's directory.
        output: The directory to make.
        **options: See :class:`lora_bert.config.MergeConfig`.

    Raises:
        AdapterError: The adapter is damaged, or the merged model does not predict the same to
            within 1e-4; nothing is written then.
        OutputError: ``output`` is taken, not writable, or the adapter itself.
    """
    return run(build(MergeConfig, {"adapter": adapter, "output": output, **options}))


def run(config: MergeConfig) -> MergeResult:
    """As :func:`merge`, of a checked configuration."""
    source, output = Path(config.adapter), Path(config.output)
    if kind_of(source) == "merged":
        raise ConfigError(f"'{source}' is a merged model already.")
    resolved = output.resolve()
    if resolved == source.resolve() or resolved in source.resolve().parents:
        raise OutputError(
            f"OUT '{output}' is the adapter itself or holds it.", hint="Name another directory."
        )
    claim_output(output, overwrite=config.overwrite)
    before = load_any(
        source, backbone=config.backbone, labels=parse_names(config.labels),
        allow_backbone_mismatch=config.allow_backbone_mismatch,
    )  # fmt: skip
    spare_inputs(output, (before.files.path, config.data))
    texts = _texts(config)
    with atomic_directory(output, overwrite=config.overwrite) as work:
        write_merged(work, before)
        after = load_any(work)
        difference = _difference(Predictor.of(before, source), Predictor.of(after, work), texts)
        if not difference <= TOLERANCE:
            raise AdapterError(
                f"The merged model differs from base + adapter by {difference:.2g} in probability, "
                f"more than {TOLERANCE:g}; it was not kept."
            )
    return MergeResult(
        path=output,
        difference=difference,
        texts=len(texts),
        size=sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
    )


def probe_texts() -> list[str]:
    """The 64 texts that ship for the comparison, Chinese and English, short and long."""
    resource = package_files("lora_bert.inference") / "probes.txt"
    return resource.read_text(encoding="utf-8").splitlines()


def _texts(config: MergeConfig) -> Sequence[str]:
    if config.data is None:
        return probe_texts()
    rows = examples_from(
        read_table(Path(config.data)), text_column=config.text_column, need_labels=False
    )
    return rows.texts[:MOST_TEXTS]


def _difference(before: Predictor, after: Predictor, texts: Sequence[str]) -> float:
    return float(np.abs(before.probabilities(texts) - after.probabilities(texts)).max())
