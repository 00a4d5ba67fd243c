"""The backbone that ships inside the package: a GGUF file of 17 MB, unpacked once into the cache.

The package holds 4-bit blocks; the unpacked directory is an ordinary ``transformers`` one in
float16, which any other program may open too.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lora_bert.errors import BackboneError, NotFoundError, OutputError, did_you_mean
from lora_bert.files import are_whole, cache_dir, sha256, shared_directory
from lora_bert.json_files import read_own

if TYPE_CHECKING:
    import numpy as np

EMBEDDED = ("e5-small-zh-en",)

_SHIPPED = Path(__file__).parent
_WEIGHTS = "backbone.gguf"
_SUMS = "SHA256SUMS"
_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "NOTICE")
_RECORD = ".unpacked.json"  # size of every other file in the directory
_UNPACKED = (*_COPIED, "model.safetensors")

_EMBEDDINGS = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
}
_LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}

logger = logging.getLogger(__name__)


def unpack(name: str) -> Path:
    """The ``transformers`` directory of one of :data:`EMBEDDED`, unpacked now if it is not yet.

    It lies in the user's cache and is made whole or not at all; processes that unpack at the same
    time do not disturb each other. A directory that lost a file is unpacked again.

    Raises:
        NotFoundError: No such backbone is embedded.
        BackboneError: The installed package is damaged.
        OutputError: The cache cannot be written.
    """
    if name not in EMBEDDED:
        raise NotFoundError(
            f"No backbone '{name}' ships with lora-bert (there is: {', '.join(EMBEDDED)}).",
            hint=did_you_mean(name, EMBEDDED),
        )
    source = _SHIPPED / name
    sums = _sums(source)
    target = cache_dir() / "backbones" / f"{name}-{sums[_WEIGHTS][:12]}"
    if _is_complete(target):
        return target
    for shipped in (source / _WEIGHTS, *(source / copied for copied in _COPIED)):
        if not shipped.is_file() or sha256(shipped) != sums[shipped.name]:
            raise _damaged(shipped)
    logger.info("Unpacking the embedded backbone %s into '%s' (once).", name, target)
    try:
        with shared_directory(target, _is_complete) as work:
            _write(source, work)
    except OutputError as error:
        hint = "Name another directory with $LORA_BERT_CACHE; it needs 60 MB."
        raise OutputError(str(error), hint=hint) from error
    return target


def _sums(source: Path) -> dict[str, str]:
    """The recorded SHA-256 of each shipped file."""
    try:
        lines = (source / _SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(source / _SUMS) from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if not sums.keys() >= {_WEIGHTS, *_COPIED}:
        raise _damaged(source / _SUMS)
    return sums


def _damaged(path: Path) -> BackboneError:
    return BackboneError(
        f"The installed package is damaged: '{path}' is missing or not as it was shipped.",
        hint="Reinstall it: pip install --force-reinstall --no-deps lora-bert.",
    )


def _is_complete(target: Path) -> bool:
    """Whether every file is there in the size it was written in (a few system calls)."""
    sizes = read_own(target / _RECORD)
    return sizes.keys() == set(_UNPACKED) and are_whole(sizes, target)


def _write(source: Path, work: Path) -> None:
    """Write every file of the unpacked directory, the record of their sizes last."""
    from safetensors.numpy import save

    for name in _COPIED:
        shutil.copyfile(source / name, work / name)
    weights = save(_tensors(source / _WEIGHTS), metadata={"format": "pt"})
    (work / "model.safetensors").write_bytes(weights)
    sizes = {name: (work / name).stat().st_size for name in _UNPACKED}
    (work / _RECORD).write_text(json.dumps(sizes), encoding="utf-8")


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor under its ``BertModel`` name, float16, ``[out, in]`` or ``[size]``."""
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize

    return {
        _bert_name(tensor.name): dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
        for tensor in GGUFReader(path).tensors
    }


def _bert_name(name: str) -> str:
    """``blk.3.attn_q.weight`` is ``encoder.layer.3.attention.self.query.weight``."""
    stem, _, kind = name.rpartition(".")
    if stem in _EMBEDDINGS:
        return f"{_EMBEDDINGS[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"encoder.layer.{layer}.{_LAYER[part]}.{kind}"
