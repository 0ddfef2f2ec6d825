"""Macro F1 when subjects are drawn anew: of many scores at once, and of differences between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments._statistics import Estimate

if TYPE_CHECKING:
    from mhealth.metrics import DelineationScore

__all__ = ["TOLERANCES", "by_subject", "interval", "macros", "weights_of"]

TOLERANCES = ("150ms", "tight")
"""In the order of what these functions return."""

_EDGES = (0, 2)
"""Onset and offset among the points."""


def weights_of(n_subjects: int, *, n: int, seed: int) -> NDArray[np.float64]:
    """Return how often each subject counts, shape (1 + n, n_subjects): once each, then in `n` draws of as many."""
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(n_subjects, size=n_subjects), minlength=n_subjects) for _ in range(n)]
    return np.array([np.ones(n_subjects), *drawn], dtype=np.float64)


def macros(score: DelineationScore, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return macro F1 in per cent within 150 ms and tight, shape (n, 2), for weights of shape (n, n_subjects)."""
    counts = score.sums[..., _EDGES, :3]
    matched, missed, false = np.moveaxis(np.einsum("ns,stwpc->ntwpc", weights, counts), -1, 0)
    marked_or_found = 2 * matched + missed + false
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 200 * matched / marked_or_found
    known = marked_or_found > 0
    n_known = known.sum(axis=(2, 3))
    return np.where(n_known > 0, np.where(known, f1, 0.0).sum(axis=(2, 3)) / np.maximum(n_known, 1), np.nan)


def by_subject(scores: Sequence[DelineationScore]) -> NDArray[np.float64]:
    """Return macro F1 of each subject, the mean over scores, shape (n_subjects, 2)."""
    return np.mean([macros(score, np.eye(len(score.subjects))) for score in scores], axis=0)


def interval(values: NDArray[np.float64]) -> Estimate:
    """Return a figure, the first one, with the 95 % interval of the others."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))
