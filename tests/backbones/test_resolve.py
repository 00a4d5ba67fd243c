"""A backbone's name -> its directory: embedded, local, remembered, from the hub's cache, or not."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import huggingface_hub.constants
import pytest

from lora_bert.backbones import resolve
from lora_bert.backbones.resolve import (
    BackboneFiles,
    backbone_path,
    find_backbone,
    find_local,
    remember,
)
from lora_bert.errors import BackboneError, NotFoundError, UnavailableError
from tests.tiny import write_backbone


@pytest.fixture(autouse=True)
def nothing_known(tmp_path, monkeypatch):
    """An empty memory, an empty search path, an empty hub cache, and no network."""
    monkeypatch.setattr("lora_bert.notes.cache_dir", lambda: tmp_path / "cache")
    monkeypatch.delenv("LORA_BERT_BACKBONES", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(urllib.request, "urlopen", _refuse)


def _refuse(*_args, **_kwargs):
    raise URLError("no route to host")


def in_hub_cache(hub: Path, name: str, revision: str = "0" * 40, ref: str = "main") -> Path:
    """A tiny backbone laid out as the hub's client caches ``name``."""
    home = hub / f"models--{name.replace('/', '--')}"
    snapshot = write_backbone(home / "snapshots" / revision)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / ref).write_text(revision)
    return snapshot


def test_the_embedded_one():
    found = find_backbone("e5-small-zh-en")
    assert found.name == "e5-small-zh-en"
    assert (found.path / "model.safetensors").is_file()
    assert backbone_path() == found.path


def test_a_local_directory_is_called_by_its_last_part(tmp_path, monkeypatch):
    place = write_backbone(tmp_path / "models" / "mine")
    for name in (str(place), f"{place}/", f"{place}/../mine"):
        assert find_backbone(name) == BackboneFiles("mine", place)
    monkeypatch.chdir(tmp_path / "models")
    assert find_backbone("./mine") == BackboneFiles("mine", place)
    assert find_backbone("mine") == BackboneFiles("mine", place)
    monkeypatch.chdir(place)
    assert find_backbone(".") == BackboneFiles("mine", place)


def test_home_is_expanded(tmp_path, monkeypatch):
    place = write_backbone(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_backbone("~/mine").path == place


def test_remembered_by_name(tmp_path):
    place = write_backbone(tmp_path / "models" / "mine")
    assert find_local("mine") is None
    remember(find_backbone(str(place)))
    assert find_backbone("mine") == BackboneFiles("mine", place)
    place.rename(tmp_path / "models" / "gone")
    assert find_local("mine") is None


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_damaged_memory_is_no_memory(damage, tmp_path):
    book = tmp_path / "cache" / "backbones" / "known.json"
    book.parent.mkdir(parents=True)
    book.write_text(damage)
    assert find_local("mine") is None
    place = write_backbone(tmp_path / "mine")
    remember(find_backbone(str(place)))
    assert find_backbone("mine").path == place


def test_hub_ids_and_embedded_names_are_not_remembered(tmp_path):
    remember(BackboneFiles("org/model", tmp_path))
    remember(BackboneFiles("e5-small-zh-en", tmp_path))
    remember(BackboneFiles("model", tmp_path, revision="main"))
    assert not (tmp_path / "cache").exists()


def test_search_path(tmp_path, monkeypatch):
    place = write_backbone(tmp_path / "second" / "mine")
    monkeypatch.setenv(
        "LORA_BERT_BACKBONES", os.pathsep.join([str(tmp_path / "first"), "", str(place.parent)])
    )
    assert find_backbone("mine") == BackboneFiles("mine", place)


def test_in_the_hubs_cache(tmp_path):
    snapshot = in_hub_cache(tmp_path / "hub", "org/model")
    assert find_backbone("org/model") == BackboneFiles("org/model", snapshot, snapshot.name)


def test_a_revision_in_the_hubs_cache(tmp_path):
    in_hub_cache(tmp_path / "hub", "org/model")
    other = in_hub_cache(tmp_path / "hub", "org/model", "1" * 40, ref="v2")
    assert find_backbone("org/model", "v2") == BackboneFiles("org/model", other, "1" * 40)
    assert find_backbone("org/model", "1" * 40).path == other
    with pytest.raises(UnavailableError):
        find_backbone("org/model", "v3")


def test_half_a_download_is_not_a_backbone(tmp_path):
    (in_hub_cache(tmp_path / "hub", "org/model") / "model.safetensors").unlink()
    with pytest.raises(UnavailableError, match="the hub cannot be reached"):
        find_backbone("org/model")


def test_offline_says_so_at_once():
    started = time.perf_counter()
    with pytest.raises(UnavailableError, match="'org/model' is neither a directory nor") as caught:
        find_backbone("org/model")
    assert time.perf_counter() - started < 3
    assert "e5-small-zh-en" in caught.value.hint


def test_a_network_that_never_answers(monkeypatch):
    forever = threading.Event()

    def hang(*_args, **_kwargs):
        forever.wait(60)
        raise URLError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    monkeypatch.setattr(resolve, "_SECONDS_TO_ANSWER", 0.2)
    started = time.perf_counter()
    with pytest.raises(UnavailableError):
        find_backbone("org/model")
    assert time.perf_counter() - started < 3
    forever.set()


def test_told_to_stay_offline_the_hub_is_not_asked(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(resolve, "_reachable", lambda _endpoint: pytest.fail("asked"))
    with pytest.raises(UnavailableError):
        find_backbone("org/model")


def test_a_slip_in_the_embedded_name():
    with pytest.raises(UnavailableError) as caught:
        find_backbone("e5-small-zh-cn")
    assert "Did you mean 'e5-small-zh-en'?" in caught.value.hint


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/dir", "a/b/c", "~/nowhere", "a\\b", "a b"])
def test_what_can_only_be_a_path_is_never_asked_of_the_hub(name, monkeypatch):
    monkeypatch.setattr(resolve, "_from_hub", lambda *_args: pytest.fail("asked"))
    with pytest.raises(NotFoundError, match="No such backbone directory"):
        find_backbone(name)


def test_a_directory_that_is_no_model(tmp_path):
    with pytest.raises(BackboneError, match=r"no config\.json"):
        find_backbone(str(tmp_path))
