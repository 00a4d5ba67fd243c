"""HF Trainer + PEFT, in the recipes that people use and in the strongest one known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.batches import plan
from benchmarks.data import Workload, rows_of_one_length
from benchmarks.peers.models import Rows, adapted_classifier, tokenised, tokenizer_of
from benchmarks.scoring import Stopwatch


@dataclass(frozen=True)
class Recipe:
    """What the recipes differ in; all pad dynamically and group rows of like length.

    Attributes:
        dtype: Of the frozen weights.
        bf16: Trainer's switch: autocast to bfloat16.
        attention: ``attn_implementation``; None for the library's choice (SDPA).
        dropout: Whether the frozen layers keep their dropout.
        compiled: Trainer's switch ``torch_compile``.
        layers: Numbers of the transformer layers to adapt; None for all.
    """

    dtype: str = "float32"
    bf16: bool = False
    attention: str | None = None
    dropout: bool = True
    compiled: bool = False
    layers: tuple[int, ...] | None = None


OUR_DEPTH = (6, 7, 8, 9, 10, 11)
"""What our default, ``--layers top:6``, adapts of twelve layers."""

RECIPES = {
    "float32": Recipe(),
    "autocast": Recipe(bf16=True),
    "strongest": Recipe(dtype="bfloat16", bf16=True, attention="eager"),
    "strongest-no-dropout": Recipe("bfloat16", bf16=True, attention="eager", dropout=False),
    "strongest-our-depth": Recipe("bfloat16", bf16=True, attention="eager", layers=OUR_DEPTH),
    "cuda": Recipe(dtype="bfloat16", bf16=True, attention="sdpa"),
    "cuda-no-dropout": Recipe("bfloat16", bf16=True, attention="sdpa", dropout=False),
    "cuda-compiled": Recipe("bfloat16", bf16=True, attention="sdpa", dropout=False, compiled=True),
}


def rate(workload: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Examples per second of training steps, over the batches that everyone gets."""
    work = Workload(**workload)
    tokenizer = tokenizer_of(work.backbone)
    rows = tokenised(work.train, work, tokenizer)
    schedule = plan([len(ids) for ids in rows.ids], work.batch_size)
    order = [row for batch in [*schedule.batches, *schedule.batches] for row in batch]
    steps = len(schedule.batches)
    seconds = _seconds(work, RECIPES[recipe], tokenizer, rows.take(order), after=steps)
    return {
        "rate": schedule.rows / seconds,
        "tokens_per_second": schedule.useful / seconds,
        "padding": schedule.padding,
    }


def synthetic_rate(
    workload: dict[str, Any], recipe: str, tokens: int, batch: int, steps: int
) -> dict[str, Any]:
    """Tokens per second on rows that all have ``tokens`` tokens."""
    work = Workload(**{**workload, "batch_size": batch})
    ids, targets = rows_of_one_length(tokens, batch)
    rows = Rows(ids, targets).take(list(range(batch)) * (2 * steps))
    tokenizer = tokenizer_of(work.backbone)
    seconds = _seconds(work, RECIPES[recipe], tokenizer, rows, after=steps)
    return {"tokens_per_second": steps * batch * tokens / seconds, "seconds": seconds / steps}


def _seconds(work: Workload, recipe: Recipe, tokenizer: Any, rows: Rows, *, after: int) -> float:
    """Seconds of as many steps as were made before the clock starts, over rows as they stand."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        started = 0.0
        seconds = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step not in (after, 2 * after):
                return
            if work.device == "cuda":
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.started
            self.started = time.perf_counter()

    clock = Clock()
    # The batches are grouped by length already, so the sampler is to leave them as they are.
    trainer = _trainer(work, recipe, tokenizer, rows, None, epochs=1,
                       train_sampling_strategy="sequential", callbacks=[clock])  # fmt: skip
    trainer.train()
    return clock.seconds


def whole_run(workload: dict[str, Any], recipe: str, scratch: str) -> dict[str, Any]:
    """From files to the best epoch's adapter on disk, scored on validation rows every epoch.

    Where the workload names test rows, ``correct`` says of each whether the best epoch has it
    right.
    """
    watch = Stopwatch()
    work = Workload(**workload)
    tokenizer = tokenizer_of(work.backbone)
    rows = tokenised(work.train, work, tokenizer)
    validation = tokenised(work.validation, work, tokenizer)
    trainer = _trainer(work, RECIPES[recipe], tokenizer, rows, validation, epochs=work.epochs,
                       train_sampling_strategy="group_by_length", output_dir=scratch,
                       eval_strategy="epoch", save_strategy="epoch", save_only_model=True,
                       save_total_limit=1, load_best_model_at_end=True,
                       metric_for_best_model="accuracy")  # fmt: skip
    trainer.train()
    trainer.save_model(f"{scratch}/adapter")
    taken = watch.read()
    scores = [entry["eval_accuracy"] for entry in trainer.state.log_history
              if "eval_accuracy" in entry]  # fmt: skip
    found = {
        **taken,
        "rate": len(rows) * work.epochs / taken["seconds"],
        "steps": trainer.state.global_step,
        "accuracy": max(scores),
    }
    if work.test:
        test = tokenised(work.test, work, tokenizer)
        # Grouped evaluation hands rows back in its own order; in file order they can be paired.
        trainer.args.train_sampling_strategy = "random"
        predicted = trainer.predict(test).predictions.argmax(axis=-1)
        found["correct"] = [int(one == two) for one, two in zip(predicted, test.targets,
                                                               strict=True)]  # fmt: skip
    return found


def _trainer(
    work: Workload,
    recipe: Recipe,
    tokenizer: Any,
    rows: Any,
    validation: Any,
    *,
    epochs: int,
    callbacks: Any = None,
    output_dir: str = "unused",
    **arguments: Any,
) -> Any:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model = adapted_classifier(
        work, dtype=recipe.dtype, attention=recipe.attention, dropout=recipe.dropout,
        layers=recipe.layers,
    )  # fmt: skip
    arguments = {"save_strategy": "no", **arguments}
    settings = TrainingArguments(
        output_dir=output_dir,
        num_train_epochs=epochs,
        per_device_train_batch_size=work.batch_size,
        per_device_eval_batch_size=work.batch_size,
        learning_rate=work.learning_rate,
        warmup_steps=0.1,  # a share of all steps
        weight_decay=0.01,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        bf16=recipe.bf16,
        torch_compile=recipe.compiled,
        use_cpu=work.device == "cpu",
        seed=work.seed,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        **arguments,
    )
    return Trainer(
        model=model,
        args=settings,
        train_dataset=rows,
        eval_dataset=validation,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=_accuracy,
        callbacks=callbacks,
    )


def _accuracy(found: Any) -> dict[str, float]:
    scores, targets = found
    return {"accuracy": float((scores.argmax(axis=-1) == targets).mean())}
