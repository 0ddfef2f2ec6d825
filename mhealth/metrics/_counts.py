"""Additive counts of matches, from which every figure follows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import AnnotationError

__all__ = ["MatchCounts"]

_S = TypeVar("_S")
_T = TypeVar("_T")

N_SUMS = 5
"""How many sums describe one kind of point; see `MatchCounts`."""


@dataclass(frozen=True, eq=False)
class MatchCounts:
    """Counts and sums of errors of matched points; figures of a union are those of the sum of `sums`.

    Parameters
    ----------
    sums : ndarray of float64, shape (..., N_SUMS)
        Along the last axis: true positives, misses, false positives (NaN where they are not counted), sum of
        the errors in ms, sum of the squared errors in ms².

    Notes
    -----
    Every figure is an array of shape (...), NaN where its denominator is zero.
    """

    sums: NDArray[np.float64]

    @property
    def n(self) -> NDArray[np.float64]:
        """Number of reference points."""
        return self.sums[..., 0] + self.sums[..., 1]

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """Percentage of reference points that were found."""
        return _ratio(100 * self.sums[..., 0], self.n)

    @property
    def ppv(self) -> NDArray[np.float64]:
        """Positive predictive value: percentage of found points that are in the reference."""
        return _ratio(100 * self.sums[..., 0], self.sums[..., 0] + self.sums[..., 2])

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of sensitivity and PPV, in per cent."""
        return _ratio(200 * self.sums[..., 0], self.n + self.sums[..., 0] + self.sums[..., 2])

    @property
    def mean_ms(self) -> NDArray[np.float64]:
        """Mean error of the matched points, found minus reference, in ms."""
        return _ratio(self.sums[..., 3], self.sums[..., 0])

    @property
    def sd_ms(self) -> NDArray[np.float64]:
        """Standard deviation of that error in ms (of the population: divided by n)."""
        variance = _ratio(self.sums[..., 4], self.sums[..., 0]) - self.mean_ms**2
        return np.sqrt(np.maximum(variance, 0))


def pair_sums(
    errors_ms: NDArray[np.float64], n_missed: int | np.integer, n_false: float | np.integer
) -> NDArray[np.float64]:
    """Return the five sums of one kind of point from the errors (ms) of its matched pairs."""
    return np.array([len(errors_ms), n_missed, n_false, errors_ms.sum(), np.square(errors_ms).sum()])


def with_subjects(cases: Iterable[_T], subjects: Iterable[Hashable] | None) -> Iterator[tuple[_T, Hashable]]:
    """Yield each case with its subject, or with its number where none are given."""
    if subjects is None:
        return ((case, number) for number, case in enumerate(cases))
    return paired(cases, subjects, "subjects")


def paired(cases: Iterable[_T], others: Iterable[_S], name: str) -> Iterator[tuple[_T, _S]]:
    """Yield each case with its entry of another series, which must be as long."""
    end = object()
    for number, (case, other) in enumerate(zip_longest(cases, others, fillvalue=end)):
        if case is end or other is end:
            longer = "cases" if other is end else name
            raise AnnotationError(f"{longer} goes on after {number} entries; expected as many {name} as cases.")
        yield case, other  # type: ignore[misc]


def sum_by_subject(
    subjects: Sequence[Hashable], rows: ArrayLike | Sequence[ArrayLike], shape: tuple[int, ...]
) -> tuple[tuple[Hashable, ...], NDArray[np.float64]]:
    """Add rows of one subject; subjects keep the order in which they first appear.

    Returns
    -------
    kept : tuple
        Each subject once.
    sums : ndarray of float64, shape (len(kept), *shape)
    """
    place = {subject: k for k, subject in enumerate(dict.fromkeys(subjects))}
    sums = np.zeros((len(place), *shape))
    np.add.at(sums, [place[subject] for subject in subjects], np.asarray(rows, dtype=np.float64).reshape(-1, *shape))
    return tuple(place), sums


def weighted(sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows multiplied by one weight each."""
    return sums * np.reshape(weights, (-1,) + (1,) * (sums.ndim - 1))


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide, giving NaN where the denominator is zero or NaN."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)
