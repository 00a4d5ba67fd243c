"""A file without a header is noticed; one with a header is not accused."""

from __future__ import annotations

import pytest

from lora_bert.data.tables import ReadOptions, read_table
from lora_bert.errors import DataError


def table_of(tmp_path, text, options=ReadOptions(), name="a.csv"):  # noqa: B008
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_table(path, options)


@pytest.mark.parametrize(
    "text",
    [
        "good,pos\nbad,neg\nfine,pos\n",  # 'pos' comes again
        "good,1\nbad,0\n",
        "good,-1.5\nbad,2\n",
        "很好，下次还来,好评\n不行,差评\n",
        "what is this?,a\nno,b\n",
        "word " * 20 + ",a\nno,b\n",
        "what is it?,question\nsay it!,order\nwho is it?,question\n",  # a label called 'question'
    ],
)
def test_missing_header(tmp_path, text):
    with pytest.raises(DataError, match="seems to have no header: its first line is '") as caught:
        table_of(tmp_path, text)
    assert "--no-header --columns text,label (" in caught.value.hint
    assert len(str(caught.value)) < 300
    assert len(table_of(tmp_path, text, ReadOptions(header=False))) == text.count("\n")
    assert len(table_of(tmp_path, text, ReadOptions(header=True))) == text.count("\n") - 1


def test_names_alone_do_not_make_the_first_row_a_header(tmp_path):
    with pytest.raises(DataError, match="no header"):
        table_of(tmp_path, "good,1\nbad,0\n", ReadOptions(columns=("text", "label")))


@pytest.mark.parametrize(
    "text",
    [
        "text,label\ngood,pos\n",
        "Review,2019\ngood,1\n",  # one known name is enough
        "satz,klasse\ngut,1\n",
        "spam,text\n1,spam\n0,ham\nspam,x\n",
        ",text,label\n0,good,pos\n1,bad,neg\n",  # what pandas writes with its index
        "text,label\ntext,label\na,b\n",  # two files glued together
    ],
)
def test_header(tmp_path, text):
    assert len(table_of(tmp_path, text)) == text.count("\n") - 1


def test_names_are_stripped(tmp_path):
    assert table_of(tmp_path, " text , label\na,b\n").columns == ("text", "label")


def test_goemotions_has_none(data_dir):
    path = data_dir / "goemotions" / "train.tsv"
    with pytest.raises(DataError, match="no header"):
        read_table(path)
    options = ReadOptions(header=False, columns=("text", "label", "id"))
    table = read_table(path, options)
    assert len(table) == 43_410
    assert table.values["label"][0] == "27"


def headerless(*kinds):
    """60 rows of cells of these kinds, as a csv file."""
    words = "go until jurong point crazy available only in bugis great world".split()
    cells = {
        "label": lambda n: "ham" if n % 3 else "spam",
        "number": lambda n: str(n % 2),
        "id": lambda n: f"{7000 + n}",
        "text": lambda n: (
            " ".join(words[(n * k) % 11] for k in range(3, 9)).capitalize() + f" {n}..."
        ),
        "split": lambda n: "train" if n % 5 else "test",
    }
    return "".join(",".join(cells[kind](n) for kind in kinds) + "\n" for n in range(60))


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (("label", "text"), "label,text"),
        (("text", "label"), "text,label"),
        (("number", "text"), "label,text"),
        (("id", "text", "label"), "column_1,text,label"),
        (("number", "id", "text"), "label,column_2,text"),
        (("text",), "text"),
    ],
)
def test_the_hint_names_the_columns_in_the_order_of_the_file(tmp_path, kinds, names):
    with pytest.raises(DataError, match="no header") as caught:
        table_of(tmp_path, headerless(*kinds))
    said = f"--no-header --columns {names}" + (" (the names are guessed" if "," in names else ".")
    assert said in caught.value.hint


@pytest.mark.parametrize(
    "text", [headerless("label", "text", "split"), "good,1\nbad,0\n", "a,x\nb,y\na,x\nb,x\n"]
)
def test_the_hint_says_where_it_is_a_mere_guess(tmp_path, text):
    with pytest.raises(DataError, match="no header") as caught:
        table_of(tmp_path, text)
    assert "is a mere guess" in caught.value.hint


def test_a_text_that_is_called_like_a_column_by_chance(tmp_path):
    with pytest.raises(DataError, match=r"no header: its first line is 'message \| spam'"):
        table_of(tmp_path, "message,spam\n" + headerless("text", "label"))
