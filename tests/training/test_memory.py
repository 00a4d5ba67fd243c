"""Memory that a training needs does not grow with its rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TRAIN = """
import sys, threading, time
import lora_bert

def private():
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("RssAnon"))

peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, private())
        time.sleep(0.01)

rows, validation, backbone, output = sys.argv[1:]
threading.Thread(target=watch, daemon=True).start()
lora_bert.train(train=rows, validation=validation, backbone=backbone, output=output,
                epochs=1, batch_size=512, layers="all")
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells of RssAnon")
def test_many_rows_take_little_more_than_few(tiny_backbone, tmp_path):
    peaks = []
    for count in (500, 20_000, 150_000):
        lines = (f"{at % 7919:x} {at:x} good,{at % 2}\n" for at in range(count))
        (tmp_path / f"{count}.csv").write_text("text,label\n" + "".join(lines))
    for count in (20_000, 150_000):
        files = [str(tmp_path / f"{rows}.csv") for rows in (count, 500)]
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, *files, tiny_backbone, tmp_path / f"to-{count}"],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(1024 * int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 100 * 130_000  # bytes; as objects a row took 300
