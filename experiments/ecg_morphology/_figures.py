"""The figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments._arms import COLOURS, NAMES
from experiments._peers import PEERS
from experiments.ecg_morphology._confusion import EXPERT, FOUND
from experiments.ecg_morphology._curves import Curve, of_waves
from mhealth.core import ECG_WAVES
from mhealth.metrics import WaveOutcomes

__all__ = ["confusion", "curves", "groups", "recalls", "scores"]

OF_LABEL = {"P": "#0072b2", "QRS": "#d55e00", "T": "#009e73", "nothing": "#999999"}  # of Okabe and Ito


def scores(metrics: Mapping[str, float], arms: Sequence[str]) -> Figure:
    """Draw macro F1 at both tolerances, and F1 of P waves, with intervals."""
    panels = {
        "f1.{}.150ms.macro": "macro F1 within 150 ms (%)",
        "f1.{}.tight.macro": "macro F1, tight windows (%)",
        "f1.{}.150ms.P": "F1 of P waves within 150 ms (%)",
    }
    figure = Figure(figsize=(11, 0.36 * len(arms) + 1.3), layout="constrained")
    for axes, (pattern, title) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
        for at, arm in enumerate(arms):
            _bar(axes, metrics, pattern.format(arm), at, COLOURS[arm])
        axes.set(xlabel=title, yticks=range(len(arms)), yticklabels=[NAMES[arm] for arm in arms])
        axes.grid(axis="x", alpha=0.3)
    figure.axes[0].invert_yaxis()
    return figure


def _bar(axes: Axes, metrics: Mapping[str, float], name: str, at: float, colour: str, label: str | None = None) -> None:
    value, low, high = (metrics[f"{name}{end}"] for end in ("", ".low", ".high"))
    axes.errorbar(
        [value], [at], xerr=[[max(0.0, value - low)], [max(0.0, high - value)]], fmt="o", color=colour, label=label
    )


def recalls(of_waves_: Mapping[str, float], of_time: Mapping[str, float], arms: Sequence[str]) -> Figure:
    """Draw the recall of each label: of waves within 150 ms, and of time."""
    figure = Figure(figsize=(10, 0.42 * len(arms) + 1.4), layout="constrained")
    panels = (
        (of_waves_, "recall.{}.{}", ECG_WAVES, "waves found within 150 ms (%)"),
        (of_time, "time_recall.{}.{}", EXPERT, "time of a label that gets it (%)"),
    )
    for axes, (metrics, pattern, labels, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        for k, label in enumerate(labels):
            for at, arm in enumerate(arms):
                place = at + 0.16 * (k - (len(labels) - 1) / 2)
                _bar(axes, metrics, pattern.format(arm, label), place, OF_LABEL[label], label if not at else None)
        axes.set(xlabel=title, yticks=range(len(arms)), yticklabels=[NAMES[arm] for arm in arms])
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.axes[0].invert_yaxis()
    return figure


def curves(of_time: Mapping[str, Mapping[str, Curve]], outcomes: Mapping[str, Mapping[str, WaveOutcomes]]) -> Figure:
    """Draw for each label the ROC curve of time, precision over recall of the same time, and of waves."""
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    for row, label in zip(figure.subplots(3, 3), ECG_WAVES, strict=True):
        for arm, of_label in of_time.items():
            own = of_label[label]
            style = {"color": COLOURS[arm], "linewidth": 1.4}
            row[0].plot(100 * own.false_rate, 100 * own.recall, label=f"{NAMES[arm]}, area {own.area:.3f}", **style)
            row[1].plot(
                100 * own.recall, 100 * own.precision, label=f"{NAMES[arm]}, mean {own.average_precision:.3f}", **style
            )
        for arm, found in outcomes.items():
            recall, precision, _ = of_waves(found[label])
            if arm in PEERS:
                marker = "x+*"[PEERS.index(arm)]
                row[2].plot(100 * recall, 100 * precision, marker, color=COLOURS[arm], label=NAMES[arm])
            else:
                row[2].plot(100 * recall, 100 * precision, color=COLOURS[arm], linewidth=1.4, label=NAMES[arm])
        row[0].set(xlabel="time of other labels that is called (%)", ylabel=f"time of {label} that is called (%)")
        row[1].set(xlabel=f"time of {label} that is called (%)", ylabel="time called that is right (%)")
        row[2].set(xlabel=f"{label} waves found (%)", ylabel="waves reported that are right (%)", xlim=(60, 101))
        row[2].set_ylim(60, 101)
        for axes in row:
            axes.grid(alpha=0.3)
        row[0].legend(frameon=False, fontsize=7, loc="lower right")
        row[1].legend(frameon=False, fontsize=7, loc="lower left")
    for axes, title in zip(figure.axes[:3], ("time: ROC", "time: precision and recall", "waves"), strict=True):
        axes.set_title(title, fontsize=10)
    figure.axes[2].legend(frameon=False, fontsize=7, loc="lower left")
    return figure


def confusion(shares: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw for each arm what becomes of the time of each of the expert's labels."""
    n_columns = min(3, len(shares))
    n_rows = -(-len(shares) // n_columns)
    figure = Figure(figsize=(3.6 * n_columns, 2.7 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (arm, table) in zip(grid, shares.items(), strict=False):
        _cells(axes, table, "{:.1f}", 0, 100)
        axes.set_title(f"{NAMES[arm]} (% of the time)", fontsize=9)
        axes.set_xticks(range(len(FOUND)), FOUND, fontsize=7)
        axes.set_yticks(range(len(EXPERT)), EXPERT, fontsize=8)
        axes.set(xlabel="found", ylabel="expert")
    for axes in grid[len(shares) :]:
        axes.set_axis_off()
    return figure


def groups(table: pd.DataFrame) -> Figure:
    """Draw macro F1 within 150 ms in each rhythm and diagnosis."""
    arms = list(dict.fromkeys(table["arm"]))
    rows = list(dict.fromkeys(zip(table["group"], table["n_records"], strict=True)))
    values = table.pivot(index="group", columns="arm", values="macro").loc[[group for group, _ in rows], arms]
    figure = Figure(figsize=(0.75 * len(arms) + 3.6, 0.34 * len(rows) + 1.8), layout="constrained")
    axes = figure.subplots()
    _cells(axes, values.to_numpy(), "{:.1f}", 80, 100)
    axes.set_xticks(range(len(arms)), [NAMES[arm] for arm in arms], rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{group} ({n})" for group, n in rows], fontsize=8)
    axes.set_title("macro F1 within 150 ms (%); in brackets, records", fontsize=9)
    return figure


def _cells(axes: Axes, values: NDArray[np.float64], text: str, low: float, high: float) -> None:
    axes.imshow(values, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = value > low + 0.6 * (high - low)
            axes.text(j, i, text.format(value), ha="center", va="center", fontsize=7, color="w" if dark else "k")
