"""The tokenizer: text -> token ids, and the files that make everyone else do the same.

It is the ``tokenizers`` library's, fed from ``tokenizer.json``. What is saved says
``PreTrainedTokenizerFast``, which every version of transformers takes as it stands; naming a
family's own class would let transformers 5 rebuild the normaliser and lose the cleaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from lora_bert.backbones.config import EncoderConfig
from lora_bert.data.texts import Text, are_pairs, columns_of, parts_of
from lora_bert.errors import BackboneError, LoraBertError, TextError
from lora_bert.files import write_json
from lora_bert.tokens.shared_tokenizer import SharedTokenizer
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.tokenizer_files import (
    content_of,
    in_words,
    read_tokenizer,
    without_surrogates,
)
from lora_bert.tokens.windows import windows
from lora_bert.tokens.word_pieces import spans_in
from lora_bert.wording import listed

DEFAULT_MAX_LENGTH = 256
RESIZE = (
    "Give the backbone the rows with transformers, model.resize_token_embeddings(len(tokenizer)), "
    "and save it; or take the token out of tokenizer.json or of the texts."
)
"""How to mend a token without a row."""
_AT_ONCE, _CHARACTERS_AT_ONCE = 1024, 1 << 18
_SPECIAL = tuple(f"{kind}_token" for kind in "bos eos unk sep pad cls mask".split())


@dataclass(frozen=True)
class TextTokenizer:
    """Tokenises for one backbone.

    Attributes:
        shared: The library's tokenizer.
        special: Special tokens as ``tokenizer_config.json`` names them.
        pad_id: What fills a row up; not 0 everywhere.
        max_length: Tokens kept of a text, special ones included.
        takes_types: Whether the model's forward knows ``token_type_ids``.
        rows: How many tokens the model's embeddings have a row for; None: not known.
        words: The rule of :mod:`lora_bert.data.words` by which words are looked for; "": by none.
        stride: Tokens that windows of a context share, where pairs are questions and contexts; 0:
            texts that are too long are cut.
    """

    shared: SharedTokenizer
    special: Mapping[str, Any]
    pad_id: int
    max_length: int
    takes_types: bool
    rows: int | None = None
    words: str = ""
    stride: int = 0

    def __repr__(self) -> str:
        pieces = self.core.get_vocab_size()
        return f"TextTokenizer({pieces:,} pieces, at most {self.max_length:,} tokens a text)"

    @property
    def core(self) -> Tokenizer:
        """The ``tokenizers`` object."""
        return self.shared.core

    @property
    def unknown_id(self) -> int | None:
        """Id of the unknown token; None where there is none (byte-level)."""
        token = content_of(self.special.get("unk_token"))
        return self.core.token_to_id(token) if token else None

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of the ``tokenizer.json`` that :meth:`save` writes."""
        return hashlib.sha256(self.shared.written.encode()).hexdigest()

    @property
    def beyond(self) -> tuple[str, ...]:
        """The tokens that the embeddings have no row for, in the order of their ids."""
        size = self.core.get_vocab_size()
        if self.rows is None or (size <= self.rows and self.core.id_to_token(self.rows) is None):
            return ()  # at once: making a list of a large vocabulary takes a second
        found = [(at, text) for text, at in self.core.get_vocab().items() if at >= self.rows]
        return tuple(text for _, text in sorted(found))

    def beyond_in(self, encodings: TokenizedTexts) -> dict[int, tuple[str, ...]]:
        """Which texts hold tokens that the embeddings have no row for, and which tokens."""
        if self.rows is None or not len(encodings.ids) or encodings.ids.max() < self.rows:
            return {}
        places = np.flatnonzero(encodings.ids >= self.rows)
        texts = encodings.rows_of(np.searchsorted(encodings.starts, places, side="right") - 1)
        found: dict[int, dict[str, None]] = {}
        for text, number in zip(texts.tolist(), encodings.ids[places].tolist(), strict=True):
            found.setdefault(text, {})[self.token(number)] = None
        return {text: tuple(tokens) for text, tokens in found.items()}

    def token(self, number: int) -> str:
        """How the token of that id is written; one added later, as it was added."""
        added = self.core.get_added_tokens_decoder().get(number)
        return added.content if added else str(self.core.id_to_token(number))

    def encode(self, texts: Sequence[Text]) -> TokenizedTexts:
        """Each text, or pair of texts, as token ids, cut to ``max_length``, with special tokens.

        Of a pair that is too long the longer text is cut, token by token, until both fit, which
        transformers calls ``longest_first``. With a ``stride``, a context that is too long comes in
        several windows.

        Raises:
            ConfigError: ``max_length`` has no room for a pair.
            BackboneError: The tokenizer puts nothing between the texts of a pair.
            TextError: A text holds a token that the embeddings have no row for, or a question
                leaves no room for its context.
        """
        made = self.encode_all(texts)
        for number, tokens in self.beyond_in(made).items():
            shown = " | ".join(parts_of(texts[number]))
            raise TextError(
                f"The text '{shown:.60}' holds {listed(tokens, 5)}: the tokenizer knows that, "
                f"but the model's embeddings, of {self.rows:,} rows, have none for it.",
                number=number,
                hint="Take the token out of the text; or, before an adapter is trained, give the "
                "backbone a row for it: model.resize_token_embeddings(len(tokenizer))",
            )
        return made

    def encode_all(self, texts: Sequence[Text]) -> TokenizedTexts:
        """As :meth:`encode`, whatever the embeddings have rows for."""
        if are_pairs(texts):
            self.shared.check_takes_pairs(self.max_length)
        # In pieces: the library's own objects take many times the room of what is kept of them, and
        # others wait for the end of one.
        encode = self._windows if self.stride else self._encode
        made = TokenizedTexts.joined(encode(start, some) for start, some in _pieces(texts))
        return self.with_texts(made, texts)

    def with_texts(self, made: TokenizedTexts, texts: Sequence[Text]) -> TokenizedTexts:
        """The tokens of texts with these texts, where answers are given of parts of them."""
        if self.words:
            return replace(made, texts=columns_of(texts)[0])
        if not self.stride:
            return made
        contexts, rows = columns_of(texts)[-1], made.rows_of(np.arange(len(made)))
        return replace(made, texts=[contexts[row] for row in rows.tolist()])

    def special_tokens(self, *, pair: bool) -> int:
        """How many special tokens a text has, or a ``pair``."""
        return self.core.num_special_tokens_to_add(is_pair=pair)

    def _windows(self, start: int, pairs: Sequence[Any]) -> TokenizedTexts:
        """The windows of questions and contexts, of which the first one is number ``start``."""
        with self.shared.lock, in_words("The tokenizer", BackboneError):
            self.core.no_truncation()
            encodings = self.core.encode_batch(_safe(pairs))
        try:
            made = windows(encodings, pairs, max_length=self.max_length, stride=self.stride)
        except TextError as error:
            raise TextError(str(error), number=start + error.number, hint=error.hint) from None
        return TokenizedTexts.of(
            made.ids, self.pad_id, token_type_ids=made.types if self.takes_types else None,
            spans=made.spans, firsts=made.firsts,
        )  # fmt: skip

    def _encode(self, _start: int, texts: Sequence[Text]) -> TokenizedTexts:
        safe = _safe(texts)
        with self.shared.lock, in_words("The tokenizer", BackboneError):
            self.core.enable_truncation(self.max_length)
            encode = self.core.encode_batch if self.words else self.core.encode_batch_fast
            encodings = encode(safe)
        return TokenizedTexts.of(
            [each.ids for each in encodings],
            self.pad_id,
            token_type_ids=[each.type_ids for each in encodings] if self.takes_types else None,
            truncated=[bool(each.overflowing) for each in encodings],
            spans=spans_in(columns_of(texts)[0], encodings, self.words) if self.words else None,
        )

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
        (directory / "tokenizer.json").write_text(self.shared.written, encoding="utf-8")
        types = ["token_type_ids"] if self.takes_types else []
        written = {
            **self.special,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", *types, "attention_mask"],
            "model_max_length": self.max_length,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        write_json(directory / "tokenizer_config.json", written)


def load_tokenizer(
    directory: Path,
    config: EncoderConfig,
    *,
    max_length: int,
    clean: bool = False,
    words: str = "",
    stride: int = 0,
    rows: int | None = None,
    error: type[LoraBertError] = BackboneError,
) -> TextTokenizer:
    """Read the tokenizer of a backbone, an adapter or a merged model.

    Args:
        directory: Holds ``tokenizer.json``, or what transformers can make one from.
        config: The encoder's.
        max_length: Tokens kept of a text.
        clean: Put the tutorials' cleaning before the normaliser: punctuation to spaces, strip.
        words: Have tokens end where words do that this rule finds, and look for words.
        stride: Tokens that windows share, see :class:`TextTokenizer`.
        rows: How many tokens the model's embeddings have a row for; None: not known.
        error: Which error a missing or damaged tokenizer is.

    Raises:
        error: No tokenizer there, or a damaged one, or one without padding, or one whose special
            tokens the embeddings have no row for.
    """
    shared, written = read_tokenizer(directory, config, error, clean=clean, words=words)
    core = shared.core
    special = {name: written[name] for name in _SPECIAL if content_of(written.get(name))}
    if config.pad_token_id < core.get_vocab_size():
        special.setdefault("pad_token", core.id_to_token(config.pad_token_id))
    pad_id = core.token_to_id(content_of(special.get("pad_token")) or "")
    if pad_id is None:
        raise error(f"The tokenizer in '{directory}' has no padding token.")
    made = TextTokenizer(
        shared, special, pad_id, max_length, config.takes_types, rows, words, stride
    )
    _check_special(made, directory, error)
    return made


def _check_special(made: TextTokenizer, directory: Path, error: type[LoraBertError]) -> None:
    """Check that there is a row for every token that texts get anyhow."""
    if made.rows is None:
        return
    with in_words(f"The tokenizer in '{directory}'", error):
        always = [*made.core.encode("").ids, made.pad_id, made.unknown_id or 0]
    lacking = dict.fromkeys(made.token(at) for at in always if at >= made.rows)
    if lacking:
        raise error(
            f"The tokenizer in '{directory}' uses {listed(lacking, 5)} in every text, and the "
            f"model's embeddings, of {made.rows:,} rows, have none for it.",
            hint="Give the backbone the rows with transformers, "
            "model.resize_token_embeddings(len(tokenizer)), and save it.",
        )


def _safe(texts: Sequence[Text]) -> list[Any]:
    """Texts that Rust can be handed: half an emoji, out of broken JSON, cannot."""
    return [
        without_surrogates(text) if isinstance(text, str) else tuple(map(without_surrogates, text))
        for text in texts
    ]


def _pieces(texts: Sequence[Text]) -> Iterator[tuple[int, Sequence[Text]]]:
    """So many texts, or of long ones fewer, and the first one's number; one empty piece of none."""
    for start in range(0, max(1, len(texts)), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        characters = sum(len(part) for text in some for part in parts_of(text))
        step = 1 + _CHARACTERS_AT_ONCE * len(some) // max(1, characters)
        for at in range(0, max(1, len(some)), step):
            yield start + at, some[at : at + step]
