"""Questions that a tiny backbone learns to answer, some of which have no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOODS, PLACES = "tasty cold hot".split(), "fast late slow".split()
LONG = "bad " * 90
"""So many tokens that a context is read in two windows and more."""


def rows(count: int, *, unanswerable: bool = True) -> list[dict[str, Any]]:
    """Rows whose answer is the one or two foods in the context; every fourth has none."""
    made = []
    for number in range(count):
        food = FOODS[number % 3] if number % 2 else f"{FOODS[number % 3]} {FOODS[(number + 1) % 3]}"
        place, answered = PLACES[number // 3 % 3], number % 4 != 3 or not unanswerable
        context = f"good {food} awful {place}." if answered else f"good fine awful {place}."
        if number % 5 == 4:
            context = LONG + context
        answers = {"text": [food], "answer_start": [context.index(food)]} if answered else \
            {"text": [], "answer_start": []}  # fmt: skip
        made.append({"id": str(number), "question": "good", "context": context,
                     "answers": answers})  # fmt: skip
    return made


def write_rows(path: Path, questions: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines."""
    text = "".join(json.dumps(row) + "\n" for row in questions)
    path.write_text(text, encoding="utf-8")
    return path
