"""Outputs appear whole, in their place, and never instead of something that is read."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS

from lora_bert.errors import OutputError
from lora_bert.files import (
    CHECKPOINT,
    PARTS_MARK,
    atomic_directory,
    atomic_file,
    cache_dir,
    claim_file,
    claim_output,
    shared_directory,
    spare_inputs,
    write_json,
)


@pytest.mark.parametrize(
    ("own", "xdg", "place"),
    [
        ("/own", "/xdg", "/own"),
        ("", "/xdg", "/xdg/lora-bert"),
        ("", "", "/home/me/.cache/lora-bert"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep caches elsewhere")
def test_where_the_cache_is(own, xdg, place, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("LORA_BERT_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_dir() == Path(place)


def test_where_the_cache_is_on_a_mac(monkeypatch):
    monkeypatch.setattr(platformdirs, "PlatformDirs", MacOS)
    monkeypatch.setenv("HOME", "/Users/me")
    for name in ("LORA_BERT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_dir() == Path("/Users/me/Library/Caches/lora-bert")


def has_file(path):
    return (path / "file").exists()


def make(path, text):
    with shared_directory(path, has_file) as work:
        (work / "file").write_text(text)


def test_makes_the_directory_and_its_parents(tmp_path):
    make(tmp_path / "a" / "b", "made")
    assert (tmp_path / "a" / "b" / "file").read_text() == "made"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_the_first_to_finish_wins(tmp_path):
    path = tmp_path / "shared"
    with shared_directory(path, has_file) as late:
        (late / "file").write_text("late")
        make(path, "first")
    assert (path / "file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_losing_the_very_last_moment_is_success(tmp_path, monkeypatch):
    """The other process finishes between this one's look at ``path`` and its rename."""
    path = tmp_path / "shared"

    rename = Path.rename

    def rename_after_the_other(source, target):
        if target == path:
            path.mkdir()
            (path / "file").write_text("other")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", rename_after_the_other)
    with shared_directory(path, has_file) as work:
        (work / "file").write_text("ours")
    assert (path / "file").read_text() == "other"
    assert list(tmp_path.iterdir()) == [path]


def test_an_incomplete_directory_is_replaced(tmp_path):
    path = tmp_path / "shared"
    path.mkdir()
    (path / "leftover").touch()
    make(path, "new")
    assert [entry.name for entry in path.iterdir()] == ["file"]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(ValueError, match="oh"), shared_directory(tmp_path / "a", has_file) as work:
        (work / "file").touch()
        raise ValueError("oh")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_the_system_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"Cannot write '.*shared'"):
        make(tmp_path / "file" / "shared", "never")


def test_ctrl_c_is_not_taken_for_a_refusal(tmp_path, monkeypatch):
    """Where it comes while a file is opened, that is closed twice, which the system refuses."""

    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        finally:
            os.close(1 << 20)

    monkeypatch.setattr("tempfile.TemporaryFile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        claim_file(tmp_path / "out.csv")


def test_places_that_cannot_be_replaced(tmp_path, monkeypatch):
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for place in (Path(), here, here.parent, Path("/")):
        with pytest.raises(OutputError, match="the current directory or one above it"):
            claim_output(place, overwrite=True)


def test_nothing_is_written_into_an_adapter_or_a_model(tmp_path):
    """At whatever depth; a project's own config.json makes no model of it."""
    (tmp_path / "config.json").touch()
    for name in ("adapter_config.json", "lora_bert.json", "trunk.json", CHECKPOINT, PARTS_MARK):
        place = tmp_path / name.partition(".")[0]
        place.mkdir()
        (place / name).touch()
        for output in (place / "out", place / "exported" / "out"):
            for claim in (claim_output, claim_file):
                with pytest.raises(OutputError, match=f"lies inside '{place}'"):
                    claim(output, overwrite=True)
        claim_output(place, overwrite=True)
    claim_output(tmp_path / "out")
    claim_file(tmp_path / "out.html")


def test_inputs_are_spared(tmp_path):
    source = tmp_path / "data" / "reviews.csv"
    source.parent.mkdir()
    source.touch()
    (tmp_path / "link").symlink_to(source.parent)
    for output in (source.parent, tmp_path, tmp_path / "link"):
        with pytest.raises(OutputError, match="is or holds"):
            spare_inputs(output, (None, source))
    spare_inputs(source.parent / "run", (source, "", tmp_path / "gone"))


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "config.json").touch()
    (tmp_path / "link").symlink_to("real")
    with atomic_directory(tmp_path / "link", overwrite=True) as work:
        (work / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_what_stood_there_comes_back_when_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def refused(source, target):
        if target == path and source.name != "was":
            raise OSError("no")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OutputError), atomic_directory(path, overwrite=True) as work:
        (work / "new").touch()
    assert (path / "old").exists()
    assert list(tmp_path.iterdir()) == [path]


def test_modes_are_what_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_directory(tmp_path / "out") as work:
            write_json(work / "file.json", {})
    finally:
        os.umask(before)
    found = [tmp_path / "out", tmp_path / "out" / "file.json"]
    assert [path.stat().st_mode & 0o777 for path in found] == [0o750, 0o640]


def test_what_came_to_stand_there_meanwhile_is_not_replaced(tmp_path):
    """Two commands into one place, neither told to overwrite: the second to finish is refused."""
    path = tmp_path / "out"
    with (
        pytest.raises(OutputError, match=r"Cannot write '.*out': Directory not empty"),
        atomic_directory(path) as work,
    ):
        (work / "late").touch()
        with atomic_directory(path) as other:
            (other / "early").touch()
    assert [entry.name for entry in path.iterdir()] == ["early"]
    assert list(tmp_path.iterdir()) == [path]
    file = tmp_path / "scored.csv"
    with pytest.raises(OutputError, match="exists"), atomic_file(file, overwrite=False) as work:
        file.write_text("early")
    assert file.read_text() == "early"


def test_an_empty_directory_is_no_obstacle(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    with atomic_directory(path) as work:
        (work / "new").touch()
    assert [entry.name for entry in path.iterdir()] == ["new"]


def test_a_link_to_a_file_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "real.csv").write_text("old")
    link = tmp_path / "latest.csv"
    link.symlink_to("disk/real.csv")
    with atomic_file(link) as work:
        work.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real.csv").read_text() == "new"


def test_a_directory_that_cannot_be_listed(tmp_path, monkeypatch):
    def shut(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", shut)
    with pytest.raises(OutputError, match=r"Cannot write '.*': Permission denied"):
        claim_output(tmp_path)


@pytest.mark.parametrize("write", [atomic_directory, atomic_file])
@pytest.mark.parametrize("number", range(1, 8))
def test_ctrl_c_while_a_temporary_place_is_made_used_or_removed_leaves_none(
    write, number, tmp_path, monkeypatch
):
    """It comes right after one of the calls that make, flush or list such a place."""
    out, made = tmp_path / "out", 0
    if write is atomic_directory:
        out.mkdir()

    def interrupted(function):
        def called(path, *more, **settings):
            nonlocal made
            result = function(path, *more, **settings)
            if Path(path).name.startswith(".out."):
                made += 1
                if made == number:
                    raise KeyboardInterrupt
            return result

        return called

    monkeypatch.setattr(os, "mkdir", interrupted(os.mkdir))
    monkeypatch.setattr(os, "open", interrupted(os.open))
    with suppress(KeyboardInterrupt), write(out, overwrite=True):
        pass
    assert made
    assert not list(tmp_path.glob(".*"))
