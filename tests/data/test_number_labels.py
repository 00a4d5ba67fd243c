"""Labels that are numbers: what stands before their decimals, amounts or classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.data.data_options import DataOptions
from lora_bert.data.examples import Examples
from lora_bert.data.number_labels import amounts_in, decimal_mark, number, numbers_of
from lora_bert.data.tables import Table, read_table
from lora_bert.errors import DataError


def rows(*labels: str) -> Examples:
    return Examples(("t",) * len(labels), labels, range(1, len(labels) + 1), "a.csv")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["3.5", "4"], [3.5, 4]),
        (["3,5", "4"], [3.5, 4]),
        (["1.234,5", "2"], [1234.5, 2]),
        (["1,234.5", "2"], [1234.5, 2]),
        (["1,234,567", "1,234"], [1234567, 1234]),
        (["1.234.567", "1,5"], [1234567, 1.5]),
        (["1,234", "1,5"], [1.234, 1.5]),
        (["1.234"], [1.234]),
        (["-1", "+2", "−3", ".5", "1e3"], [-1, 2, -3, 0.5, 1000]),
    ],
)
def test_what_numbers_are_meant(cells, values):
    assert numbers_of(cells, None, rows(*cells))[0] == values


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1", "good"], r"'a\.csv', line 2: the label 'good' is no number"),
        (["1", "nan"], "line 2: the label 'nan' is no number"),
        (["1,234", "2"], r"line 1: the label '1,234' may be 1234 or 1\.234|may be 1\.234 or 1234"),
        (["3.5", "3,5"], "line 2: the label '3,5' has a ',' before its decimals, and rows before"),
    ],
)
def test_what_is_not_clearly_a_number(cells, says):
    with pytest.raises(DataError, match=says):
        numbers_of(cells, None, rows(*cells))


def test_the_training_says_what_a_few_rows_leave_open():
    assert numbers_of(["1,234"], ",", rows("1,234"))[0] == [1.234]
    assert numbers_of(["1,234"], ".", rows("1,234"))[0] == [1234]
    assert numbers_of(["1.5"], ",", rows("1.5"))[0] == [1.5]


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 2)), min_size=1))
def test_numbers_come_back_however_they_are_written(values):
    for mark, change in ((".", "{:.2f}"), (".", "{:,.2f}")):
        cells = [change.format(value) for value in values]
        assert [number(cell, mark) for cell in cells] == values
    european = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in values]
    assert decimal_mark(european) == ","
    assert [number(cell, ",") for cell in european] == values


def table(labels: list[str]) -> Table:
    texts = [f"text {at}" for at in range(len(labels))]
    return Table(("text", "label"), {"text": texts, "label": labels},
                 range(1, len(labels) + 1), "a.csv")  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "amounts"),
    [
        ([f"{at / 10}" for at in range(30)], True),
        ([f"{at / 10}".replace(".", ",") for at in range(30)], True),
        (["0", "1"] * 20, False),
        (["1", "2", "3", "4", "5"] * 20, False),
        (["0.5", "1.0"] * 20, False),
        ([str(at % 77) for at in range(77 * 6)], False),
        (["a", "b"] * 20, False),
        (["1.5"] * 20, False),
        (["New York, NY", "1.5"], False),
    ],
)
def test_amounts_are_told_from_classes(labels, amounts):
    assert bool(amounts_in(table(labels), DataOptions())) is amounts


@pytest.mark.parametrize("labels", [[str(at) for at in range(400)] * 9,
                                    [str(3 * at) for at in range(40)]])  # fmt: skip
def test_many_whole_numbers_may_be_either(labels):
    with pytest.raises(
        DataError, match=r"different whole numbers, .* amounts, or numbers of cl"
    ) as e:
        amounts_in(table(labels), DataOptions())
    assert "--task regression" in e.value.hint
    assert "--task single-label" in e.value.hint


def test_ids_that_are_renamed_are_classes():
    assert not amounts_in(table(["0", "300"] * 30), DataOptions(label_names={"0": "no"}))


@pytest.mark.parametrize("odd", ["n/a", "?", "nan"])
def test_a_label_that_is_no_number_among_many_is_told(odd, tmp_path, caplog):
    lines = [f"a text,{at / 7:.2f}" for at in range(40)] + [f"another,{odd}"]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "\n".join(lines), encoding="utf-8")
    assert amounts_in(read_table(path), DataOptions()) == ""
    assert f"line 42: the label '{odd}' is no number, and nearly all others are" in caplog.text
    assert "taken as 41 classes" in caplog.text


def test_many_numbers_whose_commas_may_mean_either_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(f'"a text","{at},148"\n' for at in range(1, 40)), encoding="utf-8")
    path.write_text("text,label\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: the label '1,148' may be 1148 or 1\.148"):
        amounts_in(read_table(path), DataOptions())
