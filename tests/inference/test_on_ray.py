"""On a Ray cluster rows, columns and bytes are those of one process, whatever dies meanwhile."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from lora_bert.cli.app import run
from tests.cli.outcome import Outcome, environment, finish, start

pytestmark = pytest.mark.slow

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
CLUSTER = """
import json, os, sys
from moto.server import ThreadedMotoServer

store = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
store.start()
os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:%d" % store.get_host_and_port()[1]
import ray

made = ray.init(
    address="local", num_cpus=2, include_dashboard=False, _temp_dir=sys.argv[1],
    object_store_memory=200_000_000,
)
print(json.dumps([made.address_info["gcs_address"], os.environ["AWS_ENDPOINT_URL"]]), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster of this machine, and a store that speaks S3."""

    process: subprocess.Popen[str]
    address: str
    env: dict[str, str]

    def start(self, *words: object) -> subprocess.Popen[str]:
        words = (*words, "--on", "ray", "--ray-address", self.address)
        return start("infer", *words, env=self.env)

    def infer(self, *words: object) -> Outcome:
        return finish(self.start(*words), 120)

    def actors(self) -> list[psutil.Process]:
        return [each for each in psutil.Process(self.process.pid).children(recursive=True)
                if "Answerer" in "".join(each.cmdline())]  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    for package in ("ray", "moto", "flask", "s3fs"):
        pytest.importorskip(package)
    env = environment(
        **KEYS, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0",
        RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32),
    )  # fmt: skip
    place = tmp_path_factory.mktemp("r", numbered=False)  # sockets have short names
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(place)], env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    address, endpoint = json.loads(process.stdout.readline())
    yield Cluster(process, address, {**env, "AWS_ENDPOINT_URL": endpoint})
    process.communicate()


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Texts of many lengths, in types that a table of strings would not keep."""
    return [{"id": row, "review": f"good {'slow ' * (row % 7)}{row}", "more": [row, None]}
            for row in range(start, start + count)]  # fmt: skip


def write(path: Path, given: Sequence[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        schema = pa.Table.from_pylist(rows(2)).schema
        parquet.write_table(pa.Table.from_pylist(list(given), schema), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in given))
    else:
        path.write_text(
            "id,review\n" + "".join(f'{row["id"]},"{row["review"]}"\n' for row in given)
        )


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def words(merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    monkeypatch.chdir(tmp_path)
    return ("--model", merged, "--dtype", "float32", "--min-score", 0.6)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_one_file_has_the_bytes_of_one_process(
    suffix: str, cluster: Cluster, words: tuple[object, ...], tmp_path: Path
) -> None:
    """More rows than are sorted together, in several files, of which one has none where it may."""
    counts = [0, 9_000, 30] if suffix == "parquet" else [9_000, 30]
    for number, count in enumerate(counts):
        given = rows(count, number * 10_000)
        for row in given[-2:]:
            row["review"] = "slow " * 200
        write(tmp_path / f"in{number}.{suffix}", given)
    words = ("infer", *words, "--input", f"in*.{suffix}")
    assert run([*map(str, words), "--output", f"one.{suffix}"]) == 0
    outcome = cluster.infer(*words[1:], "--output", f"ray.{suffix}", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.document == {"output": f"ray.{suffix}", "rows": 9_030}
    assert (tmp_path / f"ray.{suffix}").read_bytes() == (tmp_path / f"one.{suffix}").read_bytes()
    assert "text column 'review'" in outcome.stderr
    assert outcome.stderr.count("4 of 9,030 texts are longer than 130 tokens") == 1
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_killed_actor_loses_no_row_and_answers_none_twice(
    cluster: Cluster, adapter: Path, tiny_backbone: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for number in range(60):
        write(tmp_path / f"in{number:02}.jsonl", rows(300, number * 300))
    words = ("--adapter", adapter, "--backbone", tiny_backbone, "--input", "in*.jsonl")
    process = cluster.start(*words, "--output", "out/*.jsonl")
    while len(list(tmp_path.glob(".out.*/part-*"))) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    killed = cluster.actors()
    assert killed
    for each in killed:
        each.kill()
    waited = len(list(tmp_path.glob(".out.*/part-*")))
    outcome = finish(process, 120)
    assert outcome.code == 0, outcome.stderr
    assert waited < 60  # it was midway
    parts = sorted((tmp_path / "out").glob("part-*.jsonl"))
    assert len(parts) == 60
    assert run([*map(str, ("infer", *words)), "--output", "one.jsonl"]) == 0
    assert b"".join(path.read_bytes() for path in parts) == (tmp_path / "one.jsonl").read_bytes()
    mark = json.loads((tmp_path / "out" / "_lora_bert.json").read_text())
    assert (mark["rows"], mark["parts"]) == (18_000, 60)


def test_after_a_mistake_in_one_file_the_others_are_not_answered_again(
    cluster: Cluster, words: tuple[object, ...], tmp_path: Path
) -> None:
    for number in range(3):
        write(tmp_path / f"in{number}.csv", rows(20, number * 20))
    whole = (tmp_path / "in2.csv").read_text()
    (tmp_path / "in2.csv").write_text(whole + '1000,"never closed\n')
    words = (*words, "--input", "in*.csv", "--output", "out/*.parquet")
    outcome = cluster.infer(*words)
    assert outcome.code == 65
    assert f"'{tmp_path}/in2.csv', line 22: a quote opened" in outcome.error
    assert not (tmp_path / "out").exists()
    (room,) = tmp_path.glob(".out.*")
    assert f"waits in '{room}'" in outcome.stderr
    before = {path.name: path.stat().st_ino for path in room.iterdir()}
    assert before
    (tmp_path / "in2.csv").write_text(whole)
    assert cluster.infer(*words).code == 0
    after = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("part-*")}
    assert before.items() <= after.items()
    assert len(after) == 3
    # Another output of ours is replaced, and nothing else.
    assert cluster.infer(*words).code == 73
    assert cluster.infer(*words, "--overwrite").code == 0
    assert not room.exists()


@pytest.mark.enable_socket
def test_from_s3_to_s3(
    cluster: Cluster, words: tuple[object, ...], adapter: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    """The adapter and its backbone are sent to the machines."""
    import s3fs

    store = s3fs.S3FileSystem(key="a", secret="b", endpoint_url=cluster.env["AWS_ENDPOINT_URL"])
    store.mkdir("rows")
    for number in range(3):
        write(tmp_path / f"in{number}.parquet", rows(40, number * 40))
        store.put_file(str(tmp_path / f"in{number}.parquet"), f"rows/in{number}.parquet")
    words = ("--adapter", adapter, "--backbone", tiny_backbone, "--input")
    assert run([*map(str, ("infer", *words, "in*.parquet")), "--output", "one.parquet"]) == 0
    wanted = read(tmp_path / "one.parquet")

    words = (*words, "s3://rows/in*.parquet", "--output")
    outcome = cluster.infer(*words, "s3://rows/day/*.parquet")
    assert outcome.code == 0, outcome.stderr
    names = [name for name in sorted(store.find("rows/day")) if "part-" in name]
    assert len(names) == 3
    assert [row for name in names for row in parquet.read_table(name, filesystem=store).to_pylist()
            ] == wanted  # fmt: skip
    assert json.loads(store.cat("rows/day/_lora_bert.json"))["rows"] == 120
    assert cluster.infer(*words, "s3://rows/day/*.parquet").code == 73
    assert cluster.infer(*words, "s3://rows/day/*.parquet", "--overwrite").code == 0

    assert cluster.infer(*words, "s3://rows/one.parquet").code == 0
    assert parquet.read_table("rows/one.parquet", filesystem=store).to_pylist() == wanted
    assert [name for name in store.find("rows") if "/." in name] == []

    store.pipe("rows/broken.csv", b'review\n"never closed\n')
    outcome = cluster.infer(*words[:-2], "s3://rows/broken.csv", "--output", "s3://rows/o.csv")
    assert (outcome.code, "'s3://rows/broken.csv', line 2" in outcome.error) == (65, True)
    outcome = cluster.infer(*words[:-2], "s3://rows/no*.csv", "--output", "s3://rows/o.csv")
    assert (outcome.code, "fits the pattern" in outcome.error) == (66, True)


def test_a_cluster_of_its_own_is_reached_from_nowhere_else(
    words: tuple[object, ...], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    write(tmp_path / "in.csv", rows(20))
    process = start("infer", *words, "--input", "in.csv", "--output", "out.csv", "--on", "ray",
                    env=environment())  # fmt: skip
    heard: set[str] = set()
    while process.poll() is None:
        for each in psutil.Process(process.pid).children(recursive=True):
            try:
                heard |= {one.laddr.ip for one in each.net_connections() if one.status == "LISTEN"}
            except psutil.Error:
                continue
        time.sleep(0.1)
    outcome = finish(process)
    assert (outcome.code, outcome.stdout) == (0, "20 rows in out.csv\n"), outcome.stderr
    assert outcome.stderr == "text column 'review'\n"
    assert {address.removeprefix("::ffff:") for address in heard} == {"127.0.0.1"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_no_cluster_at_an_address(words: tuple[object, ...], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    write(tmp_path / "in.csv", rows(20))
    words = (*words, "--input", "in.csv", "--output", "out.csv", "--on", "ray")
    outcome = finish(start("infer", *words, "--ray-address", "127.0.0.1:1"), 120)
    assert (outcome.code, "No Ray cluster at '127.0.0.1:1'" in outcome.error) == (69, True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.csv"]
