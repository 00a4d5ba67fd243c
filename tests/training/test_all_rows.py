"""Trainings of few rows: which epoch is kept, and that all rows are learned from in the end."""

from __future__ import annotations

import json

import pytest

import lora_bert
from lora_bert.errors import DivergedError, UnavailableError
from lora_bert.metrics.metric import Metric
from lora_bert.training import fit
from lora_bert.training.progress import Progress
from lora_bert.training.trainer import Trainer
from tests.training.trained import Killed, saved

ACCURACY = Metric("accuracy", "accuracy")


@pytest.fixture
def rows(reviews, tmp_path):
    """A file of 36 rows."""
    path = tmp_path / "few.csv"
    path.write_text("".join(reviews.read_text("utf-8").splitlines(keepends=True)[:37]), "utf-8")
    return path


@pytest.fixture
def repeats(monkeypatch):
    """The rows and the epochs of trainings that were repeated."""
    seen, inner = [], Trainer.repeat

    def noted(self, epochs):
        seen.append((len(self.rows), epochs))
        inner(self, epochs)

    monkeypatch.setattr(Trainer, "repeat", noted)
    return seen


def history(doubt, *values):
    """The epoch that is kept of epochs with these figures."""
    progress = Progress()
    for at, value in enumerate(values):
        figures = {"accuracy": value, "validation_loss": 1 + at}
        progress.end_step(1.0, 1.0, 0.0)
        progress.end_epoch(figures, 0.0, ACCURACY, doubt)
    return progress.best_epoch


@pytest.mark.parametrize(
    ("doubt", "values", "kept"),
    [
        (0.0, (0.75, 1.0, 0.75), 2),
        (0.5, (0.75, 1.0, 0.75), 3),
        (0.1, (0.75, 1.0, 0.75), 2),
        (0.1, (0.75, 0.7, 0.9, 0.6, 0.85, 0.7), 5),
    ],
)
def test_of_few_rows_the_last_epoch_is_kept_that_is_no_worse_than_chance(doubt, values, kept):
    assert history(doubt, *values) == kept


@pytest.mark.parametrize("start", ["probe", "random"])
def test_what_is_kept_learns_once_more_from_all_rows(start, train, repeats, rows, caplog):
    caplog.set_level("INFO")
    result = train(head_start=start)
    assert repeats == [(36, result.best_epoch)]
    assert result.best_epoch == 2
    assert "Learning once more, from all 36 rows." in caplog.text
    assert result.evaluations["validation"].scores.rows == 4
    assert "all was learned once more" in (result.path / "README.md").read_text()
    described = json.loads((result.path / "lora_bert.json").read_text())
    assert described["data"]["fitted_to_all"]
    caplog.clear()
    assert lora_bert.evaluate(result.path, data=rows).overlap.rows == 36
    lora_bert.evaluate(result.path)
    before = f"{100 * result.accuracy:.1f} %"
    assert f"this score is too good. Before, their accuracy was {before}." in caplog.text


def test_of_a_mean_of_such_adapters_no_figure_is_known(train, tmp_path, caplog):
    made = [train(f"seed-{seed}", seed=seed, split_seed=3).path for seed in (1, 2)]
    mean = lora_bert.combine(made, tmp_path / "mean").path
    lora_bert.evaluate(mean)
    assert "after they had been answered: this score is too good." in caplog.text
    assert "Before, their" not in caplog.text


def test_what_validation_rows_say_is_of_before(train, monkeypatch):
    result = train("again")
    monkeypatch.setattr(fit, "all_matter", lambda context: False)
    once = train("once")
    assert result.evaluations["validation"].as_dict() == once.evaluations["validation"].as_dict()
    assert result.history[-1]["accuracy"] == once.history[-1]["accuracy"]
    assert saved(result) != saved(once)


def test_it_is_the_training_that_all_rows_would_have(train, repeats, monkeypatch):
    parts, inner = [], fit.with_all_rows

    def noted(context):
        parts.extend((context.splits.train, context.splits.validation))
        return inner(context)

    monkeypatch.setattr(fit, "with_all_rows", noted)
    result = train(head_start="random", epochs=1)
    rows = [
        {"text": text, "label": label}
        for part in parts
        for text, label in zip(part.texts, part.labels, strict=True)
    ]
    options = {"data": None, "train": rows, "validation": rows[-4:], "head_start": "random"}
    whole = train("whole", epochs=1, **options)
    assert repeats == [(36, 1)]
    assert saved(result) == saved(whole)


def test_killed_while_it_learns_again_it_ends_in_the_same_bits(train, monkeypatch):
    whole = train("whole", save_every_steps=1)
    inner = Trainer.repeat

    def killed(self, epochs):
        inner(self, 1)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "repeat", killed)
        train(save_every_steps=1)
    found = train(save_every_steps=1, resume=True)
    assert saved(found) == saved(whole)
    assert found.evaluations["validation"].as_dict() == whole.evaluations["validation"].as_dict()


def test_stopped_while_it_learns_again_it_keeps_what_it_has(train, monkeypatch, caplog):
    def stopped(self, epochs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "repeat", stopped)
        result = train()
    assert result.interrupted
    assert result.resumable
    assert "trained without the validation rows is kept. --resume trains with them" in caplog.text
    assert "once more" not in (result.path / "README.md").read_text()
    assert saved(train(resume=True)) == saved(train("whole"))


@pytest.mark.parametrize("error", [DivergedError("No number."), UnavailableError("No memory.")])
def test_where_it_comes_to_nothing_what_is_there_is_kept(error, train, monkeypatch, caplog):
    def failed(self, epochs):
        raise error

    monkeypatch.setattr(Trainer, "repeat", failed)
    result = train()
    assert (
        f"{error} The adapter that was trained without the validation rows is kept." in caplog.text
    )
    assert not result.interrupted
    assert "once more" not in (result.path / "README.md").read_text()


@pytest.mark.parametrize("option", ["validation", "many", "of tokens"])
def test_where_it_is_not_done(option, train, repeats, rows, reviews):
    if option == "validation":
        train(data=None, train=str(rows), validation=str(rows))
    elif option == "many":
        train(data=reviews)
    else:
        tagged = [{"tokens": ["good", "food"], "tags": ["B-X", "O"]} for _ in range(20)]
        train(data=tagged)
    assert repeats == []
