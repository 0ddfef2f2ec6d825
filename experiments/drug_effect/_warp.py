"""Recordings whose QRS, QT and RR change by known amounts: time is stretched between landmarks of real beats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.stats import linregress

from experiments.drug_effect._design import Change
from mhealth.core import Recording, Spans

__all__ = ["Beats", "Warp", "as_expert", "beats_of", "qt_rr_slope", "warped", "warping"]

LONGEST_QT = 0.8
"""Seconds; a T wave that ends later belongs to no QRS complex."""

SHORTEST_REST = 0.01
"""Seconds that are left between what belongs to a T wave and the next P wave."""

AFTER_T = 0.04
"""Seconds after the T wave that keep their speed, or a third of the time to the P wave if that is less: experts differ
by as much on where T ends, and other leads see it elsewhere."""

SHORTEST_PQ = 0.7
"""Share to which P to QRS shortens where there is no room; where that is not enough, the heart beats slower."""

GUARD = 0.06
"""Seconds before a QRS complex without P wave that count as P to QRS."""

SLOPE = (0.154, 0.05)
"""Of QT over RR among people: Framingham's mean (Sagie et al. 1992), and a deviation that most are within twice of."""

FEWEST_BEATS, FEWEST_MINUTES = 10, 5
"""Beats that make a minute's median, and minutes that make a line."""


@dataclass(frozen=True, eq=False)
class Beats:
    """Landmarks of consecutive beats in seconds, NaN where there is none.

    Parameters
    ----------
    p_onset, qrs_onset, qrs_offset, t_offset : ndarray of float64, shape (n_beats,)
    """

    p_onset: NDArray[np.float64]
    qrs_onset: NDArray[np.float64]
    qrs_offset: NDArray[np.float64]
    t_offset: NDArray[np.float64]

    @property
    def rr(self) -> NDArray[np.float64]:
        """Seconds to the next beat, NaN for the last."""
        return np.append(np.diff(self.qrs_onset), np.nan)

    @property
    def qt(self) -> NDArray[np.float64]:
        """Seconds from the onset of QRS to the end of T."""
        return self.t_offset - self.qrs_onset


def beats_of(spans: Spans, channel: int) -> Beats:
    """Return the landmarks of the bracketed beats of a channel.

    The last end of a T wave before the next P wave or QRS complex counts, since automatic marks give two-humped T waves
    two peaks in one bracket.
    """
    own = spans.select(spans.channel == channel)
    p, qrs, t = (own.of(label=label) for label in ("P", "QRS", "T"))
    qrs = qrs.select((qrs.onset >= 0) & (qrs.offset > qrs.onset))
    onset = qrs.onset / spans.fs
    following = np.append(onset[1:], np.inf)
    p_onset = np.full(len(onset), np.nan)
    t_offset = np.full(len(onset), np.nan)
    for k, (start, end) in enumerate(zip(qrs.offset / spans.fs, following, strict=True)):
        waves = p.onset[(p.onset >= 0) & (p.onset / spans.fs > start) & (p.onset / spans.fs < end)] / spans.fs
        if len(waves) and k + 1 < len(onset):
            p_onset[k + 1] = waves[-1]
        last = min(end, waves[-1] if len(waves) else np.inf, onset[k] + LONGEST_QT)
        ends = t.offset[(t.offset >= 0) & (t.offset / spans.fs > start) & (t.offset / spans.fs <= last)] / spans.fs
        if len(ends):
            t_offset[k] = ends[-1]
    return Beats(p_onset, onset, qrs.offset / spans.fs, t_offset)


def as_expert(beats: Beats, expert: Beats, *, tolerance: float = 0.1) -> Beats:
    """Return beats with each kind of landmark moved by its median distance to an expert's, where both marked a beat.

    Parameters
    ----------
    beats, expert : Beats
        Of one recording; the expert marked some of its beats only.
    tolerance : float
        Seconds within which QRS onsets belong to one beat.
    """
    if not len(expert.qrs_onset):
        return beats
    nearest = np.abs(expert.qrs_onset[:, None] - beats.qrs_onset).argmin(axis=1)
    same = np.abs(expert.qrs_onset - beats.qrs_onset[nearest]) < tolerance
    moved = {}
    for field in fields(Beats):
        own, theirs = getattr(beats, field.name), getattr(expert, field.name)
        distance = (theirs - own[nearest])[same]
        known = distance[np.isfinite(distance)]
        moved[field.name] = own + (np.median(known) if len(known) else 0.0)
    return Beats(**moved)


def qt_rr_slope(beats: Beats, *, length: float = 60.0) -> float:
    """Return the slope of a person's QT over RR, as far as it can be told from their own beats.

    The regression over the medians of minutes is weighed against `SLOPE`, each by its variance: RR varies little at
    rest, and where it varies by nothing but chance a slope of its own would be noise.
    """
    minute = (beats.qrs_onset // length).astype(int)
    known = np.isfinite(beats.qt) & np.isfinite(beats.rr)
    medians = [
        (np.median(beats.rr[here]), np.median(beats.qt[here]))
        for here in (known & (minute == k) for k in np.unique(minute))
        if here.sum() >= FEWEST_BEATS
    ]
    mean, deviation = SLOPE
    if len(medians) < FEWEST_MINUTES or np.ptp(medians, axis=0)[0] == 0:
        return mean
    line = linregress(*np.transpose(medians))
    weight = deviation**2 / (deviation**2 + line.stderr**2)
    return float(mean + weight * (line.slope - mean))


@dataclass(frozen=True, eq=False)
class Warp:
    """A piecewise linear map of time.

    Parameters
    ----------
    before, after : ndarray of float64, shape (n_anchors,)
        Seconds in the recording, and in what becomes of it; both increase, from the same first landmark.
    has_room : ndarray of bool, shape (n_beats - 1,)
        Whether the beat could be made as short as its change asks for.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    has_room: NDArray[np.bool_]

    def forward(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where times of the recording come to lie; NaN stays."""
        return np.interp(seconds, self.before, self.after)


def warping(beats: Beats, change: Callable[[float], Change], *, slope: float) -> Warp:
    """Return the map of time that changes beats as asked.

    Parameters
    ----------
    beats : Beats
    change : callable
        Returns the change at a second of the new recording; it is asked at every QRS onset.
    slope : float
        Of the person's QT over RR.

    Notes
    -----
    From each QRS onset: QRS is stretched to its new length, ST and T to theirs, and what lies between T and P takes up
    the rest of the new RR interval; P to QRS shortens only where that is too little. Of a beat without T wave QRS keeps
    its length.
    """
    before, after, has_room = [beats.qrs_onset[0]], [beats.qrs_onset[0]], []
    for k in range(len(beats.qrs_onset) - 1):
        start, stop = beats.qrs_onset[k], beats.qrs_onset[k + 1]
        asked, rr = change(after[-1]), stop - start
        wanted = rr / (1 + asked.rate)
        end_of_t = beats.t_offset[k]
        fixed = beats.p_onset[k + 1] if np.isfinite(beats.p_onset[k + 1]) else stop - GUARD
        inside, lengths = [beats.qrs_offset[k]], [beats.qrs_offset[k] - start]
        if np.isfinite(end_of_t) and end_of_t < fixed:
            qrs = lengths[0] + asked.qrs
            qt = beats.qt[k] + slope * (wanted - rr) + asked.qt
            qt = max(qt, qrs + 0.5 * (end_of_t - inside[0]))
            tail = min(AFTER_T, (fixed - end_of_t) / 3)
            inside, lengths = [inside[0], end_of_t, end_of_t + tail], [qrs, qt, qt + tail]
        fixed = max(fixed, inside[-1])
        rest = min(SHORTEST_REST, fixed - inside[-1])
        pq = min(stop - fixed, max(wanted - lengths[-1] - rest, SHORTEST_PQ * (stop - fixed)))
        new = max(wanted, lengths[-1] + rest + pq)
        has_room.append(new <= wanted + 1e-9)
        if fixed > inside[-1]:
            inside, lengths = [*inside, fixed], [*lengths, new - pq]
        before += [*inside, stop]
        after += [*(after[-1] + np.array(lengths)), after[-1] + new]
    return Warp(np.array(before), np.array(after), np.array(has_room))


def warped(recording: Recording, warp: Warp) -> Recording:
    """Return the recording in new time, from its start to the last landmark, at the same rate.

    Cubic splines through the samples: at 250 Hz they keep what lies below 60 Hz. Every stretch is interpolated, those
    that are not changed too, since they are shifted by fractions of a sample.
    """
    fs = recording.fs
    seconds = np.arange(int(warp.after[-1] * fs)) / fs
    places = np.interp(seconds, np.append(0.0, warp.after), np.append(0.0, warp.before))
    spline = make_interp_spline(np.arange(recording.n_samples) / fs, recording.signals.astype(np.float64), k=3)
    return replace(recording, signals=spline(places).astype(np.float32), gaps=())
