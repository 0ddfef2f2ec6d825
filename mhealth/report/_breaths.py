"""Breathing: the signal with its phases, and what the breaths are like."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import Breaths
from mhealth.report._intervals import Panel, busiest_channel, channel_code, draw_panels, draw_trends
from mhealth.report._signals import draw_labelled, labels_of, legend, position_in, window
from mhealth.report._style import INK, axes_column

__all__ = ["BREATH_STRIP", "breathing_rows", "plot_breath_trends", "plot_breaths"]

BREATH_STRIP = 60.0
"""Seconds shown by default: 4 breaths at the slowest pace that is labelled, and 70 that can be told apart."""

RATE: Panel = ("breath rate\n(1/min)", (("breath_rate_bpm", INK),))
RATIO: Panel = ("I/E", (("ie_ratio", INK),))
RSA: Panel = ("RSA\n(ms)", (("rsa_ms", INK),))


def plot_breaths(
    recording: Recording,
    spans: Spans,
    breaths: Breaths,
    *,
    start: float = 0.0,
    stop: float | None = None,
    first_sample: int = 0,
) -> Figure:
    """Draw breathing signals with their phases in colour, and below them rate and I/E ratio of every breath.

    Parameters
    ----------
    recording : Recording
        One row is drawn for each of its channels in which there are breaths or pauses.
    spans : Spans
        What was found in it.
    breaths : Breaths
        From `mhealth.intervals.breath_intervals` on these spans. Rate and ratio are drawn at the peaks of the channel
        with most breaths; the lines break where breathing was interrupted.
    start, stop : float
        Seconds of the recording to show; by default its first minute.
    first_sample : int, default=0
        Where `recording` starts, if it is an excerpt of the recording whose samples `spans` counts.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    InvalidParameterError
        If `start` and `stop` are no range within the recording, the rates differ, or none of its channels breathes.
    """
    first, last = window(recording, spans.fs, start, stop, length=BREATH_STRIP)
    rows = breathing_rows(recording.channels, breaths)
    if not rows:
        raise InvalidParameterError(f"none of the channels {recording.channels} has breaths or pauses to draw.")
    figure, axes = axes_column(len(rows) + 2, row_height=1.3)
    begin, end = first + first_sample, last + first_sample
    draw_labelled(axes[:-2], recording.slice(first, last), spans, rows, first_sample=begin, grid=False, fit_usable=True)
    code = busiest_channel(breaths)
    chosen = (breaths.channel == code) & (breaths.peak >= begin) & (breaths.peak < end)
    stretches = spans.select((spans.channel == code) & (spans.onset < end) & (spans.offset > begin))
    draw_panels(axes[-2:], (RATE, RATIO), *_broken(breaths, chosen), stretches=stretches)
    axes[-1].set_xlim(begin / spans.fs, end / spans.fs)
    axes[-1].set_xlabel("time (s)", color=INK)
    figure.align_ylabels(axes)
    legend(figure, labels_of(spans, recording, rows))
    return figure


def plot_breath_trends(breaths: Breaths, *, channel: str | None = None, spans: Spans | None = None) -> Figure:
    """Draw rate, I/E ratio, stretch and respiratory sinus arrhythmia of every breath of one channel.

    Parameters
    ----------
    breaths : Breaths
        From `mhealth.intervals.breath_intervals`.
    channel : str, optional
        Which channel; by default the one with most breaths.
    spans : Spans, optional
        The spans that the breaths come from; their pauses and unusable stretches are then marked.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Lines break where breathing was interrupted. Long recordings are drawn as dots under a running median. Stretch
        and sinus arrhythmia are left out where no breath has one.

    Raises
    ------
    InvalidParameterError
        If there is no such channel.
    """
    code = channel_code(breaths, channel)
    of_channel = (breaths.channel == code) & (breaths.peak >= 0)
    unit = breaths.units[code] if breaths.units else ""
    stretch: Panel = (f"stretch\n({unit or 'its unit'})", (("stretch", INK),))
    measured = [panel for panel in (stretch, RSA) if np.isfinite(getattr(breaths, panel[1][0][0])[of_channel]).any()]
    seconds, values = _broken(breaths, of_channel)
    stretches = None if spans is None else spans.select(spans.channel == code)
    return draw_trends(
        (RATE, RATIO, *measured),
        seconds,
        values,
        stretches=stretches,
        heading=f"channel {breaths.channels[code]}" if len(breaths.channels) > 1 else "",
    )


def breathing_rows(names: Sequence[str], breaths: Breaths) -> list[int]:
    """Return the positions of those channels of a recording, of these names, that have breaths or pauses."""
    return [row for row in range(len(names)) if position_in(breaths.channels, names, row) in breaths.breathing_channels]


def _broken(
    breaths: Breaths, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], Callable[[str], NDArray[np.float64]]]:
    """Return times and values of some breaths, with a NaN before each that does not continue the one before."""
    breaks = np.flatnonzero(~breaths.continues[chosen])
    seconds = breaths.peak[chosen] / breaths.fs

    def values(name: str) -> NDArray[np.float64]:
        return np.insert(getattr(breaths, name)[chosen], breaks, np.nan)

    return np.insert(seconds, breaks, seconds[breaks]), values
