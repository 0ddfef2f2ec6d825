"""Intervals of every heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Spans, channel_keys
from mhealth.intervals._beats import LONGEST_PR, LONGEST_QT, associate_waves
from mhealth.intervals._qtc import qtc_bazett, qtc_framingham, qtc_fridericia, qtc_hodges
from mhealth.intervals._summary import summarise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Intervals", "ecg_intervals"]

POINTS = (
    "p_onset", "p_peak", "p_offset", "qrs_onset", "r_peak", "qrs_offset", "t_onset", "t_peak", "t_offset",
)  # fmt: skip
MEASURES = (
    "rr_s", "heart_rate_bpm", "pr_ms", "qrs_ms", "qt_ms",
    "qtc_bazett_ms", "qtc_fridericia_ms", "qtc_framingham_ms", "qtc_hodges_ms",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Intervals:
    """Parallel arrays, one entry a heartbeat, channel after channel and in order of time.

    What cannot be measured is missing, never zero: a beat without a P wave has no PR interval.

    Parameters
    ----------
    channel : ndarray of int64, shape (n_beats,)
        Index into `channels`.
    p_onset, p_peak, p_offset, qrs_onset, r_peak, qrs_offset, t_onset, t_peak, t_offset : ndarray of int64
        Samples, each of shape (n_beats,); offsets are the first sample after the wave; −1 where unknown.
    rr_s : ndarray of float64, shape (n_beats,)
        Time in s from the R peak before; NaN for the first beat and across unusable stretches.
    fs : float
        Sampling rate in Hz.
    channels : tuple of str
        Texts of the channels.
    """

    channel: NDArray[np.int64]
    p_onset: NDArray[np.int64]
    p_peak: NDArray[np.int64]
    p_offset: NDArray[np.int64]
    qrs_onset: NDArray[np.int64]
    r_peak: NDArray[np.int64]
    qrs_offset: NDArray[np.int64]
    t_onset: NDArray[np.int64]
    t_peak: NDArray[np.int64]
    t_offset: NDArray[np.int64]
    rr_s: NDArray[np.float64]
    fs: float
    channels: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of beats."""
        return len(self.channel)

    @property
    def heart_rate_bpm(self) -> NDArray[np.float64]:
        """Heart rate in beats per minute, from the RR interval before the beat."""
        return 60 / self.rr_s

    @property
    def pr_ms(self) -> NDArray[np.float64]:
        """Onset of P to onset of QRS, in ms."""
        return self._between(self.p_onset, self.qrs_onset)

    @property
    def qrs_ms(self) -> NDArray[np.float64]:
        """Duration of QRS in ms."""
        return self._between(self.qrs_onset, self.qrs_offset)

    @property
    def qt_ms(self) -> NDArray[np.float64]:
        """Onset of QRS to offset of T, in ms."""
        return self._between(self.qrs_onset, self.t_offset)

    @property
    def qtc_bazett_ms(self) -> NDArray[np.float64]:
        """QT at 60 beats per minute in ms, by `qtc_bazett` with the RR interval before the beat."""
        return qtc_bazett(self.qt_ms, self.rr_s)

    @property
    def qtc_fridericia_ms(self) -> NDArray[np.float64]:
        """QT at 60 beats per minute in ms, by `qtc_fridericia` with the RR interval before the beat."""
        return qtc_fridericia(self.qt_ms, self.rr_s)

    @property
    def qtc_framingham_ms(self) -> NDArray[np.float64]:
        """QT at 60 beats per minute in ms, by `qtc_framingham` with the RR interval before the beat."""
        return qtc_framingham(self.qt_ms, self.rr_s)

    @property
    def qtc_hodges_ms(self) -> NDArray[np.float64]:
        """QT at 60 beats per minute in ms, by `qtc_hodges` with the RR interval before the beat."""
        return qtc_hodges(self.qt_ms, self.rr_s)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a beat.

        Returns
        -------
        frame : pandas.DataFrame
            Columns channel, beat (from 0 in each channel), the nine points in samples (nullable integers, ``<NA>``
            where unknown), r_peak_s (s), rr_s, heart_rate_bpm, pr_ms, qrs_ms, qt_ms and the four qtc_…_ms (NaN
            where they cannot be measured). Channels that share a name are given by position.
        """
        import pandas as pd

        points = {}
        for name in POINTS:
            samples = getattr(self, name)
            points[name] = pd.arrays.IntegerArray(samples.copy(), samples < 0)
        first = np.searchsorted(self.channel, np.arange(len(self.channels)))
        return pd.DataFrame(
            {
                "channel": np.array(channel_keys(self.channels), dtype=object)[self.channel],
                "beat": np.arange(len(self)) - first[self.channel],
                **points,
                "r_peak_s": np.where(self.r_peak >= 0, self.r_peak / self.fs, np.nan),
                **{name: getattr(self, name) for name in MEASURES},
            }
        )

    def summary(self) -> pd.DataFrame:
        """Return what is typical of each channel.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each channel and measure: channel, measure (rr_s, heart_rate_bpm, pr_ms, …), n (beats in which it
            could be measured), median, q1, q3, iqr (interquartile range), NaN where n is 0.
        """
        measures = {name: getattr(self, name) for name in MEASURES}
        return summarise(measures, self.channel, dict(enumerate(channel_keys(self.channels))))

    def _between(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time between two points in ms, NaN where either is unknown."""
        return np.where((start >= 0) & (stop >= 0), (stop - start) * 1000 / self.fs, np.nan)


def ecg_intervals(spans: Spans, *, longest_pr: float = LONGEST_PR, longest_qt: float = LONGEST_QT) -> Intervals:
    """Measure the intervals of every heartbeat, each channel on its own.

    Parameters
    ----------
    spans : Spans
        Labels P, QRS, T and `mhealth.core.UNUSABLE`; others are ignored.
    longest_pr : float, default=0.6
        Longest time in s from the onset of a P wave to that of its QRS; see `associate_waves`.
    longest_qt : float, default=0.8
        Longest time in s from the onset of a QRS to the offset of its T wave; see `associate_waves`.

    Returns
    -------
    intervals : Intervals

    Raises
    ------
    InvalidParameterError
        If a longest interval is not positive.

    Notes
    -----
    RR reaches back to the R peak before and is missing where an unusable stretch lies between, since a beat may be
    hidden in it. QT is corrected with that RR. Ectopic beats are beats like any other here.

    Examples
    --------
    >>> from mhealth.core import Spans, channel_keys
    >>> rows = [(100, 120, 145, 0, 0, 0.9), (900, 920, 945, 0, 0, 0.9)]
    >>> spans = Spans.from_rows(rows, fs=1000, channels=("II",), classes=("QRS",))
    >>> ecg_intervals(spans).heart_rate_bpm.tolist()
    [nan, 75.0]
    """
    points: dict[str, list[NDArray[np.int64]]] = {name: [] for name in POINTS}
    rr_s, channels = [], []
    for channel in range(len(spans.channels)):
        beats = associate_waves(spans, channel, longest_pr=longest_pr, longest_qt=longest_qt)
        for wave, index in (("p", beats.p), ("qrs", beats.qrs), ("t", beats.t)):
            for point in ("onset", "peak", "offset"):
                name = "r_peak" if (wave, point) == ("qrs", "peak") else f"{wave}_{point}"
                points[name].append(np.append(getattr(spans, point), -1)[index])
        peak = points["r_peak"][-1]
        previous = np.append(-1, peak[:-1])[: len(peak)]
        measured = beats.continues & (previous >= 0) & (peak > previous)
        rr_s.append(np.where(measured, (peak - previous) / spans.fs, np.nan))
        channels.append(np.full(len(beats), channel))
    return Intervals(
        channel=_joined(channels),
        **{name: _joined(parts) for name, parts in points.items()},
        rr_s=np.concatenate([np.empty(0), *rr_s]),
        fs=spans.fs,
        channels=spans.channels,
    )


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join the columns of all channels, of which there may be none."""
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
