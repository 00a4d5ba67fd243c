"""Adapters in another process say what they say in this one, and are gone with it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from lora_bert.config import DirectoryConfig
from lora_bert.errors import AdapterError, UnavailableError
from lora_bert.serving.asked import rows_of
from lora_bert.serving.elsewhere import Elsewhere
from lora_bert.serving.starting import computing_process
from tests.serving.test_computing import PAIRS, TEXTS


@pytest.fixture(scope="module")
def opened(adapters, tiny_backbone):
    """``opened()`` -> a process with the tiny backbone; closed at the end of the module."""
    values = {"directory": str(adapters), "backbone": str(tiny_backbone), "dtype": "float32"}
    with ExitStack() as stack:

        def call() -> Elsewhere:
            made = Elsewhere(stack.enter_context(computing_process()))
            stack.callback(made.close)
            return made.open(DirectoryConfig(**values, batch_size=4))

        yield call


@pytest.fixture(scope="module")
def elsewhere(opened):
    return opened()


def test_each_adapter_says_what_it_says_here(elsewhere, adapters, alone):
    asked, wanted = [], []
    for name in alone.names:
        here, there = alone.predictor(name), elsewhere.load(adapters / name, ())
        assert there.manifest == here.manifest
        assert there.tokenizer.fingerprint == here.tokenizer.fingerprint
        assert (there.places, str(there.engine)) == (here.places, str(here.engine))
        assert there.engine.own_bytes == here.engine.own_bytes
        texts = PAIRS if here.manifest.inputs == 2 else TEXTS
        tokens = here.tokenizer.encode(texts)
        want = here.engine.logits(tokens.plain, np.arange(len(tokens)))
        np.testing.assert_allclose(
            there.engine.logits(tokens, np.arange(len(tokens))), want, atol=1e-5
        )
        rows = rows_of(there, there.tokenizer.encode(texts))
        asked += [row.work for row in rows]
        wanted.append(want)
    order = np.random.default_rng(0).permutation(len(asked))
    found = elsewhere.compute([asked[at] for at in order])
    back = [found[at] for at in np.argsort(order)]
    flat = np.concatenate([each.ravel() for each in back])
    np.testing.assert_allclose(flat, np.concatenate([each.ravel() for each in wanted]), atol=1e-5)


def test_it_takes_no_module_of_the_directory_that_we_are_in(opened, tmp_path, monkeypatch):
    for name in ("json", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert opened().name


def test_adapters_of_one_tokenizer_share_it(elsewhere, adapters):
    one, other = (elsewhere.load(adapters / name, ()) for name in ("reviews", "stars"))
    assert one.tokenizer.shared is other.tokenizer.shared


def test_errors_are_those_that_they_are_here(elsewhere, adapters, tmp_path):
    place = tmp_path / "damaged"
    shutil.copytree(adapters / "reviews", place)
    weights = place / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(AdapterError, match="damaged") as found:
        elsewhere.verified(place, ())
    assert found.value.hint
    (place / "lora_bert.json").write_text("{")
    with pytest.raises(AdapterError, match="not valid JSON"):
        elsewhere.load(place, ())
    assert elsewhere.verified(adapters / "reviews", ()).labels


def test_who_is_not_needed_any_more_is_forgotten(elsewhere, adapters):
    predictor = elsewhere.load(adapters / "reviews", ())
    tokens, same = predictor.tokenizer.encode(["good"]), replace(predictor.engine)
    assert same.logits(tokens, np.arange(1)).shape == (1, 2)
    del predictor
    gc.collect()
    with pytest.raises(RuntimeError, match="KeyError"):
        same.logits(tokens, np.arange(1))


def test_a_process_that_ends_is_told_and_asked_nothing_more(opened, adapters):
    process, told, ended = opened(), [], threading.Event()
    process.when_ended(lambda problem: (told.append(problem), ended.set()))
    predictor = process.load(adapters / "reviews", ())
    os.kill(process.pid, signal.SIGTERM)  # of whoever ends all that the server has started
    os.kill(process.pid, signal.SIGINT)
    assert len(predictor.values(["good"])) == 1
    os.kill(process.pid, signal.SIGKILL)
    assert ended.wait(10)
    assert str(told[0]) == "The process that computes has ended (killed by signal 9)."
    with pytest.raises(UnavailableError, match="signal 9"):
        predictor.values(["good"])
