"""Which P and T waves belong to which heartbeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.core import ECG_WAVES, Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.intervals._stretches import extent, usable_between

__all__ = ["LONGEST_PR", "LONGEST_QT", "Beats", "associate_waves"]

LONGEST_PR = 0.6
"""Seconds; PR beyond 0.3 s already is marked first-degree AV block (2018 ACC/AHA/HRS bradycardia guideline)."""

LONGEST_QT = 0.8
"""Seconds; a physiological bound, above the QT intervals of 0.6 to 0.7 s seen in long QT syndromes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Beats:
    """Heartbeats of one channel as indices into its spans, in order of time.

    Parameters
    ----------
    qrs : ndarray of int64, shape (n_beats,)
        The QRS complex of each beat.
    p, t : ndarray of int64, shape (n_beats,)
        Its P and T wave; −1 where it has none.
    continues : ndarray of bool, shape (n_beats,)
        Whether the channel was usable all the way from the QRS before; False for the first beat.
    """

    qrs: NDArray[np.int64]
    p: NDArray[np.int64]
    t: NDArray[np.int64]
    continues: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of beats."""
        return len(self.qrs)


def associate_waves(
    spans: Spans, channel: int, *, longest_pr: float = LONGEST_PR, longest_qt: float = LONGEST_QT
) -> Beats:
    """Group the waves of one channel into heartbeats.

    Every QRS is a beat. Of the P waves between the QRS before it and itself, the last belongs to it; of the T waves
    between itself and the next QRS, the first. Neither may be farther than the longest PR or QT interval, nor beyond an
    unusable stretch. Other P and T waves (a blocked P, say) belong to no beat.

    Parameters
    ----------
    spans : Spans
        Labels P, QRS, T and `UNUSABLE`; others are ignored. A span reaches from its first to its last known point.
    channel : int
        Position of the channel.
    longest_pr : float, default=0.6
        Longest time in s from the onset of a P wave to that of its QRS; see `LONGEST_PR`.
    longest_qt : float, default=0.8
        Longest time in s from the onset of a QRS to the offset of its T wave; see `LONGEST_QT`.

    Returns
    -------
    beats : Beats

    Raises
    ------
    AnnotationError
        If there is no such channel.
    InvalidParameterError
        If a longest interval is not positive.
    """
    if not 0 <= channel < len(spans.channels):
        raise AnnotationError(f"channel={channel!r} must be the position of one of the channels {spans.channels}.")
    for name, longest in (("longest_pr", longest_pr), ("longest_qt", longest_qt)):
        if not longest > 0:
            raise InvalidParameterError(f"{name}={longest!r} must be a positive number of seconds.")

    begin, end = extent(spans)
    usable = usable_between(spans, channel)
    p, qrs, t = (
        np.flatnonzero((spans.channel == channel) & (spans.label == code))
        for code in (spans.classes.index(text) if text in spans.classes else -1 for text in ECG_WAVES)
    )
    previous_end = np.append(np.iinfo(np.int64).min, end[qrs[:-1]])[: len(qrs)]
    next_begin = np.append(begin[qrs[1:]], np.iinfo(np.int64).max)[: len(qrs)]

    # Index −1 (no P ends earlier) and index len(t) (no T begins later) both read the −1 at the end.
    p = np.append(p[np.argsort(end[p], kind="stable")], -1)
    before = p[np.searchsorted(end[p[:-1]], begin[qrs], side="right") - 1]
    has_p = (before >= 0) & (begin[before] >= previous_end) & usable(end[before], begin[qrs])
    has_p &= begin[qrs] - begin[before] <= longest_pr * spans.fs

    t = np.append(t, -1)
    after = t[np.searchsorted(begin[t[:-1]], end[qrs], side="left")]
    has_t = (after >= 0) & (begin[after] < next_begin) & usable(end[qrs], begin[after])
    has_t &= end[after] - begin[qrs] <= longest_qt * spans.fs

    return Beats(
        qrs=qrs,
        p=np.where(has_p, before, -1),
        t=np.where(has_t, after, -1),
        continues=(np.arange(len(qrs)) > 0) & usable(previous_end, begin[qrs]),
    )
