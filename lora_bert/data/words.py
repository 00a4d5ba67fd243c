"""Words of a text: where they stand, which is decided by the text and a rule alone.

So a text of a file that gives its words and the same text as somebody types it have the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Span = tuple[int, int]

# Scripts without spaces whose characters are words, or parts of them: kana and Han.
SINGLE = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
SINGLE += "\uff66-\uff9f\U00020000-\U0003ffff"
# ASCII's marks and symbols, those of Latin text, of typographers and of Chinese, full-width ones.
MARKS = "!-/:-@\\[-`{-~¡-¿×÷\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u3001-\u3003\u3008-\u3020"
MARKS += "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

RULES = {
    "spaces": f"[{SINGLE}]",
    "punctuation": f"[{SINGLE}{MARKS}]",
    "characters": r"\S",
}
"""What is a word of its own wherever it stands; all else is what stands between spaces and that."""

# Compiled when they are first asked for, which takes some milliseconds.
_WORDS = {
    "spaces": rf"[{SINGLE}]|[^\s{SINGLE}]+",
    "punctuation": rf"[{SINGLE}{MARKS}]|[^\s{SINGLE}{MARKS}]+",
    "characters": r"\S",
}
_ONE = f"[{SINGLE}]|[\u3000-\u303f\uff01-\uff65]"
_LONE_MARK = f"[{MARKS}]"
_MOSTLY, _MARKED = 0.98, 0.01
"""Share of words of one character from which on texts are cut into characters; of lone marks."""


def words_in(text: str, rule: str) -> list[Span]:
    """Where the words of a text begin and end, in characters."""
    return [match.span() for match in re.finditer(_WORDS[rule], text)]


def rule_for(sentences: Iterable[Sequence[str]]) -> str:
    """The rule that cuts texts as these sentences are cut, which are lists of words.

    ``characters`` where nearly every word is one; ``punctuation`` where marks stand alone, so that
    in a text a mark does not belong to the word before it; else ``spaces``.
    """
    words = single = marks = 0
    for sentence in sentences:
        words += len(sentence)
        single += sum(len(word) == 1 for word in sentence)
        marks += sum(bool(re.fullmatch(_LONE_MARK, word)) for word in sentence)
    if words and single >= _MOSTLY * words:
        return "characters"
    return "punctuation" if marks >= max(1.0, _MARKED * words) else "spaces"


def joined(words: Sequence[str], rule: str) -> tuple[str, list[Span]]:
    """The text that words make, and where each of those that are not empty stands in it.

    Characters stand side by side, and one that is a space is one; else a space is between words,
    but not beside Chinese.
    """
    text, spans, one = "", list[Span](), re.compile(_ONE)
    for word in words:
        if not word.strip():
            text += word if rule == "characters" else ""
            continue
        if text and rule != "characters" and not (one.match(text[-1]) or one.match(word[:1])):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, spans
