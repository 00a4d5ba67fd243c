"""Adapters put in and taken out while the server answers, as vLLM has it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import msgspec

from lora_bert.errors import ConfigError, LoraBertError
from lora_bert.serving.operations import Call, Operation, Protocol
from lora_bert.serving.protocols.vllm import error
from lora_bert.serving.refusals import RefusedError

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f\ud800-\udfff]{1,200}")


class LoadRequest(msgspec.Struct):
    """The body of ``/v1/load_lora_adapter``."""

    lora_name: str
    lora_path: str
    load_inplace: bool = False


class UnloadRequest(msgspec.Struct):
    """The body of ``/v1/unload_lora_adapter``."""

    lora_name: str


async def load(call: Call) -> Any:
    """Open an adapter, have it answer the texts that ship, and only then make it known."""
    body = call.body(LoadRequest)
    if not _NAME.fullmatch(body.lora_name):
        raise RefusedError(
            "invalid", f"`lora_name`: '{body.lora_name:.80}' cannot be an adapter's name.",
            hint="One has 1 to 200 characters, no slash among them, and does not begin with a dot.",
        )  # fmt: skip
    place = _inside(call.answerer.directory, body.lora_path)
    session = call.answerer.session
    # What lies in the directory under its own name is known already, and may be asked for so.
    own = place == (call.answerer.directory / body.lora_name).resolve()
    if not own and not body.load_inplace and body.lora_name in session.names:
        raise RefusedError(
            "invalid", f"There is an adapter '{body.lora_name}' already.",
            hint="`load_inplace` puts another one in its place.",
        )  # fmt: skip

    def add() -> None:
        try:
            session.add(place, body.lora_name, replace=own or body.load_inplace, verify=True)
        except LoraBertError as problem:
            log.warning("'%s' is not loaded: %s %s", place, problem, problem.hint)
            raise RefusedError(
                "invalid", f"'{body.lora_path}' is not loaded: {problem}", hint=problem.hint
            ) from problem

    await call.answerer.run(add)
    call.adapter = body.lora_name
    log.info("The adapter '%s' is loaded from '%s'.", body.lora_name, place)
    return _said(f"Success: LoRA adapter '{body.lora_name}' added successfully.")


async def unload(call: Call) -> Any:
    """Forget an adapter; answers that it has begun are finished, and its files stay."""
    body = call.body(UnloadRequest)
    try:
        call.answerer.session.remove(body.lora_name)
    except ConfigError:
        raise RefusedError("unknown", f"There is no adapter '{body.lora_name}'.") from None
    log.info("The adapter '%s' is unloaded.", body.lora_name)
    return _said(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")


def _inside(directory: Path, path: str) -> Path:
    """The directory that a path means, which must be below the adapters' own."""
    root = directory.resolve()
    try:
        place = (root / path).resolve()
        inside = place != root and place.is_relative_to(root) and place.is_dir()
    except (OSError, ValueError):  # a name that is too long, or with a NUL in it
        inside = False
    if not inside:
        raise RefusedError(
            "invalid", f"'{path:.200}' is no directory below the adapters' directory.",
            hint="Put the adapter there first; `lora_path` is relative to it.",
        )  # fmt: skip
    return place


def _said(text: str) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text)


ADMIN = Protocol(
    "vllm",
    (
        Operation("POST", "/v1/load_lora_adapter", load, "Load an adapter, or put it in the place "
                  "of another.", LoadRequest, {"lora_name": "waimai", "lora_path": "waimai-2"},
                  key="admin", content="text/plain", sized=False),
        Operation("POST", "/v1/unload_lora_adapter", unload, "Forget an adapter.", UnloadRequest,
                  {"lora_name": "waimai"}, key="admin", content="text/plain", sized=False),
    ),
    error,
    {"invalid": 400},
)  # fmt: skip
