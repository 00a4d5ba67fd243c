from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli, Mistake


def test_a_line_a_check(cli: Cli, adapter: Path) -> None:
    outcome = cli("verify", adapter)
    assert outcome.code == 0
    lines = [line.split()[:2] for line in outcome.stdout.splitlines()]
    assert lines[0] == ["ok", "files"]
    assert {mark for mark, _ in lines} == {"ok"}


def test_a_failed_check_is_the_exit_code(cli: Cli, own_adapter: Path) -> None:
    (own_adapter / "adapter_model.safetensors").write_bytes(b"nothing")
    outcome = cli("verify", own_adapter)
    assert outcome.code == 65
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == [
        "ok", "ok", "FAILED", "-", "-", "-"
    ]  # fmt: skip
    found = cli("verify", own_adapter, "--json")
    assert (found.code, found.document["passed"]) == (65, False)
    assert json.dumps(found.document["checks"][2]["said"]).count("damaged") == 1


def test_nothing_to_verify(mistake: Mistake) -> None:
    mistake(2, "verify", says=["verify needs a directory"])
    mistake(66, "verify", "nowhere", says=["No such adapter, model or backbone: 'nowhere'"])
