"""Entries are whole or not there; the least recently used ones make room."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lora_bert.cache.entries import find_entry, new_entry, total_limit
from lora_bert.cache.housekeeping import clear, entries
from lora_bert.errors import ConfigError, NotFoundError, OutputError

KEYS = ["aaaa1", "aaaa2", "bbbb1"]
E5, X, Y = "e5-small-zh-en-0123456789ab", ".x.0123456789abcdef", ".y.fedcba9876543210"


def write(key, size=1000, kind="trunk", *, days_ago=0.0):
    with new_entry(kind, key, size, {"what": f"entry {key}"}) as work:
        (work / "data").write_bytes(bytes(size))
    path = find_entry(kind, key)
    assert path is not None
    age(path, days_ago)
    return path


def age(path: Path, days: float):
    for place in (path, *path.rglob("*")):
        os.utime(place, (time.time() - days * 86400,) * 2)


def names(found):
    return [entry.key for entry in found]


def test_a_failure_leaves_nothing(cache):
    with pytest.raises(ValueError, match="oh"), new_entry("trunk", "a", 1, {}) as work:
        (work / "data").touch()
        raise ValueError("oh")
    assert find_entry("trunk", "a") is None
    assert list((cache / "trunk").iterdir()) == []


def test_finding_an_entry_counts_as_using_it():
    path = write("a", days_ago=9)
    assert time.time() - entries()[0].used > 8 * 86400
    assert find_entry("trunk", "a") == path
    assert time.time() - entries()[0].used < 60


def test_a_cache_that_cannot_be_written_can_be_read(cache, monkeypatch):
    path = write("a")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    assert find_entry("trunk", "a") == path


def test_what_nobody_may_look_at_is_no_obstacle(cache, monkeypatch):
    """A cache that several users share: another one's entry under way is shut."""
    write("a")
    shut = cache / "trunk" / ".b.12345"
    shut.mkdir()
    stat = Path.stat

    def refused(path, **more):
        if path.parent == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(Path, "stat", refused)
    write("c")
    assert shut.exists()
    assert find_entry("trunk", "a")


def test_the_least_recently_used_make_room(monkeypatch):
    size = 1_000_000
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0.0041")
    for at, kind in enumerate(("trunk", "tokens", "trunk", "tokens")):
        write(f"{at}", size, kind, days_ago=10 - at)
    assert find_entry("trunk", "0")  # used just now
    write("new", 2 * size)
    assert sorted(names(entries())) == ["0", "3", "new"]


def test_other_kinds_make_no_room(monkeypatch, cache):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0.000001")
    (cache / "backbones" / E5).mkdir(parents=True)
    (cache / "backbones" / E5 / "weights").write_bytes(bytes(5000))
    write("a", 10)
    write("b", 900)
    assert names(entries()) == [E5, "b"]


@pytest.mark.parametrize(("written", "limit"), [("", 20e9), ("0", 0), ("0.5", 5e8), (" 7 ", 7e9)])
def test_the_limit(written, limit, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", written)
    assert total_limit() == limit


@pytest.mark.parametrize("written", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none(written, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", written)
    with pytest.raises(ConfigError, match=r"\$LORA_BERT_CACHE_LIMIT: '") as caught:
        total_limit()
    assert "50" in caught.value.hint


def test_an_empty_cache():
    assert entries() == clear() == []


def test_the_listing_knows_everything_that_lies_there(cache):
    write("a", 1000)
    write("b", 10, "tokens")
    for place, size in ((f"backbones/{E5}", 30), ("data/waimai", 40), (f"trunk/{X}", 50)):
        (cache / place).mkdir(parents=True)
        (cache / place / "file").write_bytes(bytes(size))
    (cache / "backbones" / "known.json").write_text("{}")
    (cache / "stray").write_text("not ours")
    found = {(entry.kind, entry.key): entry for entry in entries()}
    assert list(found) == [
        ("backbones", E5), ("data", "waimai"), ("leftover", X), ("tokens", "b"),
        ("trunk", "a"),
    ]  # fmt: skip
    assert found["trunk", "a"].what == "entry a"
    assert found["leftover", X].what == "of a write into trunk, broken off or under way"
    assert found["data", "waimai"].size == 40
    assert found["trunk", "a"].size > 1000
    assert found["trunk", "a"].path == cache / "trunk" / "a"


def test_clearing_everything_spares_what_was_fetched_and_noted(cache):
    write("a")
    write("b", kind="tokens")
    for place in (f"backbones/{E5}", "data/waimai", f"trunk/{X}"):
        (cache / place).mkdir(parents=True)
    (cache / "trunk" / Y).mkdir()
    age(cache / "trunk" / X, 1)
    (cache / "backbones" / "known.json").write_text("{}")
    assert sorted(names(clear())) == sorted([X, "a", "b", E5])
    assert sorted(names(entries())) == sorted([Y, "waimai"])  # some process may be writing it
    assert names(clear(["leftover"])) == [Y]
    assert (cache / "backbones" / "known.json").exists()
    assert names(clear(["data"])) == ["waimai"]
    assert entries() == []
    assert not any(path.name.startswith(".") for path in cache.rglob("*"))


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        (["trunk"], ["aaaa1", "aaaa2", "bbbb1"]),
        (["bbbb"], ["bbbb1"]),
        (["aaaa1", "bbbb1"], ["aaaa1", "bbbb1"]),
        (["tokens"], []),
        (["tokens", "aaaa2", "aaaa2"], ["aaaa2"]),
    ],
)
def test_clearing_by_name(chosen, gone):
    for key in KEYS:
        write(key)
    assert sorted(names(entries(chosen))) == gone
    assert sorted(names(clear(chosen))) == gone
    assert sorted(names(entries())) == sorted(set(KEYS) - set(gone))


def test_names_that_name_nothing():
    for key in KEYS:
        write(key)
    with pytest.raises(ConfigError, match="'aaaa' is the beginning of 2 keys"):
        clear(["bbbb", "aaaa"])
    for name in ("cccc", "b", "bbb", "bbbb11"):
        with pytest.raises(NotFoundError, match=f"no kind and no key '{name}'"):
            clear([name])
    with pytest.raises(NotFoundError) as caught:
        clear(["trunks"])
    assert caught.value.hint == "Did you mean 'trunk'?"
    assert len(entries()) == 3


def test_clearing_what_was_not_used_for_days():
    write("old", days_ago=8)
    write("new", days_ago=6)
    assert names(clear(unused_days=7)) == ["old"]
    assert names(clear(["trunk"], unused_days=7)) == []
    assert names(clear(unused_days=5.9)) == ["new"]


def test_what_cannot_be_removed_is_said(monkeypatch):
    write("aaaa1")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match=r"Cannot remove '.*aaaa1': Permission denied\."):
        clear()


def test_what_others_keep_there_is_left_alone(cache, monkeypatch):
    """The cache may have been put into a directory that is shared."""
    theirs = [
        "projects/thesis/ch1.tex", "trunk/notes/g.txt", "trunk/.svn/entries", "trunk/g.txt",
        "data/mine/rows.csv", "backbones/mine/config.json", "tokens/.git.old/x",
    ]  # fmt: skip
    for name in theirs:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("theirs")
        age(cache / name, 30)
    write("a", days_ago=9)
    assert names(entries()) == names(clear()) == ["a"]
    assert clear(["data"]) == clear(["backbones"]) == []
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0.000001")
    write("b")
    assert all((cache / name).read_text() == "theirs" for name in theirs)
