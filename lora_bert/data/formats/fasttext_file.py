"""What fastText trains on: a text a line, its labels marked by ``__label__``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lora_bert.data.opening import open_text
from lora_bert.data.rows import OpenTable

_LABEL = re.compile(r"(?:^|(?<=\s))__label__(\S+)\s*")


def read(path: Path, codec: str) -> OpenTable:
    """Open a fastText file; a line without label has an empty one, several are a JSON list."""
    with open_text(path, codec) as stream:
        first = next((line for line in stream if line.strip()), "")
    label_first = first.lstrip().startswith("__label__")
    columns = ("label", "text") if label_first else ("text", "label")
    return OpenTable(columns, _rows(path, codec, label_first))


def _rows(path: Path, codec: str, label_first: bool) -> Iterator[tuple[int, tuple[str, str]]]:
    with open_text(path, codec) as stream:
        for line, content in enumerate(stream, start=1):
            if not content.strip():
                continue
            labels = _LABEL.findall(content)
            text = _LABEL.sub("", content).strip()
            label = json.dumps(labels, ensure_ascii=False) if len(labels) > 1 else "".join(labels)
            yield line, (label, text) if label_first else (text, label)
