"""The library's tokenizer, which takes megabytes: one in a process for all of the same content."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from tokenizers import Regex, Tokenizer, normalizers

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
