"""``lora-bert merge``."""

from __future__ import annotations

import dataclasses
import shlex

import click

from lora_bert.cli.declare import command as declare
from lora_bert.config import MergeConfig
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text

EXAMPLES = """\
  lora-bert merge adapters/waimai out/
  lora-bert merge runs/reviews out/ --backbone models/bert-base-chinese
  lora-bert merge runs/reviews out/ --data reviews.csv"""


@declare("merge", MergeConfig, examples=EXAMPLES)
def command(config: MergeConfig, as_json: bool) -> None:
    """Fold ADAPTER into its backbone and write OUT, a standalone transformers model.

    Before it counts, OUT is compared with base + adapter in float32: no probability may differ by
    more than 0.0001.
    """
    if not config.adapter or not config.output:
        raise ConfigError(
            "merge needs an adapter and a directory for the result.",
            hint="lora-bert merge ADAPTER OUT",
        )
    from lora_bert.exporting.merge import run

    result = run(config)
    if as_json:
        facts = dataclasses.asdict(result) | {"path": str(result.path)}
        click.echo(json_text(facts))
        return
    path = shlex.quote(str(result.path))
    click.echo(
        f"merged      {result.path} ({result.size / 1e6:.1f} MB)\n"
        f"compared    largest difference in probability {result.difference:.1e} on "
        f"{result.texts:,} texts, both in float32\n"
        f"{_in_use(result.moved)}"
        f'next        lora-bert infer --model {path} "…"'
    )


def _in_use(moved: float | None) -> str:
    """What ``infer`` makes of it where that does not compute in float32."""
    if moved is None:
        return ""
    return (
        "infer       computes in bfloat16 here, which moves these probabilities by up to "
        f"{moved:.2g}; --dtype float32 does not\n"
    )
