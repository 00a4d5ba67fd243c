"""A session over a directory: adapters loaded when they are asked, let go, replaced, removed."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lora_bert
from lora_bert.adapters import loading
from lora_bert.errors import AdapterError, ConfigError, NotFoundError
from tests.inference.test_session import with_other_weights

TEXTS = ["good", "bad and slow", "好吃", "tasty " * 9]


@pytest.fixture(scope="module")
def source(adapter, tmp_path_factory):
    """Six adapters in a directory, beside a file and a directory that are none."""
    place = tmp_path_factory.mktemp("pool")
    for number in range(6):
        with_other_weights(adapter, place / f"a{number}", number)
    (place / "notes.txt").write_text("no adapter")
    (place / "empty").mkdir()
    with_other_weights(adapter, place / ".writing", 9)
    return place


@pytest.fixture(scope="module")
def alone(source):
    return {path.name: lora_bert.load(path, dtype="float32").values(TEXTS)
            for path in source.glob("a*")}  # fmt: skip


@pytest.fixture
def directory(source, tmp_path):
    return shutil.copytree(source, tmp_path / "adapters")


def opened(directory, backbone, **options):
    return lora_bert.Session.from_directory(
        directory, backbone=backbone, dtype="float32", **options
    )


def test_adapters_are_loaded_when_they_are_asked(directory, tiny_backbone, alone):
    session = opened(directory, tiny_backbone)
    assert session.names == tuple(sorted(alone))
    assert session.loaded == ()
    np.testing.assert_allclose(session.values(TEXTS, adapter="a3"), alone["a3"], atol=1e-5)
    assert session.loaded == ("a3",)
    for name, values in session.values(TEXTS, adapters=["a1", "a3"]).items():
        np.testing.assert_allclose(values, alone[name], atol=1e-5)
    assert session.loaded == ("a1", "a3")
    assert session.predictor("a1") is session.predictor("a1")


def test_a_damaged_adapter_is_an_error_when_it_is_asked(
    directory, tiny_backbone, alone, monkeypatch
):
    monkeypatch.setenv("LORA_BERT_BACKBONES", str(tiny_backbone.parent))
    (directory / "a0" / "adapter_config.json").write_text("{")
    session = lora_bert.Session.from_directory(directory, dtype="float32")
    np.testing.assert_allclose(session.values(TEXTS, adapter="a1"), alone["a1"], atol=1e-5)
    with pytest.raises(AdapterError, match="a0"):
        session.values(TEXTS, adapter="a0")


def test_an_adapter_is_called_as_the_link_to_it(directory, tiny_backbone, tmp_path):
    links = tmp_path / "live"
    links.mkdir()
    (links / "reviews").symlink_to(directory / "a1")
    assert opened(links, tiny_backbone).names == ("reviews",)
    session = lora_bert.Session(tiny_backbone, dtype="float32")
    assert session.add(links / "reviews") == "reviews"


def one_adapter(directory, backbone):
    """Gigabytes of one of them."""
    from lora_bert.inference import adapter_pool

    return adapter_pool._bytes(opened(directory, backbone).predictor("a0")) / 1e9


def test_the_adapters_asked_longest_ago_go(directory, tiny_backbone, alone):
    size = one_adapter(directory, tiny_backbone)
    assert size > 0
    session = opened(directory, tiny_backbone, memory=3.5 * size, pinned=["a0"])
    for name in ("a0", "a1", "a2"):
        session.predictor(name)
    session.predictor("a1")
    session.predictor("a3")
    assert session.loaded == ("a0", "a1", "a3")
    for name, values in session.values(TEXTS, adapters=sorted(alone)).items():
        np.testing.assert_allclose(values, alone[name], atol=1e-5)
    assert session.loaded == ("a0", "a4", "a5")
    session.pin("a0", pinned=False)
    session.pin("a4")
    session.predictor("a1")
    assert session.loaded == ("a4", "a5", "a1")
    tight = opened(directory, tiny_backbone, memory=0)
    np.testing.assert_allclose(tight.values(TEXTS, adapter="a2"), alone["a2"], atol=1e-5)
    assert tight.loaded == ("a2",)


def test_what_changes_in_the_directory(directory, tiny_backbone, alone, adapter):
    session = opened(directory, tiny_backbone)
    stream = session.predictor("a0").stream([TEXTS, TEXTS])
    first = next(stream)
    new = with_other_weights(adapter, directory / ".new", 77)
    expected = lora_bert.load(new, dtype="float32").values(TEXTS)
    shutil.rmtree(directory / "a0")
    new.rename(directory / "a0")
    np.testing.assert_allclose(session.values(TEXTS, adapter="a0"), expected, atol=1e-5)
    for values in (first, *stream):
        np.testing.assert_allclose(values, alone["a0"], atol=1e-5)
    shutil.copytree(directory / "a1", directory / "late")
    np.testing.assert_allclose(session.values(TEXTS, adapter="late"), alone["a1"], atol=1e-5)
    assert "late" in session.names
    shutil.rmtree(directory / "late")
    with pytest.raises(ConfigError, match="has no adapter 'late'"):
        session.predict(TEXTS, adapter="late")
    assert "late" not in session.names + session.loaded
    weights = directory / "a2" / "adapter_model.safetensors"
    session.predictor("a2")
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(AdapterError):
        session.predict(TEXTS, adapter="a2")


def test_adding_replacing_and_removing_by_name(directory, tiny_backbone, alone, source):
    session = opened(directory, tiny_backbone, memory=0)
    with pytest.raises(ConfigError, match="has an adapter 'a1' already"):
        session.add(source / "a2", name="a1")
    stream = session.predictor("a1").stream([TEXTS, TEXTS])
    first = next(stream)
    session.add(source / "a2", name="a1", replace=True)
    np.testing.assert_allclose(session.values(TEXTS, adapter="a1"), alone["a2"], atol=1e-5)
    for values in (first, *stream):
        np.testing.assert_allclose(values, alone["a1"], atol=1e-5)
    session.predictor("a3")
    session.predictor("a4")
    assert session.loaded == ("a1", "a4")  # what was added stays
    session.remove("a1")
    assert (directory / "a1").is_dir()
    for ask in (lambda: session.predictor("a1"), lambda: session.remove("a1"),
                lambda: session.pin("a1")):  # fmt: skip
        with pytest.raises(ConfigError, match="has no adapter 'a1'"):
            ask()
    assert "a1" not in session.names
    session.add(directory / "a1")
    np.testing.assert_allclose(session.values(TEXTS, adapter="a1"), alone["a1"], atol=1e-5)


def test_other_files_take_the_place_of_what_was_removed(directory, tiny_backbone, alone, source):
    session = opened(directory, tiny_backbone)
    session.remove("a1")
    shutil.rmtree(directory / "a1")
    assert "a1" not in session.names
    shutil.copytree(source / "a2", directory / "a1")
    assert "a1" in session.names
    np.testing.assert_allclose(session.values(TEXTS, adapter="a1"), alone["a2"], atol=1e-5)


NO_NAMES = ["", ".", "..", "../pool/a1", "a1/", "/", ".writing", "a\0", "\ud83d", "empty"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_stay_inside_the_directory(directory, tiny_backbone, name):
    session = opened(directory, tiny_backbone)
    with pytest.raises(ConfigError, match="has no adapter"):
        session.predict(TEXTS, adapter=[name] * 4)


def test_what_is_refused(directory, tiny_backbone, tmp_path):
    with pytest.raises(NotFoundError, match="No such directory of adapters"):
        lora_bert.Session.from_directory(tmp_path / "absent")
    (tmp_path / "none").mkdir()
    with pytest.raises(NotFoundError, match="holds no adapter") as caught:
        lora_bert.Session.from_directory(tmp_path / "none")
    assert "backbone" in caught.value.hint
    assert opened(tmp_path / "none", tiny_backbone).names == ()
    with pytest.raises(ConfigError, match="pinned: there is no adapter 'b' in"):
        opened(directory, tiny_backbone, pinned=["a1", "b"])
    with pytest.raises(ConfigError, match="memory"):
        opened(directory, tiny_backbone, memory=-1)


def test_the_backbone_is_that_of_the_adapters(directory, tiny_backbone, alone, monkeypatch):
    monkeypatch.setenv("LORA_BERT_BACKBONES", str(tiny_backbone.parent))
    session = lora_bert.Session.from_directory(directory, dtype="float32")
    np.testing.assert_allclose(session.values(TEXTS, adapter="a5"), alone["a5"], atol=1e-5)


def test_threads_load_an_adapter_once(directory, tiny_backbone, monkeypatch):
    read, seen = loading.read_peft, []
    monkeypatch.setattr(loading, "read_peft", lambda path: seen.append(path) or read(path))
    session = opened(directory, tiny_backbone)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(session.predictor, ["a1", "a2"] * 8))
    assert len(seen) == len({id(one) for one in found}) == 2


def test_an_adapter_that_is_written_while_it_is_read(directory, tiny_backbone, alone, monkeypatch):
    """What was read of two adapters is none: it is read again."""
    read, reads = loading.read_peft, []

    def disturbed(path):
        stored = read(path)
        reads.append(path)
        if len(reads) == 1:
            shutil.copy(directory / "a2" / "adapter_model.safetensors", path)
        return stored

    session = opened(directory, tiny_backbone)
    monkeypatch.setattr(loading, "read_peft", disturbed)
    np.testing.assert_allclose(session.values(TEXTS, adapter="a1"), alone["a2"], atol=1e-5)
    assert len(reads) == 2
    monkeypatch.setattr(
        loading, "read_peft", lambda path: (read(path), (path / "lora_bert.json").touch())[0]
    )
    with pytest.raises(AdapterError, match="is being written"):
        session.predictor("a3")


def test_adapters_come_and_go_while_they_answer(directory, tiny_backbone, alone):
    size = one_adapter(directory, tiny_backbone)
    session = opened(directory, tiny_backbone, memory=2.5 * size)
    over, answered = threading.Event(), []

    def ask(seed):
        draw = np.random.default_rng(seed)
        while not over.is_set():
            names = draw.choice(sorted(alone), len(TEXTS)).tolist()
            for name, row, values in zip(
                names, range(4), session.values(TEXTS, adapter=names), strict=True
            ):
                wanted = alone["a5" if name == "a0" else name], alone[name]
                assert any(np.allclose(values, each[row], atol=1e-5) for each in wanted), name
            answered.append(seed)

    def swap():
        for number in range(12):
            new = directory / f".new{number}"
            shutil.copytree(directory / ("a5" if number % 2 == 0 else ".keep"), new)
            old = directory / f".old{number}"
            session.add(new, name="a0", replace=True)
            new.rename(old)

    shutil.copytree(directory / "a0", directory / ".keep")
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, seed) for seed in range(3)]
        try:
            swap()
        finally:
            over.set()
        for future in asking:
            future.result()
    assert answered
