"""Directories that several processes may make at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_bert.errors import OutputError
from lora_bert.files import shared_directory


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
