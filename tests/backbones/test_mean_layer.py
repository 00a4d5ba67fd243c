"""The layer that makes the mean of the tokens, in plain ``transformers`` and in files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from lora_bert.backbones.families.registry import encoder_config, read_encoder_config
from lora_bert.backbones.fingerprint import fingerprint
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.errors import BackboneError
from lora_bert.model.builder import build_backbone
from tests.tiny import ADDED, FAMILIES, tiny_classifier, tiny_config, with_mean_layer_added

DTYPES = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
VARIANTS = [
    *((family, {}) for family in ADDED),
    ("bert", {"num_hidden_layers": 1, "type_vocab_size": 2}),
    ("roberta", {"layer_norm_eps": 1e-5}),
    ("deberta-v2", {"conv_kernel_size": 3}),
    ("deberta-v2", {"conv_kernel_size": 3, "num_hidden_layers": 1}),
    ("deberta-v2", {"share_att_key": False}),
]
IDS = torch.randint(5, 60, (5, 40), generator=torch.Generator().manual_seed(1))
MASK = (torch.arange(40)[None] < torch.tensor([40, 1, 7, 33, 20])[:, None]).long()


def last_hidden_state(model):
    ids = IDS.masked_fill(MASK == 0, 1)
    with torch.no_grad():
        found = model.base_model(input_ids=ids, attention_mask=MASK, output_hidden_states=True)
    return found.hidden_states[-1].float()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("family", "extra"), VARIANTS, ids=str)
def test_its_first_token_is_the_normalised_mean(family, extra, dtype, attention):
    model = tiny_classifier(family, **extra)
    if attention == "sdpa" and not model._supports_sdpa:
        pytest.skip(f"transformers has no SDPA for {family}")
    model.config._attn_implementation = attention
    deeper = with_mean_layer_added(model, dtype, attn_implementation=attention)
    hidden, real = last_hidden_state(model.to(dtype)), MASK[:, :, None]
    mean = (hidden * real).sum(1) / real.sum(1)
    for eps in encoder_config(model.config.to_dict()).mean_norms:
        mean = F.layer_norm(mean, mean.shape[-1:], eps=eps)
    found = last_hidden_state(deeper)[:, 0]
    # Half a step of bfloat16 is 0.008 where a number is above 2.
    torch.testing.assert_close(found, mean, rtol=torch.finfo(dtype).eps / 2, atol=DTYPES[dtype])
    assert (F.layer_norm(hidden[:, 0], hidden.shape[-1:]) - mean).abs().max() > 0.1


@pytest.mark.parametrize(
    ("family", "extra", "reason"),
    [("albert", {}, "share their weights"), ("albert", {"num_hidden_groups": 4}, "share"),
     ("mpnet", {}, "all layers share what positions add"),
     ("roformer", {"rotary_value": True}, "positions turn what")],
)  # fmt: skip
def test_families_that_cannot_have_it(family, extra, reason):
    assert reason in tiny_config(family, **extra).no_mean


def test_the_others_can():
    assert [family for family in FAMILIES if not tiny_config(family).no_mean] == [
        *ADDED[:3], "modernbert", *ADDED[3:]
    ]  # fmt: skip


def written(place: Path, family: str, dtype: torch.dtype = torch.float32) -> tuple[Path, Path]:
    """A classifier of a family, and the same with the layer, as transformers saves them."""
    model = tiny_classifier(family)
    deeper = with_mean_layer_added(model)
    model.to(dtype).save_pretrained(place / "plain")
    deeper.to(dtype).save_pretrained(place / "deeper")
    return place / "plain", place / "deeper"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("family", ADDED)
def test_reading_leaves_it_out(family, dtype, tmp_path):
    plain, deeper = written(tmp_path, family, dtype)
    config, found = read_encoder_config(plain), read_encoder_config(deeper)
    assert (found.num_hidden_layers, found.has_mean_layer, found.head.pooling) == (4, True, "mean")
    assert found.raw.keys() == config.raw.keys()
    assert found.raw[found.layers_key] == 4
    tensors = read_checkpoint(plain, config), read_checkpoint(deeper, found)
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        # The smallest numbers of float16 are too large for a scaled norm to be exact in it.
        atol = 5e-5 if dtype == torch.float16 else 0
        torch.testing.assert_close(tensors[1][name].float(), tensor.float(), rtol=0, atol=atol)
    if dtype != torch.float16:
        assert fingerprint(tensors[0], config) == fingerprint(tensors[1], found)


def test_a_layer_that_was_trained_since_is_one_like_the_others(tmp_path):
    _, place = written(tmp_path, "bert")
    weights = load_file(place / "model.safetensors")
    name = "bert.encoder.layer.4.output.dense.weight"
    for changed in (
        {**weights, name: weights[name] + 1e-3},
        {key: tensor for key, tensor in weights.items() if key != name},
    ):
        save_file(changed, place / "model.safetensors", metadata={"format": "pt"})
        config = read_encoder_config(place)
        assert (config.num_hidden_layers, config.has_mean_layer) == (5, False)
        assert config == encoder_config(json.loads((place / "config.json").read_text()))


def test_a_norm_that_is_not_there_is_said(tmp_path):
    _, place = written(tmp_path, "bert")
    weights = load_file(place / "model.safetensors")
    del weights["bert.encoder.layer.3.output.LayerNorm.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    config = read_encoder_config(place)
    with pytest.raises(BackboneError, match=r"lack .*layer\.3\.output\.LayerNorm\.weight"):
        build_backbone(read_checkpoint(place, config), config)


def test_without_the_note_in_the_configuration_it_is_one_too(tmp_path):
    _, place = written(tmp_path, "bert")
    settings = json.loads((place / "config.json").read_text())
    copy = shutil.copytree(place, tmp_path / "copy")
    for value in (None, "yes", 1):
        (copy / "config.json").write_text(json.dumps(settings | {"lora_bert_mean_layer": value}))
        assert read_encoder_config(copy).num_hidden_layers == 5


def test_transformers_keeps_the_note(tmp_path):
    _, place = written(tmp_path, "roberta")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(place)
    model.save_pretrained(tmp_path / "again")
    assert read_encoder_config(tmp_path / "again").has_mean_layer
