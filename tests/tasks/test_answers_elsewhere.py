"""A model that finds answers in plain ``transformers``, plain PEFT and exported graphs."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.backbones.families.bert import BERT
from lora_bert.backbones.families.registry import FAMILIES as FAMILIES_HERE
from lora_bert.errors import BackboneError
from tests.oracle import of_plain_peft
from tests.tasks.answers import LONG, rows, write_rows
from tests.tiny import FAMILIES, write_backbone

PAIRS = [("good", "good tasty cold awful late."), ("good", "good fine awful late."),
         ("good", LONG + "good hot awful fast.")]  # fmt: skip


def assert_same(place: Path, model, **options) -> None:
    """That a ``transformers`` or PEFT model gives every token the start and end logits of ours."""
    predictor = lora_bert.load(place, dtype="float32", **options)
    tokens = predictor.tokenizer.encode(PAIRS)
    padded = tokens.pad(np.arange(len(tokens)))
    inputs = {"input_ids": padded.ids, "attention_mask": padded.mask.astype(np.int64)}
    if padded.token_type_ids is not None:
        inputs["token_type_ids"] = padded.token_type_ids
    with torch.no_grad():
        said = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    theirs = torch.stack([said.start_logits, said.end_logits], dim=-1).numpy()
    ours, last = predictor.values(PAIRS), 0
    for each in ours:
        at = np.concatenate([
            theirs[last + number][: tokens.lengths[last + number]]
            for number in range(len(each.ends))
        ])  # fmt: skip
        spans = tokens.spans[tokens.starts[last] : tokens.starts[last + len(each.ends)], 0] >= 0
        np.testing.assert_allclose(each.logits, at[spans], atol=1e-4)
        np.testing.assert_allclose(each.null, theirs[last : last + len(each.ends), 0], atol=1e-4)
        last += len(each.ends)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_family_in_transformers_and_peft(model_type, tmp_path):
    backbone = write_backbone(tmp_path / "backbone", model_type)
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    lora_bert.train(
        write_rows(tmp_path / "a.jsonl", rows(12)), backbone=backbone, output=adapter, epochs=1,
        learning_rate=0.03, dtype="float32",
    )  # fmt: skip
    assert lora_bert.merge(adapter, merged).difference < 1e-5
    model, loading = AutoModelForQuestionAnswering.from_pretrained(merged, output_loading_info=True)
    assert not any(loading.values())
    assert_same(merged, model.eval())

    base = AutoModelForQuestionAnswering.from_pretrained(backbone, num_labels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=FutureWarning)
        peft = PeftModel.from_pretrained(base, adapter).eval()
    # PEFT's own forward for question answering leaves out the token types.
    assert_same(adapter, peft.get_base_model())


@pytest.mark.parametrize(
    ("model_type", "modules"), [("bert", ["query", "value"]), ("modernbert", ["Wqkv"])]
)
def test_plain_peft_is_opened(model_type, modules, tmp_path):
    backbone = write_backbone(tmp_path / "backbone", model_type)
    torch.manual_seed(0)
    base = AutoModelForQuestionAnswering.from_pretrained(backbone, num_labels=2)
    saved = ["head", "classifier"] if model_type == "modernbert" else ["qa_outputs"]
    peft = of_plain_peft(base, "QUESTION_ANS", modules, saved)
    peft.save_pretrained(tmp_path / "plain")
    assert_same(tmp_path / "plain", peft.get_base_model(), backbone=str(backbone))


@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_exported_graphs(form, reader, tmp_path):
    pytest.importorskip("onnxruntime" if form == "onnx" else "openvino")
    result = lora_bert.export(reader, tmp_path / form, format=form)
    assert result.asked_as == '--question "…" --context "…"'
    assert result.difference < 1e-4
    assert result.agreement == 1
    ours, theirs = lora_bert.load(reader, dtype="float32"), lora_bert.load(tmp_path / form)
    many = PAIRS * 20  # rows of one batch are padded
    for one, two in zip(ours.predict(many), theirs.predict(many), strict=True):
        assert (one.answer, one.start) == (two.answer, two.start)


def test_the_recipe_of_the_card_gives_our_answers(reader, tmp_path):
    merged = tmp_path / "merged"
    lora_bert.merge(reader, merged)
    card = (merged / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)\n```", card, re.S)
               if "def answer" in block]  # fmt: skip
    names: dict = {}
    exec(code.replace("THIS_DIRECTORY", str(merged)), names)
    ours = lora_bert.load(merged, dtype="float32").predict(PAIRS)
    assert [names["answer"](*pair) for pair in PAIRS] == [each.answer for each in ours]
    assert [bool(each.answer) for each in ours] == [True, False, True]


def test_a_merged_model_says_what_it_is(reader, tmp_path):
    merged = tmp_path / "merged"
    lora_bert.merge(reader, merged)
    config = json.loads((merged / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert config["problem_type"] is None
    ours = lora_bert.load(merged).predict(PAIRS[:1])
    (merged / "lora_bert.json").unlink()  # as if somebody else had made it
    loaded = load_any(merged)
    assert loaded.manifest.problem_type == "question_answering"
    assert loaded.manifest.inputs == 2
    assert lora_bert.load(merged).predict(PAIRS[:1])[0].answer == ours[0].answer
    assert lora_bert.verify(merged).passed
    tokenizer = AutoTokenizer.from_pretrained(merged)
    assert tokenizer.model_max_length == loaded.manifest.max_length


def test_a_family_without_such_a_head_is_named(foods, tmp_path, monkeypatch):
    layout = replace(BERT.layout, answer_head=None)
    mine = replace(BERT, model_type="mine", architecture="MineForSequenceClassification",
                   layout=layout)  # fmt: skip
    monkeypatch.setitem(FAMILIES_HERE, "mine", mine)
    backbone = write_backbone(tmp_path / "backbone")
    path = backbone / "config.json"
    path.write_text(path.read_text().replace('"model_type": "bert"', '"model_type": "mine"'))
    with pytest.raises(BackboneError, match="transformers has no MineForQuestionAnswering"):
        lora_bert.train(foods, backbone=backbone, output=tmp_path / "a")
