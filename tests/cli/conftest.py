"""The command line, called in process, in an empty directory of each test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lora_bert.cli.app import run
from tests.cli.outcome import Outcome, contents

Cli = Callable[..., Outcome]
Mistake = Callable[..., str]


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_backbone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """An empty working directory; afterwards the environment is as before.

    What a command remembers of backbones goes into a cache of the test's own.
    """
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    monkeypatch.setenv("LORA_BERT_CACHE", str(tmp_path_factory.mktemp("own-cache")))
    monkeypatch.setenv("LORA_BERT_BACKBONES", str(tiny_backbone.parent))
    yield tmp_path
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("train", "--rank", 4)`` -> exit code, stdout, stderr."""

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def mistake(cli: Cli, here: Path) -> Mistake:
    """``mistake(code, *command, says=[...])``: fails as it should and changes nothing on disk.

    Returns the error with its hint.
    """

    def call(code: int, *words: object, says: list[str]) -> str:
        before = contents(here)
        outcome = cli(*words)
        assert (outcome.code, outcome.stdout) == (code, ""), outcome.stderr
        error = outcome.error
        assert error.splitlines()[0].endswith("."), error
        for part in says:
            assert part in error
        assert contents(here) == before
        return error

    return call


@pytest.fixture
def own_adapter(adapter: Path, here: Path) -> Path:
    """A copy of the adapter, to break."""
    return Path(shutil.copytree(adapter, here / "adapter"))


@pytest.fixture
def own_backbone(tiny_backbone: Path, here: Path) -> Path:
    """A copy of the backbone, to break."""
    return Path(shutil.copytree(tiny_backbone, here / "backbone"))
