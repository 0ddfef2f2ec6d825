"""Detectors of drug minutes, and how well they tell them from rest and exercise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments._statistics import Estimate, auroc, resampled
from experiments.drug_effect._design import DRUG

__all__ = ["Windows", "areas", "between", "within"]

_PENALTIES = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the penalty, among which folds of the training subjects choose."""

_WITHIN = 0.1
"""The same within a subject, whose five minutes allow no choice."""

_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Windows:
    """The tested minutes of all recordings.

    Parameters
    ----------
    subject : ndarray of str, shape (n,)
    half : ndarray of int64, shape (n,)
        Of the recording: 0 or 1.
    kind : ndarray of str, shape (n,)
        `REST`, `EXERCISE` or `DRUG`.
    features : dict of str to ndarray of float64, shape (n, n_features)
        Of each detector; NaN where nothing could be measured.
    """

    subject: NDArray[np.str_]
    half: NDArray[np.int64]
    kind: NDArray[np.str_]
    features: dict[str, NDArray[np.float64]]

    @property
    def is_drug(self) -> NDArray[np.bool_]:
        """Which minutes are to be found."""
        return self.kind == DRUG


def between(windows: Windows, detector: str) -> NDArray[np.float64]:
    """Return the log odds of every minute by a detector that has learned from other subjects, shape (n,).

    Notes
    -----
    Logistic regression on standardised features, its penalty chosen by folds of the training subjects. Where a feature
    could not be measured it has the mean of the training minutes.
    """
    features, scores = windows.features[detector], np.empty(len(windows.kind))
    for seen, tested in _folds(windows.subject):
        best = max(_PENALTIES, key=lambda penalty: _inner_area(windows, features, seen, penalty))
        model, filled = _fitted(features[seen], windows.is_drug[seen], best)
        scores[tested] = model.decision_function(filled(features[tested]))
    return scores


def _inner_area(windows: Windows, features: NDArray[np.float64], rows: NDArray[np.int64], penalty: float) -> float:
    """Return the AUROC of a penalty in folds of the training subjects; of equals the first, strongest one is taken."""
    scores = np.empty(len(rows))
    for seen, tested in _folds(windows.subject[rows]):
        model, filled = _fitted(features[rows[seen]], windows.is_drug[rows[seen]], penalty)
        scores[tested] = model.decision_function(filled(features[rows[tested]]))
    return auroc(scores, windows.is_drug[rows])


def _folds(subjects: NDArray[np.str_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    n_folds = min(_FOLDS, len(np.unique(subjects)))
    return GroupKFold(n_folds).split(subjects, groups=subjects)


def within(windows: Windows, detector: str) -> NDArray[np.float64]:
    """Return the log odds of every minute by a detector that has learned from the other half of the same recording."""
    features, scores = windows.features[detector], np.empty(len(windows.kind))
    for subject in np.unique(windows.subject):
        for half in (0, 1):
            own = windows.subject == subject
            seen, tested = own & (windows.half != half), own & (windows.half == half)
            if len(np.unique(windows.is_drug[seen])) < 2:
                scores[tested] = 0.0
                continue
            model, filled = _fitted(features[seen], windows.is_drug[seen], _WITHIN)
            scores[tested] = model.decision_function(filled(features[tested]))
    return scores


def _fitted(features: NDArray[np.float64], is_drug: NDArray[np.bool_], penalty: float) -> tuple[Pipeline, _Filled]:
    filled = _Filled(features)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000))
    return model.fit(filled(features), is_drug), filled


class _Filled:
    """Puts the mean of some minutes in the place of what could not be measured."""

    def __init__(self, features: NDArray[np.float64]) -> None:
        known = np.isfinite(features)
        self._means = np.where(known, features, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isfinite(features), features, self._means)


def areas(
    windows: Windows, scores: NDArray[np.float64], against: Sequence[str], *, pooled: bool, n: int, seed: int
) -> Estimate:
    """Return the AUROC of drug minutes against minutes of other kinds, with an interval from resampled subjects.

    Parameters
    ----------
    windows : Windows
    scores : ndarray of float64, shape (n,)
    against : sequence of str
        `REST`, `EXERCISE` or both.
    pooled : bool
        One threshold for all subjects; else the mean of the areas of each half of each recording, whose scores are of
        models of their own.
    n, seed : int
        Draws of subjects.
    """
    used = windows.is_drug | np.isin(windows.kind, against)
    scores, is_drug, half = scores[used], windows.is_drug[used], windows.half[used]
    names, row = np.unique(windows.subject[used], return_inverse=True)
    if pooled:
        return resampled(len(names), lambda weights: auroc(scores, is_drug, weights[row]), n=n, seed=seed)
    own = np.full((len(names), 2), np.nan)
    for k in range(len(names)):
        for part in (0, 1):
            here = (row == k) & (half == part)
            own[k, part] = auroc(scores[here], is_drug[here])
    known = np.isfinite(own)
    sums, counts = np.where(known, own, 0).sum(axis=1), known.sum(axis=1)
    return resampled(len(names), lambda weights: float(weights @ sums / (weights @ counts)), n=n, seed=seed)
