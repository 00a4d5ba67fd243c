"""``convert-backbone``: weights that exist only as a pickle become safetensors, once.

Opening a pickle can run code. Here it is opened for weights alone, in a process of its own, and
what comes out is read like any other safetensors file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from lora_bert.backbones.config import EncoderConfig, read_config
from lora_bert.backbones.families.registry import encoder_config
from lora_bert.backbones.fingerprint import fingerprint
from lora_bert.backbones.nearby import model_of
from lora_bert.backbones.resolve import POOLING, TOKENIZER_FILES, find_pickled
from lora_bert.backbones.weights import canonical, read_safetensors, shards_of, write_safetensors
from lora_bert.config import ConvertConfig
from lora_bert.config.keywords import ConvertOptions
from lora_bert.config.kinds import StrPath
from lora_bert.errors import BackboneError, ConfigError
from lora_bert.files import atomic_directory, claim_output, spare_inputs, write_json
from lora_bert.options import build
from lora_bert.python_face import called_from_python

if TYPE_CHECKING:
    from torch import Tensor

_PROGRAM = Path(__file__).with_name("unpickle.py")


@dataclass(frozen=True)
class Conversion:
    """A converted backbone.

    Attributes:
        path: Its directory.
        fingerprint: SHA-256 of its weights' values, as adapters keep it.
        parameters: Number of its weights.
        left_out: Names of tensors that are not part of the encoder or its pooler.
    """

    path: Path
    fingerprint: str
    parameters: int
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"Conversion({str(self.path)!r}: {self.parameters:,} parameters, fingerprint "
            f"{self.fingerprint[:12]}…, {len(self.left_out):,} tensors left out)"
        )


@called_from_python(ConvertConfig, ConvertOptions)
def convert_backbone(
    path: StrPath, output: StrPath, **options: Unpack[ConvertOptions]
) -> Conversion:
    """Write a backbone whose weights are a pickle (``pytorch_model.bin``) as safetensors.

    Args:
        path: A ``transformers`` directory, or the id of a model on the hub.
        output: The directory to make.
        **options: See :class:`lora_bert.config.ConvertConfig`.

    Raises:
        BackboneError: Of an unknown family, without pickle, or one that holds more than weights.
        ConfigError: It has safetensors already.
        OutputError: ``output`` is taken, not writable, or the backbone itself.
    """
    return run(build(ConvertConfig, {"path": path, "output": output, **options}))


def run(config: ConvertConfig) -> Conversion:
    """As :func:`convert_backbone`, of a checked configuration."""
    output = Path(config.output)
    claim_output(output, overwrite=config.overwrite)
    source = find_pickled(config.path, config.revision)
    spare_inputs(output, (source,))
    encoder = encoder_config(read_config(source))
    pickles = _pickles(source)
    with atomic_directory(output, overwrite=config.overwrite) as work:
        stored = {name: part for path in pickles for name, part in _unpickled(path, work).items()}
        named = canonical(stored, encoder, source)
        # The encoder and its pooler, not what it was pretrained for.
        ours = (encoder.layout.prefix, f"{encoder.layout.head.dense}.")
        kept = {name: tensor for name, tensor in named.items()
                if name.startswith(ours) and not name.endswith("position_ids")}  # fmt: skip
        _write(work, source, encoder, kept)
    return Conversion(
        path=output,
        fingerprint=fingerprint(kept, encoder),
        parameters=sum(tensor.numel() for tensor in kept.values()),
        left_out=tuple(sorted(named.keys() - kept.keys())),
    )


def _pickles(directory: Path) -> list[Path]:
    if any(directory.glob("model*.safetensors")):
        raise ConfigError(
            f"'{directory}' holds safetensors already: there is nothing to convert.",
            hint="Name it with --backbone.",
        )
    if (whole := directory / "pytorch_model.bin").is_file():
        return [whole]
    return shards_of(directory, "pytorch_model.bin.index.json")


def _unpickled(path: Path, work: Path) -> dict[str, Tensor]:
    """The tensors of one pickle, which this process does not open."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        target = Path(place) / "weights.safetensors"
        command = [sys.executable, "-I", str(_PROGRAM), str(path.resolve()), str(target.resolve())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else f"reading it ended with exit code {done.returncode}"
            raise BackboneError(f"'{path}' was not converted: {reason}.")
        # Copied, because the file they are mapped from goes.
        tensors = read_safetensors(target, BackboneError)
        return {name: tensor.clone() for name, tensor in tensors.items()}


def _write(work: Path, source: Path, encoder: EncoderConfig, tensors: dict[str, Tensor]) -> None:
    write_safetensors(work / "model.safetensors", tensors)
    # What asks for code of its own is not needed by anyone who has the family.
    plain = {key: value for key, value in encoder.raw.items() if key != "auto_map"}
    write_json(work / "config.json", plain)
    for pattern in TOKENIZER_FILES:
        for path in source.glob(pattern):
            shutil.copyfile(path, work / path.name)
    for path in model_of(source).glob(POOLING):
        (work / path.parent.name).mkdir()
        shutil.copyfile(path, work / path.parent.name / path.name)
