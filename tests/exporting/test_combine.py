"""``combine``: one adapter of several, which answers as what it is made of, or none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.adapters.peft_format import LoraSettings, write_peft
from lora_bert.errors import AdapterError, ConfigError, NotFoundError, OutputError
from lora_bert.exporting import combine as combining
from lora_bert.model.target_modules import parse_layers, target_suffixes
from tests.oracle import random_adapter

TEXTS = ["good tasty", "太慢了", "bad", "", "很好吃 good late " * 9, "fast 3 hot"]
KINDS = [
    {"rank": 4},
    {"rank": 2, "layers": "top:2", "target_modules": "attention"},
    {"rank": 3, "layers": "top:1"},
]
"""Ranks, depths and target modules that differ."""
WEIGHTS = (3, 0.5, 1.5)


def adapter_like(model: Path, place: Path, seed: int, **options) -> Path:
    """A copy of an adapter that has other weights, LoRA elsewhere and of another rank."""
    shutil.copytree(model, place)
    loaded = load_any(model)
    config = loaded.backbone.config
    layers, targets = options.get("layers", "all"), options.get("target_modules", "all-linear")
    made = random_adapter(
        loaded.backbone, labels=len(loaded.manifest.labels), rank=options["rank"], layers=layers,
        target_modules=targets, seed=seed,
    )  # fmt: skip
    made = replace(made, pooling=loaded.adapter.pooling)
    top = parse_layers(layers, config)
    lora = LoraSettings(
        options["rank"], 2.0 * options["rank"], 0.0, target_suffixes(config, targets),
        tuple(top) if top.start else None,
    )  # fmt: skip
    write_peft(
        place, made, lora, config, task_type="SEQ_CLS", revision=None,
        backbone_name=loaded.manifest.backbone_name,
    )  # fmt: skip
    return place


def changed(place: Path, **changes) -> Path:
    """The same adapter, which says something else of itself."""
    path = place / "lora_bert.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return place


def with_tensors(place: Path, change) -> Path:
    """The same adapter with tensors changed, by name."""
    path = place / "adapter_model.safetensors"
    made = {name: change(name, tensor).contiguous() for name, tensor in load_file(path).items()}
    save_file(made, path, metadata={"format": "pt"})
    return place


def of_output(name: str) -> bool:
    return name.startswith("base_model.model.classifier.")


def by_hand(backbone: Path, adapters: list[Path], weights) -> torch.nn.Module:
    """A plain classifier whose weights are the backbone's and the weighted sum of all changes."""
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=2)
    tensors = {name: tensor.double() for name, tensor in model.state_dict().items()}
    heads = set()
    for adapter, weight in zip(adapters, weights, strict=True):
        share = weight / sum(weights)
        config = json.loads((adapter / "adapter_config.json").read_text())
        file = load_file(adapter / "adapter_model.safetensors")
        stored = {name.removeprefix("base_model.model."): tensor.double()
                  for name, tensor in file.items()}  # fmt: skip
        for name, tensor in stored.items():
            if name.endswith(".lora_A.weight"):
                linear = name.removesuffix(".lora_A.weight")
                change = stored[f"{linear}.lora_B.weight"] @ tensor
                tensors[f"{linear}.weight"] += share * config["lora_alpha"] / config["r"] * change
            elif ".lora_" not in name:
                before = tensors[name] if name in heads else torch.zeros_like(tensor)
                tensors[name] = before + share * tensor
                heads.add(name)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model.eval()


def plain_logits(model: torch.nn.Module, adapter: Path) -> np.ndarray:
    tokens = AutoTokenizer.from_pretrained(adapter)(
        TEXTS, padding=True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**tokens).logits.numpy()


def logits(place: Path) -> np.ndarray:
    """What we say, before any softmax."""
    predictor = lora_bert.load(place, dtype="float32")
    rows = np.arange(len(TEXTS))
    return predictor.engine.logits(predictor.tokenizer.encode(TEXTS), rows)


def values(place: Path) -> np.ndarray:
    return lora_bert.load(place, dtype="float32").values(TEXTS)


@pytest.fixture
def three(adapter, tmp_path) -> list[Path]:
    """Adapters of the same labels that differ in everything that may differ."""
    return [adapter_like(adapter, tmp_path / f"a{seed}", seed, **options)
            for seed, options in enumerate(KINDS)]  # fmt: skip


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "modernbert", "albert", "deberta-v2"])
def test_the_weighted_sum_in_our_engine_in_plain_peft_and_merged(model_type, trained, tmp_path):
    place = trained[model_type]
    backbone = place / f"{model_type}-backbone"
    kinds = [{k: v for k, v in kind.items() if k != "layers"} for kind in KINDS]
    adapters = [
        adapter_like(place / "adapter", tmp_path / f"a{seed}", seed, **options)
        for seed, options in enumerate(kinds if model_type == "albert" else KINDS)
    ]
    result = lora_bert.combine(adapters, tmp_path / "out", weights=WEIGHTS)
    assert result.shares == pytest.approx([0.6, 0.1, 0.3])
    assert result.rank == 9
    assert (result.lost, result.moved) == (None, None)
    assert result.difference < 1e-5
    wanted = plain_logits(by_hand(backbone, adapters, WEIGHTS), tmp_path / "out")
    np.testing.assert_allclose(logits(tmp_path / "out"), wanted, rtol=1e-5, atol=1e-5)
    base = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=2)
    peft = PeftModel.from_pretrained(base, tmp_path / "out").eval()
    np.testing.assert_allclose(plain_logits(peft, tmp_path / "out"), wanted, rtol=1e-5, atol=1e-5)
    lora_bert.merge(tmp_path / "out", tmp_path / "merged")
    np.testing.assert_allclose(logits(tmp_path / "merged"), wanted, rtol=1e-5, atol=1e-5)
    alone = [logits(adapter) for adapter in adapters]
    assert min(abs(each - wanted).max() for each in alone) > 1e-2


def test_what_reads_the_mean_of_tokens(trained_on_means, tmp_path):
    place = trained_on_means["bert"] / "adapter"
    other = with_tensors(shutil.copytree(place, tmp_path / "b"), lambda _, tensor: tensor * 1.5)
    lora_bert.combine([place, other], tmp_path / "out")
    lora_bert.merge(tmp_path / "out", tmp_path / "merged")
    np.testing.assert_allclose(values(tmp_path / "out"), values(tmp_path / "merged"), atol=1e-5)
    assert lora_bert.load(tmp_path / "out").manifest.pooling == "mean"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "config.init_lora_weights = True" in card


def test_it_is_an_adapter_like_any_other(three, tmp_path, reviews):
    result = lora_bert.combine(three, tmp_path / "out", weights="0.7,0.3,0")
    assert result.rank == 6  # the third counts for nothing
    assert {path.name for path in result.path.iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "lora_bert.json",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    written = json.loads((result.path / "adapter_config.json").read_text())
    assert (written["r"], written["lora_alpha"], written["layers_to_transform"]) == (6, 6.0, None)
    assert "rank_pattern" not in written
    said = json.loads((result.path / "lora_bert.json").read_text())
    assert said["metrics"] == {}
    assert [part["adapter"] for part in said["combined"]] == ["a0", "a1", "a2"]
    assert [part["share"] for part in said["combined"]] == pytest.approx([0.7, 0.3, 0])
    assert str(tmp_path) not in (result.path / "lora_bert.json").read_text()
    card = (result.path / "README.md").read_text()
    assert "| `a0` | 70.00% | `reviews.csv` |" in card
    assert "No score of the whole was measured" in card
    assert "## Scores" not in card
    assert "model-index" not in card
    assert lora_bert.verify(result.path).passed
    # All learned from the same rows, and held out the same ones.
    assert lora_bert.evaluate(result.path).scores.rows == 12
    assert lora_bert.evaluate(result.path, reviews).scores.rows == 60
    again = lora_bert.combine([result.path, three[2]], tmp_path / "more")
    assert again.rank == 9


def test_equal_shares_unless_said(three, tmp_path):
    ours = lora_bert.combine(three, tmp_path / "out")
    assert ours.shares == (1 / 3, 1 / 3, 1 / 3)
    lora_bert.combine(three, tmp_path / "same", weights=np.full(3, 1e308).tolist())
    np.testing.assert_array_equal(values(tmp_path / "out"), values(tmp_path / "same"))


def test_labels_in_another_order(three, tmp_path):
    lora_bert.combine(three, tmp_path / "out")
    turned = shutil.copytree(three[1], tmp_path / "turned")
    changed(turned, labels=["positive", "negative"])
    with_tensors(turned, lambda name, tensor: tensor.flip(0) if of_output(name) else tensor)
    np.testing.assert_allclose(values(turned), values(three[1])[:, ::-1])
    lora_bert.combine([three[0], turned, three[2]], tmp_path / "also")
    assert lora_bert.load(tmp_path / "also").labels == ("negative", "positive")
    np.testing.assert_array_equal(values(tmp_path / "also"), values(tmp_path / "out"))
    lora_bert.combine([turned, three[0], three[2]], tmp_path / "first")
    assert lora_bert.load(tmp_path / "first").labels == ("positive", "negative")
    np.testing.assert_allclose(
        values(tmp_path / "first")[:, ::-1], values(tmp_path / "out"), atol=1e-6
    )


def test_an_adapter_whose_layers_learned_nothing(three, tmp_path):
    """Its LoRA matrices are zero: the head was best as it was fitted."""
    idle = with_tensors(three[0], lambda name, each: each * 0 if ".lora_B." in name else each)
    result = lora_bert.combine([idle, three[2]], tmp_path / "out")
    written = json.loads((result.path / "adapter_config.json").read_text())
    assert (result.rank, written["layers_to_transform"]) == (3, [3])
    idler = shutil.copytree(idle, tmp_path / "idler")
    nothing = lora_bert.combine([idle, idler], tmp_path / "nothing")
    assert nothing.rank is None
    np.testing.assert_allclose(values(nothing.path), values(idle), atol=1e-6)


def test_a_lower_rank_is_the_nearest_one(three, tmp_path):
    whole = lora_bert.combine(three, tmp_path / "whole")
    cut = lora_bert.combine(three, tmp_path / "cut", rank=5)
    changes = {}
    for place in ("whole", "cut"):
        factors = load_any(tmp_path / place).adapter.factors
        changes[place] = {name: pair.delta().double() for name, pair in factors.items()}
    lost = total = 0.0
    for name, change in changes["whole"].items():
        singular = torch.linalg.svdvals(change)
        apart = torch.linalg.svdvals(change - changes["cut"][name])
        assert apart.square().sum().sqrt() == pytest.approx(
            float(singular[5:].square().sum().sqrt()), rel=1e-3, abs=1e-5
        )
        lost += float(singular[5:].square().sum())
        total += float(singular.square().sum())
    assert cut.rank == 5
    assert cut.lost == pytest.approx((lost / total) ** 0.5, rel=1e-4)
    assert 0 < cut.lost < 1
    assert cut.difference < 1e-5
    texts = lora_bert.inference.samples.probes().texts
    seen = [lora_bert.load(tmp_path / place, dtype="float32").values(texts)
            for place in ("whole", "cut")]  # fmt: skip
    assert cut.moved == pytest.approx(abs(seen[0] - seen[1]).max(), abs=1e-5)
    same = lora_bert.combine(three, tmp_path / "same", rank=whole.rank + 3)
    assert (same.rank, same.lost) == (whole.rank, None)
    np.testing.assert_array_equal(values(tmp_path / "same"), values(tmp_path / "whole"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory, tiny_backbone) -> list[Path]:
    """Regressions whose heads read the same, on scales of their own."""
    place = tmp_path_factory.mktemp("numbers")
    words = (("good", 4.5), ("bad", 1.0), ("hot", 3.25))
    rows = [(f"{word} {n}", str(number + n / 8)) for n in range(8) for word, number in words]
    lora_bert.train(
        rows, backbone=str(tiny_backbone), output=place / "a", task="regression",
        method="head-only", dtype="float32",
    )  # fmt: skip
    settings = {"mean": -200.0, "deviation": 40.0, "spread": 40.0, "decimal_mark": ","}
    other = changed(shutil.copytree(place / "a", place / "b"), settings=settings)
    with_tensors(other, lambda name, tensor: tensor * -0.7 if of_output(name) else tensor)
    return [place / "a", other]


def test_numbers_are_averaged_in_the_users_unit(numbers, tmp_path):
    one, other = (values(place) for place in numbers)
    lora_bert.combine(numbers, tmp_path / "out", weights=[1, 3])
    # Below the last layer they are the same, so that the mean of weights is the mean of answers.
    np.testing.assert_allclose(values(tmp_path / "out"), 0.25 * one + 0.75 * other, rtol=1e-5)
    said = json.loads((tmp_path / "out" / "lora_bert.json").read_text())["settings"]
    assert "decimal_mark" not in said
    spread = [json.loads((place / "lora_bert.json").read_text())["settings"]["spread"]
              for place in numbers]  # fmt: skip
    assert said["spread"] == pytest.approx(0.25 * spread[0] + 0.75 * spread[1])
    assert lora_bert.merge(tmp_path / "out", tmp_path / "merged").difference < 1e-5


@pytest.fixture(scope="module")
def tags(tmp_path_factory, tiny_backbone) -> list[Path]:
    """Multi-label adapters of the same texts whose labels differ, and which change no layer."""
    place = tmp_path_factory.mktemp("tags")
    columns = ({"good": ["x"], "bad": ["y"], "hot": ["x", "y"]},
               {"good": ["z"], "bad": [], "hot": ["w"]})  # fmt: skip
    for name, labels in zip("ab", columns, strict=True):
        rows = [(f"{word} {n}", json.dumps(labels[word]))
                for n in range(12) for word in labels]  # fmt: skip
        lora_bert.train(
            rows, backbone=str(tiny_backbone), output=place / name, method="head-only",
            task="multi_label_classification", dtype="float32",
        )  # fmt: skip
    changed(place / "a", settings={"thresholds": [0.3, 0.9]})
    return [place / "a", place / "b"]


def test_different_labels_stand_side_by_side(tags, tmp_path):
    result = lora_bert.combine(tags, tmp_path / "out")
    assert (result.shares, result.rank) == ((), None)
    alone = [lora_bert.load(place, dtype="float32") for place in tags]
    found = lora_bert.load(result.path, dtype="float32")
    assert found.labels == ("x", "y", "w", "z")
    wanted = np.concatenate([each.values(TEXTS) for each in alone], axis=1)
    np.testing.assert_allclose(found.values(TEXTS), wanted, atol=1e-5)
    each = zip(*(predictor.predict(TEXTS) for predictor in alone), strict=True)
    assert [said.labels for said in found.predict(TEXTS)] == [a.labels + b.labels for a, b in each]
    lines = [json.loads((place / "lora_bert.json").read_text())["settings"]["thresholds"]
             for place in (*tags, result.path)]  # fmt: skip
    assert lines[2] == lines[0] + lines[1]
    assert "| adapter | trained on |" in (result.path / "README.md").read_text()
    rows = [("good 1", '["x", "z"]'), ("bad", '["y"]'), ("hot", "[]")]
    assert lora_bert.evaluate(result.path, rows).scores.rows == 3
    with pytest.raises(ConfigError, match="does not say what rows it was trained on"):
        lora_bert.evaluate(result.path)
    third = changed(shutil.copytree(tags[1], tmp_path / "c"), labels=["u", "v"])
    more = lora_bert.combine([*tags, third], tmp_path / "more")
    assert lora_bert.load(more.path).labels == ("x", "y", "w", "z", "u", "v")


def test_side_by_side_where_the_layers_change_alike(three, tmp_path):
    several = {"problem_type": "multi_label_classification", "settings": {"thresholds": [0.2, 0.6]}}
    places = [changed(shutil.copytree(three[1], tmp_path / name), labels=labels, **several)
              for name, labels in (("b", ["x", "y"]), ("c", ["z", "w"]))]  # fmt: skip
    with_tensors(places[1], lambda name, tensor: tensor * -3 if of_output(name) else tensor)
    result = lora_bert.combine(places, tmp_path / "out")
    assert result.rank == 2
    wanted = np.concatenate([values(place) for place in places], axis=1)
    np.testing.assert_allclose(values(result.path), wanted, atol=1e-5)
    with_tensors(places[1], lambda name, each: each * 1.01 if ".lora_B." in name else each)
    with pytest.raises(ConfigError, match="change the layers differently") as caught:
        lora_bert.combine(places, tmp_path / "no")
    assert "--method head-only" in str(caught.value.hint)


def test_thresholds_are_averaged_as_outputs_are(tags, tmp_path):
    other = changed(
        shutil.copytree(tags[0], tmp_path / "b"), labels=["y", "x"],
        settings={"thresholds": [0.1, 0.3]},
    )  # fmt: skip
    lora_bert.combine([tags[0], other], tmp_path / "out")
    found = json.loads((tmp_path / "out" / "lora_bert.json").read_text())
    assert found["labels"] == ["x", "y"]
    # 0.9 and 0.1 are as far from one half on either side.
    assert found["settings"]["thresholds"] == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_length": 60}, "the tokens kept of a text: 60 and 130"),
        ({"clean": True}, "whether texts are cleaned: True and False"),
        ({"inputs": 2}, "the number of texts in a row: 2 and 1"),
        ({"pooling": "mean"}, "what the head reads: mean and cls"),
        ({"labels": ["negative", "good"]}, "it has no 'positive' and has 'good'"),
        ({"labels": ["negative", "good"], "problem_type": "multi_label_classification"},
         "the task: multi_label_classification and single_label_classification"),
        ({"backbone": {"name": "other", "fingerprint": "0" * 64}}, "the backbone: other"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_differs_is_said(changes, said, three, tmp_path):
    changed(three[1], **changes)
    with pytest.raises(ConfigError) as caught:
        lora_bert.combine(three, tmp_path / "out")
    assert said in str(caught.value)
    assert "a1" in str(caught.value)
    assert str(caught.value.hint).startswith("Train one of them again")
    assert not (tmp_path / "out").exists()


def test_another_tokenizer_is_said(three, tmp_path):
    file = three[1] / "tokenizer.json"
    written = json.loads(file.read_text())
    written["normalizer"]["lowercase"] = not written["normalizer"]["lowercase"]
    file.write_text(json.dumps(written))
    changed(three[1], tokenizer={})
    with pytest.raises(ConfigError, match="they differ in the tokenizer"):
        lora_bert.combine(three, tmp_path / "out")


def test_embeddings_of_its_own_are_said(three, tmp_path):
    """As an adapter has them that PEFT went on with; they are in no sum."""
    copy = shutil.copytree(three[0], tmp_path / "copy")
    weights, name = copy / "adapter_model.safetensors", "bert.embeddings.word_embeddings.weight"
    words = load_any(copy).backbone.word_embeddings + 1
    save_file({**load_file(weights), f"base_model.model.{name}": words}, weights)
    with pytest.raises(ConfigError, match="has embeddings, or a projection of them, of its own"):
        lora_bert.combine([copy, three[1]], tmp_path / "out")


def test_labels_that_several_have_are_named(tags, tmp_path):
    other = changed(shutil.copytree(tags[1], tmp_path / "c"), labels=["y", "q"])
    with pytest.raises(ConfigError, match="share 1 label, and others not: 'y'"):
        lora_bert.combine([tags[0], other], tmp_path / "out")
    for name, value in (("weights", [1, 2]), ("rank", 3)):
        with pytest.raises(ConfigError, match=f"^{name} is for adapters with the same labels"):
            lora_bert.combine(tags, tmp_path / "out", **{name: value})
    hidden = shutil.copytree(tags[1], tmp_path / "d")
    with_tensors(hidden, lambda name, each: each if of_output(name) else each * 1.01)
    with pytest.raises(ConfigError, match=r"different hidden layers \('bert\.pooler\.dense"):
        lora_bert.combine([tags[0], hidden], tmp_path / "out")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1, 2], "weights has 2 numbers, and there are 3 adapters"),
        ("1,2,x", "'x' is not a number from 0 on"),
        ([1, -1, 2], "'-1' is not a number from 0 on"),
        ([1, float("nan"), 2], "'nan' is not a number"),
        ([1, float("inf"), 2], "'inf' is not a number"),
        ([0, 0, 0.0], "are all 0"),
        ("", "weights is empty"),
        (True, "True is not a text"),
    ],
)
def test_weights_that_are_none(weights, said, three, tmp_path):
    with pytest.raises(ConfigError) as caught:
        lora_bert.combine(three, tmp_path / "out", weights=weights)
    assert said in str(caught.value)


def test_what_is_no_adapter(three, adapter, merged, tiny_backbone, tmp_path):
    plain = shutil.copytree(adapter, tmp_path / "plain")
    (plain / "lora_bert.json").unlink()
    (plain / "run.yaml").unlink()
    (tmp_path / "link").symlink_to(three[0])
    for other, said in (
        (merged, "is a merged model; what is combined are adapters"),
        (tiny_backbone, "is a backbone; what is combined are adapters"),
        (plain, "was written by plain PEFT"),
        (tmp_path / "link", "is named twice"),
    ):
        with pytest.raises(ConfigError, match=said):
            lora_bert.combine([three[0], other], tmp_path / "out")
    with pytest.raises(NotFoundError, match="No such adapter"):
        lora_bert.combine([three[0], tmp_path / "absent"], tmp_path / "out")
    with pytest.raises(ConfigError, match="needs two adapters or more"):
        lora_bert.combine(three[:1], tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^rank=33: the backbone's layers are 32 wide"):
        lora_bert.combine(three, tmp_path / "out", rank=33)


def test_where_the_result_may_not_stand(three, tmp_path):
    before = {path: path.read_bytes() for path in three[0].iterdir()}
    for out in (three[0], tmp_path, three[0] / "out"):
        with pytest.raises(OutputError, match=r"is or holds|lies inside"):
            lora_bert.combine(three, out, overwrite=True)
    assert {path: path.read_bytes() for path in three[0].iterdir()} == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").touch()
    with pytest.raises(OutputError, match="not empty"):
        lora_bert.combine(three, tmp_path / "out")
    lora_bert.combine(three, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "config.json").exists()


def test_one_that_answers_otherwise_is_not_kept(three, tmp_path, monkeypatch):
    written = combining.write_combined

    def spoilt(directory, combined):
        written(directory, combined)
        with_tensors(directory, lambda name, each: each * 2 if ".lora_B." in name else each)

    monkeypatch.setattr(combining, "write_combined", spoilt)
    with pytest.raises(AdapterError, match="it was not kept"):
        lora_bert.combine(three, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a0", "a1", "a2"]


def test_rows_that_one_of_them_learned_from_are_said(three, tmp_path, reviews, caplog):
    """Others learned from other rows, so that none are held out by all."""
    path = three[1] / "lora_bert.json"
    data = json.loads(path.read_text())["data"]
    changed(three[1], data=data | {"sha256": "0" * 64, "name": "others"})
    (three[1] / "run.yaml").unlink()
    lora_bert.combine(three, tmp_path / "out")
    said = json.loads((tmp_path / "out" / "lora_bert.json").read_text())
    assert said["data"] == {"columns": data["columns"]}
    assert [part["name"] for part in said["combined"]] == ["reviews.csv", "others", "reviews.csv"]
    with pytest.raises(ConfigError, match="does not say what rows it was trained on"):
        lora_bert.evaluate(tmp_path / "out")
    for part in ("auto", "validation"):
        caplog.clear()
        lora_bert.evaluate(tmp_path / "out", reviews, part=part)
        assert "this score is too good." in caplog.text
        assert "leave --data out" not in caplog.text
    lora_bert.combine([tmp_path / "out", three[1]], tmp_path / "again")
    caplog.clear()
    lora_bert.evaluate(tmp_path / "again", reviews)
    assert "this score is too good." in caplog.text
