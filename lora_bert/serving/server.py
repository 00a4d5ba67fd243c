"""The server as a process: what it is made of, its socket, how it starts and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lora_bert.config import DirectoryConfig, ServeConfig
from lora_bert.errors import ConfigError, LoraBertError, UnavailableError, did_you_mean
from lora_bert.garbage import set_aside
from lora_bert.names import parse_names
from lora_bert.serving.starting import computing_process

if TYPE_CHECKING:
    from lora_bert.serving.access import Access
    from lora_bert.serving.app import App
    from lora_bert.serving.asked import Computer
    from lora_bert.serving.elsewhere import Elsewhere

log = logging.getLogger(__name__)

Started = Callable[[str, tuple[str, ...]], None]
"""Is told the URL and the names of the adapters, once requests are answered."""

_PACKAGES = ("starlette", "uvicorn", "httptools", "msgspec", "prometheus_client")
_KEEP_ALIVE = 75  # seconds; more than the 60 of usual proxies, which else meet closed connections
_LOOKS, _BETWEEN = 10, 0.05
"""How often, and how many seconds apart, it is read what has come before the server ends."""


def run(config: ServeConfig, started: Started) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what was asked.

    Raises:
        UnavailableError: A package is not installed, the address is taken, or the process that
            computes has ended.
        ConfigError: There is no adapter of the name of ``default`` or ``pinned``; an empty secret.
        NotFoundError: No such directory, or no adapter in it.
        AdapterError, BackboneError: The default adapter or the backbone cannot be opened.
    """
    check_installed()
    with computing_process() as process:  # which has torch to import meanwhile
        _check(config)
        access = access_of(config)
        from lora_bert.serving.elsewhere import Elsewhere

        bound = closing(_bound(config.host, config.port))
        with bound as listening, closing(Elsewhere(process)) as elsewhere:
            _serve(config, access, elsewhere, listening, started)


def _serve(
    config: ServeConfig, access: Access, elsewhere: Elsewhere, listening: socket.socket,
    started: Started,
) -> None:  # fmt: skip
    import uvicorn
    from prometheus_client import disable_created_metrics

    from lora_bert.serving.connections import connection_class
    from lora_bert.serving.door import Door

    # When each counter began is one more number of no use.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    app = assembled(config, elsewhere, access)
    settings = uvicorn.Config(
        app.asgi(), log_config=None, access_log=False, lifespan="off", ws="none",
        http=connection_class(config.timeout, Door(app)), server_header=False,
        timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=max(1, round(config.timeout)),
    )  # fmt: skip
    server = _server(settings, app, partial(started, _url(config.host, listening)))
    elsewhere.when_ended(server.give_up)
    with set_aside():
        server.run([listening])
    listening.close()
    # What nobody waits for any more is finished all the same.
    app.answerer.scheduler.close()
    if server.problem is not None:
        raise server.problem


def assembled(config: ServeConfig, computer: Computer, access: Access) -> App:
    """The application with everything behind it, which has answered once."""
    from lora_bert.inference.session import Session
    from lora_bert.serving.answer_cache import AnswerCache
    from lora_bert.serving.answering import Answerer, Limits
    from lora_bert.serving.app import App
    from lora_bert.serving.metrics import Metrics
    from lora_bert.serving.openapi import pages
    from lora_bert.serving.protocols import every
    from lora_bert.serving.scheduler import Scheduler

    _tell_of_models(Path(config.directory))
    own = {each.name: getattr(config, each.name) for each in fields(DirectoryConfig)}
    adapters = DirectoryConfig(**own)
    session = Session.on(computer.open(adapters), adapters)
    metrics = Metrics(config.batch_tokens)
    cache = AnswerCache(config.answer_cache * 1e6, metrics.hit)
    known = cache.get if config.answer_cache else None
    scheduler = Scheduler(
        computer.compute, budget=config.batch_tokens,
        max_wait=config.max_wait_ms / 1000, limit=config.queue_tokens,
        patience=config.queue_seconds, counted=metrics.computed, known=known, keep=cache.keep,
    )  # fmt: skip
    limits = Limits(
        config.max_texts, int(config.max_body * 1e6), config.max_requests, config.timeout,
        config.truncate,
    )  # fmt: skip
    answerer = Answerer(
        session, scheduler, default=config.default, limits=limits, metrics=metrics,
        directory=Path(config.directory),
    )  # fmt: skip
    metrics.watch(lambda: scheduler.waiting, lambda: len(session.loaded), lambda: cache.bytes)
    _warm(config, answerer)
    protocols = every()
    return App(answerer, [*protocols, pages(protocols)], access)


def check_installed() -> None:
    """Raise UnavailableError where what ``serve`` needs is not installed."""
    lacking = [name for name in _PACKAGES if find_spec(name) is None]
    if lacking:
        names = ", ".join(lacking).replace("_", "-")
        raise UnavailableError(
            f"serve needs packages that are not installed: {names}.",
            hint="pip install 'lora-bert[serve]'",
        )


def _check(config: ServeConfig) -> None:
    """Check what can be told before anything is opened."""
    from lora_bert.adapters.peft_config import CONFIG
    from lora_bert.adapters.trunk import is_trunk
    from lora_bert.inference.adapter_pool import adapter_names

    place = Path(config.directory)
    if (place / CONFIG).exists():
        raise ConfigError(
            f"'{place}' is an adapter; serve needs the directory that holds adapters.",
            hint=f"lora-bert serve '{place.resolve().parent}'",
        )
    if is_trunk(place):
        raise ConfigError(
            f"'{place}' holds exported adapters; serve answers with adapters themselves.",
            hint="Name the directory of the adapters that they were made of.",
        )
    names = adapter_names(place)
    if config.default is not None and config.default not in names:
        raise ConfigError(
            f"--default: there is no adapter '{config.default}'.",
            hint=did_you_mean(config.default, names),
        )


def _tell_of_models(place: Path) -> None:
    from lora_bert.adapters.peft_config import CONFIG

    for model in sorted(place.glob("*/config.json")):
        if not (model.parent / CONFIG).exists():
            log.warning("'%s' is a whole model, and is not served: adapters are.", model.parent)


def access_of(config: ServeConfig) -> Access:
    """Who is let in; the key and the token are those of the options or of the environment."""
    from lora_bert.serving.access import Access

    found = list[str | None]()
    for given, name in (
        (config.api_key, "LORA_BERT_API_KEY"), (config.admin_token, "LORA_BERT_ADMIN_TOKEN")
    ):  # fmt: skip
        found.append(given if given is not None else os.environ.get(name))
        if found[-1] == "":
            raise ConfigError(f"${name} is empty: it is no secret.", hint="Unset it, or fill it.")
    if found[0] is None and config.host not in ("127.0.0.1", "localhost", "::1"):
        log.warning("Whoever reaches %s is answered: there is no --api-key.", config.host)
    return Access(config.allowed_host, *found)


def _warm(config: ServeConfig, answerer: Any) -> None:
    """Load what stays and have it answer, so that the first request need not wait for it."""
    from lora_bert.inference.samples import check_answers

    session = answerer.session
    for name in dict.fromkeys([*filter(None, [config.default]), *parse_names(config.pinned)]):
        check_answers(session.predictor(name))
    for name in () if session.loaded else session.names[:1]:
        try:
            check_answers(session.predictor(name))
        except LoraBertError as error:
            log.warning("The adapter '%s' cannot be opened: %s %s", name, error, error.hint)


def _bound(host: str, port: int) -> socket.socket:
    """A socket of an address, which nobody can connect to yet."""
    listening = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":  # on Windows it would take the port of another server
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise UnavailableError(
            f"The server cannot listen on port {port} of {host}: {error.strerror or error}.",
            hint="Choose another --port, 0 for a free one, or another --host.",
        ) from error
    return listening


def _url(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"


def _server(settings: Any, app: App, started: Callable[[tuple[str, ...]], None]) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Says when it answers; a signal ends it as it should, and is no error."""

        problem: UnavailableError | None = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started(app.answerer.session.names)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # A connection on which nothing was asked is closed, so what has come is read first:
            # a busy loop has not got to all of it, and who has just connected is about to ask.
            for _ in range(_LOOKS):
                await asyncio.sleep(_BETWEEN)
            await super().shutdown(sockets)

        def give_up(self, problem: UnavailableError) -> None:
            """End because nothing can be computed any more."""
            log.error("%s Requests are refused, and the server ends.", problem)
            self.problem = problem
            self.should_exit, app.ready = True, False
            app.answerer.scheduler.close(0)  # whoever waits need not wait for it

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # SIGTERM may come twice, to a process and to its group; a second Ctrl-C is meant.
            self.force_exit = self.should_exit and sig == signal.SIGINT
            if not self.should_exit:
                log.info("Shutting down: requests that were taken are finished.")
            self.should_exit, app.ready = True, False

    return Server(settings)
