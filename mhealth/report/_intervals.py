"""How the intervals of the heartbeat develop, and what such plots share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES, UNUSABLE, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import Breaths, Intervals
from mhealth.report._style import GREY, INK, axes_column, colour_of, shade

__all__ = ["Panel", "busiest_channel", "channel_code", "draw_panels", "draw_trends", "plot_intervals"]

Panel = tuple[str, tuple[tuple[str, str], ...]]
"""Title of a panel, and the measures in it with their colours."""

SHADED = (BREATH_PHASES[-1], UNUSABLE)
"""Labels of the stretches that are marked behind the lines: pauses, and where nothing was labelled."""

PANELS: tuple[Panel, ...] = (
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
    code = channel_code(intervals, channel)
    of_channel = intervals.channel == code
    return draw_trends(
        PANELS,
        intervals.r_peak[of_channel] / intervals.fs,
        lambda name: getattr(intervals, name)[of_channel],
        stretches=None if spans is None else spans.select(spans.channel == code),
        heading=f"channel {intervals.channels[code]}" if len(intervals.channels) > 1 else "",
    )


def busiest_channel(measured: Intervals | Breaths) -> int:
    """Return the position of the channel with most beats or breaths."""
    return int(np.bincount(measured.channel, minlength=max(len(measured.channels), 1)).argmax())


def channel_code(measured: Intervals | Breaths, channel: str | None) -> int:
    """Return the position of a channel, by default of the one with most beats or breaths."""
    if channel is None:
        return busiest_channel(measured)
    if channel not in measured.channels:
        raise InvalidParameterError(f"channel={channel!r} must be one of {measured.channels}.")
    return measured.channels.index(channel)


def draw_trends(
    panels: Sequence[Panel],
    seconds: NDArray[np.float64],
    values: Callable[[str], NDArray[np.float64]],
    *,
    stretches: Spans | None,
    heading: str,
) -> Figure:
    """Draw how the measures of a channel develop; `values` gives those of one name, at `seconds`."""
    unit, divisor = _time_unit(seconds)
    figure, axes = axes_column(len(panels), row_height=1.15)
    draw_panels(axes, panels, seconds, values, stretches=stretches, divisor=divisor)
    axes[-1].set_xlabel(f"time ({unit})", color=INK)
    figure.align_ylabels(axes)
    if heading:
        figure.suptitle(heading, fontsize=9, color=GREY, x=0.99, ha="right")
    return figure


def draw_panels(
    axes: Sequence[Axes],
    panels: Sequence[Panel],
    seconds: NDArray[np.float64],
    values: Callable[[str], NDArray[np.float64]],
    *,
    stretches: Spans | None,
    divisor: float = 1.0,
) -> None:
    """Draw panels over the pauses and unusable stretches of their channel, in units of `divisor` seconds."""
    for ax, (title, measures) in zip(axes, panels, strict=True):
        for name, colour in measures:
            _draw_trend(ax, seconds / divisor, values(name), colour)
        ax.set_ylabel(title, rotation=0, ha="right", va="center", color=INK, fontsize=9)
        ax.grid(axis="y", color="#eceef0", linewidth=0.6)
        ax.margins(y=0.25)
        if stretches is not None:
            for label in SHADED:
                found = stretches.of(label=label)
                begin, end = (at / found.fs / divisor for at in (found.onset, found.offset))
                shade(ax, begin, end, label, zorder=0)


def _time_unit(seconds: NDArray[np.float64]) -> tuple[str, float]:
    """Return the unit in which a time axis reads best, in seconds."""
    length = float(seconds.max(initial=0.0))
    return ("s", 1.0) if length < 300 else ("min", 60.0) if length < 3 * 3600 else ("h", 3600.0)


def _draw_trend(ax: Axes, time: NDArray[np.float64], values: NDArray[np.float64], colour: str) -> None:
    """Draw values as dots on a line, or as a running median where there are many."""
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
