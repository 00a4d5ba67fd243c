"""``config.json`` as typed settings: what is refused, and what the families make of it."""

from __future__ import annotations

import pytest

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import BackboneError
from tests.tiny import tiny_config


@pytest.mark.parametrize(
    ("model_type", "wrong", "sentence"),
    [
        (
            "bert",
            {"hidden_size": "32"},
            "'hidden_size' is '32', not a whole number from 1 to 65536",
        ),
        ("bert", {"num_hidden_layers": 10**9}, "is 1000000000, not a whole number from 1 to 1000"),
        ("bert", {"type_vocab_size": True}, "'type_vocab_size' is True, not a whole number"),
        ("bert", {"num_attention_heads": 5}, "hidden size, 32, is not a multiple of 5 heads"),
        (
            "bert",
            {"layer_norm_eps": "small"},
            "'layer_norm_eps' is 'small', not a number from 0 to",
        ),
        ("bert", {"layer_norm_eps": float("nan")}, "is nan, not a number from 0 to 1"),
        ("bert", {"hidden_act": 5}, "'hidden_act' is 5, not a text"),
        ("bert", {"hidden_act": None}, "config.json has no 'hidden_act'"),
        ("bert", {"position_embedding_type": "relative_key"}, "'relative_key' positions are not"),
        ("roberta", {"pad_token_id": None}, "config.json has no 'pad_token_id'"),
        ("distilbert", {"dim": 0}, "'dim' is 0, not a whole number"),
        ("distilbert", {"n_layers": None}, "config.json has no 'n_layers'"),
        ("albert", {"inner_group_num": 2}, "several layers in a group are not supported"),
        ("deberta-v2", {"pos_att_type": 5}, "'pos_att_type' is 5, not a text or a list of texts"),
        ("deberta-v2", {"relative_attention": False}, "pos_att_type go together only"),
        (
            "deberta-v2",
            {"cls_dropout": "much"},
            "'cls_dropout' is 'much', not a number from 0 to 1",
        ),
        (
            "modernbert",
            {"layer_types": ["full_attention"]},
            "not a list with a text for each layer",
        ),
        ("modernbert", {"rope_parameters": 5}, "'rope_parameters' is 5, not an object of objects"),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_theta": "x"}}},
            "'rope_theta' is 'x', not a number from 0.001 to 1e",
        ),
    ],
)
def test_what_a_family_cannot_use_is_named(model_type, wrong, sentence):
    raw = {**tiny_config(model_type).raw, **wrong}
    with pytest.raises(BackboneError) as caught:
        encoder_config(raw)
    assert sentence in str(caught.value)


def test_what_a_family_does_not_use_may_be_anything():
    raw = {**tiny_config().raw, "pad_token_id": None, "conv_groups": "many"}
    assert encoder_config(raw).pad_token_id == 0


@pytest.mark.parametrize(
    ("model_type", "longest", "types", "width"),
    [
        ("bert", 130, True, 32),
        ("roberta", 128, False, 32),
        ("distilbert", 130, False, 32),
        ("electra", 130, True, 16),
        ("modernbert", 130, False, 32),
    ],
)
def test_lengths_types_and_widths(model_type, longest, types, width):
    config = tiny_config(model_type)
    assert (config.max_length, config.takes_types) == (longest, types)
    assert (config.embedding_size, config.hidden_size, config.head_size) == (width, 32, 8)


def test_only_modernberts_layers_can_be_local():
    bert, modern = tiny_config(), tiny_config("modernbert")
    assert [bert.is_local(layer) for layer in range(4)] == [False] * 4
    assert [modern.is_local(layer) for layer in range(4)] == [False, True, True, False]
    assert modern.local_window == 4
    assert (modern.rotary_base(local=True), modern.rotary_base(local=False)) == (1e4, 1.6e5)


def test_what_is_written_again_is_what_was_read():
    raw = {**tiny_config().raw, "of_another_program": {"a": [1, None]}}
    assert encoder_config(raw).raw == raw
