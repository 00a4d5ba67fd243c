from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.inference.test_session import with_other_weights

pytest.importorskip("onnx", reason="the extras onnx and openvino are not installed")

GRAPHS = {"openvino": "openvino_model.xml", "onnx": "model.onnx"}
USAGE, BAD, ABSENT, UNAVAILABLE, OUTPUT = 2, 65, 66, 69, 73


@pytest.fixture(scope="module")
def exported(merged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A merged model in each format; do not change it."""
    place = tmp_path_factory.mktemp("exported")
    for kind in GRAPHS:
        lora_bert.export(merged, place / kind, format=kind)
    return {kind: place / kind for kind in GRAPHS}


@pytest.fixture(params=GRAPHS)
def own(request: pytest.FixtureRequest, exported: dict[str, Path], here: Path) -> Path:
    """A copy of an exported model, to break; its name is its format."""
    return Path(shutil.copytree(exported[request.param], here / request.param))


def test_export_says_what_it_compared(cli: Cli, merged: Path) -> None:
    outcome = cli("export", merged, "out dir")
    assert (outcome.code, outcome.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    assert lines["exported"].startswith("out dir (openvino, float32, 0.")
    assert lines["compared"].endswith(" on 64 texts, same answer on 100.0%")
    assert lines["next"] == "lora-bert infer --model 'out dir' \"…\""
    assert {file.name for file in Path("out dir").iterdir()} == {
        "config.json",
        "lora_bert.json",
        "openvino_model.bin",
        "openvino_model.xml",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_export_json_is_one_document(cli: Cli, adapter: Path, reviews: Path) -> None:
    words = ("--format", "onnx", "--data", reviews, "--json")
    found = cli("export", adapter, "out", *words).document
    assert (found["path"], found["format"], found["precision"]) == ("out", "onnx", "float32")
    assert (found["texts"], found["agreement"]) == (60, 1.0)
    before, after = found["accuracy"]
    assert before == after
    assert found["size"] == sum(path.stat().st_size for path in Path("out").iterdir())


@pytest.mark.slow
def test_int8_says_in_probabilities_what_it_changes(cli: Cli, adapter: Path, reviews: Path) -> None:
    words = ("export", adapter, "out", "--format", "onnx", "--int8", "--data", reviews)
    text = cli(*words).stdout
    found = cli(*words, "--overwrite", "--json").document
    assert 0 < found["median"] <= found["difference"] < 1
    assert (
        f"compared    with torch in float32 on 60 texts: answers move, in probability, by "
        f"{found['median']:.2g} in the median text and by {found['difference']:.2g} in the worst, "
        "same answer on "
    ) in text
    assert "exported, on 60 texts\n" in text
    lines = dict(line.split(maxsplit=1) for line in cli("info", "out").stdout.splitlines())
    assert lines["metrics"].endswith(" rows (of the model in float, before it was quantised)")
    before, after = found["accuracy"]
    assert lines["exported"] == (
        f"onnx, int8, same label as in float on {found['agreement']:.1%} of 60 texts, "
        f"accuracy on them {after:.1%}, in float {before:.1%}"
    )
    told = cli("info", "out", "--json").document["exported"]
    assert told["metrics_of"] == "the model in float, before it was quantised"


def test_other_commands_take_it(
    cli: Cli, exported: dict[str, Path], merged: Path, reviews: Path
) -> None:
    exact = ("--dtype", "float32", "--json")
    wanted = cli("infer", "--model", merged, "good", "太慢了", *exact).document
    scores = cli("evaluate", merged, "--data", reviews, "--json").document
    for kind, path in exported.items():
        found = cli("infer", "--model", path, "good", "太慢了", *exact).document
        for one, other in zip(found, wanted, strict=True):
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
        judged = cli("evaluate", path, "--data", reviews, "--json").document
        assert judged["confusion"] == scores["confusion"]
        facts = cli("info", path, "--json").document
        assert (facts["kind"], facts["exported"]["format"]) == ("exported model", kind)
        assert facts["labels"] == ["negative", "positive"]
        assert f"exported         {kind}, float32\n" in cli("info", path).stdout


def test_a_file_to_a_file(cli: Cli, exported: dict[str, Path], reviews: Path) -> None:
    for path in exported.values():
        words = ("--input", reviews, "--output", "out.jsonl", "--overwrite", "--batch-size", 7)
        assert cli("infer", "--model", path, *words).stdout == "60 rows in out.jsonl\n"
        rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
        wanted = lora_bert.load(path).predict([row["review"] for row in rows])
        for row, one in zip(rows, wanted, strict=True):
            assert row["score"] == pytest.approx(one.score, abs=0.02)


def test_what_cannot_be_exported(mistake: Mistake, exported: dict[str, Path], merged: Path) -> None:
    mistake(USAGE, "export", merged, says=["needs an adapter or merged model and a directory"])
    mistake(ABSENT, "export", "absent", "out", says=["'absent'"])
    for command in ("export", "merge"):
        says = ["is exported for onnx", "adapter or merged model"]
        mistake(USAGE, command, exported["onnx"], "out", says=says)
    says = ["has its backbone inside", "--backbone is for adapters"]
    mistake(USAGE, "export", merged, "out", "--backbone", "x", says=says)


def test_a_difference_is_an_error_and_nothing_is_kept(
    mistake: Mistake, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_bert.exporting import onnx_places

    monkeypatch.setattr(onnx_places, "_UNSEEN", onnx_places._UNSEEN * 0)
    Path("old").mkdir()
    Path("old/config.json").write_text("{}")
    for out in ("out", "old"):
        says = ["differs from torch by", "it was not kept"]
        mistake(BAD, "export", merged, out, "--format", "onnx", "--overwrite", says=says)


def test_the_place_of_the_result(mistake: Mistake, cli: Cli, own: Path, merged: Path) -> None:
    mistake(OUTPUT, "export", merged, own, says=["is not empty", "--overwrite"])
    model = shutil.copytree(merged, "model")
    mistake(OUTPUT, "export", model, model, "--overwrite", says=["is or holds"])
    assert cli("export", merged, own, "--overwrite", "--format", own.name).code == 0


def test_lacking_or_broken_files(mistake: Mistake, own: Path) -> None:
    for name in sorted(path.name for path in own.iterdir()):
        if name in ("tokenizer_config.json", "lora_bert.json"):
            continue
        path, whole = own / name, (own / name).read_bytes()
        path.unlink()
        mistake(BAD, "infer", "--model", own, "good", says=[own.name, name])
        path.write_bytes(whole[: len(whole) // 2])
        # OpenVINO notices that weights are missing when it reads the graph that names them.
        named = name.replace(".bin", ".xml")
        mistake(BAD, "infer", "--model", own, "good", says=[f"{own.name}/{named}"])
        path.write_bytes(whole)


def test_engines_that_do_not_fit(mistake: Mistake, own: Path, merged: Path) -> None:
    infer = ("infer", "good", "--model")
    mistake(USAGE, *infer, own, "--engine", "torch", says=[f"exported for {own.name}"])
    says = ["is not exported for it", "lora-bert export"]
    mistake(USAGE, *infer, merged, "--engine", "openvino", says=says)
    mistake(USAGE, *infer, own, "--backbone", "x", says=["has its backbone inside"])
    mistake(USAGE, *infer, own, "--labels", "a,b", says=["has labels of its own"])
    mistake(USAGE, *infer, own, "--device", "cuda", says=["exported models run on the CPU"])
    mistake(USAGE, *infer, own, "--dtype", "int8", says=["eight bits from its export", "--int8"])
    if own.name == "onnx":
        words = ("--engine", "onnx", "--dtype", "bfloat16")
        mistake(USAGE, *infer, own, *words, says=["no bfloat16"])
    else:
        mistake(USAGE, *infer, own, "--engine", "onnx", says=["exported for openvino"])


def test_engines_that_are_not_installed(
    mistake: Mistake, own: Path, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_bert.inference.engines.choice._is_installed", lambda package: False)
    says = ["not installed", f"pip install 'lora-bert[{own.name}]'"]
    mistake(UNAVAILABLE, "infer", "good", "--model", own, says=says)
    mistake(UNAVAILABLE, "export", merged, "out", "--format", own.name, says=says)


@pytest.fixture(scope="module")
def together(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters and what is exported of them; do not change it."""
    place = tmp_path_factory.mktemp("together")
    for number, name in enumerate(("reviews", "other"), start=1):
        with_other_weights(adapter, place / "adapters" / name, number)
    lora_bert.export([place / "adapters"], place / "out")
    return place


def test_several_adapters_share_a_trunk(cli: Cli, together: Path) -> None:
    names = [together / "adapters" / name for name in ("reviews", "other")]
    outcome = cli("export", *names, "out dir")
    assert (outcome.code, outcome.stderr) == (0, "")
    lines = outcome.stdout.splitlines()
    words = [line.split(maxsplit=1)[0] for line in lines if not line.startswith("infer ")]
    assert words == ["exported", "trunk", "reviews", "other", "next"]
    assert lines[1].startswith("trunk       2 of 4 layers, 0.")
    assert lines[-1] == "next        lora-bert infer --model 'out dir' \"…\""
    assert {file.name for file in Path("out dir").iterdir()} == {
        "trunk.json", "trunk.xml", "trunk.bin", "reviews", "other"
    }  # fmt: skip
    words = ("export", *names, "out dir", "--format", "onnx", "--overwrite", "--json")
    document = cli(*words).document
    assert list(document["branches"]) == ["reviews", "other"]
    assert document["branches"]["other"]["path"] == str(Path("out dir/other"))
    assert document["branches"]["other"]["agreement"] == 1.0
    assert (document["format"], document["trunk_layers"], document["layers"]) == ("onnx", 2, 4)


def test_all_branches_answer_or_those_that_are_named(
    cli: Cli, together: Path, reviews: Path
) -> None:
    out, exact = together / "out", ("--dtype", "float32")
    wanted = {name: lora_bert.load(together / "adapters" / name, dtype="float32").values(["good"])
              for name in ("other", "reviews")}  # fmt: skip
    for option in ("--model", "--adapter"):
        (found,) = cli("infer", option, out, "good", *exact, "--json").document
        assert list(found["adapters"]) == ["other", "reviews"]
        for name, values in wanted.items():
            scores = list(found["adapters"][name]["scores"].values())
            assert scores == pytest.approx(values[0].tolist(), abs=1e-5)
    (found,) = cli("infer", "--model", out / "other", "good", *exact, "--json").document
    scores = list(found["scores"].values())
    assert scores == pytest.approx(wanted["other"][0].tolist(), abs=1e-5)
    two = ("--adapter", out / "reviews", "--adapter", out / "other")
    assert [line.split("\t")[0] for line in cli("infer", *two, "good").stdout.splitlines()] == [
        "reviews", "other"
    ]  # fmt: skip
    Path("in.csv").write_text("which,text\nother,good\nreviews,bad\n")
    lines = cli("infer", "--model", out, "--input", "in.csv").stdout.splitlines()
    assert lines[0].split(",")[2:4] == ["other_prediction", "other_score"]
    rows = ("--input", "in.csv", "--adapter-column", "which")
    assert cli("infer", "--model", out, *rows).stdout.splitlines()[0] == (
        "which,text,prediction,score"
    )
    judged = [cli("evaluate", place / "other", "--data", reviews, "--json").document["confusion"]
              for place in (together / "adapters", out)]  # fmt: skip
    assert judged[0] == judged[1]
    assert "exported         openvino, float32, on a trunk of 2 layers\n" in (
        cli("info", out / "other").stdout
    )


@pytest.mark.enable_socket
def test_what_a_shared_trunk_cannot(
    mistake: Mistake, together: Path, merged: Path, tiny_backbone: Path
) -> None:
    out, name = together / "out", together / "adapters" / "reviews"
    mistake(BAD, "evaluate", out, says=["holds a trunk and branches on it", str(out / "other")])
    mistake(USAGE, "export", name, merged, "x", says=["are both called 'reviews'"])
    mistake(USAGE, "export", name, tiny_backbone, "x", says=["is a backbone, not an adapter"])
    mistake(USAGE, "infer", "--adapter", out, "--adapter", name, "good",
            says=["are both called 'reviews'"])  # fmt: skip
    mistake(USAGE, "infer", "--adapter", name, "--adapter", out / "other", "good",
            says=["is exported for openvino"])  # fmt: skip
    mistake(USAGE, "serve", out, says=["holds exported adapters"])


def test_no_trunk_is_kept_where_a_branch_differs(
    mistake: Mistake, together: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_bert.exporting import onnx_places

    monkeypatch.setattr(onnx_places, "_UNSEEN", onnx_places._UNSEEN * 0)
    adapters = together / "adapters"
    mistake(BAD, "export", adapters, "out", "--format", "onnx", says=["differs from torch by"])
    assert not Path("out").exists()


def test_a_lone_word_is_what_is_exported_and_never_replaced(
    cli: Cli, mistake: Mistake, adapter: Path, here: Path
) -> None:
    shutil.copytree(adapter, "own")
    Path("c.yaml").write_text("output: out\noverwrite: true\nformat: onnx\n")
    Path("o.yaml").write_text("output: out\noverwrite: true\n")
    assert cli("export", "own", "--config", "c.yaml").code == 0
    assert Path("out/model.onnx").is_file()
    assert Path("own/adapter_model.safetensors").is_file()
    mistake(USAGE, "export", "own", says=["export needs an adapter"])
    says = ["'other' may be the output or one of the others", "--config says output: out"]
    mistake(USAGE, "export", "own", "other", "--config", "c.yaml", says=says)
    mistake(USAGE, "combine", "own", "other", "--config", "o.yaml", says=["'other' may be"])


def test_an_empty_word_is_nothing(mistake: Mistake, adapter: Path) -> None:
    mistake(USAGE, "export", "", "out", says=["path is empty", "variable of the shell"])
    mistake(USAGE, "export", adapter, "", "out", says=["path is empty"])
    mistake(USAGE, "infer", "--adapter", "", "good", says=["--adapter is empty"])


def test_a_directory_with_one_adapter_stands_for_it(cli: Cli, adapter: Path, here: Path) -> None:
    shutil.copytree(adapter, "adapters/own")
    assert cli("export", "adapters", "out", "--format", "onnx").code == 0
    assert Path("out/model.onnx").is_file()


def test_two_that_are_not_there(mistake: Mistake, here: Path) -> None:
    mistake(USAGE, "export", "x/own", "x/own", "out", says=["is named twice"])
    mistake(ABSENT, "export", "x/own", "y/own", "out", says=["No such directory: 'x/own'"])
    Path("x/own").mkdir(parents=True)
    mistake(ABSENT, "export", "x/own", "y/own", "out", says=["No such directory: 'y/own'"])
