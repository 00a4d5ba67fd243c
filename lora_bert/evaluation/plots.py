"""The two pictures: who is taken for whom, and how the training went.

Drawn on figures of our own, never through pyplot: no window, no global figure, no display needed.
The colours tell apart for colour-blind readers too (Okabe and Ito 2008; the "Blues" ramp).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_bert.evaluation.display import cells, fit
from lora_bert.evaluation.report import percent
from lora_bert.files import atomic_file
from lora_bert.metrics.classification import Scores
from lora_bert.metrics.metric import Metric

_log = logging.getLogger(__name__)

_COUNTED_CLASSES = 30  # with more, counts in the cells become dust
_NAMED_CLASSES = 120  # with more, names on the axes do
_LABEL_CELLS = 28
_INK = "#333333"
_FAINT = "#d9d9d9"
_BLUE = "#0072b2"
_ORANGE = "#d55e00"
_STYLE = {
    "font.size": 10.0, "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.labelcolor": _INK, "axes.edgecolor": "#999999", "axes.titlesize": 11.0,
    "axes.titlelocation": "left", "axes.titlepad": 10.0,
    "axes.spines.top": False, "axes.spines.right": False,
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "text.parse_math": False,  # a "$" in a label is a dollar
}  # fmt: skip
# Room for the widest numbers beside an axis: to have it measured is to draw everything thrice.
_MARGINS = {"left": 0.08, "right": 0.98, "top": 0.86, "bottom": 0.15, "wspace": 0.2}
BASE_FONT = "DejaVu Sans"
"""Ships with matplotlib: Latin, Greek, Cyrillic and more, no Chinese, Japanese or Korean."""
# Clean screen faces first; any other font with the characters will do after them.
_PREFERRED_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC",
    "Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Noto Sans CJK JP", "SimHei", "Arial Unicode MS",
)  # fmt: skip
# Fonts that have a box or a symbol for every code point, and bitmap fonts of emoji.
_USELESS_FONTS = ("Last Resort", ".LastResort", "Adobe Blank", "Adobe NotDef", "Noto Color Emoji")

Record = Mapping[str, float]


def confusion_png(scores: Scores, path: Path) -> None:
    """Draw the confusion matrix: colour is the share of the true class, numbers are rows.

    Up to 30 classes the cells hold their counts; up to 120 the axes hold the class names. Where no
    installed font can draw the names (Chinese ones on a bare machine) the classes are numbered from
    1 in label order, and a warning says so. A file that exists is replaced.

    Raises:
        OutputError: The file cannot be written.
    """
    names, families = _names_and_families(scores.labels)
    with _style(families):
        _save(_confusion_figure(scores, names), path)


def curve_png(
    history: Sequence[Record], path: Path, *, best_epoch: int, metrics: Sequence[Metric]
) -> None:
    """Draw loss and quality over the epochs, the best epoch marked.

    Of each epoch there is a record with ``epoch``, ``train_loss``, ``validation_loss`` and the
    task's metrics; what is absent everywhere is not drawn. Of the metrics the shares are drawn, two
    at most, or the numbers where there are none. A file that exists is replaced.

    Raises:
        OutputError: The file cannot be written.
        ValueError: ``history`` is empty.
    """
    if not history:
        raise ValueError("no epoch to draw")
    drawn = [metric for metric in metrics if metric.share] or metrics
    scale, unit = (100, ", %") if drawn[0].share else (1, "")
    with _style([BASE_FONT]):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 3.6), dpi=150)
        losses, quality = figure.subplots(1, 2, gridspec_kw=_MARGINS)
        _lines(losses, history, {"train_loss": "training", "validation_loss": "validation"}, 1)
        losses.set_title("loss")
        _lines(quality, history, {metric.name: metric.shown for metric in drawn[:2]}, scale)
        quality.set_title(f"validation{unit}")
        for axes in (losses, quality):
            _mark(axes, best_epoch, history)
        _save(figure, path, bbox_inches=None)


def _names_and_families(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """The classes' names as drawn, and the fonts to draw them with."""
    names = [fit(label, _LABEL_CELLS) for label in labels]
    families = families_for(names)
    if families is not None:
        return names, families
    _log.warning(
        "No installed font can draw the class names: the confusion plot numbers the classes in "
        "label order, class 1 to class %d. A font such as Noto Sans CJK mends this.", len(labels),
    )  # fmt: skip
    return [f"class {number}" for number in range(1, len(labels) + 1)], [BASE_FONT]


def families_for(texts: Iterable[str]) -> list[str] | None:
    """Font families that together draw every character of ``texts``; ``None`` if none can.

    The first is always :data:`BASE_FONT`; a second follows only where it lacks a character.
    """
    from matplotlib import font_manager

    wanted = {ord(char) for text in texts for char in text}
    missing = wanted - _characters(font_manager.findfont(BASE_FONT))
    if not missing:
        return [BASE_FONT]
    # The upright face of ordinary weight is the one that will be drawn.
    files = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, 500, "normal", "medium")
    }
    others = sorted(name for name in files if not name.startswith(_USELESS_FONTS))
    for name in (*(name for name in _PREFERRED_FONTS if name in files), *others):
        if missing <= _characters(files[name]):
            return [BASE_FONT, name]
    return None


def _characters(path: str) -> set[int]:
    """The code points a font file has an outline for; none for one that cannot be used."""
    from matplotlib import ft2font

    try:
        font = ft2font.FT2Font(path)
    except (OSError, RuntimeError):  # a broken font in the system is no concern of ours
        return set()
    return set(font.get_charmap()) if font.scalable else set()


def _style(families: list[str]) -> AbstractContextManager[None]:
    from matplotlib import rc_context, rcParamsDefault

    # The user's matplotlibrc must not change what is drawn; the backend is none of our business.
    defaults = {key: value for key, value in rcParamsDefault.items() if "backend" not in key}
    style: AbstractContextManager[None] = rc_context(defaults | _STYLE | {"font.family": families})
    return style


def _confusion_figure(scores: Scores, names: Sequence[str]) -> Any:
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    classes = len(names)
    counted = classes <= _COUNTED_CLASSES
    side = _side_inches(scores, counted)
    margin = 0.085 * max(cells(name) for name in names) if classes <= _NAMED_CLASSES else 0.5
    figure = Figure(figsize=(side + margin + 1.6, side + margin + 1.0), dpi=150)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    shares = scores.shares
    # Without counts to read, rare confusions have to show by their colour.
    norm = PowerNorm(1.0 if counted else 0.5, vmin=0.0, vmax=1.0)
    width = 1.0 if counted else 0.2 if classes <= _NAMED_CLASSES else 0.0
    mesh = axes.pcolormesh(
        shares, cmap="Blues", norm=norm, edgecolors="white" if counted else _FAINT, linewidth=width
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _name_axes(axes, names)
    if counted:
        _write_counts(axes, scores.confusion, shares)
    axes.set_title(f"{percent(scores.accuracy)} of {scores.rows:,} rows right")
    shape: dict[str, Any] = {"shrink": 0.6, "aspect": 25, "pad": 0.02}
    bar = figure.colorbar(mesh, ax=axes, format=lambda at, _: f"{100 * at:.0f} %", **shape)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label("share of the true class", fontsize=8)
    return figure


def _side_inches(scores: Scores, counted: bool) -> float:
    """How long a side of the matrix must be for its numbers and names to be read."""
    classes = len(scores.per_class)
    digits = len(f"{scores.confusion.max():,}")
    cell = max(0.32, 0.09 * digits + 0.12) if counted else 0.17
    return min(max(2.6, cell * classes), 24.0)


def _name_axes(axes: Any, names: Sequence[str]) -> None:
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    classes = len(names)
    numbers = range(0, classes, math.ceil(classes / 20) if classes > _NAMED_CLASSES else 1)
    ticks = [number + 0.5 for number in numbers]
    if classes > _NAMED_CLASSES:
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks(ticks, [str(number + 1) for number in numbers])
        return
    size = 10 if classes <= 12 else 8 if classes <= _COUNTED_CLASSES else 7
    upright = classes <= 5 and max(cells(name) for name in names) <= 10
    axes.set_xticks(ticks, names, fontsize=size, rotation=0 if upright else 90)
    axes.set_yticks(ticks, names, fontsize=size)


def _write_counts(axes: Any, confusion: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    size = 11 if len(confusion) <= 6 else 9 if len(confusion) <= 12 else 7
    for (true, predicted), count in np.ndenumerate(confusion):
        if count:
            color = "white" if shares[true, predicted] > 0.55 else _INK
            place = predicted + 0.5, true + 0.5
            axes.text(*place, f"{count:,}", ha="center", va="center", fontsize=size, color=color)


def _lines(axes: Any, history: Sequence[Record], keys: Mapping[str, str], scale: int) -> None:
    for (key, name), color, dash in zip(keys.items(), (_BLUE, _ORANGE), ("-", "--"), strict=False):
        points = [(record["epoch"], scale * record[key]) for record in history if key in record]
        if points:
            line = {"color": color, "linestyle": dash, "marker": "o", "markersize": 4}
            axes.plot(*zip(*points, strict=True), label=name, **line)


def _mark(axes: Any, best_epoch: int, history: Sequence[Record]) -> None:
    """The frame of a panel: epochs below, a faint grid, a line through the best epoch."""
    from matplotlib.ticker import MaxNLocator

    axes.axvline(
        best_epoch, color="#999999", linewidth=1, linestyle=":", zorder=0, label="best epoch"
    )
    epochs = [record["epoch"] for record in history]
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)


def _save(figure: Any, path: Path, *, bbox_inches: str | None = "tight") -> None:
    with atomic_file(path) as work:
        # Without matplotlib's version in it the same figures give the same bytes.
        written = {"format": "png", "metadata": {"Software": None}}
        figure.savefig(work, bbox_inches=bbox_inches, pad_inches=0.15, **written)
