"""Models and adapters that do something else than give a text one label are named, not answered."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.adapters.describe import describe
from lora_bert.backbones.resolve import find_backbone
from lora_bert.errors import AdapterError, BackboneError, ConfigError
from tests.tiny import tiny_classifier

NAMES = ["toxic", "insult", "spam"]


def change(path: Path, **keys) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.fixture
def somebodys(tiny_backbone, tmp_path):
    """Saves a tiny model as transformers does, with the tiny tokenizer."""

    def make(model=None, **options) -> Path:
        if model is None:
            labels = options.pop("labels", 3)
            model = tiny_classifier("bert", labels=labels)
            for key, value in options.items():
                setattr(model.config, key, value)
        place = tmp_path / "somebodys"
        model.save_pretrained(place)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_backbone / name, place)
        return place

    return make


def every_command(place: Path, reviews: Path, out: Path):
    yield lambda: lora_bert.load(place)
    yield lambda: lora_bert.evaluate(place, data=str(reviews))
    yield lambda: lora_bert.merge(place, out)
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        yield lambda: lora_bert.export(place, out, format="onnx")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"problem_type": "ranking"}, "for a problem that is not known here .* 'ranking'"),
    ],
)
def test_other_problems_are_refused_by_every_command(options, says, somebodys, reviews, tmp_path):
    place = somebodys(**options)
    before = (place / "config.json").read_bytes()
    for command in every_command(place, reviews, tmp_path / "out"):
        with pytest.raises(AdapterError, match=says):
            command()
    assert not (tmp_path / "out").exists()
    assert (place / "config.json").read_bytes() == before
    found = lora_bert.verify(place)
    assert (found.kind, found.exit_code) == ("merged", 65)
    assert describe(place)["problem_type"] == options["problem_type"]


def test_a_regression_of_several_numbers(somebodys):
    place = somebodys(problem_type="regression")
    with pytest.raises(AdapterError, match="is a regression with 3 outputs; one is answered"):
        lora_bert.load(place)
    assert lora_bert.verify(place).exit_code == 65


def test_several_labels_and_numbers_are_answered(somebodys):
    place = somebodys(problem_type="multi_label_classification")
    assert set(lora_bert.load(place).predict(["good"])[0].scores) == {
        "LABEL_0", "LABEL_1", "LABEL_2",
    }  # fmt: skip
    assert lora_bert.verify(place).passed
    place = somebodys(labels=1)
    assert describe(place)["problem_type"] == "regression"
    assert isinstance(lora_bert.load(place).predict(["good"])[0], float)
    assert lora_bert.verify(place).passed


@pytest.mark.parametrize("said", [None, "single_label_classification"])
def test_one_label_a_text_is_answered(said, somebodys):
    place = somebodys(problem_type=said)
    assert lora_bert.load(place).predict(["good"])
    assert describe(place)["problem_type"] == "single_label_classification"
    assert lora_bert.verify(place).passed


def test_labels_that_nobody_named(somebodys, reviews, tmp_path):
    """transformers writes no id2label where there are two labels without a name."""
    place = somebodys(labels=2)
    assert "id2label" not in json.loads((place / "config.json").read_text())
    assert lora_bert.load(place).labels == ("LABEL_0", "LABEL_1")
    assert describe(place)["labels"] == ["LABEL_0", "LABEL_1"]
    assert lora_bert.verify(place).passed
    assert lora_bert.load(place).predict(["good"])[0].label in ("LABEL_0", "LABEL_1")
    change(place / "config.json", problem_type="regression")
    assert describe(place)["problem_type"] == "regression"


def test_outputs_of_which_nothing_is_said(somebodys):
    place = somebodys(labels=4)
    settings = json.loads((place / "config.json").read_text())
    plain_settings = {k: v for k, v in settings.items() if k not in ("id2label", "label2id")}
    (place / "config.json").write_text(json.dumps(plain_settings))
    assert lora_bert.load(place).labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")


def test_a_head_that_lacks_a_layer(somebodys):
    config = tiny_classifier("bert").config
    place = somebodys(transformers.BertForTokenClassification(config))
    change(place / "config.json", architectures=None)
    with pytest.raises(AdapterError, match=r"has no 'bert\.pooler\.dense', which a bert classif"):
        lora_bert.load(place)


def test_a_backbone_is_not_called_merged(tiny_backbone, tmp_path):
    with pytest.raises(ConfigError, match="is a backbone; what is merged is an adapter"):
        lora_bert.merge(tiny_backbone, tmp_path / "m")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("MaskedLM", "is a masked language model"),
        ("MultipleChoice", "chooses among several texts"),
        ("NextSentencePrediction", "two texts follow each other"),
    ],
)
def test_other_models_are_named(head, says, somebodys, reviews, tmp_path):
    config = tiny_classifier("bert").config
    place = somebodys(getattr(transformers, f"BertFor{head}")(config))
    for command in every_command(place, reviews, tmp_path / "out"):
        with pytest.raises(AdapterError, match=f"{says}.* \\(BertFor{head}\\)"):
            command()


def test_a_class_of_somebodys_own_is_named(somebodys):
    place = somebodys()
    change(place / "config.json", architectures=["BertForMultiLabelSequenceClassification"])
    with pytest.raises(AdapterError, match="BertForMultiLabelSequenceClassification"):
        lora_bert.load(place)


def test_its_encoder_can_be_trained_on_and_passes_nothing_on(somebodys, reviews, tmp_path):
    place = somebodys(problem_type="multi_label_classification")
    lora_bert.train(reviews, backbone=str(place), output=tmp_path / "a", epochs=1)
    lora_bert.merge(tmp_path / "a", tmp_path / "m")
    written = json.loads((tmp_path / "m" / "config.json").read_text())
    assert written["problem_type"] == "single_label_classification"
    assert written["id2label"] == {"0": "negative", "1": "positive"}
    assert lora_bert.load(tmp_path / "m").predict(["good"])


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_an_exported_one(format, merged, tmp_path):
    for package in ("onnx", "onnxruntime" if format == "onnx" else "openvino"):
        pytest.importorskip(package)
    lora_bert.export(merged, tmp_path / "e", format=format)
    change(tmp_path / "e" / "config.json", problem_type="ranking")
    with pytest.raises(AdapterError, match="for a problem that is not known here"):
        lora_bert.load(tmp_path / "e")
    assert lora_bert.verify(tmp_path / "e").exit_code == 65


def test_an_adapter_of_a_later_version(adapter, tmp_path):
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    change(own / "lora_bert.json", problem_type="ranking")
    with pytest.raises(AdapterError, match="problem_type 'ranking' is not supported") as e:
        lora_bert.load(own)
    assert "update lora-bert" in e.value.hint


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("CAUSAL_LM", "writing texts"),
        ("FEATURE_EXTRACTION", "making embeddings"),
        ("SOMETHING", "another task"),
    ],
)
def test_plain_pefts_for_other_tasks(task, says, adapter, tmp_path):
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    change(own / "adapter_config.json", task_type=task)
    with pytest.raises(AdapterError, match=f"{says} .*task_type '{task}'"):
        lora_bert.load(own)


def plain(adapter: Path, place: Path) -> Path:
    """The adapter as plain PEFT would have written it."""
    shutil.copytree(adapter, place)
    for name in ("lora_bert.json", "run.yaml"):
        (place / name).unlink()
    return place


def test_plain_pefts_on_a_multi_label_backbone(adapter, somebodys, tmp_path):
    base = somebodys(problem_type="multi_label_classification")
    own = plain(adapter, tmp_path / "plain")
    assert lora_bert.load(own, backbone=str(base)).predict(["good"])[0].scores.keys() == {
        "LABEL_0", "LABEL_1",
    }  # fmt: skip
    change(base / "config.json", problem_type=None)
    assert lora_bert.load(own, backbone=str(base)).predict(["good"])[0].label
    change(base / "config.json", problem_type="ranking")
    with pytest.raises(AdapterError, match="has 2 outputs of the problem_type 'ranking'"):
        lora_bert.load(own, backbone=str(base))


def test_plain_pefts_with_one_output(adapter, tiny_backbone, tmp_path):
    own = plain(adapter, tmp_path / "plain")
    weights = own / "adapter_model.safetensors"
    tensors = load_file(weights)
    for name, tensor in tensors.items():
        if ".classifier." in name:
            tensors[name] = tensor[:1].clone()
    save_file(tensors, weights, metadata={"format": "pt"})
    assert any(len(tensor) == 1 and tensor.dtype == torch.float32 for tensor in tensors.values())
    assert isinstance(lora_bert.load(own, backbone=str(tiny_backbone)).predict(["good"])[0], float)


@pytest.mark.parametrize(
    ("config", "says", "hint"),
    [
        ({"peft_type": "IA3"}, "but one of the kind 'IA3'", "merge_and_unload"),
        ({"peft_type": "PREFIX_TUNING"}, "but one of the kind 'PREFIX_TUNING'", ""),
        ({"config": {"reduction_factor": 16}}, "one of the library 'adapters'", "That library"),
        ({"r": 4}, "it has no 'peft_type'", ""),
    ],
)
def test_adapters_of_other_kinds(config, says, hint, adapter, tmp_path):
    own = plain(adapter, tmp_path / "plain")
    (own / "adapter_config.json").write_text(json.dumps(config))
    (own / "adapter_model.safetensors").unlink()
    for command in (lora_bert.load, describe):
        with pytest.raises(AdapterError, match=says) as caught:
            command(own)
        assert hint in caught.value.hint
        assert bool(caught.value.hint) == bool(hint)
    with pytest.raises(BackboneError, match="is an adapter") as refused:
        find_backbone(str(own))
    assert "merge" not in refused.value.hint
    assert refused.value.hint.endswith(".")


def test_an_adapter_whose_weights_are_a_pickle(adapter, tmp_path):
    own = plain(adapter, tmp_path / "plain")
    (own / "adapter_model.safetensors").rename(own / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"only as a pickle \(adapter_model\.bin\)"):
        lora_bert.load(own)
