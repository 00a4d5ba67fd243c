"""``lora-bert train``."""

from __future__ import annotations

import shlex

import click

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import TrainConfig


@declare("train", TrainConfig)
def command(config: TrainConfig, as_json: bool) -> Answer:
    """Train a LoRA adapter and a classification head on a frozen backbone.

    Keeps the epoch that is best on the validation rows, and writes the adapter with everything
    that predicting the same tomorrow needs. Ctrl-C keeps the best adapter so far (exit code 130);
    the same command with --resume goes on, after a crash too, to the same adapter bit for bit.

    Examples:
      lora-bert train
      lora-bert train --data reviews.csv --output runs/reviews
      lora-bert train --data reviews.csv --text-column body --label-column stars
      lora-bert train --train train.csv --validation dev.csv --test test.csv --epochs 5
      lora-bert train --data waimai --backbone bert-base-chinese --rank 16
      lora-bert train --config adapters/waimai/run.yaml --output runs/again
    """
    from lora_bert.data.texts import parts_of
    from lora_bert.evaluation.report import score_words
    from lora_bert.runtime.distributed import processes
    from lora_bert.training.train import run
    from lora_bert.wording import counted, printable, shortened

    result = run(config)
    if not processes().is_first:
        click.get_current_context().exit(130 if result.interrupted else 0)
    resumed_at = result.resumed_at
    steps = f", steps {resumed_at + 1:,} to {result.steps:,}" if resumed_at else ""
    kept = f"epoch {result.best_epoch}"
    if result.head_start == "probe" and not result.best_epoch:
        kept = "the fitted head"
    lines = [
        f"adapter     {result.path} ({result.size / 1e6:.1f} MB, {kept})",
        f"trained     {result.trainable:,} of {result.total:,} parameters "
        f"({result.trainable / result.total:.2%}) in {result.seconds:.0f} s{steps}",
    ]
    for part, evaluation in result.evaluations.items():
        rows = counted(evaluation.scores.rows, "row")
        lines.append(f"{part:<11} {score_words(evaluation, evaluation.metric)}, {rows}")
    for text in result.watched:
        before, after = text.lines
        said = " | ".join(printable(shortened(part)) for part in parts_of(text.text))
        lines.append(f"watched     {before} → {after}  {said}")
    path = shlex.quote(str(result.path))
    if result.resumable:
        lines.append("next        the same command with --resume goes on")
    elif not result.interrupted:
        lines.append(f"next        lora-bert evaluate {path}")
        lines.append(f"            lora-bert infer --adapter {path} {result.asked_as}")
    return Answer(result.as_dict(), "\n".join(lines), 130 if result.interrupted else 0)
