"""What a GPU says in bfloat16, held against a CPU in float32: outputs and gradients."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.data import prepare, read_rows, text_encoder
from benchmarks.measure import Contender, alternate
from benchmarks.options import Options
from benchmarks.ratios import Ratio, median
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "bfloat16 against float32 on the CPU: outputs and gradients, by rows and padded"
NOTES = """\
A batch of 16 rows, of random tokens, as long as the texts of waimai, those of 20newsgroups, or 512
each; an adapter of all layers whose weights are all random. Shown is the distance from float32 on
the CPU as a share of what is right: of the outputs, and of the whole gradient. *Rows*: with the
attention that the device takes, on a GPU the variable-length kernel; *padded*: without it.
"""
ROWS = 16
_MORE = 1.5
"""How many times as inexact as padding the kernel may be: both round to bfloat16."""
_KINDS = ("rows", "padded")


def measure(options: Options) -> Record:
    """Each set of lengths in a process of its own, once: nothing here is a time."""
    workload = prepare(options, rows=960)
    record = new_record("exactness", options, rows=ROWS)
    encode, _ = text_encoder(workload.backbone, 512)
    texts = {}
    for data in ("waimai", "20newsgroups"):
        rows = prepare(replace(options, data=data), rows=960).train
        texts[data] = [len(ids) for ids in encode([text for text, _ in read_rows(rows)[:ROWS]])]
    lengths = texts | {"512": [512] * (2 if options.quick else ROWS)}
    contenders = [
        Contender(name, "benchmarks.ours:exactness",
                  {"workload": workload.as_json(), "lengths": some})
        for name, some in lengths.items()
    ]  # fmt: skip
    alternate(contenders, options, record, rounds=1,
              show=lambda raw: f"outputs {raw['rows_outputs']:.4f}, gradient "
              f"{raw['rows_gradient']:.4f}")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """The distances."""
    keys = [f"{kind}_{what}" for kind in _KINDS for what in ("outputs", "gradient")]
    rows = [
        [name, *(f"{100 * median(record.figures, name, key):.2f} %" for key in keys),
         "yes" if median(record.figures, name, "reads_rows") else "no"]
        for name in record.figures
    ]  # fmt: skip
    header = ["lengths", *(key.replace("_", ", ") for key in keys), "variable-length kernel"]
    return [Table("Distance from float32 on the CPU", header, rows)]


def goals(record: Record) -> list[Goal]:
    """The kernel is about as exact as padding."""
    what, against = "bfloat16 by rows, distance from float32", "padded"
    shares = [
        raw[f"rows_{part}"] / raw[f"padded_{part}"]
        for found in record.figures.values() for raw in found for part in ("outputs", "gradient")
    ]  # fmt: skip
    if not shares:
        return [Goal(what, against, f"at most {_MORE}x", "not measured", None)]
    worst = max(shares)
    shown = str(Ratio(sorted(shares)[len(shares) // 2], min(shares), worst))
    return [Goal(what, against, f"at most {_MORE}x", shown, worst <= _MORE)]
