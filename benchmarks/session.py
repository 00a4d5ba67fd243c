"""Adapters in one process: what each of them adds to memory, and how soon it is there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.data import prepare, read_rows
from benchmarks.measure import Contender, alternate, once
from benchmarks.options import Options
from benchmarks.ratios import median
from benchmarks.record import Goal, Record, Table, new_record

SUMMARY = "memory and seconds of the first to the fourth adapter on one backbone"
NOTES = """\
Four adapters with different weights; *load* opens each by itself, *Session* adds them to one. The
memory (`VmRSS`) that a new one takes, its answers to 320 texts included, and the seconds
until it is loaded; where the first one of *Session* stands, its backbone is in memory already.
"""
ROUNDS = 3
ADAPTERS = 4
TEXTS = 320
_ANSWERS = 4
"""Times that each answers: which thread gets a large batch, and keeps memory for it, is chance."""
OURS, ALONE = "lora-bert, Session", "lora-bert, load"


def measure(options: Options) -> Record:
    """Each way in a process of its own."""
    workload = prepare(options, rows=1000, test_rows=TEXTS)
    record = new_record("session", options, texts=TEXTS, source=workload.source)
    trained = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("models", "benchmarks.public:models", trained), options.work)
    places = [str(other_weights(options.work / "adapter", number)) for number in range(ADAPTERS)]
    given = {"places": places, "source": workload.test, "backbone": workload.backbone}
    contenders = [
        Contender(name, "benchmarks.session:one_after_another", {**given, "shared": name == OURS})
        for name in (OURS, ALONE)
    ]
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"the fourth: {raw[f'bytes_{ADAPTERS}'] / 1e6:.1f} MB, "
              f"{raw[f'seconds_{ADAPTERS}']:.3f} s")  # fmt: skip
    return record


def one_after_another(
    places: list[str], source: str, backbone: str, shared: bool
) -> dict[str, Any]:
    """Bytes and seconds of each adapter in turn."""
    import lora_bert
    from benchmarks.worker import resident

    texts = [text for text, _ in read_rows(source)]
    session = lora_bert.Session(backbone) if shared else None
    kept: list[lora_bert.Predictor] = []
    found: dict[str, Any] = {}
    for number, place in enumerate(places, start=1):
        before, started = resident(), time.perf_counter()
        kept.append(
            session.predictor(session.add(place))
            if session
            else lora_bert.load(place, backbone=backbone)
        )
        found[f"seconds_{number}"] = time.perf_counter() - started
        for _ in range(_ANSWERS):
            kept[-1].probabilities(texts)
        found[f"bytes_{number}"] = resident() - before
    return found


def other_weights(adapter: Path, number: int) -> Path:
    """A copy of an adapter, every tensor of it moved a little."""
    import torch
    from safetensors.torch import load_file, save_file

    place = adapter.with_name(f"adapter-{number}")
    shutil.copytree(adapter, place)
    weights = place / "adapter_model.safetensors"
    draw = torch.Generator().manual_seed(number)
    tensors = {
        name: tensor + 1e-3 * torch.randn(tensor.shape, generator=draw)
        for name, tensor in load_file(weights).items()
    }
    save_file(tensors, weights, metadata={"format": "pt"})
    return place


def tables(record: Record) -> list[Table]:
    """Megabytes and seconds of each adapter, by its place in the row."""
    head = ["", *(str(number) for number in range(1, ADAPTERS + 1))]
    return [
        Table(title, head, [
            [name, *(f"{median(record.figures, name, f'{key}_{at}') * scale:.{digits}f}"
                     for at in head[1:])]
            for name in record.figures
        ])
        for title, key, scale, digits in (("Megabytes that an adapter takes", "bytes", 1e-6, 1),
                                          ("Seconds until it is loaded", "seconds", 1, 3))
    ]  # fmt: skip


def goals(record: Record) -> list[Goal]:
    """The fourth adapter: less than 10 MB and a tenth of a second."""
    found = []
    for what, key, most, unit in (("memory", "bytes", 10e6, "MB"), ("time", "seconds", 0.1, "s")):
        name, least = f"{what} of the fourth adapter", f"{most * (1e-6 if unit == 'MB' else 1):g}"
        shown, reached = "not measured", None
        if OURS in record.figures:
            value = median(record.figures, OURS, f"{key}_{ADAPTERS}")
            shown = f"{value * (1e-6 if unit == 'MB' else 1):.3g} {unit}"
            reached = value < most
        found.append(Goal(name, "nobody", f"below {least} {unit}", shown, reached))
    return found
