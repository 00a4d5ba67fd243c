"""The library's tokenizer, which takes megabytes: one in a process for all of the same content."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from tokenizers import Regex, Tokenizer, normalizers

from lora_bert.errors import BackboneError, ConfigError
from lora_bert.tokens.word_pieces import cut_into_words

# ASCII's and full-width symbols beside Unicode's punctuation: all that people type as such.
_PUNCTUATION = r"[\p{P}$+<=>^`|~＄＋＜＝＞＾｀｜～]+"


@dataclass(frozen=True, eq=False)
class SharedTokenizer:
    """A tokenizer for many at once.

    Attributes:
        core: The ``tokenizers`` object, which does not pad. Encoding sets where it truncates.
        lock: Held while that must stay as it is.
    """

    core: Tokenizer
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def written(self) -> str:
        """What ``tokenizer.json`` holds: without a truncation."""
        with self.lock:
            return re.sub(
                r'"truncation":\{[^}]*\}', '"truncation":null', self.core.to_str(), count=1
            )

    def check_takes_pairs(self, max_length: int) -> None:
        """Check that pairs can be told apart, and that some of each text is left.

        Raises:
            BackboneError: The tokenizer puts nothing between the texts of a pair.
            ConfigError: ``max_length`` has no room for them.
        """
        alone, both = (self.core.num_special_tokens_to_add(is_pair=pair) for pair in (False, True))
        if both <= alone:
            raise BackboneError(
                "The backbone's tokenizer puts no token between the two texts of a pair: it was "
                "made for single texts.",
                hint="Use another backbone, or give the post_processor of its tokenizer.json a "
                "template for pairs.",
            )
        if max_length < both + 2:
            raise ConfigError(
                f"--max-length {max_length} has no room for a pair of texts, which has {both} "
                "special tokens.",
                hint="Use a larger --max-length.",
            )


_SHARED: WeakValueDictionary[str, SharedTokenizer] = WeakValueDictionary()


def shared_tokenizer(text: str, *, clean: bool, words: str = "") -> SharedTokenizer:
    """The tokenizer of a ``tokenizer.json``; the one in memory where that is in use already.

    Args:
        text: What the file holds; the library raises errors of its own where it is damaged.
        clean: Put the tutorials' cleaning before the normaliser: punctuation to spaces, strip.
        words: Have tokens end where words do that this rule of :mod:`lora_bert.data.words` finds.
    """
    key = hashlib.sha256(text.encode()).hexdigest() + (" cleaned" if clean else "") + words
    if (shared := _SHARED.get(key)) is None:
        shared = _SHARED.setdefault(
            key, prepared(Tokenizer.from_str(text), clean=clean, words=words)
        )
    return shared


def prepared(core: Tokenizer, *, clean: bool, words: str = "") -> SharedTokenizer:
    """The tokenizer without padding; the rest as in :func:`shared_tokenizer`."""
    if words:
        core = Tokenizer.from_str(cut_into_words(core.to_str(), words))
    core.no_padding()
    if clean:
        steps = [normalizers.Replace(Regex(_PUNCTUATION), " "), normalizers.Strip()]
        own = [core.normalizer] if core.normalizer else []
        core.normalizer = normalizers.Sequence([*steps, *own])
    return SharedTokenizer(core)
