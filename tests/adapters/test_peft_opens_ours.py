"""An adapter directory is PEFT's: plain PEFT opens it and says what we say."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.inference.engines.engine import answer
from lora_bert.inference.engines.torch_engine import TorchEngine
from tests.oracle import elsewhere
from tests.tiny import FAMILIES, write_backbone

TEXTS = ["good tasty 7", "很好吃", "bad and awful, slow slow late cold", "太慢了 3", "zebra"]


def our_logits(adapter: Path, **options) -> torch.Tensor:
    """What we say of :data:`TEXTS`."""
    loaded = load_any(adapter, **options)
    encodings = loaded.tokenizer.encode(TEXTS)
    engine = TorchEngine(loaded.backbone, loaded.adapter)
    return torch.from_numpy(answer(engine, encodings, batch_size=2))


def plain_logits(model, adapter: Path) -> torch.Tensor:
    """The same from a ``transformers`` or PEFT model with the adapter's tokenizer."""
    tokens = AutoTokenizer.from_pretrained(adapter)(
        TEXTS, padding=True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**tokens).logits


def in_plain_peft(backbone: Path, adapter: Path, labels: int) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "missing keys", "no LoRA found": PEFT only warns
        warnings.filterwarnings("ignore", category=FutureWarning)
        return plain_logits(PeftModel.from_pretrained(model, adapter).eval(), adapter)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_plain_peft_gives_our_logits(model_type, trained):
    place = trained[model_type]
    theirs = in_plain_peft(place / f"{model_type}-backbone", place / "adapter", 2)
    torch.testing.assert_close(our_logits(place / "adapter"), theirs, rtol=1e-5, atol=1e-5)
    # The adapter does something: without its LoRA the answers differ.
    model = AutoModelForSequenceClassification.from_pretrained(
        place / f"{model_type}-backbone", num_labels=2
    )
    peft = PeftModel.from_pretrained(model, place / "adapter").eval()
    for module in peft.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling = dict.fromkeys(module.scaling, 0.0)
    assert (plain_logits(peft, place / "adapter") - theirs).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("model_type", "options"),
    [
        ("bert", {"layers": "top:2"}),
        ("roberta", {"target_modules": "attention"}),
        ("distilbert", {"layers": "top:1", "target_modules": "attention", "rank": 3}),
        ("modernbert", {"layers": "top:3", "target_modules": "Wo", "alpha": 5}),
        ("bert", {"target_modules": "output.dense,query", "dropout": 0.2}),
        ("deberta-v2", {"layers": "top:2", "target_modules": "attention"}),
        ("mpnet", {"layers": "top:1"}),
        ("roformer", {"layers": "top:2", "target_modules": "query,output.dense"}),
        ("albert", {"target_modules": "attention"}),
        ("bert", {"method": "head-only"}),
        ("roberta", {"method": "head-only"}),
        ("deberta-v2", {"method": "head-only"}),
    ],
)
def test_other_depths_and_targets(model_type, options, trained, reviews, tmp_path):
    backbone = trained[model_type] / f"{model_type}-backbone"
    lora_bert.train(
        reviews, backbone=str(backbone), output=tmp_path / "a", epochs=1, batch_size=8,
        learning_rate=0.03, dtype="float32", head_start="random", **options,
    )  # fmt: skip
    theirs = in_plain_peft(backbone, tmp_path / "a", 2)
    torch.testing.assert_close(our_logits(tmp_path / "a"), theirs, rtol=1e-5, atol=1e-5)


AUTO = """
import json, sys, torch
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer
found = {}
for adapter, texts in json.loads(sys.argv[1]):
    model = AutoPeftModelForSequenceClassification.from_pretrained(adapter, num_labels=2).eval()
    tokens = AutoTokenizer.from_pretrained(adapter)(
        texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        found[adapter] = model(**tokens).logits.tolist()
assert "lora_bert" not in sys.modules
print(json.dumps(found))
"""


def test_auto_peft_finds_hub_and_local_backbones(trained, reviews, tmp_path, monkeypatch):
    hub = tmp_path / "home" / "hub"
    revision = "a" * 40
    cached = hub / "models--org--tiny"
    write_backbone(cached / "snapshots" / revision)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    from_hub = tmp_path / "from-hub"
    lora_bert.train(
        reviews,
        backbone="org/tiny",
        output=from_hub,
        epochs=1,
        learning_rate=0.03,
        head_start="random",
    )
    assert (
        json.loads((from_hub / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "org/tiny"
    )
    # A local backbone is named by its last part: found from the directory that holds it.
    local = trained["bert"] / "adapter"
    asked = [[str(from_hub), TEXTS], [str(local), TEXTS]]
    found = elsewhere(AUTO, json.dumps(asked), cwd=trained["bert"], HF_HOME=str(tmp_path / "home"))
    for adapter in (from_hub, local):
        theirs = torch.tensor(found[str(adapter)])
        torch.testing.assert_close(our_logits(adapter), theirs, rtol=1e-5, atol=1e-5)


def test_a_revision_of_the_backbone_is_kept(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    hub = tmp_path / "hub"
    for revision, seed in (("a" * 40, 0.0), ("b" * 40, 0.5)):
        snapshot = write_backbone(hub / "models--org--tiny" / "snapshots" / revision)
        if seed:
            _shift(snapshot / "model.safetensors", seed)
    (hub / "models--org--tiny" / "refs").mkdir()
    (hub / "models--org--tiny" / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    adapter = tmp_path / "adapter"
    lora_bert.train(reviews, backbone="org/tiny", revision="a" * 40, output=adapter, epochs=1)
    assert json.loads((adapter / "adapter_config.json").read_text())["revision"] == "a" * 40
    expected = our_logits(adapter, backbone=str(hub / "models--org--tiny/snapshots" / ("a" * 40)))
    assert torch.equal(our_logits(adapter), expected)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shutil.rmtree(hub / "models--org--tiny/snapshots" / ("a" * 40))
    with pytest.raises(lora_bert.LoraBertError, match="needs the backbone 'org/tiny'"):
        lora_bert.load(adapter)


def _shift(weights: Path, by: float) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor + by for name, tensor in load_file(weights).items()}
    save_file(tensors, weights, metadata={"format": "pt"})
