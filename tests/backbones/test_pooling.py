"""What a head reads where nobody says it: what the backbone was made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_bert.backbones.families.registry import read_encoder_config
from lora_bert.backbones.pooling import resolved_pooling
from lora_bert.backbones.resolve import BackboneFiles, find_backbone
from lora_bert.errors import ConfigError
from tests.tiny import tiny_config, write_backbone

NOWHERE = Path("nowhere")


def flags(**said):
    """A file of sentence-transformers, as its versions 1 to 5 write it."""
    kinds = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    return {f"pooling_mode_{kind}": said.get(kind, False) for kind in kinds}


def auto(name="some-model", model_type="bert", place=NOWHERE, **extra):
    return resolved_pooling("auto", BackboneFiles(name, place), tiny_config(model_type, **extra))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (flags(mean_tokens=True), "mean"),
        (flags(cls_token=True), "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        # Neither, or both: the name decides, which says: the mean.
        (flags(max_tokens=True), "mean"),
        (flags(cls_token=True, mean_tokens=True), "mean"),
        ({"pooling_mode_cls_token": "yes"}, "mean"),
        ([], "mean"),
    ],
)
@pytest.mark.parametrize("folder", ["", "0_Transformer"])
def test_sentence_transformers_says_it(folder, said, expected, tmp_path):
    place = write_backbone(tmp_path / "e5-of-mine" / folder)
    home = tmp_path / "e5-of-mine"
    modules = [{"idx": 0, "name": "0", "path": folder, "type": "a.Transformer"}]
    (home / "modules.json").write_text(json.dumps(modules))
    (home / "1_Pooling").mkdir()
    (home / "1_Pooling" / "config.json").write_text(json.dumps(said))
    files = find_backbone(str(home))
    assert files.path == place
    assert resolved_pooling("auto", files, read_encoder_config(place)) == expected


def test_a_file_elsewhere_is_not_read(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(flags(mean_tokens=True)))
    place = write_backbone(tmp_path / "model")
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").symlink_to(tmp_path / "other.json")
    assert auto(place=place) == "cls"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("e5-small-zh-en", "mean"), ("intfloat/multilingual-e5-base", "mean"),
        ("sentence-transformers/all-MiniLM-L6-v2", "mean"), ("thenlper/gte-base", "mean"),
        ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "mean"),
        ("thenlper/gte-base-zh", "cls"), ("BAAI/bge-small-zh-v1.5", "cls"),
        ("bert-base-chinese", "cls"), ("FacebookAI/xlm-roberta-base", "cls"),
    ],
)  # fmt: skip
def test_names_that_are_known(name, expected):
    assert auto(name) == expected


def test_the_embedded_backbone_was_made_for_the_mean():
    files = find_backbone("e5-small-zh-en")
    assert resolved_pooling("auto", files, read_encoder_config(files.path)) == "mean"


def test_minilm_says_it_itself(minilm):
    files = BackboneFiles("a name that says nothing", minilm)
    assert resolved_pooling("auto", files, read_encoder_config(minilm)) == "mean"


@pytest.mark.parametrize("family", ["albert", "mpnet"])
def test_a_family_that_has_no_mean_reads_the_first_token(family):
    assert auto("all-minilm-of-mine", family) == "cls"
    with pytest.raises(ConfigError, match=f"--pooling mean: on this {family} backbone"):
        resolved_pooling("mean", BackboneFiles("x", NOWHERE), tiny_config(family))


def test_modernbert_reads_what_its_own_classifier_does():
    for own in ("cls", "mean"):
        assert auto(model_type="modernbert", classifier_pooling=own) == own
    files = BackboneFiles("x", NOWHERE)
    other = tiny_config("modernbert", classifier_pooling="mean")
    assert resolved_pooling("cls", files, other) == "cls"
