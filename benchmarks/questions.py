"""What users ask about speed, and which figures answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import growth, memory, predict, run, session, startup, train
from benchmarks.ratios import advantage, best, median, values
from benchmarks.record import Record, Table, number


@dataclass(frozen=True)
class Line:
    """A figure of the best of some contenders.

    Attributes:
        head: What it is called.
        names: The contenders.
        key: The figure.
        against: Ours, where these are peers: how many times better ours is follows in brackets.
    """

    head: str
    names: Sequence[str]
    key: str
    against: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """A table with a column for each processor.

    Attributes:
        benchmark: Whose records are shown.
        text: What is counted, above the table.
        unit: Of every figure, after multiplying with ``scale``.
        lines: What is shown of a record.
        higher: Whether more is better.
        scale: Factor from the raw figure to the unit.
    """

    benchmark: str
    text: str
    unit: str
    lines: Sequence[Line]
    higher: bool = False
    scale: float = 1.0

    def records(self, records: Iterable[Record]) -> list[Record]:
        """Those that say something here, the slower processor first."""
        mine = [one for one in records if one.kind == self.benchmark and self._says(one)]
        return sorted(mine, key=lambda record: (record.amx, record.name))

    def table(self, records: Iterable[Record], words: Mapping[str, str] | None = None) -> Table:
        """A line for each one that was measured, a column for each processor.

        Args:
            records: The results.
            words: The heads in another language.
        """
        mine = self.records(records)
        rows = [
            [words[line.head] if words else line.head, *cells]
            for line in self.lines
            if set(cells := [self.cell(record, line) for record in mine]) - {"-"}
        ]
        heads = [f"{record.processor} ({record.commit})" for record in mine]
        return Table(self.text, ["", *heads], rows)

    def cell(self, record: Record, line: Line) -> str:
        """``"125 s (3.8x)"``, or a dash."""
        name = self._best(record, line)
        if name is None:
            return "-"
        shown = f"{number(self.scale * median(record.figures, name, line.key))} {self.unit}"
        share = advantage(record.figures, line.against, [name], line.key, higher=self.higher)
        return f"{shown} ({share.median:.1f}x)" if share else shown

    def figures(self, record: Record, line: Line) -> list[float]:
        """Every round of the best contender, in the unit shown."""
        name = self._best(record, line)
        return [self.scale * value for value in values(record.figures, name or "", line.key)]

    def _best(self, record: Record, line: Line) -> str | None:
        return best(record.figures, line.names, line.key, higher=self.higher)

    def _says(self, record: Record) -> bool:
        return any(self._best(record, line) for line in self.lines)


_DEFAULTS = (run.OURS,)
RUN = Answer(
    "run",
    "Three epochs on 1,600 short reviews (22 tokens on average), from the files to the best "
    "adapter on disk, each with an empty cache but for *again*; in brackets, how many times as "
    "long as our defaults. *Fastest recipe*: the fastest one we know (backbone in bfloat16, eager "
    "attention). Time grows with the rows, the epochs and the tokens of a row; `train` says after "
    "its first steps how long the rest will take.",
    "s",
    [
        Line("lora-bert, defaults", _DEFAULTS, "seconds"),
        Line("again, from the cache", (run.AGAIN,), "seconds"),
        Line("lora-bert, `--layers all`", (run.ALL,), "seconds"),
        Line("PEFT + Trainer, fastest recipe", train.STRONGEST[:1], "seconds", _DEFAULTS),
        Line("fastest recipe, no dropout, as ours", train.STRONGEST[1:], "seconds", _DEFAULTS),
        Line("fastest recipe, six layers, as ours", (run.DEPTH,), "seconds", _DEFAULTS),
        Line("PEFT + Trainer, float32", train.PLAIN[:1], "seconds", _DEFAULTS),
        Line("the tutorials' loop", (train.LOOP,), "seconds", _DEFAULTS),
    ],
)
_TORCH = (predict.OURS_TORCH["bfloat16"],)
_OPENVINO = (predict.OURS_OPENVINO,)
PREDICT = Answer(
    "predict",
    "Reviews a second from a file to a file, tokenising included, in bfloat16 where nothing else "
    "is said; in brackets, how many times as fast ours is: merged, exported, int8.",
    "rows/s",
    [
        Line("lora-bert, merged", _TORCH, "rate"),
        Line("base + adapter", (predict.UNMERGED["bfloat16"],), "rate"),
        Line("exported to OpenVINO", _OPENVINO, "rate"),
        Line("int8, merged or exported", predict.OURS_INT8, "rate"),
        Line("transformers", (predict.HF["bfloat16"],), "rate", _TORCH),
        Line("OpenVINO by hand", predict.BY_HAND, "rate", _OPENVINO),
        Line("OpenVINO by hand, int8", predict.BY_HAND_INT8, "rate", predict.OURS_INT8),
    ],
    higher=True,
)
_MEMORY = (
    Answer(
        "memory",
        "Training: the most that the process held at once, libraries included.",
        "MB",
        [
            Line("lora-bert, defaults", (memory.DEFAULTS,), "peak_rss"),
            Line("lora-bert, `--layers all`", (memory.OURS,), "peak_rss"),
            Line("PEFT + Trainer, fastest recipe", train.STRONGEST[:1], "peak_rss",
                   (memory.DEFAULTS,)),
        ],
        scale=1e-6,
    ),
    Answer(
        "growth",
        "By rows, with a model of one small layer, so that rows are what counts; pages of mapped "
        "files left out, which the system takes back when it needs them.",
        "MB",
        [
            Line(f"{kind}, {rows:,} rows", (f"{name} {rows} rows",), "peak_private")
            for name, kind in (("train", "training"), ("predict", "predicting"))
            for rows in growth.ROWS[2:]
        ]
        + [
            Line(f"training, a csv of {size:,} MB", (f"train csv {size} MB",), "peak_private")
            for size in growth.MEGABYTES
        ],
        scale=1e-6,
    ),
    Answer(
        "session",
        "Adapters that share a backbone in one process, a `Session`.",
        "MB",
        [
            Line("the backbone with its first adapter", (session.OURS,), "bytes_1"),
            Line("the fourth adapter", (session.OURS,), f"bytes_{session.ADAPTERS}"),
        ],
        scale=1e-6,
    ),
)  # fmt: skip
_FIRST = (
    Answer(
        "startup",
        "One text to a fresh `lora-bert infer`, and the imports that no answer can do without.",
        "s",
        [
            Line(name.replace("import ", "imports: "), (name,), "wall_seconds")
            for name in (startup.TORCH, startup.ADAPTER, startup.OPENVINO, startup.EXPORTED)
        ],
    ),
    Answer(
        "one",
        "Every further text, asked alone: the median.",
        "ms",
        [
            Line("lora-bert, merged", _TORCH, "p50"),
            Line("base + adapter", (predict.UNMERGED["bfloat16"],), "p50"),
            Line("exported to OpenVINO", _OPENVINO, "p50"),
            Line("transformers", (predict.HF["bfloat16"],), "p50", _TORCH),
            Line("OpenVINO by hand", predict.BY_HAND[:1], "p50", _OPENVINO),
        ],
        scale=1e3,
    ),
)
QUESTIONS: dict[str, Sequence[Answer]] = {
    "How long will my run take?": [RUN],
    "How many rows a second?": [PREDICT],
    "How much memory?": _MEMORY,
    "How fast is the first answer?": _FIRST,
}
