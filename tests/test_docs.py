"""The documents say what the code does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lora_bert
from lora_bert.cli.app import COMMANDS, cli
from tests.tiny import write_backbone

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


def test_the_python_page_names_everything_and_runs(tmp_path, monkeypatch):
    """A tiny backbone of that name stands where local ones are looked for."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    for name in lora_bert.__all__:
        assert f"`{name}" in page or name.startswith("_"), name
    write_backbone(tmp_path / "backbones" / "bert-base-chinese")
    monkeypatch.setenv("LORA_BERT_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n % 2},{'good' if n % 2 else 'bad'} {n}\n" for n in range(60))
    Path("reviews.csv").write_text("label,text\n" + rows)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(block, names)
    assert names["rows"] == 300


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
