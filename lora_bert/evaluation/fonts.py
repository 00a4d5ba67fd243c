"""Which installed font can draw a text that matplotlib's own font cannot (Chinese, for one)."""

from __future__ import annotations

from collections.abc import Iterable

BASE = "DejaVu Sans"
"""Ships with matplotlib: Latin, Greek, Cyrillic and more, no Chinese, Japanese or Korean."""

# Clean screen faces first; any other font with the characters will do after them.
_PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Noto Sans CJK JP", "SimHei", "Arial Unicode MS",
)  # fmt: skip
# Fonts that have a box or a symbol for every code point, and bitmap fonts of emoji.
_USELESS = ("Last Resort", ".LastResort", "Adobe Blank", "Adobe NotDef", "Noto Color Emoji")


def families_for(texts: Iterable[str]) -> list[str] | None:
    """Font families that together draw every character of ``texts``; ``None`` if none can.

    The first is always :data:`BASE`; a second follows only where it lacks a character.
    """
    from matplotlib import font_manager

    wanted = {ord(char) for text in texts for char in text}
    missing = wanted - _characters(font_manager.findfont(BASE))
    if not missing:
        return [BASE]
    # The upright face of ordinary weight is the one that will be drawn.
    files = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, 500, "normal", "medium")
    }
    others = sorted(name for name in files if not name.startswith(_USELESS))
    for name in (*(name for name in _PREFERRED if name in files), *others):
        if missing <= _characters(files[name]):
            return [BASE, name]
    return None


def _characters(path: str) -> set[int]:
    """The code points a font file has an outline for; none for one that cannot be used."""
    from matplotlib import ft2font

    try:
        font = ft2font.FT2Font(path)
    except (OSError, RuntimeError):  # a broken font in the system is no concern of ours
        return set()
    return set(font.get_charmap()) if font.scalable else set()
