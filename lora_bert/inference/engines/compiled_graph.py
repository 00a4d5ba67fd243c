"""What OpenVINO makes of a graph, kept for the processes to come.

Compiling takes most of the time to a first answer. What is kept has no weights in it: they stay in
the model's own ``.bin``, which must be the one that it was made of.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_bert.backbones.fingerprint import Stamp
from lora_bert.cache.entries import find_entry, new_entry, read_record, reject, total_limit
from lora_bert.errors import LoraBertError

log = logging.getLogger(__name__)

_KIND, _FILE = "openvino", "compiled.blob"
_WITHOUT_WEIGHTS = {"CACHE_MODE": "OPTIMIZE_SIZE"}


@dataclass(frozen=True)
class CompiledGraph:
    """The place in the cache of a graph that is compiled with certain settings.

    Attributes:
        core: OpenVINO's.
        graph: The ``.xml``, with its ``.bin`` beside it.
        settings: What it is compiled with.
        key: The hash of what decides the result, and whether it is the right one: both files, the
            settings, how many outputs it is to have, version and processor.
    """

    core: Any
    graph: Path
    settings: Mapping[str, Any]
    key: str

    @classmethod
    def of(
        cls, core: Any, graph: Path, stamp: Stamp, settings: Mapping[str, Any], outputs: int
    ) -> CompiledGraph:
        """The place; ``stamp`` is that of both files."""
        import openvino

        parts = [openvino.get_version(), str(graph.resolve()), stamp, outputs]
        processor = [core.get_property("CPU", name) for name in
                     ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]  # fmt: skip
        said = json.dumps([*parts, sorted(settings.items()), processor], default=str)
        return cls(core, graph, settings, hashlib.sha256(said.encode()).hexdigest())

    @property
    def inputs(self) -> set[str]:
        """What the graph takes; nothing where it is not kept."""
        path = find_entry(_KIND, self.key)
        return set(read_record(path).get("inputs", ())) if path else set()

    def read(self) -> Any:
        """The compiled model; None where it is not kept, or of no use."""
        if (path := find_entry(_KIND, self.key)) is None:
            return None
        beside = {**_WITHOUT_WEIGHTS, "WEIGHTS_PATH": str(self.graph.with_suffix(".bin"))}
        try:
            blob = (path / _FILE).read_bytes()
            return self.core.import_model(blob, "CPU", {**self.settings, **beside})
        except Exception as problem:  # noqa: BLE001 - its errors have no other class in common
            reject(path, problem)
            return None

    def compile(self, model: Any) -> Any:
        """Compile ``model``, which was read of the graph, and keep the result."""
        compiled = self.core.compile_model(model, "CPU", {**self.settings, **_WITHOUT_WEIGHTS})
        try:
            blob = compiled.export_model().getvalue()
            if len(blob) > total_limit():
                return compiled
            facts = {
                "what": f"{self.graph.parent.name}, compiled",
                "inputs": [each.any_name for each in compiled.inputs],
            }
            with new_entry(_KIND, self.key, len(blob), facts) as work:
                (work / _FILE).write_bytes(blob)
        except (LoraBertError, OSError, RuntimeError) as problem:
            log.info("'%s' is compiled again the next time: %s", self.graph, problem)
        return compiled
