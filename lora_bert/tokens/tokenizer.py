"""The tokenizer: text -> token ids, and the files that make everyone else do the same.

It is the ``tokenizers`` library's, fed from ``tokenizer.json``. What is saved says
``PreTrainedTokenizerFast``, which every version of transformers takes as it stands; naming a
family's own class would let transformers 5 rebuild the normaliser and lose the cleaning.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from lora_bert.backbones.config import EncoderConfig
from lora_bert.data.texts import Text, are_pairs, columns_of, parts_of
from lora_bert.errors import BackboneError, ConfigError, LoraBertError, TextError
from lora_bert.files import write_json
from lora_bert.json_files import read_object, read_text
from lora_bert.tokens.sentencepiece_file import read_sentencepiece
from lora_bert.tokens.sentencepiece_layouts import UnusualModelError, convert, layout_of
from lora_bert.tokens.shared_tokenizer import SharedTokenizer, prepared, shared_tokenizer
from lora_bert.tokens.tokenized import TokenizedTexts
from lora_bert.tokens.word_pieces import spans_in
from lora_bert.wording import reason

log = logging.getLogger(__name__)

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
    """

    shared: SharedTokenizer
    special: Mapping[str, Any]
    pad_id: int
    max_length: int
    takes_types: bool
    rows: int | None = None
    words: str = ""

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
        token = _content(self.special.get("unk_token"))
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
        texts = np.searchsorted(encodings.starts, places, side="right") - 1
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
        transformers calls ``longest_first``.

        Raises:
            ConfigError: ``max_length`` has no room for a pair.
            BackboneError: The tokenizer puts nothing between the texts of a pair.
            TextError: A text holds a token that the embeddings have no row for.
        """
        made = self.encode_all(texts)
        for number, tokens in self.beyond_in(made).items():
            shown = " | ".join(parts_of(texts[number]))
            raise TextError(
                f"The text '{shown:.60}' holds {_quoted(tokens)}: the tokenizer knows that, "
                f"but the model's embeddings, of {self.rows:,} rows, have none for it.",
                number=number,
                hint="Take the token out of the text; or, before an adapter is trained, give the "
                "backbone a row for it: model.resize_token_embeddings(len(tokenizer))",
            )
        return made

    def encode_all(self, texts: Sequence[Text]) -> TokenizedTexts:
        """As :meth:`encode`, whatever the embeddings have rows for."""
        if are_pairs(texts):
            self._check_takes_pairs()
        # In pieces: the library's own objects take many times the room of what is kept of them, and
        # others wait for the end of one.
        made = TokenizedTexts.joined(map(self._encode, _pieces(texts)))
        return replace(made, texts=columns_of(texts)[0]) if self.words else made

    def special_tokens(self, *, pair: bool) -> int:
        """How many special tokens a text has, or a ``pair``."""
        return self.core.num_special_tokens_to_add(is_pair=pair)

    def _check_takes_pairs(self) -> None:
        alone, both = (self.special_tokens(pair=pair) for pair in (False, True))
        if both <= alone:
            raise BackboneError(
                "The backbone's tokenizer puts no token between the two texts of a pair: it was "
                "made for single texts.",
                hint="Use another backbone, or give the post_processor of its tokenizer.json a "
                "template for pairs.",
            )
        if self.max_length < both + 2:
            raise ConfigError(
                f"--max-length {self.max_length} has no room for a pair of texts, which has {both} "
                "special tokens.",
                hint="Use a larger --max-length.",
            )

    def _encode(self, texts: Sequence[Text]) -> TokenizedTexts:
        # A lone surrogate (half an emoji, out of broken JSON) cannot be handed to Rust.
        safe = [
            _without_surrogates(text) if isinstance(text, str)
            else tuple(map(_without_surrogates, text))
            for text in texts
        ]  # fmt: skip
        with self.shared.lock, _in_words("The tokenizer", BackboneError):
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
        rows: How many tokens the model's embeddings have a row for; None: not known.
        error: Which error a missing or damaged tokenizer is.

    Raises:
        error: No tokenizer there, or a damaged one, or one without padding, or one whose special
            tokens the embeddings have no row for.
    """
    shared, written = _read(directory, config, error, clean=clean, words=words)
    core = shared.core
    special = {name: written[name] for name in _SPECIAL if _content(written.get(name))}
    if config.pad_token_id < core.get_vocab_size():
        special.setdefault("pad_token", core.id_to_token(config.pad_token_id))
    pad_id = core.token_to_id(_content(special.get("pad_token")) or "")
    if pad_id is None:
        raise error(f"The tokenizer in '{directory}' has no padding token.")
    made = TextTokenizer(shared, special, pad_id, max_length, config.takes_types, rows, words)
    _check_special(made, directory, error)
    return made


def _check_special(made: TextTokenizer, directory: Path, error: type[LoraBertError]) -> None:
    """Check that there is a row for every token that texts get anyhow."""
    if made.rows is None:
        return
    with _in_words(f"The tokenizer in '{directory}'", error):
        always = [*made.core.encode("").ids, made.pad_id, made.unknown_id or 0]
    lacking = dict.fromkeys(made.token(at) for at in always if at >= made.rows)
    if lacking:
        raise error(
            f"The tokenizer in '{directory}' uses {_quoted(tuple(lacking))} in every text, and the "
            f"model's embeddings, of {made.rows:,} rows, have none for it.",
            hint="Give the backbone the rows with transformers, "
            "model.resize_token_embeddings(len(tokenizer)), and save it.",
        )


def _read(
    directory: Path, config: EncoderConfig, error: type[LoraBertError], *, clean: bool, words: str
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """The tokenizer and its configuration, from files."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return _convert(directory, config, error, clean=clean, words=words)
    text = read_text(path, error)
    with _in_words(f"'{path}'", error):
        shared = shared_tokenizer(text, clean=clean, words=words)
    return shared, _settings(directory, error)


def _settings(directory: Path, error: type[LoraBertError]) -> dict[str, Any]:
    """What the files beside a tokenizer say of it."""
    written: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            written |= read_object(directory / name, error)
    return written


@contextmanager
def _in_words(what: str, error: type[LoraBertError]) -> Iterator[None]:
    """Say what the Rust library met with: bare exceptions, and panics, which are not even those.

    Raises:
        error: It met with something.
    """
    try:
        yield
    except UnusualModelError:
        raise
    except BaseException as problem:
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise  # Ctrl-C
        raise error(f"{what} is damaged: {str(problem).rstrip('.')}.") from problem


def _convert(
    directory: Path, config: EncoderConfig, error: type[LoraBertError], *, clean: bool, words: str
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """Build the fast tokenizer of a directory with vocabulary files only."""
    if any((directory / name).is_file() for name in ("vocab.txt", "vocab.json")):
        _check_no_jieba(directory, config, error)
        _check_whole(directory, error)
        return _by_transformers(directory, config, error, clean=clean, words=words)
    found = sorted(directory.glob("*.model"))
    if not found:
        raise error(f"'{directory}' has no tokenizer: no tokenizer.json and no vocabulary.")
    written = _settings(directory, error)
    layout = layout_of(directory, written, config, error)
    path = next((one for one in found if one.name == layout.file), found[0])
    log.info("Building a fast tokenizer from the SentencePiece model '%s'.", path)
    model = read_sentencepiece(path, error)
    added = _added(directory, written, error)
    try:
        with _in_words(f"'{path}'", error):
            core, special = convert(model, layout, written, added)
    except UnusualModelError as problem:
        raise error(
            f"'{path}' is a SentencePiece model that is not converted: {problem}.",
            hint="Have transformers write tokenizer.json: "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        ) from problem
    return prepared(core, clean=clean, words=words), written | special


def _added(
    directory: Path, written: Mapping[str, Any], error: type[LoraBertError]
) -> dict[str, int]:
    """Tokens that were added to a vocabulary, with their ids, from either place they are kept."""
    path, kept = directory / "added_tokens.json", written.get("added_tokens_decoder")
    found = read_object(path, error) if path.is_file() else {}
    for number, token in (kept if isinstance(kept, dict) else {}).items():
        if str(number).isdecimal() and (text := _content(token)):
            found[text] = int(number)
    return {text: number for text, number in found.items() if type(number) is int and text}


def _check_no_jieba(directory: Path, config: EncoderConfig, error: type[LoraBertError]) -> None:
    """RoFormer's own class cuts Chinese into words before, by a program and not by a table."""
    said = _settings(directory, error).get("tokenizer_class") or config.tokenizer_class
    known = said if isinstance(said, str) else ""
    if "RoFormer" in known or (not known and config.model_type == "roformer"):
        raise error(
            f"'{directory}' has RoFormer's own tokenizer, which cuts texts with jieba; "
            "tokenizer.json cannot hold that.",
            hint='RoFormers that cut by characters say "tokenizer_class": "BertTokenizer" in '
            "tokenizer_config.json.",
        )


def _check_whole(directory: Path, error: type[LoraBertError]) -> None:
    """Name what transformers would stumble over without a name."""
    if not (directory / "vocab.txt").is_file() and not (directory / "merges.txt").is_file():
        raise error(
            f"The tokenizer in '{directory}' lacks merges.txt, which belongs to its vocab.json.",
            hint="Copy or download it too.",
        )
    if (path := directory / "vocab.txt").is_file() and not path.stat().st_size:
        raise error(f"'{path}' is empty.", hint="Copy or download it again.")


def _by_transformers(
    directory: Path, config: EncoderConfig, error: type[LoraBertError], *, clean: bool, words: str
) -> tuple[SharedTokenizer, dict[str, Any]]:
    """Have transformers build the fast tokenizer of a ``vocab.txt``, or of a ``vocab.json``."""
    log.info("Building a fast tokenizer from the vocabulary in '%s'.", directory)
    try:
        with _silent():
            from transformers import AutoTokenizer

            offline = {"local_files_only": True, "trust_remote_code": False}
            slow = AutoTokenizer.from_pretrained(str(directory), **offline)
    except (OSError, ValueError, ImportError) as problem:
        raise error(
            f"transformers cannot read the tokenizer in '{directory}': {reason(problem)}.",
            hint="Does tokenizer_config.json name the right tokenizer_class, and are all files of "
            "the tokenizer there?",
        ) from problem
    with tempfile.TemporaryDirectory() as work:
        slow.save_pretrained(work)
        return _read(Path(work), config, error, clean=clean, words=words)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what another library says from the screen: what matters of it, we say."""
    level = logging.root.manager.disable
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def _pieces(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """So many texts, or of long ones fewer; one empty piece of none."""
    for start in range(0, max(1, len(texts)), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        characters = sum(len(part) for text in some for part in parts_of(text))
        step = 1 + _CHARACTERS_AT_ONCE * len(some) // max(1, characters)
        for at in range(0, max(1, len(some)), step):
            yield some[at : at + step]


def _content(token: Any) -> str | None:
    """The text of a special token, written plainly or as an ``AddedToken``; None where neither."""
    found = token.get("content") if isinstance(token, dict) else token
    # Half a surrogate pair cannot be handed to Rust, so no token consists of one.
    return found if isinstance(found, str) and found == _without_surrogates(found) else None


def _quoted(tokens: Sequence[str], most: int = 5) -> str:
    """``"'<A>', '<B>' and 3 more"``."""
    shown = ", ".join(f"'{token:.40}'" for token in tokens[:most])
    return f"{shown} and {len(tokens) - most:,} more" if len(tokens) > most else shown


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
