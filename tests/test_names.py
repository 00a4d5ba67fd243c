"""Names as they are written into one option."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_bert.errors import ConfigError
from lora_bert.names import parse_label_names, parse_names, write_label_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0=negative, 1 = positive,,", {"0": "negative", "1": "positive"}),
        ("a=b=c", {"a": "b=c"}),
        ('"red,green"=both', {"red,green": "both"}),
        ('a="x, y" , "p=q"=r', {"a": "x, y", "p=q": "r"}),
        ('"say ""x"""=quote', {'say "x"': "quote"}),
        (r'"a\u200b"=a,"b\\"=b', {"a\u200b": "a", "b\\": "b"}),
        ('5"=inch', {'5"': "inch"}),
        (None, {}),
        (" , ", {}),
    ],
)
def test_label_names(text, names):
    assert parse_label_names(text) == names


@pytest.mark.parametrize("text", ["0", "0=", "=x", '"a,b"', '"a"b', 'a=1,"c,d"', '""=x'])
def test_what_is_no_pair(text):
    with pytest.raises(ConfigError, match="is not of the form OLD=NEW"):
        parse_label_names(text)


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_what_is_written_is_read(names):
    written = write_label_names(names)
    assert parse_label_names(written) == names
    assert not written or written.isprintable()


def test_columns():
    assert parse_names('a, "b,c" ,d') == ("a", "b,c", "d")
    assert parse_names("a") == ("a",)
    assert parse_names(",") == parse_names(None) == ()
