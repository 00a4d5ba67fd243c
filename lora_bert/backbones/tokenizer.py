"""The tokenizer: text -> token ids, and the files that make everyone else do the same.

It is the ``tokenizers`` library's, fed from ``tokenizer.json``. What is saved says
``PreTrainedTokenizerFast``, which every version of transformers takes as it stands; naming a
family's own class would let transformers 5 rebuild the normaliser and lose the cleaning.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers

from lora_bert.backbones.encodings import Encodings
from lora_bert.backbones.families import family_of
from lora_bert.backbones.family import Config
from lora_bert.errors import BackboneError, LoraBertError
from lora_bert.json_files import json_text, read_object, read_text

log = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 256
_AT_ONCE = 8192
_SPECIAL = tuple(f"{kind}_token" for kind in "bos eos unk sep pad cls mask".split())
# ASCII's and full-width symbols beside Unicode's punctuation: all that people type as such.
_PUNCTUATION = r"[\p{P}$+<=>^`|~＄＋＜＝＞＾｀｜～]+"


@dataclass(frozen=True)
class TextTokenizer:
    """Tokenises for one backbone.

    Attributes:
        core: The ``tokenizers`` object; neither truncates nor pads.
        special: Special tokens as ``tokenizer_config.json`` names them.
        pad_id: What fills a row up; not 0 everywhere.
        max_length: Tokens kept of a text, special ones included.
        takes_types: Whether the model's forward knows ``token_type_ids``.
    """

    core: Tokenizer
    special: Mapping[str, Any]
    pad_id: int
    max_length: int
    takes_types: bool

    def __repr__(self) -> str:
        pieces = self.core.get_vocab_size()
        return f"TextTokenizer({pieces:,} pieces, at most {self.max_length:,} tokens a text)"

    @property
    def unknown_id(self) -> int | None:
        """Id of the unknown token; None where there is none (byte-level)."""
        token = _content(self.special.get("unk_token"))
        return self.core.token_to_id(token) if token else None

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of the ``tokenizer.json`` that :meth:`save` writes."""
        self.core.no_truncation()
        self.core.no_padding()
        return hashlib.sha256(self.core.to_str().encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Encodings:
        """Each text as token ids, cut to ``max_length``, special tokens at both ends."""
        self.core.enable_truncation(self.max_length)
        # In pieces: the library's own objects take many times the room of what is kept of them.
        pieces = [self._encode(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return Encodings.joined(pieces or [Encodings.of([], self.pad_id)])

    def _encode(self, texts: Sequence[str]) -> Encodings:
        # A lone surrogate (half an emoji, out of broken JSON) cannot be handed to Rust.
        safe = [_without_surrogates(text) for text in texts]
        with _in_words("The tokenizer", BackboneError):
            found = self.core.encode_batch_fast(safe)
        return Encodings.of(
            [one.ids for one in found],
            self.pad_id,
            types=[one.type_ids for one in found] if self.takes_types else None,
            cut=[bool(one.overflowing) for one in found],
        )

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
        self.core.no_truncation()
        self.core.no_padding()
        (directory / "tokenizer.json").write_text(self.core.to_str(), encoding="utf-8")
        inputs = ["input_ids", "token_type_ids", "attention_mask"]
        if not self.takes_types:
            inputs.remove("token_type_ids")
        written = {
            **self.special,
            "clean_up_tokenization_spaces": False,
            "model_input_names": inputs,
            "model_max_length": self.max_length,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        text = json_text(written) + "\n"
        (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")


def load_tokenizer(
    directory: Path,
    config: Config,
    *,
    max_length: int,
    clean: bool = False,
    error: type[LoraBertError] = BackboneError,
) -> TextTokenizer:
    """Read the tokenizer of a backbone, an adapter or a merged model.

    Args:
        directory: Holds ``tokenizer.json``, or what transformers can make one from.
        config: The backbone's ``config.json``.
        max_length: Tokens kept of a text.
        clean: Put the tutorials' cleaning before the normaliser: punctuation to spaces, strip.
        error: Which error a missing or damaged tokenizer is.

    Raises:
        error: No tokenizer there, or a damaged one, or one without padding.
    """
    core, written = _read(directory, error)
    core.no_padding()
    if clean:
        core.normalizer = _cleaning(core.normalizer)
    special = {name: written[name] for name in _SPECIAL if _content(written.get(name))}
    padding = config.get("pad_token_id") or 0
    if isinstance(padding, int) and 0 <= padding < core.get_vocab_size():
        special.setdefault("pad_token", core.id_to_token(padding))
    pad_id = core.token_to_id(_content(special.get("pad_token")) or "")
    if pad_id is None:
        raise error(f"The tokenizer in '{directory}' has no padding token.")
    takes_types = family_of(config).takes_types(config)
    return TextTokenizer(core, special, pad_id, max_length, takes_types)


def _read(directory: Path, error: type[LoraBertError]) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer and its configuration, from files."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return _convert(directory, error)
    text = read_text(path, error)
    with _in_words(f"'{path}'", error):
        core = Tokenizer.from_str(text)
    written: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            written |= read_object(directory / name, error)
    return core, written


@contextmanager
def _in_words(what: str, error: type[LoraBertError]) -> Iterator[None]:
    """Say what the Rust library met with: bare exceptions, and panics, which are not even those.

    Raises:
        error: It met with something.
    """
    try:
        yield
    except BaseException as problem:
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise  # Ctrl-C
        raise error(f"{what} is damaged: {str(problem).rstrip('.')}.") from problem


def _convert(directory: Path, error: type[LoraBertError]) -> tuple[Tokenizer, dict[str, Any]]:
    """Have transformers build the fast tokenizer of a directory with vocabulary files only."""
    if not any(any(directory.glob(name)) for name in ("vocab.*", "*.model")):
        raise error(f"'{directory}' has no tokenizer: no tokenizer.json and no vocabulary.")
    from transformers import AutoTokenizer

    log.info("Building a fast tokenizer from the vocabulary in '%s'.", directory)
    try:
        slow = AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError) as problem:
        reason = (str(problem).strip().splitlines() or [""])[0].rstrip(".")
        raise error(
            f"transformers cannot read the tokenizer in '{directory}': {reason}."
        ) from problem
    with tempfile.TemporaryDirectory() as work:
        slow.save_pretrained(work)
        return _read(Path(work), error)


def _cleaning(normalizer: normalizers.Normalizer | None) -> normalizers.Normalizer:
    steps = [normalizers.Replace(Regex(_PUNCTUATION), " "), normalizers.Strip()]
    return normalizers.Sequence([*steps, *([normalizer] if normalizer else [])])


def _content(token: Any) -> str | None:
    """The text of a special token, written plainly or as an ``AddedToken``; None where neither."""
    found = token.get("content") if isinstance(token, dict) else token
    # Half a surrogate pair cannot be handed to Rust, so no token consists of one.
    return found if isinstance(found, str) and found == _without_surrogates(found) else None


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
