"""docs/errors.md promises sentences and exit codes: they are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import lora_bert
from lora_bert.errors import LoraBertError

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")
KINDS = LoraBertError.__subclasses__()


def table(title: str) -> list[list[str]]:
    """The rows of the first table behind a heading, without its header."""
    lines = PAGE.split(f"{title}\n", 1)[1].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| ---")) + 1
    end = next((at for at, line in enumerate(lines) if at > start and not line), len(lines))
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[start:end]]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


MISTAKES = table("## Mistakes")


@cache
def sentences() -> tuple[str, ...]:
    """Every text in the package, with "…" where a value is filled in."""
    found = []
    for path in Path(lora_bert.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…"
                         for part in node.values]  # fmt: skip
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%(\.\d)?[sdf]", "…", node.value))
    return tuple(found)


@pytest.mark.parametrize("sentence", [row[2] for row in MISTAKES])
def test_the_sentences_of_the_table_are_those_of_the_code(sentence: str) -> None:
    assert sentence in sentences()


def test_every_kind_of_error_has_its_code_its_meaning_and_an_example() -> None:
    listed = {name.strip("`"): (int(code), meaning) for code, name, meaning in table("# Errors")}
    for kind in KINDS:
        meaning = str(kind.__doc__).splitlines()[0].replace("``", "`")
        assert listed[kind.__name__] == (kind.exit_code, meaning)
    assert {kind.exit_code for kind in KINDS} == {int(code) for _, code, _ in MISTAKES}
    assert len(MISTAKES) > 80
