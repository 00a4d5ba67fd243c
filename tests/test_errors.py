"""docs/errors.md promises sentences: they are those of the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import lora_bert
from lora_bert.errors import LoraBertError

EXAMPLES = [
    pytest.param(sentence, id=f"{kind.__name__}: {mistake}")
    for kind in LoraBertError.__subclasses__()
    for mistake, sentence in kind.examples.items()
]


@cache
def sentences() -> tuple[str, ...]:
    """Every text in the package, with "…" where a value is filled in."""
    found = []
    for path in Path(lora_bert.__file__).parent.rglob("*.py"):
        if path.name == "errors.py":
            tree: ast.AST = ast.Module(
                [node for node in ast.parse(path.read_text(encoding="utf-8")).body
                 if isinstance(node, ast.FunctionDef)], []
            )  # fmt: skip
        else:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…"
                         for part in node.values]  # fmt: skip
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%(\.\d)?[sdf]", "…", node.value))
    return tuple(found)


@pytest.mark.parametrize("sentence", EXAMPLES)
def test_the_sentences_of_the_table_are_those_of_the_code(sentence: str) -> None:
    assert sentence in sentences()


def test_every_kind_of_error_has_an_example() -> None:
    assert all(kind.examples for kind in LoraBertError.__subclasses__())
