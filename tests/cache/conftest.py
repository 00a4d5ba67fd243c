"""A cache of each test's own, and rows to fill it with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.model.backbone import Backbone
from lora_bert.model.builder import build_backbone
from lora_bert.tokens.tokenized import TokenizedTexts
from tests.tiny import tiny_classifier

LENGTHS = [3, 9, 17, 5, 9, 40, 8, 16, 3, 24, 33, 7, 9, 64, 5, 127, 128, 12, 80]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory that is in use."""
    place = tmp_path / "cache"
    monkeypatch.setenv("LORA_BERT_CACHE", str(place))
    monkeypatch.delenv("LORA_BERT_CACHE_LIMIT", raising=False)
    return place


def some_rows(lengths=LENGTHS, *, seed=0, types=False) -> TokenizedTexts:
    """Random tokens of the tiny backbones' vocabulary."""
    generator = np.random.default_rng(seed)
    ids = [[0, *generator.integers(5, 60, length - 2).tolist(), 2] for length in lengths]
    kinds = [[int(at * 2 > len(row)) for at in range(len(row))] for row in ids]
    return TokenizedTexts.of(ids, pad_id=1, token_type_ids=kinds if types else None)


def engine(family="bert", dtype=torch.float32, device="cpu") -> Backbone:
    """A tiny backbone in any precision, anywhere."""
    model = tiny_classifier(family)
    return build_backbone(
        model.state_dict(), encoder_config(model.config.to_dict()), dtype=dtype, device=device
    )
