"""``python -m lora_bert``: the ``lora-bert`` command, for launchers such as torchrun."""

from lora_bert.cli import main

main()
