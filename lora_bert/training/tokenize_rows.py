"""Examples -> token ids, with a word about what the tokenizer could not do well."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from lora_bert.cache.kept_tokens import tokenize_cached
from lora_bert.data.examples import Examples
from lora_bert.errors import DataError, TextError
from lora_bert.mapped import mapped, pieces
from lora_bert.tasks.base import Task
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import RESIZE, TextTokenizer
from lora_bert.wording import counted, listed

log = logging.getLogger(__name__)

UNKNOWN_SHARE = 0.01


@dataclass(frozen=True)
class Tokens:
    """Tokenised rows with their targets."""

    encodings: TokenizedTexts
    targets: np.ndarray

    def take(self, rows: np.ndarray) -> Tokens:
        """Some of the rows, in the order of ``rows``."""
        return Tokens(self.encodings.take(rows), self.targets[rows])

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row."""
        return self.encodings.lengths


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
    empty = int((tokens.lengths <= special).sum())
    if empty == len(tokens):
        raise DataError(
            f"'{source}' has nothing left after cleaning: no text of it holds more than "
            "punctuation and spaces.",
            hint="Leave out --clean, or name another --text-column.",
        )
    if empty:
        log.warning("%d of %d training texts have nothing left after cleaning.", empty, len(tokens))


def warn_of_tokens(tokens: Tokens, tokenizer: TextTokenizer, backbone_name: str) -> None:
    """Warn of rows that are cut, of too many unknown tokens, and of tokens without an embedding."""
    if cut := int(tokens.encodings.truncated.sum()):
        log.warning(
            "%.1f %% of the training texts are longer than %d tokens and cut there (--max-length).",
            100 * cut / len(tokens), tokenizer.max_length,
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
