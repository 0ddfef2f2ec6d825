"""How QRS and QT of one person change from minute to minute: their own mean beat, stretched until it fits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals._intervals import Intervals, ecg_intervals
from mhealth.intervals._qtc import qtc_framingham

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEWEST_BEATS", "IntervalTrend", "interval_trend"]

FEWEST_BEATS = 10
"""In a window or the reference; from fewer nothing is measured."""

_TRIMMED = 0.25
"""Share of the beats that is left out at each end of a mean: ectopic beats, artefacts."""

_BEFORE, _AFTER = 0.3, 1.0
"""Seconds around the R peak that make a beat."""

_MARGIN, _TAIL = 0.02, 0.04
"""Seconds around QRS and after T that count to the fit, so that an edge is seen from both sides."""

_STEP = 0.002
"""Seconds between the points at which beats are compared."""

_QRS_CHANGES, _QT_CHANGES = np.arange(-20, 31) * 0.002, np.arange(-100, 81) * 0.002
_SHIFTS = np.arange(-12, 13) * 0.001
"""Seconds that are tried: changes of QRS and of QT, between which a parabola finds the best, and of where R is."""

_STRETCHES = (0.6, 1.7)
"""Of QRS."""

_SHORTEST_ST_T = 0.5
"""Of the reference's, where a change of QT would leave less."""

_LEAST_UNEXPLAINED = 1e-6
"""Share of a beat's variance that no fit explains: quieter than any recording."""


@dataclass(frozen=True, eq=False, kw_only=True)
class IntervalTrend:
    """Windows of time, one after the other; NaN where nothing could be measured.

    Parameters
    ----------
    start_s : ndarray of float64, shape (n_windows,)
        Start of each window in s.
    n_beats : ndarray of int64, shape (n_windows,)
        Beats of the channel that shows most.
    rr_s : ndarray of float64, shape (n_windows,)
        Mean RR interval in s, of the middle half of the beats.
    qrs_ms, qt_ms : ndarray of float64, shape (n_windows,)
        Length in the reference, mean over channels, and how much longer the window's mean beat is.
    match : ndarray of float64, shape (n_windows,)
        Correlation of ST and T with the stretched reference, mean over channels: where it is low the shape has changed,
        and QT with it in a way that stretching does not describe.
    """

    start_s: NDArray[np.float64]
    n_beats: NDArray[np.int64]
    rr_s: NDArray[np.float64]
    qrs_ms: NDArray[np.float64]
    qt_ms: NDArray[np.float64]
    match: NDArray[np.float64]

    @property
    def qtc_framingham_ms(self) -> NDArray[np.float64]:
        """QT at 60 beats per minute in ms, by `qtc_framingham` with the window's mean RR interval."""
        return qtc_framingham(self.qt_ms, self.rr_s)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a window: the fields, and qtc_framingham_ms."""
        import pandas as pd

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return pd.DataFrame(columns | {"qtc_framingham_ms": self.qtc_framingham_ms})


def interval_trend(
    recording: Recording, labels: Spans, *, reference: tuple[float, float], window: float = 60.0
) -> IntervalTrend:
    """Measure how QRS and QT change over time, against a stretch in which the same person was at rest, say.

    Labels of single beats place an edge where such edges usually are, so that of a small change a part is missing. Here
    labels only tell where beats are, and the reference's QRS and T. The mean beat of the reference is then stretched
    until it fits the mean beat of each window, all channels by the same change [1]_.

    Parameters
    ----------
    recording : Recording
        In any unit.
    labels : Spans
        Its waves: P, QRS, T and unusable stretches.
    reference : pair of float
        Start and end in s of what the person is compared with; two minutes are enough.
    window : float, default=60.0
        Length of a window in s.

    Returns
    -------
    trend : IntervalTrend
        Of the whole windows from the start of the recording.

    Raises
    ------
    InvalidParameterError
        If the reference is no stretch of the recording, the window is not positive, or the labels are of other
        channels or another sampling rate.

    Notes
    -----
    From QRS onset to offset time is stretched by one factor, from there to the end of T by another. Of changes of QRS
    from −40 to 60 ms and then of QT from −200 to 160 ms those are taken that leave least of the window unexplained: the
    sum over channels of −log(1 − r²) / 2, r the correlation. Channels that show no T wave thus hardly count. Amplitude
    and baseline do not matter. For a drug's effect correct QT for the heart rate, best with the person's own line.

    References
    ----------
    .. [1] Berger, Kasper, Baughman, Marban, Calkins, Tomaselli (1997). Beat-to-beat QT interval variability: novel
       evidence for repolarization lability in ischemic and nonischemic dilated cardiomyopathy. Circulation 96.

    Examples
    --------
    >>> from mhealth import interval_trend, synthetic_ecg
    >>> recording, annotation = synthetic_ecg(fs=250, duration=120, leads=("II",), seed=0)
    >>> trend = interval_trend(recording, annotation.spans, reference=(0, 60), window=30)
    >>> bool(abs(trend.qt_ms - trend.qt_ms.mean()).max() < 5)
    True
    """
    _check(recording, labels, reference, window)
    beats = ecg_intervals(labels)
    seconds = np.where(beats.r_peak >= 0, beats.r_peak / recording.fs, np.nan)
    at_rest = (seconds >= reference[0]) & (seconds < reference[1])
    channels = range(len(recording.channels))
    templates = [_template(recording, beats, at_rest & (beats.channel == channel)) for channel in channels]
    n_windows = int(recording.duration / window + 1e-9)
    n_beats, rr_s = np.zeros(n_windows, np.int64), np.full(n_windows, np.nan)
    qrs, qt, match = np.full((3, n_windows), np.nan)
    for k in range(n_windows):
        here = (seconds >= window * k) & (seconds < window * (k + 1))
        n_beats[k] = np.bincount(beats.channel[here], minlength=1).max()
        rr_s[k] = _trimmed(beats.rr_s[here])
        pairs = []
        for channel, template in zip(channels, templates, strict=True):
            mean = _mean_beat(recording, channel, beats.r_peak[here & (beats.channel == channel)])
            if template is not None and mean is not None:
                pairs.append((template, mean))
        if pairs:
            qrs[k], qt[k], match[k] = _fit(pairs, recording.fs)
    usual = np.array([(t.qrs_offset - t.qrs_onset, t.t_offset - t.qrs_onset) for t in templates if t is not None])
    usual_qrs, usual_qt = usual.mean(axis=0) if len(usual) else (np.nan, np.nan)
    return IntervalTrend(
        start_s=window * np.arange(n_windows, dtype=np.float64),
        n_beats=n_beats,
        rr_s=rr_s,
        qrs_ms=1000 * (usual_qrs + qrs),
        qt_ms=1000 * (usual_qt + qt),
        match=match,
    )


class _Template(NamedTuple):
    """A channel's mean beat in the reference, and its landmarks in s from the R peak."""

    beat: NDArray[np.float64]
    qrs_onset: float
    qrs_offset: float
    t_offset: float


def _check(recording: Recording, labels: Spans, reference: tuple[float, float], window: float) -> None:
    if labels.fs != recording.fs or labels.channels != recording.channels:
        raise InvalidParameterError(
            f"labels are of {', '.join(labels.channels)} at {labels.fs:g} Hz; expected those of the recording, "
            f"{', '.join(recording.channels)} at {recording.fs:g} Hz."
        )
    if not 0 < window < np.inf:
        raise InvalidParameterError(f"window={window!r} must be a positive number of seconds.")
    start, stop = reference
    if not 0 <= start < stop <= recording.duration:
        raise InvalidParameterError(
            f"reference=({start!r}, {stop!r}) must be a stretch of the recording, which lasts {recording.duration:g} s."
        )


def _template(recording: Recording, beats: Intervals, chosen: NDArray[np.bool_]) -> _Template | None:
    """Return the template of the channel that the chosen beats are of; None where there are too few."""
    if not chosen.any():
        return None
    mean = _mean_beat(recording, int(beats.channel[chosen][0]), beats.r_peak[chosen])
    onset = _trimmed(np.where(beats.qrs_onset >= 0, beats.qrs_onset - beats.r_peak, np.nan)[chosen]) / recording.fs
    qrs, qt = (_trimmed(lengths[chosen]) / 1000 for lengths in (beats.qrs_ms, beats.qt_ms))
    if mean is None or not np.isfinite(onset + qrs + qt):
        return None
    return _Template(mean, onset, onset + qrs, onset + qt)


def _mean_beat(recording: Recording, channel: int, r_peaks: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the trimmed mean of the beats that lie within the recording with nothing missing, baselines removed."""
    offsets = _offsets(recording.fs)
    inside = (r_peaks + offsets[0] >= 0) & (r_peaks + offsets[-1] < recording.n_samples)
    found = recording.signals[r_peaks[inside][:, None] + offsets, channel].astype(np.float64)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) < FEWEST_BEATS:
        return None
    return _middle_mean(found - np.median(found, axis=1, keepdims=True))


def _offsets(fs: float) -> NDArray[np.int64]:
    """Return the samples of a beat, from the R peak."""
    return np.arange(-round(_BEFORE * fs), round(_AFTER * fs) + 1)


def _trimmed(values: NDArray[np.float64]) -> float:
    """Return the mean of the middle half of what is known, NaN if too little is."""
    known = values[np.isfinite(values)]
    return float(_middle_mean(known)) if len(known) >= FEWEST_BEATS else float("nan")


def _middle_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the first axis, `_TRIMMED` of the values left out at each end."""
    cut = int(_TRIMMED * len(values))
    return np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)


def _fit(pairs: list[tuple[_Template, NDArray[np.float64]]], fs: float) -> tuple[float, float, float]:
    """Return the changes of QRS and QT in s that fit mean beats best, and the mean correlation of ST and T."""
    by_qrs = [_qrs_correlations(template, mean, fs) for template, mean in pairs]
    shifts = [int(_explained(correlations).max(axis=0).argmax()) for correlations in by_qrs]
    explained = [_explained(correlations[:, shift]) for correlations, shift in zip(by_qrs, shifts, strict=True)]
    qrs = _best(np.sum(explained, axis=0), _QRS_CHANGES)
    by_qt = [
        _qt_correlations(template, mean, fs, qrs, _SHIFTS[shift])
        for (template, mean), shift in zip(pairs, shifts, strict=True)
    ]
    total = np.sum([_explained(correlations) for correlations in by_qt], axis=0)
    return qrs, _best(total, _QT_CHANGES), float(np.mean([c[np.argmax(total)] for c in by_qt]))


def _qrs_correlations(template: _Template, mean: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """Return the correlation of QRS for every change of its length and every shift of R."""
    at = np.arange(template.qrs_onset - _MARGIN, template.qrs_offset + _MARGIN, _STEP)
    stretch = np.clip(1 + _QRS_CHANGES / (template.qrs_offset - template.qrs_onset), *_STRETCHES)
    return _correlations(template, mean, fs, at, stretch[:, None, None] * at + _SHIFTS[:, None])


def _qt_correlations(
    template: _Template, mean: NDArray[np.float64], fs: float, qrs: float, shift: float
) -> NDArray[np.float64]:
    """Return the correlation of ST and T for every change of QT, that of QRS being known."""
    length = template.t_offset - template.qrs_offset
    at = np.arange(template.qrs_offset, template.t_offset + _TAIL, _STEP)
    start = template.qrs_offset * (1 + qrs / (template.qrs_offset - template.qrs_onset)) + shift
    new = np.maximum(length + _QT_CHANGES - qrs, _SHORTEST_ST_T * length)
    share, beyond = np.minimum((at - template.qrs_offset) / length, 1), np.maximum(at - template.t_offset, 0)
    return _correlations(template, mean, fs, at, start + share * new[:, None] + beyond)


def _correlations(
    template: _Template, mean: NDArray[np.float64], fs: float, at: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the correlation of the template at some times with a mean beat at other places, over their last axis."""
    seconds = _offsets(fs) / fs
    own, other = np.interp(at, seconds, template.beat), np.interp(places, seconds, mean)
    own, other = own - own.mean(), other - other.mean(axis=-1, keepdims=True)
    size = np.sqrt((own @ own) * (other**2).sum(axis=-1))
    return np.divide(other @ own, size, out=np.zeros_like(size), where=size > 0)


def _explained(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log likelihood a point, up to a constant, where noise is what stretching does not explain."""
    return -np.log(np.maximum(1 - np.maximum(correlation, 0) ** 2, _LEAST_UNEXPLAINED)) / 2


def _best(merit: NDArray[np.floating], grid: NDArray[np.floating]) -> float:
    """Return where the merit is highest, by a parabola through the best point and its neighbours."""
    k = int(np.argmax(merit))
    if not 0 < k < len(grid) - 1:
        return float(grid[k])
    before, here, after = merit[k - 1 : k + 2]
    bend = before - 2 * here + after
    return float(grid[k] + ((before - after) / (2 * bend) if bend < 0 else 0.0) * (grid[1] - grid[0]))
