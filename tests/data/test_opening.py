"""Packed files: read as what they hold, within limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from lora_bert.data.sources import load_splits
from lora_bert.data.tables import iter_tables, read_table
from lora_bert.errors import ConfigError, DataError

CSV = "text,label\n" + "".join(f"很好 {n},{'xy'[n % 2]}\n" for n in range(50))


def zipped(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
    return path


def zstd(content):
    return pa.Codec("zstd").compress(content, asbytes=True)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.csv.gz", gzip.compress), ("a.csv.zst", zstd), ("a.csv.bz2", bz2.compress),
     ("a.csv.xz", lzma.compress), ("A.CSV.GZ", gzip.compress)],
)  # fmt: skip
def test_packed_csv(tmp_path, name, pack):
    plain, packed = tmp_path / "plain.csv", tmp_path / name
    plain.write_text(CSV, encoding="utf-8")
    packed.write_bytes(pack(CSV.encode()))
    found = read_table(packed)
    assert found.values == read_table(plain).values
    assert found.lines == list(range(2, 52))


@pytest.mark.parametrize("codec", ["utf-8-sig", "gb18030", "utf-16"])
def test_encodings_within(tmp_path, codec):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode(codec)))
    assert read_table(tmp_path / "a.csv.gz").values["text"][0] == "很好 0"


def test_other_formats_within(tmp_path):
    lines = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    (tmp_path / "a.jsonl.zst").write_bytes(zstd(lines.encode()))
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b'text\tlabel\n"a\tx\nb\ty\n'))
    parquet.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    (tmp_path / "p.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert read_table(tmp_path / "a.jsonl.zst").values["label"] == ["x", "y"]
    assert read_table(tmp_path / "a.tsv.gz").values["text"] == ['"a', "b"]
    assert read_table(tmp_path / "p.parquet.gz").values["text"] == ["a", "b"]


def test_two_gzip_members_and_two_zstd_frames_are_one_file(tmp_path):
    half = len(CSV) // 2
    for name, pack in (("a.csv.gz", gzip.compress), ("a.csv.zst", zstd)):
        (tmp_path / name).write_bytes(pack(CSV[:half].encode()) + pack(CSV[half:].encode()))
        assert len(read_table(tmp_path / name)) == 50


def test_a_zip_archive_is_read_by_what_it_holds(tmp_path):
    noise = {"__MACOSX/._reviews.csv": b"\0", ".DS_Store": b"\0", "deep/": b""}
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        for name, content in noise.items():
            archive.writestr(name, content)
        archive.writestr("deep/reviews.csv", CSV)
    assert len(read_table(tmp_path / "download.zip")) == 50
    splits = load_splits(str(tmp_path / "download.zip"))
    assert (len(splits.train), splits.name) == (40, "download.zip")


def test_a_file_without_a_name_in_an_archive_is_none(tmp_path):
    path = zipped(tmp_path / "a.zip", qqqq=CSV)
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"\0qqq"))
    with pytest.raises(DataError, match="holds no file"):
        read_table(path)


def test_archives_of_several_files(tmp_path):
    several = zipped(tmp_path / "a.zip", train_csv=CSV, test_csv=CSV)
    with pytest.raises(DataError, match=r"holds several files: 'train.csv', 'test.csv'"):
        read_table(several)
    with pytest.raises(DataError, match="holds no file"):
        read_table(zipped(tmp_path / "empty.zip"))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("train.csv"), io.BytesIO())
    with pytest.raises(DataError, match="is an archive of several files"):
        read_table(tmp_path / "a.tar.gz")
    (tmp_path / "a.tar.gz").rename(tmp_path / "a.csv.gz")
    with pytest.raises(DataError, match="is an archive of several files"):
        read_table(tmp_path / "a.csv.gz")


def test_packed_twice(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(gzip.compress(CSV.encode())))
    with pytest.raises(DataError, match="packed twice"):
        read_table(tmp_path / "a.csv.gz")
    with pytest.raises(DataError, match="packed twice"):
        read_table(zipped(tmp_path / "a.zip", **{"a.csv.gz": gzip.compress(CSV.encode())}))


def test_an_encrypted_archive(tmp_path):
    path = zipped(tmp_path / "a.zip", a_csv=CSV)
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        read_table(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bz2.compress, lzma.compress])
def test_cut_short_or_damaged(tmp_path, pack):
    rows = "".join(f"{n * 7919 % 100003},{n}\n" for n in range(20_000))
    whole = pack(f"text,label\n{rows}".encode())
    ending = {gzip.compress: "gz", zstd: "zst", bz2.compress: "bz2"}.get(pack, "xz")
    path = tmp_path / f"a.csv.{ending}"
    broken = [whole[: len(whole) // 2], whole[:-1]]
    if pack in (zstd, gzip.compress):
        broken.append(whole + b"more")
    if pack is not zstd:  # a frame without a checksum does not tell
        broken.append(whole[:5000] + b"\xff" * 40 + whole[5040:])
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be unpacked"):
            read_table(path)


def test_a_damaged_zip(tmp_path):
    path = zipped(tmp_path / "a.zip", a_csv=CSV)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_table(path)


def test_a_bomb(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(b"text,label\n")
        for _ in range(120):
            stream.write(b"a,x\n" * 250_000)
    with pytest.raises(DataError, match="when it is unpacked") as caught:
        read_table(path)
    assert "LORA_BERT_UNPACK_LIMIT" in caught.value.hint
    path.write_bytes(gzip.compress(CSV.encode()))
    monkeypatch.setenv("LORA_BERT_UNPACK_LIMIT", "0.0000001")
    with pytest.raises(DataError, match="when it is unpacked"):
        read_table(path)
    monkeypatch.setenv("LORA_BERT_UNPACK_LIMIT", "much")
    with pytest.raises(ConfigError, match="'much' is not a number of gigabytes"):
        read_table(path)


def test_the_content_decides_whether_a_file_is_packed(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "a.csv").write_bytes(gzip.compress(CSV.encode()))
    assert len(read_table(tmp_path / "a.csv")) == 50
    assert "is packed with gzip, whatever its name says" in caplog.text
    (tmp_path / "b.csv.gz").write_text(CSV, encoding="utf-8")
    assert len(read_table(tmp_path / "b.csv.gz")) == 50
    assert "is not packed, whatever its name says" in caplog.text


def test_memory_does_not_grow_with_the_file(tmp_path):
    import tracemalloc

    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.write("text,label\n")
        for n in range(300_000):
            stream.write(f"some words about the number {n},{n % 3}\n")
    next(iter_tables(path, rows=10))  # imports are not counted
    tracemalloc.start()
    rows = sum(len(piece) for piece in iter_tables(path, rows=50))
    assert rows == 300_000
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()
