"""Excel workbooks."""

from __future__ import annotations

import gzip
import sys
import zipfile

import pytest

from lora_bert.data.sources import load_splits
from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError, UnavailableError
from tests.workbooks import DATE, write_workbook

pytest.importorskip("python_calamine")

ROWS = [["text", "label"], *([f"good & <fine> {n}", n % 2] for n in range(10))]


def test_cells_as_excel_shows_them(tmp_path):
    path = write_workbook(
        tmp_path / "a.xlsx",
        {"Rows": [["text", "label", "when", "ok", "n"],
                  ["很好", 1, (DATE, 45000), True, 0.1 + 0.2],
                  [],
                  ["01", 0, None, False, 1e20],
                  ["=1+1", 1.5, (DATE, 45000.5), None, 123456789012345]]},
    )  # fmt: skip
    table = read_table(path)
    assert table.columns == ("text", "label", "when", "ok", "n")
    assert table.values == {
        "text": ["很好", "01", "=1+1"],
        "label": ["1", "0", "1.5"],
        "when": ["2023-03-15", "", "2023-03-15 12:00:00"],
        "ok": ["TRUE", "FALSE", ""],
        "n": ["0.3", "1e+20", "123456789012345"],
    }
    assert (table.lines, table.unit) == ([2, 4, 5], "row")


def test_training_rows(tmp_path):
    splits = load_splits(str(write_workbook(tmp_path / "reviews.xlsx", {"Tabelle1": ROWS})))
    assert [len(splits.train), len(splits.validation)] == [9, 1]
    assert set(splits.train.labels) == {"0", "1"}


def test_the_first_sheet_with_rows_is_used_and_said(tmp_path, caplog):
    caplog.set_level("INFO")
    sheets = {"Notes": [], "Rows": ROWS, "Old & new": [["x"]]}
    assert len(read_table(write_workbook(tmp_path / "a.xlsx", sheets))) == 10
    assert "using the sheet 'Rows'; there are rows in 'Old & new' too." in caplog.text
    with pytest.raises(DataError, match="holds no rows"):
        read_table(write_workbook(tmp_path / "b.xlsx", {"Notes": [[], [None]]}))
    with pytest.raises(DataError, match="holds a header and no rows"):
        read_table(write_workbook(tmp_path / "c.xlsx", {"Rows": ROWS[:1]}))


def test_a_table_that_starts_further_in(tmp_path):
    rows = [[], [], [None, None, "text", "label"], [None, None, "a", "x"]]
    table = read_table(write_workbook(tmp_path / "a.xlsx", {"Rows": rows}))
    assert (table.columns, table.lines) == (("text", "label"), [4])


def test_headers_as_in_csv(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"Rows": [[1, "Good, really."], [0, "Bad."]]})
    with pytest.raises(DataError, match="seems to have no header"):
        read_table(path)
    found = read_table(path, ReadOptions(header=False, columns=("label", "text")))
    assert found.values == {"label": ["1", "0"], "text": ["Good, really.", "Bad."]}


def test_packed_workbooks(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"Rows": ROWS})
    (tmp_path / "a.xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "deep/a.xlsx")
    assert len(read_table(tmp_path / "a.xlsx.gz")) == len(read_table(tmp_path / "a.zip")) == 10


def test_damaged_and_other_files(tmp_path):
    whole = write_workbook(tmp_path / "a.xlsx", {"Rows": ROWS}).read_bytes()
    for content in (b"no table", whole[:-40], whole[:300] + b"\0" * 60 + whole[360:],
                    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600):  # fmt: skip
        for name in ("b.xlsx", "b.xls"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match=r"is not a readable workbook|is of no known kind"):
                read_table(tmp_path / name)


def test_a_name_within_that_is_no_utf8(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"Rows": ROWS})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/éé.xml", "")
    path.write_bytes(path.read_bytes().replace("éé".encode(), b"\x80\x80\x80\x80"))
    with pytest.raises(DataError, match="is not a readable workbook"):
        read_table(path)


def test_what_would_fill_the_memory(tmp_path, monkeypatch):
    far = [["text"], *([] for _ in range(9_999)), [None] * 9_999 + ["x"]]
    with pytest.raises(DataError, match="a cell in row 10,001 and one in column 10,000: too large"):
        read_table(write_workbook(tmp_path / "far.xlsx", {"Rows": far}))
    path = write_workbook(tmp_path / "row.xlsx", {"Rows": ROWS})
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    contents[sheet] = contents[sheet].replace(b'<row r="2">', b'<row r="99999999">')
    contents[sheet] = contents[sheet].replace(b'<c r="A2"', b"<c").replace(b'<c r="B2"', b"<c")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="a cell in row 99,999,999"):
        read_table(path)
    monkeypatch.setattr("lora_bert.data.formats.xlsx_file._LARGEST", 1000)
    with pytest.raises(DataError, match="holds more than"):
        read_table(write_workbook(tmp_path / "large.xlsx", {"Rows": ROWS}))


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UnavailableError, match="needs python-calamine") as caught:
        read_table(write_workbook(tmp_path / "a.xlsx", {"Rows": ROWS}))
    assert "pip install 'lora-bert[xlsx]'" in caught.value.hint
