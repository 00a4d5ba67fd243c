"""``--config``: every option is a key too, and run.yaml repeats a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lora_bert.config import EvaluateConfig, InferConfig, MergeConfig, TrainConfig
from lora_bert.options import options_of
from tests.cli.conftest import Cli, Mistake
from tests.cli.test_help import CONFIGS

TAKES_EFFECT = {
    "train": ("lora_bert.training.train.run", TrainConfig),
    "evaluate": ("lora_bert.evaluation.evaluate.run", EvaluateConfig),
    "merge": ("lora_bert.exporting.merge.run", MergeConfig),
    "infer": ("lora_bert.inference.predictor.open_predictor", InferConfig),
}


class SeenError(Exception):
    """Carries the configuration that a command was about to run with."""


def other_value(kind: type, option) -> object:
    """Some allowed value that is not the default."""
    if option.choices:
        return option.choices[-1]
    return {bool: True, int: 7, float: 0.25, str: "x", tuple: ["x", "y"]}[kind]


@pytest.mark.parametrize("name", TAKES_EFFECT)
def test_every_option_is_a_key(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_bert.cli import console
    from lora_bert.cli.app import run

    place, config = TAKES_EFFECT[name]
    options = options_of(config).items()
    values = {key: other_value(option.kind, option) for key, option in options}
    if name == "infer":
        # What excludes one another, or needs another, goes one by one.
        excluded = (
            "model", "input", "output", "on", "ray_address", "question", "context",
            "adapter_column",
        )  # fmt: skip
        values = {k: v for k, v in values.items() if k not in excluded} | {"adapter": ["x"]}
    Path("run.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    seen: list[object] = []

    def stop(*given: object) -> None:
        seen.extend(each for each in given if isinstance(each, config))
        raise SeenError

    monkeypatch.setattr(place, stop)
    monkeypatch.setattr(console, "bug", lambda error: 0 if isinstance(error, SeenError) else 1)
    assert run([name, "--config", "run.yaml"]) == 0
    for key, value in values.items():
        found = getattr(seen[0], key)
        assert (list(found) if isinstance(found, tuple) else found) == value, key


def test_info_takes_its_path_from_the_file(cli: Cli, here: Path, adapter: Path) -> None:
    Path("info.yaml").write_text(f"path: {adapter}\n")
    assert cli("info", "--config", "info.yaml", "--json").document["kind"] == "adapter"


def test_the_command_line_wins(cli: Cli, here: Path, tiny_backbone: Path, reviews: Path) -> None:
    values = {"data": str(reviews), "backbone": str(tiny_backbone), "output": "no", "epochs": 1}
    values |= {"rank": 2, "clean": True, "layers": "top:1"}
    Path("run.yaml").write_text(yaml.safe_dump(values))
    outcome = cli(
        "train", "--config", "run.yaml", "--rank", 3, "--no-clean", "--output", "out", "--json"
    )
    assert outcome.document["path"] == "out"
    saved = yaml.safe_load(Path("out/run.yaml").read_text())
    assert (saved["rank"], saved["clean"], saved["layers"]) == (3, False, "top:1")
    assert not Path("no").exists()


def test_keys_may_be_written_with_dashes(
    cli: Cli, here: Path, tiny_backbone: Path, reviews: Path
) -> None:
    Path("run.yaml").write_text(
        f"data: {reviews}\nbackbone: {tiny_backbone}\nepochs: 1\nmax-length: 9\n"
        "learning-rate: 1e-3\noutput: out\n"
    )
    assert cli("train", "--config", "run.yaml").code == 0
    assert yaml.safe_load(Path("out/run.yaml").read_text())["max_length"] == 9


def test_the_adapters_run_yaml_repeats_the_run_bit_for_bit(
    cli: Cli, here: Path, adapter: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reviews.parent)
    outcome = cli("train", "--config", adapter / "run.yaml", "--output", here / "again")
    assert outcome.code == 0, outcome.stderr
    for name in ("adapter_model.safetensors", "adapter_config.json", "run.yaml", "tokenizer.json"):
        assert (here / "again" / name).read_bytes() == (adapter / name).read_bytes(), name


def test_run_yaml_holds_every_option_resolved(adapter: Path) -> None:
    saved = yaml.safe_load((adapter / "run.yaml").read_text())
    left_out = ("output", "overwrite", "resume", "watch", "watch_pair", "log_to")
    assert list(saved) == [
        key
        for key, option in options_of(TrainConfig).items()
        if key not in left_out and not option.hidden
    ]
    assert (saved["alpha"], saved["max_length"], saved["dtype"]) != (None, None, "auto")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rnk: 8", ["'c.yaml'", "unknown key 'rnk'", "Did you mean 'rank'?"]),
        ("zzz: 8", ["unknown key 'zzz'", "Known: data,"]),
        ("rank: eight", ["--rank: 'eight' is not a whole number"]),
        ("rank: 8.5", ["--rank: 8.5 is not a whole number"]),
        ("epochs: true", ["--epochs: True is not a whole number"]),
        ("epochs: 0", ["--epochs: 0 is too small (at least 1)"]),
        ("clean: 1", ["--clean: 1 is not true or false"]),
        ("backbone: 5", ["--backbone: 5 is not a text"]),
        ('data: ""', ["--data is empty."]),
        ('backbone: ""', ["--backbone is empty."]),
        ("columns: [a, 5]", ["--columns: ['a', 5] is not a list of texts"]),
        (
            "label_names: {a: [b]}",
            ["--label-names: {'a': ['b']} does not give a new name to every label"],
        ),
        ("split: sorted", ["--split: 'sorted' is not one of stratified, random"]),
        ("- a", ["'c.yaml' must hold 'key: value' lines"]),
        ("rank: 8\ndata: [", ["'c.yaml', line 3: not valid YAML"]),
    ],
)
def test_mistakes_in_the_file(mistake: Mistake, here: Path, text: str, says: list[str]) -> None:
    Path("c.yaml").write_text(text + "\n")
    mistake(2, "train", "--config", "c.yaml", says=says)


@pytest.mark.parametrize("value", ["5", "[good, 5]", "{good: bad}"])
def test_texts_must_be_a_list_of_texts(
    mistake: Mistake, here: Path, adapter: Path, value: str
) -> None:
    Path("c.yaml").write_text(f"adapter: {adapter}\ntexts: {value}\n")
    mistake(2, "infer", "--config", "c.yaml", says=["texts", "is not a list of texts"])


def test_one_text_is_a_list_of_one(cli: Cli, mistake: Mistake, adapter: Path) -> None:
    Path("c.yaml").write_text(f"adapter: {adapter}\ntexts: good\n")
    assert cli("infer", "--config", "c.yaml").stdout.endswith("good\n")
    Path("e.yaml").write_text("path: nothere\noutput: out\n")
    mistake(66, "export", "--config", "e.yaml", says=["'nothere'"])


def test_no_such_config_file(mistake: Mistake, here: Path) -> None:
    Path("run.yaml").touch()
    says = ["No such file: 'runn.yaml'", "Did you mean 'run.yaml'?"]
    mistake(66, "train", "--config", "runn.yaml", says=says)  # codespell:ignore
    mistake(66, "train", "--config", ".", says=["."])


def test_a_file_that_is_not_text_is_no_yaml(mistake: Mistake, here: Path) -> None:
    Path("c.yaml").write_bytes(b"\xff\xfe\x00rank")
    mistake(2, "train", "--config", "c.yaml", says=["'c.yaml'", "not valid YAML"])


def test_every_command_takes_config(cli: Cli) -> None:
    for name in CONFIGS:
        assert "--config FILE" in cli(name, "--help").stdout
