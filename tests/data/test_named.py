"""Named data sets are found where they are, fetched whole, or refused at once."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.request
from dataclasses import replace

import pytest

from lora_bert.data import named
from lora_bert.data.tables import read_table
from lora_bert.errors import DataError, NotFoundError, UnavailableError

BODY = b"label,review\n1,good\n0,bad\n"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """'waimai' as a file of another place, which is fetched as from the network."""
    origin = tmp_path / "origin.csv"
    origin.write_bytes(BODY)
    entry = replace(
        named.NAMED["waimai"], url=origin.as_uri(), sha256=hashlib.sha256(BODY).hexdigest()
    )
    monkeypatch.setitem(named.NAMED, "waimai", entry)
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LORA_BERT_DATA", raising=False)
    return origin


def test_it_is_fetched_once(published, tmp_path):
    path = named.find("waimai")
    assert path == tmp_path / "cache" / "data" / "waimai" / "waimai_10k.csv"
    assert path.read_bytes() == BODY
    published.unlink()
    assert named.find("waimai") == path


def test_own_copy_goes_first(published, tmp_path, monkeypatch, caplog):
    own = tmp_path / "own" / "waimai" / "waimai_10k.csv"
    own.parent.mkdir(parents=True)
    own.write_bytes(BODY)
    monkeypatch.setenv("LORA_BERT_DATA", str(tmp_path / "own"))
    assert named.find("waimai") == own
    assert caplog.messages == []
    own.write_bytes(BODY + b"1,more\n")
    assert named.find("waimai") == own
    assert "differs from the published 'waimai'" in caplog.text
    own.unlink()
    assert "cache" in str(named.find("waimai"))


def test_damaged_copy_in_the_cache_is_fetched_again(published, caplog):
    path = named.find("waimai")
    path.write_bytes(BODY[:-5])
    assert named.find("waimai").read_bytes() == BODY
    assert "fetching it again" in caplog.text


def test_another_answer_is_refused_and_not_kept(published, tmp_path):
    published.write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match="not the published 'waimai'"):
        named.find("waimai")
    assert not list((tmp_path / "cache").rglob("*.csv"))


def test_unreachable(published, tmp_path):
    published.unlink()
    with pytest.raises(UnavailableError, match="'waimai' is not here and cannot be down") as caught:
        named.find("waimai")
    assert str(tmp_path / "cache" / "data" / "waimai" / "waimai_10k.csv") in caught.value.hint


def test_a_network_that_never_answers(published, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: release.wait(30))
    monkeypatch.setattr(named, "_ANSWER_SECONDS", 0.1)
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="no answer"):
        named.find("waimai")
    release.set()
    assert time.monotonic() - started < 5


def test_unknown_name():
    with pytest.raises(NotFoundError) as caught:
        named.find("waimi")
    assert caught.value.hint == "Did you mean 'waimai'?"
    with pytest.raises(NotFoundError) as caught:
        named.find("zzz")
    assert caught.value.hint == "Known names are 'takeaway-mini', 'waimai'."


def test_the_real_one(data_dir, monkeypatch, caplog):
    monkeypatch.setenv("LORA_BERT_DATA", str(data_dir))
    table = read_table(named.find("waimai"))
    assert caplog.messages == []
    assert table.columns == ("label", "review")
    assert len(table) == 11_987
    assert table.values["label"].count("1") == 4_000
