"""Processes that torchrun starts: what passes between them, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lora_bert.runtime import distributed, signals
from lora_bert.runtime.distributed import Processes
from tests.launch import ROOT, ended, torchrun

pytestmark = pytest.mark.slow

PASSED = """\
import json, sys, time
import numpy as np, torch
from lora_bert.cache.trunk_cache import CachedStates
from lora_bert.cache.shared_rows import SharedStates
from lora_bert.runtime.distributed import processes
from pathlib import Path

us = processes()
lengths = np.array([3, 1, 2, 2, 5, 1, 4])
owners = np.array([0, 1, 0, 1, 0, 1, 1])
own = np.flatnonzero(owners == us.rank)
data = torch.cat([torch.zeros(1), *(torch.full((lengths[row],), row + 1.0) for row in own)])
starts = 1 + np.cumsum(lengths[own]) - lengths[own]
states = CachedStates(data[:, None].bfloat16(), starts, lengths[own], torch.device("cpu"))
wanted = [np.array([6, 0, 1]), np.array([4, 2])]
fetched = SharedStates(us, states, owners, lengths).fetch(wanted)
told = {
    "threads": [us.add_threads(), torch.get_num_threads()],
    "sum": us.add(torch.tensor([1.0, us.rank])).tolist(),
    "integers": us.add(torch.tensor([us.rank + 1])).tolist(),
    "gathered": us.gather({"rank": us.rank, "text": "é" * us.rank}),
    "collected": us.collect(np.stack([own, own + 0.5], 1), owners).tolist(),
    "nothing": [
        part.tolist() for part in us.exchange([torch.empty_strided((0, 2), (0, 0))] * 2, [0, 0])
    ],
    "none_of_the_first": us.collect(np.ones((3, 2))[: 3 * us.rank], np.ones(3, int)).tolist(),
    "fetched": {
        int(row): fetched(np.array([row]))[0][: lengths[row], 0].tolist()
        for row in wanted[us.rank]
    },
}
with us.first() as alone:
    time.sleep(alone)
Path(sys.argv[1], f"{us.rank}.json").write_text(json.dumps(told))
"""

ENDS = """\
import os, signal, sys, time
import torch
from lora_bert.errors import DataError, LoraBertError
from lora_bert.runtime.distributed import processes
from lora_bert.runtime.signals import stoppable, uninterrupted

us, how = processes(), sys.argv[1]
try:
    with stoppable(), us.one_voice(), uninterrupted():
        if how == "all":
            raise DataError("the same for all")
        for step in range(1000):
            us.add(torch.zeros(1000))
            us.raise_stop()
            time.sleep(0.01)
            if step == 20 and us.rank == 1:
                if how == "one":
                    raise DataError("only here")
                os.kill(os.getpid(), int(how))
except LoraBertError as error:
    if not error.said_elsewhere:
        print("said:", error, error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt as stop:
    sys.stderr.write(f"stopped {us.rank} {step} {type(stop).__name__}" + chr(10))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def test_tensors_json_and_rows_pass(script: Path, tmp_path: Path) -> None:
    script.write_text(PASSED)
    code, _, err = ended(torchrun(script, tmp_path))
    assert code == 0, err
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first | {"fetched": 0} == second | {"fetched": 0}
    assert first["threads"][0] == 2 * first["threads"][1]
    assert (first["sum"], first["integers"]) == ([2, 1], [3])
    assert first["gathered"] == [{"rank": 0, "text": ""}, {"rank": 1, "text": "é"}]
    assert first["collected"] == [[row, row + 0.5] for row in range(7)]
    assert first["nothing"] == second["nothing"] == [[], []]
    assert first["none_of_the_first"] == [[1, 1]] * 3
    assert first["fetched"] == {"6": [7] * 4, "0": [1] * 3, "1": [2]}
    assert second["fetched"] == {"4": [5] * 5, "2": [3] * 2}


@pytest.mark.parametrize("how", ["all", "one"])
def test_an_error_is_said_once_and_last(script: Path, how: str) -> None:
    script.write_text(ENDS)
    code, _, err = ended(torchrun(script, how))
    sentence = {"all": "the same for all", "one": "only here"}[how]
    assert code != 0
    assert err.count("said:") == 1
    assert f"said: {sentence}" in err
    assert sentence in err.rpartition("Root Cause")[2]  # torchrun's report, the last thing to read
    assert "exitcode  : 65" in err


def test_a_killed_process_ends_all(script: Path) -> None:
    script.write_text(ENDS)
    code, _, err = ended(torchrun(script, "9"), seconds=30)
    assert code != 0
    assert err.count("said:") == 1
    assert "One of the 2 processes of this training has ended; the others cannot go on." in err
    assert "SIGKILL" in err.rpartition("Root Cause")[2]


@pytest.mark.parametrize(("number", "raised"), [(2, "KeyboardInterrupt"), (15, "Terminated")])
def test_a_signal_to_one_stops_all_at_the_same_step(script: Path, number: int, raised: str) -> None:
    script.write_text(ENDS)
    code, _, err = ended(torchrun(script, str(number)))
    assert code == 0, err
    assert {f"stopped {rank} 21 {raised}" for rank in (0, 1)} <= set(err.splitlines())


def test_one_process_alone() -> None:
    us = Processes()
    tensor, values = torch.ones(2), np.ones((3, 2))
    assert us.is_first
    assert us.add(tensor) is tensor
    assert us.collect(values, np.zeros(3, int)) is values
    assert us.gather({"a": 1}) == [{"a": 1}]
    us.raise_stop()
    with us.first() as alone:
        assert alone


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        # What accelerate launch --cpu --num_processes 2 sets, and starts one.
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}, True),
        ({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True"}, False),
        ({"WORLD_SIZE": "2"}, True),
        ({"MASTER_ADDR": "127.0.0.1"}, False),
        ({}, False),
    ],
)
def test_a_launch_that_starts_fewer_than_asked_says_so(
    variables: dict[str, str], said: bool
) -> None:
    program = (
        "import logging; logging.basicConfig()\n"
        "from lora_bert.runtime.distributed import processes\n"
        "print(processes().count)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1\n"
    assert ("started alone" in done.stderr) is said


def test_gloo_that_misses_a_death_is_not_waited_for_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(distributed, "_GRACE", 0.2)
    never = SimpleNamespace(is_completed=lambda: False)
    threading.Timer(0.1, signal.raise_signal, [signal.SIGTERM]).start()
    with (
        signals.stoppable(),
        signals.uninterrupted(),
        pytest.raises(RuntimeError, match="gone without a word"),
    ):
        try:
            distributed._wait(never)
        finally:
            signals._Waiting.arrived.clear()
