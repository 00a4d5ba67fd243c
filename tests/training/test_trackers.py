"""``--log-to``: what stands in a tracker's files, and what is said where one is not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import lora_bert
from lora_bert.config import TrainConfig
from lora_bert.errors import ConfigError, UnavailableError
from lora_bert.training.trackers import tracking

EventAccumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard"
).EventAccumulator


def read(logs: Path) -> EventAccumulator:
    """What TensorBoard would show of the files below ``logs``, the hyperparameters apart."""
    shown = EventAccumulator(str(logs / "lora-bert"))
    shown.Reload()
    return shown


def test_tensorboard_has_every_step_and_epoch(
    tmp_path: Path, tiny_backbone: Path, reviews: Path
) -> None:
    result = lora_bert.train(
        reviews, backbone=str(tiny_backbone), output=tmp_path / "out", epochs=2, batch_size=16,
        log_to=["tensorboard"], learning_rate=0.002, watch=["good"],
    )  # fmt: skip
    shown = read(tmp_path / "out.logs")
    numbers = list(range(1, result.steps + 1))
    for name in ("train/loss", "train/learning_rate", "train/gradient_norm"):
        assert [event.step for event in shown.Scalars(name)] == numbers, name
    rates = [event.value for event in shown.Scalars("train/learning_rate")]
    assert max(rates) == pytest.approx(0.002)
    assert rates[-1] < rates[0]
    assert all(event.value > 0 for event in shown.Scalars("train/gradient_norm"))
    for name in ("accuracy", "macro_f1", "log_loss"):
        events = shown.Scalars(f"validation/{name}")
        assert [event.step for event in events] == [numbers[-1] // 2, numbers[-1]]
        values = [row[name] for row in result.history]
        assert [event.value for event in events] == pytest.approx(values, rel=1e-6)
    assert len(shown.Scalars("validation/loss")) == 2


def test_the_configuration_is_logged_as_hyperparameters(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    config = TrainConfig(
        data="reviews.csv", output=str(tmp_path / "out"), log_to="tensorboard", rank=4,
        watch=("a", "b,c"),
    )  # fmt: skip
    with tracking(config):
        pass
    (file,) = (tmp_path / "out.logs/lora-bert").glob("*/events*")
    shown = EventAccumulator(str(file.parent))
    shown.Reload()
    content = shown.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["rank"].number_value == 4
    assert values["watch"].string_value == 'a,"b,c"'
    assert values["gradient_checkpointing"].bool_value is False
    assert values["data"].string_value == "reviews.csv"
    assert "revision" not in values


def test_a_training_that_goes_on_replaces_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    config = TrainConfig(output=str(tmp_path / "out"), log_to="tensorboard")
    for after, value in ((0, 1.0), (2, 2.0)):
        with tracking(config, after=after) as accelerator:
            for step in range(after + 1, 5):
                accelerator.log({"train/loss": value}, step=step)
    events = read(tmp_path / "out.logs").Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_names_that_are_no_trackers_or_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reviews: Path
) -> None:
    with pytest.raises(ConfigError, match=r"log_to: 'tensorbord' is not one of") as caught:
        lora_bert.train(reviews, output=tmp_path / "out", log_to="wandb,tensorbord")
    assert "tensorboard" in caught.value.hint
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="its package 'wandb' is not installed") as missing:
        lora_bert.train(reviews, output=tmp_path / "out", log_to="wandb")
    assert missing.value.hint == "pip install 'lora-bert[wandb]'"


def test_a_tracker_that_cannot_begin_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out.logs").write_text("a file where a directory is wanted")
    config = TrainConfig(output=str(tmp_path / "out"), log_to="tensorboard")
    with pytest.raises(UnavailableError, match=r"^--log-to tensorboard: "), tracking(config):
        pass
