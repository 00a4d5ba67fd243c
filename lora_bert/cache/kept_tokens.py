"""Tokenised texts on disk, by content: the same texts are tokenised once on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from itertools import chain

import numpy as np
import tokenizers

from lora_bert.cache.entries import find_entry, new_entry, reject, total_limit
from lora_bert.data.texts import Text, columns_of
from lora_bert.errors import OutputError
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer import TextTokenizer

log = logging.getLogger(__name__)

WORTH_KEEPING = 4_000_000
"""Bytes of text (UTF-8) that are tokenised in about a second; fewer are not written."""

_KIND = "tokens"
_FILES = ("ids", "starts", "types", "truncated")
_SPANS, _FIRSTS = "spans", "firsts"


def tokenize_cached(tokenizer: TextTokenizer, texts: Sequence[Text]) -> TokenizedTexts:
    """What ``tokenizer.encode_all(texts)`` gives, from the disk if it was made before.

    The key is what it depends on: the tokenizer with its cleaning, the maximum length, and every
    text or pair in order. Texts of less than :data:`WORTH_KEEPING` bytes are tokenised at once.

    Raises:
        ConfigError: ``$LORA_BERT_CACHE_LIMIT`` is not a number.
    """
    columns = columns_of(texts)
    if (
        sum(sum(map(len, column)) for column in columns) * 4 < WORTH_KEEPING
    ):  # a character has four bytes at most
        return tokenizer.encode_all(texts)
    key, size = _key(tokenizer, columns)
    if size < WORTH_KEEPING:
        return tokenizer.encode_all(texts)
    more = (_SPANS,) * bool(tokenizer.words or tokenizer.stride) + (_FIRSTS,) * (
        tokenizer.stride > 0
    )
    kept = _read(key, tokenizer.pad_id, more)
    if kept is not None:
        return tokenizer.with_texts(kept, texts)
    made = tokenizer.encode_all(texts)
    try:
        _write(key, made)
    except OutputError as error:
        log.info("The tokens are not kept for the next run: %s", error)
    return made


def _key(tokenizer: TextTokenizer, columns: Sequence[Sequence[str]]) -> tuple[str, int]:
    """SHA-256 of everything that the tokens depend on, and the bytes of the texts.

    ``columns`` are the texts, or the first texts of pairs and the second ones.
    """
    settings = {
        "format": 2,
        "tokenizers": tokenizers.__version__,
        "tokenizer": tokenizer.shared.written,
        "max_length": tokenizer.max_length,
        "pad_id": tokenizer.pad_id,
        "takes_types": tokenizer.takes_types,
        **({"words": tokenizer.words} if tokenizer.words else {}),
        **({"stride": tokenizer.stride} if tokenizer.stride else {}),
        **({"pairs": True} if len(columns) > 1 else {}),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    total = 0
    for text in chain.from_iterable(columns):
        written = text.encode("utf-8", "replace")
        total += len(written)
        # Its length first: two texts must not look like one.
        digest.update(b"%d:" % len(written))
        digest.update(written)
    return digest.hexdigest(), total


def _read(key: str, pad_id: int, more: tuple[str, ...]) -> TokenizedTexts | None:
    """What is kept, with the files in ``more`` beside those of all texts."""
    path = find_entry(_KIND, key)
    if path is None:
        return None
    try:
        ids, starts, types, truncated, *others = (
            np.lib.format.open_memmap(path / f"{name}.npy", mode="c").view(np.ndarray)
            for name in (*_FILES, *more)
        )
    except (OSError, ValueError) as error:
        reject(path, error)
        return None
    own = types if len(types) else None
    given = dict(zip(more, others, strict=True))
    return TokenizedTexts(
        ids, starts, own, truncated, pad_id,
        spans=given.get(_SPANS), firsts=given.get(_FIRSTS),
    )  # fmt: skip


def _write(key: str, made: TokenizedTexts) -> None:
    types = made.token_type_ids
    none = np.empty(0, np.uint8)
    arrays = [made.ids, made.starts, none if types is None else types, made.truncated]
    files = dict(zip(_FILES, arrays, strict=True))
    if made.spans is not None:
        files[_SPANS] = made.spans
    if made.firsts is not None:
        files[_FIRSTS] = made.firsts
    size = sum(array.nbytes for array in files.values())
    if size > total_limit():
        return
    facts = {"what": f"{len(made):,} texts, {len(made.ids):,} tokens"}
    with new_entry(_KIND, key, size, facts) as work:
        for name, array in files.items():
            np.save(work / f"{name}.npy", array)
