"""Valid files, broken a little: fields, offsets, dtypes, columns, quotes, encodings.

Every mutation is a function of a :class:`random.Random` and what is valid, so that a seed is enough
to see it again.
"""

from __future__ import annotations

import bz2
import copy
import csv
import gzip
import io
import json
import lzma
import random
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**6, 2**31, 2**63, 10**400, -0.5, 0.5, 1e308, float("nan"),
    float("inf"), float("-inf"), "", " ", "0", "nan", "x" * 5000, "../../etc/passwd", "/etc/passwd",
    "~root", "\x00", "\ud800", "很好", "a\nb", "\x1b[31m", [], {}, [[]], [None], [1, 2], ["a", "a"],
    {"a": None}, {"0": "a", "1": "b"}, {"5": "a", "x": "b"}, "(a+)+$", "[", ".*" * 40,
)  # fmt: skip
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "X99", 7)


def flipped(chance: random.Random, content: bytes) -> bytes:
    """A few bytes changed, cut out, doubled or put in."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0 if found:
                found[at % len(found)] = chance.randrange(256)
            case 1:
                del found[at : at + chance.choice((1, 2, 8, 100))]
            case 2:
                found[at:at] = found[at : at + chance.choice((1, 8, 50))]
            case 3:
                found[at:at] = chance.choice((b"\x00", b'"', b"\n", b"\r", b",", b"\xff\xfe", b"{"))
            case _:
                found[at:] = b"" if chance.random() < 0.3 else found[at:]
    return bytes(found)


def changed(chance: random.Random, value: Any) -> Any:
    """A JSON value with something inside replaced, removed, added or nested."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = _once(chance, value)
    return value


def _once(chance: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        match chance.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(("", "x", key + " ", key.upper(), "auto_map"))] = copy.deepcopy(
                    value[key]
                )
            case 2 | 3:
                value[key] = copy.deepcopy(chance.choice(NASTY))
            case _:
                value[key] = _once(chance, value[key])
        return value
    if isinstance(value, list) and value:
        at = chance.randrange(len(value))
        match chance.randrange(4):
            case 0:
                del value[at]
            case 1:
                value.append(copy.deepcopy(value[at]))
            case _:
                value[at] = _once(chance, value[at])
        return value
    return copy.deepcopy(chance.choice(NASTY))


def as_json(chance: random.Random, value: Any) -> bytes:
    """A JSON document, changed as a value or as text."""
    if chance.random() < 0.03:
        depth = chance.choice((10, 500, 100_000))
        return b'{"a":' * depth + b"1" + b"}" * depth
    text = json.dumps(changed(chance, value), ensure_ascii=chance.random() < 0.5)
    content = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.2:
        content = flipped(chance, content)
    if chance.random() < 0.05:
        content = text.encode(chance.choice(("utf-16", "latin-1", "utf-8-sig")), "replace")
    return content


def as_safetensors(chance: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header lies, or whose numbers are none."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    name = chance.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    match chance.randrange(11):
        case 0:
            entry["dtype"] = chance.choice(DTYPES)
        case 1:
            entry["shape"] = chance.choice(
                ([], [0], [-1, 4], [2**40, 2**40], entry["shape"][::-1], [*entry["shape"], 1], "x")
            )
        case 2:
            low, high = entry["data_offsets"]
            entry["data_offsets"] = chance.choice(
                ([low, high + 4], [low - 4, high], [high, low], [0, len(data) * 2], [-8, 0], [low])
            )
        case 3:
            header[chance.choice((name + "x", "classifier.weight", ""))] = header.pop(name)
        case 4:
            del header[name]
        case 5:
            header[name + ".copy"] = dict(entry)
        case 6:
            odd = chance.choice((float("nan"), float("inf"), 1e38, 1e-45))
            at = 4 * chance.randrange(max(1, len(data) // 4))
            data[at : at + 4] = struct.pack("<f", odd)
        case 7:
            header["__metadata__"] = chance.choice(({}, {"format": 3}, [], "x"))
        case 8:
            del data[chance.randrange(len(data) + 1) :]
        case 9:
            data += bytes(chance.choice((1, 4, 1000)))
        case _:
            return flipped(chance, content)
    text = json.dumps(header).encode()
    size = len(text)
    if chance.random() < 0.1:
        size = chance.choice((0, 1, size - 1, size + 8, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", size) + text + bytes(data)


def as_yaml(chance: random.Random, value: dict[str, Any]) -> bytes:
    """Lines of ``key: value``, some of them more than that."""
    lines = [f"{key}: {json.dumps(one)}" for key, one in changed(chance, value).items()]
    extra = ("? [1]\n: 2", "a: &a [*a]", "x: !!python/name:os.system", "---", "\tx: 1", "- 1",
             "rank: 0x1p3", "rank: 08", "rank: 1_000", "epochs: .inf", "data: 2020-01-01", "<<: *x",
             "rank: 8", "<<: {rank: 1}", "[1]: 2", "rank: !!int 'x'", "data: 2020-13-45",
             "rank: 190:20:30", "data: !!binary x", "? {a: b}\n: 1")  # fmt: skip
    if chance.random() < 0.5:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(extra))
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    return flipped(chance, content) if chance.random() < 0.3 else content


_CELLS = ("", "good", "很好吃", "a,b", 'say "x"', "a\nb", "a\r\nb", "\x00", "=1+1", "1", "NaN",
          "'", '"', " ", "\u2028", "\ufeff", "e\u0301", "🍜", "x" * 3000, "[]", "['good']",
          "[0, 1]", '["a", "b"]', "[1 0]", "{'a': 1}", '{"choices": ["a"]}', "[[0, 5, 'PER']]",
          "1,5", "a|b", "[0.5, 0.5]", "[" * 40, '{"a": 0, "b": 1}', "good\u200b")  # fmt: skip


def _rows(chance: random.Random) -> list[list[str]]:
    header = chance.choice((["label", "text"], ["text"], ["a", "b"], ["text", "text"], ["", "text"],
                            ["label", "review", "text"]))  # fmt: skip
    rows = [[chance.choice(_CELLS) for _ in header] for _ in range(chance.randrange(12))]
    return [header, *rows]


def as_delimited(chance: random.Random, delimiter: str) -> bytes:
    """A csv or tsv, written well and then not so well."""
    stream = io.StringIO()
    quoting = chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    end = chance.choice(("\n", "\r\n", "\r"))
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end)
    empty = [""] * chance.choice((0, 0, 0, 1, 3))
    if chance.random() < 0.1:
        stream.write(f"sep={delimiter}{end}")
    for number, row in enumerate(_rows(chance)):
        if chance.random() < 0.05:
            row.append("too many")
        writer.writerow([*row, *(empty if number else [])])
    text = stream.getvalue()
    if chance.random() < 0.1:
        text = text.replace(f'{delimiter}"', f'{delimiter} "')
    if chance.random() < 0.1:
        text = text.replace('""', '\\"')
    if chance.random() < 0.1:
        text = text.replace('"', "'")
    return _encoded(chance, text)


def as_jsonl(chance: random.Random) -> bytes:
    """A JSON object a line, some of them not."""
    header, *rows = _rows(chance)
    lines = []
    for row in rows:
        found: Any = dict(zip(header, row, strict=True))
        if chance.random() < 0.2:
            found = changed(chance, found)
        lines.append(json.dumps(found, ensure_ascii=chance.random() < 0.5))
    return _encoded(chance, "\n".join(lines))


def as_json_table(chance: random.Random) -> bytes:
    """A list of objects, or an object around one."""
    header, *rows = _rows(chance)
    found: Any = [dict(zip(header, row, strict=True)) for row in rows]
    match chance.randrange(12):
        case 0 | 1 | 2:
            found = {"data": found, "other": chance.choice(NASTY)}
        case 3:
            found = {"columns": header, "index": list(range(len(rows))), "data": rows}
        case 4:
            found = {name: {str(n): row[at] for n, row in enumerate(rows)}
                     for at, name in enumerate(header)}  # fmt: skip
        case 5:
            found = {str(n): row for n, row in enumerate(found)}
        case 6:
            found = {name: [row[at] for row in rows] for at, name in enumerate(header)}
        case 7:
            found = rows
        case 8:
            found = [_task(chance, number, row) for number, row in enumerate(found)]
    if chance.random() < 0.5:
        found = changed(chance, found)
    if chance.random() < 0.03:
        return b"[" * 100_000
    return _encoded(chance, json.dumps(found, ensure_ascii=chance.random() < 0.5))


def _task(chance: random.Random, number: int, row: dict[str, str]) -> dict[str, Any]:
    """A task of Label Studio."""
    value = chance.choice(({"choices": ["a"]}, {"choices": ["a", "b"]}, {"rating": 3},
                           {"start": 0, "end": 1, "labels": ["x"]}, {}))  # fmt: skip
    made = {"result": [{"from_name": "label", "type": "choices", "value": value}]}
    return {"id": number, "data": row, "annotations": [made] * chance.randrange(3)}


def as_fasttext(chance: random.Random) -> bytes:
    """Texts behind or before their labels."""
    lines = []
    for _ in range(chance.randrange(8)):
        labels = [
            f"__label__{chance.choice(_CELLS)}" for _ in range(chance.choice((1, 1, 1, 0, 2)))
        ]
        parts = [*labels, chance.choice(_CELLS)]
        lines.append(chance.choice((" ", "\t")).join(chance.choice((parts, parts[::-1]))))
    return _encoded(chance, "\n".join(lines))


def _encoded(chance: random.Random, text: str) -> bytes:
    codec = chance.choice(
        ("utf-8",) * 6
        + ("utf-8-sig", "utf-16", "gb18030", "latin-1", "utf-16-be", "cp949", "cp932", "cp1251")
    )
    content = text.encode(codec, "replace")
    if chance.random() < 0.1:
        content += text.encode(chance.choice(("gb18030", "utf-16", "utf-8")), "replace")
    return flipped(chance, content) if chance.random() < 0.3 else content


_COLUMNS: tuple[Callable[[random.Random, int], pa.Array], ...] = (
    lambda chance, n: pa.array([chance.choice(_CELLS) for _ in range(n)]),
    lambda chance, n: pa.array([chance.choice(_CELLS) for _ in range(n)], pa.large_string()),
    lambda chance, n: pa.array([chance.choice((0, 1, None)) for _ in range(n)]),
    lambda chance, n: pa.array([chance.choice((0.5, None, float("nan"))) for _ in range(n)]),
    lambda chance, n: pa.array([chance.choice((True, False)) for _ in range(n)], pa.bool_()),
    lambda chance, n: pa.nulls(n),
    lambda chance, n: pa.array([b"\xff\x00"] * n, pa.binary()),
    lambda chance, n: pa.array([["a", "b"]] * n, pa.list_(pa.string())),
    lambda chance, n: pa.array([{"x": 1}] * n, pa.struct([("x", pa.int64())])),
    lambda chance, n: pa.array([Decimal("1.50")] * n, pa.decimal128(10, 2)),
    lambda chance, n: pa.array([datetime(2020, 1, 1)] * n, pa.timestamp("ns")),
    lambda chance, n: pa.array(["a"] * n).dictionary_encode(),
    lambda chance, n: pa.array([10**18] * n, pa.duration("s")),
    lambda chance, n: pa.array([2**50] * n, pa.timestamp("ms")),
)


def as_packed(chance: random.Random) -> tuple[str, bytes]:
    """An ending and the bytes of a packed csv, at times of several files or damaged."""
    content = as_delimited(chance, ",")
    match chance.randrange(6):
        case 0:
            ending, packed = ".gz", gzip.compress(content)
        case 1:
            ending, packed = ".zst", pa.Codec("zstd").compress(content, asbytes=True)
        case 2:
            ending, packed = ".bz2", bz2.compress(content)
        case 3:
            ending, packed = ".xz", lzma.compress(content)
        case _:
            names = chance.choice((("a.csv",), ("a.csv", "b.csv"), ("__MACOSX/._a", "d/a.csv"), ()))
            ending, packed = ".zip", _zipped(dict.fromkeys(names, content))
    if chance.random() < 0.1:
        packed = gzip.compress(packed)
    ending = chance.choice((ending, ending, ending, ".gz", ".zip", ""))
    return ending, flipped(chance, packed) if chance.random() < 0.5 else packed


def as_workbook(chance: random.Random, valid: Mapping[str, bytes]) -> bytes:
    """A workbook of these files, some of them changed, as is the archive at times."""
    files = dict(valid)
    for _ in range(chance.choice((0, 1, 1, 2))):
        name = chance.choice(list(files))
        numbers = list(re.finditer(rb"\d+", files[name]))
        if numbers and chance.random() < 0.5:
            found = chance.choice(numbers)
            other = chance.choice((b"0", b"-1", b"1048577", b"4294967296", b"1e308", b"x"))
            files[name] = files[name][: found.start()] + other + files[name][found.end() :]
        else:
            files[name] = flipped(chance, files[name])
    content = _zipped(files)
    return flipped(chance, content) if chance.random() < 0.2 else content


def _zipped(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def as_parquet(chance: random.Random) -> bytes:
    """A parquet file of columns of any type, at times with its bytes changed."""
    names = chance.choice((["text", "label"], ["text"], ["a", "b"], ["label", "text", "x"]))
    count = chance.randrange(6)
    columns = [chance.choice(_COLUMNS)(chance, count) for _ in names]
    if chance.random() < 0.5:
        columns[0] = _COLUMNS[0](chance, count)
    metadata = {b"huggingface": json.dumps(changed(chance, _FEATURES)).encode()}
    table = pa.table(columns, names=names)
    if chance.random() < 0.4:
        table = table.replace_schema_metadata(metadata)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    content = sink.getvalue()
    return flipped(chance, content) if chance.random() < 0.3 else content


_FEATURES = {"info": {"features": {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
}}}  # fmt: skip
