"""A short training on a tiny backbone."""

from __future__ import annotations

import pytest

import lora_bert


@pytest.fixture
def rows(reviews):
    """The file that is trained on."""
    return reviews


@pytest.fixture
def train(tiny_backbone, rows, tmp_path):
    """Two epochs, into a directory of that name."""

    def call(output="out", **options):
        usual = {"data": rows, "backbone": str(tiny_backbone), "epochs": 2, "dtype": "float32"}
        return lora_bert.train(**usual | options, output=tmp_path / output)

    return call
