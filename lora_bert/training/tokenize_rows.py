"""Examples -> token ids, with a word about what the tokenizer could not do well."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lora_bert.cache.kept_tokens import tokenize_cached
from lora_bert.data.examples import Examples
from lora_bert.errors import DataError, TextError
from lora_bert.mapped import mapped, pieces
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts, flat_index
from lora_bert.tokens.tokenizer import RESIZE, TextTokenizer
from lora_bert.wording import counted, listed

log = logging.getLogger(__name__)

UNKNOWN_SHARE = 0.01


@dataclass(frozen=True)
class Tokens:
    """Tokenised rows, each a window or several, with their targets.

    Attributes:
        encodings: The windows.
        targets: A line a row or, where the head reads tokens, a line a window.
    """

    encodings: TokenizedTexts
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window."""
        return self.encodings.lengths

    @property
    def by_row(self) -> bool:
        """Whether the windows of a row, of which some have several, share a line of the targets."""
        return len(self.targets) < len(self)

    @cached_property
    def window_targets(self) -> np.ndarray:
        """The line of the targets that each window is to be answered with, ``[windows, …]``."""
        return mapped(self.targets[self._rows]) if self.by_row else self.targets

    @cached_property
    def shares(self) -> np.ndarray | None:
        """What each window counts in the loss, so that all rows count alike; None: all count 1."""
        if not self.by_row:
            return None
        return mapped((1 / np.diff(self.encodings.begins))[self._rows].astype(np.float32))

    @property
    def mean_share(self) -> float:
        """The mean of :attr:`shares`."""
        return len(self.targets) / len(self) if self.by_row else 1.0

    def windows_of(self, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The windows of some lines of the targets, line by line, and how many each line has."""
        if not self.by_row:
            return lines, np.ones(len(lines), dtype=np.int64)
        begins = self.encodings.begins
        counts = np.diff(begins)[lines]
        return flat_index(begins[lines], counts), counts

    @property
    def _rows(self) -> np.ndarray:
        return self.encodings.rows_of(np.arange(len(self)))


def tokenise(examples: Examples, tokenizer: TextTokenizer, task: Task) -> Tokens:
    """Tokenise every row, and make its target of its label.

    Raises:
        DataError: A text holds a token that the backbone's embeddings have no row for, or a
            question leaves no room for its context.
    """
    # What lies in the cache was made of the same tokens, but maybe for other embeddings.
    try:
        encodings = tokenize_cached(tokenizer, examples.texts)
    except TextError as error:
        raise error.at(examples.at(error.number)) from None
    if beyond := tokenizer.beyond_in(encodings):
        row = min(beyond, key=lambda at: examples.lines[at])
        others = counted(len(beyond) - 1, "other row does", "other rows do")
        raise DataError(
            f"{examples.at(row)}: the text holds {listed(beyond[row])}"
            f"{f', as {others}' if len(beyond) > 1 else ''}; the tokenizer knows that, but the "
            f"backbone's embeddings, of {tokenizer.rows:,} rows, have none for it.",
            hint=RESIZE,
        )
    return Tokens(encodings, mapped(np.asarray(task.targets(examples, encodings))))


def check_texts_left(
    tokens: Tokens, tokenizer: TextTokenizer, source: str, *, pairs: bool = False
) -> None:
    """Warn of texts that are empty to the model, as "！！" is cleaned; DataError if all are.

    A pair is empty where both of its texts are.
    """
    special = tokenizer.special_tokens(pair=pairs)
    empty, rows = int((tokens.lengths <= special).sum()), tokens.encodings.row_count
    if empty == rows:
        raise DataError(
            f"'{source}' has nothing left after cleaning: no text of it holds more than "
            "punctuation and spaces.",
            hint="Leave out --clean, or name another --text-column.",
        )
    if empty:
        log.warning("%d of %d training texts have nothing left after cleaning.", empty, rows)


def warn_of_tokens(tokens: Tokens, tokenizer: TextTokenizer, backbone_name: str) -> None:
    """Warn of rows that are cut, of too many unknown tokens, and of tokens without an embedding."""
    encodings, most = tokens.encodings, tokenizer.max_length
    cut = 100 * int(encodings.truncated.sum()) / max(1, encodings.row_count)
    if cut and tokenizer.stride:
        log.warning(
            "%.1f %% of the training pairs are cut: both texts are longer than half of a window "
            "(--max-length %d), and the shorter one has no more room.", cut, most,
        )  # fmt: skip
    elif cut:
        log.warning(
            "%.1f %% of the training texts are longer than %d tokens and cut there (--max-length); "
            "--overflow windows reads all of them.", cut, most,
        )  # fmt: skip
    unknown = tokenizer.unknown_id
    ids, share = tokens.encodings.ids, 0.0
    if unknown is not None:
        share = sum(int((piece == unknown).sum()) for piece in pieces(ids)) / len(ids)
    if share > UNKNOWN_SHARE:
        log.warning(
            "%.1f %% of the tokens are unknown to the backbone '%s': it may not know the language "
            "of these texts.", 100 * share, backbone_name,
        )  # fmt: skip
    if beyond := tokenizer.beyond:
        log.warning(
            "The embeddings of '%s' have no row for %s (%s), which its tokenizer knows: texts that "
            "hold such a token are refused.",
            backbone_name, counted(len(beyond), "token"), listed(beyond, 3),
        )  # fmt: skip
