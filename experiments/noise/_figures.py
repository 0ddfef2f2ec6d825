"""The figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments._arms import COLOURS, NAMES
from experiments.noise._disturb import KINDS

__all__ = ["against_levels", "nothing", "ways"]

_AXES = {
    **{kind: (text, "signal to noise (dB)") for kind, text in KINDS.items()},
    "dropout": ("dropouts", "time that is missing (%)"),
    "lead off": ("lead off", "time that is flat (%)"),
    "clipped": ("clipped", "of the QRS complex that is shown (%)"),
}

_STYLES = {"ignored": ":", "f1": "--", "heeded": "-"}
_CALLED = {
    "ignored": "without quality control",
    "f1": "`unusable` counts as missed",
    "heeded": "where it is usable",
}


def _panels(levels: Mapping[str, Sequence[float]]) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel a kind of disturbance, the worst level on the right."""
    n_rows = -(-len(levels) // 3)
    figure = Figure(figsize=(11, 2.9 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, 3, sharey=True, squeeze=False).ravel()
    for axes, kind in zip(grid, levels, strict=False):
        title, label = _AXES[kind]
        axes.set(title=title, xlabel=label, xticks=levels[kind])
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
        if kind in KINDS or kind == "clipped":
            axes.invert_xaxis()
    for axes in grid[len(levels) :]:
        axes.set_axis_off()
    return figure, dict(zip(levels, grid, strict=False))


def against_levels(
    metrics: Mapping[str, float], figure_of: str, arms: Sequence[str], levels: Mapping[str, Sequence[float]], title: str
) -> Figure:
    """Draw a figure of every arm against the level of each disturbance, with intervals; clean as a dotted line."""
    figure, panels = _panels(levels)
    for kind, axes in panels.items():
        for k, arm in enumerate(arms):
            names = [f"{figure_of}.{arm}.{kind} {level:g}" for level in levels[kind]]
            value, low, high = (np.array([metrics[f"{name}{end}"] for name in names]) for end in ("", ".low", ".high"))
            width = (max(levels[kind]) - min(levels[kind]) or 1) * 0.008
            axes.errorbar(
                np.array(levels[kind]) + width * (k - (len(arms) - 1) / 2),
                value, yerr=np.clip([value - low, high - value], 0, None), fmt="o-", markersize=3, linewidth=1.2,
                color=COLOURS[arm], label=NAMES[arm],
            )  # fmt: skip
            axes.axhline(metrics[f"{figure_of}.{arm}.clean"], color=COLOURS[arm], linewidth=0.7, linestyle=":")
    first = next(iter(panels.values()))
    first.legend(frameon=False, fontsize=7)
    for axes in figure.axes[::3]:
        axes.set_ylabel(title)
    return figure


def ways(metrics: Mapping[str, float], arms: Sequence[str], levels: Mapping[str, Sequence[float]]) -> Figure:
    """Draw macro F1 without quality control, with it, and where it finds the signal usable, of two arms."""
    shown = [arm for arm in ("sparse", "neurokit2-dwt") if arm in arms] or list(arms[:1])
    figure, panels = _panels(levels)
    for kind, axes in panels.items():
        for arm in shown:
            for way, style in _STYLES.items():
                values = [metrics[f"{way}.{arm}.{kind} {level:g}"] for level in levels[kind]]
                label = f"{NAMES[arm]}, {_CALLED[way]}"
                axes.plot(levels[kind], values, style, marker="o", markersize=3, color=COLOURS[arm], label=label)
    next(iter(panels.values())).legend(frameon=False, fontsize=7)
    for axes in figure.axes[::3]:
        axes.set_ylabel("macro F1 within 150 ms (%)")
    return figure


def nothing(metrics: Mapping[str, float], arms: Sequence[str], names: Sequence[str]) -> Figure:
    """Draw waves found where there is nothing: in noise alone, and in what is lost."""
    places = [(name, "false") for name in names if name.endswith("alone")]
    places += [(name, "false_in_lost") for name in names if f"false_in_lost.{arms[0]}.{name}" in metrics]
    figure = Figure(figsize=(8, 0.5 * len(places) + 1.6), layout="constrained")
    axes = figure.subplots()
    for k, arm in enumerate(arms):
        at = np.arange(len(places)) + 0.8 * (k + 0.5) / len(arms) - 0.4
        for called, style in (("", {"color": COLOURS[arm]}), ("_ignored", {"fill": False, "edgecolor": COLOURS[arm]})):
            values = [metrics[f"{what.replace('false', f'false{called}')}.{arm}.{name}"] for name, what in places]
            axes.barh(at, values, height=0.7 / len(arms), label=None if called else NAMES[arm], **style)
    axes.set_yticks(range(len(places)), [_said(name) for name, _ in places], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("waves found a minute and lead (outlined: without quality control)")
    axes.legend(frameon=False, fontsize=7)
    return figure


def _said(name: str) -> str:
    kind, _, rest = name.rpartition(" ")
    return f"{KINDS[kind]} alone" if kind in KINDS else f"{kind}, {rest} % of the time"
