"""What a text file holds: its content decides, where it is certain, and not its name's ending."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from lora_bert.data.formats.dialect import SPOKEN, separator_of
from lora_bert.data.opening import TEXT_FORMATS, open_bytes, open_text
from lora_bert.errors import DataError

logger = logging.getLogger(__name__)

_SPOKEN = {
    "csv": "separated by commas",
    "tsv": "separated by tabs",
    "json": "a JSON document",
    "jsonl": "JSON lines",
    "fasttext": "fastText's format",
}
_OBJECT = re.compile(r'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\}\s*$)')
_ARRAY = re.compile(r'\s*\[\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|\[|\])')
_LABEL_FIRST = re.compile(r"__label__[^\s,]+\s")
_LABELLED = re.compile(r"__label__\S|\S.*\s__label__\S+$")
_JSON_SIGNS = re.compile(r'[{}\[\]]|":')
_BEGINS = (b"{", b"[", b"__label__")
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MAGIC = {
    b"PAR1\x15": ".parquet",
    b"PK\x03\x04": ".xlsx",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ".xls",
}
_CONTAINERS = {".parquet": "parquet", ".xlsx": "a workbook", ".xls": "a workbook"}
_FASTTEXT_LINES = 20


def kind_of(path: Path, codec: str, source: str, suffix: str, *, quiet: bool = False) -> str:
    """``csv``, ``tsv``, ``json``, ``jsonl`` or ``fasttext``: how a text file is to be read.

    A note (log), unless ``quiet``, says where that is not what ``suffix`` says, the ending of its
    name; one that is not known counts as ``.txt``.
    """
    named = TEXT_FORMATS.get(suffix)
    kind = _kind(path, codec, named or "tsv")
    if not quiet and named and kind != named and {kind, named} != {"json", "jsonl"}:
        logger.info("'%s' is read as what it holds, %s.", source, _SPOKEN[kind])
    return kind


def may_be_text(path: Path) -> bool:
    """Whether a file of an unknown ending may be text; UTF-16 only with a mark or as JSON."""
    with open_bytes(path) as stream:
        head = stream.read(4096)
    text = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return text.startswith(_BEGINS) or head.startswith(_MARKS) or b"\x00" not in head


def true_suffix(path: Path, suffix: str, source: str) -> str:
    """The ending that fits what a file holds; "" where it is text that is called a workbook.

    A note (log) says where that is not ``suffix``, the ending that its name has.
    """
    with open_bytes(path) as stream:
        head = stream.read(512)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if kind == ".xlsx" and not zipfile.is_zipfile(path):
        return suffix
    if kind and kind not in suffix and suffix != ".xlsm":
        logger.info("'%s' is read as what it holds, %s.", source, _CONTAINERS[kind])
        return kind
    called_workbook = suffix.startswith(".xls") and not kind
    is_text = head.startswith(_MARKS) or b"\0" not in head
    if called_workbook and is_text and head.lstrip()[:1] == b"<":
        raise DataError(
            f"'{source}' is called a workbook and holds a web page.",
            hint="Open it in Excel or LibreOffice, and save it as .xlsx.",
        )
    return "" if called_workbook and is_text else suffix


def table_kind(path: Path, codec: str, source: str) -> str:
    """``csv`` or ``tsv`` of a file whose ending is not known; "" where it is no table."""
    separator = separator_of(path, codec)
    if not separator:
        return ""
    marks = SPOKEN[separator]
    logger.info("'%s' is read as what it holds, a table separated by %s.", source, marks)
    return "tsv" if separator == "\t" else "csv"


def _kind(path: Path, codec: str, named: str) -> str:
    with open_text(path, codec) as stream:
        filled = (line for line in stream if line.strip())
        first = next(filled, "")
        start = first.lstrip()[:1]
        if start == "{":
            return _of_object(path, codec, named, first, next(filled, ""))
        if start == "[":
            return _of_array(path, codec, named, first)
        if named in ("json", "jsonl"):
            return _of_cells(first, named)
        return "fasttext" if _is_fasttext(first, filled, named) else named


def _of_object(path: Path, codec: str, named: str, first: str, second: str) -> str:
    """Which of the formats a file is of that begins with a brace."""
    whole = _parsed(first)
    if isinstance(whole, dict):
        if second:
            # A document may have its first object on one line, but then no other begins a line.
            return "jsonl" if named in ("json", "jsonl") or second.lstrip()[:1] == "{" else named
        return "jsonl" if named == "jsonl" and not _is_document(whole) else "json"
    if named == "jsonl" and second.lstrip()[:1] == "{":
        return named
    return _document_or(path, codec, named, _OBJECT.match(first + second))


def _is_document(value: dict[str, object]) -> bool:
    """Whether an object is a table of its own, as pandas writes it, rather than one row."""
    if isinstance(value.get("data"), list) and ("columns" in value or "schema" in value):
        return True
    members = list(value.values())
    return bool(members) and all(isinstance(member, dict) and member for member in members)


def _of_array(path: Path, codec: str, named: str, first: str) -> str:
    """Which of the formats a file is of that begins with a bracket."""
    if named == "jsonl" and (row := _parsed(first)) is not None and not _ARRAY.match(first):
        cells = row if isinstance(row, list) else []
        nested = any(isinstance(cell, list | dict) for cell in cells)
        return "json" if len(cells) > 1 and not nested else named
    if named == "json":
        return named
    with open_text(path, codec) as stream:
        head = stream.read(1 << 12)
    return _document_or(path, codec, named, _ARRAY.match(head))


def _document_or(path: Path, codec: str, named: str, begins: object) -> str:
    """``json`` where a file begins so and is one document, or one that is broken further on."""
    if not begins or named == "json":
        return named
    with open_text(path, codec) as stream:
        text = stream.read().strip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        # Cells that look so end, and something stands behind them; a document goes on, or is cut.
        if named == "jsonl" and error.msg == "Extra data":
            return "json"  # objects over several lines, or several on one
        cut = error.pos >= len(text) or error.msg.startswith("Unterminated")
        return "json" if cut or (error.lineno > 1 and error.msg != "Extra data") else named
    except (ValueError, RecursionError):
        return named
    return "json"


def _of_cells(first: str, named: str) -> str:
    """A file that is called JSON and does not begin as JSON does: csv, if it looks so."""
    if not first or _parsed(first) is not None or _JSON_SIGNS.search(first):
        return named
    return "tsv" if "\t" in first else "csv" if "," in first else named


def _is_fasttext(first: str, others: Iterator[str], named: str) -> bool:
    if "__label__" not in first:
        return False
    lines = [first, *islice(others, _FASTTEXT_LINES)]
    if named == "csv":
        return all(_LABEL_FIRST.match(line.strip()) for line in lines)
    return first.count("\t") < 2 and all(_LABELLED.match(line.strip()) for line in lines)


def _parsed(line: str) -> object:
    with suppress(ValueError, RecursionError):
        value: object = json.loads(line)
        return value
    return None
