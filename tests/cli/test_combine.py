from __future__ import annotations

from pathlib import Path

import pytest

import lora_bert
from tests.cli.conftest import Cli, Mistake
from tests.cli.outcome import contents
from tests.inference.test_session import with_other_weights

TEXTS = ["good 好吃", "bad 太慢了", ""]


@pytest.fixture
def two(adapter: Path, here: Path) -> list[str]:
    for seed in (0, 1):
        with_other_weights(adapter, here / f"seed{seed}", seed)
    return ["seed0", "seed1"]


def test_it_says_what_it_made_and_compared(cli: Cli, two: list[str]) -> None:
    before = contents(Path())
    outcome = cli("combine", *two, "out dir", "--weights", "3,1")
    assert (outcome.code, outcome.stderr) == (0, "")
    combined, compared, after = outcome.stdout.splitlines()
    assert combined.startswith("combined    out dir (0.")
    assert combined.endswith(" MB, rank 16): 75.0% seed0, 25.0% seed1")
    assert compared.startswith("compared    largest difference in probability ")
    assert compared.endswith(" on 64 texts, in float32")
    assert after == "next        lora-bert evaluate 'out dir' --data …"
    made = {name: data for name, data in contents(Path()).items() if not name.startswith("out dir")}
    assert made == before
    told = cli("info", "out dir").stdout
    assert "combined         seed0 75.0%, seed1 25.0%" in told
    assert "metrics" not in told
    assert cli("verify", "out dir").code == 0
    assert len(cli("infer", "--adapter", "out dir", *TEXTS).stdout.splitlines()) == 3


def test_json_is_one_document(cli: Cli, two: list[str]) -> None:
    found = cli("combine", *two, "out", "--json").document
    assert (found["path"], found["shares"], found["rank"]) == ("out", [0.5, 0.5], 16)
    assert 0 <= found["difference"] < 1e-4
    assert (found["texts"], found["lost"], found["moved"]) == (64, None, None)
    assert found["size"] == sum(path.stat().st_size for path in Path("out").iterdir())
    assert cli("info", "out", "--json").document["combined"][0]["adapter"] == "seed0"


def test_a_rank_that_is_cut_says_what_it_costs(cli: Cli, two: list[str]) -> None:
    found = cli("combine", *two, "out", "--rank", "4", "--json").document
    text = cli("combine", *two, "out", "--rank", "4", "--overwrite").stdout.splitlines()[1]
    assert text == (
        f"cut         to rank 4, which loses {found['lost']:.1%} of the norm of what is changed "
        f"and moves answers by up to {found['moved']:.2g} in probability"
    )


def test_the_sum_is_merged_as_any_adapter_is(cli: Cli, two: list[str]) -> None:
    cli("combine", *two, "out")
    assert cli("merge", "out", "merged").code == 0
    before, after = (
        lora_bert.load(place, dtype="float32").probabilities(TEXTS) for place in ("out", "merged")
    )
    assert abs(before - after).max() < 1e-5
    assert "`seed0`" in Path("merged/README.md").read_text()


def test_weights_may_stand_in_a_file(cli: Cli, two: list[str], here: Path) -> None:
    for written in ("weights: [0.7, 0.3]", "weights: 0.7,0.3"):
        Path("c.yaml").write_text(written)
        words = ("combine", *two, "out", "--config", "c.yaml", "--json", "--overwrite")
        assert cli(*words).document["shares"] == pytest.approx([0.7, 0.3])


def test_mistakes_change_nothing(
    mistake: Mistake, cli: Cli, two: list[str], adapter: Path, merged: Path, here: Path
) -> None:
    mistake(2, "combine", says=["combine needs adapters and a directory"])
    mistake(2, "combine", "seed0", "out", says=["combine needs two adapters or more"])
    mistake(2, "combine", *two, "out", "--weights", "1", says=["--weights has 1 number", "2 adap"])
    mistake(2, "combine", *two, "out", "--weights", "-1,2", says=["'-1' is not a number from 0"])
    mistake(2, "combine", *two, "out", "--weights", "0,0", says=["--weights are all 0"])
    mistake(2, "combine", *two, "out", "--rank", "0", says=["--rank"])
    mistake(2, "combine", "seed0", merged, "out", says=["is a merged model", "Name the adapter"])
    mistake(2, "combine", "seed0", "./seed0", "out", says=["named twice", "--weights"])
    mistake(66, "combine", "seed0", "seed9", "out", says=["'seed9'", "Did you mean"])
    mistake(73, "combine", *two, "seed0", "--overwrite", says=["is or holds 'seed0'"])
    mistake(73, "combine", *two, "seed0/out", says=["lies inside", "/seed0'"])
    Path("full").mkdir()
    Path("full/note.txt").touch()
    mistake(73, "combine", *two, "full", says=["not empty"])
    mistake(73, "combine", *two, "full", "--overwrite", says=["something else"])
    Path("seed1/adapter_model.safetensors").write_bytes(b"cut")
    mistake(65, "combine", *two, "out", says=["is damaged"])


def test_a_difference_is_an_error_and_nothing_is_kept(
    mistake: Mistake, two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_bert.exporting.combine.TOLERANCE", -1.0)
    mistake(65, "combine", *two, "out", says=["differs from what it is made of", "not kept"])


def test_a_backbone_elsewhere(
    cli: Cli, two: list[str], own_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LORA_BERT_BACKBONES")
    assert cli("combine", *two, "out", "--backbone", own_backbone).code == 0
