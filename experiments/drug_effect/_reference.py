"""What is known of a subject without drug, and how far their minutes are from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from experiments.drug_effect._design import ALL, CALIBRATION, DETECTORS, DRUG, STRETCHED
from experiments.drug_effect._detect import Windows
from experiments.drug_effect._windows import INTERVALS

__all__ = ["REFERENCES", "Reference", "from_own_line", "mean_known", "windows_of"]

Reference = Literal["nothing", "rest", "rest and exercise"]
"""What a detector knows of the tested subject: nothing, two minutes of rest, or the drug-free minutes of the other half
of the recording too, which show the subject's own line over RR."""

REFERENCES: tuple[Reference, ...] = get_args(Reference)

RIDGE = 1.0
"""In (0.1 s)²: what holds the slope of an own line where the reference shows few heart rates."""

SMALLEST = {"intervals": 3.0, "codes": 0.02, STRETCHED: 3.0}
"""Scatter (ms; usual beats) that is added to that about the own line, which five minutes tell badly."""

LENGTHENED = [INTERVALS.index("qrs_ms"), INTERVALS.index("qt_ms")]
"""The intervals that are looked at relative to an own line."""


def windows_of(records: Mapping[str, Mapping[str, Any]], reference: Reference) -> Windows:
    """Return the tested minutes of recordings with the features of each detector.

    Parameters
    ----------
    records : mapping of str to mapping
        What `minute_by_minute` gives, by record.
    reference : Reference

    Notes
    -----
    With nothing known: heart rate; intervals, means over channels; mean coefficients of all atoms. With rest known: the
    same less their means at rest, the heart rate as a ratio; and what stretching the beat of rest tells. With rest and
    exercise known: QRS and QT less what the subject's own line has at this RR, in units of the scatter about that line,
    channels weighted by it; and for each channel the logarithm of how large this is on the average atom.
    """
    subject, half, kind = [], [], []
    names = [name for name in DETECTORS if name != STRETCHED or reference != "nothing"]
    features: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for row in records.values():
        kinds = np.array(row["kinds"])
        tested = np.flatnonzero(kinds != CALIBRATION)
        at_rest, own_half = kinds == CALIBRATION, (np.arange(len(kinds)) - (kinds == CALIBRATION).sum()) // 5
        intervals, codes = np.array(row["intervals"], dtype=float), np.array(row["codes"], dtype=float)
        rr = mean_known(intervals[:, :, 0].T)
        stretched = np.array(row["stretched"], dtype=float)
        whole = {"heart rate": 60000 / rr[:, None], "intervals": mean_known(np.moveaxis(intervals, 1, 0)),
                 "codes": codes.reshape(len(kinds), -1)}  # fmt: skip
        if reference != "nothing":
            whole["heart rate"] = whole["heart rate"] / mean_known(whole["heart rate"][at_rest])
            for name in ("intervals", "codes"):
                whole[name] = whole[name] - mean_known(whole[name][at_rest])
            whole[STRETCHED] = stretched - mean_known(stretched[at_rest])
        if reference == "rest and exercise":
            known = [(kinds != DRUG) & (at_rest | (own_half != tested_half)) for tested_half in (0, 1)]
            lines = [_about_lines(intervals, codes, stretched, rr, seen) for seen in known]
            for name in ("intervals", "codes", STRETCHED):
                whole[name] = np.where((own_half == 0)[:, None], lines[0][name], lines[1][name])
        whole[ALL] = np.concatenate([whole["intervals"], whole["codes"]], axis=1)
        subject += [row["subject"]] * len(tested)
        half += own_half[tested].tolist()
        kind += kinds[tested].tolist()
        for name in names:
            features[name].append(whole[name][tested])
    joined = {name: np.concatenate(parts) for name, parts in features.items()}
    return Windows(np.array(subject), np.array(half), np.array(kind), joined)


def _about_lines(
    intervals: NDArray[np.float64],
    codes: NDArray[np.float64],
    stretched: NDArray[np.float64],
    rr: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """Return the features of all minutes about the lines that the known ones give."""
    lengths = intervals[:, :, LENGTHENED]
    rest, variance = from_own_line(lengths.reshape(len(rr), -1), rr, known, smallest=SMALLEST["intervals"])
    weight = np.where(np.isfinite(rest), 1 / variance, 0).reshape(lengths.shape)
    sums = (np.nan_to_num(rest).reshape(lengths.shape) * weight).sum(axis=1)
    with np.errstate(invalid="ignore"):
        found = sums / np.sqrt(weight.sum(axis=1))  # NaN where no channel shows anything
    rest, variance = from_own_line(codes.reshape(len(rr), -1), rr, known, smallest=SMALLEST["codes"])
    sizes = mean_known(np.moveaxis((rest**2 / variance).reshape(codes.shape), 2, 0))
    rest, variance = from_own_line(stretched[:, 1:], rr, known, smallest=SMALLEST[STRETCHED])
    return {"intervals": found, "codes": np.log(sizes + 0.1), STRETCHED: rest / np.sqrt(variance)}


def from_own_line(
    values: NDArray[np.float64], rr: NDArray[np.float64], known: NDArray[np.bool_], *, smallest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far values are from lines over RR through some of them, and the variance about these lines.

    Parameters
    ----------
    values : ndarray of float64, shape (n_minutes, n_values)
        NaN where nothing was measured.
    rr : ndarray of float64, shape (n_minutes,)
        In ms.
    known : ndarray of bool, shape (n_minutes,)
        Which minutes the lines are drawn through.
    smallest : float
        Deviation that is added to the scatter.

    Returns
    -------
    distances : ndarray of float64, shape (n_minutes, n_values)
    variances : ndarray of float64, shape (n_values,)
        NaN where fewer than three minutes are known, as the distances.
    """
    there = np.isfinite(values[known]) & np.isfinite(rr[known])[:, None]
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_mean = (there * np.nan_to_num(rr[known])[:, None]).sum(axis=0) / count
        y_mean = np.where(there, values[known], 0).sum(axis=0) / count
        x = there * (np.nan_to_num(rr[known])[:, None] - x_mean) / 100
        y = np.where(there, values[known] - y_mean, 0)
        slope = (x * y).sum(axis=0) / ((x**2).sum(axis=0) + RIDGE)
        variance = ((y - slope * x) ** 2).sum(axis=0) / (count - 1) + smallest**2
    variance = np.where(count >= 3, variance, np.nan)
    distances = values - y_mean - slope * (rr[:, None] - x_mean) / 100
    return np.where(count >= 3, distances, np.nan), variance


def mean_known(values: NDArray[np.float64] | Sequence[Any]) -> NDArray[np.float64]:
    """Return the mean over the first axis, NaN where nothing is known."""
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)
