"""Garbage collection while something large is imported, and while a training runs."""

from __future__ import annotations

import gc
import weakref

import pytest

from lora_bert.garbage import imported, set_aside


@pytest.fixture(autouse=True)
def as_before():
    collects = gc.isenabled()
    gc.unfreeze()  # what the suite has set aside
    yield
    assert (gc.get_freeze_count(), gc.isenabled()) == (0, collects)
    gc.freeze()


def test_what_was_there_is_set_aside_for_the_block_alone():
    with set_aside():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_garbage_is_not_set_aside():
    class Dead:
        pass

    dead = Dead()
    dead.itself, gone = dead, weakref.ref(dead)
    del dead
    with set_aside():
        assert gone() is None


def test_it_comes_back_after_an_error():
    with pytest.raises(ValueError, match="stopped"), set_aside():
        raise ValueError("stopped")
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_set_aside_stays_there():
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with set_aside():
            pass
        assert gc.get_freeze_count() > before / 2  # what nobody needs any more is freed
    finally:
        gc.unfreeze()


def test_a_failing_import_leaves_garbage_collection_on():
    with pytest.raises(ModuleNotFoundError):
        imported("lora_bert.nothing_of_that_name")


def test_whoever_collects_none_goes_on_collecting_none():
    gc.disable()
    try:
        imported("lora_bert.wording")
        assert not gc.isenabled()
    finally:
        gc.enable()
