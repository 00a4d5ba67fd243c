"""A Ray cluster: one of this machine alone, or one that is there; what an actor takes of it."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lora_bert.errors import UnavailableError
from lora_bert.inference.engines.engine import MOST_THREADS, cores_allowed
from lora_bert.wording import reason

_PATIENCE = 10.0
"""Seconds that a cluster may take to answer."""


@contextmanager
def cluster(address: str | None) -> Iterator[list[dict[str, Any]]]:
    """In the block there is a cluster; what its machines have.

    Without an address it is this machine, which listens to itself alone, and to who knows a secret.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # the switch to stay on 127.0.0.1
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    else:
        _check_answers(address)
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    # Names of sockets are short: what $TMPDIR names may be too long for them.
    short = os.environ.get("RAY_TMPDIR") or ("/tmp" if os.name == "posix" else None)
    with tempfile.TemporaryDirectory("", "lb-", short, ignore_cleanup_errors=True) as place:
        local = {"num_cpus": cores_allowed(), "include_dashboard": False, "_temp_dir": place}
        try:
            with _silent():
                ray.init(
                    address or "local", log_to_driver=False, logging_level=logging.CRITICAL,
                    **({} if address else local),
                )  # fmt: skip
        except (OSError, RuntimeError, ValueError) as error:
            where = f"at '{address}'" if address else "on this machine"
            raise UnavailableError(f"No Ray cluster {where}: {reason(error)}.") from error
        try:
            if handler and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray's own would end us without a word
            yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
        finally:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise UnavailableError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), _PATIENCE).close()
        except OSError as error:
            raise UnavailableError(
                f"No Ray cluster at '{address}': {error.strerror or error}."
            ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """In the block nothing goes to stderr: Ray's libraries write to it whatever they are told."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def resources(
    nodes: Sequence[Mapping[str, float]], *, gpu: bool, must: bool = False
) -> dict[str, Any]:
    """What an actor takes of a machine, and the ``count`` of actors that there is room for.

    With ``gpu`` it takes a GPU, if there is one, or it ``must``.
    """
    if gpu and (must or any(node.get("GPU") for node in nodes)):
        having = [node for node in nodes if node.get("GPU")]
        cores = min((int(node.get("CPU", 1) // node["GPU"]) for node in having), default=1)
        count = int(sum(node["GPU"] for node in having))
        return {"num_cpus": max(1, min(cores, MOST_THREADS)), "num_gpus": 1, "count": count}
    having = [node for node in nodes if node.get("CPU", 0) >= 1]
    cores = min([MOST_THREADS, *(int(node["CPU"]) for node in having)])
    return {"num_cpus": cores, "count": sum(int(node["CPU"]) // cores for node in having)}
