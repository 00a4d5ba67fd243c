"""The texts on which two forms of one model are compared."""

from __future__ import annotations

import random
from importlib.resources import files as package_files
from pathlib import Path

from lora_bert.adapters.manifest import Manifest
from lora_bert.adapters.trained_on import known_reading
from lora_bert.config import ExportConfig, MergeConfig, parse_label_names
from lora_bert.data.asked import read_options
from lora_bert.data.examples import Examples, examples_from
from lora_bert.data.given import Given
from lora_bert.data.tables import read_table

MOST_TEXTS = 1000


def probe_texts() -> list[str]:
    """The 64 texts that ship for the comparison, Chinese and English, short and long."""
    resource = package_files("lora_bert.inference") / "probes.txt"
    return resource.read_text(encoding="utf-8").splitlines()


def samples(config: MergeConfig | ExportConfig, manifest: Manifest) -> Examples:
    """At most 1,000 rows of a file, with their labels where it has some; else the texts that ship.

    Args:
        config: Names the file, and tells how to read it.
        manifest: Of the model: knows its columns and labels, and how its training was read.

    Raises:
        DataError, NotFoundError: The file cannot be read, or has no such column.
    """
    data = config.data
    if data is None:
        texts = tuple(probe_texts())
        return Examples(texts, (), tuple(range(1, len(texts) + 1)), "probes.txt")
    source = data if isinstance(data, Given) else Path(data)
    table = read_table(source, read_options(config, known_reading(manifest)))
    known = {
        kind: name if (name := manifest.column(kind)) in table.columns else None
        for kind in ("text", "label")
    }
    rows = examples_from(
        table,
        text_column=config.text_column or known["text"],
        label_column=config.label_column or known["label"],
        label_names={**manifest.label_names, **parse_label_names(config.label_names)},
        need_labels=False,
    )
    if len(rows) <= MOST_TEXTS:
        return rows
    # Drawn, because files are often sorted by label.
    return rows.take(sorted(random.Random(0).sample(range(len(rows)), MOST_TEXTS)))
