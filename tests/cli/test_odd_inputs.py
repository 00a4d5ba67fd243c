"""Inputs that nobody plans for: each gets an answer or a sentence, and nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import COMMAND, contents, environment, finish, start

USAGE, BAD, OUTPUT, STOPPED = 2, 65, 73, 130
LABELS = ("a,b", "c\nd", "\x1b[31mred", "x" * 10_000, "=1+1")


@pytest.fixture
def train(cli: Cli, tiny_backbone: Path) -> Cli:
    """``train(FILE, *options)``: one epoch on the tiny backbone into ``out``."""

    def call(data: object, *words: object):  # type: ignore[no-untyped-def]
        usual = ("--backbone", tiny_backbone, "--epochs", 1, "--output", "out")
        return cli("train", "--data", data, *usual, *words)

    return call


def table(path: str, rows: list[tuple[str, str]], encoding: str = "utf-8") -> Path:
    with Path(path).open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows([("label", "review"), *rows])
    return Path(path)


def some(count: int = 40) -> list[tuple[str, str]]:
    return [(f"{n % 2}", f"{'bad' if n % 2 else 'good'} {n}") for n in range(count)]


# Texts


def test_a_text_of_a_megabyte(train: Cli, cli: Cli, adapter: Path) -> None:
    long = "good 好吃 " * 120_000
    outcome = train(table("long.csv", [*some(), ("1", long)]))
    assert outcome.code == 0
    assert "longer than 130 tokens and cut there" in outcome.stderr
    table("ask.csv", [("", long)])
    words = ("--adapter", adapter, "--input", "ask.csv", "--output", "answers.csv")
    assert cli("infer", *words).code == 0
    csv.field_size_limit(10**7)
    with Path("answers.csv").open(encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream))["review"] == long


def test_nul_bytes(train: Cli) -> None:
    rows = "".join(f"{n % 2},{'bad' if n % 2 else 'good'} food number {n}\n" for n in range(200))
    Path("one.csv").write_text("label,review\n0,bad\x00 food\n" + rows)
    assert train("one.csv").code == 0
    Path("many.csv").write_text("label,review\n" + rows.replace(" ", "\x00"))
    outcome = train("many.csv", "--overwrite")
    assert (outcome.code, "Traceback" in outcome.stderr) == (BAD, False)
    assert "'many.csv' is not text: it is full of control characters" in outcome.stderr


def test_two_encodings_in_one_file(train: Cli, mistake: Mistake, tiny_backbone: Path) -> None:
    rows = [f"{n % 2},送餐{'很慢' if n % 2 else '很快'}，第 {n} 次\n" for n in range(40)]
    half = "".join(rows[:20]).encode() + "".join(rows[20:]).encode("gb18030")
    Path("both.csv").write_bytes(b"label,review\n" + half)
    words = ("train", "--data", "both.csv", "--backbone", tiny_backbone)
    mistake(BAD, *words, says=["mixes encodings: line 2 is UTF-8, line 22 is not"])
    Path("one.csv").write_bytes(b"label,review\n" + "".join(rows).encode("gb18030"))
    assert train("one.csv").code == 0


def test_a_column_that_is_half_numbers(train: Cli) -> None:
    rows = [(label, str(n) if n % 2 else text) for n, (label, text) in enumerate(some())]
    assert train(table("half.csv", rows)).code == 0


def test_cells_that_a_spreadsheet_would_run(cli: Cli, adapter: Path) -> None:
    texts = ["=HYPERLINK(0)", "@SUM(1)", "-好吃", "+1", "-2.5", "fine - yes"]
    table("ask.csv", [("", text) for text in texts])
    words = ("infer", "--adapter", adapter, "--input", "ask.csv")
    outcome = cli(*words, "--output", "a.csv")
    assert "warning: 3 cells begin with =, +, - or @" in outcome.stderr
    with Path("a.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["review"] for row in csv.DictReader(stream)] == texts
    assert "formula" not in cli(*words, "--output", "a.jsonl").stderr


# Labels


@pytest.mark.slow
def test_five_thousand_classes(train: Cli, cli: Cli) -> None:
    rows = [(f"class {n % 5000}", f"good {n}") for n in range(10_000)]
    assert train(table("many.csv", rows)).code == 0
    assert len(cli("infer", "--adapter", "out", "good 3").stdout.splitlines()) == 1
    outcome = cli("evaluate", "out", "--report", "r.html", "--output", "tables")
    assert outcome.code == 0
    assert max(map(len, outcome.stdout.splitlines())) < 100
    assert Path("r.html").stat().st_size < 200_000


def test_a_class_with_one_row(train: Cli) -> None:
    outcome = train(table("one.csv", [*some(), ("lonely", "never seen again")]))
    assert outcome.code == 0
    assert "1 class has fewer than 5 training rows: 'lonely' (1)." in outcome.stderr


def test_labels_with_anything_in_them(train: Cli, cli: Cli) -> None:
    rows = [(LABELS[n % 5], f"good {n}") for n in range(60)]
    outcome = train(table("labels.csv", rows))
    assert outcome.code == 0
    assert "\x1b" not in outcome.stdout + outcome.stderr
    assert lora_bert.load("out").labels == tuple(sorted(LABELS))
    for words in (
        ("infer", "--adapter", "out", "good 3", "\x1b]0;title\x07"),
        ("info", "out"),
        ("evaluate", "out", "--data", "labels.csv", "--report", "r.html", "--output", "tables"),
    ):
        outcome = cli(*words)
        assert outcome.code == 0
        assert "\x1b" not in outcome.stdout + outcome.stderr
    assert "\x1b" not in Path("r.html").read_text(encoding="utf-8")
    cli("infer", "--adapter", "out", "--input", "labels.csv", "--output", "a.csv")
    with Path("a.csv").open(encoding="utf-8", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert {f"prob_{label}" for label in LABELS} < set(read[0])
    assert [row["label"] for row in read] == [row[0] for row in rows]


# Names of files


@pytest.mark.parametrize(
    "name", ["评论 数据", "with  spaces", "🍜-📦", "x" * 255, "很" * 85, "-dash"]
)
def test_names_of_files_and_directories(
    name: str, train: Cli, cli: Cli, reviews: Path, tiny_backbone: Path
) -> None:
    short = name.encode()[:240].decode(errors="ignore")
    data = shutil.copy(reviews, f"./{short}.csv")
    outcome = cli("train", "--data", data, "--backbone", tiny_backbone, "--epochs", 1,
                  f"--output=./{name}")  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    assert cli("evaluate", f"./{name}", "--data", data, f"--output=./{short}-e").code == 0
    assert cli("merge", f"./{name}", f"./{short}-m").code == 0
    words = ("--model", f"./{short}-m", "--input", data, f"--output=./{short}.jsonl")
    assert cli("infer", *words).code == 0
    assert cli("train", "--data", data, "--backbone", tiny_backbone, "--epochs", 1,
               f"--output=./{name}", "--overwrite").code == 0  # fmt: skip


def test_a_name_that_is_no_utf8(train: Cli, cli: Cli) -> None:
    """As an archive made on Chinese Windows leaves it on Linux."""
    name = os.fsdecode(b"\xb2\xe2.csv")
    table(name, some())
    assert train(name).code == 0
    assert cli("info", "out", "--json").document["data"]["name"] == "\\xb2\\xe2.csv"
    assert "xb2" in Path("out", "README.md").read_text(encoding="utf-8")


def test_half_an_emoji_as_a_label(train: Cli, cli: Cli) -> None:
    rows = [{"text": f"good {n}", "label": "\ud83d" if n % 2 else "fine"} for n in range(40)]
    Path("half.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert train("half.jsonl").code == 0
    assert cli("info", "out", "--json").document["labels"] == ["fine", "\ufffd"]
    for words in (("merge", "out", "merged"), ("evaluate", "out", "--output", "judged")):
        assert cli(*words, "--json").code == 0
    assert cli("infer", "--model", "merged", "good").stdout.split("\t")[0] in ("fine", "\ufffd")


def test_a_name_longer_than_any_file_systems(mistake: Mistake, reviews: Path) -> None:
    mistake(OUTPUT, "train", "--data", reviews, "--output", "x" * 256, says=["Cannot write"])


# Options


def test_a_rank_beyond_the_layers(mistake: Mistake, reviews: Path, tiny_backbone: Path) -> None:
    words = ("train", "--data", reviews, "--backbone", tiny_backbone, "--rank", 33)
    mistake(USAGE, *words, says=["--rank 33", "are 32 wide"])


def test_configs_that_contradict_each_other(cli: Cli, mistake: Mistake, adapter: Path) -> None:
    Path("a.yaml").write_text("rank: 4\nepochs: 2\n")
    Path("b.yaml").write_text("rank: 8\nepochs: 2\n")
    words = ("train", "--config", "a.yaml", "--config", "b.yaml")
    mistake(USAGE, *words, says=["'b.yaml' says rank: 8, 'a.yaml' says rank: 4", "--rank"])
    Path("twice.yaml").write_text("max-length: 9\nrank: 4\nmax_length: 8\n")
    says = ["'twice.yaml', line 3: 'max_length' is said twice"]
    mistake(USAGE, "train", "--config", "twice.yaml", says=says)
    Path("one.yaml").write_text(f"adapter: {adapter}\n")
    Path("two.yaml").write_text("texts: [good]\n")
    outcome = cli("infer", "--config", "one.yaml", "--config", "two.yaml")
    assert len(outcome.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["rank: !!python/object/apply:os.system ['touch ran']", "data: !include other.yaml",
     "data: &a [*a]", "? [1, 2]\n: 3"],
)  # fmt: skip
def test_yaml_that_is_more_than_values(text: str, mistake: Mistake) -> None:
    Path("c.yaml").write_text(text + "\n")
    mistake(USAGE, "train", "--config", "c.yaml", says=[""])
    assert not Path("ran").exists()


# The surroundings


def test_locale_c_and_no_terminal(adapter: Path, reviews: Path) -> None:
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (
        ("infer", "--adapter", adapter, "很好吃"),
        ("evaluate", adapter, "--data", reviews),
        ("info", adapter),
        ("train", "--help"),
    ):
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            env={**environment(), **plain}, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("columns", ["40", "1"])
def test_a_narrow_terminal(
    columns: str, cli: Cli, adapter: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for words in (("evaluate", adapter, "--data", reviews), ("--help",), ("train", "--help")):
        outcome = cli(*words)
        assert (outcome.code, bool(outcome.stdout)) == (0, True)


def test_the_place_of_the_output_goes_meanwhile(
    train: Cli, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_bert.training import finish as run

    Path("place").mkdir()
    before = run._evaluate

    def and_gone(*given: object) -> object:
        shutil.rmtree("place")
        return before(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_evaluate", and_gone)
    assert train(reviews, "--output", "place/out").code == 0
    assert lora_bert.load("place/out").labels == ("negative", "positive")


def test_a_full_disk_while_saving(adapter: Path, reviews: Path, tiny_backbone: Path) -> None:
    """Nothing is kept of what does not fit, and everything of what stood there."""
    shutil.copytree(adapter, "out")
    was = contents(Path("out"))
    words = ["train", "--data", reviews, "--backbone", tiny_backbone, "--epochs", "1",
             "--output", "out", "--overwrite"]  # fmt: skip

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        env=environment(), preexec_fn=little_room, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == OUTPUT, done.stderr
    assert "error: Cannot write" in done.stderr
    assert contents(Path("out")) == was
    assert not list(Path().glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("mount") or os.geteuid(), reason="only root mounts a tmpfs")
def test_a_small_disk_that_fills_up(
    mistake: Mistake, adapter: Path, reviews: Path, tiny_backbone: Path, here: Path
) -> None:
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(adapter, disk / "out")
        says = ["Cannot write", "No space left on device"]
        words = ("--data", reviews, "--backbone", tiny_backbone, "--epochs", 1, "--rank", 30)
        mistake(OUTPUT, "train", *words, "--output", disk / "out", "--overwrite", says=says)
        mistake(OUTPUT, "merge", adapter, disk / "merged", says=says)
        answers = ("--adapter", adapter, "--input", table("ask.csv", some(9000)))
        mistake(OUTPUT, "infer", *answers, "--output", disk / "answers.csv", says=says)
        assert lora_bert.load(disk / "out").predict(["good"])
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(
    "command", ["infer", "evaluate", "merge", "train", "export", "convert-backbone"]
)
def test_ctrl_c_at_any_moment(
    command: str, after: float, adapter: Path, reviews: Path, tiny_backbone: Path, here: Path
) -> None:
    """It ends with its code, or was done already; what is there is whole."""
    table("ask.csv", some(3000))
    shutil.copytree(tiny_backbone, "old", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(load_file(tiny_backbone / "model.safetensors"), "old/pytorch_model.bin")
    words = {
        "infer": ["--adapter", adapter, "--input", "ask.csv", "--output", "out.csv"],
        "evaluate": [adapter, "--data", "ask.csv", "--label-names", "0=positive,1=negative",
                     "--output", "out", "--report", "out.html"],
        "merge": [adapter, "out"],
        "train": ["--data", reviews, "--backbone", tiny_backbone, "--epochs", "40",
                  "--output", "out"],
        "export": [adapter, "out", "--format", "onnx"],
        "convert-backbone": ["old", "out"],
    }[command]  # fmt: skip
    process = start(command, *words)
    timer = threading.Timer(after, process.send_signal, [signal.SIGINT])
    timer.start()
    outcome = finish(process)
    timer.cancel()
    # Before Python has started there is nobody to say anything, and Python itself ends with 1.
    early = (1,) if "init_import_site" in outcome.stderr else ()
    assert outcome.code in (0, STOPPED, -signal.SIGINT, *early), outcome.stderr
    assert "Traceback" not in outcome.stderr or after == 0
    assert not list(Path().glob(".*"))
    if command in ("merge", "train", "export") and Path("out").exists():
        assert lora_bert.load("out").labels
    if command == "convert-backbone" and Path("out").exists():
        assert lora_bert.train(reviews, backbone="out", output="trained", epochs=1)
    if command == "evaluate" and Path("out").exists():
        json.loads(Path("out/evaluation.json").read_text())
