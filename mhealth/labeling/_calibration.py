"""From marginals of the CRF to the probability that an expert marks the wave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Recording
from mhealth.labeling._group import label_groups
from mhealth.labeling._model import Model

__all__ = ["calibrate", "identity"]

_N_KNOTS = 17
_FEWEST = 200
"""Waves below which a map is not fitted: a tenth of them in each of ten bins would be too few to tell."""


def identity(n_labels: int) -> NDArray[np.float64]:
    """Return the calibration that changes nothing, shape (2, n_labels, 2, n_knots)."""
    return np.tile(np.linspace(0.0, 1.0, _N_KNOTS), (2, n_labels, 2, 1))


def calibrate(
    model: Model,
    cases: list[tuple[Recording, Annotation]],
    *,
    lag: float | None,
    progress: Callable[[int, int], None],
) -> NDArray[np.float64]:
    """Fit the monotone maps of each label on recordings that the model has not seen, shape (2, n_labels, 2, n_knots).

    Isotonic regression [1]_ of whether an expert marked the wave within the task's tolerance, read off at a few
    marginals; once for each lead alone, once for the leads of a recording together, which err less and less surely:
    they decide by the mean of their potentials. Where no recording has two marked leads, or the model knows leads
    together only, there is one way to label and one map for both.

    References
    ----------
    .. [1] Zadrozny, Elkan (2002). Transforming classifier scores into accurate multiclass probability estimates. KDD.
       https://doi.org/10.1145/775047.775151
    """
    from mhealth.metrics import WaveOutcomes, wave_outcomes

    task = model.task
    plain = replace(model, calibration=identity(len(task.labels)))
    ways = _ways(model, cases)
    maps, done = identity(len(task.labels)), 0
    for way, groups in enumerate(ways):
        outcomes: list[list[WaveOutcomes]] = [[] for _ in task.labels]
        for (recording, annotation), of_recording in zip(cases, groups, strict=True):
            done += 1
            progress(done, len(ways) * len(cases))
            if not of_recording:
                continue
            spans = label_groups(plain, recording, of_recording, lag)
            marked = set(annotation.annotated[:, 0].tolist()) & {channel for group in of_recording for channel in group}
            for label, name in enumerate(task.labels):
                outcomes[label].append(
                    wave_outcomes(annotation, spans, name, channels=marked, point=task.point, tolerance=task.tolerance)
                )
        for label, parts in enumerate(outcomes):
            joined = WaveOutcomes.concat(parts)
            if len(joined.probability) >= _FEWEST:
                maps[way:, label] = _monotone_map(joined.probability, joined.correct)
    return maps


def _ways(model: Model, cases: list[tuple[Recording, Annotation]]) -> list[list[list[list[int]]]]:
    """Return which channels of each recording decide together: in the first way of labelling, and perhaps a second."""
    marked = [sorted({int(channel) for channel in annotation.annotated[:, 0]}) for _, annotation in cases]
    if model.leads:
        return [
            [
                model.groups(recording.keys, fused=True) if channels else []
                for (recording, _), channels in zip(cases, marked, strict=True)
            ]
        ]
    alone = [[[channel] for channel in channels] for channels in marked]
    together = [[channels] if len(channels) > 1 else [] for channels in marked]
    return [alone, together] if any(together) else [alone]


def _monotone_map(marginal: NDArray[np.float64], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return knots and values, shape (2, n_knots); knots are denser where most waves are."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(marginal, correct)
    quantiles = np.quantile(marginal, np.linspace(0, 1, _N_KNOTS - 2))
    knots = np.maximum.accumulate(np.concatenate([[0.0], quantiles, [1.0]]))
    # Averages over the marginals near a knot; a step of the isotonic fit would give its neighbours too much.
    edges = np.concatenate([[-np.inf], (knots[1:] + knots[:-1]) / 2, [np.inf]])
    predicted = fitted.predict(marginal)
    values = fitted.predict(knots)
    for k in range(_N_KNOTS):
        near = (marginal >= edges[k]) & (marginal <= edges[k + 1])
        if near.any():
            values[k] = predicted[near].mean()
    return np.stack([knots, np.maximum.accumulate(values)])
