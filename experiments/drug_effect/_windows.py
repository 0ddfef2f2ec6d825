"""What a minute of ECG shows: heart rate, intervals, and the sparse codes of its beats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from experiments.drug_effect._warp import Beats, Warp
from mhealth.core import Recording, Spans
from mhealth.intervals import Intervals, ecg_intervals, interval_trend, qtc_fridericia
from mhealth.sparse import Dictionary, Window, extract_windows, omp

__all__ = ["BEAT", "INTERVALS", "LENGTHS", "Minutes", "beat_windows", "by_stretching", "measured", "of_marks"]

BEAT = Window(before=0.3, after=0.5, n_points=100)
"""A beat from the onset of P to the end of T, bins of 8 ms."""

INTERVALS = ("rr_ms", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")

LENGTHS = ("rr_ms", "qrs_ms", "qt_ms")
"""What stretched beats and marks tell."""

TRIMMED = 0.25
"""Share of the beats of a minute that is left out at each end: what remains averages over samples of 4 ms."""

FEWEST_BEATS = 10
"""In a minute; from fewer nothing is measured."""

N_NONZERO = 5


class Minutes(NamedTuple):
    """What the minutes of a recording show, NaN where they show nothing.

    Attributes
    ----------
    intervals : ndarray of float64, shape (n_minutes, n_channels, 5)
        `INTERVALS`: trimmed means over beats.
    codes : ndarray of float64, shape (n_minutes, n_channels, n_atoms)
        Mean coefficient of each atom, in units of the channel's usual beat.
    """

    intervals: NDArray[np.float64]
    codes: NDArray[np.float64]


def measured(recording: Recording, labels: Spans, dictionary: Dictionary, n_minutes: int) -> Minutes:
    """Return what each minute of a recording shows.

    Parameters
    ----------
    recording : Recording
    labels : Spans
        Waves in it.
    dictionary : Dictionary
        Of windows `BEAT`.
    n_minutes : int
        From its start.
    """
    beats = ecg_intervals(labels)
    minute = np.where(beats.r_peak >= 0, beats.r_peak // round(60 * recording.fs), -1)
    intervals = np.full((n_minutes, len(recording.channels), len(INTERVALS)), np.nan)
    codes = np.full((n_minutes, len(recording.channels), dictionary.n_atoms), np.nan)
    of_beats = _intervals(beats)
    for channel in range(len(recording.channels)):
        own = (beats.channel == channel) & (beats.r_peak >= 0)
        windows = beat_windows(recording, channel, beats.r_peak[own])
        coefficients = omp(windows, dictionary, n_nonzero=N_NONZERO).to_csr()
        for k in range(n_minutes):
            here = minute[own] == k
            if here.sum() >= FEWEST_BEATS:
                codes[k, channel] = coefficients[here].mean(axis=0)
                intervals[k, channel] = [_trimmed(column) for column in of_beats[:, own][:, here]]
    return Minutes(intervals, codes)


def by_stretching(recording: Recording, labels: Spans, n_minutes: int, rest: float) -> NDArray[np.float64]:
    """Return `LENGTHS` of each minute by stretching the mean beat of the first `rest` seconds, shape (n_minutes, 3)."""
    if recording.duration < rest:
        return np.full((n_minutes, len(LENGTHS)), np.nan)
    trend = interval_trend(recording, labels, reference=(0.0, rest))
    return np.stack([1000 * trend.rr_s, trend.qrs_ms, trend.qt_ms], axis=1)[:n_minutes]


def of_marks(marks: Beats, warp: Warp, n_minutes: int) -> NDArray[np.float64]:
    """Return `LENGTHS` of each minute by the marks that the change was made with, shape (n_minutes, 3).

    They change by what was asked for and by what the heart did of itself, which no measurement can tell from it.
    """
    onset, qrs, t = (warp.forward(points) for points in (marks.qrs_onset, marks.qrs_offset, marks.t_offset))
    lengths = 1000 * np.stack([np.append(np.nan, np.diff(onset)), qrs - onset, t - onset])
    minute = onset // 60
    return np.array([[_trimmed(column) for column in lengths[:, minute == k]] for k in range(n_minutes)])


def beat_windows(recording: Recording, channel: int, r_peaks: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the windows `BEAT` around R peaks, divided by the norm of the median one."""
    windows = extract_windows(recording.signals[:, channel], r_peaks, BEAT, rate=recording.fs)
    size = np.linalg.norm(np.median(windows, axis=0)) if len(windows) else 0.0
    return windows / np.float32(size) if size > 0 else windows


def _intervals(beats: Intervals) -> NDArray[np.float64]:
    """Return `INTERVALS` of every beat."""
    return np.stack(
        [1000 * beats.rr_s, beats.pr_ms, beats.qrs_ms, beats.qt_ms, qtc_fridericia(beats.qt_ms, beats.rr_s)]
    )


def _trimmed(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(trim_mean(known, TRIMMED)) if len(known) >= FEWEST_BEATS else float("nan")
