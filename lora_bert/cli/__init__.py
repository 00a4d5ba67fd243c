"""The command line: one file a command, no logic."""

from lora_bert.cli.app import main

__all__ = ["main"]
