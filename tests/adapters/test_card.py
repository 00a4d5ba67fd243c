"""The card is a recipe: what it says can be typed, without a network."""

from __future__ import annotations

import re

import pytest

import lora_bert
from lora_bert.adapters.card import card
from lora_bert.adapters.manifest import Manifest

LABELS = ("no", "yes")


def python_blocks(text, **places):
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    for name, place in places.items():
        blocks = [block.replace(f'"{name}"', repr(str(place))) for block in blocks]
    return [block.replace("…", "good tasty") for block in blocks]


def test_every_line_of_an_adapters_card_runs(adapter, tiny_backbone):
    text = (adapter / "README.md").read_text(encoding="utf-8")
    assert 'lora-bert infer --adapter THIS_DIRECTORY --backbone DIR "…"' in text
    ours, plain = python_blocks(text, THIS_DIRECTORY=adapter, DIR=tiny_backbone)
    exec(ours, {})
    names: dict[str, object] = {}
    exec(plain, names)
    batch = names["tokenizer"]("good tasty", return_tensors="pt")  # type: ignore[operator]
    logits = names["model"].eval()(**batch).logits  # type: ignore[attr-defined]
    theirs = logits.softmax(-1).tolist()[0]
    found = lora_bert.load(adapter, backbone=str(tiny_backbone), dtype="float32")
    assert theirs == pytest.approx(found.probabilities(["good tasty"])[0].tolist(), abs=1e-5)


def test_the_embedded_backbone_needs_no_network():
    text = card(Manifest(LABELS, 64, {"name": "e5-small-zh-en"}), "adapter")
    assert "no network is needed" in text
    _, plain = python_blocks(text)
    assert 'lora_bert.backbone_path("e5-small-zh-en"), num_labels=2' in plain
    assert "--backbone" not in text


@pytest.mark.parametrize(
    ("backbone", "code"),
    [
        ({"name": "bert-base-chinese", "revision": "8f23c2"}, 'revision="8f23c2"'),
        ({"name": "hfl/rbt3", "revision": None}, '"hfl/rbt3", num_labels=2'),
    ],
)
def test_a_backbone_from_the_hub_is_named(backbone, code):
    text = card(Manifest(LABELS, 64, backbone), "adapter")
    assert "from the model hub once" in text
    assert "--backbone DIR" in text
    assert code in python_blocks(text)[1]


def test_it_says_how_to_install(adapter, merged):
    for place in (adapter, merged):
        assert "pip install" in (place / "README.md").read_text(encoding="utf-8")
