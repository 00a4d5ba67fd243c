"""``lora-bert merge``."""

from __future__ import annotations

import dataclasses
import shlex

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import MergeConfig


@declare(
    "merge", MergeConfig, needs="an adapter and a directory for the result", usage="ADAPTER OUT"
)
def command(config: MergeConfig, as_json: bool) -> Answer:
    """Fold ADAPTER into its backbone and write OUT, a standalone transformers model.

    Before it counts, OUT is compared with base + adapter in float32: no probability may differ by
    more than 0.0001.

    Examples:
      lora-bert merge adapters/waimai out/
      lora-bert merge runs/reviews out/ --backbone models/bert-base-chinese
      lora-bert merge runs/reviews out/ --data reviews.csv
    """
    from lora_bert.exporting.merge import run

    result = run(config)
    return Answer(
        dataclasses.asdict(result) | {"path": str(result.path)},
        f"merged      {result.path} ({result.size / 1e6:.1f} MB)\n"
        f"compared    largest difference in {result.measured_in} {result.difference:.1e} on "
        f"{result.texts:,} texts, both in float32\n"
        f"{in_bfloat16(result.moved, result.measured_in)}"
        f"next        lora-bert infer --model {shlex.quote(str(result.path))} {result.asked_as}",
    )


def in_bfloat16(moved: float | None, measured_in: str) -> str:
    """How far the answers of ``infer`` move where it does not compute in float32, as a line."""
    if moved is None:
        return ""
    what = "probabilities" if measured_in == "probability" else f"answers, in {measured_in},"
    return (
        f"infer       computes in bfloat16 here, which moves these {what} by up to {moved:.2g}; "
        "--dtype float32 does not\n"
    )
