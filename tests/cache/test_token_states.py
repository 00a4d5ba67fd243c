"""Memory, a file or nothing: sized beforehand, said aloud, the same bits; a file outlives runs."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lora_bert.cache import memory_budget as room
from lora_bert.cache import trunk_cache as trunk
from lora_bert.cache.trunk_cache import trunk_cache
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.cache.conftest import engine, some_rows
from tests.cli.outcome import environment
from tests.oracle import rows_of

ALL = range(19)


@pytest.fixture(autouse=True)
def aloud(caplog):
    caplog.set_level(logging.INFO, "lora_bert")


@pytest.fixture
def forbidden(monkeypatch):
    """Computing is a mistake."""

    def refuse(*_):
        raise AssertionError("computed again")

    return lambda: monkeypatch.setattr("lora_bert.cache.token_states.trunk", refuse)


def cached(place="disk", *, backbone=None, rows=None, fingerprint="b", depth=2, **options):
    return trunk_cache(
        backbone or engine(), fingerprint, [rows or some_rows()], depth, place=place, **options
    )


def bits(cache):
    return cache.parts[0].hidden(ALL)[0]


def entry(place: Path) -> Path:
    (found,) = (place / "trunk").iterdir()
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_disk_reused_and_rebuilt_are_the_same_bits(dtype, cache, forbidden):
    backbone = engine(dtype=dtype)
    in_memory = cached("memory", backbone=backbone)
    assert in_memory.place == "memory"
    assert not cache.exists()
    written = cached("disk", backbone=backbone)
    assert written.place == "disk"
    (entry(cache) / "hidden.bin").unlink()
    rebuilt = cached("disk", backbone=backbone)
    forbidden()
    for found in (written, rebuilt, cached("disk", backbone=backbone)):
        assert torch.equal(bits(found), bits(in_memory))
        assert found.size == in_memory.size


@pytest.mark.parametrize("place", ["memory", "disk", "auto"])
def test_a_file_that_is_there_is_used_whatever_the_place(place, forbidden, caplog):
    cached("disk")
    forbidden()
    caplog.clear()
    assert cached(place, limit_bytes=0).place == "disk"
    assert caplog.messages == [
        "Layers 1 to 2 of 4 need not run: the cache has their output (0.1 MB)."
    ]
    assert cached("off") is None


def test_the_same_rows_in_another_order_are_the_same_entry(forbidden):
    rows = some_rows()
    first = cached(rows=rows).parts[0]
    turned = TokenizedTexts.of(rows_of(rows)[::-1], 1)
    forbidden()
    again = cached(rows=turned).parts[0]
    for number in ALL:
        assert torch.equal(again.hidden([18 - number])[0], first.hidden([number])[0])


def test_everything_it_depends_on_makes_another_entry(cache, monkeypatch):
    cached()
    for change in (
        {"depth": 1},
        {"fingerprint": "another"},
        {"backbone": engine(dtype=torch.bfloat16)},
        {"rows": some_rows(seed=1)},
        {"rows": some_rows(types=True)},
    ):
        before = set((cache / "trunk").iterdir())
        cached(**change)
        assert len(set((cache / "trunk").iterdir()) - before) == 1
    monkeypatch.setattr(torch, "__version__", "9.9")
    cached()
    assert len(list((cache / "trunk").iterdir())) == 7


def test_the_record_says_what_it_is(cache):
    found = cached(name="tiny-bert")
    record = json.loads((entry(cache) / "entry.json").read_text())
    assert record["what"] == "tiny-bert, 2 of 4 layers, float32, 19 texts"
    assert record["files"] == {"hidden.bin": found.size}
    assert (record["depth"], record["dtype"], record["fingerprint"]) == (2, "float32", "b")
    assert record["tokens"] == sum(some_rows().lengths)
    assert [
        path.name for path in entry(cache).iterdir() if path.suffix not in (".bin", ".json")
    ] == []


def test_small_ones_stay_in_memory_and_large_ones_go_to_disk(monkeypatch, cache):
    assert cached("auto").place == "memory"
    assert not cache.exists()
    monkeypatch.setattr(trunk, "_WORTH_A_FILE", 1000)
    assert cached("auto").place == "disk"


@pytest.mark.parametrize(
    ("worth", "full", "other"), [(1, "disk", "memory"), (1e9, "memory", "disk")]
)
def test_auto_takes_the_other_place_where_one_has_no_room(worth, full, other, monkeypatch):
    monkeypatch.setattr(trunk, "_WORTH_A_FILE", worth)
    monkeypatch.setattr(trunk, f"{full}_budget", lambda *_: 1000)
    assert cached("auto").place == other


@pytest.mark.parametrize("place", ["auto", "memory", "disk"])
def test_without_room_it_is_said_with_sizes(place, caplog, cache):
    assert cached(place, limit_bytes=50_000) is None
    (said,) = caplog.messages
    assert said.startswith("Layers 1 to 2 of 4 run for every batch: their output would take 0.1 MB")
    for where in ("memory", "disk"):
        assert (f"0.1 MB {'in' if where == 'memory' else 'on'} {where}" in said) is (
            place in ("auto", where)
        )
    assert not cache.exists()


def test_a_limit_allows_what_half_of_what_is_free_does_not(monkeypatch):
    size = cached("memory").size
    monkeypatch.setattr(room, "_free_memory", lambda: size + 10)
    assert cached("memory") is None
    assert cached("memory", limit_bytes=size) is not None
    assert cached("memory", limit_bytes=size - 1) is None
    monkeypatch.setattr(room, "_free_memory", lambda: size - 10)
    assert cached("memory", limit_bytes=size) is None


def test_no_more_on_disk_than_the_cache_may_take(monkeypatch, cache):
    monkeypatch.setenv("LORA_BERT_CACHE_LIMIT", "0.00001")
    assert cached("disk") is None
    assert not cache.exists()


def test_a_cache_that_nobody_may_look_at_has_no_room(monkeypatch, cache):
    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refused)
    assert room.disk_budget() == 0


def test_a_container_has_less_memory_than_its_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "_CGROUP", tmp_path)
    device = torch.device("cpu")
    assert room.memory_budget(device) > 1_000_000
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert room.memory_budget(device) > 1_000_000
    (tmp_path / "memory.max").write_text("1000000\n")
    assert room.memory_budget(device) == 300_000


@pytest.mark.parametrize("harm", ["cut", "record", "foreign", "gone"])
def test_a_damaged_entry_is_made_again(harm, cache):
    first = bits(cached())
    found = entry(cache)
    data, record = found / "hidden.bin", found / "entry.json"
    if harm == "cut":
        os.truncate(data, data.stat().st_size - 1)
    elif harm == "record":
        record.write_text("{")
    elif harm == "foreign":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"key": "another"}))
    else:
        data.unlink()
    assert torch.equal(bits(cached()), first)
    assert json.loads(record.read_text())["files"] == {"hidden.bin": data.stat().st_size}
    assert [path.name for path in (cache / "trunk").iterdir()] == [found.name]


def test_an_entry_that_agrees_with_itself_but_is_too_short(cache, caplog):
    first = bits(cached())
    found = entry(cache)
    os.truncate(found / "hidden.bin", 10)
    record = json.loads((found / "entry.json").read_text()) | {"files": {"hidden.bin": 10}}
    (found / "entry.json").write_text(json.dumps(record))
    assert torch.equal(bits(cached()), first)
    assert "cannot be read and is made again" in caplog.text


def test_where_nothing_can_be_written_the_run_goes_on(cache, caplog, monkeypatch):
    monkeypatch.setattr(trunk, "_WORTH_A_FILE", 1)
    cache.write_text("a file where the directory should be")
    assert cached("auto").place == "memory"
    assert cached("disk") is None
    assert "Cannot write" in caplog.text
    assert "It is not kept on disk." in caplog.text


def test_a_full_disk_leaves_nothing_behind(cache, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lora_bert.cache.entries.os.fsync", full)
    assert cached("disk") is None
    assert "No space left on device" in caplog.text
    assert list((cache / "trunk").iterdir()) == []


def test_clearing_does_not_disturb_who_reads(cache):
    from lora_bert.cache.housekeeping import clear

    found = cached("disk")
    before = bits(found)
    assert len(clear()) == 1
    assert torch.equal(bits(found), before)


WRITES = """
import sys, time
from lora_bert.cache import token_states as lines
from tests.cache.test_token_states import cached

lines.CHUNK_TOKENS["cpu"] = 64

inner = lines.TokenStates._computed

def slow(self):
    for hidden in inner(self):
        yield hidden
        print("wrote", flush=True)
        time.sleep(0.2)

lines.TokenStates._computed = slow
cached("disk")
"""


def test_killed_while_writing(cache):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "wrote\n"
    assert process.stdout.readline() == "wrote\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (leftover,) = (cache / "trunk").iterdir()
    assert leftover.name.startswith(".")
    assert torch.equal(bits(cached("disk")), bits(cached("memory")))
    assert len(list((cache / "trunk").iterdir())) == 2
    # An hour later nobody can be writing to it any more: the next write sweeps it.
    for path in (leftover, *leftover.iterdir()):
        os.utime(path, (time.time() - 4000,) * 2)
    cached("disk", depth=1)
    assert not leftover.exists()
    assert len(list((cache / "trunk").iterdir())) == 2
