"""The pictures, drawn without a display."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Okabe and Ito's colours: told apart by colour-blind readers too.
_OURS, _PEER = "#0072b2", "#999999"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_MANY_COLOURS = (*_COLOURS, "#e69f00", "#56b4e9", "#000000", "#999999")
_MARKERS = "osD^vPX*"
_STYLE = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Panel:
    """Lines over a logarithmic axis, ticked where the points are: ``{label: [(x, y), …]}``."""

    unit: str
    along: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Bars:
    """Horizontal bars, ours and others': ``[(label, ours, [figure per round]), …]``."""

    title: str
    found: Sequence[tuple[str, bool, Sequence[float]]]


def bars(path: Path, panels: Sequence[Bars]) -> None:
    """Each contender's median with its range; panels two a row."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        most = max(len(panel.found) for panel in panels)
        figure, axes = _grid(len(panels), 0.36 * most + 0.8, width=11)
        for panel, ax in zip(panels, axes, strict=True):
            for at, (_, ours, found) in enumerate(reversed(panel.found)):
                middle = statistics.median(found)
                reach = [[middle - min(found)], [max(found) - middle]]
                ax.barh(at, middle, color=_OURS if ours else _PEER, xerr=reach, height=0.6)
                ax.annotate(f" {middle:,.0f}", (max(found), at), va="center")
            labels = [label for label, _, _ in reversed(panel.found)]
            ax.set_yticks(range(len(labels)), labels)
            ax.set_title(panel.title, fontsize=10)
            ax.margins(x=0.15)
        figure.savefig(path, dpi=120, bbox_inches="tight")


def lines(path: Path, panels: Sequence[Panel]) -> None:
    """Panels side by side, two a row."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(panels), 3.2)
        for panel, ax in zip(panels, axes, strict=True):
            for colour, (label, points) in zip(_COLOURS, panel.lines.items(), strict=False):
                if points:
                    ax.plot(*zip(*points, strict=True), marker="o", color=colour, label=label)
            ax.set(xscale="log", xlabel=panel.along, ylabel=panel.unit)
            ticks = sorted({x for points in panel.lines.values() for x, _ in points})
            ax.set_xticks(ticks, [f"{x:,}" for x in ticks])
            ax.minorticks_off()
            ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
            if len(panel.lines) > 1 and any(panel.lines.values()):
                ax.legend(frameon=False)
        figure.savefig(path, dpi=120, bbox_inches="tight")


def trade_off(
    path: Path, panels: Mapping[str, Sequence[tuple[str, float, Sequence[float]]]],
    cost: str = "seconds",
) -> None:  # fmt: skip
    """Accuracy against a cost: ``{data: [(label, cost, [accuracy per seed]), …]}``."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(panels), 3.4)
        for (data, points), ax in zip(panels.items(), axes, strict=True):
            means = [(seconds, statistics.mean(found)) for _, seconds, found in points]
            ax.plot(*zip(*means, strict=True), color=_PEER, zorder=1)
            for (label, seconds, found), (_, mean) in zip(points, means, strict=True):
                ax.scatter([seconds] * len(found), found, color=_OURS, s=14, alpha=0.5)
                ax.scatter([seconds], [mean], color=_OURS, s=40)
                ax.annotate(label, (seconds, mean), xytext=(5, -12), textcoords="offset points")
            ax.set(title=data, xlabel=cost, ylabel="test accuracy, %")
            ax.set_xlim(0, 1.2 * max(seconds for seconds, _ in means))
            ax.margins(y=0.2)
        figure.savefig(path, dpi=120, bbox_inches="tight")


def accuracy_by_cost(
    path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
) -> None:
    """A line a contender from few rows to many: ``{data: {label: [(seconds, accuracy), …]}}``."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure, axes = _grid(len(panels), 3.6, width=11)
        labels = list(dict.fromkeys(label for found in panels.values() for label in found))
        styles = dict(zip(labels, zip(_MANY_COLOURS, _MARKERS, strict=True), strict=False))
        for (data, found), ax in zip(panels.items(), axes, strict=True):
            for label, points in found.items():
                colour, marker = styles[label]
                ax.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label)
            ax.set(title=data, xscale="log", xlabel="CPU seconds", ylabel="test accuracy, %")
            ax.margins(y=0.1)
        handles = {name: line for ax in axes for line, name in zip(*ax.get_legend_handles_labels(),
                                                                   strict=True)}  # fmt: skip
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3,
                      frameon=False)  # fmt: skip
        figure.savefig(path, dpi=120, bbox_inches="tight")


def _grid(panels: int, height: float, width: float = 9) -> tuple[Any, list[Any]]:
    """Two panels a row; one that is left over is not shown."""
    rows = (panels + 1) // 2
    figure, axes = _figure(rows, 2, (width, height * rows))
    for spare in axes[panels:]:
        spare.set_visible(False)
    return figure, axes[:panels]


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)
