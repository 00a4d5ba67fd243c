"""Labels on a terminal: escaped, measured, cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.evaluation.display import cells, column, fit
from lora_bert.wording import printable


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("好评", 4), ("ｆｕｌｌ", 8), ("ﾊﾝｶｸ", 4), ("e\u0301", 1), ("😊", 2)],
)
def test_cells(text, width):
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202egnol", r"\u202egnol"),
        ("\ud800", r"\ud800"),
        ("差 评", "差 评"),
    ],
)
def test_what_would_move_the_cursor_is_escaped(text, shown):
    assert printable(text) == shown


def test_the_middle_goes_so_that_long_names_stay_apart():
    assert fit("balance_not_updated_after_bank_transfer", 16) == "balance_no…nsfer"
    assert fit("balance_not_updated_after_cheque_deposit", 16) == "balance_no…posit"
    assert fit("口味不好送餐太慢", 9) == "口味不…慢"
    assert fit("short", 5) == "short"


@given(st.text(), st.integers(0, 40))
def test_fitted_is_printable_and_no_wider(text, width):
    fitted = fit(text, width)
    assert fitted.isprintable()
    assert cells(fitted) <= width


@given(st.text(), st.integers(0, 40), st.booleans())
def test_a_column_is_exactly_as_wide_as_asked(text, width, right):
    assert cells(column(text, width, right=right)) == width
