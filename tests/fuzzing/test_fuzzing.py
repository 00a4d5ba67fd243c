"""Broken input is answered with an error of ours: some hundred inputs for each reader.

``scripts/fuzz.py`` tries millions.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing.targets import LIKELY, Targets


@pytest.fixture(scope="module")
def targets(
    tmp_path_factory: pytest.TempPathFactory, adapter: Path, merged: Path, tiny_backbone: Path
) -> Targets:
    return Targets(adapter, merged, tiny_backbone, tmp_path_factory.mktemp("fuzzing"))


@pytest.mark.parametrize("name", LIKELY)
@settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(chance=st.integers(0, 2**64 - 1).map(random.Random))
def test_anything_broken_is_an_error_of_ours(
    name: str, targets: Targets, chance: random.Random
) -> None:
    targets.run(name, chance)


def test_what_is_valid_is_read(targets: Targets) -> None:
    targets._assembled()
    targets._with(targets.work, "lora_bert.json", targets.valid["lora_bert.json"], lambda: None)
