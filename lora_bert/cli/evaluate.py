"""``lora-bert evaluate``."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import EvaluateConfig


@declare("evaluate", EvaluateConfig, needs="an adapter or a merged model", usage="ADAPTER")
def command(config: EvaluateConfig, as_json: bool) -> Answer:
    """Score an adapter or merged model on labelled rows it has not seen.

    Prints accuracy and macro-F1 with 95 % bootstrap intervals, log loss, how many answers are right
    where only the surest are given, a table of the classes and the confusions; of several labels
    and of numbers their own figures. --baseline says what a linear model on TF-IDF makes of the
    same rows, --against what another model does.

    Examples:
      lora-bert evaluate runs/reviews
      lora-bert evaluate runs/reviews --data test.csv --output report/
      lora-bert evaluate adapters/waimai --baseline --report waimai.html
      lora-bert evaluate runs/new --against runs/old
      lora-bert evaluate runs/intents --data test.csv --target-accuracy 0.95 --out-of-scope oos
      lora-bert evaluate out/ --data waimai --label-names 0=negative,1=positive --json
    """
    from lora_bert.adapters.directory import kind_of
    from lora_bert.evaluation.evaluate import run
    from lora_bert.evaluation.report import decimal

    evaluation = run(config)
    text = evaluation.text(width=shutil.get_terminal_size().columns)
    reached = evaluation.target.reached if evaluation.target else None
    if reached and reached.min_score > 0:
        option = "--adapter" if kind_of(Path(config.path)) == "adapter" else "--model"
        words = f"{option} {shlex.quote(config.path)} --min-score {decimal(reached.min_score)}"
        text += f'\n\nnext         lora-bert infer {words} "…"'
    if config.output:
        text += f"\n\ntables in {config.output}"
    if config.report:
        text += f"\n\nreport in {config.report}"
    return Answer(evaluation.as_dict(), text)
