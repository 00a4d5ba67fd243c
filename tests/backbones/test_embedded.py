"""The embedded backbone: unpacked once, whole, and equal to the reference."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from safetensors import safe_open
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from lora_bert.backbones import embedded
from lora_bert.backbones.embedded import EMBEDDED, unpack
from lora_bert.errors import BackboneError, NotFoundError, OutputError

NAME = "e5-small-zh-en"
ROOT = Path(embedded.__file__).resolve().parents[2]
SHIPPED = Path(embedded.__file__).parent / NAME
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "NOTICE"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_BERT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield unpack(NAME)


@pytest.fixture
def copy_in_cache(unpacked, tmp_path, monkeypatch):
    """A complete unpacked directory in a cache of its own."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path))
    return Path(shutil.copytree(unpacked, tmp_path / "backbones" / unpacked.name))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the installed package's files, to damage."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "_SHIPPED", tmp_path)
    return Path(shutil.copytree(SHIPPED, tmp_path / NAME))


def run(code, cache):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"LORA_BERT_CACHE": str(cache)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_tensor_equals_the_reference_in_float16(unpacked, backbones_dir):
    ours = load_file(unpacked / "model.safetensors")
    reference = load_file(backbones_dir / NAME / "model.safetensors")
    assert set(reference) - set(ours) == {"pooler.dense.weight", "pooler.dense.bias"}
    for name, values in ours.items():
        assert values.dtype == np.float16
        np.testing.assert_array_equal(values, reference[name], err_msg=name)


def test_weights_say_their_format(unpacked):
    with safe_open(unpacked / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_vocabulary_and_steps_equal_the_reference(unpacked, backbones_dir):
    def read(folder):
        return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))

    assert read(unpacked) == read(backbones_dir / NAME)


def test_config_and_tokenizer_config_equal_the_reference(unpacked, backbones_dir):
    def read(folder, name):
        return json.loads((folder / name).read_text(encoding="utf-8"))

    reference = backbones_dir / NAME
    config, expected = read(unpacked, "config.json"), read(reference, "config.json")
    assert config == {key: expected[key] for key in config}
    name = "tokenizer_config.json"
    assert read(unpacked, name) == read(reference, name)


def test_waimai_is_tokenised_identically(unpacked, backbones_dir, data_dir):
    with (data_dir / "waimai" / "waimai_10k.csv").open(encoding="utf-8") as file:
        texts = [row["review"] for row in csv.DictReader(file)]
    assert len(texts) > 10_000

    def ids(folder):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]

    assert ids(unpacked) == ids(backbones_dir / NAME)


@pytest.mark.slow
def test_transformers_opens_it_and_embeds_like_the_reference(unpacked, backbones_dir):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(unpacked)
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (1, 0, 2)
    batch = tokenizer(["味道不错，送餐很快！", "Too slow", ""], padding=True, return_tensors="pt")

    def hidden(folder):
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            return model(**batch).last_hidden_state

    assert torch.equal(hidden(unpacked), hidden(backbones_dir / NAME))


def test_gguf_describes_itself():
    reader = GGUFReader(SHIPPED / "backbone.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "bert"
    assert fields["general.name"] == NAME
    assert fields["general.license"] == "mit"
    assert (fields["bert.block_count"], fields["bert.embedding_length"]) == (12, 384)
    kinds = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
    assert kinds["token_embd.weight"] == GGMLQuantizationType.Q4_0
    assert kinds["blk.11.ffn_down.weight"] == GGMLQuantizationType.Q4_0
    assert not any("pool" in name for name in kinds)


def test_holds_exactly_the_ordinary_files(unpacked):
    assert {path.name for path in unpacked.iterdir()} == FILES | {".unpacked.json"}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in unpacked.iterdir())
    assert [path.name for path in unpacked.parent.iterdir()] == [unpacked.name]


def test_a_complete_directory_is_not_touched(copy_in_cache):
    before = {path: path.stat().st_mtime_ns for path in copy_in_cache.iterdir()}
    assert unpack(NAME) == copy_in_cache
    assert {path: path.stat().st_mtime_ns for path in copy_in_cache.iterdir()} == before


def test_a_complete_directory_needs_no_heavy_import(copy_in_cache):
    code = (
        "import sys; from lora_bert.backbones.embedded import unpack\n"
        f"unpack({NAME!r})\n"
        "print(*{'torch', 'numpy', 'gguf', 'safetensors', 'transformers'} & set(sys.modules))"
    )
    process = run(code, copy_in_cache.parents[1])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip()) == (0, ""), err


@pytest.mark.parametrize("name", ["NOTICE", "model.safetensors", ".unpacked.json"])
def test_a_lost_file_is_unpacked_again(copy_in_cache, name):
    (copy_in_cache / name).unlink()
    assert unpack(NAME) == copy_in_cache
    assert (copy_in_cache / name).is_file()
    assert list(copy_in_cache.parent.iterdir()) == [copy_in_cache]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", ".unpacked.json"])
def test_a_shortened_file_is_unpacked_again(copy_in_cache, unpacked, name):
    (copy_in_cache / name).write_bytes(b"[]")
    unpack(NAME)
    assert (copy_in_cache / name).read_bytes() == (unpacked / name).read_bytes()


def test_losing_the_race_is_success(tmp_path, unpacked, monkeypatch):
    """While this process writes, another one finishes: what it made stays."""
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path))
    target = tmp_path / "backbones" / unpacked.name
    write = embedded._write

    def write_while_another_finishes(source, work):
        write(source, work)
        shutil.copytree(unpacked, target)
        (target / "winner").touch()

    monkeypatch.setattr(embedded, "_write", write_while_another_finishes)
    assert unpack(NAME) == target
    assert (target / "winner").exists()
    assert list(target.parent.iterdir()) == [target]


def test_two_processes_at_once_both_succeed(tmp_path, unpacked):
    code = (
        "import sys, gguf, safetensors.numpy; from lora_bert.backbones.embedded import unpack\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"print(unpack({NAME!r}))"
    )
    both = [run(code, tmp_path) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert Path(out.strip()) == tmp_path / "backbones" / unpacked.name
    assert [path.name for path in (tmp_path / "backbones").iterdir()] == [unpacked.name]
    for name in FILES:
        path = tmp_path / "backbones" / unpacked.name / name
        assert path.read_bytes() == (unpacked / name).read_bytes()


@pytest.mark.parametrize("name", ["backbone.gguf", "tokenizer.json", "config.json", "NOTICE"])
def test_a_damaged_package_is_said(package, name):
    damaged = bytearray((package / name).read_bytes())
    damaged[-1] ^= 1
    (package / name).write_bytes(damaged)
    with pytest.raises(BackboneError, match=f"damaged.*{name}") as error:
        unpack(NAME)
    assert "pip install" in error.value.hint
    assert not (package.parent / "cache").exists()


@pytest.mark.parametrize("name", ["backbone.gguf", "tokenizer_config.json", "SHA256SUMS"])
def test_a_missing_part_of_the_package_is_said(package, name):
    (package / name).unlink()
    with pytest.raises(BackboneError, match=f"damaged.*{name}"):
        unpack(NAME)


@pytest.mark.parametrize("content", [b"", b"no sums\n", b"\xff\xfe\x00"])
def test_unreadable_sums_are_said(package, content):
    (package / "SHA256SUMS").write_bytes(content)
    with pytest.raises(BackboneError, match=r"damaged.*SHA256SUMS"):
        unpack(NAME)


def test_an_unwritable_cache_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="Cannot write") as error:
        unpack(NAME)
    assert "$LORA_BERT_CACHE" in error.value.hint


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(NotFoundError, match="e5-smal-zh") as error:
        unpack("e5-smal-zh")
    assert EMBEDDED[0] in error.value.hint
