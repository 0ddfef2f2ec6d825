"""Signals with what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from mhealth.core import UNUSABLE, Candidates, Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.report._style import GREY, HATCHED, INK, axes_column, colour_of, robust_limits, shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["STRIP", "draw_labelled", "labels_of", "legend", "plot_candidates", "plot_labels", "position_in", "window"]

STRIP = 10.0
"""Seconds shown by default: the length of a clinical ECG print."""


def plot_labels(
    recording: Recording,
    spans: Spans,
    *,
    start: float = 0.0,
    stop: float | None = None,
    channels: Sequence[int] | None = None,
    grid: bool = True,
    first_sample: int = 0,
) -> Figure:
    """Draw the signals of a recording with its labelled waves in colour and unusable stretches hatched.

    Parameters
    ----------
    recording : Recording
        One row is drawn for each of its channels.
    spans : Spans
        What was found in it; channels are assigned by name, by position where names repeat.
    start, stop : float
        Seconds of the recording to show; by default its first ten.
    channels : sequence of int, optional
        Positions of the channels of the recording to show; by default all.
    grid : bool, default=True
        Whether to draw the lines of ECG paper: 0.2 s, and 0.5 mV where the unit is mV.
    first_sample : int, default=0
        Where `recording` starts, if it is an excerpt of the recording whose samples `spans` counts.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Save it with `save_figure`, or ``figure.savefig(...)``.

    Raises
    ------
    InvalidParameterError
        If `start` and `stop` are no range within the recording, or the rates differ.
    """
    first, last = window(recording, spans.fs, start, stop)
    rows = range(len(recording.channels)) if channels is None else channels
    figure, axes = axes_column(len(rows))
    draw_labelled(axes, recording.slice(first, last), spans, rows, first_sample=first + first_sample, grid=grid)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("time (s)", color=INK)
    legend(figure, spans.classes if channels is None else labels_of(spans, recording, channels))
    return figure


def plot_candidates(
    recording: Recording, candidates: Candidates, *, start: float = 0.0, stop: float | None = None
) -> Figure:
    """Draw the candidates that a segmenter proposes on the signals they were found in.

    Parameters
    ----------
    recording : Recording
        One row is drawn for each of its channels.
    candidates : Candidates
        Drawn as dots, larger where the signal turns further; colour shows the kind of turn.
    start, stop : float
        Seconds of the recording to show; by default its first ten.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    InvalidParameterError
        If `start` and `stop` are no range within the recording.
    """
    first, last = window(recording, recording.fs, start, stop)
    figure, axes = axes_column(len(recording.channels))
    seconds = np.arange(first, last) / recording.fs
    palette = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"]
    shown = (candidates.position >= first) & (candidates.position < last)
    for row, ax in enumerate(axes):
        _draw_signal(ax, seconds, recording.signals[first:last, row], recording, row, grid=False)
        here = shown & (candidates.channel == row)
        for kind in np.unique(candidates.kind[here]):
            of_kind = here & (candidates.kind == kind)
            position = candidates.position[of_kind]
            ax.scatter(
                position / recording.fs,
                recording.signals[position, row],
                s=8 + 12 * np.clip(np.log1p(np.abs(candidates.prominence[of_kind])), 0, 3),
                color=palette[int(kind) % len(palette)],
                edgecolors="white",
                linewidths=0.4,
                zorder=3,
                label=f"kind {int(kind)}",
            )
        rate = np.count_nonzero(here) / ((last - first) / recording.fs)
        ax.set_title(f"{rate:.1f} candidates a second", fontsize=8, color=GREY, loc="right")
        if here.any():
            ax.legend(loc="upper left", fontsize=7, frameon=False, ncols=6)
    axes[-1].set_xlim(seconds[0], seconds[-1] + 1 / recording.fs)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel("time (s)", color=INK)
    return figure


def window(
    recording: Recording, fs: float, start: float, stop: float | None, *, length: float = STRIP
) -> tuple[int, int]:
    """Return the samples to show, `length` seconds of them where `stop` is not said."""
    if fs != recording.fs:
        raise InvalidParameterError(f"spans are at {fs:g} Hz but the recording is at {recording.fs:g} Hz.")
    end = min(start + length, recording.duration) if stop is None else min(stop, recording.duration)
    first, last = round(start * recording.fs), round(end * recording.fs)
    if not 0 <= first < last:
        raise InvalidParameterError(
            f"start={start:g} and stop={stop} must be a range within the {recording.duration:g} s of the recording."
        )
    return first, last


def draw_labelled(
    axes: Sequence[Axes],
    excerpt: Recording,
    spans: Spans,
    rows: Sequence[int],
    *,
    first_sample: int,
    grid: bool,
    fit_usable: bool = False,
) -> None:
    """Draw these channels of an excerpt, which starts at `first_sample` of what the spans count, with their labels.

    With `fit_usable` the axes fit what is usable, so that motion does not flatten the rest.
    """
    begin, end = _extent(spans)
    spans = spans.select((begin < first_sample + excerpt.n_samples) & (end > first_sample))
    seconds = (first_sample + np.arange(excerpt.n_samples)) / excerpt.fs
    for row, ax in zip(rows, axes, strict=True):
        signal = excerpt.signals[:, row]
        of_channel = spans.select(spans.channel == position_in(spans.channels, excerpt.channels, row))
        _draw_signal(ax, seconds, signal, excerpt, row, grid=grid)
        if fit_usable:
            usable = np.ones(len(signal), dtype=bool)
            for a, b in zip(*_extent(of_channel.of(label=UNUSABLE)), strict=True):
                usable[max(a - first_sample, 0) : b - first_sample] = False
            ax.set_ylim(robust_limits(signal[usable] if usable.any() else signal))
        for code, label in enumerate(of_channel.classes):
            _draw_label(ax, of_channel.select(of_channel.label == code), label, seconds, signal, first_sample)
    axes[-1].set_xlim(seconds[0], seconds[-1] + 1 / excerpt.fs)


def _extent(spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """Return the first known point of every span and the last, at least one sample later."""
    points = np.stack([spans.onset, spans.peak, spans.offset])
    begin = np.where(points >= 0, points, np.iinfo(np.int64).max).min(axis=0)
    return begin, np.maximum(points.max(axis=0), begin + 1)


def labels_of(spans: Spans, recording: Recording, channels: Sequence[int]) -> tuple[str, ...]:
    """Return the labels that occur in some channels of the recording."""
    there = np.isin(spans.channel, [position_in(spans.channels, recording.channels, row) for row in channels])
    return tuple(spans.classes[code] for code in np.unique(spans.label[there]))


def position_in(channels: Sequence[str], names: Sequence[str], row: int) -> int:
    """Return which of `channels` is the one in this row of a recording with these names, −1 where none is."""
    name = names[row]
    if channels.count(name) == 1:
        return channels.index(name)
    return row if row < len(channels) and channels[row] == name else -1


def _draw_signal(
    ax: Axes, seconds: np.ndarray, signal: np.ndarray, recording: Recording, row: int, *, grid: bool
) -> None:
    """Draw one channel, its name and unit."""
    unit = recording.units[row]
    ax.plot(seconds, signal, color=INK, linewidth=0.8, zorder=2)
    ax.set_ylim(robust_limits(signal))
    ax.set_ylabel(
        f"{recording.keys[row]}\n({unit})" if unit else recording.keys[row], rotation=0, ha="right", va="center"
    )
    ax.yaxis.label.set_color(INK)
    if grid and seconds[-1] - seconds[0] <= 2 * STRIP:
        ax.xaxis.set_minor_locator(MultipleLocator(0.2))
        ax.xaxis.set_major_locator(MultipleLocator(1.0))
        low, high = ax.get_ylim()
        if unit.lower() == "mv" and high - low < 12:
            ax.yaxis.set_minor_locator(MultipleLocator(0.5))
        ax.grid(which="both", color="#f2d5d0", linewidth=0.5, zorder=0)
        ax.tick_params(which="minor", length=0)
    ax.set_axisbelow(True)


def _draw_label(ax: Axes, spans: Spans, label: str, seconds: np.ndarray, signal: np.ndarray, first: int) -> None:
    """Draw the spans of one label over a signal that starts at sample `first`."""
    if not len(spans):
        return
    begin, end = _extent(spans)
    shade(ax, begin / spans.fs, end / spans.fs, label)
    if label == UNUSABLE:
        return
    inside = np.full(len(signal), np.nan, dtype=signal.dtype)
    for a, b in zip(np.maximum(begin - first, 0), end - first, strict=True):
        inside[a : b + 1] = signal[a : b + 1]  # one sample more, so that waves that touch join up
    ax.plot(seconds, inside, color=colour_of(label), linewidth=1.8, solid_capstyle="round", zorder=3)


def legend(figure: Figure, classes: tuple[str, ...]) -> None:
    """Name the colours above the figure."""
    handles = [
        Patch(**HATCHED, label=label)
        if label == UNUSABLE
        else Line2D([], [], color=colour_of(label), linewidth=4, label=label)
        for label in classes
    ]
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=9)
