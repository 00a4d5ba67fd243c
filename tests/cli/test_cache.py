from __future__ import annotations

import calendar
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora_bert.cache.entries import find_entry, new_entry
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import environment

KEY = "3f2a91c0" + "0" * 56
OTHER = "77d0" + "1" * 60


@pytest.fixture
def place(here: Path) -> Path:
    """A cache with two entries: one of now, one of ten days ago."""
    for kind, key, size in (("trunk", KEY, 2_000_000), ("tokens", OTHER, 1000)):
        with new_entry(kind, key, size, {"what": f"what of {kind}"}) as work:
            (work / "data").write_bytes(bytes(size))
    old = find_entry("tokens", OTHER)
    assert old is not None
    os.utime(old / "entry.json", (time.time() - 10 * 86400 - 60,) * 2)
    return old.parents[1]


def test_an_empty_cache(cli: Cli) -> None:
    outcome = cli("cache")
    assert outcome.code == 0
    assert outcome.stdout.startswith("in all     0 entries, 0.0 MB (")
    assert cli("cache", "--json").document["entries"] == []


def test_the_listing(cli: Cli, place: Path) -> None:
    lines = cli("cache").stdout.splitlines()
    assert lines[0].split() == ["KIND", "KEY", "SIZE", "LAST", "USED", "WHAT"]
    assert lines[1] == f"tokens  {OTHER[:12]}  0.0 MB  10 days ago  what of tokens"
    assert lines[2] == f"trunk   {KEY[:12]}  2.0 MB  just now     what of trunk"
    assert lines[3] == f"in all     2 entries, 2.0 MB ({place})"
    assert cli("cache", "list").stdout == cli("cache").stdout
    assert cli("cache", "list", "trunk").stdout.splitlines()[-1].startswith("in all     1 entry")


def test_as_json(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "3")
    found = cli("cache", "--json").document
    assert (found["path"], found["limit_bytes"]) == (str(place), 3_000_000_000)
    assert [entry["kind"] for entry in found["entries"]] == ["tokens", "trunk"]
    trunk = found["entries"][1]
    assert (trunk["key"], trunk["what"]) == (KEY, "what of trunk")
    assert trunk["path"] == str(place / "trunk" / KEY)
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"]) > 2_001_000
    moment = time.strptime(trunk["last_used"], "%Y-%m-%dT%H:%M:%SZ")
    assert abs(time.time() - calendar.timegm(moment)) < 60


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ([], []),
        (["trunk"], ["tokens"]),
        (["3f2a9"], ["tokens"]),
        (["tokens", "3f2a91c0"], []),
        (["--older-than", "10"], ["trunk"]),
        (["trunk", "--older-than", "10"], ["tokens", "trunk"]),
        (["backbones"], ["tokens", "trunk"]),
    ],
)
def test_clearing(words: list[str], left: list[str], cli: Cli, place: Path) -> None:
    outcome = cli("cache", "clear", *words)
    count = 2 - len(left)
    assert outcome.stdout.startswith(f"cleared     {count} entr{'y' if count == 1 else 'ies'}, ")
    assert [entry["kind"] for entry in cli("cache", "--json").document["entries"]] == left


def test_what_was_cleared_as_json(cli: Cli, place: Path) -> None:
    found = cli("cache", "clear", "trunk", "--json").document
    assert [entry["key"] for entry in found["cleared"]] == [KEY]
    assert found["bytes"] > 2_000_000


def test_mistakes(mistake: Mistake, place: Path) -> None:
    typed = "claer"  # codespell:ignore
    mistake(2, "cache", typed, says=[f"'{typed}' is neither list nor", "Did you mean 'clear'"])
    mistake(66, "cache", "clear", "trunc", says=["'trunc'", "Did you mean 'trunk'?"])
    mistake(66, "cache", "clear", "ffff", says=["'ffff'", "lora-bert cache list"])
    mistake(2, "cache", "--older-than", "-1", says=["--older-than"])


def test_the_limit_is_checked(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "much")
    mistake(2, "cache", says=["$LORA_BERT_CACHE_LIMIT: 'much'"])


def test_it_imports_nothing_heavy(place: Path) -> None:
    program = (
        "import sys\n"
        "from lora_bert.cli.app import run\n"
        "assert run(['cache']) == 0\n"
        "heavy = {'torch', 'numpy', 'transformers', 'tokenizers', 'yaml', 'tqdm'}\n"
        "print('heavy:', *sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.endswith("heavy:\n")
