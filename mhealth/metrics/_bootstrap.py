"""Paired bootstrap over subjects."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError

__all__ = ["BootstrapDifference", "ResampledScore", "bootstrap_difference"]


class ResampledScore(Protocol):
    """A score whose subjects can be weighted."""

    @property
    def subjects(self) -> tuple[Hashable, ...]:
        """Each subject once."""
        ...

    def reweighted(self, weights: NDArray[np.float64]) -> Self:
        """Return the score in which each subject counts `weights` times."""
        ...


ScoreT = TypeVar("ScoreT", bound=ResampledScore)


class BootstrapDifference(NamedTuple):
    """Difference of a statistic between two methods on the same subjects.

    Attributes
    ----------
    difference : float
        Statistic of the first minus that of the second.
    low, high : float
        Percentile interval of the difference.
    p : float
        Two-sided: twice the share of resamples on the rarer side of zero, at most 1; never below 2 / (n + 1).
    """

    difference: float
    low: float
    high: float
    p: float


def bootstrap_difference(
    first: ScoreT,
    second: ScoreT,
    statistic: Callable[[ScoreT], Any],
    *,
    n: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapDifference:
    """Compare two methods by resampling the subjects that both were tested on.

    Leads and beats of one subject stay together, since they are not independent [1]_.

    Parameters
    ----------
    first, second : DelineationScore, BestChannelScore or QrsScore
        Scores of the two methods on the same subjects, in any order.
    statistic : callable
        Takes a score, returns a number, for example ``lambda score: score.macro("tight")``.
    n : int, default=2000
        Number of resamples; 1000 to 2000 are the usual advice for 95 % intervals [1]_.
    confidence : float, default=0.95
        Coverage of the interval, in (0, 1).
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    result : BootstrapDifference

    Raises
    ------
    InvalidParameterError
        If the subjects differ, there are fewer than two, or `n` or `confidence` is out of range.

    Notes
    -----
    Resamples for which the statistic is undefined (NaN) are left out.

    References
    ----------
    .. [1] Efron, Tibshirani (1993). An Introduction to the Bootstrap, chapters 13 and 16. Chapman & Hall.
    """
    if set(first.subjects) != set(second.subjects) or len(first.subjects) < 2:
        raise InvalidParameterError(
            f"The scores cover {len(first.subjects)} and {len(second.subjects)} subjects, "
            f"{len(set(first.subjects) & set(second.subjects))} in common; expected the same two or more. "
            "Score both methods on the same records and hand the same `subjects` to both."
        )
    if n < 1 or not 0 < confidence < 1:
        raise InvalidParameterError(f"n={n!r} must be at least 1 and confidence={confidence!r} in (0, 1).")
    place = {subject: k for k, subject in enumerate(first.subjects)}
    order = [place[subject] for subject in second.subjects]
    rng = np.random.default_rng(seed)
    size = len(order)
    differences = np.empty(n)
    for k in range(n):
        weights = np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)
        differences[k] = statistic(first.reweighted(weights)) - statistic(second.reweighted(weights[order]))
    differences = differences[np.isfinite(differences)]
    observed = float(statistic(first) - statistic(second))
    if not len(differences):
        return BootstrapDifference(observed, float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    rarer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p = min(1.0, float(2 * (rarer + 1) / (len(differences) + 1)))
    return BootstrapDifference(observed, float(low), float(high), p)
