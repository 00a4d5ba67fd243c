"""Training steps per second: all-linear LoRA of rank 8 on all layers, batches of 32, no cache."""

from __future__ import annotations

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import advantage
from benchmarks.record import Goal, Record, Table, comparison, goal, new_record

SUMMARY = "training steps, in examples per second, against HF Trainer + PEFT"
NOTES = """\
Everyone steps through the same batches: rows sorted by length, cut into batches of 32, padded to
the longest of each, in random order; all of them twice, timed the second time.

- *HF float32*: Trainer + PEFT, float32, its default attention (SDPA). *HF bf16=True*: the same with
  autocast.
- *HF strongest*: backbone loaded in bfloat16, eager attention, `bf16=True`; adapter and head in
  float32. *No dropout*: the same with the frozen layers' dropout (0.1) off, as it is in ours.
- *HF best on CUDA*: bfloat16 weights, SDPA, `bf16=True`, fused AdamW; *compiled*: with
  `torch_compile=True`.
- *tutorials' loop*: plain PyTorch, float32, padded to 128, LoRA on query and value; one round.
"""
ROUNDS = 5
ROWS = 960
OURS = "lora-bert"
STRONGEST = ("HF strongest", "HF strongest, no dropout")
PLAIN = ("HF float32", "HF bf16=True")
CUDA = ("HF best on CUDA", "HF best on CUDA, no dropout")
COMPILED = "HF best on CUDA, no dropout, compiled"
LOOP = "tutorials' loop"


def measure(options: Options) -> Record:
    """Everyone steps through the same batches, which are drawn from real rows."""
    rows = options.rows_or(ROWS)
    workload = prepare(options, rows=rows)
    record = new_record("train", options, rows=rows, source=workload.source,
                        batch_size=workload.batch_size, rank=workload.rank)  # fmt: skip
    given = {"workload": workload.as_json()}
    recipes = dict(zip(STRONGEST, ("strongest", "strongest-no-dropout"), strict=True))
    recipes |= dict(zip(PLAIN, ("float32", "autocast"), strict=True))
    if options.device == "cuda":
        recipes = dict(zip(CUDA, ("cuda", "cuda-no-dropout"), strict=True))
        recipes[COMPILED] = "cuda-compiled"
    contenders = [
        Contender(OURS, "benchmarks.stepping:rate", given),
        *(Contender(name, "benchmarks.peers.trainer:rate", {**given, "recipe": recipe},
                    at_most=1 if recipe == "cuda-compiled" else None)
          for name, recipe in recipes.items()),
    ]  # fmt: skip
    if options.device == "cpu":
        contenders.append(Contender(LOOP, "benchmarks.peers.tutorial:rate", given, at_most=1))
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['rate']:.1f} examples/s")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Examples per second."""
    title = "Training steps: all-linear LoRA of rank 8, all layers, batches of 32, no cache"
    return [comparison(record, title, "rate", "examples/s", base=[OURS])]


def goals(record: Record) -> list[Goal]:
    """Against the strongest recipe, the same without dropout, and the plain ones."""
    what = "training, all-linear LoRA, all layers, no cache"
    if record.name.startswith("train-cuda"):
        found = advantage(record.figures, [OURS], [*CUDA, COMPILED], "rate", higher=True)
        theirs = "compiled or not" if COMPILED in record.figures else "not compiled"
        return [goal(what, f"the fastest HF recipe, {theirs}", 3, found)]
    if record.kind != "train":
        return []
    against = [
        ("the strongest HF recipe", record.least(2.2, 4), STRONGEST[:1]),
        ("the same with dropout off in its frozen layers", record.least(1.6, 2.7), STRONGEST[1:]),
        ("HF float32 or bf16=True, the better", 4, PLAIN),
    ]
    return [
        goal(what, name, least, advantage(record.figures, [OURS], peers, "rate", higher=True))
        for name, least, peers in against
    ]
