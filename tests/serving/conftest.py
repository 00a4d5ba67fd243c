"""Adapters of every task on one tiny backbone, and the application that serves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import lora_bert
from lora_bert.config import ServeConfig
from lora_bert.options import build
from lora_bert.serving.app import App
from lora_bert.serving.computing import Here
from lora_bert.serving.server import access_of, assembled
from tests.tasks.conftest import dishes, foods, reader, tagger  # noqa: F401 - fixtures

WORDS = [("good", "4.5", '["x", "y"]'), ("bad", "1.25", '["z"]'), ("hot", "3.0", "[]")]
Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def adapters(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, adapter: Path,
    pair_adapter: Path, tagger: Path, reader: Path, pair_rows: Path,  # noqa: F811 - fixtures
) -> Path:  # fmt: skip
    """A directory with an adapter of each task; do not change it."""
    place = tmp_path_factory.mktemp("served")
    for name, source in (
        ("reviews", adapter), ("pairs", pair_adapter), ("tagger", tagger), ("reader", reader)
    ):  # fmt: skip
        shutil.copytree(source, place / name)
    common: dict[str, Any] = {
        "backbone": str(tiny_backbone), "epochs": 1, "batch_size": 8, "dtype": "float32",
        "head_start": "random", "learning_rate": 0.03,
    }  # fmt: skip
    for column, (name, task) in enumerate(
        {"stars": "regression", "several": "multi-label"}.items(), start=1
    ):
        rows = [(f"{row[0]} {n}", row[column]) for n in range(6) for row in WORDS]
        lora_bert.train(rows, output=place / name, task=task, **common)
    lora_bert.train(
        pair_rows, output=place / "relevant", task="relevance",
        label_names={"same": "1", "other": "0"}, **common,
    )  # fmt: skip
    return place


@pytest.fixture(scope="module")
def assemble(adapters: Path, tiny_backbone: Path) -> Iterator[Callable[..., App]]:
    """``assemble(directory, **options)`` -> an application; closed at the end of the module."""
    made = list[App]()

    def call(directory: Path = adapters, **options: Any) -> App:
        values = {"directory": str(directory), "backbone": str(tiny_backbone), "dtype": "float32"}
        config = build(ServeConfig, values | options)
        made.append(assembled(config, Here(), access_of(config)))
        return made[-1]

    yield call
    for app in made:
        assert app.answerer.scheduler.close(10)


@pytest.fixture(scope="module")
def serve(assemble: Callable[..., App]) -> Serve:
    """The same -> a client of the application."""
    return lambda *given, **options: TestClient(
        assemble(*given, **options).asgi(), base_url="http://127.0.0.1:8080",
        raise_server_exceptions=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def client(serve: Serve) -> TestClient:
    """A client of a server with the adapters of every task, none of which is the default."""
    return serve()


@pytest.fixture(scope="session")
def alone(adapters: Path, tiny_backbone: Path) -> lora_bert.Session:
    """What the adapters say without a server."""
    return lora_bert.Session.from_directory(adapters, backbone=tiny_backbone, dtype="float32")
