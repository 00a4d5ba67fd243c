"""``lora-bert serve``."""

from __future__ import annotations

import os
from typing import Any

import click

from lora_bert.cli import console
from lora_bert.cli.declare import declare
from lora_bert.config import ServeConfig
from lora_bert.json_files import json_text
from lora_bert.wording import counted


@declare("serve", ServeConfig, needs="a directory of adapters", usage="adapters/")
def command(config: ServeConfig, as_json: bool) -> None:
    """Answer over HTTP with the adapters of a directory, which share one backbone in memory.

    Clients of text-embeddings-inference, vLLM, semantic-router, Hugging Face and KServe change
    their URL and nothing else; a page to try it is at /, all paths are at /docs. With --json the
    address is printed as JSON once the server answers. Ctrl-C and SIGTERM finish what was asked and
    end it with exit code 0.

    Examples:
      lora-bert serve adapters/
      lora-bert serve adapters/ --default waimai --port 9000
      lora-bert serve adapters/ --host 0.0.0.0 --allowed-host ml.example --memory 2
    """
    from lora_bert.serving.server import run

    def started(url: str, names: tuple[str, ...]) -> None:
        document: dict[str, Any] = {"url": url, "adapters": list(names)}
        said = f"{counted(len(names), 'adapter')} at {url}; Ctrl-C ends it."
        click.echo(json_text(document) if as_json else said)

    console.in_json()
    # Threads that share a product wait for its end asleep: the requests need the cores meanwhile.
    # It is read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run(config, started)
