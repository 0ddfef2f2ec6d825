"""How many beats a QRS detector finds, on data sets that mark beats only."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mhealth.metrics._channels import EndToEnd
from mhealth.metrics._counts import N_SUMS, MatchCounts, pair_sums, paired, sum_by_subject, weighted, with_subjects
from mhealth.metrics._delineation import Case
from mhealth.metrics._matching import match

__all__ = ["QrsScore", "score_qrs"]


@dataclass(frozen=True, eq=False)
class QrsScore:
    """Agreement of QRS peaks with annotated beats.

    Parameters
    ----------
    subjects : tuple
        Who the rows belong to; each subject once.
    sums : ndarray of float64, shape (n_subjects, 5)
        Sums of `MatchCounts`.
    """

    subjects: tuple[Hashable, ...]
    sums: NDArray[np.float64]

    def __add__(self, other: QrsScore) -> QrsScore:
        """Return the score over both; rows of one subject are added."""
        sums = np.concatenate([self.sums, other.sums])
        return QrsScore(*sum_by_subject(self.subjects + other.subjects, sums, (N_SUMS,)))

    def reweighted(self, weights: NDArray[np.float64]) -> QrsScore:
        """Return the score in which each subject counts `weights` times (shape (n_subjects,))."""
        return replace(self, sums=weighted(self.sums, weights))

    def counts(self) -> MatchCounts:
        """Return the counts over all subjects, scalars."""
        return MatchCounts(self.sums.sum(axis=0))

    def summary(self, name: str = "qrs") -> dict[str, float]:
        """Return sensitivity, PPV and F1 in per cent, rounded, as ``<name>.se``, ``<name>.ppv``, ``<name>.f1``."""
        counts = self.counts()
        figures = {"se": counts.sensitivity, "ppv": counts.ppv, "f1": counts.f1}
        return {f"{name}.{figure}": round(float(value), 3) for figure, value in figures.items()}


def score_qrs(
    cases: Iterable[Case],
    *,
    excluded: Iterable[Sequence[tuple[int, int]]] | None = None,
    channel: str | int = 0,
    tolerance: float = 0.15,
    subjects: Iterable[Hashable] | None = None,
) -> QrsScore:
    """Compare predicted QRS peaks of one channel with annotated beats.

    Every beat of the recording is taken to be annotated: `Annotation.annotated`, which speaks of all waves, is not
    looked at.

    Parameters
    ----------
    cases : iterable of (Annotation, Spans)
        Annotated beats (label QRS, with a peak) and prediction of one recording each, at one rate.
    excluded : iterable of sequence of (int, int), optional
        For each case the stretches (first, last) in samples, both included, in which neither beats nor predictions
        count, such as ventricular flutter, where no beat can be told from the next; by default none.
    channel : str or int, default=0
        Name or position of the channel that is scored.
    tolerance : float, default=0.15
        Largest distance of a match in s [1]_.
    subjects : iterable of hashable, optional
        Subject of each case; by default every case is a subject, numbered from 0.

    Returns
    -------
    score : QrsScore

    Raises
    ------
    AnnotationError
        If rates differ, a recording lacks `channel`, or `subjects`, `excluded` and `cases` differ in length.

    References
    ----------
    .. [1] ANSI/AAMI EC57:2012. Testing and reporting performance results of cardiac rhythm and ST segment
       measurement algorithms.
    """
    names, rows = [], []
    with_excluded = ((case, ()) for case in cases) if excluded is None else paired(cases, excluded, "excluded")
    for ((annotation, spans), left_out), subject in with_subjects(with_excluded, subjects):
        record = EndToEnd(annotation, spans, [channel])
        reference, found = record.marks("QRS", "peak")[0], record.predictions("QRS", "peak")[0]
        for first, last in left_out:
            reference, found = (x[(x < first) | (x > last)] for x in (reference, found))
        i, j = match(reference, found, tolerance * record.fs).T
        errors_ms = (found[j] - reference[i]) * 1000 / record.fs
        names.append(subject)
        rows.append(pair_sums(errors_ms, len(reference) - len(i), len(found) - len(j)))
    return QrsScore(*sum_by_subject(names, rows, (N_SUMS,)))
