"""``lora-bert evaluate``."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click

from lora_bert.cli.declare import command as declare
from lora_bert.config import EvaluateConfig
from lora_bert.errors import ConfigError
from lora_bert.json_files import json_text

EXAMPLES = """\
  lora-bert evaluate runs/reviews
  lora-bert evaluate runs/reviews --data test.csv --output report/
  lora-bert evaluate adapters/waimai --baseline --report waimai.html
  lora-bert evaluate runs/new --against runs/old
  lora-bert evaluate runs/intents --data test.csv --target-accuracy 0.95 --out-of-scope oos
  lora-bert evaluate out/ --data waimai --label-names 0=negative,1=positive --json"""


@declare("evaluate", EvaluateConfig, examples=EXAMPLES)
def command(config: EvaluateConfig, as_json: bool) -> None:
    """Score an adapter or merged model on labelled rows it has not seen.

    Prints accuracy and macro-F1 with 95 % bootstrap intervals, log loss, how many answers are right
    where only the surest are given, a table of the classes and the confusions; --baseline says what
    TF-IDF + linear SVM makes of the same rows, --against what another model does.
    """
    if not config.path:
        raise ConfigError(
            "evaluate needs an adapter or a merged model.", hint="lora-bert evaluate ADAPTER"
        )
    from lora_bert.adapters.directory import kind_of
    from lora_bert.evaluation.evaluate import run
    from lora_bert.evaluation.report import decimal

    found = run(config)
    if as_json:
        click.echo(json_text(found.as_dict()))
        return
    click.echo(found.text(width=shutil.get_terminal_size().columns))
    if found.target and found.target.reached and found.target.reached.min_score > 0:
        given = "--adapter" if kind_of(Path(config.path)) == "adapter" else "--model"
        words = f"{given} {shlex.quote(config.path)} --min-score"
        click.echo(
            f'\nnext         lora-bert infer {words} {decimal(found.target.reached.min_score)} "…"'
        )
    if config.output:
        click.echo(f"\ntables in {config.output}")
    if config.report:
        click.echo(f"\nreport in {config.report}")
