"""How the intervals of the heartbeat develop."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mhealth.core import UNUSABLE, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import Intervals
from mhealth.report._style import GREY, INK, axes_column, colour_of

__all__ = ["busiest_channel", "plot_intervals"]

PANELS = (
    ("heart rate\n(1/min)", (("heart_rate_bpm", INK),)),
    ("PR\n(ms)", (("pr_ms", colour_of("P")),)),
    ("QRS\n(ms)", (("qrs_ms", colour_of("QRS")),)),
    ("QT, QTcF\n(ms)", (("qt_ms", "#9fd8c4"), ("qtc_fridericia_ms", colour_of("T")))),
)
"""QTcF: corrected by Fridericia's formula."""

FEW = 300
"""Beats up to which each is drawn as a dot on its line; more are drawn as dots under a running median."""


def plot_intervals(intervals: Intervals, *, channel: str | None = None, spans: Spans | None = None) -> Figure:
    """Draw heart rate, PR, QRS, QT and QTc of every beat of one channel.

    Parameters
    ----------
    intervals : Intervals
        From `mhealth.intervals.ecg_intervals`.
    channel : str, optional
        Which channel; by default the one with most beats.
    spans : Spans, optional
        The spans that the intervals come from; their unusable stretches are then hatched.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Missing intervals leave gaps. Long recordings are drawn as dots under a running median.

    Raises
    ------
    InvalidParameterError
        If there is no such channel.
    """
    code = busiest_channel(intervals) if channel is None else _code(intervals, channel)
    of_channel = intervals.channel == code
    seconds = intervals.r_peak[of_channel] / intervals.fs
    unit, divisor = _time_unit(seconds)
    figure, axes = axes_column(len(PANELS), row_height=1.15)
    for ax, (title, measures) in zip(axes, PANELS, strict=True):
        for name, colour in measures:
            _draw_trend(ax, seconds / divisor, getattr(intervals, name)[of_channel], colour)
        ax.set_ylabel(title, rotation=0, ha="right", va="center", color=INK, fontsize=9)
        ax.grid(axis="y", color="#eceef0", linewidth=0.6)
        ax.margins(y=0.25)
        if spans is not None:
            _hatch_unusable(ax, spans.of(label=UNUSABLE, channel=intervals.channels[code]), divisor)
    axes[-1].set_xlabel(f"time ({unit})", color=INK)
    figure.align_ylabels(axes)
    if len(intervals.channels) > 1:
        figure.suptitle(f"channel {intervals.channels[code]}", fontsize=9, color=GREY, x=0.99, ha="right")
    return figure


def busiest_channel(intervals: Intervals) -> int:
    """Return the position of the channel with most beats."""
    return int(np.bincount(intervals.channel, minlength=max(len(intervals.channels), 1)).argmax())


def _code(intervals: Intervals, channel: str) -> int:
    if channel not in intervals.channels:
        raise InvalidParameterError(f"channel={channel!r} must be one of {intervals.channels}.")
    return intervals.channels.index(channel)


def _time_unit(seconds: NDArray[np.float64]) -> tuple[str, float]:
    """Return the unit in which a time axis reads best, in seconds."""
    length = float(seconds.max(initial=0.0))
    return ("s", 1.0) if length < 300 else ("min", 60.0) if length < 3 * 3600 else ("h", 3600.0)


def _draw_trend(ax: Axes, time: NDArray[np.float64], values: NDArray[np.float64], colour: str) -> None:
    if len(values) <= FEW:
        ax.plot(time, values, color=colour, linewidth=1.0, marker="o", markersize=2.5)
        return
    ax.plot(time, values, color=colour, linestyle="", marker=".", markersize=1.0, alpha=0.15, rasterized=True)
    centres, medians = _running_median(time, values, n_bins=200)
    ax.plot(centres, medians, color=colour, linewidth=1.2)
    finite = values[np.isfinite(values)]
    if finite.size:
        low, high = np.percentile(finite, [0.5, 99.5])
        pad = 0.25 * (high - low) or 1.0
        ax.set_ylim(low - pad, high + pad)


def _running_median(
    time: NDArray[np.float64], values: NDArray[np.float64], *, n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median of the finite values in bins of equal length, NaN in empty bins."""
    edges = np.linspace(time[0], time[-1], n_bins + 1)
    place = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, n_bins - 1)
    medians = np.full(n_bins, np.nan)
    for k in range(n_bins):
        inside = values[place == k]
        inside = inside[np.isfinite(inside)]
        if inside.size:
            medians[k] = np.median(inside)
    return (edges[:-1] + edges[1:]) / 2, medians


def _hatch_unusable(ax: Axes, spans: Spans, divisor: float) -> None:
    low, high = ax.get_ylim()
    ranges = [
        (a / spans.fs / divisor, (b - a) / spans.fs / divisor) for a, b in zip(spans.onset, spans.offset, strict=True)
    ]
    ax.broken_barh(
        ranges, (low, high - low), facecolor="#e6e6e6", edgecolor=GREY, hatch="///", linewidth=0, alpha=0.8, zorder=0
    )
    ax.set_ylim(low, high)
