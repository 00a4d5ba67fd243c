"""The card is a recipe: what it says can be typed, without a network."""

from __future__ import annotations

import re

import pytest
from huggingface_hub import ModelCard

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


FIGURES = {
    "rows": 959, "accuracy": 0.91658, "interval": [0.89885, 0.93326],
    "macro_f1": 0.90382, "log_loss": 0.22787,
}  # fmt: skip


def test_a_hub_reads_the_scores(tmp_path):
    manifest = Manifest(
        LABELS, 64, {"name": "hfl/rbt3"}, data={"name": "waimai"}, metrics={"test": FIGURES}
    )
    (tmp_path / "README.md").write_text(card(manifest, "adapter"), encoding="utf-8")
    metadata = ModelCard.load(tmp_path / "README.md").data
    assert (metadata.library_name, metadata.base_model) == ("peft", "hfl/rbt3")
    assert metadata.pipeline_tag == "text-classification"
    assert [
        (result.dataset_name, result.dataset_split, result.metric_type, result.metric_value)
        for result in metadata.eval_results
    ] == [
        ("waimai", "test", "accuracy", 0.9166),
        ("waimai", "test", "f1", 0.9038),
        ("waimai", "test", "log_loss", 0.2279),
    ]


def test_scores_are_shown_with_their_interval():
    text = card(Manifest(LABELS, 64, {"name": "b"}, metrics={"test": FIGURES}), "adapter")
    assert "| test | 959 | 91.66% (89.89%–93.33%) | 90.38% | 0.2279 |" in text


@pytest.mark.parametrize("metrics", [{}, {"test": 5}, {"test": {"accuracy": 0.9}}])
def test_scores_that_are_none_are_left_out(metrics):
    """A model made of a stranger's adapter has a card too."""
    text = card(Manifest(LABELS, 64, {"name": "b"}, metrics=metrics), "merged")
    assert "## Scores" not in text
    assert "model-index" not in text


@pytest.mark.parametrize("data", [{"rows": 5}, {"rows": {"train": "x"}}, {"sha256": 5, "name": 5}])
def test_data_that_are_described_otherwise(data):
    assert "## Data" in card(Manifest(LABELS, 64, {"name": "b"}, data=data), "merged")


@pytest.mark.parametrize("name", ["{{ 7 * 7 }}", "a: b", "a\n---\nb", "名\udc80"])
def test_names_are_text_and_no_markup(name):
    text = card(Manifest(LABELS, 64, {"name": "b"}, data={"name": name},
                         metrics={"test": FIGURES}), "adapter")  # fmt: skip
    assert ModelCard(text).data.eval_results[0].dataset_name == name
    written = name.encode("utf-8", "backslashreplace").decode("utf-8")
    assert f"# {written}: a LoRA adapter" in text
