"""Heads that read every token, trained as a GPU does it: row by row, and by graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lora_bert
from tests.row_kernel import as_on_a_gpu
from tests.tiny import write_backbone

TASKS = ["dishes", "foods"]


@pytest.fixture
def train(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., list[float]]:
    """Trains on the rows of a fixture; the losses of the epochs."""
    backbone = write_backbone(tmp_path / "tiny-bert", hidden_dropout_prob=0.0)

    def trained(data: str, name: str, **options: Any) -> list[float]:
        found = lora_bert.train(
            request.getfixturevalue(data), backbone=backbone, output=tmp_path / name, epochs=4,
            learning_rate=0.01, batch_size=8, seed=1, **options,
        )  # fmt: skip
        return [epoch["train_loss"] for epoch in found.history]

    return trained


@pytest.mark.parametrize("data", TASKS)
def test_row_by_row_the_same_is_learned(
    data: str, train: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = train(data, "blocks", dtype="float32")
    as_on_a_gpu(monkeypatch)
    assert train(data, "rows", dtype="float32") == pytest.approx(theirs, rel=0.02)


@pytest.mark.cuda
@pytest.mark.parametrize("data", TASKS)
def test_a_gpu_learns_to_tag_and_to_answer(data: str, train: Callable[..., list[float]]) -> None:
    losses = train(data, "there", device="cuda")
    assert losses[-1] < losses[0] / 2
