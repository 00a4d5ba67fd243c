"""Arrays in files are the arrays that were written, and leave nothing behind."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_bert import mapped
from lora_bert.errors import OutputError

PARTS = st.lists(st.lists(st.integers(0, 255), max_size=9), max_size=6)
DTYPES = st.sampled_from([np.uint8, np.int32, np.int64, bool])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("here") / "cache"
    monkeypatch.setenv("LORA_BERT_CACHE", str(path))
    return path


@given(PARTS, DTYPES, st.sampled_from([0, 16, 1 << 20]))
def test_what_is_added_is_there(parts, dtype, in_memory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_IN_MEMORY", in_memory)
        growing = mapped.GrowingArray(dtype)
        for part in parts:
            growing.add(np.array(part, dtype=np.int64))
        whole = growing.whole()
    expected = np.array([number for part in parts for number in part], dtype=dtype)
    assert whole.dtype == expected.dtype
    assert np.array_equal(whole, expected)
    assert growing.size == len(expected)


def test_any_shape_and_nothing_is_left_behind(cache):
    array = np.arange(600_000.0).reshape(-1, 2)
    found = mapped.mapped(array)
    assert np.array_equal(found, array)
    assert found.dtype == array.dtype
    found[0] = 7  # a copy of that page, in this process alone
    assert list(cache.iterdir()) == []
    few, words = np.arange(9), np.array(["a", None] * 600_000)
    assert mapped.mapped(few) is few
    assert mapped.mapped(words) is words


def test_arrays_of_a_file_are_read_by_any_thread(cache):
    arrays = [np.random.default_rng(at).integers(0, 9, (at, 3)) for at in range(40)]
    file = mapped.ArrayFile()
    with ThreadPoolExecutor(4) as threads:
        begins = list(threads.map(file.add, arrays))
        sizes = [array.nbytes for array in arrays]
        found = list(threads.map(file.read, begins, sizes))
    for array, raw in zip(arrays, found, strict=True):
        assert np.array_equal(raw.view(array.dtype).reshape(array.shape), array)
        raw[:1] = 0  # in memory alone
    assert list(cache.iterdir()) == []


def test_piece_by_piece():
    array = np.arange(200_000)
    assert np.array_equal(np.concatenate(list(mapped.pieces(array))), array)


def test_a_cache_that_cannot_be_written(cache):
    cache.write_text("a file where the directory should be")
    array = np.arange(600_000)
    assert np.array_equal(mapped.mapped(array), array)


def test_a_full_disk(monkeypatch, cache):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mapped.tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match="takes no more: No space left on device"):
        mapped.ArrayFile().add(np.arange(9))
    with pytest.raises(OutputError, match="takes no more: No space left on device") as error:
        mapped.mapped(np.arange(600_000))
    assert str(cache) in str(error.value)
    assert "LORA_BERT_CACHE" in error.value.hint
