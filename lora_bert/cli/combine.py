"""``lora-bert combine``."""

from __future__ import annotations

import dataclasses
import shlex

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import CombineConfig


@declare("combine", CombineConfig, needs="adapters and a directory for the result", usage="A B OUT")
def command(config: CombineConfig, as_json: bool) -> Answer:
    """Make OUT, one adapter, of two ADAPTERs or more on the same backbone.

    With the same labels it is the weighted mean of their weights. Multi-label adapters without a
    label in common, which change the same in the layers or nothing, become one that answers all
    their labels. Before it counts, OUT is compared with what it is made of.

    Examples:
      lora-bert combine runs/seed0 runs/seed1 runs/seed2 runs/mean
      lora-bert combine runs/old runs/new runs/both --weights 0.3,0.7
    """
    from lora_bert.exporting.combine import run

    result, place = run(config), shlex.quote(config.output)
    if result.shares:
        names = zip(config.adapters, result.shares, strict=True)
        of = ", ".join(f"{share:.1%} {name}" for name, share in names)
    else:
        of = f"labels of {', '.join(config.adapters)} side by side"
    rank = "" if result.rank is None else f", rank {result.rank}"
    cut = ""
    if result.lost is not None:
        cut = (
            f"cut         to rank {result.rank}, which loses {result.lost:.1%} of the norm of what "
            f"is changed and moves answers by up to {result.moved:.2g} in {result.measured_in}\n"
        )
    return Answer(
        dataclasses.asdict(result) | {"path": str(result.path)},
        f"combined    {result.path} ({result.size / 1e6:.1f} MB{rank}): {of}\n{cut}"
        f"compared    largest difference in {result.measured_in} {result.difference:.1e} on "
        f"{result.texts:,} texts, in float32\n"
        f"next        lora-bert evaluate {place} --data …",
    )
