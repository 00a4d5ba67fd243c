"""Adapters that plain PEFT wrote load here and say the same; others are refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.backbones.families.registry import FAMILIES
from lora_bert.errors import AdapterError, ConfigError
from lora_bert.inference.engines.engine import answer
from lora_bert.inference.engines.torch_engine import TorchEngine
from lora_bert.inference.predictor import Predictor
from tests.tiny import FAMILIES as FAMILY_NAMES
from tests.tiny import SPLIT

TEXTS = ["good tasty 7", "很好吃", "bad and awful, slow slow late cold"]
QUERY = dict.fromkeys(FAMILY_NAMES, "query") | {
    "distilbert": "q_lin",
    "modernbert": "Wqkv",
    "mpnet": "attn.q",
    "deberta-v2": "query_proj",
}
INNER = dict.fromkeys(FAMILY_NAMES, "intermediate.dense") | {
    "distilbert": "lin1",
    "modernbert": "mlp.Wi",
    "albert": "ffn",
}


def write_plain(backbone: Path, output: Path, *, labels: int = 3, **options) -> torch.Tensor:
    """An adapter by plain PEFT with noise in all it trains; its logits of :data:`TEXTS`."""
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=labels)
    options = {"r": 4, "lora_alpha": 8, "task_type": "SEQ_CLS"} | options
    peft = get_peft_model(model, LoraConfig(**options)).eval()
    with torch.no_grad():
        for parameter in peft.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        tokens = AutoTokenizer.from_pretrained(backbone)(TEXTS, padding=True, return_tensors="pt")
        expected = peft(**tokens).logits
    peft.save_pretrained(output)
    return expected


def our_logits(adapter: Path, **options) -> torch.Tensor:
    loaded = load_any(adapter, **options)
    encodings = loaded.tokenizer.encode(TEXTS)
    engine = TorchEngine(loaded.backbone, loaded.adapter)
    return torch.from_numpy(answer(engine, encodings, batch_size=2))


def edited(adapter: Path, copy: Path, **changed) -> Path:
    """A copy of an adapter with other keys in ``adapter_config.json``."""
    shutil.copytree(adapter, copy)
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | changed))
    return copy


@pytest.fixture(scope="module")
def plain(tiny_backbone, tmp_path_factory):
    """An adapter by plain PEFT on the tiny BERT, and its logits."""
    place = tmp_path_factory.mktemp("plain") / "adapter"
    expected = write_plain(tiny_backbone, place, target_modules=["query", "value"])
    return place, expected


OPTIONS = {
    "plain": {},
    "rslora": {"use_rslora": True, "r": 9},
    "patterns": {"rank_pattern": {"QUERY": 2}, "alpha_pattern": {"INNER": 32}},
    "regular-patterns": {
        "rank_pattern": {r".*\.1\..*QUERY": 7}, "alpha_pattern": {"^.*1.*": 3},
    },
    "layers": {"layers_to_transform": [2, 3]},
    "orthogonal": {"init_lora_weights": "orthogonal"},
}  # fmt: skip
# PEFT finds no layer 2 or 3 where layers share their weights.
CASES = [(family, kind) for family in FAMILY_NAMES for kind in OPTIONS]
CASES = [(family, kind) for family, kind in CASES if kind != "layers" or family in SPLIT]


@pytest.mark.parametrize(("model_type", "kind"), CASES)
def test_logits_are_pefts(model_type, kind, trained, tmp_path):
    query, inner = QUERY[model_type], INNER[model_type]
    named = {
        key: {
            name.replace("QUERY", query).replace("INNER", inner): value
            for name, value in pattern.items()
        }
        if isinstance(pattern, dict)
        else pattern
        for key, pattern in OPTIONS[kind].items()
    }
    expected = write_plain(
        trained[model_type] / f"{model_type}-backbone", tmp_path / "adapter",
        target_modules=[query, inner],
        modules_to_save=list(FAMILIES[model_type].layout.head.modules),
        **named,
    )  # fmt: skip
    torch.testing.assert_close(our_logits(tmp_path / "adapter"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "targets"),
    [("bert", "all-linear"), ("bert", "dense"), ("ernie", "all-linear"), ("albert", "pooler")],
)
def test_lora_on_the_pooler_too(model_type, targets, trained, tmp_path):
    """What PEFT's ``all-linear`` means; it is folded into the head."""
    head = FAMILIES[model_type].layout.head
    expected = write_plain(
        trained[model_type] / f"{model_type}-backbone", tmp_path / "adapter",
        target_modules=targets if targets == "all-linear" else [targets],
    )  # fmt: skip
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any(f"{head.dense}.lora_A" in name for name in names)
    torch.testing.assert_close(our_logits(tmp_path / "adapter"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("targets", ["all-linear", ["PROJECTION"]])
@pytest.mark.parametrize("model_type", ["albert", "electra", "roformer"])
def test_lora_on_the_projection_of_the_embeddings_too(model_type, targets, trained, tmp_path):
    """It is folded into it, for this adapter alone; merged it is what PEFT merges."""
    backbone = trained[model_type] / f"{model_type}-backbone"
    layout = FAMILIES[model_type].layout
    name = layout.projection.rpartition(".")[2]
    expected = write_plain(
        backbone, tmp_path / "adapter", modules_to_save=list(layout.head.modules),
        target_modules=targets if targets == "all-linear" else [name],
    )  # fmt: skip
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any(f"{name}.lora_A" in each for each in saved)
    before = our_logits(trained[model_type] / "adapter", backbone=str(backbone))
    torch.testing.assert_close(our_logits(tmp_path / "adapter"), expected, rtol=1e-5, atol=1e-5)
    after = our_logits(trained[model_type] / "adapter", backbone=str(backbone))
    assert torch.equal(before, after)
    lora_bert.merge(tmp_path / "adapter", tmp_path / "merged", labels="no,maybe,yes")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    tokens = AutoTokenizer.from_pretrained(backbone)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(plain(**tokens).logits, expected, rtol=1e-5, atol=1e-5)
    save_file({key: saved[key] for key in saved if f"{name}.lora_" not in key},
              tmp_path / "adapter" / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(AdapterError, match=f"has no LoRA matrices for .*{name[:17]}"):
        load_any(tmp_path / "adapter")


def test_adapters_with_and_without_a_projection_of_their_own_answer_together(trained, tmp_path):
    backbone = trained["electra"] / "electra-backbone"
    session = lora_bert.Session(backbone)
    for name, targets in (("own", ["embeddings_project"]), ("shared", ["query"])):
        modules = list(FAMILIES["electra"].layout.head.modules)
        write_plain(backbone, tmp_path / name, target_modules=targets, modules_to_save=modules)
        session.add(tmp_path / name)
    alone = [session.values(TEXTS, adapter=name) for name in ("own", "shared")]
    both = session.values(TEXTS, adapters=["own", "shared"])
    mixed = session.values(TEXTS, adapter=["own", "shared", "own"])
    for values, name in zip(alone, both, strict=True):
        torch.testing.assert_close(both[name], values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed[1], alone[1][1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed[2], alone[0][2], rtol=1e-5, atol=1e-5)
    pytest.importorskip("onnx")
    with pytest.raises(ConfigError, match="own' has embeddings, or a projection of them, of its"):
        lora_bert.export([tmp_path / "own", tmp_path / "shared"], tmp_path / "both", format="onnx")


def test_lora_on_another_part_is_named(tiny_backbone, tmp_path):
    """With what to do about it."""
    write_plain(tiny_backbone, tmp_path / "adapter", target_modules=["query"])
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    matrix = {"base_model.model.bert.extra.lora_A.weight": torch.ones(4, 32)}
    save_file({**load_file(weights), **matrix}, weights)
    with pytest.raises(AdapterError, match=r"changes 'bert\.extra', which is none of") as caught:
        load_any(tmp_path / "adapter")
    assert "exclude_modules=['bert.extra']" in caught.value.hint


def test_a_pooler_that_only_the_backbone_has(plain):
    adapter, expected = plain
    saved = load_file(adapter / "adapter_model.safetensors")
    assert not any("pooler" in name for name in saved)
    torch.testing.assert_close(our_logits(adapter), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_a_pooler_that_nobody_saved_is_not_made_up(model_type, trained, tmp_path):
    backbone = tmp_path / "backbone"
    shutil.copytree(trained[model_type] / f"{model_type}-backbone", backbone)
    weights = backbone / "model.safetensors"
    kept = {name: part for name, part in load_file(weights).items() if "pooler" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    write_plain(backbone, tmp_path / "adapter", target_modules=[QUERY[model_type]])
    dense = FAMILIES[model_type].layout.head.dense
    with pytest.raises(AdapterError, match=f"lacks the head's '{dense}', and so does") as caught:
        load_any(tmp_path / "adapter")
    assert "modules_to_save" in caught.value.hint


def test_labels_are_counted_or_given(plain, caplog):
    adapter, _ = plain
    counted = lora_bert.load(adapter)
    assert counted.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert "LABEL_0 … LABEL_2" in caplog.text
    named = lora_bert.load(adapter, labels=["no", "maybe", "yes"])
    assert named.labels == ("no", "maybe", "yes")
    names = dict(zip(counted.labels, named.labels, strict=True))
    for one, other in zip(counted.predict(TEXTS), named.predict(TEXTS), strict=True):
        assert names[one.label] == other.label
        assert one.score == other.score


def test_labels_that_do_not_fit(plain, adapter):
    with pytest.raises(AdapterError, match="3 outputs, but 2 labels"):
        lora_bert.load(plain[0], labels=["no", "yes"])
    with pytest.raises(ConfigError, match="labels of its own"):
        lora_bert.load(adapter, labels=["no", "yes"])


def test_it_merges_too(plain, tmp_path):
    adapter, expected = plain
    result = lora_bert.merge(adapter, tmp_path / "merged", labels="no,maybe,yes")
    assert result.difference < 1e-4
    assert lora_bert.load(tmp_path / "merged").labels == ("no", "maybe", "yes")
    torch.testing.assert_close(our_logits(tmp_path / "merged"), expected, rtol=1e-4, atol=1e-4)


def test_a_hub_backbone_keeps_its_whole_name(plain, tiny_backbone, tmp_path, monkeypatch):
    home = tmp_path / "hub" / "models--org--tiny"
    shutil.copytree(tiny_backbone, home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    copy = edited(plain[0], tmp_path / "copy", base_model_name_or_path="org/tiny")
    loaded = load_any(copy)
    assert loaded.manifest.backbone_name == "org/tiny"
    assert Predictor.of(loaded, copy).predict(TEXTS)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "lora_only"}, "bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"init_lora_weights": "olora"}, "init_lora_weights"),
        ({"lora_bias": True}, "lora_bias"),
    ],
)
def test_what_the_branch_does_not_compute_is_refused(options, named, tiny_backbone, tmp_path):
    write_plain(tiny_backbone, tmp_path / "adapter", target_modules=["query"], **options)
    with pytest.raises(AdapterError, match=f"uses .*{named}.*, which is not supported"):
        load_any(tmp_path / "adapter")


def test_another_kind_of_adapter(plain, tmp_path):
    copy = edited(plain[0], tmp_path / "copy", peft_type="IA3")
    with pytest.raises(AdapterError, match="does not describe a LoRA adapter"):
        load_any(copy)


def test_a_backbone_it_does_not_name(plain, tiny_backbone, tmp_path):
    copy = edited(plain[0], tmp_path / "copy", base_model_name_or_path=None)
    with pytest.raises(AdapterError, match="does not say which backbone") as caught:
        load_any(copy)
    assert "--backbone" in caught.value.hint
    assert load_any(copy, backbone=str(tiny_backbone))


def test_a_rank_that_is_not_the_configs(plain, tmp_path):
    said = "query' is of rank 5 in adapter_config.json, and of rank 4 in adapter_model.safetensors"
    for name, keys in (("r", {"r": 5}), ("pattern", {"rank_pattern": {"query": 5}})):
        with pytest.raises(AdapterError, match=said) as caught:
            load_any(edited(plain[0], tmp_path / name, **keys))
        assert "--backbone" not in caught.value.hint


def test_layers_that_are_named_and_have_no_weights(plain, tmp_path):
    """They would be left as the backbone has them, in silence."""
    for name, keys, says in (
        ("module", {"target_modules": ["query", "key", "value"]}, r"0\.attention\.self\.key'"),
        ("own", {"layers_to_transform": [3]}, None),
        ("absent", {"target_modules": ["query", "value", "q_proj"]}, None),
        ("excepted", {"target_modules": ["query", "key", "value"], "exclude_modules": "key"}, None),
    ):
        copy = edited(plain[0], tmp_path / name, **keys)
        if says is None:
            assert load_any(copy)
            continue
        with pytest.raises(AdapterError, match=f"has no LoRA matrices for .*{says}.* and 1 more"):
            load_any(copy)


def test_half_a_pair(plain, tmp_path):
    for gone in ("lora_A", "lora_B"):
        copy = shutil.copytree(plain[0], tmp_path / gone)
        weights = copy / "adapter_model.safetensors"
        tensors = load_file(weights)
        del tensors[next(name for name in tensors if gone in name)]
        save_file(tensors, weights)
        with pytest.raises(AdapterError, match=gone):
            load_any(copy)


def test_a_tensor_that_fits_nowhere(plain, tmp_path):
    copy = shutil.copytree(plain[0], tmp_path / "copy")
    weights = copy / "adapter_model.safetensors"
    save_file({**load_file(weights), "base_model.model.qa_outputs.weight": torch.ones(2)}, weights)
    with pytest.raises(AdapterError, match=r"holds 'qa_outputs\.weight', which a bert classifier"):
        load_any(copy)
