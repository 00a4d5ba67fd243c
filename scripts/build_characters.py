"""Count which characters languages write: ``lora_bert/data/characters.json``.

    python scripts/build_characters.py FOLDER

``FOLDER`` holds text files in UTF-8, named after their language: ``fr.txt``, ``zh.txt``. Nothing of
the texts is kept but rounded frequencies. Those in the repository were counted in the Korean
Chatbot_data of songys, JGLUE (Japanese), DRCD (traditional Chinese), XQuAD (Arabic, German, Greek,
Romanian, Russian, Spanish, Thai, Turkish, Chinese), waimai_10k, the manual pages of Debian and
the translations of Django.
"""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "lora_bert" / "data" / "characters.json"
SINGLE = ("zh", "zh-Hant", "ja", "ko")
"""Languages of so many characters that each is counted by itself, not with the one before it."""
_CANTONESE = (
    "佢哋嘅咗喺嚟嘢冇啲咁嗰唔係睇俾嘥晒攞噉乜啱冧揾搵揀"
    "㗎喇啦喎咩吖囉嗱嚿埋仲畀諗瞓嘩嗌掂靚凍餸呢嗮唞"
)
"""Characters that written Cantonese has beside those of traditional Chinese."""
_KEPT = 6000
_RARE = 13
_FOREIGN = 4000


def main(folder: str) -> None:
    """Count every file of ``folder`` and write the frequencies."""
    found = {}
    for path in sorted(Path(folder).glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        found[path.stem] = _alone(text) if path.stem in SINGLE else _pairs(text)
    found["yue"] = {"6": "".join(sorted(set(_CANTONESE)))}
    TARGET.write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(found)} languages, {TARGET.stat().st_size:,} bytes")


def _alone(text: str) -> dict[str, str]:
    """``-ln`` of a character's share, rounded -> the characters of that share."""
    counts = Counter(char for char in text if not char.isascii() and not char.isspace())
    total = counts.total()
    return _levels({char: -math.log(n / total) for char, n in counts.most_common(_KEPT) if n > 1})


def _pairs(text: str) -> dict[str, str]:
    """``-ln`` of a character's share behind another, rounded -> pairs; a blank is a word's end."""
    chars = "".join(char if _is_letter(char) else " " for char in text.lower())
    chars = "".join(char for char in chars if len(char) == 1)
    pairs: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for pair in map("".join, pairwise(chars)):
        before[pair[0]] += 1
        if not pair.isascii():
            pairs[pair] += 1
    letters = Counter(char for char in chars if not char.isascii())
    foreign = {char for char, n in letters.items() if n < letters.total() / _FOREIGN}
    kept = {pair: n for pair, n in pairs.items() if n > 1 and not foreign & set(pair)}
    return _levels({pair: -math.log(n / (before[pair[0]] + 20)) for pair, n in kept.items()})


def _is_letter(char: str) -> bool:
    return char.isalpha() or unicodedata.category(char)[0] == "M"


def _levels(costs: dict[str, float]) -> dict[str, str]:
    levels: dict[int, list[str]] = {}
    for name, cost in costs.items():
        levels.setdefault(min(_RARE, round(cost)), []).append(name)
    return {str(level): "".join(sorted(levels[level])) for level in sorted(levels)}


if __name__ == "__main__":
    main(sys.argv[1])
