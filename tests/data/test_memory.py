"""Memory that reading, dividing and checking take hardly grows with the rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PREPARE = """
import sys, threading, time
from lora_bert.data.data_checks import warn_about
from lora_bert.data.sources import load_splits

def private():
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("RssAnon"))

peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, private())
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
warn_about(load_splits(sys.argv[1]))
print(1024 * peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells of RssAnon")
def test_many_rows_take_little_more_than_few(tmp_path):
    peaks = []
    for count in (60_000, 200_000):
        path = tmp_path / f"{count}.csv"
        lines = (f"{at},{'some words ' * 9}{at},{at % 2}\n" for at in range(count))
        path.write_text("id,text,label\n" + "".join(lines))
        done = subprocess.run(
            [sys.executable, "-c", _PREPARE, path], env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 150 * 140_000  # bytes; as Python's objects a row takes 400
