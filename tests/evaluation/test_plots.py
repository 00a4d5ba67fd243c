"""The pictures: readable PNGs, without boxes for letters, the same bytes every time."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest

from lora_bert.errors import OutputError
from lora_bert.evaluation.plots import BASE_FONT, confusion_png, curve_png, families_for
from lora_bert.metrics.classification import METRICS, score

NO_FONT_HAS_IT = "\u0bfe"  # not assigned to any character
HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 0.7 / epoch,
        "validation_loss": 0.6 / epoch + 0.05 * epoch,
        "accuracy": 0.9 - 0.3 / epoch,
        "macro_f1": 0.88 - 0.3 / epoch,
    }
    for epoch in range(1, 5)
]
curve = partial(curve_png, best_epoch=1, metrics=METRICS)


@pytest.fixture(autouse=True)
def a_missing_glyph_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def scores_of(labels, rows=300):
    rng = np.random.default_rng(0)
    true = rng.integers(0, len(labels), rows)
    probabilities = rng.dirichlet(np.ones(len(labels)), rows)
    probabilities[np.arange(rows), true] += 0.5
    return score(labels, probabilities, true)


def size_of(path):
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("classes", [2, 12, 77, 150])
def test_confusion_of_few_and_many_classes(tmp_path, classes):
    path = tmp_path / "confusion.png"
    confusion_png(scores_of([f"class_name_{index}" for index in range(classes)]), path)
    width, height = size_of(path)
    assert 400 < width < 5000
    assert 400 < height < 5000


@pytest.mark.parametrize(
    "labels",
    [
        ["差评", "好评"],
        ["$x", "$\\frac{1$"],
        ["a\nb", "\x1b[31m"],
        ["x" * 300, "_underscore"],
        ["😊", "🤖"],
    ],
)
def test_awkward_labels_leave_no_boxes(tmp_path, labels):
    confusion_png(scores_of(labels), tmp_path / "confusion.png")
    size_of(tmp_path / "confusion.png")


def test_names_that_no_font_has_become_numbers_with_a_warning(tmp_path, monkeypatch, caplog):
    from lora_bert.evaluation import plots

    monkeypatch.setattr(plots, "families_for", lambda texts: None)
    with caplog.at_level(logging.WARNING):
        confusion_png(scores_of(["差评", "好评"]), tmp_path / "without.png")
    assert "numbers the classes" in caplog.text
    monkeypatch.undo()
    confusion_png(scores_of(["class 1", "class 2"]), tmp_path / "numbered.png")
    assert (tmp_path / "without.png").read_bytes() == (tmp_path / "numbered.png").read_bytes()


def test_fonts_by_the_letters_they_have():
    assert families_for(["plain", "naïve", "Вкусно"]) == [BASE_FONT]
    assert families_for([NO_FONT_HAS_IT]) is None
    # U+2312 is in the STIX fonts that come with matplotlib, and not in the base.
    families = families_for(["arc \u2312"])
    assert families is not None
    assert families[0] == BASE_FONT
    assert len(families) == 2


@pytest.mark.parametrize("epochs", [1, 4])
def test_curve(tmp_path, epochs):
    curve(HISTORY[:epochs], tmp_path / "curve.png")
    width, height = size_of(tmp_path / "curve.png")
    assert width > 2 * height


def test_the_best_epoch_is_marked(tmp_path):
    for number, best in enumerate((4, 4, 3)):
        curve(HISTORY, tmp_path / f"{number}.png", best_epoch=best)
    pictures = [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
    assert pictures[0] == pictures[1] != pictures[2]


def test_no_epoch(tmp_path):
    with pytest.raises(ValueError, match="no epoch"):
        curve([], tmp_path / "curve.png")
    assert not any(tmp_path.iterdir())


def test_same_figures_same_bytes_whatever_the_users_settings(tmp_path):
    from matplotlib import rc_context

    scores = scores_of(["a", "b", "c"])
    confusion_png(scores, tmp_path / "1.png")
    with rc_context({"font.size": 30, "axes.grid": True, "figure.facecolor": "black"}):
        confusion_png(scores, tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_settings_are_left_as_they_were(tmp_path):
    from matplotlib import rcParams

    before = dict(rcParams)
    curve(HISTORY, tmp_path / "curve.png")
    assert dict(rcParams) == before


def test_pyplot_is_never_imported(tmp_path):
    code = (
        "import pathlib, sys; from lora_bert.evaluation.plots import curve_png; "
        "from lora_bert.metrics.classification import METRICS as metrics; "
        "history, path = [{'epoch': 1, 'accuracy': 0.5}], pathlib.Path(sys.argv[1]); "
        "curve_png(history, path, best_epoch=1, metrics=metrics); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "curve.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        curve(HISTORY, tmp_path / "file" / "curve.png")
