"""The documents say what the code does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lora_bert.cli.app import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def commands(page: Path) -> list[str]:
    """Every ``lora-bert …`` line in the page's code blocks."""
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [line.removeprefix("$ ").strip() for line in lines]
    return [line for line in words if line.startswith("lora-bert ")]


def test_generated_pages_are_current():
    script = ROOT / "scripts" / "build_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run python scripts/build_docs.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page):
    for line in commands(page):
        name, *words = shlex.split(line, comments=True)[1:]
        assert name in COMMANDS, line
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        known = {
            flag for option in command.params for flag in [*option.opts, *option.secondary_opts]
        }
        unknown = [word for word in words if word.startswith("--") and word not in known]
        assert not unknown, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
