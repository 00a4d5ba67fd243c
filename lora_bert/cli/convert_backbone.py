"""``lora-bert convert-backbone``."""

from __future__ import annotations

import shlex

import click

from lora_bert.cli.declare import command as declare
from lora_bert.config import ConvertConfig
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text

EXAMPLES = """\
  lora-bert convert-backbone models/rbt3 models/rbt3-safe
  lora-bert convert-backbone hfl/rbt3 models/rbt3 --revision main"""


@declare("convert-backbone", ConvertConfig, examples=EXAMPLES)
def command(config: ConvertConfig, as_json: bool) -> None:
    """Write the backbone PATH, whose weights are a pickle (pytorch_model.bin), to OUT.

    Opening a pickle can run code. It is opened once, for weights alone and in a process of its own;
    OUT holds safetensors, which everything else reads.
    """
    if not config.path or not config.output:
        raise ConfigError(
            "convert-backbone needs a backbone and a directory for the result.",
            hint="lora-bert convert-backbone PATH OUT",
        )
    from lora_bert.backbones.convert import run

    result = run(config)
    if as_json:
        facts = {
            "path": str(result.path),
            "fingerprint": result.fingerprint,
            "parameters": result.parameters,
            "left_out": list(result.left_out),
        }
        click.echo(json_text(facts))
        return
    left_out = f", without {len(result.left_out)} of its pretraining" if result.left_out else ""
    click.echo(
        f"converted    {result.path} ({result.parameters:,} parameters{left_out})\n"
        f"fingerprint  {result.fingerprint}\n"
        f"next         lora-bert train --backbone {shlex.quote(str(result.path))} --data …"
    )
