"""What thresholds on probabilities buy: ROC and precision–recall, of time and of waves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._task import Task
from mhealth.metrics import WaveOutcomes, precision_recall

__all__ = ["Curve", "Histogram", "curve", "histograms", "of_waves"]

_EDGES = np.linspace(-12.0, 12.0, 241)
"""Log odds at which probabilities are binned: fine enough for areas to 0.0001."""

Histogram = dict[str, list[float]]
"""Seconds in each bin, in which the label is right (``positive``) and wrong (``negative``)."""


class Curve(NamedTuple):
    """Rates at each threshold, from the highest to the lowest.

    Attributes
    ----------
    false_rate, recall, precision : ndarray of float64, shape (n_thresholds,)
        Shares of the negative and positive time that is called, and of the called time that is right.
    area : float
        Under the ROC curve.
    average_precision : float
        Mean precision over recall.
    """

    false_rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    area: float
    average_precision: float


def histograms(
    occupancy: NDArray[np.float32], allowed: NDArray[np.uint8], times: NDArray[np.float64], lengths: Sequence[int],
    task: Task,
) -> dict[str, Histogram]:  # fmt: skip
    """Bin the time of stacked stretches by the probability of each label.

    Parameters
    ----------
    occupancy : ndarray of float32, shape (n_nodes, n_states)
        Probability of each state in the interval that starts at each node.
    allowed : ndarray of uint8, shape (n_nodes,)
        States that agree with the marks there.
    times : ndarray of float64, shape (n_nodes,)
    lengths : sequence of int
        Nodes of each stretch.
    task : Task

    Returns
    -------
    histograms : dict of str to Histogram
        By label. Where marks leave open whether it is right, time does not count.
    """
    seconds = np.diff(times, append=0.0)
    seconds[np.cumsum(lengths) - 1] = 0.0
    found = {}
    for label in task.labels:
        state = task.grammar.index(label)
        probability = occupancy[:, state].astype(np.float64).clip(1e-6, 1 - 1e-6)
        place = np.digitize(np.log(probability / (1 - probability)), _EDGES)
        found[label] = {
            name: np.bincount(place[chosen], seconds[chosen], minlength=len(_EDGES) + 1).round(4).tolist()
            for name, chosen in (("positive", allowed == 1 << state), ("negative", allowed & (1 << state) == 0))
        }
    return found


def curve(parts: Sequence[Histogram]) -> Curve:
    """Return the curve of the time in several histograms."""
    up, down = (np.cumsum(np.sum([part[name] for part in parts], axis=0)[::-1]) for name in ("positive", "negative"))
    called = np.flatnonzero(up + down > 0)
    up, down = up[called], down[called]
    recall, false_rate, precision = up / up[-1], down / down[-1], up / (up + down)
    area = float(np.diff(false_rate, prepend=0.0) @ (recall - np.diff(recall, prepend=0.0) / 2))
    return Curve(false_rate, recall, precision, area, float(np.diff(recall, prepend=0.0) @ precision))


def of_waves(outcomes: WaveOutcomes) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return recall and precision of waves by falling threshold, and mean precision over recall.

    A method without probabilities has one point. What it never reports counts as not found at any threshold.
    """
    if not len(outcomes.correct) or not outcomes.n_marked:
        return np.empty(0), np.empty(0), float("nan")
    if not np.isfinite(outcomes.probability).all():
        right = np.count_nonzero(outcomes.correct)
        return np.array([right / outcomes.n_marked]), np.array([right / len(outcomes.correct)]), float("nan")
    found = precision_recall(outcomes)
    recall, precision = found.recall[::-1], found.precision[::-1]
    return recall, precision, float(np.diff(recall, prepend=0.0) @ precision)
