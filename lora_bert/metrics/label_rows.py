"""Rows to look at where rows have several labels: wrong answers, and labels that are doubted.

Each statement about a label has an index: ``label`` says that the row has it, ``labels + label``
that it has it not.
"""

from __future__ import annotations

import numpy as np

from lora_bert.metrics.classification import Floats
from lora_bert.metrics.multilabel import Sets
from lora_bert.metrics.suspects import Mistake, Suspect, suspects


def label_mistakes(probabilities: Floats, answered: Sets, true: Sets) -> list[Mistake]:
    """Of each row with a wrong answer the most confident one; the most confident rows first.

    All are ``[rows, labels]``.
    """
    labels = true.shape[1]
    sure = np.where(answered, probabilities, 1 - probabilities)
    wrong = np.where(answered != true, sure, -1.0)
    worst = wrong.argmax(axis=1)
    scores = wrong[np.arange(len(wrong)), worst]
    rows = np.flatnonzero(scores >= 0)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    answers = worst[rows] + np.where(answered[rows, worst[rows]], 0, labels)
    return list(map(Mistake, rows.tolist(), answers.tolist(), scores[rows].tolist()))


def label_suspects(probabilities: Floats, true: Sets) -> list[Suspect]:
    """Labels that rows have, or have not, against all likelihood; the most doubtful first.

    Each label is looked at by itself, as :func:`lora_bert.metrics.suspects.suspects` looks at two
    classes; of a row the most doubtful one counts. Both are ``[rows, labels]``.
    """
    labels = true.shape[1]
    found: dict[int, Suspect] = {}
    for label in range(labels):
        has = true[:, label].astype(np.int64)
        both = np.stack([1 - probabilities[:, label], probabilities[:, label]], axis=1)
        for suspect in suspects(both, has):
            said = suspect._replace(suggested=label if suspect.suggested else labels + label)
            known = found.get(suspect.row)
            if known is None or said.given - said.other < known.given - known.other:
                found[suspect.row] = said
    return sorted(found.values(), key=lambda each: each.given - each.other)
