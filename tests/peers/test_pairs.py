"""Pairs in plain ``transformers`` and PEFT: they say what we say, of every family."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.inference.engines.engine import answer
from lora_bert.inference.engines.torch_engine import TorchEngine
from tests.adapters.test_reads_plain_peft import write_plain
from tests.oracle import elsewhere
from tests.tiny import FAMILIES, write_backbone

PAIRS = [
    ("good tasty 7", "很好吃！"), ("bad, awful...", "slow slow late cold"), ("太慢了 3", "good"),
    ("good " * 300, "bad " * 30),
]  # fmt: skip
PIPELINE = """
import json, sys
sys.modules["peft"] = sys.modules["lora_bert"] = None
from transformers import pipeline
found = {}
models, pairs = json.loads(sys.argv[1])
asked = [{"text": first, "text_pair": second} for first, second in pairs]
for name, model in models.items():
    classify = pipeline("text-classification", model, truncation=True)
    found[name] = [classify(pair, top_k=None) for pair in asked]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def models(
    trained: dict[str, Path], pair_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A merged model of every family of which nobody knows what it is asked; one of pairs."""
    place = tmp_path_factory.mktemp("strangers")
    for family in FAMILIES:
        shutil.copytree(trained[family] / "merged", place / family)
        (place / family / "lora_bert.json").unlink()
    lora_bert.merge(pair_adapter, place / "pairs")
    return {name: place / name for name in (*FAMILIES, "pairs")}


@pytest.fixture(scope="module")
def theirs(models: dict[str, Path]) -> dict[str, list[list[dict[str, float]]]]:
    names = {name: str(place) for name, place in models.items()}
    return elsewhere(PIPELINE, json.dumps([names, PAIRS]))


@pytest.mark.parametrize("name", [*FAMILIES, "pairs"])
def test_the_pipeline_gives_our_probabilities(
    name: str, models: dict[str, Path], theirs: dict[str, list[list[dict[str, float]]]]
) -> None:
    ours = lora_bert.load(models[name], dtype="float32")
    for prediction, scores in zip(ours.predict(PAIRS), theirs[name], strict=True):
        found = {entry["label"]: entry["score"] for entry in scores}
        assert found == pytest.approx(dict(prediction.scores), abs=1e-5)
    swapped = [(second, first) for first, second in PAIRS]
    assert np.abs(ours.values(swapped) - ours.values(PAIRS)).max() > 1e-5


def test_the_card_says_how(models: dict[str, Path], pair_adapter: Path) -> None:
    card = (models["pairs"] / "README.md").read_text(encoding="utf-8")
    assert 'classify({"text": "…", "text_pair": "…"})' in card
    assert '"…" --pair "…"' in card
    assert 'predict([("…", "…")])' in (pair_adapter / "README.md").read_text(encoding="utf-8")


def logits(adapter: Path, **options: str) -> torch.Tensor:
    loaded = load_any(adapter, **options)
    engine = TorchEngine(loaded.backbone, loaded.adapter)
    return torch.from_numpy(answer(engine, loaded.tokenizer.encode(PAIRS), batch_size=2))


def in_peft(model: torch.nn.Module, tokenizer: Path) -> torch.Tensor:
    tokens = AutoTokenizer.from_pretrained(tokenizer)(
        *map(list, zip(*PAIRS, strict=True)), padding=True, truncation=True, max_length=130,
        return_tensors="pt", return_token_type_ids=True,
    )  # fmt: skip
    with torch.no_grad():
        found: torch.Tensor = model(**tokens).logits
    return found


def test_plain_peft_opens_ours(pair_adapter: Path, tiny_backbone: Path) -> None:
    base = AutoModelForSequenceClassification.from_pretrained(tiny_backbone, num_labels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        twin = PeftModel.from_pretrained(base, pair_adapter).eval()
    torch.testing.assert_close(
        logits(pair_adapter), in_peft(twin, pair_adapter), rtol=1e-5, atol=1e-5
    )


def test_plain_pefts_are_asked_either(tmp_path: Path) -> None:
    backbone = write_backbone(tmp_path / "tiny")
    write_plain(backbone, tmp_path / "adapter", target_modules=["query"])
    base = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=3)
    twin = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    theirs = in_peft(twin, backbone)
    ours = logits(tmp_path / "adapter", backbone=str(backbone))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    predictor = lora_bert.load(tmp_path / "adapter", backbone=str(backbone))
    assert len(predictor.predict(["good"])) == len(predictor.predict([("good", "bad")])) == 1
