"""Whether an answer says what a true one does: in words as SQuAD counts, in characters as CMRC.

References:
    P. Rajpurkar, R. Jia, P. Liang (2018). Know what you don't know: unanswerable questions for
    SQuAD. ACL 2018. The scorer of SQuAD 2.0.
    Y. Cui et al. (2019). A span-extraction dataset for Chinese machine reading comprehension.
    EMNLP 2019. The scorer of CMRC 2018.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from lora_bert.wording import listed

UNITS = ("words", "characters")
"""What answers are compared in."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》……·、「」（）－～『』")
"""What CMRC leaves out of both answers."""
_HAN = "\u4e00-\u9fa5"
_RUN = re.compile(f"[{_HAN}]|[^{_HAN}]+")
_APART = re.compile(r"(\.{2,}|[;@#$%&?!()\[\]{}<>\"«»„‘—])|(,)(?!\d)")
_LAST_STOP = re.compile(r"(?<=[^.])\.(?=[\])}>\"'»”’ ]*$)")
_ENDING = re.compile(r"(?<=[^' ])('(?:s|m|d|ll|re|ve)?|n't)(?= |$)")
_OPENING = re.compile(r"(?:^|(?<=[ (\[{<]))'(?=\w)(?!(?:re|ve|ll|m|t|s|d|n)\b)")


def unit_of(texts: Sequence[str]) -> str:
    """The unit by the script of texts: ``characters`` where half of their letters are Chinese."""
    letters = sum(sum(map(str.isalnum, text)) for text in texts)
    chinese = sum(sum("\u3040" <= char <= "\u9fff" for char in text) for text in texts)
    return "characters" if 2 * chinese > letters else "words"


def _words(text: str) -> list[str]:
    """The words of an answer, lower case, without punctuation and English articles."""
    return _ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _plain(text: str) -> str:
    """A Chinese answer without marks, in lower case; spaces within it stay."""
    return "".join(char for char in text.lower().strip() if char not in _MARKS)


def _characters(text: str) -> list[str]:
    """The Chinese characters of an answer, and the words of what stands between them."""
    pieces: list[str] = []
    for run in _RUN.findall(_plain(text)):
        pieces += [run] if "\u4e00" <= run[0] <= "\u9fa5" else _latin_words(run)
    return pieces


def _latin_words(run: str) -> list[str]:
    """Words and marks as the Penn Treebank cuts them: ``3.5%`` is two, ``nexon's`` too."""
    apart = _LAST_STOP.sub(" . ", _APART.sub(r" \1\2 ", run).rstrip())
    return _ENDING.sub(r" \1", _OPENING.sub("' ", apart)).split()


def _longest_run(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """The length of the longest run of pieces that stands in both."""
    longest, before = 0, [0] * (len(theirs) + 1)
    for one in ours:
        row = [0] * (len(theirs) + 1)
        for at, other in enumerate(theirs, start=1):
            if one == other:
                row[at] = before[at - 1] + 1
                longest = max(longest, row[at])
        before = row
    return longest


def exact_and_f1(answer: str, true: Sequence[str], units: str) -> tuple[float, float]:
    """Whether an answer is a true one, 0 or 1, and its best F1 with one of these, 0…1.

    No ``true`` answer: the question has none, and "" is right. In ``words`` case, punctuation and
    English articles do not count, and F1 is of the words that both have; in ``characters`` case and
    marks do not, and F1 is of the longest run that both have.

    Raises:
        ValueError: There is no such unit.
    """
    if units not in UNITS:
        raise ValueError(f"units are {listed(UNITS)}")
    by_words = units == "words"
    # A true answer of nothing but marks is none to SQuAD.
    true = [text for text in true if not by_words or _words(text)] or [""]
    compare = _by_words if by_words else _by_characters
    both = [compare(answer, text) for text in true]
    return max(exact for exact, _ in both), max(f1 for _, f1 in both)


def _by_words(answer: str, true: str) -> tuple[float, float]:
    ours, theirs = _words(answer), _words(true)
    exact = float(ours == theirs)
    if not ours or not theirs:
        return exact, exact
    return exact, _f1((Counter(ours) & Counter(theirs)).total(), len(ours), len(theirs))


def _by_characters(answer: str, true: str) -> tuple[float, float]:
    exact = float(_plain(answer) == _plain(true))
    ours, theirs = _characters(answer), _characters(true)
    if not ours or not theirs:
        return exact, exact
    return exact, _f1(_longest_run(ours, theirs), len(ours), len(theirs))


def _f1(shared: int, ours: int, theirs: int) -> float:
    return 2 * shared / (ours + theirs)
