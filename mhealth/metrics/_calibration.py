"""Whether probabilities mean what they say, and what a threshold on them buys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import Annotation, Spans
from mhealth.errors import InvalidParameterError
from mhealth.metrics._channels import EndToEnd
from mhealth.metrics._delineation import EXCUSED, TOLERANCES_MS
from mhealth.metrics._matching import match, within

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DetectionCurve",
    "Reliability",
    "RocCurve",
    "WaveOutcomes",
    "expected_calibration_error",
    "precision_recall",
    "reliability",
    "roc",
    "wave_outcomes",
]


@dataclass(frozen=True, eq=False)
class WaveOutcomes:
    """Predicted waves of one label that can be judged.

    Parameters
    ----------
    probability : ndarray of float64, shape (n_waves,)
        Probability of each.
    correct : ndarray of bool, shape (n_waves,)
        Whether an expert marked it.
    n_marked : int
        How many waves the expert marked, found or not.
    """

    probability: NDArray[np.float64]
    correct: NDArray[np.bool_]
    n_marked: int

    @classmethod
    def concat(cls, parts: Iterable[WaveOutcomes]) -> WaveOutcomes:
        """Join the outcomes of several recordings."""
        parts = list(parts)
        return cls(
            np.concatenate([np.empty(0), *(part.probability for part in parts)]),
            np.concatenate([np.empty(0, dtype=bool), *(part.correct for part in parts)]),
            sum(part.n_marked for part in parts),
        )


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability diagram: observed against stated probability in bins of equal width.

    Parameters
    ----------
    edges : ndarray of float64, shape (n_bins + 1,)
        Limits of the bins; the last bin includes 1.
    count : ndarray of int64, shape (n_bins,)
        Predictions in each bin.
    stated, observed : ndarray of float64, shape (n_bins,)
        Mean probability, and share that is correct; NaN in empty bins.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    stated: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of stated and observed over all predictions; NaN for none."""
        used = self.count > 0
        if not used.any():
            return float("nan")
        return float(np.average(np.abs(self.stated - self.observed)[used], weights=self.count[used]))

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a bin: low, high, count, stated, observed."""
        import pandas as pd

        return pd.DataFrame(
            {
                "low": self.edges[:-1],
                "high": self.edges[1:],
                "count": self.count,
                "stated": self.stated,
                "observed": self.observed,
            }
        )


class DetectionCurve(NamedTuple):
    """Precision and recall at each threshold, by increasing threshold.

    Attributes
    ----------
    threshold, precision, recall : ndarray of float64, shape (n_thresholds,)
        Waves with at least this probability are reported; recall is relative to all marked waves, those that were
        never predicted included.
    """

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


class RocCurve(NamedTuple):
    """How well probability tells correct from false predictions.

    Attributes
    ----------
    threshold, false_rate, true_rate : ndarray of float64, shape (n_thresholds,)
        Share of the false and of the correct predictions with at least this probability, by decreasing threshold.
    area : float
        Area under the curve.
    """

    threshold: NDArray[np.float64]
    false_rate: NDArray[np.float64]
    true_rate: NDArray[np.float64]
    area: float


def wave_outcomes(
    annotation: Annotation,
    spans: Spans,
    label: str,
    *,
    channels: Collection[str | int] | None = None,
    point: str = "peak",
    tolerance: float = TOLERANCES_MS["150ms"][0][0] / 1000,
) -> WaveOutcomes:
    """Tell which predicted waves an expert marked too.

    Parameters
    ----------
    annotation : Annotation
        Expert marks.
    spans : Spans
        Predicted waves with probabilities, of the same recording and at its rate.
    label : str
        Label whose waves are judged.
    channels : collection of str or int, optional
        Names or positions of the annotated channels that are used; by default all.
    point : {"onset", "peak", "offset"}, default="peak"
        What is compared.
    tolerance : float, default=0.15
        Seconds.

    Returns
    -------
    outcomes : WaveOutcomes
        Predictions in order of channel and time. One is correct if its point is matched one-to-one to an expert's
        within the tolerance, and false if it is not and lies in an annotated stretch; all others cannot be judged and
        are left out, by the rules of `score_delineation`.

    Raises
    ------
    AnnotationError
        If rates differ, or the recording has none of `channels`.
    """
    record = EndToEnd(annotation, spans, channels)
    if label not in annotation.spans.classes:
        return WaveOutcomes.concat([])
    reference, left_out = record.marks(label, point)
    found, index = record.predictions(label, point)
    reach = tolerance * record.fs
    correct = np.zeros(len(found), dtype=bool)
    correct[match(reference, found, reach)[:, 1]] = True
    false = ~correct & record.annotated(found) & ~within(found, left_out, reach + EXCUSED * record.fs)
    order = np.argsort(found, kind="stable")
    judged = order[(correct | false)[order]]
    return WaveOutcomes(record.found.probability[index[judged]], correct[judged], len(reference))


def reliability(probability: ArrayLike, correct: ArrayLike, *, n_bins: int = 10) -> Reliability:
    """Compare stated probabilities with observed frequencies in bins of equal width [1]_.

    Parameters
    ----------
    probability : array_like of float, shape (n_predictions,)
        In [0, 1].
    correct : array_like of bool, shape (n_predictions,)
        Whether each prediction is right.
    n_bins : int, default=10
        Number of bins over [0, 1].

    Returns
    -------
    reliability : Reliability

    Raises
    ------
    InvalidParameterError
        If shapes differ, a probability lies outside [0, 1] or is NaN, or `n_bins` is less than 1.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger (2017). On calibration of modern neural networks. ICML.
       https://proceedings.mlr.press/v70/guo17a.html
    """
    probability, correct = _checked(probability, correct)
    if n_bins < 1:
        raise InvalidParameterError(f"n_bins={n_bins!r} must be at least 1.")
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.minimum(np.searchsorted(edges, probability, side="right") - 1, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    empty = np.full(n_bins, np.nan)
    stated, observed = (
        np.divide(np.bincount(place, weights=values, minlength=n_bins), count, out=empty.copy(), where=count > 0)
        for values in (probability, correct)
    )
    return Reliability(edges, count, stated, observed)


def expected_calibration_error(probability: ArrayLike, correct: ArrayLike, *, n_bins: int = 10) -> float:
    """Return the mean distance of stated and observed probability over bins of equal width, weighted by their size.

    Parameters
    ----------
    probability, correct, n_bins
        As in `reliability`.

    Returns
    -------
    error : float
        In [0, 1]; NaN without predictions.
    """
    return reliability(probability, correct, n_bins=n_bins).error


def precision_recall(outcomes: WaveOutcomes) -> DetectionCurve:
    """Trace precision and recall over all thresholds on the probability.

    Parameters
    ----------
    outcomes : WaveOutcomes
        At least one prediction, with probabilities.

    Returns
    -------
    curve : DetectionCurve

    Raises
    ------
    InvalidParameterError
        If there is no prediction or no marked wave, or a probability is NaN.
    """
    from sklearn.metrics import precision_recall_curve

    probability, correct = _checked(outcomes.probability, outcomes.correct)
    if not len(correct) or not outcomes.n_marked:
        raise InvalidParameterError(
            f"{len(correct)} predictions and {outcomes.n_marked} marked waves; a curve needs at least one of each."
        )
    if not correct.any():
        threshold = np.unique(probability)
        return DetectionCurve(threshold, np.zeros(len(threshold)), np.zeros(len(threshold)))
    precision, recall, threshold = precision_recall_curve(correct, probability)
    # scikit-learn appends (precision 1, recall 0), which belongs to no threshold, and knows predicted waves only.
    return DetectionCurve(threshold, precision[:-1], recall[:-1] * np.count_nonzero(correct) / outcomes.n_marked)


def roc(outcomes: WaveOutcomes) -> RocCurve:
    """Trace the receiver operating characteristic of the probabilities of predicted waves.

    Parameters
    ----------
    outcomes : WaveOutcomes
        At least one correct and one false prediction, with probabilities.

    Returns
    -------
    curve : RocCurve

    Raises
    ------
    InvalidParameterError
        If all predictions are correct or all are false, or a probability is NaN.
    """
    from sklearn.metrics import auc, roc_curve

    probability, correct = _checked(outcomes.probability, outcomes.correct)
    if correct.all() or not correct.any():
        raise InvalidParameterError(
            f"{np.count_nonzero(correct)} of {len(correct)} predictions are correct; a ROC curve needs both kinds."
        )
    false_rate, true_rate, threshold = roc_curve(correct, probability)
    return RocCurve(threshold, false_rate, true_rate, float(auc(false_rate, true_rate)))


def _checked(probability: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    probability, correct = np.asarray(probability, dtype=np.float64), np.asarray(correct, dtype=bool)
    if probability.shape != correct.shape or probability.ndim != 1:
        raise InvalidParameterError(
            f"probability has shape {probability.shape} and correct {correct.shape}; expected 1-D arrays of one length."
        )
    bad = ~((probability >= 0) & (probability <= 1))
    if bad.any():
        raise InvalidParameterError(
            f"probability is {probability[bad][0]} at index {np.flatnonzero(bad)[0]}; expected values in [0, 1]. "
            "Leave predictions without a probability out."
        )
    return probability, correct
