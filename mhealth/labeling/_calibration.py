"""From marginals of the CRF to the probability that an expert marks the wave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Recording, Spans
from mhealth.labeling._group import ECG_CLASSES, GroupStream
from mhealth.labeling._model import EcgModel

__all__ = ["IDENTITY", "calibrate"]

_N_KNOTS = 17
_FEWEST = 200
"""Waves below which a map is not fitted: a tenth of them in each of ten bins would be too few to tell."""

IDENTITY = np.tile(np.linspace(0.0, 1.0, _N_KNOTS), (3, 2, 1))
"""The calibration that changes nothing, shape (n_labels, 2, n_knots)."""


def calibrate(
    model: EcgModel,
    cases: list[tuple[Recording, Annotation]],
    *,
    lag: float | None,
    progress: Callable[[int, int], None],
) -> dict[str, NDArray[np.float64]]:
    """Fit the monotone map of each label on recordings that the model has not seen.

    Isotonic regression [1]_ of whether an expert marked the wave within 150 ms, read off at a few marginals.

    References
    ----------
    .. [1] Zadrozny, Elkan (2002). Transforming classifier scores into accurate multiclass probability estimates. KDD.
       https://doi.org/10.1145/775047.775151
    """
    from mhealth.metrics import WaveOutcomes, wave_outcomes

    plain = replace(model, calibration={"alone": IDENTITY, "fused": IDENTITY})
    outcomes: dict[tuple[str, int], list[WaveOutcomes]] = {}
    for done, (recording, annotation) in enumerate(cases):
        marked = sorted({int(channel) for channel in annotation.annotated[:, 0]})
        modes = [("alone", [[k] for k in marked])] + ([("fused", [marked])] if len(marked) > 1 else [])
        for mode, groups in modes:
            spans = _label(plain, recording, groups, lag)
            for label in range(3):
                found = wave_outcomes(annotation, spans, ECG_CLASSES[label], channels=marked)
                outcomes.setdefault((mode, label), []).append(found)
        progress(done + 1, len(cases))
    maps = {"alone": IDENTITY.copy(), "fused": IDENTITY.copy()}
    for (mode, label), parts in outcomes.items():
        joined = WaveOutcomes.concat(parts)
        if len(joined.probability) >= _FEWEST:
            maps[mode][label] = _monotone_map(joined.probability, joined.correct)
    if not any(mode == "fused" for mode, _ in outcomes):
        maps["fused"] = maps["alone"]
    return maps


def _label(model: EcgModel, recording: Recording, groups: list[list[int]], lag: float | None) -> Spans:
    """Label some channels of a recording, group by group."""
    rows = []
    for members in groups:
        stream = GroupStream(model, fs=recording.fs, n_leads=len(members), lag=lag)
        for row in stream.push(recording.signals[:, members]) + stream.push(recording.signals[:0, members], last=True):
            rows.append((*row[:4], members[row[4]], row[5]))
    return Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=ECG_CLASSES)


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
