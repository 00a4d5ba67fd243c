"""Every command of every tutorial runs, in the order of its page; few rows, one epoch."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lora_bert.cli.app import run

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
TRANSLATED = sorted((ROOT / "docs" / "tutorials" / "zh").glob("*.md"))
BLOCK = re.compile(r"```(\w+)\n(.*?)\n```", re.S)
FILE = re.compile(r"^`([\w.-]+)`[:：]\n\n```\w+\n(.*?)\n```", re.M | re.S)


def commands(page: Path) -> list[list[str]]:
    """The page's commands, each as words."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = [line for kind, text in blocks if kind == "console" for line in text.splitlines()]
    return [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]


def shortened(words: list[str]) -> list[str]:
    """The same with fewer rows and epochs, where it trains."""
    if words[0] != "train":
        return words
    return [*words, "--limit", "160", "--epochs", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda p: p.stem)
def test_commands_run(page: Path, workplace: Path) -> None:
    (workplace / "adapters").symlink_to(ROOT / "adapters")
    for name, text in FILE.findall(page.read_text(encoding="utf-8")):
        Path(name).write_text(text + "\n", encoding="utf-8")
    for program, *words in commands(page):
        assert program == "lora-bert"
        assert run(shortened(words)) == 0, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_translation_has_the_same_commands_and_outputs(page: Path) -> None:
    translated = page.parent / "zh" / page.name
    ours, theirs = (
        [
            (kind, text)
            for kind, text in BLOCK.findall(one.read_text(encoding="utf-8"))
            if kind in ("console", "csv", "python")
        ]
        for one in (page, translated)
    )
    assert ours == theirs


def test_nothing_is_translated_that_is_not_there() -> None:
    assert [page.name for page in TRANSLATED] == [page.name for page in PAGES]
