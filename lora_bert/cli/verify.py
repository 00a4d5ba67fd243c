"""``lora-bert verify``."""

from __future__ import annotations

import click

from lora_bert.cli.console import visible
from lora_bert.cli.declare import command as declare
from lora_bert.config import VerifyConfig
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text

EXAMPLES = """\
  lora-bert verify adapters/waimai
  lora-bert verify out/ --json
  lora-bert verify e5-small-zh-en"""

_MARKS = {True: "ok", False: "FAILED", None: "-"}


@declare("verify", VerifyConfig, examples=EXAMPLES)
def command(config: VerifyConfig, as_json: bool) -> int:
    """Check that an adapter, a merged or exported model, or a backbone is whole and safe to open.

    A line for each check; each presupposes those before it. Nothing is downloaded, no code of it
    runs. Ends with exit code 0, or with that of what is wrong.
    """
    if not config.path:
        raise ConfigError("verify needs a directory.", hint="lora-bert verify adapters/waimai")
    from lora_bert.inference.verify import run

    found = run(config)
    if as_json:
        click.echo(json_text(found.as_dict()))
        return found.exit_code
    for check in found.checks:
        click.echo(f"{_MARKS[check.passed]:<7} {check.name:<12} {visible(check.said)}")
    return found.exit_code
