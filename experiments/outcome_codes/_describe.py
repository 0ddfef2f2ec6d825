"""What ten seconds of a lead look like: intervals, sparse codes in several ways, a network's inner features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.drug_effect._windows import N_NONZERO, beat_windows
from experiments.outcome_codes._design import BAG, BEATS, INTERVALS, NETWORK, NGRAMS, REFINED
from experiments.personalisation._models import WAVE, candidates
from mhealth.core import Recording, Spans
from mhealth.intervals import ecg_intervals, qtc_fridericia
from mhealth.labeling import EcgLabeler
from mhealth.labeling._features import Features, code
from mhealth.sparse import Dictionary, omp

__all__ = ["INTERVAL_NAMES", "Describer", "Inner"]

INTERVAL_NAMES = (
    "rr", "pr", "qrs", "qt", "qtc", "spread of rr", "spread of pr", "spread of qrs", "spread of qt",
    "change of rr", "share with p",
)  # fmt: skip
"""Medians over beats in ms, interquartile ranges relative to these, the median change of RR from beat to beat relative
to RR, and the share of beats with a P wave."""

FEWEST = 3
"""Beats with an interval; from fewer nothing is measured."""


@dataclass(frozen=True, eq=False)
class Describer:
    """Everything that was learned from other recordings.

    Parameters
    ----------
    labeler : EcgLabeler
    symbols : Dictionary
        Of few atoms, of windows 0.4 s to either side: the alphabet of n-grams.
    beats : Dictionary
        Of whole beats.
    inner : Inner, optional
        A network's inner features.
    """

    labeler: EcgLabeler
    symbols: Dictionary
    beats: Dictionary
    inner: Inner | None = None

    def describe(self, recording: Recording) -> dict[str, NDArray[np.float64]]:
        """Return the descriptions of a recording of one lead, NaN where nothing could be measured."""
        model = self.labeler.model_
        raw = candidates(model, recording)
        labels = self.labeler.label(recording)
        features = code(raw, model.dictionaries, model.n_nonzero)
        found = {
            INTERVALS: intervals(labels),
            BAG: bag(features, 2 * sum(dictionary.n_atoms for dictionary in model.dictionaries)),
            NGRAMS: transitions(self.symbols_of(raw.windows[WAVE]), 2 * self.symbols.n_atoms),
            BEATS: self.beats_of(recording, labels),
            REFINED: refined(self.labeler, features),
        }
        if self.inner is not None:
            found[NETWORK] = self.inner.describe(recording)
        return found

    def symbols_of(self, windows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return which atom is strongest in each window, its negative counting as another."""
        codes = omp(windows, self.symbols, n_nonzero=1)
        symbol = codes.support[:, 0].astype(np.int64) + self.symbols.n_atoms * (codes.coefficient[:, 0] < 0)
        return symbol[codes.support[:, 0] >= 0]

    def beats_of(self, recording: Recording, labels: Spans) -> NDArray[np.float64]:
        """Return mean, standard deviation and mean change from beat to beat of the coefficients of each atom."""
        peaks = labels.of(label="QRS").peak
        windows = beat_windows(recording, 0, peaks[peaks >= 0])
        if len(windows) < FEWEST:
            return np.full(3 * self.beats.n_atoms, np.nan)
        codes = omp(windows, self.beats, n_nonzero=N_NONZERO).to_dense().astype(float)
        return np.concatenate([codes.mean(axis=0), codes.std(axis=0), np.abs(np.diff(codes, axis=0)).mean(axis=0)])


def intervals(labels: Spans) -> NDArray[np.float64]:
    """Return `INTERVAL_NAMES` of the beats."""
    beats = ecg_intervals(labels)
    rr = 1000 * beats.rr_s
    measures = (rr, beats.pr_ms, beats.qrs_ms, beats.qt_ms, qtc_fridericia(beats.qt_ms, beats.rr_s))
    known = [values[np.isfinite(values)] for values in measures]
    medians = [np.median(values) if len(values) >= FEWEST else np.nan for values in known]
    spreads = [
        np.subtract(*np.quantile(values, (0.75, 0.25))) / median if len(values) >= FEWEST else np.nan
        for values, median in zip(known[:4], medians, strict=False)
    ]
    change = np.median(np.abs(np.diff(known[0]))) / medians[0] if len(known[0]) >= FEWEST else np.nan
    share = np.isfinite(beats.pr_ms).mean() if len(beats) >= FEWEST else np.nan
    return np.array([*medians, *spreads, change, share])


def bag(features: Features, n_columns: int) -> NDArray[np.float64]:
    """Return the mean code over all candidates, signs apart, shape (n_columns,)."""
    total, used = np.zeros(n_columns), features.columns >= 0
    np.add.at(total, features.columns[used], features.values[used])
    return total / max(1, len(used))


def transitions(symbols: NDArray[np.int64], n_symbols: int) -> NDArray[np.float64]:
    """Return the root of the share of each pair of successive symbols (bigrams), shape (n_symbols²,).

    Roots of shares lie as far apart as the distributions do in Hellinger's distance; rare pairs are heard.
    """
    pairs = symbols[:-1] * n_symbols + symbols[1:]
    return np.sqrt(np.bincount(pairs, minlength=n_symbols**2) / max(1, len(pairs)))


def refined(labeler: EcgLabeler, features: Features) -> NDArray[np.float64]:
    """Return mean and standard deviation over candidates of the codes that the CRF reads."""
    emission = labeler.model_.emission
    n = len(emission.second_threshold)
    passing = replace(emission, last=np.eye(n, dtype=np.float32), bias=np.zeros(n, np.float32))
    codes = passing.outputs(features).astype(float)
    if not len(codes):
        return np.zeros(2 * n)
    return np.concatenate([codes.mean(axis=0), codes.std(axis=0)])


class Inner:
    """The features of a U-Net at its lowest rate, where it sees the beats around.

    Parameters
    ----------
    path : Path
        ``.keras`` file of the network.

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    """

    def __init__(self, path: Path) -> None:
        from mhealth.nn import load_keras, require_tensorflow

        keras = require_tensorflow().keras
        network = load_keras(path)
        last = [layer.name for layer in network.layers if layer.name.startswith("residual")][-1]
        self._inside: Any = keras.Model(network.input, network.get_layer(last).output)
        self._length = int(network.input.shape[1])

    def describe(self, recording: Recording) -> NDArray[np.float64]:
        """Return mean and standard deviation over time of each feature, of a recording that fits into one block."""
        from mhealth.nn import NetworkInput

        lead = recording.signals[:, 0]
        if recording.fs != 250.0:
            from mhealth.dsp import Resampler

            stream = Resampler(rate=250.0).open(fs=recording.fs)
            lead = np.concatenate([stream.push(lead), stream.flush()])
        inputs = NetworkInput().prepare(np.nan_to_num(lead[: self._length]), fs=250.0)
        block = np.zeros((1, self._length, inputs.shape[1]), np.float32)
        block[0, : len(inputs)] = inputs
        found = np.asarray(self._inside(block, training=False))[0].astype(float)
        found = found[: max(1, len(found) * len(inputs) // self._length)]
        return np.concatenate([found.mean(axis=0), found.std(axis=0)])
