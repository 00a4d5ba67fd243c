"""Predicting from file to file: reading, tokenising, computing, writing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Workload, prepare, read_rows, write_rows
from benchmarks.measure import Contender, MeasurementError, alternate, once, say
from benchmarks.options import Options
from benchmarks.ratios import advantage, median
from benchmarks.record import Goal, Record, Table, comparison, goal, new_record

SUMMARY = "predicting, file to file, tokenising included, against other engines"
NOTES = """\
JSON lines in, JSON lines with label, score and probabilities out; the model is loaded and another
file of as many other rows has been answered before the clock starts. Everyone sorts by length into
batches of 32, padded to the longest; on CUDA ours have as many tokens as 32 rows of 512, and
`transformers` has batches of 256 too. OpenVINO by hand: `convert_model`, the precision hint, one
request under the latency hint (*sync*) or an asynchronous queue under the throughput hint
(*queue*); the faster one counts. ONNX Runtime: exported by torch, default session; *int8* quantised
dynamically. OpenVINO in int8: ours by `export --int8`, by hand by `nncf.quantize` for transformers,
both by training texts. What rounding changes is counted against `transformers` in float32: labels
that moved, and the root mean square of a logit's difference. An int8 of ours counts where it moves
at most one label in a hundred; theirs counts anyway.
"""
ROUNDS = 5
OURS_TORCH = {name: f"lora-bert torch merged {name}" for name in ("bfloat16", "float32")}
HF = {name: f"transformers {name}" for name in ("bfloat16", "float32")}
LARGER = {name: f"transformers {name}, batches of 256" for name in ("bfloat16", "float32")}
UNMERGED = {name: f"lora-bert torch base + adapter {name}" for name in ("bfloat16", "float32")}
OURS_OPENVINO = "lora-bert openvino"
OURS_INT8 = ("lora-bert torch merged int8", "lora-bert openvino int8")
BY_HAND = ("OpenVINO by hand bf16 sync", "OpenVINO by hand bf16 queue")
BY_HAND_INT8 = ("OpenVINO by hand int8 sync", "OpenVINO by hand int8 queue")
_MOST_MOVED = 0.01
"""Share of the labels that int8 may move."""


def measure(options: Options) -> Record:
    """Everyone classifies the same file."""
    workload = prepare(options, rows=None, test_rows=options.rows_or(None))
    rows = len(read_rows(workload.test))
    record = new_record("predict", options, rows=rows, source=workload.source)
    warm = str(options.work / "warm.jsonl")
    write_rows(Path(warm), read_rows(workload.train)[:rows])
    files = {"source": workload.test, "warm": warm, "exact": str(options.work / "exact.jsonl")}
    contenders = [
        Contender(one.name, f"{one.target}:file_to_file", {**files, **one.arguments}, scratch=True)
        for one in engines(workload, options, record)
    ]
    exact = {"model": str(options.work / "merged"), "source": workload.test,
             "target": files["exact"], "device": options.device}  # fmt: skip
    once(Contender("exact", "benchmarks.peers.answering:exact", exact), options.work)
    alternate(contenders, options, record, rounds=options.rounds_or(ROUNDS),
              show=lambda raw: f"{raw['rate']:.0f} rows/s")  # fmt: skip
    return record


def tables(record: Record) -> list[Table]:
    """Rows per second, and what rounding changes."""
    title = f"File to file, {record.settings.get('rows', '')} rows"
    base = [*OURS_TORCH.values(), OURS_OPENVINO]
    changed = [
        [name, f"{100 * median(record.figures, name, 'moved'):.2f} %",
         f"{median(record.figures, name, 'logit_rms'):.4f}",
         f"{100 * median(record.figures, name, 'gained'):+.2f}"]
        for name, found in record.figures.items() if "moved" in found[0]
    ]  # fmt: skip
    header = ["contender", "labels moved", "rms of a logit's difference", "accuracy, points"]
    shown = [Table("Changes against transformers in float32", header, changed)] if changed else []
    return [comparison(record, title, "rate", "rows/s", base=base), *shown]


def goals(record: Record) -> list[Goal]:
    """Our torch engine, our best engine, base + adapter."""
    if record.name.startswith("predict-cuda"):
        ours, peers = OURS_TORCH["bfloat16"], [HF["bfloat16"], LARGER["bfloat16"]]
        better = advantage(record.figures, [ours], peers, "rate", higher=True)
        return [goal("predicting, bfloat16", "transformers bfloat16, the better", 2.5, better)]
    if record.kind != "predict":
        return []

    def faster(ours: Sequence[str], peers: Sequence[str]) -> Any:
        return advantage(record.figures, ours, peers, "rate", higher=True)

    found = [
        goal(f"predicting, torch engine, {dtype}",
             "transformers with the same dtype and sorted batches", record.least(*least),
             faster([OURS_TORCH[dtype]], [HF[dtype]]))
        for dtype, least in (("bfloat16", (1.4, 2.1)), ("float32", (1.5, 1.35)))
    ]  # fmt: skip
    exact_enough = [
        name for name in OURS_INT8
        if all(raw.get("moved", 1) <= _MOST_MOVED for raw in record.figures.get(name, ()))
    ]  # fmt: skip
    same = [OURS_TORCH["bfloat16"], OURS_OPENVINO]
    found += [
        goal("predicting, best engine, bfloat16", "OpenVINO bf16 by hand, tokenising included",
             record.least(1.2, 1.4), faster(same, BY_HAND)),
        goal("predicting, int8", "OpenVINO bf16 by hand", 1.45, faster(exact_enough, BY_HAND)),
        goal("predicting, int8", "OpenVINO int8 (NNCF) by hand", 1.1,
             faster(exact_enough, BY_HAND_INT8)),
    ]  # fmt: skip
    found += [
        goal(f"base + adapter unmerged, {dtype}", "merged, same engine", 0.95,
             faster([UNMERGED[dtype]], [OURS_TORCH[dtype]]))
        for dtype in UNMERGED
    ]  # fmt: skip
    return found


def engines(workload: Workload, options: Options, record: Record) -> list[Contender]:
    """Ways to predict with one adapter: ``target`` is the module, ``arguments`` how to load it.

    The models are made here; a format that cannot be made is noted in the record as failed.
    """
    adapter, merged = str(options.work / "adapter"), str(options.work / "merged")
    arguments = {"workload": workload.as_json(), "target": str(options.work)}
    once(Contender("models", "benchmarks.public:models", arguments), options.work)
    ours, theirs = "benchmarks.ours", "benchmarks.peers.answering"
    found = []
    for dtype, peer in HF.items():
        same = {"dtype": dtype, "device": options.device}
        on_base = {"model": adapter, "backbone": workload.backbone, **same}
        found += [
            Contender(OURS_TORCH[dtype], ours, {"model": merged, **same}),
            Contender(UNMERGED[dtype], ours, on_base),
            Contender(peer, theirs, {"model": merged, "engine": "transformers_torch", **same}),
        ]
        if options.device == "cuda":
            larger = {"model": merged, "engine": "transformers_torch", "batch": 256, **same}
            found.append(Contender(LARGER[dtype], theirs, larger))
    if options.device == "cuda":
        return found
    return [*found, *_cpu_engines(merged, workload.train, options, record)]


def _cpu_engines(merged: str, samples: str, options: Options, record: Record) -> list[Contender]:
    ours, theirs = "benchmarks.ours", "benchmarks.peers.answering"
    exported = str(options.work / "openvino")
    found = [Contender(OURS_INT8[0], ours, {"model": merged, "dtype": "int8"})]

    def made(export: str, names: Sequence[str], **arguments: str) -> bool:
        try:
            once(Contender("export", export, {"model": merged, **arguments}), options.work)
        except MeasurementError as error:
            record.failed |= {name: str(error) for name in names}
            say(f"{', '.join(names)}: cannot be made: {error}")
            return False
        return True

    if made("benchmarks.public:export_openvino", [OURS_OPENVINO], target=exported):
        loaded = {"model": exported, "engine": "openvino"}
        found.append(Contender(OURS_OPENVINO, ours, loaded))
    int8 = f"{exported}-int8"
    if made("benchmarks.public:export_openvino", OURS_INT8[1:], target=int8, samples=samples):
        found.append(Contender(OURS_INT8[1], ours, {"model": int8, "engine": "openvino"}))
    by_hand = {"model": merged, "engine": "openvino_by_hand"}
    if made("benchmarks.peers.exports:openvino", BY_HAND):
        found += [
            Contender(BY_HAND[0], theirs, {**by_hand, "precision": "bf16", "queue": False}),
            Contender(BY_HAND[1], theirs, {**by_hand, "precision": "bf16", "queue": True}),
            Contender("OpenVINO by hand f32 queue", theirs,
                      {**by_hand, "precision": "f32", "queue": True}),
        ]  # fmt: skip
    if made("benchmarks.peers.exports:openvino_int8", BY_HAND_INT8, samples=samples):
        quantised = {**by_hand, "file": "openvino.int8.xml", "precision": "bf16"}
        found += [
            Contender(name, theirs, {**quantised, "queue": name == BY_HAND_INT8[1]})
            for name in BY_HAND_INT8
        ]
    onnx = {"ONNX Runtime float32": "model.onnx", "ONNX Runtime int8": "model.int8.onnx"}
    if made("benchmarks.peers.exports:onnx", list(onnx)):
        session = {"model": merged, "engine": "onnxruntime_cpu"}
        found += [Contender(name, theirs, {**session, "file": file}) for name, file in onnx.items()]
    return found
