"""Intervals from resampled subjects, paired tests, and areas under ROC curves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mhealth.metrics._bootstrap import ResampledScore

__all__ = ["Estimate", "auroc", "estimate", "estimate_mean", "holm", "resampled", "signed_rank"]

ScoreT = TypeVar("ScoreT", bound=ResampledScore)


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def metrics(self, name: str) -> dict[str, float]:
        """Return the three numbers under the names that results use."""
        return {name: self.value, f"{name}.low": self.low, f"{name}.high": self.high}


def estimate(score: ScoreT, statistic: Callable[[ScoreT], float], *, n: int = 1000, seed: int = 0) -> Estimate:
    """Return a statistic of a score, with the percentile interval of `n` draws of its subjects with replacement."""
    return resampled(len(score.subjects), lambda weights: statistic(score.reweighted(weights)), n=n, seed=seed)


def estimate_mean(
    values: Sequence[float] | NDArray[np.float64], subjects: Sequence[Hashable], *, n: int = 1000, seed: int = 0
) -> Estimate:
    """Return the mean over subjects of their mean value, with its interval; values that are NaN are left out.

    Parameters
    ----------
    values : sequence of float
    subjects : sequence of hashable
        Whose each value is.
    """
    numbers = np.asarray(values, dtype=float)
    known = np.isfinite(numbers)
    _, row = np.unique(
        [str(subject) for subject, used in zip(subjects, known, strict=True) if used], return_inverse=True
    )
    if not known.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = np.bincount(row, numbers[known]) / np.bincount(row)
    return resampled(len(means), lambda weights: float(weights @ means / weights.sum()), n=n, seed=seed)


def resampled(
    size: int, of_weights: Callable[[NDArray[np.float64]], float], *, n: int = 1000, seed: int = 0
) -> Estimate:
    """Return a statistic of subjects with its percentile interval.

    Parameters
    ----------
    size : int
        Number of subjects.
    of_weights : callable
        Returns the statistic when each subject counts so often, shape (size,).
    n, seed : int
        Draws of as many subjects, with replacement.
    """
    rng = np.random.default_rng(seed)
    drawn = [
        of_weights(np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)) for _ in range(n)
    ]
    known = np.sort([value for value in drawn if value == value])
    if not len(known):
        return Estimate(of_weights(np.ones(size)), float("nan"), float("nan"))
    low, high = (known[round(share * (len(known) - 1))] for share in (0.025, 0.975))
    return Estimate(of_weights(np.ones(size)), float(low), float(high))


def auroc(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> float:
    """Return the chance that a positive scores higher than a negative, ties half; NaN without either.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
    positive : ndarray of bool, shape (n,)
    weights : ndarray of float64, shape (n,), optional
        How often each counts.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, rank = np.unique(scores, return_inverse=True)
    ups = np.bincount(rank, weights * positive)
    downs = np.bincount(rank, weights * ~positive)
    pairs = ups.sum() * downs.sum()
    if not pairs:
        return float("nan")
    return float((ups * (np.cumsum(downs) - downs / 2)).sum() / pairs)


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test that paired differences lie about zero; NaN are left out.

    Parameters
    ----------
    differences : ndarray of float64, shape (n_subjects,)
    """
    from scipy.stats import wilcoxon

    known = differences[np.isfinite(differences)]
    return float(wilcoxon(known).pvalue) if known.any() else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Return p values of several tests so that the chance of any false one is kept (Holm 1979, Scand. J. Stat. 6, 65).

    Parameters
    ----------
    p : sequence of float
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(np.asarray(p, dtype=float)[order] * (len(order) - np.arange(len(order))))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted.tolist()
