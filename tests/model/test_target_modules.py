"""Which layers ``--target-modules`` and ``--layers`` mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert.backbones.families.registry import encoder_config
from lora_bert.errors import ConfigError
from lora_bert.model.target_modules import (
    parse_layers,
    resolved_layers,
    target_names,
    target_suffixes,
)
from tests.tiny import FAMILIES, tiny_classifier, tiny_config

BERT = tiny_config()


def parse(layers, count):
    """What is meant of a BERT with ``count`` layers."""
    return parse_layers(layers, replace(BERT, num_hidden_layers=count))


def resolved(layers, count):
    return resolved_layers(layers, replace(BERT, num_hidden_layers=count))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_all_linear_is_every_linear_layer_of_the_encoder(model_type):
    import torch

    model = tiny_classifier(model_type)
    config = encoder_config(model.config.to_dict())
    inside = config.layout.prefix + config.layout.layer.partition(".{}")[0]
    theirs = {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(inside)
    }
    assert set(target_names(config, "all-linear", "all")) == theirs


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("bert", ("query", "key", "value", "attention.output.dense")),
        ("distilbert", ("q_lin", "k_lin", "v_lin", "out_lin")),
        ("modernbert", ("attn.Wqkv", "attn.Wo")),
        ("mpnet", ("attn.q", "attn.k", "attn.v", "attn.o")),
        ("albert", ("attention.query", "attention.key", "attention.value", "attention.dense")),
    ],
)
def test_attention_is_the_four_projections_of_attention(model_type, expected):
    found = target_suffixes(tiny_config(model_type), "attention")
    assert len(found) == len(expected)
    assert all(path.endswith(name) for path, name in zip(found, expected, strict=True))


def test_a_name_means_every_path_that_ends_with_it():
    assert target_suffixes(BERT, "output.dense") == ("attention.output.dense", "output.dense")
    assert target_suffixes(BERT, "value, query") == ("attention.self.query", "attention.self.value")
    assert target_suffixes(BERT, "query,self.query") == ("attention.self.query",)


def test_a_name_that_matches_nothing_says_what_would():
    with pytest.raises(ConfigError, match="'q_lin' matches no linear layer of a bert") as caught:
        target_suffixes(BERT, "query,q_lin")
    assert "all-linear, attention, attention.self.query" in caught.value.hint
    # Part of a word is not a name.
    with pytest.raises(ConfigError, match="'uery' matches no"):
        target_suffixes(BERT, "uery")  # codespell:ignore


@pytest.mark.parametrize("text", ["", " , ,"])
def test_naming_nothing_is_an_error(text):
    with pytest.raises(ConfigError, match="names nothing"):
        target_suffixes(BERT, text)


@given(count=st.integers(1, 48), data=st.data())
def test_top_n_is_the_last_n_layers(count, data):
    top = data.draw(st.integers(1, count))
    assert list(parse(f"top:{top}", count)) == list(range(count))[-top:]
    assert list(parse("all", count)) == list(range(count))


@pytest.mark.parametrize("layers", ["top:0", "top:5", "top:99"])
def test_more_layers_than_there_are(layers):
    with pytest.raises(ConfigError, match="the backbone has 4 layers") as caught:
        parse(layers, 4)
    assert "1 to 4" in caught.value.hint


@pytest.mark.parametrize("layers", ["", "top", "top:", "top:-1", "top:2.5", "bottom:2", "ALL"])
def test_other_forms_are_refused(layers):
    with pytest.raises(ConfigError, match="none of 'auto', 'all' and 'top:N'"):
        parse(layers, 4)


@pytest.mark.parametrize(("count", "first"), [(1, 0), (2, 1), (5, 2), (6, 3), (12, 6), (22, 11)])
def test_auto_is_the_upper_half(count, first):
    assert parse(resolved("auto", count), count).start == first


def test_layers_that_are_named_stay():
    assert [resolved(asked, 12) for asked in ("all", "top:3")] == ["all", "top:3"]


def test_layers_that_share_their_weights_are_adapted_together():
    config = tiny_config("albert", num_hidden_layers=12)
    assert resolved_layers("auto", config) == "all"
    assert len(target_names(config, "all-linear", "all")) == 6
    with pytest.raises(ConfigError, match="layers of this albert backbone share their weights"):
        parse_layers("top:4", config)
