"""Files by URL: fsspec's own store in memory stands for all of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from lora_bert import remote
from lora_bert.errors import (
    ConfigError,
    DataError,
    NotFoundError,
    OutputError,
    UnavailableError,
)


@pytest.fixture
def store():
    """Files of one directory, named by their content."""
    memory = fsspec.filesystem("memory")
    for name in ("a10.csv", "a2.csv", "_about.csv", ".hidden.csv", "sub/b.csv"):
        memory.pipe_file(f"/in/{name}", name.encode())
    yield memory
    memory.rm("/", recursive=True)


def test_a_pattern_fits_files_by_their_numbers(store):
    assert remote.matching("memory://in/*.csv") == ["memory:///in/a2.csv", "memory:///in/a10.csv"]
    assert remote.matching("memory://in/a2.csv") == ["memory://in/a2.csv"]


@pytest.mark.parametrize(
    ("url", "kind", "says"),
    [
        ("memory://in/*.parquet", NotFoundError, "No file fits the pattern"),
        ("memory://in/none.csv", NotFoundError, "No such file: 'memory://in/none.csv'"),
        ("memory://in", ConfigError, "is a directory"),
        ("nowhere://in/a.csv", ConfigError, "nowhere"),
    ],
)
def test_what_is_not_there(store, url, kind, says):
    with pytest.raises(kind, match=says.replace("*", r"\*")):
        remote.matching(url)


def test_a_store_whose_package_is_not_installed():
    """Nothing here speaks to Dropbox."""
    with pytest.raises(UnavailableError, match="dropbox"):
        remote.state_of("dropbox://in/a.csv")


def test_a_copy_is_there_for_a_while_and_errors_name_the_url(store):
    with remote.local_copy("memory://in/a2.csv") as path:
        assert (path.name, path.read_bytes()) == ("a2.csv", b"a2.csv")
    assert not path.parent.exists()
    with (
        pytest.raises(DataError, match=r"^'memory://in/a2.csv', line 3: wrong"),
        remote.local_copy("memory://in/a2.csv") as path,
    ):
        raise DataError(f"'{path}', line 3: wrong.")


def test_the_state_of_a_file_changes_with_it(store, tmp_path):
    before = remote.state_of("memory://in/a2.csv")
    assert remote.state_of("memory://in/a2.csv") == before
    store.pipe_file("/in/a2.csv", b"longer than before")
    assert remote.state_of("memory://in/a2.csv") != before
    here = tmp_path / "a.csv"
    here.write_text("a")
    before = remote.state_of(str(here))
    assert remote.state_of(str(here)) == before
    here.write_text("ab")
    assert remote.state_of(str(here)) != before


@pytest.mark.parametrize("place", ["memory://out", "{here}"])
def test_a_file_is_written_whole_or_not_at_all(store, place, tmp_path):
    name = f"{place.format(here=tmp_path)}/one.csv"
    with pytest.raises(ZeroDivisionError), remote.whole_file(name) as work:
        work.write_text("half")
        raise ZeroDivisionError
    assert not remote.exists(name)
    with remote.whole_file(name) as work:
        work.write_text("whole")
    with remote.local_copy(name) as path:
        assert path.read_text() == "whole"
    assert remote.names_in(str(Path(name).parent) if "{" in place else place) == {"one.csv"}
    remote.remove([name, name])
    assert not remote.exists(name)


def test_a_place_that_takes_no_files(store, monkeypatch):
    def refuse(*_):
        raise PermissionError("no keys")

    monkeypatch.setattr(type(store), "put_file", refuse)
    with (
        pytest.raises(OutputError, match=r"Cannot write 'memory://out/a.csv': no keys"),
        remote.whole_file("memory://out/a.csv") as work,
    ):
        work.write_text("a")


def test_the_state_of_a_file_of_the_web_changes_with_it(monkeypatch):
    told = {"size": 7, "ETag": "one"}
    system = SimpleNamespace(
        info=lambda place: told,
        ukey=lambda place: "of the URL alone",
        invalidate_cache=lambda: None,
    )
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (system, url))
    before = remote.state_of("https://host/a.csv")
    told["ETag"] = "two"
    assert remote.state_of("https://host/a.csv") != before
    del told["ETag"]
    with pytest.raises(UnavailableError, match="does not say when the file has changed"):
        remote.state_of("https://host/a.csv")


def test_a_query_is_no_pattern_and_no_part_of_the_name(monkeypatch):
    system = SimpleNamespace(
        info=lambda place: {}, isdir=lambda place: False, invalidate_cache=lambda: None
    )
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (system, url))
    url = "https://host/new.csv?token=1"
    assert remote.matching(url) == [url]
    assert remote.base_name(url) == "new.csv"
    assert remote.base_name("s3://bucket/new?.csv") == "new?.csv"


def test_a_file_system_with_directories_gets_them(tmp_path):
    with remote.whole_file(f"file://{tmp_path}/new/one.csv") as work:
        work.write_text("whole")
    assert (tmp_path / "new" / "one.csv").read_text() == "whole"
