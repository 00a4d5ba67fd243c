"""Parts wait until all are there; then they are the output."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from lora_bert import remote
from lora_bert.errors import ConfigError, OutputError
from lora_bert.inference.part_files import Output


@pytest.fixture
def place(request, tmp_path):
    """A directory of this machine, or of a store."""
    if request.param == "here":
        yield str(tmp_path)
        return
    yield "memory://out"
    fsspec.filesystem("memory").rm("/", recursive=True)


here_and_there = pytest.mark.parametrize("place", ["here", "there"], indirect=True)


def fill(output: Output, *parts: str) -> str:
    room = output.waiting_room("key")
    if not remote.is_url(room):
        Path(room).mkdir()
    for number, part in enumerate(parts):
        with remote.whole_file(f"{room}/part-{number}.csv") as work:
            work.write_text(part)
    return room


def text_of(name: str) -> str:
    with remote.local_copy(name) as path:
        return path.read_text()


@here_and_there
def test_one_file_has_one_header_even_one_of_several_lines(place):
    output = Output.of(f"{place}/all.csv", overwrite=False)
    output.claim([])
    header = '"a\nname",b\n'
    room = fill(output, f"{header}1,2\n", f"{header}3,4\n", f'{header}"5\n",6\n')
    output.complete(room, {f"part-{number}.csv": 1 for number in range(3)})
    assert text_of(f"{place}/all.csv") == f'{header}1,2\n3,4\n"5\n",6\n'
    assert remote.names_in(place) == {"all.csv"}
    with pytest.raises(OutputError, match="exists"):
        output.claim([])


@here_and_there
def test_a_directory_holds_these_parts_alone_and_says_how_many(place):
    output = Output.of(f"{place}/all/*.csv", overwrite=False)
    output.claim([])
    room = fill(output, "a\n1\n", "a\n2\n", "of an older state of a file")
    output.complete(room, {"part-0.csv": 1, "part-1.csv": 1})
    assert remote.names_in(f"{place}/all") == {"part-0.csv", "part-1.csv", "_lora_bert.json"}
    mark = json.loads(text_of(f"{place}/all/_lora_bert.json"))
    assert (mark["rows"], mark["parts"]) == (2, 2)
    assert remote.names_in(place) == {"all"}
    with pytest.raises(OutputError):
        output.claim([])
    again = Output.of(f"{place}/all/*.csv", overwrite=True)
    again.claim([])
    again.complete(fill(again, "a\n3\n"), {"part-0.csv": 1})
    assert remote.names_in(f"{place}/all") == {"part-0.csv", "_lora_bert.json"}
    assert text_of(f"{place}/all/part-0.csv") == "a\n3\n"


@here_and_there
def test_a_directory_of_something_else_is_not_replaced(place):
    with remote.whole_file(f"{place}/all/mine.txt") as work:
        work.write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        Output.of(f"{place}/all/*.csv", overwrite=True).claim([])


@here_and_there
def test_a_part_that_is_not_there_leaves_no_output(place):
    output = Output.of(f"{place}/all/*.csv", overwrite=False)
    room = fill(output, "a\n1\n")
    with pytest.raises(OutputError, match=r"lacks the part 'part-7.csv'"):
        output.complete(room, {"part-0.csv": 1, "part-7.csv": 1})
    assert remote.names_in(f"{place}/all") == set()
    assert remote.names_in(room) == {"part-0.csv"}


@here_and_there
def test_an_output_that_is_or_holds_an_input(place):
    with remote.whole_file(f"{place}/all/in.csv") as work:
        work.write_text("a\n1\n")
    for name in ("all/in.csv", "all/*.csv"):
        with pytest.raises(OutputError):
            Output.of(f"{place}/{name}", overwrite=True).claim([f"{place}/all/in.csv"])


@pytest.mark.parametrize(
    "name", ["all", "all/part-*.csv", "*.csv", "s3://bucket/*.csv", "all/*.xlsx", "all.csv.gz"]
)
def test_names_that_are_no_output(name):
    with pytest.raises(ConfigError, match="--output"):
        Output.of(name, overwrite=False)


def test_copying_to_a_store_that_ended_midway_goes_on(monkeypatch):
    output = Output.of("memory://out/all/*.csv", overwrite=False)
    room = fill(output, "a\n1\n", "a\n2\n")
    parts = {"part-0.csv": 1, "part-1.csv": 1}
    copy = remote.copy

    def stopped(names, source, target):
        copy(list(names)[:1], source, target)
        raise KeyboardInterrupt

    try:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(remote, "copy", stopped)
            output.complete(room, parts)
        output.claim([])
        output.complete(room, parts)
        whole = {"part-0.csv", "part-1.csv", "_lora_bert.json"}
        assert remote.names_in("memory://out/all") == whole
        with pytest.raises(OutputError, match="exists"):
            output.claim([])
    finally:
        fsspec.filesystem("memory").rm("/", recursive=True)


def test_the_waiting_room_of_an_output_at_a_stores_root_is_there_too():
    room = Output.of("memory://all.csv", overwrite=False).waiting_room("key")
    assert room == "memory://.all.csv.key"
