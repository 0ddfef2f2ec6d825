"""A penalised classifier that learns from few subjects, tested on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ["Part", "curve", "draws", "transferred"]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the penalty, among which folds of the training subjects choose."""

INNER_FOLDS = 3

FEWEST = 2
"""Subjects of either kind that something is learned from."""


class Part(NamedTuple):
    """Some columns that describe rows.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_columns)
        NaN where nothing was measured.
    alike : bool
        Whether the columns have one unit, so that they are scaled together and rare ones stay small.
    """

    values: NDArray[np.float64]
    alike: bool


def curve(
    parts: Sequence[Part],
    positive: NDArray[np.bool_],
    subject: NDArray[np.str_],
    sizes: Sequence[int | None],
    *,
    folds: int,
    repeats: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return log odds by models that have learned from so many other subjects, shape (n_sizes, n_repeats, n_rows).

    Parameters
    ----------
    parts : sequence of Part
        What the rows look like.
    positive : ndarray of bool, shape (n_rows,)
    subject : ndarray of str, shape (n_rows,)
    sizes : sequence of int or None
        Training subjects; None takes all that are not tested.
    folds, repeats, seed : int
        Each repeat splits the subjects anew, and draws from those outside the fold.
    """
    scores = np.empty((len(sizes), repeats, len(positive)))
    for repeat in range(repeats):
        for tested, order in draws(positive, subject, folds, np.random.default_rng([seed, repeat])):
            rows = np.isin(subject, tested)
            for k, size in enumerate(sizes):
                seen = np.isin(subject, first_of(order, size))
                scores[k, repeat, rows] = transferred(
                    [Part(part.values[seen], part.alike) for part in parts], positive[seen], subject[seen],
                    [Part(part.values[rows], part.alike) for part in parts],
                )  # fmt: skip
    return scores


def draws(
    positive: NDArray[np.bool_], subject: NDArray[np.str_], folds: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.str_], tuple[NDArray[np.str_], NDArray[np.str_]]]]:
    """Return the subjects of each fold, and those outside in the order of drawing: with any positive row, without.

    Subjects with a positive row, and those without, are spread over the folds evenly.
    """
    kinds = [np.unique(subject[positive])]
    kinds.append(np.setdiff1d(subject, kinds[0]))
    orders = [rng.permutation(kind) for kind in kinds]
    n_folds = min(folds, *(len(order) for order in orders))
    parts = []
    for k in range(n_folds):
        outside = [order[np.arange(len(order)) % n_folds != k] for order in orders]
        tested = np.concatenate([order[k::n_folds] for order in orders])
        parts.append((tested, (rng.permutation(outside[0]), rng.permutation(outside[1]))))
    return parts


def first_of(order: tuple[NDArray[np.str_], NDArray[np.str_]], size: int | None) -> NDArray[np.str_]:
    """Return so many subjects, of either kind as large a share as there is, but two at least."""
    n_with, n_without = (len(kind) for kind in order)
    if size is None or size >= n_with + n_without:
        return np.concatenate(order)
    count = min(n_with, max(FEWEST, round(size * n_with / (n_with + n_without))))
    return np.concatenate([order[0][:count], order[1][: size - count]])


def transferred(
    seen: Sequence[Part], positive: NDArray[np.bool_], subject: NDArray[np.str_], unseen: Sequence[Part]
) -> NDArray[np.float64]:
    """Return the log odds of rows by logistic regression that has learned from others; the penalty is chosen there.

    Parameters
    ----------
    seen : sequence of Part
        Rows to learn from.
    positive : ndarray of bool, shape (n_seen,)
    subject : ndarray of str, shape (n_seen,)
        Folds that choose the penalty, by log loss, are of subjects.
    unseen : sequence of Part
        Of the same columns.
    """
    import sklearn.linear_model  # noqa: F401, its linear algebra must be there before its threads can be limited

    # One thread: sums split over several would depend on how many there are, and small ones wait for each other.
    with threadpool_limits(1):
        here, there = scaled(seen, unseen)
        if here.shape[1] > here.shape[0]:  # the penalty knows no directions, so that those of the rows are enough
            _, _, directions = np.linalg.svd(here, full_matrices=False)
            here, there = here @ directions.T, there @ directions.T
        best = penalty_of(here, positive, subject)
        return regression(best).fit(here, positive).decision_function(there)


def penalty_of(rows: NDArray[np.float64], positive: NDArray[np.bool_], subject: NDArray[np.str_]) -> float:
    """Return the penalty with the least log loss in folds of subjects; of equals the strongest."""
    losses = np.zeros(len(PENALTIES))
    for tested, _ in draws(positive, subject, INNER_FOLDS, np.random.default_rng(0)):
        left_out = np.isin(subject, tested)
        if len(np.unique(positive[~left_out])) < 2:
            continue
        for k, penalty in enumerate(PENALTIES):
            odds = regression(penalty).fit(rows[~left_out], positive[~left_out]).decision_function(rows[left_out])
            losses[k] += np.logaddexp(0, np.where(positive[left_out], -odds, odds)).sum()
    return PENALTIES[int(np.argmin(losses))]


def regression(penalty: float) -> LogisticRegression:
    """Return an untrained model."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=penalty, max_iter=2000)


def scaled(seen: Sequence[Part], unseen: Sequence[Part]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sets of rows, with the seen ones' mean in the place of what is unknown, scaled by the seen ones."""
    sides: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for here, there in zip(seen, unseen, strict=True):
        known = np.isfinite(here.values)
        mean = np.where(known, here.values, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
        spread = np.where(known, here.values, mean).std(axis=0)
        size = np.sqrt((spread**2).mean()) if here.alike else np.where(spread > 0, spread, 1.0)
        for side, part in zip(sides, (here, there), strict=True):
            side.append((np.where(np.isfinite(part.values), part.values, mean) - mean) / np.maximum(size, 1e-12))
    return np.concatenate(sides[0], axis=1), np.concatenate(sides[1], axis=1)
