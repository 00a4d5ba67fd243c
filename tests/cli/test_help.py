from __future__ import annotations

import subprocess
import sys

import pytest

from lora_bert import __version__
from lora_bert.cli.app import COMMANDS
from lora_bert.config import (
    CacheConfig,
    CombineConfig,
    ConvertConfig,
    EvaluateConfig,
    ExportConfig,
    InferConfig,
    InfoConfig,
    MergeConfig,
    ServeConfig,
    TrainConfig,
    VerifyConfig,
)
from lora_bert.options import flag, options_of
from tests.cli.conftest import Cli
from tests.cli.outcome import environment

CONFIGS = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "merge": MergeConfig,
    "combine": CombineConfig,
    "export": ExportConfig,
    "infer": InferConfig,
    "serve": ServeConfig,
    "convert-backbone": ConvertConfig,
    "verify": VerifyConfig,
    "info": InfoConfig,
    "cache": CacheConfig,
}
HEAVY = (
    "torch transformers peft sklearn pandas pyarrow matplotlib accelerate datasets starlette "
    "uvicorn msgspec prometheus_client"
).split()


def test_help_names_every_command_and_the_exit_codes(cli: Cli) -> None:
    outcome = cli("--help")
    assert (outcome.code, outcome.stderr) == (0, "")
    for name, text in COMMANDS.items():
        assert f"  {name} " in outcome.stdout
        assert text in outcome.stdout
    assert "Exit codes: 0 done" in outcome.stdout


def test_no_command_shows_help(cli: Cli) -> None:
    outcome = cli()
    assert outcome.code == 0
    assert outcome.stdout.startswith("Usage: lora-bert")


def test_version(cli: Cli) -> None:
    assert cli("--version").stdout == f"lora-bert, version {__version__}\n"


def test_help_has_a_short_form(cli: Cli) -> None:
    assert cli("train", "-h") == cli("train", "--help")


def test_these_are_all_commands() -> None:
    assert list(CONFIGS) == list(COMMANDS)


@pytest.mark.parametrize("name", CONFIGS)
def test_help_shows_examples_and_every_option(
    cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = cli(name, "--help").stdout
    examples = text.split("Examples:")[1].split("\n\n")[0].strip().splitlines()
    assert examples
    assert all(line.strip().startswith(f"lora-bert {name}") for line in examples)
    for key, option in options_of(CONFIGS[name]).items():
        if option.positional:
            assert option.metavar in text.splitlines()[0]
        else:
            assert (f"  {flag(key)} " in text) != option.hidden
            assert (option.help.split(" (")[0] in " ".join(text.split())) != option.hidden
    for general in ("--config FILE", "--json", "-q, --quiet", "--debug", "-h, --help"):
        assert general in text


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns_beside_long_examples(cli: Cli, name: str) -> None:
    lines = cli(*filter(None, [name]), "--help").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines if "lora-bert " not in line)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from lora_bert.cli.app import COMMANDS, run\n"
        "for words in (['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)):\n"
        "    assert run(words) == 0\n"
        f"print('heavy:', *(name for name in {HEAVY} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("heavy:\n")
