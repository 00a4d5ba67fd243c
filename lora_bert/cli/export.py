"""``lora-bert export``."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Any

from lora_bert.cli.declare import Answer, declare
from lora_bert.cli.merge import in_bfloat16
from lora_bert.config import ExportConfig

if TYPE_CHECKING:
    from lora_bert.exporting.export_result import ExportResult, SharedExportResult


@declare(
    "export",
    ExportConfig,
    needs="an adapter or merged model and a directory for the result",
    usage="ADAPTER OUT",
)
def command(config: ExportConfig, as_json: bool) -> Answer:
    """Write an adapter or merged model as OUT, a graph for a faster engine than torch.

    Several ADAPTERs on one backbone share a graph: that of the layers below the lowest that any of
    them changes, the trunk. OUT then has a directory for each, its branch: the layers above and the
    head. A text that all of them answer goes through the trunk once.

    Before it counts, OUT is compared with torch in float32: no probability may differ by more than
    0.0001. With --int8 the difference, and with labelled --data the accuracy, is only told.

    Examples:
      lora-bert export adapters/waimai out/
      lora-bert export merged/ out/ --format onnx
      lora-bert export adapters/waimai out/ --int8 --data reviews.csv
      lora-bert export runs/reviews runs/intents runs/topics out/
    """
    from lora_bert.exporting.export import run
    from lora_bert.exporting.export_result import SharedExportResult

    result = run(config)
    if isinstance(result, SharedExportResult):
        return _several(result)
    compared, place = _compared(result), shlex.quote(str(result.path))
    return Answer(
        _document(result),
        f"exported    {result.path} ({result.format}, {result.precision}, "
        f"{result.size / 1e6:.1f} MB)\n"
        f"compared    {compared}\n"
        f"{in_bfloat16(result.moved, result.measured_in)}"
        f"{_accuracy(result)}"
        f"next        lora-bert infer --model {place} {result.asked_as}",
    )


def _several(result: SharedExportResult) -> Answer:
    """What is said of adapters that share a trunk: a line each."""
    branches = {name: _document(each) for name, each in result.branches.items()}
    lines = [
        f"{name:<11} {each.size / 1e6:.1f} MB, {_compared(each)}\n{_accuracy(each)}"
        for name, each in result.branches.items()
    ]
    every = list(result.branches.values())
    own = sum(each.size for each in every)
    most = max(every, key=lambda each: each.moved or 0)
    return Answer(
        dataclasses.asdict(result) | {"path": str(result.path), "branches": branches},
        f"exported    {result.path} ({result.format}, {result.precision}, "
        f"{result.size / 1e6:.1f} MB)\n"
        f"trunk       {result.trunk_layers} of {result.layers} layers, "
        f"{(result.size - own) / 1e6:.1f} MB\n"
        f"{''.join(lines)}"
        f"{in_bfloat16(most.moved, most.measured_in)}"
        f"next        lora-bert infer --model {shlex.quote(str(result.path))} {every[0].asked_as}",
    )


def _document(result: ExportResult) -> dict[str, Any]:
    return dataclasses.asdict(result) | {"path": str(result.path)}


def _compared(result: ExportResult) -> str:
    """How the answers compare with torch's."""
    texts = f"{result.texts:,} texts"
    compared = f"largest difference in {result.measured_in} {result.difference:.1e} on {texts}"
    if result.precision != "float32":
        compared = (
            f"with torch in float32 on {texts}: answers move, in {result.measured_in}, by "
            f"{result.median:.2g} in the median text and by {result.difference:.2g} in the worst"
        )
    return f"{compared}, same answer on {result.agreement:.1%}"


def _accuracy(result: ExportResult) -> str:
    """The line for labelled texts."""
    if not result.accuracy:
        return ""
    before, after = result.accuracy
    on = f"{result.texts:,} texts"
    return f"accuracy    {before:.1%} by torch, {after:.1%} exported, on {on}\n"
