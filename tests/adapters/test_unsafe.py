"""What strangers may put into an adapter, a model or a backbone is refused before it is used."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import lora_bert
from lora_bert.adapters.loading import load_any
from lora_bert.backbones.weights import read_checkpoint
from lora_bert.errors import AdapterError, BackboneError, LoraBertError
from tests.tiny import tiny_config

WEIGHTS = "adapter_model.safetensors"


class Planted:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture
def own(adapter, tmp_path):
    """A copy of an adapter, to break."""
    return Path(shutil.copytree(adapter, tmp_path / "own"))


@pytest.fixture
def base(tiny_backbone, tmp_path):
    """A copy of a backbone, to break."""
    return Path(shutil.copytree(tiny_backbone, tmp_path / "base"))


def change(path, **keys):
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "adapter_config.json"])
def test_a_pickle_under_another_name_is_not_opened(name, own, tmp_path):
    mark = tmp_path / "mark"
    (own / name).write_bytes(pickle.dumps({"w": Planted(mark)}))
    with pytest.raises(AdapterError):
        lora_bert.load(own)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pickle_in_a_backbone_is_not_opened(name, base, reviews, tmp_path):
    mark = tmp_path / "mark"
    (base / name).write_bytes(pickle.dumps({"w": Planted(mark)}))
    with pytest.raises(BackboneError):
        lora_bert.train(reviews, backbone=str(base), output=tmp_path / "out")
    assert not mark.exists()


@pytest.mark.parametrize("where", ["backbone", "merged", "adapter"])
def test_code_beside_a_model_does_not_run(where, base, merged, own, reviews, tmp_path):
    """``auto_map`` names it; transformers would run it where it is trusted."""
    mark = tmp_path / "mark"
    place = {"backbone": base, "merged": Path(shutil.copytree(merged, tmp_path / "m")),
             "adapter": own}[where]  # fmt: skip
    (place / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    auto = {"AutoModel": "modeling_own.Own", "AutoTokenizer": ["modeling_own.Own", None]}
    name = "adapter_config.json" if where == "adapter" else "config.json"
    change(place / name, auto_map=auto)
    change(place / "tokenizer_config.json", auto_map=auto, tokenizer_class="Own")
    if where == "backbone":
        lora_bert.train(reviews, backbone=str(base), output=tmp_path / "out", epochs=1)
    else:
        assert lora_bert.load(place).predict(["good"])
    assert not mark.exists()


def test_code_that_would_be_needed_is_refused(base, reviews, tmp_path):
    change(base / "config.json", model_type="own", auto_map={"AutoModel": "modeling_own.Own"})
    with pytest.raises(BackboneError, match="asks to run code of its own"):
        lora_bert.train(reviews, backbone=str(base), output=tmp_path / "out")


def lie(path, alter):
    """Write a safetensors file again with its header altered."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(alter(header)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def _first(header):
    return header[next(key for key in header if key != "__metadata__")]


def _overlap(header):
    names = [key for key in header if key != "__metadata__"]
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]
    return header


def _beyond(header):
    _first(header)["data_offsets"][1] += 10**9
    return header


def _wide(header):
    _first(header)["shape"] = [2**40, 2**40]
    return header


def _less(header):
    del header[next(key for key in header if key != "__metadata__")]
    return header


@pytest.mark.parametrize("alter", [_overlap, _beyond, _wide, _less])
@pytest.mark.parametrize("kind", ["adapter", "backbone"])
def test_headers_that_lie(alter, kind, own, base):
    if kind == "adapter":
        lie(own / WEIGHTS, alter)
        with pytest.raises(AdapterError):
            load_any(own)
    else:
        lie(base / "model.safetensors", alter)
        with pytest.raises(BackboneError):
            read_checkpoint(base, tiny_config())


@pytest.mark.parametrize("size", [0, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_lies_of_its_own_length(size, own):
    content = (own / WEIGHTS).read_bytes()
    (own / WEIGHTS).write_bytes(struct.pack("<Q", size) + content[8:])
    with pytest.raises(AdapterError, match="is damaged or not a safetensors file"):
        load_any(own)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(value, own, base, merged, tmp_path):
    def spoil(path):
        tensors = load_file(path)
        next(iter(tensors.values())).view(-1)[3] = value
        save_file(tensors, path, metadata={"format": "pt"})

    spoil(own / WEIGHTS)
    with pytest.raises(AdapterError, match="holds NaN or infinity"):
        load_any(own)
    spoil(base / "model.safetensors")
    with pytest.raises(BackboneError, match="holds NaN or infinity"):
        read_checkpoint(base, tiny_config())
    alone = Path(shutil.copytree(merged, tmp_path / "alone"))
    spoil(alone / "model.safetensors")
    with pytest.raises(BackboneError, match="holds NaN or infinity"):
        load_any(alone)


def test_weights_that_are_whole_numbers(own):
    tensors = {name: tensor.to(torch.int8) for name, tensor in load_file(own / WEIGHTS).items()}
    save_file(tensors, own / WEIGHTS)
    with pytest.raises(AdapterError, match=r"is of type torch\.int8, which is not"):
        load_any(own)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"r": 0}, "the rank is 0"),
        ({"r": "8"}, "the rank is '8'"),
        ({"r": 2**70}, "is of rank 1180591620717411303424 in"),
        ({"r": 7}, "is of rank 7 in .*, and of rank 8 in"),
        ({"r": True}, "the rank is True"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": float("inf")}, "lora_alpha is inf"),
        ({"lora_alpha": -1}, "lora_alpha is -1"),
        ({"lora_dropout": "x"}, "lora_dropout is 'x'"),
        ({"rank_pattern": {"(a+)+$": 8}}, "is no usual pattern"),
        ({"rank_pattern": {".?" * 60 + "Z": 8}}, "is no usual pattern"),
        ({"rank_pattern": {".*" * 60: 8}}, "is no usual pattern"),
        ({"rank_pattern": {"(?i)query": 8}}, "is no usual pattern"),
        ({"rank_pattern": {"[": 8}}, "is no pattern"),
        ({"base_model_name_or_path": "~nobody/x"}, None),
        ({"base_model_name_or_path": "x" * 300}, None),
        ({"rank_pattern": {"query": None}}, "the rank is None"),
        ({"alpha_pattern": []}, None),
        ({"alpha_pattern": [1]}, "is not an object"),
        ({"base_model_name_or_path": 5}, "is not a text"),
    ],
)
def test_ranks_and_scalings_that_are_none(keys, says, own):
    change(own / "adapter_config.json", **keys)
    if says is None:
        assert load_any(own)
        (own / "lora_bert.json").unlink()
        (own / "run.yaml").unlink()
        with contextlib.suppress(LoraBertError):  # plain PEFT's: the name is what counts
            load_any(own)
        return
    with pytest.raises(AdapterError, match=says):
        load_any(own)


def test_factors_that_fit_nowhere(own):
    tensors = load_file(own / WEIGHTS)
    name = next(key for key in tensors if "lora_A" in key)
    save_file({**tensors, name: torch.zeros(8, 33)}, own / WEIGHTS)
    with pytest.raises(AdapterError, match="do not fit the backbone's"):
        load_any(own)


@pytest.mark.parametrize("name", [WEIGHTS, "adapter_config.json", "tokenizer.json", "run.yaml"])
@pytest.mark.parametrize("absolute", [True, False])
def test_links_out_of_an_adapter(name, absolute, own, tmp_path):
    elsewhere = (own / name).rename(tmp_path / "elsewhere")
    (own / name).symlink_to(elsewhere if absolute else Path("..") / "elsewhere")
    with pytest.raises(AdapterError, match=rf"{name}' is a link that leads out of its directory"):
        load_any(own)


def test_links_within_an_adapter_and_links_to_it_are_fine(own, tmp_path):
    (own / WEIGHTS).rename(own / "kept")
    (own / WEIGHTS).symlink_to("kept")
    (tmp_path / "link").symlink_to(own)
    assert load_any(tmp_path / "link")


def test_the_hubs_cache_is_made_of_links(tiny_backbone, tmp_path):
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / ("a" * 40)
    blobs = tmp_path / "models--org--tiny" / "blobs"
    shutil.copytree(tiny_backbone, snapshot)
    blobs.mkdir()
    for path in list(snapshot.iterdir()):
        moved = path.rename(blobs / path.name)
        path.symlink_to(os.path.relpath(moved, snapshot))
    assert read_checkpoint(snapshot, tiny_config())


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a/b", "..", "x" * 300])
def test_shards_elsewhere(name, base):
    (base / "model.safetensors").rename(base / "kept")
    index = base / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(BackboneError, match="which is not a file beside it"):
        read_checkpoint(base, tiny_config())


@pytest.mark.parametrize("name", ["/etc", "../base", "~/base", "a/../../b"])
def test_a_backbone_named_by_a_path(name, own):
    said = json.loads((own / "lora_bert.json").read_text())
    change(own / "lora_bert.json", backbone={**said["backbone"], "name": name})
    with pytest.raises(AdapterError, match="names its backbone by a path"):
        load_any(own)


@pytest.mark.parametrize("name", ["lora_bert.json", "adapter_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("depth", [1_000, 1_000_000])
def test_nested_json(name, depth, own):
    (own / name).write_text('{"a":' * depth + "1" + "}" * depth)
    with pytest.raises(LoraBertError):
        load_any(own)


@pytest.mark.parametrize("name", ["lora_bert.json", "adapter_config.json", "tokenizer.json"])
def test_huge_json(name, own):
    with (own / name).open("r+b") as stream:
        stream.truncate(65_000_000)  # a hole: nothing on the disk
    with pytest.raises(AdapterError, match="has 65 MB; more than 64 are not read"):
        load_any(own)
