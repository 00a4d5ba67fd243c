"""``lora-bert export``."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING

import click

from lora_bert.cli.declare import command as declare
from lora_bert.config import ExportConfig
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text

if TYPE_CHECKING:
    from lora_bert.exporting.export import ExportResult

EXAMPLES = """\
  lora-bert export adapters/waimai out/
  lora-bert export merged/ out/ --format onnx
  lora-bert export adapters/waimai out/ --int8 --data reviews.csv"""


@declare("export", ExportConfig, examples=EXAMPLES)
def command(config: ExportConfig, as_json: bool) -> None:
    """Write an adapter or merged model as OUT, a graph for a faster engine than torch.

    Before it counts, OUT is compared with torch in float32: no probability may differ by more than
    0.0001. With --int8 the difference, and with labelled --data the accuracy, is only told.
    """
    if not config.path or not config.output:
        raise ConfigError(
            "export needs an adapter or merged model and a directory for the result.",
            hint="lora-bert export ADAPTER OUT",
        )
    from lora_bert.exporting.export import run

    result = run(config)
    if as_json:
        facts = dataclasses.asdict(result) | {"path": str(result.path)}
        click.echo(json_text(facts))
        return
    path = shlex.quote(str(result.path))
    lines = [
        f"exported    {result.path} ({result.format}, {result.precision}, "
        f"{result.size / 1e6:.1f} MB)",
        f"compared    {_differences(result)}, same label on {result.agreement:.1%}",
    ]
    if result.moved is not None:
        lines.append(
            "infer       computes in bfloat16 here, which moves these probabilities by up to "
            f"{result.moved:.2g}; --dtype float32 does not"
        )
    if result.accuracy:
        before, after = result.accuracy
        lines.append(
            f"accuracy    {before:.1%} by torch, {after:.1%} exported, on {result.texts:,} texts"
        )
    lines.append(f'next        lora-bert infer --model {path} "…"')
    click.echo("\n".join(lines))


def _differences(result: ExportResult) -> str:
    """How far the probabilities are from torch's."""
    texts = f"{result.texts:,} texts"
    if result.precision == "float32":
        return f"largest difference in probability {result.difference:.1e} on {texts}"
    return (
        f"with torch in float32 on {texts}: probabilities move by {result.median:.2g} in the "
        f"median text and by {result.difference:.2g} in the worst"
    )
