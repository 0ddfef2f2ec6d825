"""How well breaths agree with those that people marked, and how well people agree with each other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES, Annotation, Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics._channels import EndToEnd
from mhealth.metrics._counts import N_SUMS, MatchCounts, pair_sums, sum_by_subject, weighted, with_subjects
from mhealth.metrics._delineation import Case
from mhealth.metrics._matching import match

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BreathScores", "score_breaths", "score_second_annotator"]

TOLERANCES = (0.5, 1.0)
"""Largest distances of a match in s: two annotators of BIDMC agree on 97 and 99 % of the breaths within them."""

MARGIN = 1.0
"""How many seconds before the first and after the last mark a breath may end and still count."""

_BREATH = BREATH_PHASES[0]


@dataclass(frozen=True, eq=False)
class BreathScores:
    """Agreement on the ends of inspiration, kept per subject so that scores can be added and resampled.

    Parameters
    ----------
    subjects : tuple
        Who the rows of the arrays belong to; each subject once.
    tolerances : tuple of float
        Largest distances of a match in s.
    sums : ndarray of float64, shape (n_subjects, n_tolerances, 5)
        Sums of `MatchCounts`.
    count_sums : ndarray of float64, shape (n_subjects, 2)
        Sum of the relative errors of the number of breaths, and the number of recordings that it is over.
    """

    subjects: tuple[Hashable, ...]
    tolerances: tuple[float, ...]
    sums: NDArray[np.float64]
    count_sums: NDArray[np.float64]

    def __add__(self, other: BreathScores) -> BreathScores:
        """Return the score over both; rows of one subject are added.

        Raises
        ------
        InvalidParameterError
            If their tolerances differ.
        """
        if self.tolerances != other.tolerances:
            raise InvalidParameterError(
                f"Scores with the tolerances {self.tolerances} and {other.tolerances} cannot be added; expected equal."
            )
        names = self.subjects + other.subjects
        subjects, sums = sum_by_subject(names, np.concatenate([self.sums, other.sums]), self.sums.shape[1:])
        _, count_sums = sum_by_subject(names, np.concatenate([self.count_sums, other.count_sums]), (2,))
        return BreathScores(subjects, self.tolerances, sums, count_sums)

    def reweighted(self, weights: NDArray[np.float64]) -> BreathScores:
        """Return the score in which each subject counts `weights` times (shape (n_subjects,))."""
        return replace(self, sums=weighted(self.sums, weights), count_sums=weighted(self.count_sums, weights))

    def counts(self, tolerance: float) -> MatchCounts:
        """Return the counts over all subjects at one of the tolerances, scalars."""
        if tolerance not in self.tolerances:
            raise InvalidParameterError(f"tolerance={tolerance!r} must be one of {self.tolerances}.")
        return MatchCounts(self.sums.sum(axis=0)[self.tolerances.index(tolerance)])

    def f1(self, tolerance: float) -> float:
        """Return the F1 of the ends of inspiration at one of the tolerances, in per cent."""
        return float(self.counts(tolerance).f1)

    @property
    def count_error(self) -> float:
        """Absolute error of the number of breaths, in per cent of the marked ones: mean over recordings."""
        errors, n_recordings = self.count_sums.sum(axis=0)
        return float(100 * errors / n_recordings) if n_recordings else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a tolerance.

        Returns
        -------
        frame : pandas.DataFrame
            Columns tolerance_s, n (marked breaths), sensitivity, ppv, f1 (per cent), mean_ms, sd_ms (error, found
            minus marked), count_error (per cent; the same in all rows, since it needs no match).
        """
        import pandas as pd

        counts = MatchCounts(self.sums.sum(axis=0))
        figures = ("n", "sensitivity", "ppv", "f1", "mean_ms", "sd_ms")
        columns = {name: getattr(counts, name) for name in figures}
        return pd.DataFrame(
            {"tolerance_s": self.tolerances, **columns, "count_error": self.count_error},
        ).astype({"n": np.int64})

    def summary(self, prefix: str = "") -> dict[str, float]:
        """Return F1 and error of the count in per cent, rounded: ``<prefix>f1_0.5s``, ``<prefix>count_error_pct``."""
        figures = {f"{prefix}f1_{tolerance:g}s": round(self.f1(tolerance), 3) for tolerance in self.tolerances}
        return figures | {f"{prefix}count_error_pct": round(self.count_error, 3)}


def score_breaths(
    cases: Iterable[Case],
    *,
    tolerances: Sequence[float] = TOLERANCES,
    channel: str | int | None = None,
    subjects: Iterable[Hashable] | None = None,
) -> BreathScores:
    """Compare predicted breaths with marked ones by the end of inspiration, where expiration begins.

    Parameters
    ----------
    cases : iterable of (Annotation, Spans)
        Marked breaths (label inspiration, with an offset) and prediction of one recording each, at one rate; read
        one after the other.
    tolerances : sequence of float, default=(0.5, 1.0)
        Largest distances of a match in s.
    channel : str or int, optional
        Name or position of the annotated channel that is scored; by default the one that has marks. The predicted
        channel of that name is compared.
    subjects : iterable of hashable, optional
        Subject of each case; by default every case is a subject, numbered from 0.

    Returns
    -------
    scores : BreathScores

    Raises
    ------
    AnnotationError
        If rates differ, a recording lacks `channel` or has marks in several and `channel` is not given, or `subjects`
        and `cases` differ in length.
    InvalidParameterError
        If there is no tolerance, or one is not a positive number of s.

    Notes
    -----
    Ends are matched one-to-one, nearest pair first (`match`). Those found more than a second before the first mark or
    after the last count neither way, and so does a recording without marks.
    """
    return _score(cases, tolerances, channel, subjects, margin=MARGIN)


def score_second_annotator(
    pairs: Iterable[tuple[Annotation, Annotation]],
    *,
    tolerances: Sequence[float] = TOLERANCES,
    channel: str | int | None = None,
    subjects: Iterable[Hashable] | None = None,
) -> BreathScores:
    """Compare two people's marks of the same breaths: how good a score can be said to be at all.

    Parameters
    ----------
    pairs : iterable of (Annotation, Annotation)
        Marks of the first annotator, the reference, and of the second.
    tolerances, channel, subjects
        As for `score_breaths`.

    Returns
    -------
    scores : BreathScores

    Raises
    ------
    AnnotationError, InvalidParameterError
        As `score_breaths`.

    Notes
    -----
    As `score_breaths`, but every mark of the second annotator counts, wherever it is: both saw the whole recording.
    """
    cases = ((first, second.spans) for first, second in pairs)
    return _score(cases, tolerances, channel, subjects, margin=math.inf)


def _score(
    cases: Iterable[Case],
    tolerances: Sequence[float],
    channel: str | int | None,
    subjects: Iterable[Hashable] | None,
    *,
    margin: float,
) -> BreathScores:
    """Return the scores, with breaths counted up to `margin` seconds outside the marks."""
    if not len(tolerances) or not all(0 < tolerance < math.inf for tolerance in tolerances):
        raise InvalidParameterError(f"tolerances={tolerances!r} must be one or more positive, finite numbers of s.")
    names, sums, count_sums = [], [], []
    for (annotation, spans), subject in with_subjects(cases, subjects):
        marked, found = _ends(annotation, spans, channel, margin)
        names.append(subject)
        sums.append([_matched(marked, found, tolerance, spans.fs) for tolerance in tolerances])
        count_sums.append((abs(len(found) - len(marked)) / len(marked), 1) if len(marked) else (0, 0))
    kept, summed = sum_by_subject(names, sums, (len(tolerances), N_SUMS))
    return BreathScores(kept, tuple(tolerances), summed, sum_by_subject(names, count_sums, (2,))[1])


def _ends(
    annotation: Annotation, spans: Spans, channel: str | int | None, margin: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the marked ends of inspiration and those of the predicted ones that count."""
    record = EndToEnd(annotation, spans, [_marked_channel(annotation) if channel is None else channel])
    marked, found = record.marks(_BREATH, "offset")[0], record.predictions(_BREATH, "offset")[0]
    if not len(marked):
        return marked, found[:0]
    beyond = margin * spans.fs
    return marked, found[(found >= marked.min() - beyond) & (found <= marked.max() + beyond)]


def _marked_channel(annotation: Annotation) -> int:
    """Return the channel in which breaths are marked; the first if there is none."""
    channels = np.unique(annotation.spans.of(label=_BREATH).channel)
    if len(channels) > 1:
        names = [annotation.spans.channels[k] for k in channels]
        raise AnnotationError(f"Breaths are marked in the channels {names}; name the one to score with channel=....")
    return int(channels[0]) if len(channels) else 0


def _matched(marked: NDArray[np.int64], found: NDArray[np.int64], tolerance: float, fs: float) -> NDArray[np.float64]:
    """Return the five sums of one recording at one tolerance (s)."""
    i, j = match(marked, found, tolerance * fs).T
    return pair_sums((found[j] - marked[i]) * 1000 / fs, len(marked) - len(i), len(found) - len(j))
