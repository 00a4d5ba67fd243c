"""Rows to look at where rows have several labels: wrong answers, and labels that are doubted.

Each statement about a label has an index: ``label`` says that the row has it, ``labels + label``
that it has it not.
"""

from __future__ import annotations

import numpy as np

from lora_bert.metrics.classification import Floats
from lora_bert.metrics.multilabel import Sets
from lora_bert.metrics.suspects import Mistake, Rows, Suspect


def label_mistakes(probabilities: Floats, answered: Sets, true: Sets) -> Rows[Mistake]:
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
    return Rows(Mistake, rows, answers, scores[rows])


def label_suspects(probabilities: Floats, true: Sets) -> Rows[Suspect]:
    """Labels that rows have, or have not, against all likelihood; the most doubtful first.

    Each label is looked at by itself, as :func:`lora_bert.metrics.suspects.suspects` looks at two
    classes; of a row the most doubtful one counts. Both are ``[rows, labels]``.
    """
    labels, every = true.shape[1], np.arange(len(true))
    given = np.where(true, probabilities, 1 - probabilities).astype(np.float64)
    # How sure it usually is of the other one, by the rows of which that is true.
    of_yes, of_no = true.sum(axis=0), (~true).sum(axis=0)
    usual_yes = np.where(of_yes, (given * true).sum(axis=0) / np.maximum(of_yes, 1), np.inf)
    usual_no = np.where(of_no, (given * ~true).sum(axis=0) / np.maximum(of_no, 1), np.inf)
    reached = 1 - given >= np.where(true, usual_no, usual_yes)
    doubt = np.where(reached, given, 1.0)
    worst = doubt.argmin(axis=1)
    least = doubt[every, worst]
    rows = np.flatnonzero(least < 0.5)
    rows = rows[np.argsort(least[rows], kind="stable")]
    suggested = worst[rows] + np.where(true[rows, worst[rows]], labels, 0)
    return Rows(Suspect, rows, suggested, least[rows], 1 - least[rows])
