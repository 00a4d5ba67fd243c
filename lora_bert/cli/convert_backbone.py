"""``lora-bert convert-backbone``."""

from __future__ import annotations

import shlex

from lora_bert.cli.declare import Answer, declare
from lora_bert.config import ConvertConfig


@declare(
    "convert-backbone",
    ConvertConfig,
    needs="a backbone and a directory for the result",
    usage="PATH OUT",
)
def command(config: ConvertConfig, as_json: bool) -> Answer:
    """Write the backbone PATH, whose weights are a pickle (pytorch_model.bin), to OUT.

    Opening a pickle can run code. It is opened once, for weights alone and in a process of its own;
    OUT holds safetensors, which everything else reads.

    Examples:
      lora-bert convert-backbone models/rbt3 models/rbt3-safe
      lora-bert convert-backbone hfl/rbt3 models/rbt3 --revision main
    """
    from lora_bert.backbones.convert import run

    result = run(config)
    left_out = f", without {len(result.left_out)} of its pretraining" if result.left_out else ""
    return Answer(
        {
            "path": str(result.path),
            "fingerprint": result.fingerprint,
            "parameters": result.parameters,
            "left_out": list(result.left_out),
        },
        f"converted    {result.path} ({result.parameters:,} parameters{left_out})\n"
        f"fingerprint  {result.fingerprint}\n"
        f"next         lora-bert train --backbone {shlex.quote(str(result.path))} --data …",
    )
