"""How much of a GPU's peak our training steps use, beside HF's, on rows of one length."""

from __future__ import annotations

from typing import Any

from benchmarks.data import prepare
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import median, ratio, values
from benchmarks.record import Goal, Record, Table, new_record, number
from benchmarks.roof import step_flops

SUMMARY = "useful FLOP/s of training steps as a share of a GPU's peak, at 128 and 512 tokens"
NOTES = """\
Rows that all have as many tokens, so that nobody pads; the same batch again and again, timed after
as many steps to warm up. Useful FLOPs are those of *roof* (frozen products forward and towards
their inputs, never the gradients of frozen weights), less what our last layer does not compute
because the head reads one token. The peak is what the GPU's data sheet says of dense bfloat16.
*HF*: Trainer + PEFT, bfloat16 weights, SDPA, `bf16=True`, fused AdamW, no dropout; *compiled*: with
`torch_compile=True`, at the first shape, compiling not counted.
"""
ROUNDS = 2
SHAPES = ((128, 32), (128, 256), (512, 64))
"""Tokens of a row, and rows of a batch."""
LEAST = 0.3
_RANK = 8
_COMPILED = "HF compiled"
_PEAKS = {
    "B200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12,
    "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
}  # fmt: skip
"""FLOP/s in dense bfloat16, from NVIDIA's data sheets; the first name that fits counts."""


def measure(options: Options) -> Record:
    """Ours and theirs at each shape."""
    workload = prepare(options, rows=160)
    record = new_record("mfu", options, rank=_RANK)
    on_gpu = options.device == "cuda"
    recipe = "cuda-no-dropout" if on_gpu else "strongest-no-dropout"
    shapes, steps = (SHAPES, 20) if on_gpu and not options.quick else (((128, 8),), 2)
    contenders = []
    for tokens, batch in shapes:
        given = {"workload": workload.as_json(), "tokens": tokens, "batch": batch, "steps": steps}
        contenders += [
            Contender(_name("lora-bert", tokens, batch), "benchmarks.stepping:synthetic_rate",
                      {**given, "rank": _RANK}),
            Contender(_name("HF", tokens, batch), "benchmarks.peers.trainer:synthetic_rate",
                      {**given, "recipe": recipe}),
        ]  # fmt: skip
    if on_gpu and not options.quick:
        compiled = {**contenders[1].arguments, "recipe": "cuda-compiled"}
        contenders.append(Contender(_name(_COMPILED, *shapes[0]), contenders[1].target, compiled,
                                    at_most=1))  # fmt: skip
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['tokens_per_second']:,.0f} tokens/s")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Tokens a second and shares of the peak."""
    rows = []
    for tokens, batch in _shapes(record):
        names = [_name(who, tokens, batch) for who in ("lora-bert", "HF", _COMPILED)]
        rates = [
            number(median(record.figures, name, "tokens_per_second"))
            if name in record.figures else "-"
            for name in names
        ]  # fmt: skip
        ratios = [
            str(ratio(record.figures, names[0], name, "tokens_per_second") or "-")
            for name in names[1:]
        ]  # fmt: skip
        share = _share(record, tokens, batch)
        rows.append([f"{batch} x {tokens}", *rates, *ratios,
                     "-" if share is None else f"{share:.0%}"])  # fmt: skip
    header = ["rows x tokens", "lora-bert, tokens/s", "HF", "HF compiled", "against HF",
              "against HF compiled", "of the peak"]  # fmt: skip
    return [
        Table("Training steps on rows of one length, all-linear LoRA, all layers", header, rows)
    ]


def goals(record: Record) -> list[Goal]:
    """At least 30 % of the peak at 128 tokens."""
    found = {
        batch: share
        for tokens, batch in _shapes(record)
        if tokens == 128 and (share := _share(record, tokens, batch)) is not None
    }
    what, against = "useful FLOP/s in training, rows of 128 tokens", "a GPU's peak in bfloat16"
    if not found:
        return [Goal(what, against, f"{LEAST:.0%}", "not measured", None)]
    best = max(found, key=lambda batch: found[batch])
    shown = f"{found[best]:.0%}, batches of {best}"
    return [Goal(what, against, f"{LEAST:.0%}", shown, found[best] >= LEAST)]


def useful_flops(raw: dict[str, Any], tokens: int, batch: int) -> float:
    """FLOPs of one of our steps: of the last layer no more than one token needs.

    ``raw`` has the model's ``hidden``, ``inner`` and ``layers``.
    """
    hidden = raw["hidden"]
    lower = step_flops([tokens] * batch, hidden, raw["inner"], raw["layers"] - 1, _RANK)
    # Its queries, keys and values are computed of every token.
    return lower + tokens * batch * 3 * (4 * hidden * hidden + 6 * _RANK * 2 * hidden)


def peak(gpu: str) -> float | None:
    """FLOP/s of a GPU by its name; None where its data sheet was not looked up."""
    return next((rate for name, rate in _PEAKS.items() if _fits(name, gpu)), None)


def _fits(name: str, gpu: str) -> bool:
    words = gpu.replace("-", " ").split()
    return all(part in words for part in name.split())


def _share(record: Record, tokens: int, batch: int) -> float | None:
    """The share of the peak that our steps use, 0..1."""
    ours, most = _name("lora-bert", tokens, batch), peak(record.machine.get("gpu", ""))
    if most is None or ours not in record.figures:
        return None
    flops = useful_flops(record.figures[ours][0], tokens, batch)
    seconds = sorted(values(record.figures, ours, "seconds"))
    return flops / seconds[len(seconds) // 2] / most


def _shapes(record: Record) -> list[tuple[int, int]]:
    """What was measured."""
    known = (*SHAPES, (128, 8))
    return [
        shape for shape in known
        if any(_name(who, *shape) in record.figures for who in ("lora-bert", "HF"))
    ]  # fmt: skip


def _name(who: str, tokens: int, batch: int) -> str:
    return f"{who}, {batch} x {tokens}"
