"""The adapters of the soak, and what each of them answers: made in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from benchmarks.data import Row, Workload, read_rows

STEADY = ("one", "two", "three", "four", "five")
"""In the directory, and never touched."""
SWAPPED, VERSIONS = "swapped", ("swapped-0", "swapped-1")
"""A name, and the two adapters that stand behind it in turns."""
GUEST = "guest"
"""Loaded and unloaded."""
PAIRS, TAGGER, READER = "pairs", "tagger", "reader"
"""For fuzzed bodies."""
ASIDE = "versions"
"""Below the adapters' directory, where the server does not look by itself."""

Scores = dict[str, float]
"""By label."""
Expected = dict[str, list[Scores]]
"""By adapter: what it says of each text."""

TOLERANCE = 1e-4
"""How far a score may be from the session's, which computes in other batches."""
_ALIKE = 0.05
"""The most answers that may be the same: else texts or adapters that change places go unseen."""


def make(workload: dict[str, Any], target: str) -> dict[str, Any]:
    """Train them, ask a session all texts, and write ``expected.json`` beside the directory.

    No two adapters have a label in common.
    """
    import lora_bert

    work, place = Workload(**workload), Path(target)
    rows, texts = read_rows(work.train), texts_of(read_rows(work.test))
    classifiers = [*STEADY, *(f"{ASIDE}/{name}" for name in (*VERSIONS, GUEST))]
    for number, path in enumerate(classifiers):
        own = _labelled(texts_of(rows), Path(path).name, 2 + number % 3)
        _train(work, own, place / path, rank=2 + 2 * (number % 4), seed=number,
               layers="all" if number % 2 else "top:1")  # fmt: skip
    _others(work, rows, place)
    session = lora_bert.Session(work.backbone, dtype="float32")
    expected: Expected = {}
    for path in classifiers:
        name = session.add(place / path)
        expected[name] = [dict(said.scores) for said in session.predict(texts, adapter=name)]
    place.with_name("expected.json").write_text(json.dumps(expected), encoding="utf-8")
    alike = _alike(expected)
    if alike > _ALIKE:
        raise RuntimeError(f"{alike:.0%} of the answers are those of another text or adapter")
    return {"alike": alike}


def near(one: Mapping[Any, float], other: Mapping[Any, float]) -> bool:
    """Whether two answers are the same."""
    return all(abs(one[label] - score) <= TOLERANCE for label, score in other.items())


def _labelled(texts: Sequence[str], name: str, labels: int) -> list[Row]:
    """Labels of its own, by the length of a text: so there is something to learn."""
    order = {text: at for at, text in enumerate(sorted(texts, key=len))}
    return [(text, f"{name}.{labels * order[text] // len(texts)}") for text in texts]


def _train(work: Workload, rows: Any, output: Path, **options: Any) -> None:
    import lora_bert

    lora_bert.train(rows, backbone=work.backbone, output=output, epochs=3, dtype="float32",
                    head_start="random", learning_rate=0.01, **options)  # fmt: skip


def _others(work: Workload, rows: list[Row], place: Path) -> None:
    """An adapter of pairs with one output, one that tags, one that answers questions."""
    some = place.with_name("rows")
    some.mkdir()
    texts = texts_of(rows)
    pairs = [{"text": one, "text_pair": two, "label": str(at % 2)}
             for at, (one, two) in enumerate(pairwise(texts))]  # fmt: skip
    _write(some / "pairs.jsonl", pairs)
    _train(work, some / "pairs.jsonl", place / PAIRS, task="relevance")
    sentences = ("\n".join(f"{word}\t{tag}" for word, tag in zip("abcd", _TAGS, strict=True))
                 for _ in range(64))  # fmt: skip
    (some / "tags.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    _train(work, some / "tags.conll", place / TAGGER)
    questions = [{"id": str(at), "question": "?", "context": text,
                  "answers": {"text": [text[:2]], "answer_start": [0]}}
                 for at, text in enumerate(texts) if text[:2].strip()]  # fmt: skip
    _write(some / "questions.jsonl", questions)
    _train(work, some / "questions.jsonl", place / READER)


_TAGS = ("O", "B-X", "I-X", "O")


def texts_of(rows: Sequence[Row]) -> list[str]:
    """Different texts, in their order."""
    return list(dict.fromkeys(text for text, _ in rows))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _alike(expected: Expected) -> float:
    """The share of answers that are those of the text before, or of another adapter."""
    before = [near(*pair) for found in expected.values() for pair in pairwise(found)]
    other = [
        near(dict(enumerate(one.values())), dict(enumerate(two.values())))
        for first, second in combinations(expected.values(), 2)
        for one, two in zip(first, second, strict=True)
        if len(one) == len(two)
    ]
    return max(sum(same) / len(same) for same in (before, other))
