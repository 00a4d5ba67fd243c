"""A training that was stopped goes on as if nothing had happened, or says why it does not."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import lora_bert
from lora_bert.errors import ConfigError, DivergedError, OutputError
from lora_bert.runtime.signals import Terminated
from lora_bert.tasks import single_label
from lora_bert.training import checkpoints, finish, fit, gradients
from lora_bert.training.learner import BranchLearner
from lora_bert.training.trainer import Trainer
from tests.tiny import write_backbone
from tests.training.trained import Killed

FILES = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json")


@pytest.fixture(scope="module")
def train_into(tiny_backbone, reviews):
    """Three epochs of six steps, a checkpoint after every second one."""

    def call(output, **options):
        usual = {"data": reviews, "backbone": str(tiny_backbone), "epochs": 3, "batch_size": 8,
                 "save_every_steps": 2, "dropout": 0.1, "head_start": "random"}  # fmt: skip
        return lora_bert.train(**usual | options, output=output)

    return call


@pytest.fixture
def train(train_into, tmp_path):
    """That training, into ``out``."""
    return lambda output="out", **options: train_into(tmp_path / output, **options)


@pytest.fixture(scope="module")
def undisturbed(train_into, tmp_path_factory):
    """``undisturbed(layers="all")``: that training to its end, made when first asked for."""
    made = {}

    def call(**options):
        if repr(options) not in made:
            made[repr(options)] = train_into(tmp_path_factory.mktemp("whole") / "out", **options)
        return made[repr(options)]

    return call


@pytest.fixture(scope="module")
def killed_at_5(train_into, tmp_path_factory):
    """The checkpoints of that training, in float32, killed in its fifth step; do not change it."""
    place, inner = tmp_path_factory.mktemp("killed"), Trainer.step

    def step(self, group):
        inner(self, group)
        if self.progress.step == 5:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "step", step)
        train_into(place / "out", dtype="float32")
    return place / "out.checkpoints"


@pytest.fixture
def begun(killed_at_5, tmp_path):
    """Beside ``out``: checkpoints of steps 2 and 4."""
    return Path(shutil.copytree(killed_at_5, tmp_path / "out.checkpoints"))


@pytest.fixture
def stop_after(monkeypatch):
    """``stop_after(7)``: before step 7 is noted something happens, by default Killed."""
    inner = Trainer.step

    def arrange(step, happens=Killed):
        def train_step(self, group):
            inner(self, group)
            if self.progress.step == step:
                if isinstance(happens, signal.Signals):
                    signal.raise_signal(happens)
                else:
                    raise happens

        monkeypatch.setattr(Trainer, "step", train_step)

    yield arrange
    monkeypatch.setattr(Trainer, "step", inner)


def same(one, other):
    """Whether two adapters are the same bit for bit, and their epochs."""
    for name in FILES:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    kept = [[{**row, "seconds": 0} for row in result.history] for result in (one, other)]
    assert kept[0] == kept[1]
    assert one.best_epoch == other.best_epoch
    return True


def steps_in(place):
    return sorted(int(path.name.removeprefix("step-")) for path in place.glob("step-*"))


@pytest.mark.parametrize("step", [1, 2, 5, 6, 7, 12, 17, 18])
@pytest.mark.parametrize(
    "options", [{}, {"layers": "all", "batch_tokens": 50, "head_start": "probe"}]
)
def test_killed_after_any_step_it_ends_in_the_same_bits(
    step, options, train, undisturbed, stop_after, tmp_path
):
    whole = undisturbed(**options)
    stop_after(step)
    with pytest.raises(Killed):
        train(**options)
    left = steps_in(tmp_path / "out.checkpoints")
    assert left == list(range(2, step, 2))[-2:]
    stop_after(0)
    found = train(**options, resume=True)
    assert found.resumed_at == (left[-1] if left else 0)
    assert step - found.resumed_at <= 2
    assert found.steps == whole.steps
    assert same(found, whole)
    assert not (tmp_path / "out.checkpoints").exists()


def test_what_was_begun_with_a_fifth_held_out_goes_on_so(train, stop_after, tmp_path):
    rows = [(f"{word} {at}", word) for at in range(15) for word in ("good", "bad")]
    whole = train("whole", data=rows, validation_fraction=0.2)
    stop_after(5)
    with pytest.raises(Killed):
        train(data=rows, validation_fraction=0.2)
    stop_after(0)
    assert same(train(data=rows, resume=True), whole)
    shares = {
        name: yaml.safe_load((tmp_path / name / "run.yaml").read_text())["validation_fraction"]
        for name in ("out", "whole")
    }
    assert shares == {"out": 0.2, "whole": 0.2}
    fresh = train("fresh", data=rows)
    assert yaml.safe_load((fresh.path / "run.yaml").read_text())["validation_fraction"] == 0.1
    assert "--validation-fraction" not in (fresh.path / "README.md").read_text()


@pytest.mark.parametrize("step", [5, 6, 17])
@pytest.mark.parametrize("options", [{}, {"method": "head-only", "dropout": 0.0}])
def test_so_does_a_head_that_reads_the_mean(step, options, train, undisturbed, stop_after):
    options = {"pooling": "mean", **options}
    whole = undisturbed(**options)
    stop_after(step)
    with pytest.raises(Killed):
        train(**options)
    stop_after(0)
    with pytest.raises(ConfigError, match="was begun with pooling='mean', not cls"):
        train(**options | {"pooling": "cls"}, resume=True)
    # Left out, it is what it was.
    assert same(train(**options | {"pooling": "auto"}, resume=True), whole)


def test_pairs_that_were_begun_in_the_upper_half_go_on_there(train, pair_rows, stop_after):
    """As they were by default before; today they learn in all layers."""
    whole = train("whole", data=pair_rows, layers="top:2")
    stop_after(5)
    with pytest.raises(Killed):
        train(data=pair_rows, layers="top:2")
    stop_after(0)
    with pytest.raises(ConfigError, match="was begun with layers='top:2', not all"):
        train(data=pair_rows, layers="all", resume=True)
    assert same(train(data=pair_rows, resume=True), whole)


def test_what_was_begun_before_heads_had_a_choice_goes_on(train, stop_after, tmp_path):
    options = {"backbone": str(write_backbone(tmp_path / "e5-of-mine"))}
    whole = train("whole", **options, pooling="cls")
    stop_after(5)
    with pytest.raises(Killed):
        train(**options, pooling="cls")
    stop_after(0)
    for path in (tmp_path / "out.checkpoints").glob("step-*/lora_bert_checkpoint.json"):
        state = json.loads(path.read_text())
        del state["identity"]["settings"]["pooling"]
        content = {key: state[key] for key in ("identity", "progress", "schedule")}
        path.write_text(json.dumps({**state, "state_sha256": checkpoints._digest(content)}))
    with pytest.raises(ConfigError, match="was begun with pooling='cls', not mean"):
        train(**options, resume=True, pooling="mean")
    assert same(train(**options, resume=True), whole)
    manifests = [tmp_path / name / "lora_bert.json" for name in ("out", "whole")]
    assert [json.loads(path.read_text())["pooling"] for path in manifests] == ["cls", "cls"]
    # Begun today it reads what the backbone was made for.
    assert json.loads((train("new", **options).path / "lora_bert.json").read_text())["pooling"] == (
        "mean"
    )


def test_killed_again_and_again(train, undisturbed, stop_after):
    whole = undisturbed()
    for step in (3, 5, 6, 9, 11, 13, 16):
        stop_after(step)
        with pytest.raises(Killed):
            train(resume=True)
    stop_after(0)
    assert same(train(resume=True), whole)


def test_killed_while_it_saves(train, undisturbed, monkeypatch, tmp_path):
    whole = undisturbed()
    inner, calls = checkpoints.write_safetensors, iter(range(99))

    def half(path, tensors):
        if next(calls) == 2:
            path.write_bytes(b"half")
            raise Killed
        inner(path, tensors)

    monkeypatch.setattr(checkpoints, "write_safetensors", half)
    with pytest.raises(Killed):
        train()
    assert steps_in(tmp_path / "out.checkpoints") == [2, 4]
    monkeypatch.undo()
    found = train(resume=True)
    assert found.resumed_at == 4
    assert same(found, whole)


def test_ctrl_c_keeps_the_best_adapter_and_goes_on_from_that_step(
    train, undisturbed, stop_after, tmp_path
):
    whole = undisturbed()
    stop_after(9, signal.SIGINT)
    stopped = train()
    assert stopped.interrupted
    assert stopped.best_epoch == 1
    assert lora_bert.load(stopped.path).predict(["good"])
    assert steps_in(tmp_path / "out.checkpoints") == [8, 9]
    stop_after(0)
    found = train(resume=True)
    assert found.resumed_at == 9
    assert same(found, whole)


def test_sigterm_saves_and_ends(train, undisturbed, stop_after, tmp_path):
    whole = undisturbed()
    stop_after(9, signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated):
        train()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "out").exists()
    stop_after(0)
    found = train(resume=True)
    assert found.resumed_at == 9
    assert same(found, whole)


def test_ctrl_c_while_the_validation_rows_are_scored(train, undisturbed, monkeypatch):
    whole = undisturbed()
    inner, calls = fit.validate, iter(range(99))

    def stop(*arguments):
        if next(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return inner(*arguments)

    monkeypatch.setattr(fit, "validate", stop)
    assert train().interrupted
    monkeypatch.undo()
    found = train(resume=True)
    assert found.resumed_at == 12
    assert same(found, whole)


def test_ctrl_c_before_the_first_step(train, undisturbed, monkeypatch):
    whole = undisturbed()
    monkeypatch.setattr(Trainer, "_rest_of_epoch", lambda *_: signal.raise_signal(signal.SIGINT))
    assert train().best_epoch == 0
    monkeypatch.undo()
    assert same(train(resume=True), whole)


def test_killed_while_it_saves_the_same_step_again(train, undisturbed, monkeypatch, tmp_path):
    """After an epoch's scores the step is the same: the older one stays until the newer stands."""
    whole = undisturbed()
    inner = checkpoints.write_safetensors
    saved = []

    def half(path, tensors):
        saved.append(path.parent.name.split(".")[1])
        if len(saved) > 1 and saved[-1] == saved[-2]:
            raise Killed
        inner(path, tensors)

    monkeypatch.setattr(checkpoints, "write_safetensors", half)
    with pytest.raises(Killed):
        train()
    monkeypatch.undo()
    assert steps_in(tmp_path / "out.checkpoints") == [16, 18]
    found = train(resume=True)
    assert found.resumed_at == 18
    assert same(found, whole)


def test_early_stopping_remembers(train, stop_after):
    options = {"early_stopping": 1, "epochs": 9, "learning_rate": 1e-6}
    whole = train("whole", **options)
    assert len(whole.history) < 9
    stop_after(whole.steps)
    with pytest.raises(Killed):
        train(**options)
    stop_after(0)
    assert same(train(**options, resume=True), whole)


def test_the_precision_decided_first_is_used_again(train, stop_after, monkeypatch):
    whole = train("whole", dtype="float32")
    stop_after(5)
    with pytest.raises(Killed):
        train(dtype="float32")
    stop_after(0)
    assert same(train(resume=True), whole)  # auto might choose another one


def test_threads_are_those_of_the_first_call(train, stop_after, monkeypatch):
    def many(config, rows):
        return 3

    monkeypatch.setattr(gradients, "most_workers", many)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        whole = train("whole")
        stop_after(5)
        with pytest.raises(Killed):
            train()
    finally:
        torch.set_num_threads(before)
    stop_after(0)
    monkeypatch.setattr(gradients, "most_workers", lambda config, rows: 1)
    assert same(train(resume=True), whole)


def test_a_trunk_that_was_computed_stays_so(train, stop_after):
    options = {"layers": "top:1", "trunk_cache": "off"}
    whole = train("whole", **options)
    stop_after(5)
    with pytest.raises(Killed):
        train(**options)
    stop_after(0)
    assert same(train(layers="top:1", resume=True), whole)
    stop_after(5)
    with pytest.raises(Killed):
        train("again", layers="top:1")
    stop_after(0)
    with pytest.raises(ConfigError, match="begun with a trunk cache, and now there is none"):
        train("again", **options, resume=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rank": 4}, "was begun with rank=8, not 4"),
        ({"epochs": 5}, "was begun with epochs=3, not 5"),
        ({"seed": 1}, "was begun with seed=42, not 1"),
        ({"dtype": "bfloat16"}, "in another precision (float32, not bfloat16)"),
        ({"max_length": 9}, "was begun with max_length=130, not 9"),
        ({"split_seed": 1}, "was begun with split_seed=42, not 1"),
    ],
)
def test_another_configuration_is_refused_by_name(options, says, train, begun):
    with pytest.raises(ConfigError) as caught:
        train(resume=True, **options)
    assert says in str(caught.value)
    assert steps_in(begun) == [2, 4]


def test_other_data_or_another_backbone_is_refused(train, begun, reviews, tmp_path):
    data = shutil.copy(reviews, tmp_path / "moved.csv")
    backbone = write_backbone(tmp_path / "another" / "tiny-bert", hidden_act="relu")
    with pytest.raises(ConfigError, match="another backbone"):
        train(resume=True, backbone=str(backbone))
    with Path(data).open("a") as stream:
        stream.write("positive,one more\n")
    with pytest.raises(ConfigError, match="other data"):
        train(resume=True, data=data)


def test_the_data_may_have_moved(train, undisturbed, begun, reviews, tmp_path):
    whole = undisturbed(dtype="float32")
    (tmp_path / "elsewhere").mkdir()
    data = shutil.copy(reviews, tmp_path / "elsewhere" / reviews.name)
    assert same(train(resume=True, data=data), whole)


def test_other_versions_are_said(train, begun, caplog):
    path = begun / "step-000000004/lora_bert_checkpoint.json"
    state = json.loads(path.read_text())
    state["identity"]["made_by"]["torch"] = "2.0.0"
    told = {key: state[key] for key in ("identity", "progress", "schedule")}
    state["state_sha256"] = checkpoints._digest(told)
    path.write_text(json.dumps(state))
    assert train(resume=True).resumed_at == 4
    assert "It was begun elsewhere (torch 2.0.0, now" in caplog.text


def test_nobody_said_what_becomes_of_a_stopped_training(train, begun):
    with pytest.raises(OutputError, match="was stopped after step 4") as caught:
        train()
    assert "resume=True" in caught.value.hint
    assert train(overwrite=True).resumed_at == 0


def test_nothing_to_go_on_from(train, caplog):
    caplog.set_level("INFO")
    assert train(resume=True).resumed_at == 0
    assert "left no checkpoint: beginning at the beginning" in caplog.text
    with pytest.raises(
        OutputError, match="holds an adapter, and there is no checkpoint to go on from"
    ):
        train(resume=True)


@pytest.mark.parametrize("name", ["lora_bert_checkpoint.json", "state.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_is_passed_over(name, damage, train, undisturbed, begun, caplog):
    whole = undisturbed(dtype="float32")
    path = begun / "step-000000004" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    found = train(resume=True)
    assert found.resumed_at == 2
    assert "cannot be read" in caplog.text
    assert same(found, whole)


def test_how_finely_batches_are_cut_is_remembered(train, stop_after, monkeypatch):
    """Memory that ran out once: slices decide the order of sums, hence the bits."""
    inner = gradients.Gradients._loss
    short = [True]

    def little(self, part, *rest):
        if len(part) > 4 and short:
            raise MemoryError
        return inner(self, part, *rest)

    monkeypatch.setattr(gradients.Gradients, "_loss", little)
    whole = train("whole")
    stop_after(5)
    with pytest.raises(Killed):
        train()
    stop_after(0)
    short.clear()
    assert same(train(resume=True), whole)


def test_a_worker_that_fails_takes_no_checkpoint_along(train, undisturbed, monkeypatch):
    whole = undisturbed()
    inner, calls = gradients.Gradients._loss, iter(range(999))

    def failing(self, part, *rest):
        if next(calls) == 6:
            raise ZeroDivisionError
        return inner(self, part, *rest)

    monkeypatch.setattr(gradients.Gradients, "_loss", failing)
    with pytest.raises(ZeroDivisionError):
        train()
    monkeypatch.undo()
    found = train(resume=True)
    assert found.resumed_at == 6
    assert same(found, whole)


def test_checkpoints_that_are_taken_away_meanwhile(train, undisturbed, monkeypatch, tmp_path):
    whole = undisturbed()
    inner, calls = fit.validate, iter(range(99))

    def gone(*arguments):
        if next(calls) == 1:
            shutil.rmtree(tmp_path / "out.checkpoints")
        return inner(*arguments)

    monkeypatch.setattr(fit, "validate", gone)
    assert same(train(), whole)
    assert not (tmp_path / "out.checkpoints").exists()


def test_checkpoints_that_nobody_can_read_are_kept(train, begun):
    """Those of a later version, for one: neither a new training nor --resume throws them away."""
    for path in begun.glob("step-*/lora_bert_checkpoint.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    for options in ({}, {"resume": True}, {"resume": True, "overwrite": True}):
        with pytest.raises(OutputError, match="None of the checkpoints") as caught:
            train(**options)
        assert "overwrite=True" in caught.value.hint
        assert steps_in(begun) == [2, 4]
    assert train(overwrite=True).resumed_at == 0


def test_what_somebody_else_put_into_the_output_is_kept(train, stop_after, tmp_path):
    stop_after(9, signal.SIGINT)
    stopped = train()
    stop_after(0)
    other = train("other", rank=2)
    shutil.rmtree(stopped.path)
    shutil.copytree(other.path, stopped.path)
    with pytest.raises(OutputError, match="the stopped training has not written") as caught:
        train(resume=True)
    assert "resume=True, overwrite=True" in caught.value.hint
    assert (stopped.path / FILES[0]).read_bytes() == (other.path / FILES[0]).read_bytes()
    assert train(resume=True, overwrite=True).resumed_at == 9


def test_stopped_while_the_result_is_scored(train, undisturbed, monkeypatch):
    """The validation rows were scored by then, and the test rows are not."""
    options = {"test_fraction": 0.2, "save_every": 1.0, "save_every_steps": None}
    whole = undisturbed(**options)
    inner = BranchLearner.outputs

    def stop(self, part):
        if part == "test":
            signal.raise_signal(signal.SIGINT)
        return inner(self, part)

    monkeypatch.setattr(BranchLearner, "outputs", stop)
    stopped = train(**options)
    assert stopped.interrupted
    assert set(stopped.evaluations) == {"validation"}
    monkeypatch.undo()
    found = train(**options, resume=True)
    assert found.resumed_at == whole.steps
    assert set(found.evaluations) == {"validation", "test"}
    assert same(found, whole)


def test_checkpoints_of_a_later_step_that_were_passed_over_go(train, stop_after, tmp_path):
    """They would count as the newest two."""
    stop_after(5)
    with pytest.raises(Killed):
        train()
    (tmp_path / "out.checkpoints/step-000000004/state.safetensors").write_bytes(b"")
    stop_after(4)
    with pytest.raises(Killed):
        train(resume=True, save_every_steps=1)
    assert steps_in(tmp_path / "out.checkpoints") == [2, 3]


def test_a_disk_that_is_full_for_a_while(train, undisturbed, monkeypatch, caplog):
    whole = undisturbed()
    calls = iter(range(99))
    inner = checkpoints.write_safetensors

    def full(path, tensors):
        if next(calls) < 3:
            raise OSError(28, "No space left on device")
        inner(path, tensors)

    monkeypatch.setattr(checkpoints, "write_safetensors", full)
    assert same(train(), whole)
    assert caplog.text.count("There is no checkpoint of step") == 3


def test_two_trainings_into_one_output(train, monkeypatch, tmp_path):
    inner = fit.validate
    second: list[BaseException] = []

    def another(*arguments):
        if not second:
            # In a thread of its own: locks are the process's, but each has its own handle.
            def begin():
                try:
                    train(overwrite=True)
                except OutputError as error:
                    second.append(error)

            thread = threading.Thread(target=begin)
            thread.start()
            thread.join()
        return inner(*arguments)

    monkeypatch.setattr(fit, "validate", another)
    assert train(save_every=0.0, save_every_steps=None).path == tmp_path / "out"
    assert "Another training is writing to" in str(second[0])


def test_a_stale_lock_is_nobodys(train, tmp_path):
    (tmp_path / "out.checkpoints").mkdir()
    (tmp_path / "out.checkpoints" / "lock").write_text("")
    train()
    assert not (tmp_path / "out.checkpoints" / "step-000000018").exists()


def test_without_checkpoints_none_is_written(train, stop_after, tmp_path):
    stop_after(9, signal.SIGINT)
    assert train(save_every=0.0, save_every_steps=None).interrupted
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_minutes(train, monkeypatch, tmp_path, stop_after):
    now = iter(range(0, 10_000, 25))
    monkeypatch.setattr("lora_bert.training.checkpoints.time.monotonic", lambda: float(next(now)))
    stop_after(9)
    with pytest.raises(Killed):
        train(save_every=1.0, save_every_steps=None)
    assert steps_in(tmp_path / "out.checkpoints")


def test_a_checkpoint_holds_no_pickle(begun):
    found = {path.name for path in begun.rglob("*") if path.is_file()}
    assert found == {"lora_bert_checkpoint.json", "state.safetensors", "lock"}
    state = json.loads((begun / "step-000000004/lora_bert_checkpoint.json").read_text())
    assert state["identity"]["settings"]["rank"] == 8


def test_divergence_leaves_no_checkpoint(train, tmp_path):
    with pytest.raises(DivergedError):
        train(weight_decay=1e300)
    assert not (tmp_path / "out.checkpoints").exists()


def test_training_draws_from_no_generator_that_has_a_state(train):
    """What would have to be kept in a checkpoint otherwise."""
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())
    train()
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_without_checkpoints_nothing_is_promised(train, stop_after):
    stop_after(7, signal.SIGINT)
    found = train(save_every=0, save_every_steps=None)
    assert (found.interrupted, found.resumable) == (True, False)
    stop_after(0)
    with pytest.raises(OutputError, match="there is no checkpoint to go on from"):
        train(save_every=0, save_every_steps=None, resume=True)


def test_a_second_ctrl_c_while_the_adapter_is_written(train, undisturbed, stop_after, monkeypatch):
    """What stands in the output is noted as this training's own, so that it can go on."""
    whole = undisturbed()
    stop_after(7, signal.SIGINT)
    write = finish.record

    def impatient(*given):
        write(*given)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(finish, "record", impatient)
    with pytest.raises(KeyboardInterrupt):
        train()
    stop_after(0)
    monkeypatch.setattr(finish, "record", write)
    found = train(resume=True)
    assert found.resumed_at == 7
    assert same(found, whole)


def test_the_lock_of_the_next_training_is_left_alone(tmp_path, monkeypatch):
    """It may be there as soon as this one's is released."""
    lock = checkpoints.checkpoints_of(tmp_path / "out") / "lock"
    release = checkpoints.FileLock.release

    def then_another(self, *given, **more):
        release(self, *given, **more)
        lock.write_text("another's")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.FileLock, "release", then_another)
        with checkpoints.training_into(tmp_path / "out"):
            assert lock.exists()
    assert lock.read_text() == "another's"
    lock.unlink()
    with checkpoints.training_into(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_gradient_that_is_not_finite_leaves_no_checkpoint(
    train, undisturbed, monkeypatch, tmp_path, caplog
):
    """One from before it would lead to it again; an epoch that was kept is not lost."""
    inner = gradients.Gradients.__call__

    def broken(self, batches, weight, step, cuts=1):
        summed = inner(self, batches, weight, step, cuts)
        if step >= 5:
            self.adapter.tensors[0].grad[0, 0] = torch.inf
        return summed

    monkeypatch.setattr(gradients.Gradients, "__call__", broken)
    with pytest.raises(DivergedError, match="is inf at step 5 of 18"):
        train()
    assert list(tmp_path.iterdir()) == []

    monkeypatch.undo()
    whole = undisturbed()
    stopped = iter([True])

    def later(self, batches, weight, step, cuts=1):
        summed = inner(self, batches, weight, step, cuts)
        if step == 15 and next(stopped, False):
            raise Killed
        if step >= 17:
            self.adapter.tensors[0].grad[0, 0] = torch.nan
        return summed

    monkeypatch.setattr(gradients.Gradients, "__call__", later)
    with pytest.raises(Killed):
        train()
    assert steps_in(tmp_path / "out.checkpoints") == [12, 14]
    found = train(resume=True)
    assert (found.resumed_at, len(found.history), found.resumable) == (14, 2, False)
    assert "is nan at step 17 of 18. The adapter of epoch" in caplog.text
    assert not (tmp_path / "out.checkpoints").exists()
    assert lora_bert.load(found.path).predict(["good"])
    assert [row["train_loss"] for row in found.history] == [
        row["train_loss"] for row in whole.history[:2]
    ]


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_counts_on_after_a_resume(patience, train, monkeypatch):
    """Accuracy stands still, the loss falls: every epoch is the best so far, none is waited for."""
    inner, losses = single_label.score, iter(range(999, 0, -1))

    def score(labels, probabilities, true):
        found = inner(labels, probabilities, true)
        return dataclasses.replace(found, accuracy=0.5, log_loss=next(losses) / 1000)

    monkeypatch.setattr(single_label, "score", score)
    options = {"early_stopping": patience, "epochs": 9}
    whole = train("whole", **options)
    assert (len(whole.history), whole.best_epoch) == (1 + patience, 1 + patience)
    train_step, made = Trainer.step, iter(range(99))

    def killed(self, group):
        train_step(self, group)
        if next(made) == 9:
            raise Killed

    monkeypatch.setattr(Trainer, "step", killed)
    with pytest.raises(Killed):
        train(**options)
    assert len(train(**options, resume=True).history) == 1 + patience


def test_a_checkpoint_of_other_batching_rules_is_refused(train, begun):
    """One of an older version, for example: the same rows would come to other bits."""
    for path in begun.glob("step-*/lora_bert_checkpoint.json"):
        state = json.loads(path.read_text())
        del state["identity"]["layout"]
        content = {key: state[key] for key in ("identity", "progress", "schedule")}
        path.write_text(json.dumps({**state, "state_sha256": checkpoints._digest(content)}))
    with pytest.raises(ConfigError, match="by a version of lora-bert that puts rows into other"):
        train(resume=True)
    assert steps_in(begun) == [2, 4]
