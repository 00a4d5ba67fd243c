"""What people get wrong: one clear sentence, the documented exit code, nothing lost on disk."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import environment, finish, start
from tests.tiny import write_backbone

USAGE, BAD, ABSENT, UNAVAILABLE, OUTPUT = 2, 65, 66, 69, 73


@pytest.fixture
def train(mistake: Mistake, tiny_backbone: Path) -> Mistake:
    """``mistake`` for ``train`` on the tiny backbone, into ``out``."""

    def call(code: int, *words: object, says: list[str]) -> str:
        common = ("--backbone", tiny_backbone, "--epochs", 1)
        where = () if "--output" in words else ("--output", "out")
        return mistake(code, "train", *common, *where, *words, says=says)

    return call


@pytest.fixture(scope="session")
def other_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone of another size than the adapter's."""
    return write_backbone(tmp_path_factory.mktemp("other") / "tiny-bert-16", hidden_size=16)


def rows(path: str, *lines: str) -> str:
    Path(path).write_text("\n".join(("label,review", *lines)) + "\n", encoding="utf-8")
    return path


# Data


def test_no_such_file(train: Mistake) -> None:
    rows("reviews.csv", "a,b")
    says = ["No such data file", "'revews.csv'", "Did you mean 'reviews.csv'?"]
    train(ABSENT, "--data", "revews.csv", says=says)  # codespell:ignore
    train(ABSENT, "--train", "reviews.csv", "--validation", "absent.csv", says=["'absent.csv'"])
    train(ABSENT, "--data", "waimi", says=["'waimi'", "Did you mean 'waimai'?"])


def test_no_such_file_for_the_other_commands(mistake: Mistake, adapter: Path, merged: Path) -> None:
    mistake(ABSENT, "evaluate", adapter, "--data", "absent.csv", says=["'absent.csv'"])
    mistake(ABSENT, "merge", adapter, "out", "--data", "absent.csv", says=["'absent.csv'"])
    words = ("infer", "--model", merged, "--input", "absent.csv")
    mistake(ABSENT, *words, says=["'absent.csv'"])
    mistake(ABSENT, *words, "--output", "out.csv", says=["'absent.csv'"])
    for command in (("evaluate",), ("infer", "hi", "--adapter"), ("infer", "hi", "--model")):
        mistake(ABSENT, *command, "absent", says=["No such adapter or merged model: 'absent'"])
    mistake(ABSENT, "merge", "absent", "out", says=["No such adapter or merged model: 'absent'"])
    mistake(ABSENT, "info", "absent", says=["No such adapter, merged model or backbone: 'absent'"])
    Path("file").touch()
    mistake(ABSENT, "info", "file", says=["'file' is not a directory"])


@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.json", "e.jsonl", "e.parquet"])
def test_empty_file(train: Mistake, mistake: Mistake, merged: Path, name: str) -> None:
    Path(name).touch()
    train(BAD, "--data", name, says=[f"'{name}' is empty"])
    words = ("--model", merged, "--input", name, "--output", "out.csv")
    mistake(BAD, "infer", *words, says=[f"'{name}' is empty"])


def test_header_only(train: Mistake) -> None:
    train(BAD, "--data", rows("h.csv"), says=["'h.csv' holds a header and no rows"])


@pytest.mark.parametrize("name", ["g.csv", "g.json", "g.jsonl", "g.parquet"])
def test_binary_garbage(train: Mistake, mistake: Mistake, merged: Path, name: str) -> None:
    Path(name).write_bytes(bytes(range(256)) * 20)
    train(BAD, "--data", name, says=[f"'{name}'"])
    words = ("--model", merged, "--input", name, "--output", "out.csv")
    mistake(BAD, "infer", *words, says=[f"'{name}'"])


def test_absent_column(train: Mistake, mistake: Mistake, merged: Path, reviews: Path) -> None:
    says = ["no column 'reviw'", "'label', 'review'", "Did you mean 'review'?"]
    train(BAD, "--data", reviews, "--text-column", "reviw", says=says)  # codespell:ignore
    says = ["no column 'lable'", "'label', 'review'", "Did you mean 'label'?"]
    train(BAD, "--data", reviews, "--label-column", "lable", says=says)  # codespell:ignore
    words = ["--model", merged, "--input", reviews, "--output", "out.csv"]
    words += ["--text-column", "reviw"]  # codespell:ignore
    mistake(BAD, "infer", *words, says=["Did you mean 'review'?"])


def test_no_column_that_is_called_like_a_text(train: Mistake) -> None:
    Path("d.csv").write_text("label,zzz\na,b\nb,c\n")
    train(BAD, "--data", "d.csv", says=["'d.csv'", "'label', 'zzz'", "--text-column"])


def test_one_class(train: Mistake) -> None:
    says = ["'one.csv' has one class only, 'a'"]
    train(BAD, "--data", rows("one.csv", *["a,good"] * 10), says=says)


def test_label_in_validation_never_seen_in_train(
    train: Mistake, mistake: Mistake, adapter: Path, reviews: Path
) -> None:
    rows("val.csv", "positive,good", "negatve,bad")  # codespell:ignore
    says = ["'val.csv', line 3", "'negatve' stands in no training row", "Did you mean 'negative'?"]
    train(BAD, "--train", reviews, "--validation", "val.csv", says=says)
    says = ["'val.csv', line 3", "'negatve' is not one of the adapter's", "'negative'?"]
    mistake(BAD, "evaluate", adapter, "--data", "val.csv", says=says)


def test_nothing_left_where_texts_or_labels_are_empty(train: Mistake) -> None:
    rows("blank.csv", *["a, ", " ,good"] * 5)
    says = [
        "'blank.csv' has nothing left",
        "5 rows with an empty text",
        "5 rows with an empty label",
    ]
    train(BAD, "--data", "blank.csv", says=says)


def test_nothing_left_after_cleaning(train: Mistake) -> None:
    rows("dots.csv", *["a,！！！", "b,...", "b,。"] * 10)
    says = ["'dots.csv' has nothing left after cleaning", "--clean"]
    train(BAD, "--data", "dots.csv", "--clean", says=says)


def test_some_texts_left_after_cleaning(cli: Cli, tiny_backbone: Path) -> None:
    rows("some.csv", *["a,good!", "b,bad", "b,..."] * 10)
    words = ("--data", "some.csv", "--backbone", tiny_backbone, "--epochs", 1, "--output", "out")
    outcome = cli("train", *words, "--clean", "--validation-fraction", "0.2")
    assert outcome.code == 0
    assert "warning: 8 of 24 training texts have nothing left after cleaning." in outcome.stderr


def test_a_broken_row_is_named(train: Mistake) -> None:
    rows("wide.csv", "a,good", "b,bad,worse")
    train(BAD, "--data", "wide.csv", says=["'wide.csv', line 3", "3 cells"])
    rows("quote.csv", "a,good", 'b,"bad', "a,good")
    train(BAD, "--data", "quote.csv", says=["'quote.csv', line 3", "never closed"])


def test_too_few_rows_to_split(train: Mistake) -> None:
    train(BAD, "--data", rows("few.csv", "a,good", "b,bad"), says=["'few.csv'", "too few"])


def test_data_and_train_together(train: Mistake, reviews: Path) -> None:
    train(USAGE, "--data", reviews, "--train", reviews, says=["--data and --train"])


# Options


def test_rank_0(train: Mistake, reviews: Path) -> None:
    train(
        USAGE, "--data", reviews, "--rank", 0, says=["--rank 0", "at least 1", "--method head-only"]
    )


def test_target_module_that_matches_nothing(train: Mistake, reviews: Path) -> None:
    says = ["'querry' matches no linear layer", "Did you mean 'query'?", "all-linear, attention,"]
    says += ["attention.self.query", "intermediate.dense"]
    train(USAGE, "--data", reviews, "--target-modules", "querry", says=says)  # codespell:ignore


def test_layers_that_are_not_there(train: Mistake, reviews: Path) -> None:
    train(USAGE, "--data", reviews, "--layers", "top:9", says=["top:9", "has 4 layers"])
    train(USAGE, "--data", reviews, "--layers", "some", says=["'some'", "'top:N'"])


def test_max_length_over_the_backbones_positions(train: Mistake, reviews: Path) -> None:
    says = ["--max-length 1000", "positions for 130 tokens", "--max-length 130"]
    train(USAGE, "--data", reviews, "--max-length", 1000, says=says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rank", "eight"], ["'--rank'", "'eight' is not a valid integer"]),
        (["--learning-rate", "fast"], ["'--learning-rate'", "'fast' is not a valid float"]),
        (["--learning-rate", "nan"], ["--learning-rate: nan is not a finite number"]),
        (["--learning-rate", "inf"], ["--learning-rate: inf is not a finite number"]),
        (
            ["--learning-rate", "0"],
            ["--learning-rate: 0 is too small (more than 0 and less than 1)"],
        ),
        (["--learning-rate", "1e3"], ["--learning-rate: 1000 is too large"]),
        (["--epochs", "0"], ["--epochs: 0 is too small (at least 1)"]),
        (["--dropout", "1"], ["--dropout: 1 is too large (at least 0 and at most 0.99)"]),
        (["--validation-fraction", "1"], ["--validation-fraction: 1 is too large"]),
        (["--seed", str(2**32)], ["--seed: 4294967296 is too large"]),
        (["--split-seed", str(10**20)], ["--split-seed", "at most 4294967295"]),
        (["--device", "gpu"], ["'--device'", "'gpu' is not one of 'auto', 'cpu', 'cuda'"]),
        (["--label-names", "0"], ["'0' is not of the form OLD=NEW"]),
        (["--encoding", "nonsense"], ["no text encoding 'nonsense'"]),
        (["--rank"], ["'--rank' requires an argument"]),
    ],
)
def test_wrong_types_and_ranges(
    train: Mistake, reviews: Path, words: list[str], says: list[str]
) -> None:
    train(USAGE, "--data", reviews, *words, says=says)


def test_unknown_option(mistake: Mistake) -> None:
    mistake(USAGE, "train", "--rnak", 8, says=["'--rnak'", "Did you mean '--rank'?"])
    mistake(USAGE, "infer", "--modle", "m", says=["'--modle'", "Did you mean '--model'?"])
    mistake(USAGE, "train", "--zzz", says=["'--zzz'", "See lora-bert train --help."])
    mistake(USAGE, "--zzz", says=["'--zzz'", "See lora-bert --help."])


def test_unknown_command(mistake: Mistake) -> None:
    mistake(USAGE, "tran", says=["'tran'", "Did you mean 'train'?"])
    mistake(
        USAGE,
        "zzz",
        says=[
            "'zzz'",
            "train, evaluate, merge, combine, export, infer, serve, ",
            "serve, convert-backbone, verify, info, cache",
        ],
    )


def test_an_argument_too_many(mistake: Mistake) -> None:
    mistake(USAGE, "train", "reviews.csv", says=["reviews.csv", "See lora-bert train --help."])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate"], ["evaluate needs an adapter or a merged model"]),
        (["merge"], ["merge needs an adapter and a directory"]),
        (["merge", "a"], ["merge needs an adapter and a directory"]),
        (["combine"], ["combine needs adapters and a directory", "lora-bert combine A B OUT"]),
        (["info"], ["info needs a directory"]),
        (["infer", "hello"], ["infer needs an adapter or a merged model", "--adapter"]),
        (["infer", "hello", "--adapter", "a", "--model", "b"], ["either --adapter or --model"]),
        (["infer", "hello", "--adapter", "a", "--input", "b"], ["either texts or --input"]),
        (["infer", "hello", "--adapter", "a", "--output", "b.csv"], ["--output needs --input"]),
        (["infer", "--adapter", "a", "--input", "-"], ["lines of standard input are read where"]),
        (["infer", "--adapter", "a", "--input", "b", "--output", "-"], ["go to standard output"]),
        (["infer", "--adapter", "a", "--input", "b.csv", "--json"], ["--json with --input"]),
    ],
)
def test_an_argument_too_few(mistake: Mistake, words: list[str], says: list[str]) -> None:
    mistake(USAGE, *words, says=says)


class Terminal:
    """A standard input with somebody sitting in front of it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "more"), [(None, []), (None, ["--json"]), (Terminal(), ["--json"])]
)
def test_infer_with_neither_text_nor_input(
    mistake: Mistake,
    merged: Path,
    monkeypatch: pytest.MonkeyPatch,
    stdin: Terminal | None,
    more: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    says = ["nothing to classify: neither texts nor --input"]
    mistake(USAGE, "infer", "--model", merged, *more, says=says)


def test_no_gpu(train: Mistake, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    says = ["--device cuda: no NVIDIA GPU", "--device cpu"]
    train(UNAVAILABLE, "--data", reviews, "--device", "cuda", says=says)


def test_no_gpu_for_several(
    mistake: Mistake, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share a session, which from Python speaks of keywords."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    several = [f"--adapter={shutil.copytree(adapter, tmp_path / name)}" for name in "ab"]
    says = ["--device cuda: no NVIDIA GPU", "--device cpu"]
    mistake(UNAVAILABLE, "infer", *several, "good", "--device", "cuda", says=says)


def test_a_training_that_diverges(train: Mistake, reviews: Path) -> None:
    says = ["diverged", "Lower --learning-rate"]
    train(1, "--data", reviews, "--weight-decay", 1e300, says=says)


# Output


def taken(name: str) -> Path:
    """A directory that holds something dear."""
    path = Path(name)
    path.mkdir()
    (path / "thesis.txt").write_text("seven years")
    return path


def test_output_directory_not_empty(
    train: Mistake, mistake: Mistake, adapter: Path, reviews: Path
) -> None:
    taken("out")
    says = ["'out' is not empty", "--overwrite"]
    train(OUTPUT, "--data", reviews, says=says)
    mistake(OUTPUT, "merge", adapter, "out", says=says)
    mistake(OUTPUT, "evaluate", adapter, "--data", reviews, "--output", "out", says=says)


def test_output_that_holds_what_is_read(
    train: Mistake, mistake: Mistake, own_adapter: Path, own_backbone: Path
) -> None:
    Path("data").mkdir()
    Path("data/evaluation.json").touch()
    reviews = rows("data/reviews.csv", *["a,good", "b,bad"] * 10)
    for output, words in (
        ("data", ("--data", "data/reviews.csv")),
        ("backbone", ("--data", reviews, "--backbone", own_backbone)),
    ):
        train(OUTPUT, *words, "--output", output, "--overwrite", says=["is or holds", "read here"])
    words = ("evaluate", "adapter", "--data", reviews, "--overwrite", "--output")
    mistake(OUTPUT, *words, own_adapter, says=["is or holds 'adapter'"])
    mistake(OUTPUT, *words, "data", says=["is or holds 'data/reviews.csv'"])
    mistake(OUTPUT, *words, ".", says=["'.' is a mount point, or the current directory"])


def test_output_is_a_file(
    train: Mistake, mistake: Mistake, adapter: Path, merged: Path, reviews: Path
) -> None:
    Path("out").write_text("dear")
    train(OUTPUT, "--data", reviews, says=["'out' is a file; a directory is needed"])
    mistake(OUTPUT, "merge", adapter, "out", says=["'out' is a file"])
    Path("out.csv").write_text("dear")
    words = ("infer", "--model", merged, "--input", reviews, "--output")
    mistake(OUTPUT, *words, "out.csv", says=["'out.csv' exists", "--overwrite"])
    taken("dir.csv")
    mistake(OUTPUT, *words, "dir.csv", "--overwrite", says=["'dir.csv' is a directory"])
    mistake(USAGE, *words, "out.xlsx", says=["'out.xlsx'", ".csv, .tsv, .jsonl, .parquet"])


def test_a_failing_overwrite_leaves_what_was_there(
    train: Mistake, mistake: Mistake, adapter: Path, merged: Path, reviews: Path
) -> None:
    taken("out")
    Path("out/adapter_config.json").touch()
    rows("bad.csv", *["a,good"] * 10)
    train(BAD, "--data", "bad.csv", "--overwrite", says=["one class"])
    mistake(ABSENT, "merge", adapter, "out", "--overwrite", "--data", "no.csv", says=["'no.csv'"])
    Path("out.csv").write_text("dear")
    # The mistake stands far down, where the first piece of answers is written already.
    rows("long.csv", *["a,good"] * 5000, "a,b,c")
    words = ("--input", "long.csv", "--output", "out.csv", "--overwrite")
    mistake(BAD, "infer", "--model", merged, *words, says=["'long.csv', line 5,002"])


@pytest.fixture
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory nothing can be created in: for root, whom modes do not stop, a mount."""
    path = tmp_path_factory.mktemp("read-only")
    if os.geteuid():
        path.chmod(0o555)
        yield path
        path.chmod(0o755)
        return
    mount = shutil.which("mount")
    words = ["-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(path)]
    if (
        mount is None
        or subprocess.run([mount, *words], capture_output=True, check=False).returncode
    ):
        pytest.skip("root, and mounting a read-only file system is not permitted")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_output_on_a_read_only_file_system(
    train: Mistake, mistake: Mistake, adapter: Path, merged: Path, reviews: Path, read_only: Path
) -> None:
    for out in (read_only / "out", read_only / "deep" / "out"):
        says = [f"Cannot write '{out}'", ": "]
        train(OUTPUT, "--data", reviews, "--output", out, says=says)
        mistake(OUTPUT, "merge", adapter, out, says=says)
        words = ("evaluate", adapter, "--data", reviews, "--output", out)
        mistake(OUTPUT, *words, says=says)
    out = read_only / "out.csv"
    words = ("infer", "--model", merged, "--input", reviews, "--output", out)
    mistake(OUTPUT, *words, says=[f"Cannot write '{out}'"])


def test_output_below_a_file(
    train: Mistake, mistake: Mistake, adapter: Path, merged: Path, reviews: Path
) -> None:
    Path("file").write_text("dear")
    train(OUTPUT, "--data", reviews, "--output", "file/out", says=["Cannot write 'file/out'"])
    mistake(OUTPUT, "merge", adapter, "file/out", says=["Cannot write 'file/out'"])
    words = ("infer", "--model", merged, "--input", reviews, "--output", "file/out.csv")
    mistake(OUTPUT, *words, says=["Cannot write 'file/out.csv'"])


def test_a_full_disk_under_stdout(merged: Path, reviews: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    words = ("infer", "--model", merged, "--input", reviews)
    with Path("/dev/full").open("w") as full:
        outcome = finish(start(*words, stdout=full))
    assert outcome.code == OUTPUT
    assert outcome.stderr.endswith("error: Cannot write the output: No space left on device.\n")


# Adapters and backbones


def test_out_equal_to_the_adapter(mistake: Mistake, own_adapter: Path, here: Path) -> None:
    for out in (own_adapter, "adapter/", "./adapter", "adapter/../adapter", here):
        for more in ([], ["--overwrite"]):
            says = [f"Output '{Path(out)}' is or holds '{own_adapter}', which is read here"]
            mistake(OUTPUT, "merge", own_adapter, out, *more, says=says)
    Path("link").symlink_to(own_adapter)
    mistake(OUTPUT, "merge", "adapter", "link", "--overwrite", says=["is or holds 'adapter'"])


def test_out_equal_to_the_backbone(mistake: Mistake, adapter: Path, own_backbone: Path) -> None:
    words = ("merge", adapter, own_backbone, "--overwrite", "--backbone", own_backbone)
    mistake(OUTPUT, *words, says=["is or holds"])


def test_output_of_infer_equal_to_its_input(mistake: Mistake, merged: Path) -> None:
    rows("in.csv", "a,good")
    Path("link.csv").symlink_to("in.csv")
    for out in ("in.csv", "./in.csv", "link.csv"):
        words = ("infer", "--model", merged, "--input", "in.csv", "--output", out, "--overwrite")
        mistake(OUTPUT, *words, says=["is the input"])


def test_merging_a_merged_model(mistake: Mistake, merged: Path) -> None:
    mistake(USAGE, "merge", merged, "out", says=[f"'{merged}' is a merged model already"])


NEEDED = ["adapter_config.json", "adapter_model.safetensors", "lora_bert.json", "tokenizer.json"]


@pytest.mark.parametrize("name", NEEDED)
def test_adapter_lacking_a_file(mistake: Mistake, own_adapter: Path, name: str) -> None:
    (own_adapter / name).unlink()
    says = ["'adapter' is not a whole adapter", f"it has no {name}"]
    mistake(BAD, "infer", "--adapter", "adapter", "good", says=says)
    mistake(BAD, "merge", "adapter", "out", says=says)
    mistake(BAD, "evaluate", "adapter", "--data", rows("rows.csv", "positive,good"), says=says)


@pytest.mark.parametrize("name", ["README.md", "curve.png", "run.yaml", "tokenizer_config.json"])
def test_adapter_lacking_a_file_that_predicting_does_not_need(
    cli: Cli, adapter: Path, own_adapter: Path, name: str
) -> None:
    whole = cli("infer", "--adapter", adapter, "good 1", "bad 好吃", "--json")
    (own_adapter / name).unlink()
    assert cli("infer", "--adapter", own_adapter, "good 1", "bad 好吃", "--json") == whole


def test_evaluating_an_adapter_that_lacks_its_run(mistake: Mistake, own_adapter: Path) -> None:
    (own_adapter / "run.yaml").unlink()
    written = json.loads((own_adapter / "lora_bert.json").read_text())
    del written["data"]["told"]
    (own_adapter / "lora_bert.json").write_text(json.dumps(written))
    says = ["'adapter' does not say what rows it was trained on", "--data"]
    mistake(USAGE, "evaluate", "adapter", says=says)


def test_evaluating_where_the_training_data_are_not(mistake: Mistake, adapter: Path) -> None:
    says = ["trained on are not here", "'reviews.csv'", "--data"]
    mistake(ABSENT, "evaluate", adapter, says=says)


@pytest.mark.parametrize("name", [*NEEDED, "tokenizer_config.json"])
@pytest.mark.parametrize("keep", [0, 0.5])
def test_truncated_adapter(mistake: Mistake, own_adapter: Path, name: str, keep: float) -> None:
    path = own_adapter / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    mistake(BAD, "infer", "--adapter", "adapter", "good", says=[f"'adapter/{name}'"])


@pytest.mark.parametrize("keep", [0, 0.5, 0.999])
def test_truncated_backbone(
    train: Mistake, mistake: Mistake, adapter: Path, own_backbone: Path, reviews: Path, keep: float
) -> None:
    path = own_backbone / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    says = ["backbone/model.safetensors' is damaged"]
    train(BAD, "--data", reviews, "--backbone", "./backbone", says=says)
    mistake(BAD, "merge", adapter, "out", "--backbone", "./backbone", says=says)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_backbone_lacking_a_file(
    train: Mistake, own_backbone: Path, reviews: Path, name: str
) -> None:
    (own_backbone / name).unlink()
    says = ["/backbone' has no " if name != "config.json" else "'backbone' is not a backbone", name]
    train(BAD, "--data", reviews, "--backbone", "backbone", says=says)


@pytest.mark.parametrize("name", ["config.json", "lora_bert.json", "model.safetensors"])
def test_truncated_merged_model(mistake: Mistake, merged: Path, here: Path, name: str) -> None:
    path = Path(shutil.copytree(merged, here / "merged")) / name
    path.write_bytes(path.read_bytes()[:-9])
    mistake(BAD, "infer", "--model", "merged", "good", says=[f"'merged/{name}'"])


def test_another_backbones_shapes(
    mistake: Mistake, adapter: Path, other_backbone: Path, reviews: Path
) -> None:
    says = [f"'{adapter}'", "was trained on another backbone", "with fingerprint", "--backbone"]
    on = ("--backbone", other_backbone)
    mistake(BAD, "infer", "--adapter", adapter, *on, "good", says=says)
    mistake(BAD, "merge", adapter, "out", *on, says=says)
    mistake(BAD, "evaluate", adapter, *on, "--data", reviews, says=says)


def test_another_kind_of_backbone(
    mistake: Mistake, adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = write_backbone(tmp_path_factory.mktemp("other") / "tiny-distilbert", "distilbert")
    words = ("infer", "--adapter", adapter, "--backbone", other, "good")
    mistake(BAD, *words, says=[f"'{adapter}'", "--backbone"])


def test_a_directory_that_is_neither(mistake: Mistake, tiny_backbone: Path) -> None:
    Path("empty").mkdir()
    for words in (["infer", "good", "--model", "empty"], ["info", "empty"]):
        mistake(BAD, *words, says=["'empty' is neither an adapter", "nor a merged model"])
    words = ("infer", "good", "--model", tiny_backbone)
    mistake(BAD, *words, says=["is a backbone, not a classifier", "lora-bert train"])


def test_no_such_backbone_directory(train: Mistake, reviews: Path) -> None:
    for name in ("./absent", "a/b/c", "~/absent"):
        train(ABSENT, "--data", reviews, "--backbone", name, says=[f"'{name}'"])


def test_the_adapters_backbone_is_gone(
    mistake: Mistake, own_adapter: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    monkeypatch.setattr("lora_bert.backbones.resolve._reachable", lambda endpoint: False)
    says = ["'adapter' needs the backbone 'tiny-bert', which is not here", "--backbone"]
    mistake(UNAVAILABLE, "infer", "--adapter", "adapter", "good", says=says)


@pytest.mark.parametrize("listens", [False, True])
def test_backbone_not_found_and_offline(
    here: Path, listens: bool, socket_enabled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as hub:
        hub.bind(("127.0.0.1", 0))
        if listens:
            hub.listen()  # and never answers
        endpoint = f"http://127.0.0.1:{hub.getsockname()[1]}"
        env = environment(HF_ENDPOINT=endpoint, HF_HOME=str(here / "hub"))
        words = ("train", "--backbone", "no-such/model", "--output", "out")
        # The hub's own client would go on trying for minutes.
        outcome = finish(start(*words, env=env))
    assert outcome.code == UNAVAILABLE
    assert "'no-such/model' is neither a directory nor in the hub's cache" in outcome.error
    assert "e5-small-zh-en" in outcome.error
    assert not Path("out").exists()
