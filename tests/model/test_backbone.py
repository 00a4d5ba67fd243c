"""Making a backbone of tensors, and what is wrong with those that cannot be one."""

from __future__ import annotations

import pytest
import torch

from lora_bert.adapters.open_backbone import open_backbone
from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import BackboneError, UnavailableError
from lora_bert.model.adapter import Adapter
from lora_bert.model.builder import build_backbone
from lora_bert.model.forward import logits
from lora_bert.runtime.device import pick_device, pick_dtype
from tests.oracle import random_batch, tiny_engine
from tests.tiny import FAMILIES, tiny_classifier, write_backbone


@pytest.mark.parametrize("model_type", FAMILIES)
def test_parameters_are_counted_without_the_head(model_type):
    model = tiny_classifier(model_type)
    encoder = sum(
        parameter.numel()
        for name, parameter in model.base_model.named_parameters()
        if "pooler" not in name and "embed_positions" not in name
    )
    # ERNIE's first task is added to the positions, the two others are never used.
    tasks = 3 * 32 if model_type == "ernie" else 0
    assert tiny_engine(model_type).parameter_count == encoder - tasks


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_saved_encoder_is_the_same_backbone(model_type, tmp_path):
    loaded = open_backbone(str(write_backbone(tmp_path / model_type, model_type))).backbone
    built = tiny_engine(model_type)
    assert torch.equal(loaded.word_embeddings, built.word_embeddings)
    assert loaded.linears.keys() == built.linears.keys()
    for name, linear in loaded.linears.items():
        assert torch.equal(linear.weight, built.linears[name].weight)


def test_a_missing_weight_is_named():
    model = tiny_classifier("bert")
    state = model.state_dict()
    del state["bert.encoder.layer.2.intermediate.dense.weight"]
    with pytest.raises(BackboneError, match=r"lack 'bert\.encoder\.layer\.2\.intermediate\.dense"):
        build_backbone(state, encoder_config(model.config.to_dict()))


def test_other_shapes_than_the_config_says():
    model = tiny_classifier("bert")
    config = {**model.config.to_dict(), "hidden_size": 48}
    with pytest.raises(BackboneError, match=r"32\], its config\.json asks for \[…, 48\]"):
        build_backbone(model.state_dict(), encoder_config(config))


def test_a_config_without_its_sizes():
    model = tiny_classifier("bert")
    config = model.config.to_dict()
    del config["num_hidden_layers"]
    with pytest.raises(BackboneError, match="no 'num_hidden_layers'"):
        build_backbone(model.state_dict(), encoder_config(config))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "t5"}, "Backbones of type 't5' are not supported"),
        ({}, "no 'model_type'"),
        ({"model_type": "nomic_bert", "auto_map": {"AutoModel": "x.y"}}, "run code of its own"),
    ],
)
def test_families_we_do_not_know(config, sentence):
    with pytest.raises(BackboneError, match=sentence):
        encoder_config(config)


def test_an_old_modernbert_config_is_read_as_a_new_one():
    model = tiny_classifier("modernbert")
    config = model.config.to_dict()
    new = build_backbone(model.state_dict(), encoder_config(config))
    rope = config.pop("rope_parameters")
    kinds = config.pop("layer_types")
    old = config | {
        "global_attn_every_n_layers": 3,
        "global_rope_theta": rope["full_attention"]["rope_theta"],
        "local_rope_theta": rope["sliding_attention"]["rope_theta"],
    }
    backbone = build_backbone(model.state_dict(), encoder_config(old))
    assert [layer.local for layer in backbone.layers] == [
        kind == "sliding_attention" for kind in kinds
    ]
    adapter = Adapter({}, new.pretrained_head, depth=0)
    batch = random_batch([40, 7])
    assert torch.equal(logits(backbone, batch.tokens, adapter), logits(new, batch.tokens, adapter))


def test_stretched_rotary_positions_are_refused():
    model = tiny_classifier("modernbert")
    config = model.config.to_dict()
    config["rope_parameters"]["full_attention"]["rope_type"] = "yarn"
    with pytest.raises(BackboneError, match="scales its rotary positions"):
        encoder_config(config)


def test_device_and_precision():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    assert pick_dtype("float32", torch.device("cpu")) == torch.float32
    assert pick_dtype("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UnavailableError, match="no NVIDIA GPU"):
        pick_device("cuda")
