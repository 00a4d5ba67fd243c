"""``verify`` finds what is wrong, says it in its line, and looks no further."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import lora_bert
from lora_bert.errors import AdapterError, NotFoundError
from tests.tiny import FAMILIES


def outcome(found):
    return {check.name: check.passed for check in found.checks}


@pytest.fixture
def own(adapter, tmp_path):
    return Path(shutil.copytree(adapter, tmp_path / "own"))


def test_a_whole_adapter(adapter):
    found = lora_bert.verify(adapter)
    assert (found.kind, found.passed, found.exit_code) == ("adapter", True, 0)
    names = ["files", "description", "weights", "backbone", "tokenizer", "answers"]
    assert outcome(found) == dict.fromkeys(names, True)
    said = {check.name: check.said for check in found.checks}
    assert said["description"] == "2 labels, rank 8"
    assert "7,778 finite numbers" in said["weights"]
    assert "fingerprint" in said["backbone"]
    assert json.loads(json.dumps(found.as_dict()))["passed"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family, trained):
    place = trained[family]
    for path in (place / "adapter", place / "merged", place / f"{family}-backbone"):
        found = lora_bert.verify(path, **(
            {"backbone": str(place / f"{family}-backbone")} if path.name == "adapter" else {}
        ))  # fmt: skip
        assert found.passed, found.checks


def test_merged_exported_and_backbone(merged, tiny_backbone, tmp_path):
    assert lora_bert.verify(merged).kind == "merged"
    assert lora_bert.verify(tiny_backbone).kind == "backbone"
    assert lora_bert.verify("e5-small-zh-en").passed
    pytest.importorskip("onnx")
    lora_bert.export(merged, tmp_path / "graph", format="onnx")
    found = lora_bert.verify(tmp_path / "graph")
    assert (found.kind, found.passed) == ("onnx", True)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "failed", "code", "says"),
    [
        (lambda own: (own / "adapter_config.json").unlink(), "files", 65, "lacks 'adapter_config"),
        (lambda own: (own / "old.pt").write_bytes(b"x"), "files", 65, "a pickle could run code"),
        (lambda own: (own / "run.yaml").write_text("rnk: 8"), "description", 2, "unknown key"),
        (lambda own: cut(own / "lora_bert.json"), "description", 65, "not valid JSON"),
        (lambda own: cut(own / "adapter_model.safetensors"), "weights", 65, "is damaged"),
        (lambda own: cut(own / "tokenizer.json"), "backbone", 65, "is damaged"),
    ],
)
def test_what_is_wrong_is_found(spoil, failed, code, says, own):
    spoil(own)
    found = lora_bert.verify(own)
    assert found.exit_code == code
    names = list(outcome(found))
    at = names.index(failed)
    assert [outcome(found)[name] for name in names] == [
        *[True] * at, False, *[None] * (len(names) - at - 1)
    ]  # fmt: skip
    assert says in found.checks[at].said


def changed(path: Path) -> None:
    """As ever in its format, with another last byte."""
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def test_weights_that_were_not_written_so(own, merged, tiny_backbone, tmp_path):
    """Whole in their format, and others: nothing but what was kept tells."""
    place = shutil.copytree(merged, tmp_path / "merged")
    session = lora_bert.Session(tiny_backbone)
    for path, file in ((own, "adapter_model.safetensors"), (place, "model.safetensors")):
        changed(path / file)
        failed = next(check for check in lora_bert.verify(path).checks if check.passed is False)
        assert failed.name == "weights"
        assert f"'{path / file}' is not the file that was written" in failed.said
    with pytest.raises(AdapterError, match="is not the file that was written"):
        session.add(own, verify=True)
    assert session.add(own) == "own"
    manifest = own / "lora_bert.json"
    kept = json.loads(manifest.read_text())
    assert list(kept.pop("files")) == ["adapter_model.safetensors"]
    manifest.write_text(json.dumps(kept))  # as older ones have it
    found = lora_bert.verify(own)
    assert found.passed
    assert found.checks[2].said.endswith("; no SHA-256 is kept")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lora_alpha": 32}, "lora_alpha is 32 here and was 16 when the adapter was written"),
        ({"use_rslora": True}, "use_rslora is true here and was false when"),
        ({"alpha_pattern": {"query": 1}}, 'alpha_pattern is {"query": 1} here and was {} when'),
    ],
)
def test_a_scaling_that_was_not_written_so(change, says, own, tiny_backbone):
    """Everything fits, and the answers are others: it is said, and opened all the same."""
    texts = ["the food was good"]
    path = own / "adapter_config.json"
    before = lora_bert.load(own).values(texts)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert (lora_bert.load(own).values(texts) != before).any()
    failed = next(check for check in lora_bert.verify(own).checks if check.passed is False)
    assert failed.name == "description"
    assert says in failed.said
    with pytest.raises(AdapterError, match="when the adapter was written"):
        lora_bert.Session(tiny_backbone).add(own, verify=True)
    manifest = own / "lora_bert.json"
    kept = json.loads(manifest.read_text())
    kept.pop("scaling")
    manifest.write_text(json.dumps(kept))  # as older ones have it
    found = lora_bert.verify(own)
    assert found.passed
    assert found.checks[1].said.endswith("; no scaling is kept")


def test_a_trunk_that_was_not_written_so(adapter, own, tmp_path):
    pytest.importorskip("onnx")
    lora_bert.export(
        [adapter, shutil.copytree(own, tmp_path / "second")], tmp_path / "both", format="onnx"
    )
    branch = tmp_path / "both" / "second"
    assert lora_bert.verify(branch).passed
    with (tmp_path / "both" / "trunk.onnx").open("ab") as trunk:
        trunk.write(b"\x72\x00")  # an empty entry of the model's metadata
    found = lora_bert.verify(branch)
    assert outcome(found) == {"files": True, "graph": False, "tokenizer": None, "answers": None}
    assert "trunk.onnx' is not the file that was written" in found.checks[1].said


def test_a_backbone_that_is_not_here(own, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LORA_BERT_BACKBONES", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = lora_bert.verify(own)
    assert outcome(found)["weights"] is True
    assert outcome(found)["backbone"] is False
    assert found.exit_code == 69


def test_a_backbone_with_a_pickle_alone(tiny_backbone, tmp_path):
    place = shutil.copytree(tiny_backbone, tmp_path / "b")
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    found = lora_bert.verify(place)
    assert (found.kind, found.exit_code) == ("backbone", 65)
    assert "only as a pickle" in found.checks[0].said


def test_nothing_there(tmp_path):
    with pytest.raises(NotFoundError):
        lora_bert.verify(tmp_path / "nowhere")


def test_no_hub_is_asked_and_nothing_is_noted(own, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LORA_BERT_BACKBONES", "")

    def reachable(_endpoint):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("lora_bert.backbones.resolve._reachable", reachable)
    assert lora_bert.verify(own).exit_code == 69
    assert not (tmp_path / "cache" / "backbones" / "known.json").exists()


def test_an_adapter_does_not_decide_what_a_name_means(own, tiny_backbone, monkeypatch, tmp_path):
    """Found by its fingerprint, the backbone is not remembered under the adapter's word for it."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LORA_BERT_BACKBONES", "")
    lora_bert.load(own, backbone=str(tiny_backbone))
    (tmp_path / "cache" / "backbones" / "known.json").unlink()
    path = own / "lora_bert.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "backbone": {**said["backbone"], "name": "bert-base"}}))
    assert lora_bert.load(own).predict(["good"])
    assert not (tmp_path / "cache" / "backbones" / "known.json").exists()
