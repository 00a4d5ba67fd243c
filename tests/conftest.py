"""Where the real data and backbones are, and the fixtures every room shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def real(variable: str, folder: str) -> Path:
    """The directory that ``variable`` names, else ``../shared/<folder>``; skips where absent."""
    path = Path(os.environ.get(variable) or SHARED / folder)
    if not path.is_dir():
        pytest.skip(f"real {folder} not here: set ${variable} (looked in {path})")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real labelled data sets, one folder each."""
    return real("LORA_BERT_DATA", "data")


@pytest.fixture(scope="session")
def backbones_dir() -> Path:
    """Real pretrained backbones, one folder each."""
    return real("LORA_BERT_BACKBONES", "backbones")
