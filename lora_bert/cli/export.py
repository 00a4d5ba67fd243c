"""``lora-bert export``."""

from __future__ import annotations

import dataclasses
import shlex

from lora_bert.cli.declare import Answer, declare
from lora_bert.cli.merge import in_bfloat16
from lora_bert.config import ExportConfig


@declare(
    "export",
    ExportConfig,
    needs="an adapter or merged model and a directory for the result",
    usage="ADAPTER OUT",
)
def command(config: ExportConfig, as_json: bool) -> Answer:
    """Write an adapter or merged model as OUT, a graph for a faster engine than torch.

    Before it counts, OUT is compared with torch in float32: no probability may differ by more than
    0.0001. With --int8 the difference, and with labelled --data the accuracy, is only told.

    Examples:
      lora-bert export adapters/waimai out/
      lora-bert export merged/ out/ --format onnx
      lora-bert export adapters/waimai out/ --int8 --data reviews.csv
    """
    from lora_bert.exporting.export import run

    result = run(config)
    size, texts = f"{result.size / 1e6:.1f} MB", f"{result.texts:,} texts"
    compared = f"largest difference in {result.measured_in} {result.difference:.1e} on {texts}"
    if result.precision != "float32":
        compared = (
            f"with torch in float32 on {texts}: answers move, in {result.measured_in}, by "
            f"{result.median:.2g} in the median text and by {result.difference:.2g} in the worst"
        )
    accuracy = ""
    if result.accuracy:
        before, after = result.accuracy
        accuracy = f"accuracy    {before:.1%} by torch, {after:.1%} exported, on {texts}\n"
    return Answer(
        dataclasses.asdict(result) | {"path": str(result.path)},
        f"exported    {result.path} ({result.format}, {result.precision}, {size})\n"
        f"compared    {compared}, same answer on {result.agreement:.1%}\n"
        f"{in_bfloat16(result.moved, result.measured_in)}"
        f"{accuracy}"
        f"next        lora-bert infer --model {shlex.quote(str(result.path))} {result.asked_as}",
    )
