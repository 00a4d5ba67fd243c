"""Few rows that were divided: what those held out can say, and learning from all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lora_bert.data.splits import FEW
from lora_bert.metrics.metric import Metric
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.training.context import Context
from lora_bert.training.tokenize_rows import Tokens

_FEW = 200
"""So few validation rows cannot tell one epoch from another that is a little better."""


def are_few(context: Context) -> bool:
    """Whether the rows that were held out say little; those that were named are believed."""
    return bool(context.splits.held_out) and len(context.tokens["validation"].targets) <= _FEW


def doubt(context: Context, metric: Metric) -> float:
    """By how much the validation rows may find an epoch worse than another that is no worse.

    Of few rows that were held out so much is chance: twice the largest standard error that a share
    of them has. Of others, and of a metric that is no share, 0: what they say counts.
    """
    if not are_few(context) or not metric.share:
        return 0.0
    return 1 / math.sqrt(len(context.tokens["validation"].targets))


def all_matter(context: Context) -> bool:
    """Whether the rows are so few that those held out are learned from in the end.

    That is where only a tenth of them is held out by default. Not done where validation rows are
    rows of their own, or the head reads every token.
    """
    head = context.task.head()
    if not context.splits.held_out or head.of_tokens:
        return False
    rows = sum(len(context.tokens[part].targets) for part in ("train", "validation"))
    return rows < FEW * head.outputs


def with_all_rows(context: Context) -> Context:
    """The same training of the validation rows too, which stand behind the others."""
    train, held_out = (context.tokens[part] for part in ("train", "validation"))
    joined = Tokens(
        TokenizedTexts.joined([train.encodings, held_out.encodings]),
        np.concatenate([train.targets, held_out.targets]),
    )
    return replace(context, tokens={**context.tokens, "train": joined})
