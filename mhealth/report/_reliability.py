"""Whether stated probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from mhealth.metrics import Reliability
from mhealth.report._style import GREY, INK, colour_of, despine

__all__ = ["plot_reliability"]


def plot_reliability(by_label: Mapping[str, Reliability]) -> Figure:
    """Draw observed against stated probability, a panel a label, with the number of predictions in each bin below.

    Parameters
    ----------
    by_label : mapping of str to Reliability
        One diagram a label, as `mhealth.metrics.reliability` gives it.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Points on the diagonal are calibrated; below it the probabilities are too high.
    """
    figure = Figure(figsize=(3.4 * max(len(by_label), 1), 4.2), layout="constrained")
    grid = figure.subplots(2, max(len(by_label), 1), sharex=True, squeeze=False, height_ratios=(3, 1))
    for (top, bottom), (label, diagram) in zip(grid.T, by_label.items(), strict=False):
        colour = colour_of(label)
        used = diagram.count > 0
        top.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        top.plot(diagram.stated[used], diagram.observed[used], color=colour, marker="o", markersize=4, linewidth=1.4)
        top.set(xlim=(0, 1), ylim=(0, 1))
        top.set_title(f"{label}: calibration error {diagram.error:.3f}", fontsize=10, color=INK)
        bottom.bar(diagram.edges[:-1], diagram.count, np.diff(diagram.edges), align="edge", color=colour, alpha=0.5)
        bottom.set_xlabel("stated probability", color=INK)
        bottom.set_yscale("symlog", linthresh=1)
    grid[0, 0].set_ylabel("share that an expert marked", color=INK)
    grid[1, 0].set_ylabel("waves", color=INK)
    for ax in grid.flat:
        despine(ax)
    return figure
