"""What an adapter directory holds, and what it must not: other dtypes, paths, people's texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import lora_bert
from lora_bert.adapters.describe import describe
from lora_bert.adapters.directory import kind_of
from lora_bert.adapters.loading import load_any
from lora_bert.errors import AdapterError, NotFoundError
from tests.tiny import FAMILIES, write_backbone

FILES = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "curve.png",
    "lora_bert.json",
    "run.yaml",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_files(adapter):
    assert {path.name for path in adapter.iterdir()} == FILES


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_saved_tensor_is_float32(dtype, tiny_backbone, reviews, tmp_path):
    lora_bert.train(
        reviews, backbone=str(tiny_backbone), output=tmp_path / "a", epochs=1, dtype=dtype
    )
    saved = load_file(tmp_path / "a" / "adapter_model.safetensors")
    names = {name.removeprefix("base_model.model.") for name in saved}
    assert names >= {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight"}
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_nothing_else_of_the_backbone_is_saved(model_type, trained):
    saved = load_file(trained[model_type] / "adapter" / "adapter_model.safetensors")
    frozen = load_file(trained[model_type] / f"{model_type}-backbone" / "model.safetensors")
    head = ("classifier", "pooler", "head.")
    for name in saved:
        assert "lora_" in name or any(part in name for part in head)
    assert sum(part.numel() for part in saved.values()) < sum(
        part.numel() for part in frozen.values()
    )


def test_neither_a_path_of_this_machine_nor_a_text_is_kept(tmp_path):
    backbone = write_backbone(tmp_path / "secret-place" / "tiny-bert")
    place = tmp_path / "secret-place" / "rows"
    place.mkdir()
    texts = [f"confidential zq{number}x good" for number in range(40)]
    for part, chosen in (("train", texts[:20]), ("validation", texts[20:])):
        rows = [f"{number % 2},{text}" for number, text in enumerate(chosen)]
        (place / f"{part}.csv").write_text("\n".join(["label,text", *rows]) + "\n")
    outputs = {}
    outputs["directory"] = tmp_path / "one"
    lora_bert.train(place, backbone=str(backbone), output=outputs["directory"], epochs=1)
    outputs["files"] = tmp_path / "two"
    lora_bert.train(
        train=str(place / "train.csv"), validation=str(place / "validation.csv"),
        backbone=str(backbone), output=outputs["files"], epochs=1,
    )  # fmt: skip
    outputs["merged"] = tmp_path / "merged"
    lora_bert.merge(outputs["files"], outputs["merged"])
    words = [str(tmp_path), str(Path.home()), str(Path.cwd()), "secret-place", "confidential"]
    words += [text.split()[1] for text in texts]
    words = [word for word in words if word != "/"]  # a home in some containers
    for output in outputs.values():
        for path in output.rglob("*"):
            content = path.read_bytes()
            for word in words:
                for encoded in (word.encode(), word.encode("utf-16-le")):
                    assert encoded not in content, f"{word} in {path.name}"


def test_run_yaml_repeats_the_run(adapter, reviews, tiny_backbone, tmp_path, monkeypatch):
    written = yaml.safe_load((adapter / "run.yaml").read_text())
    assert written["data"] == reviews.name
    assert written["backbone"] == tiny_backbone.name
    assert written["alpha"] == 16.0
    monkeypatch.chdir(reviews.parent)
    lora_bert.train(**written, output=tmp_path / "again")
    for name in ("adapter_model.safetensors", "lora_bert.json", "run.yaml", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (adapter / name).read_bytes()


def test_the_card_gives_the_command(tiny_backbone, reviews, tmp_path, monkeypatch):
    monkeypatch.chdir(reviews.parent)
    lora_bert.train(
        reviews.name, backbone=str(tiny_backbone), output=tmp_path / "a", epochs=1,
        rank=4, alpha=7, layers="top:2", label_names="positive=yes please,negative=no",
    )  # fmt: skip
    card = (tmp_path / "a" / "README.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("lora-bert train"))
    for part in (
        f"--data {reviews.name}",
        f"--backbone {tiny_backbone.name}",
        "--rank 4",
        "--alpha 7",
        "--layers top:2",
        "'positive=yes please,negative=no'",
    ):
        assert part in line
    assert '2, in this order: "no", "yes please"' in card


def test_the_usual_alpha_is_not_in_the_command(adapter):
    assert "--alpha" not in (adapter / "README.md").read_text()


def test_what_the_manifest_says(adapter, tiny_backbone, reviews):
    said = json.loads((adapter / "lora_bert.json").read_text())
    assert said["labels"] == ["negative", "positive"]
    assert said["backbone"]["name"] == tiny_backbone.name
    assert said["backbone"]["model_type"] == "bert"
    assert said["data"]["name"] == reviews.name
    assert said["data"]["rows"] == {"train": 48, "validation": 12}
    assert said["metrics"]["validation"]["rows"] == 12


def test_describe(adapter, merged, tiny_backbone):
    found = describe(adapter)
    assert found["kind"] == "adapter"
    assert found["labels"] == ["negative", "positive"]
    assert found["backbone_here"] == str(tiny_backbone)
    assert found["rank"] == 8
    assert found["parameters"] == sum(
        tensor.numel() for tensor in load_file(adapter / "adapter_model.safetensors").values()
    )
    assert describe(merged)["kind"] == "merged model"
    assert describe(merged)["labels"] == ["negative", "positive"]
    assert describe(tiny_backbone)["kind"] == "backbone"
    json.dumps([describe(path) for path in (adapter, merged, tiny_backbone)])


@pytest.mark.parametrize(
    "gone",
    [
        "adapter_config.json",
        "adapter_model.safetensors",
        "lora_bert.json",
        "tokenizer.json",
    ],
)
def test_a_lost_file_is_named(gone, adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    (copy / gone).unlink()
    with pytest.raises(AdapterError, match=f"not a whole adapter: it has no {gone}"):
        load_any(copy)


@pytest.mark.parametrize("name", ["adapter_config.json", "lora_bert.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"labels": 3, "schema_version": 1}'])
def test_damaged_json(name, text, adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    (copy / name).write_text(text)
    with pytest.raises(AdapterError, match=name):
        load_any(copy)


@pytest.mark.parametrize("size", [0, 20, -1])
def test_truncated_weights(size, adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    weights = copy / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(AdapterError, match="is damaged or not a safetensors file"):
        load_any(copy)


@pytest.mark.parametrize(
    ("extra", "model_type"),
    [
        ({"hidden_size": 64}, "bert"),
        ({"intermediate_size": 64}, "bert"),
        ({"num_hidden_layers": 2}, "bert"),
        ({}, "distilbert"),
        ({}, "modernbert"),
        ({}, "roberta"),
    ],
)
def test_another_backbone(extra, model_type, adapter, tmp_path):
    other = write_backbone(tmp_path / "other", model_type, **extra)
    with pytest.raises(AdapterError) as caught:
        load_any(adapter, backbone=str(other))
    assert "backbone" in caught.value.hint


def test_a_backbone_that_is_gone(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    backbone = write_backbone(tmp_path / "soon-gone")
    adapter = tmp_path / "adapter"
    lora_bert.train(reviews, backbone=str(backbone), output=adapter, epochs=1)
    moved = backbone.rename(tmp_path / "elsewhere")
    import huggingface_hub.constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(
            lora_bert.LoraBertError, match="needs the backbone 'soon-gone'"
        ) as found:
            load_any(adapter)
    assert "--backbone" in found.value.hint
    # Said once, it is remembered.
    load_any(adapter, backbone=str(moved))
    assert load_any(adapter).files.path == moved


def test_a_backbone_that_is_given_for_a_known_one_leaves_the_cache_alone(
    backbones_dir, reviews, tmp_path, monkeypatch
):
    """The wheel's own backbone is not unpacked into it only to be passed over."""
    adapter = lora_bert.train(reviews, output=tmp_path / "out", limit=8, epochs=1).path
    cache = tmp_path / "cache"
    monkeypatch.setenv("LORA_BERT_CACHE", str(cache))
    copy = backbones_dir / "e5-small-zh-en"
    assert load_any(adapter, backbone=str(copy)).files.path == copy.resolve()
    assert not list(cache.glob("backbones/*/"))


def test_neither_adapter_nor_model(tmp_path):
    with pytest.raises(AdapterError, match="neither an adapter"):
        kind_of(tmp_path)
    with pytest.raises(NotFoundError, match="No such adapter or merged model"):
        kind_of(tmp_path / "nowhere")


def test_a_backbone_is_not_a_classifier(tiny_backbone):
    with pytest.raises(AdapterError, match="is a backbone, not a classifier"):
        load_any(tiny_backbone)
