"""Which encoding a text file is in: the one that is named, or that of its bytes.

Tried in this order: a byte order mark, UTF-16 without one (its pattern of NULs), the escapes of
ISO-2022, strict UTF-8, and what is older than Unicode (:mod:`.legacy`). Every answer is checked on
the whole file, block by block, so that no later reader meets a byte it cannot decode.
"""

from __future__ import annotations

import codecs
import logging
import unicodedata
from contextlib import suppress
from pathlib import Path

from lora_bert.data import legacy
from lora_bert.data.opening import open_bytes
from lora_bert.errors import ConfigError, DataError
from lora_bert.wording import shortened

logger = logging.getLogger(__name__)

_HEAD = 1 << 16
_BLOCK = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}
_UTF16 = ("utf-16-le", "utf-16-be")
_FAMILIES = {"cp949": ("euc_kr", "cp949"), "cp950": ("cp950", "big5hkscs")}
"""Encodings and what extends them: the first that decodes the whole file is meant."""
_ESCAPES = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$)C": "iso2022_kr"}
"""ISO-2022 is ASCII with escape sequences before its characters."""
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b"))
_HIGH = bytes(range(128, 256))
_TELLING = 6
"""Bytes above 127 that make a line of one encoding hardly pass for another."""
_CHANCE = 0.02
"""Share of lines of another encoding that may look like UTF-8."""
_SHOWN = 3
_NAME_IT = "Name its encoding with --encoding, for example --encoding latin-1."


Stop = tuple[int, int]
"""The first byte that cannot be decoded, and its line."""


def detect(path: Path, source: str, encoding: str = "auto", *, quiet: bool = False) -> str:
    """The codec to read a text file with.

    A note (log), unless ``quiet``, names what is not plain UTF-8. The file is read once or twice,
    in blocks; an ``encoding`` that is given by its name is only checked.

    Raises:
        ConfigError: There is no encoding of that name.
        DataError: The bytes are not text, or not in that encoding.
    """
    if encoding != "auto":
        return _checked(path, source, encoding)
    with open_bytes(path) as stream:
        head = stream.read(_HEAD)
    marked = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), None)
    if codec := marked or _utf16_without_mark(head):
        if stop := _stop(path, codec):
            raise _undecodable(source, codec, stop)
    elif _is_text(head):
        codec = _utf8_or_older(path, source, head)
    else:
        raise DataError(
            f"'{source}' is not text: it is full of control characters.",
            hint="Give a csv, tsv, json, jsonl or parquet file.",
        )
    if not quiet and (marked or codec != "utf-8"):
        mark = " with a byte order mark" if marked else ""
        logger.info("'%s' is read as %s%s.", source, legacy.spoken(codec), mark)
        if codec == "cp950" and (signs := legacy.sign_of_hong_kong(path)):
            logger.info(
                "'%s': Windows and Hong Kong differ in a sign, which is read as '%s'; "
                "--encoding big5hkscs reads '%s'.",
                source,
                *signs,
            )
    return codec


def _checked(path: Path, source: str, encoding: str) -> str:
    """The codec of an encoding that was named, checked on the whole file."""
    try:
        with suppress(UnicodeDecodeError):
            b"a".decode(encoding)  # refuses codecs that are not of text, such as base64
        codec = codecs.lookup(encoding).name
        stop = _stop(path, codec)
    except (LookupError, ValueError):
        raise ConfigError(
            f"There is no text encoding '{encoding}'.",
            hint="Examples: utf-8, gb18030, utf-16, latin-1, big5.",
        ) from None
    if stop:
        raise DataError(
            f"'{source}' is not {encoding}: byte {stop[0]:,} on line {stop[1]:,} cannot be "
            "decoded.",
            hint="Leave --encoding out to have it detected.",
        )
    return codec


def _utf8_or_older(path: Path, source: str, head: bytes) -> str:
    utf8 = _stop(path, "utf-8")
    if utf8 is None:
        escaped = (codec for escape, codec in _ESCAPES.items() if escape in head)
        return next((codec for codec in escaped if _stop(path, codec) is None), "utf-8")
    _refuse_mixture(path, source)
    verdict = legacy.weigh(path)
    strays = legacy.utf8_among(verdict)
    if verdict.sure is None:
        strays = tuple(unit for unit in verdict.units if legacy.decoded(unit) is not None)
    others = [unit for unit in verdict.units if unit not in strays]
    # A word or two that went through a wrong encoding before are no mixture.
    if min(len(strays), len(others)) > max(1, _CHANCE * len(verdict.units)):
        raise _mixed(source, _line_of(path, strays[0]), _line_of(path, others[0]))
    if verdict.sure is None:
        raise _uncertain(source, verdict, utf8)
    for codec in _FAMILIES.get(verdict.sure.codec, (verdict.sure.codec,)):
        stop = _stop(path, codec)
        if stop is None:
            return codec
        error = _undecodable(source, codec, stop)
    raise error


def _uncertain(source: str, verdict: legacy.Verdict, utf8: Stop) -> DataError:
    """The sentence for bytes that are no words in any encoding, or words in several."""
    shown = [reading for reading in verdict.readings if reading.density <= legacy.READABLE][:_SHOWN]
    if any(legacy.decoded(unit) is not None for unit in verdict.units):
        hint = "Other lines are UTF-8, and --encoding would misread them: mend that line."
        return _undecodable(source, "utf-8", utf8, hint)
    if not shown:
        return _undecodable(source, "utf-8", utf8)
    if len(shown) == 1:
        shown = list(verdict.readings[:2])
    by_unit = zip(*(reading.words for reading in shown), strict=True)
    words = next((words for words in by_unit if len(set(words)) > 1), [shown[0].words[0]])
    examples = ", ".join(
        f"'{shortened(word, 40)}' in {legacy.spoken(reading.codec)}"
        for word, reading in zip(words, shown, strict=False)
    )
    return DataError(
        f"'{source}' is UTF-8 only up to byte {utf8[0]:,} on line {utf8[1]:,}, and no other "
        f"encoding is certain: a word of it is {examples}.",
        hint="Name the right one with --encoding: "
        f"{' or '.join(f'--encoding {reading.codec}' for reading in shown)}.",
    )


def _line_of(path: Path, piece: bytes) -> int:
    with open_bytes(path) as stream:
        return next((number for number, line in enumerate(stream, 1) if piece in line), 1)


def _refuse_mixture(path: Path, source: str) -> None:
    """Find lines of UTF-8 beside others, whose encoding takes the former for other characters."""
    utf8: list[int] = []
    other: list[int] = []
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            if len(line) - len(line.translate(None, _HIGH)) < _TELLING:
                continue
            (other if legacy.decoded(line) is None else utf8).append(number)
    if min(len(utf8), len(other)) > max(1, _CHANCE * (len(utf8) + len(other))):
        raise _mixed(source, utf8[0], other[0])


def _mixed(source: str, utf8: int, other: int) -> DataError:
    return DataError(
        f"'{source}' mixes encodings: line {utf8:,} is UTF-8, line {other:,} is not.",
        hint="Save it in one encoding, UTF-8 for example.",
    )


def _undecodable(source: str, codec: str, stop: Stop, hint: str = _NAME_IT) -> DataError:
    return DataError(
        f"'{source}' cannot be decoded: it is {legacy.spoken(codec)} only up to byte "
        f"{stop[0]:,} on line {stop[1]:,}.",
        hint=hint,
    )


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 of either byte order, where the pattern of NULs speaks for it."""
    nuls = head.count(0)
    if not nuls or (legacy.decoded(head, final=False) is not None and nuls < len(head) / 5):
        return None
    texts = {name: legacy.decoded(head, name, final=False) or "" for name in _UTF16}
    # The wrong order has no line ends, tabs and commas.
    separators = {name: sum(map(text.count, "\n\r\t,")) for name, text in texts.items()}
    codec = max(_UTF16, key=lambda name: separators[name])
    return codec if separators[codec] and _is_plausible(texts[codec]) else None


def _is_plausible(text: str) -> bool:
    """Whether hardly any character is a control, private or not assigned."""
    text = "".join(text[:5000].split())
    odd = sum(unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs") for char in text)
    return odd <= len(text) / 50


def _is_text(head: bytes) -> bool:
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls <= max(2, len(head) / 100)


def _stop(path: Path, codec: str) -> Stop | None:
    """Where a file can no longer be decoded strictly; None where all of it can."""
    decoder = codecs.getincrementaldecoder(codec)()
    done = feeds = returns = 0
    with open_bytes(path) as stream:
        while True:
            block = stream.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # The decoder had kept the start of a character from the block before.
                kept = len(error.object) - len(block)
                good = error.object[: error.start].decode(codec, "ignore")
                lines = max(feeds + good.count("\n"), returns + good.count("\r"))
                return done - kept + error.start, lines + 1
            feeds += text.count("\n")
            returns += text.count("\r")
            done += len(block)
            if not block:
                return None
