"""How well onsets, peaks and offsets of the waves of the heartbeat agree with an expert's."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.core import ECG_WAVES, Annotation, Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics._channels import POINTS, EndToEnd, channel_position, check_same_rate
from mhealth.metrics._counts import N_SUMS, MatchCounts, pair_sums, sum_by_subject, weighted, with_subjects
from mhealth.metrics._matching import match, within

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BestChannelScore", "Case", "DelineationScore", "Tolerance", "score_best_channel", "score_delineation"]

Tolerance = Literal["150ms", "tight"]
"""ANSI/AAMI EC57's 150 ms for every point, or windows near the spread of experts (`TOLERANCES_MS`)."""

TOLERANCES_MS: dict[Tolerance, tuple[tuple[float, ...], ...]] = {
    "150ms": ((150, 150, 150), (150, 150, 150), (150, 150, 150)),
    "tight": ((50, 50, 50), (40, 40, 40), (50, 50, 100)),
}
"""Largest distance of a match in ms: a row a wave, a column a point."""

EXCUSED = 0.15
"""How many seconds beyond the tolerance a prediction may lie from a wave of which the expert left the point out."""

_EDGES = [POINTS.index("onset"), POINTS.index("offset")]
_SUMS = (len(TOLERANCES_MS), len(ECG_WAVES), len(POINTS), N_SUMS)

Case = tuple[Annotation, Spans]
"""Expert marks and prediction of one recording."""


@dataclass(frozen=True, eq=False)
class DelineationScore:
    """Agreement of predicted waves with expert marks, kept per subject so that scores can be added and resampled.

    Parameters
    ----------
    subjects : tuple
        Who the rows of the arrays belong to; each subject once.
    sums : ndarray of float64, shape (n_subjects, 2, 3, 3, 5)
        Sums of `MatchCounts` for the tolerances ("150ms", "tight"), waves (P, QRS, T) and points (onset, peak, offset).
    without_p : ndarray of float64, shape (n_subjects, 2)
        Over annotated channels without any P wave: predicted P waves, annotated QRS complexes.
    """

    subjects: tuple[Hashable, ...]
    sums: NDArray[np.float64]
    without_p: NDArray[np.float64]

    def __add__(self, other: DelineationScore) -> DelineationScore:
        """Return the score over both; rows of one subject are added."""
        names = self.subjects + other.subjects
        subjects, sums = sum_by_subject(names, np.concatenate([self.sums, other.sums]), _SUMS)
        _, without_p = sum_by_subject(names, np.concatenate([self.without_p, other.without_p]), (2,))
        return DelineationScore(subjects, sums, without_p)

    def reweighted(self, weights: NDArray[np.float64]) -> DelineationScore:
        """Return the score in which each subject counts `weights` times (shape (n_subjects,))."""
        return replace(self, sums=weighted(self.sums, weights), without_p=weighted(self.without_p, weights))

    def counts(self, tolerance: Tolerance = "150ms") -> MatchCounts:
        """Return the counts over all subjects, an array of (3 waves, 3 points)."""
        if tolerance not in TOLERANCES_MS:
            raise InvalidParameterError(f"tolerance={tolerance!r} must be one of {list(TOLERANCES_MS)}.")
        return MatchCounts(self.sums.sum(axis=0)[list(TOLERANCES_MS).index(tolerance)])

    def f1(self, label: str, tolerance: Tolerance = "150ms") -> float:
        """Return the mean F1 of onset and offset of one wave, in per cent."""
        if label not in ECG_WAVES:
            raise InvalidParameterError(f"label={label!r} must be one of {ECG_WAVES}.")
        return float(self.counts(tolerance).f1[ECG_WAVES.index(label), _EDGES].mean())

    def macro(self, tolerance: Tolerance = "150ms") -> float:
        """Return the mean F1 of the six boundaries in per cent, without those that were neither marked nor found."""
        f1 = self.counts(tolerance).f1[:, _EDGES]
        return float(f1[np.isfinite(f1)].mean()) if np.isfinite(f1).any() else float("nan")

    @property
    def false_p_per_beat(self) -> float:
        """Predicted P waves per annotated QRS where no P is annotated; NaN if there is no such channel."""
        waves, beats = self.without_p.sum(axis=0)
        return float(waves / beats) if beats else float("nan")

    def to_frame(self, tolerance: Tolerance = "150ms") -> pd.DataFrame:
        """Return a table with a row a point.

        Returns
        -------
        frame : pandas.DataFrame
            Columns label, point, n (expert marks), sensitivity, ppv, f1 (per cent), mean_ms, sd_ms (error, found
            minus expert).
        """
        import pandas as pd

        counts = self.counts(tolerance)
        figures = ("n", "sensitivity", "ppv", "f1", "mean_ms", "sd_ms")
        return pd.DataFrame(
            {
                "label": np.repeat(ECG_WAVES, len(POINTS)),
                "point": np.tile(POINTS, len(ECG_WAVES)),
                **{name: getattr(counts, name).ravel() for name in figures},
            }
        ).astype({"n": np.int64})

    def summary(self, name: str) -> dict[str, float]:
        """Return macro and per-wave F1 at both tolerances, rounded, under the keys ``<name>.<tolerance>.<figure>``.

        ``false_p_per_beat`` is added where a channel without P waves is annotated.
        """
        figures = {}
        for tolerance in TOLERANCES_MS:
            figures[f"{name}.{tolerance}.macro"] = round(self.macro(tolerance), 3)
            figures |= {f"{name}.{tolerance}.{label}": round(self.f1(label, tolerance), 3) for label in ECG_WAVES}
        if np.isfinite(self.false_p_per_beat):
            figures["false_p_per_beat"] = round(self.false_p_per_beat, 4)
        return figures


@dataclass(frozen=True, eq=False)
class BestChannelScore:
    """Errors of the better channel, for marks that an expert made looking at several channels at once.

    Parameters
    ----------
    subjects : tuple
        Who the rows belong to; each subject once.
    sums : ndarray of float64, shape (n_subjects, 3, 3, 5)
        Sums of `MatchCounts` for the waves (P, QRS, T) and points (onset, peak, offset); false positives are NaN,
        since choosing the better channel after the fact leaves them undefined.
    """

    subjects: tuple[Hashable, ...]
    sums: NDArray[np.float64]

    def reweighted(self, weights: NDArray[np.float64]) -> BestChannelScore:
        """Return the score in which each subject counts `weights` times (shape (n_subjects,))."""
        return replace(self, sums=weighted(self.sums, weights))

    def counts(self) -> MatchCounts:
        """Return the counts over all subjects, an array of (3 waves, 3 points)."""
        return MatchCounts(self.sums.sum(axis=0))

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the columns label, point, n, sensitivity (per cent), mean_ms, sd_ms."""
        import pandas as pd

        counts = self.counts()
        return pd.DataFrame(
            {
                "label": np.repeat(ECG_WAVES, len(POINTS)),
                "point": np.tile(POINTS, len(ECG_WAVES)),
                **{name: getattr(counts, name).ravel() for name in ("n", "sensitivity", "mean_ms", "sd_ms")},
            }
        ).astype({"n": np.int64})

    def summary(self, name: str = "best") -> dict[str, float]:
        """Return sensitivity (per cent) and error SD (ms), rounded, as ``<name>.<wave>.<point>.se`` and ``….sd_ms``.

        Points that the expert marked nowhere are left out.
        """
        figures = {}
        for row in self.to_frame().itertuples():
            if row.n:
                figures[f"{name}.{row.label}.{row.point}.se"] = round(row.sensitivity, 3)
                figures[f"{name}.{row.label}.{row.point}.sd_ms"] = round(row.sd_ms, 2)
        return figures


def score_delineation(
    cases: Iterable[Case],
    *,
    subjects: Iterable[Hashable] | None = None,
    channels: Collection[str | int] | None = None,
) -> DelineationScore:
    """Compare predicted waves with expert marks, each channel on its own.

    Parameters
    ----------
    cases : iterable of (Annotation, Spans)
        Expert marks and prediction of one recording each, at one rate; read one after the other. Predicted
        channels are assigned by name in any case, by position where names repeat; an annotated channel without
        predictions counts as missed.
    subjects : iterable of hashable, optional
        Subject of each case; by default every case is a subject, numbered from 0.
    channels : collection of str or int, optional
        Names or positions of the annotated channels that are scored; by default all.

    Returns
    -------
    score : DelineationScore

    Raises
    ------
    AnnotationError
        If rates differ, a recording has none of `channels`, or `subjects` and `cases` differ in length.

    Notes
    -----
    Points are matched one-to-one, nearest pair first (`match`), within 150 ms [1]_ and once more within tight
    windows: P 50, QRS 40, T onset and peak 50, T offset 100 ms. An unmatched prediction is a false positive only
    in an annotated stretch of its channel, and not near a wave of the same label of which the expert left that
    point out (within the tolerance plus 150 ms of its peak). A label that is not among the classes of an annotation
    was not looked for, and counts neither way.

    References
    ----------
    .. [1] ANSI/AAMI EC57:2012. Testing and reporting performance results of cardiac rhythm and ST segment
       measurement algorithms.
    """
    names, sums, without_p = [], [], []
    for (annotation, spans), subject in with_subjects(cases, subjects):
        record = EndToEnd(annotation, spans, channels)
        names.append(subject)
        sums.append(_delineation_sums(record))
        without_p.append(_without_p(record))
    kept, summed = sum_by_subject(names, sums, _SUMS)
    return DelineationScore(kept, summed, sum_by_subject(names, without_p, (2,))[1])


def score_best_channel(
    cases: Iterable[Case], *, subjects: Iterable[Hashable] | None = None, marks: str | int = 0
) -> BestChannelScore:
    """Take, for every expert mark, the predicted channel with the smaller error (within 150 ms).

    This is how delineators are compared on QTDB [1]_, whose experts marked each beat once for two channels. It counts
    misses only: a wave everywhere reaches 100 %, so never quote it without the score of a single channel.

    Parameters
    ----------
    cases : iterable of (Annotation, Spans)
        Expert marks and prediction of one recording each, at one rate.
    subjects : iterable of hashable, optional
        Subject of each case; by default every case is a subject, numbered from 0.
    marks : str or int, default=0
        Channel of the annotation whose marks are the reference.

    Returns
    -------
    score : BestChannelScore

    Raises
    ------
    AnnotationError
        If rates differ, `marks` names no channel, or `subjects` and `cases` differ in length.

    References
    ----------
    .. [1] Martínez, Almeida, Olmos, Rocha, Laguna (2004). A wavelet-based ECG delineator: evaluation on standard
       databases. IEEE Trans. Biomed. Eng. 51(4). https://doi.org/10.1109/TBME.2003.821031
    """
    names, rows = [], []
    for (annotation, spans), subject in with_subjects(cases, subjects):
        names.append(subject)
        rows.append([[_best_channel_sums(annotation, spans, marks, w, p) for p in POINTS] for w in ECG_WAVES])
    return BestChannelScore(*sum_by_subject(names, rows, _SUMS[1:]))


def _delineation_sums(record: EndToEnd) -> NDArray[np.float64]:
    """Return the sums of one record, shape (2, 3, 3, 5)."""
    sums = np.zeros(_SUMS)
    for w, label in enumerate(ECG_WAVES):
        if label not in record.reference.classes:
            continue
        for p, point in enumerate(POINTS):
            reference, left_out = record.marks(label, point)
            found, _ = record.predictions(label, point)
            # Greedy matching takes near pairs first, so one match at the widest tolerance holds the narrower ones.
            tolerances = np.array([rows[w][p] for rows in TOLERANCES_MS.values()]) * record.fs / 1000
            pairs = match(reference, found, tolerances.max())
            error = found[pairs[:, 1]] - reference[pairs[:, 0]]
            annotated = record.annotated(found)
            for t, tolerance in enumerate(tolerances):
                hit = np.abs(error) <= tolerance
                false = annotated & ~within(found, left_out, tolerance + EXCUSED * record.fs)
                false[pairs[hit, 1]] = False
                sums[t, w, p] = pair_sums(
                    error[hit] * 1000 / record.fs, len(reference) - np.count_nonzero(hit), np.count_nonzero(false)
                )
    return sums


def _without_p(record: EndToEnd) -> tuple[float, float]:
    """Return predicted P waves and annotated QRS complexes over channels with marks but no P wave."""
    if "P" not in record.reference.classes:
        return 0.0, 0.0
    waves = np.array([record.waves_per_channel(label) for label in ECG_WAVES])
    lacking = (waves.sum(axis=0) > 0) & (waves[ECG_WAVES.index("P")] == 0)
    onsets, _ = record.predictions("P", "onset")
    false = record.annotated(onsets) & lacking[record.channel_of(onsets)]
    return float(np.count_nonzero(false)), float(waves[ECG_WAVES.index("QRS"), lacking].sum())


def _best_channel_sums(
    annotation: Annotation, spans: Spans, marks: str | int, label: str, point: str
) -> NDArray[np.float64]:
    """Return the sums of one kind of point of one record, shape (5,)."""
    check_same_rate(annotation, spans)
    column = channel_position(annotation.spans, marks)
    if column < 0:
        raise AnnotationError(f"marks={marks!r} names none of the annotated channels {annotation.spans.channels}.")
    reference = _known(annotation.spans.of(label=label), point, column)
    best = np.full(len(reference), np.inf)
    waves = spans.of(label=label)
    for channel in range(len(spans.channels)):
        found = _known(waves, point, channel)
        i, j = match(reference, found, TOLERANCES_MS["150ms"][0][0] * spans.fs / 1000).T
        error = (found[j] - reference[i]) * 1000 / spans.fs
        best[i] = np.where(np.abs(error) < np.abs(best[i]), error, best[i])
    errors = best[np.isfinite(best)]
    return pair_sums(errors, len(best) - len(errors), np.nan)


def _known(spans: Spans, point: str, channel: int) -> NDArray[np.int64]:
    """Return the known positions of a point in one channel."""
    position = getattr(spans, point)
    return position[(spans.channel == channel) & (position >= 0)]
