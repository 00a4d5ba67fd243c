from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import lora_bert
from tests.cli.conftest import Cli
from tests.cli.outcome import contents, finish, start

KEYS = {"accuracy", "macro_f1", "log_loss", "rows", "interval"}


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path, reviews: Path) -> Cli:
    """``cli train`` on the tiny backbone and reviews, one epoch."""
    return lambda *words: cli(
        *("train", "--data", reviews, "--backbone", tiny_backbone, "--epochs", 1), *words
    )


def test_train_says_what_came_out_and_what_to_do_next(train: Cli) -> None:
    outcome = train("--output", "out", "--head-start", "random")
    assert outcome.code == 0
    *facts, last = outcome.stdout.splitlines()
    lines = dict(line.split(maxsplit=1) for line in facts)
    assert list(lines) == ["adapter", "trained", "validation", "next"]
    assert lines["next"] == "lora-bert evaluate out"
    assert lines["adapter"].startswith("out (0.1 MB, epoch 1")
    assert "7,778 of 44,930 parameters (17.31%)" in lines["trained"]
    for part in ("accuracy", "95 % interval", "macro-F1", "12 rows"):
        assert part in lines["validation"]
    assert last.split(maxsplit=0) == ['lora-bert infer --adapter out "…"']


def test_train_says_on_stderr_what_it_found_and_how_it_goes(train: Cli) -> None:
    stderr = train("--output", "out", "--head-start", "random").stderr
    assert "text column 'review', label column 'label'" in stderr
    assert "Split off 12 of 60 rows for validation (stratified, seed 42)." in stderr
    assert "epoch 1/1: loss 0." in stderr
    assert "warning: 14.4 % of the tokens are unknown to the backbone 'tiny-bert'" in stderr


def test_quiet_leaves_the_warnings(train: Cli) -> None:
    lines = train("--output", "out", "--quiet").stderr.splitlines()
    assert lines
    assert all(line.startswith("warning: ") for line in lines)


def test_quiet_shows_no_bar_on_a_terminal(train: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_bert.runtime.progress_bar import track

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with track(1, "rows") as bar:
        assert not bar.disable
    train("--output", "out", "--quiet")
    with track(1, "rows") as bar:
        assert bar.disable


def test_train_json_is_one_document(train: Cli) -> None:
    outcome = train("--output", "out", "--json", "--head-start", "random")
    found = outcome.document
    assert outcome.code == 0
    assert found["validation"].keys() >= KEYS
    assert (found["path"], found["labels"]) == ("out", ["negative", "positive"])
    assert (found["trainable_parameters"], found["total_parameters"]) == (7_778, 44_930)
    assert (found["best_epoch"], found["interrupted"], len(found["history"])) == (1, False, 1)
    assert found["bytes"] == sum(path.stat().st_size for path in Path("out").iterdir())


def test_what_is_written(train: Cli) -> None:
    train("--output", "out")
    assert set(contents(Path("out"))) == {
        *("adapter_config.json", "adapter_model.safetensors", "lora_bert.json", "run.yaml"),
        *("tokenizer.json", "tokenizer_config.json", "README.md", "curve.png"),
    }
    assert Path("out/curve.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_of_this_machine_is_written(
    train: Cli, here: Path, reviews: Path, tiny_backbone: Path
) -> None:
    train("--output", here / "out")
    told = [str(path).encode() for path in (here, reviews.parent, tiny_backbone.parent)]
    for name, found in contents(here / "out").items():
        assert not any(path in (found or b"") for path in told), name


def test_no_text_of_the_data_is_written(train: Cli, reviews: Path) -> None:
    train("--output", "out")
    for line in reviews.read_text(encoding="utf-8").splitlines()[1:]:
        text = line.partition(",")[2].encode()
        assert not any(text in (found or b"") for found in contents(Path("out")).values())


def test_output_is_called_after_the_data_by_default(train: Cli) -> None:
    assert "runs/reviews" in train().stdout
    assert Path("runs/reviews/lora_bert.json").is_file()


def test_overwrite_replaces_the_whole_directory(train: Cli) -> None:
    train("--output", "out")
    before = Path("out/adapter_model.safetensors").read_bytes()
    Path("out/old.txt").touch()
    assert train("--output", "out", "--overwrite", "--seed", 7).code == 0
    assert not Path("out/old.txt").exists()
    assert Path("out/adapter_model.safetensors").read_bytes() != before
    assert [entry.name for entry in Path().iterdir()] == ["out"]


def test_an_empty_directory_is_no_obstacle(train: Cli) -> None:
    Path("out").mkdir()
    assert train("--output", "out").code == 0


def test_separate_files_and_a_test_score(
    cli: Cli, tiny_backbone: Path, reviews: Path, here: Path
) -> None:
    header, *lines = reviews.read_text(encoding="utf-8").splitlines()
    for name, chosen in {"train": lines[:40], "dev": lines[40:50], "test": lines[50:]}.items():
        Path(f"{name}.csv").write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    words = ("--backbone", tiny_backbone, "--epochs", 1, "--output", "out", "--json")
    files = ("--train", "train.csv", "--validation", "dev.csv", "--test", "test.csv")
    by_file = cli("train", *files, *words).document
    assert (by_file["validation"]["rows"], by_file["test"]["rows"]) == (10, 10)
    assert by_file["test"].keys() >= KEYS
    by_directory = cli("train", "--data", ".", *words, "--output", "out2").document
    assert by_directory["test"] == by_file["test"]


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--rank", "4", "--alpha", "4"], "lora_alpha", 4.0),
        (["--rank", "4"], "lora_alpha", 8.0),
        (["--layers", "top:2"], "layers_to_transform", [2, 3]),
        (["--target-modules", "query,value"], "target_modules", ["query", "value"]),
        (["--dropout", "0.1"], "lora_dropout", 0.1),
    ],
)
def test_adapter_options_reach_the_adapter(
    train: Cli, words: list[str], key: str, value: object
) -> None:
    train("--output", "out", *words)
    found = json.loads(Path("out/adapter_config.json").read_text())[key]
    if key == "target_modules":
        found = [path.rpartition(".")[2] for path in found]
    assert found == value


@pytest.mark.parametrize(
    "words",
    [
        ["--gradient-accumulation", "2", "--batch-size", "4", "--max-grad-norm", "0"],
        ["--gradient-checkpointing", "--class-weights", "balanced", "--warmup", "0.5"],
        ["--early-stopping", "1", "--metric", "log_loss", "--weight-decay", "0"],
        ["--split", "random", "--split-seed", "2023", "--validation-fraction", "0.3"],
        ["--limit", "30", "--clean", "--max-length", "12", "--device", "cpu"],
        ["--label-names", "negative=bad", "--dtype", "bfloat16", "--test-fraction", "0.1"],
    ],
)
def test_every_other_option_trains(train: Cli, words: list[str]) -> None:
    assert train("--output", "out", *words).code == 0
    assert len(lora_bert.load("out").predict(["good"])) == 1


def test_early_stopping_says_so(train: Cli) -> None:
    words = ("--early-stopping", 1, "--learning-rate", 1e-9, "--output", "out", "--json")
    outcome = train(*words, "--epochs", 9)
    assert "Stopped: no better accuracy for 1 epoch." in outcome.stderr
    assert len(outcome.document["history"]) == 2  # whichever of the two has the lower loss


def test_imbalanced_classes_are_said(train: Cli, cli: Cli, here: Path) -> None:
    assert "imbalanced" not in train("--output", "one").stderr
    rows = "".join(f"{'rare' if n % 9 == 0 else 'usual'},text {n}\n" for n in range(99))
    Path("rare.csv").write_text("label,text\n" + rows)
    told = train("--data", "rare.csv", "--output", "two", "--quiet").stderr
    assert (
        "warning: Classes are imbalanced: 'usual' has 70 of 79 training rows, 'rare' has 9. "
        "--metric macro_f1 --class-weights balanced make the small ones count."
    ) in told
    options = ("--metric", "macro_f1", "--class-weights", "balanced")
    assert "imbalanced" not in train("--data", "rare.csv", "--output", "three", *options).stderr


def test_a_limit_names_the_file_it_is_of(
    cli: Cli, tiny_backbone: Path, reviews: Path, here: Path
) -> None:
    for name in ("train", "validation", "test"):
        Path(f"{name}.csv").write_bytes(reviews.read_bytes())
    words = ("--backbone", tiny_backbone, "--epochs", 1, "--limit", 30, "--output", "out")
    told = cli("train", "--data", here, *words).stderr
    for name in ("train", "validation", "test"):
        assert told.count(f"Using 30 of 60 rows of '{here}/{name}.csv', drawn at random.") == 1


def test_a_training_that_learned_nothing_names_the_rate(train: Cli) -> None:
    told = train(
        "--output", "low", "--head-start", "random", "--epochs", 3, "--learning-rate", 1e-7
    ).stderr
    assert "warning: Nothing was learned: the loss went from " in told
    assert "Raise --learning-rate: it was 1e-07, and 0.001 is the default." in told
    told = train(
        "--output", "high", "--head-start", "random", "--epochs", 3, "--learning-rate", 0.9
    ).stderr
    assert "Lower --learning-rate" in told


def test_ctrl_c_keeps_the_best_adapter_so_far(tiny_backbone: Path, reviews: Path) -> None:
    words = ("--data", reviews, "--backbone", tiny_backbone, "--output", "out", "--json")
    process = start("train", *words, "--epochs", 100_000)
    assert process.stderr is not None
    said = next(line for line in process.stderr if line.startswith("epoch 2/"))
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    found = outcome.document
    assert (outcome.code, found["interrupted"]) == (130, True), said + outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert f"keeping the adapter of epoch {found['best_epoch']}." in outcome.stderr
    assert len(lora_bert.load("out").predict(["good"])) == 1
    scores = lora_bert.evaluate("out", str(reviews), part="validation").as_dict()
    assert scores["accuracy"] == found["validation"]["accuracy"]
    assert {entry.name for entry in Path().iterdir()} == {"out", "out.checkpoints"}


@pytest.mark.slow
def test_sigterm_saves_and_resume_goes_on(tiny_backbone: Path, reviews: Path, cli: Cli) -> None:
    words = ("--data", reviews, "--backbone", tiny_backbone, "--epochs", 150)
    assert cli("train", *words, "--output", "whole").code == 0
    process = start("train", *words, "--output", "out")
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("epoch 2/"))
    process.send_signal(signal.SIGTERM)
    outcome = finish(process)
    assert outcome.code == 143
    assert outcome.stderr.endswith("error: Stopped.\n")
    assert {entry.name for entry in Path().iterdir()} == {"whole", "out.checkpoints"}
    step = int(outcome.stderr.split("Stopped by SIGTERM at step ")[1].split(".")[0])
    assert f"--resume goes on at step {step}." in outcome.stderr
    outcome = cli("train", *words, "--output", "out")
    assert (outcome.code, f"was stopped after step {step}." in outcome.error) == (73, True)
    outcome = cli("train", *words, "--output", "out", "--resume")
    assert f"Going on after step {step} of 300." in outcome.stderr
    assert f"steps {step + 1} to 300" in outcome.stdout
    assert {entry.name for entry in Path().iterdir()} == {"whole", "out"}
    for name in ("adapter_model.safetensors", "run.yaml", "lora_bert.json"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def test_ctrl_c_before_the_first_epoch_ended(train: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_bert.training import gradients

    calls = iter(range(100))
    compute = gradients.branch

    def pressed(*given: object, **more: object) -> object:
        if next(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return compute(*given, **more)

    monkeypatch.setattr(gradients, "branch", pressed)
    start = ("--head-start", "random")
    outcome = train("--output", "out", "--batch-size", 8, "--json", *start)
    assert outcome.code == 130
    assert (outcome.document["interrupted"], outcome.document["best_epoch"]) == (True, 0)
    assert "warning: Stopped by Ctrl-C: keeping the adapter of this moment." in outcome.stderr
    assert len(lora_bert.load("out").predict(["good"])) == 1


def test_ctrl_c_before_there_is_anything_to_keep(
    cli: Cli, tiny_backbone: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lora_bert.training.prepare.load_splits", interrupted)
    words = ("--data", reviews, "--backbone", tiny_backbone, "--output", "out")
    outcome = cli("train", *words)
    assert outcome.code == 130
    assert outcome.stderr.endswith("error: Stopped.\n")
    assert list(Path().iterdir()) == []


def test_a_bug_says_how_to_report_it(cli: Cli, train: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("lora_bert.training.trainer.Trainer.fit", broken)
    outcome = train("--output", "out")
    assert outcome.code == 70
    assert "error: Unexpected ZeroDivisionError: division by zero\n" in outcome.error
    assert f"a bug in lora-bert {lora_bert.__version__}" in outcome.error
    assert "--debug" in outcome.error
    assert list(Path().iterdir()) == []
    debugged = train("--output", "out", "--debug")
    assert debugged.code == 70
    assert "Traceback (most recent call last)" in debugged.stderr
    assert "in broken" in debugged.stderr


def test_debug_shows_the_traceback_of_a_mistake_too(train: Cli) -> None:
    outcome = train("--rank", 0, "--debug")
    assert outcome.code == 2
    assert "Traceback" in outcome.stderr
    assert "error: --rank 0" in outcome.stderr


def test_train_without_any_option(cli: Cli) -> None:
    outcome = cli("train", "--limit", 60, "--epochs", 1, "--layers", "top:1")
    assert outcome.code == 0
    assert "training on the small data set 'takeaway-mini'" in outcome.stderr
    assert Path("runs/takeaway-mini/lora_bert.json").is_file()
