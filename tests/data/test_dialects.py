"""How people's csv files are written: read as they are meant, or refused with what to do."""

from __future__ import annotations

import csv
import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError
from tests.data.test_round_trips import back, quick

ROWS = [("negative", "never again, awful"), ("positive", "good value"), ("positive", "hot, fast")]


def table_of(tmp_path, text, name="a.csv", options=ReadOptions()):  # noqa: B008
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, options)


def rows_of(table):
    return list(zip(*table.values.values(), strict=True))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'category, transcript\nnegative, "never again, awful"\npositive, "good value"\n'
            'positive, "hot, fast"\n',
            "spaces behind its separators are left out",
        ),
        (
            'category, transcript\n"negative",  "never again, awful"\npositive, good value\n'
            'positive,   "hot, fast"\n',
            "spaces behind its separators are left out",
        ),
        (
            "sep=;\ncategory;transcript\nnegative;never again, awful\npositive;good value\n"
            "positive;hot, fast\n",
            "its first line names the separator, ';'",
        ),
        (
            '"sep=,"\r\ncategory,transcript\r\nnegative,"never again, awful"\r\n'
            'positive,good value\r\npositive,"hot, fast"\r\n',
            "its first line names the separator, ','",
        ),
        (
            'sep=\t\ncategory\ttranscript\nnegative\t"never again, awful"\npositive\tgood value\n'
            "positive\thot, fast\n",
            "its first line names the separator, '\t'",
        ),
        (
            "category|transcript\nnegative|never again, awful\npositive|good value\n"
            "positive|hot, fast\n",
            "vertical bars",
        ),
        (
            "category^transcript\nnegative^never again, awful\npositive^good value\n"
            "positive^hot, fast\n",
            "carets",
        ),
        (
            "category~transcript\nnegative~never again, awful\npositive~good value\n"
            "positive~hot, fast\n",
            "tildes",
        ),
        (
            "category;transcript\nnegative;never again, awful\npositive;good value\n"
            'positive;"hot, fast"\n',
            "semicolons",
        ),
        (
            "'category','transcript'\n'negative','never again, awful'\n'positive','good value'\n"
            "'positive','hot, fast'\n",
            "its cells stand in single quotes",
        ),
        (
            '"category","transcript"\n"negative","never again, awful",\n"positive","good value",\n'
            '"positive","hot, fast",\n',
            "rows end with 1 empty cell more than the header",
        ),
        (
            'category,transcript\n"negative","never again, awful",,,\npositive,good value,,,\n'
            'positive,"hot, fast",,,\n',
            "rows end with 3 empty cells more than the header",
        ),
        (
            'category,transcript,,\nnegative,"never again, awful"\npositive,good value\n'
            'positive,"hot, fast"\n',
            "header ends with empty names",
        ),
    ],
)
def test_what_is_certain_is_read_and_said_once(tmp_path, caplog, text, says, name):
    caplog.set_level(logging.INFO)
    table = table_of(tmp_path, text, name)
    assert table.columns == ("category", "transcript")
    assert rows_of(table) == ROWS
    assert caplog.text.count(says) == 1
    assert table.lines[0] == (3 if "sep=" in text else 2)


def test_quotes_escaped_with_backslashes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    cells = [('she said "go, now"', "x"), ("a\\b", "y"), ("two\nlines", "x"), ('end"', "y")]
    stream = io.StringIO()
    csv.writer(stream, escapechar="\\", doublequote=False).writerows([("text", "label"), *cells])
    assert '\\"go' in stream.getvalue()
    table = table_of(tmp_path, stream.getvalue())
    assert rows_of(table) == cells
    assert "its quotes are escaped with backslashes" in caplog.text


def test_one_escaped_quote_far_behind_the_beginning(tmp_path):
    lines = ["text,label", *(f'"row {i}",x' for i in range(3000)), '"say \\"hi\\"",y']
    assert table_of(tmp_path, "\n".join(lines)).values["text"][-1] == 'say "hi"'


def test_backslashes_of_other_uses_stay(tmp_path):
    text = 'text,label\n"C:\\new, ""x""",a\n\\o/,b\n'
    assert table_of(tmp_path, text).values["text"] == ['C:\\new, "x"', "\\o/"]
    with pytest.raises(DataError, match="closed in the middle of a cell") as caught:
        table_of(tmp_path, 'text,label\n"say \\"hi\\" \\n",a\n')
    assert "backslash" in caught.value.hint


def test_quotes_behind_a_space_that_are_no_quoting_stay(tmp_path, caplog):
    text = 'label,text\na, "Hi" he said\nb,fine\n'
    assert table_of(tmp_path, text).values["text"] == [' "Hi" he said', "fine"]
    assert "line 2: a quote behind a space is part of the cell" in caplog.text


def test_a_quote_behind_a_space_far_behind_the_beginning_is_warned_of(tmp_path, caplog):
    lines = ["label,text", *(f"x,row {i}" for i in range(3000)), 'y, "late"', 'y, "later"']
    assert table_of(tmp_path, "\n".join(lines)).values["text"][-2] == ' "late"'
    assert caplog.text.count("line 3,002: a quote behind a space") == 1


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (
            "label,text\na,one, two\nb,fine\n",
            "line 2: 3 cells where there are 2 columns, too many",
            "A cell that contains the separator (commas) must stand in double quotes",
        ),
        (
            "text,label\none,a,3\ntwo,b,4\n",
            "line 2: 3 cells where there are 2 columns, too many",
            "If the header lacks a name, name all columns with --columns",
        ),
        (
            "text,label\none,a,\ntwo, three,b\n",
            "line 2: 3 cells where there are 2 columns, too many",
            "All rows have 3 cells",
        ),
        (
            "text\none, two\nthree\n",
            "line 2: 2 cells where there is 1 column, too many",
            "call the file .txt: then every line is one text",
        ),
        (
            "label;text\na;one\nb;two\na;x\nb;y\na;z\nb;four; five\n",
            "line 7: 3 cells where there are 2 columns, too many",
            "A cell that contains the separator (semicolons)",
        ),
    ],
)
def test_what_is_not_certain_is_refused_with_a_hint_that_fits(tmp_path, text, says, hint):
    with pytest.raises(DataError) as caught:
        table_of(tmp_path, text)
    assert says.replace("there is", "there are") in str(caught.value)
    assert hint in caught.value.hint


def test_columns_name_what_the_header_lacks(tmp_path):
    options = ReadOptions(columns=("id", "text", "label"))
    table = table_of(tmp_path, "text,label\n1,one,a\n2,two,b\n", options=options)
    assert table.values == {"id": ["1", "2"], "text": ["one", "two"], "label": ["a", "b"]}


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_one_column(tmp_path, name):
    assert table_of(tmp_path, "text\none\ntwo; three\n", name).values["text"] == [
        "one",
        "two; three",
    ]


def test_texts_with_commas_line_by_line(tmp_path):
    lines = ["text", "one, two", "three, four", "five, six"]
    assert table_of(tmp_path, "\n".join(lines), "a.txt").values["text"] == lines[1:]


def test_pipes_without_a_header(tmp_path):
    options = ReadOptions(header=False, columns=("label", "text"))
    for name in ("a.csv", "a.txt"):
        table = table_of(tmp_path, "a|one, two\nb|three\n", name, options)
        assert rows_of(table) == [("a", "one, two"), ("b", "three")]


def test_quoted_cells_with_the_separator_and_line_breaks_at_the_edge_of_what_is_looked_at(tmp_path):
    cells = [("x", f'"row {i};\nand, on"') for i in range(900)]
    text = "\n".join(["label;text", *(f"{a};{b}" for a, b in cells)])
    assert len(table_of(tmp_path, text)) == 900


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("label,text,,,", ("label", "text", "column_3", "column_4", "column_5")),
        (",text,label,Unnamed: 0,x", ("column_1", "text", "label", "Unnamed: 0", "x")),
        ("column_2,,text,label,", ("column_2", "column_2_", "text", "label", "column_5")),
    ],
)
def test_columns_without_a_name_never_collide(tmp_path, caplog, first, names):
    caplog.set_level(logging.INFO)
    table = table_of(tmp_path, f"{first}\na,b,c,d,e\nf,g,h,i,j\n")
    assert table.columns == names
    assert [table.values[name][1] for name in names] == list("fghij")
    assert "without a name" in caplog.text


def test_names_that_are_there_twice_stay_an_error(tmp_path):
    with pytest.raises(DataError, match="more than one column of the same name: 'text'"):
        table_of(tmp_path, "text,,text,\na,b,c,d\n")


def test_columns_without_a_name_in_other_formats(tmp_path):
    assert table_of(tmp_path, '{"": "a", "label": "b"}\n', "a.jsonl").columns == (
        "column_1",
        "label",
    )


texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=20
).filter(lambda text: text == text.strip("\ufeff") and text == text.strip())
tables = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


@quick
@given(
    tables,
    st.sampled_from(",;\t|^~"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.booleans(),
    st.sampled_from(["", ",", ",,"]),
)
def test_whatever_csv_writer_writes_comes_back(cells, mark, quoting, spaced, trailing):
    """A space before a quoted cell needs all of them quoted; a trailing separator all rows."""
    quoting = csv.QUOTE_ALL if spaced else quoting

    def write(path):
        with path.open("w", newline="", encoding="utf-8") as stream:
            for number, row in enumerate([("text", "label"), *cells]):
                line = io.StringIO()
                csv.writer(line, delimiter=mark, quoting=quoting, lineterminator="\r\n").writerow(
                    row
                )
                written = line.getvalue().removesuffix("\r\n")
                if spaced:
                    first, second = (f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row)
                    written = f"{first}{mark} {second}"
                stream.write(written + (trailing.replace(",", mark) if number else "") + "\r\n")

    table = back(".csv", write)
    assert list(zip(*table.values.values(), strict=True)) == cells


@pytest.mark.parametrize("bad", ['"too";many;no', "short"])
def test_one_bad_row_among_quoted_separators_is_named_and_not_the_separator(tmp_path, bad):
    rows = [f'"good; thing {n}";yes' if n % 2 else f"thing {n};no" for n in range(40)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text;label", *rows, bad]) + "\n")
    with pytest.raises(DataError, match=r"line 42: [13] cells? where there are 2 columns"):
        read_table(path)


@pytest.mark.parametrize("mark", [",", "\t"])
@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (["text|label", '"He said ""hi"""|pos|', '"two"|neg|'], ['He said "hi"', "two"]),
        (["text|label", '"say \\"hi\\""|pos', "plain|neg"], ['say "hi"', "plain"]),
        (["'text'|'label'", "'a b'|'pos'", "'c'|'neg'"], ["a b", "c"]),
        (["text|label", '"foo"| "pos"', '"bar"| "neg"'], ["foo", "bar"]),
    ],
)
def test_quotes_are_read_alike_whatever_separates_the_cells(tmp_path, mark, lines, texts):
    path = tmp_path / ("a.csv" if mark == "," else "a.tsv")
    path.write_text("\n".join(lines).replace("|", mark) + "\n")
    found = read_table(path).values
    assert (found["text"], found["label"]) == (texts, ["pos", "neg"])


def benchmark(*, remarks: bool = False, late: bool = False) -> str:
    """Rows as the files of the STS benchmark have them: tabs, raw quotes, no header."""
    lines = []
    for at in range(1200 if late else 60):
        first, second = f"A plane flies over sea number {at}.", f"He sees the plane fly by, {at}."
        raw = at > 1100 or not late
        second = second.replace("," * (at % 3 > 0), "").replace(
            "He", '"He' if raw and at % 7 else "He"
        )
        more = ["a.com", "b.com"] if remarks and raw and at % 3 == 0 else []
        row = ["main-news", "headlines", "2013", f"{at:04}", f"{at % 26 / 5:.3f}", first, second]
        lines.append("\t".join([*row, *more]))
    return "\n".join(lines) + "\n"


SIMILAR = "column_1,column_2,column_3,column_4,label,text_a,text_b"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("remarks", [False, True])
@pytest.mark.parametrize("name", ["sts-train.csv", "sts-train.tsv"])
def test_tabs_with_raw_quotes_and_remarks_at_the_end_of_rows(name, remarks, late, tmp_path, caplog):
    text = benchmark(remarks=remarks, late=late)
    with pytest.raises(DataError) as found:
        table_of(tmp_path, text, name)
    assert f"--no-header --columns {SIMILAR} (the names are guessed" in found.value.hint
    options = ReadOptions(header=False, columns=tuple(SIMILAR.split(",")))
    table = table_of(tmp_path, text, name, options)
    wanted = [tuple(line.split("\t")[:7]) for line in text.splitlines()]
    assert rows_of(table) == wanted
    said = "rows of 9 cells are read without the last 2, which other rows do not have"
    assert (said in caplog.text) == remarks


@pytest.mark.parametrize("more", ["\tone", "\tone\ttwo"])
def test_a_single_row_of_more_cells_is_an_error(more, tmp_path):
    options = ReadOptions(header=False, columns=tuple(SIMILAR.split(",")))
    with pytest.raises(DataError, match=r"line 60: \d cells where there are 7 columns, too many"):
        table_of(tmp_path, benchmark().rstrip("\n") + more, "a.tsv", options)
