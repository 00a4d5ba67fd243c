"""Label Studio's tasks, ``{"data": {…}, "annotations": […]}``, as flat rows.

Its JSON-min and csv exports are flat already; their labels are read by
:mod:`lora_bert.data.labels`, their marked parts by :mod:`lora_bert.data.tagged`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lora_bert.data.columns import ONLY_LABEL_STUDIO
from lora_bert.data.formats.json_values import cell
from lora_bert.data.stored import kept
from lora_bert.wording import counted

logger = logging.getLogger(__name__)

_ANNOTATIONS = ("annotations", "completions")
Row = tuple[int, dict[str, Any]]


def _is_task(members: Mapping[str, Any]) -> bool:
    """Whether an object is a task, annotated or still to be."""
    return isinstance(members.get("data"), dict) and any(
        isinstance(members.get(name), list) for name in (*_ANNOTATIONS, "predictions")
    )


def flat_rows(objects: Iterable[Row], source: str, *, quiet: bool = False) -> Iterator[Row]:
    """Objects as rows: where the first is a task, each task's id, data and what was chosen for it.

    What annotators chose stands under the name of the control (``from_name``). Cancelled
    annotations and predictions do not count; one marked as ground truth counts alone; where several
    differ, the answer of more than half of them counts, or none. A task in which an annotator has
    marked no part of the text has an empty list there.
    """
    undecided = 0
    marking: str | None = None
    waiting: list[tuple[Row, bool]] = []
    are_tasks: bool | None = None
    for position, task in objects:
        are_tasks = _is_task(task) if are_tasks is None else are_tasks
        if not are_tasks or not _is_task(task):
            waiting.append(((position, task), False))
        else:
            chosen, clear = _chosen(task)
            undecided += not clear
            if chosen and marking is None:
                marking = next((name for name, value in chosen.items()
                                if isinstance(value, list)), "")  # fmt: skip
            identity = {"id": task["id"]} if "id" in task else {}
            row = position, identity | task["data"] | chosen
            waiting.append((row, not chosen and clear and _is_annotated(task)))
        if marking is not None or not waiting[0][1]:  # else it is not known yet with what
            yield from _with_nothing_marked(waiting, marking)
            waiting = []
    yield from _with_nothing_marked(waiting, marking)
    if undecided and not quiet:
        logger.warning(
            "'%s': the annotators of %s differ and no answer has more than half of them: such rows "
            "have no label.",
            source,
            counted(undecided, "task"),
        )


def _with_nothing_marked(rows: Iterable[tuple[Row, bool]], marking: str | None) -> Iterator[Row]:
    """Rows; where an annotator has marked nothing with the control ``marking``, that is said."""
    for (position, row), unmarked in rows:
        yield position, row | {marking: []} if unmarked and marking else row


def _is_annotated(task: Mapping[str, Any]) -> bool:
    """Whether an annotator was done with it, with nothing to mark."""
    return any(annotation.get("result") == [] for annotation in _annotations(task))


def _annotations(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that were not cancelled."""
    return [
        annotation
        for name in _ANNOTATIONS
        for annotation in (task[name] if isinstance(task.get(name), list) else ())
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]


def _chosen(task: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What was chosen for each control, and whether the annotators left no doubt."""
    annotations = _annotations(task)
    true = [annotation for annotation in annotations if annotation.get("ground_truth")]
    answers = list(map(_answer, true or annotations))
    chosen: dict[str, Any] = {}
    clear = True
    for control in dict.fromkeys(name for answer in answers for name in answer):
        given = [answer[control] for answer in answers if control in answer]
        most, number = Counter(map(cell, given)).most_common(1)[0]
        if 2 * number > len(given):
            chosen[control] = next(value for value in given if cell(value) == most)
        else:
            chosen[control], clear = None, False
    return chosen, clear


def _answer(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Control -> what one annotator chose with it."""
    chosen: dict[str, Any] = {}
    results = annotation.get("result")
    for result in results if isinstance(results, list) else ():
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            continue
        name = str(result.get("from_name", "label"))
        if isinstance(value.get("choices"), list):
            # As Label Studio's flat exports write it, by which the label column is known.
            chosen[name] = {"choices": sorted(value["choices"], key=cell)}
        elif "start" in value:  # a part of the text
            chosen.setdefault(name, []).append(value)
        else:
            chosen[name] = next((value[key] for key in ("rating", "number") if key in value), value)
    return chosen


def flat_cells(values: Mapping[str, Sequence[str]], column: str) -> Sequence[str]:
    """The marked parts in the columns of a flat export, a cell a row: "[]" where there are none.

    The export leaves the cell of such a row empty, as of one that nobody was shown. The cells of
    other tables are as they are.
    """
    if len(ONLY_LABEL_STUDIO.intersection(values)) < 2 or "annotator" not in values:
        return values[column]
    both = zip(values[column], values["annotator"], strict=True)
    return kept("[]" if not marked.strip() and annotator.strip() else marked
                for marked, annotator in both)  # fmt: skip
