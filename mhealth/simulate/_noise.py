"""What wearing a recorder adds to its signals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Recording
from mhealth.errors import InvalidParameterError

__all__ = ["NoiseKind", "add_noise"]

_Floats = NDArray[np.float64]

NoiseKind = Literal["white", "pink", "baseline", "mains", "motion", "muscle"]

MUSCLE_BAND = (20.0, 150.0)
"""Hz; surface electromyogram."""

BASELINE_BAND = (0.05, 0.5)
"""Hz; breathing and slow polarisation of the electrodes."""


def add_noise(recording: Recording, kind: NoiseKind, *, snr_db: float, seed: int = 0, mains: float = 50.0) -> Recording:
    """Add one kind of noise to every channel.

    Parameters
    ----------
    recording : Recording
        Left as it is.
    kind : {"white", "pink", "baseline", "mains", "motion", "muscle"}
        White; 1/f; slow wander below 0.5 Hz; a sine at the mains frequency; bumps as of an electrode that is touched,
        six a minute; muscle activity from 20 to 150 Hz in bursts of one to three seconds, four a minute.
    snr_db : float
        Power of the channel about its mean, divided by that of the noise over the whole recording, in dB.
    seed : int
        Seed of everything random; channels get independent noise.
    mains : float, default=50.0
        Mains frequency in Hz.

    Returns
    -------
    recording : Recording
        With noise; missing samples stay missing, a channel without any power stays as it is.

    Raises
    ------
    InvalidParameterError
        If the kind is unknown or `snr_db` not finite.
    """
    if kind not in get_args(NoiseKind):
        raise InvalidParameterError(f"kind={kind!r} must be one of {get_args(NoiseKind)}.")
    if not math.isfinite(snr_db):
        raise InvalidParameterError(f"snr_db={snr_db!r} must be a finite number of dB.")
    signals = recording.signals.astype(np.float64)
    generators = np.random.default_rng(seed).spawn(signals.shape[1])
    for column, rng in zip(signals.T, generators, strict=True):
        present = np.isfinite(column)
        if not present.any():
            continue
        noise = _noise(kind, len(column), recording.fs, mains, rng)
        power = np.mean(noise[present] ** 2)
        if power > 0:
            column += noise * math.sqrt(column[present].var() / power / 10 ** (snr_db / 10))
    return replace(recording, signals=signals.astype(np.float32))


def _noise(kind: NoiseKind, n: int, fs: float, mains: float, rng: np.random.Generator) -> _Floats:
    """Return noise of any power."""
    times = np.arange(n) / fs
    minutes = n / fs / 60
    match kind:
        case "white":
            return rng.standard_normal(n)
        case "pink":
            return _coloured(n, fs, lambda f: 1 / np.sqrt(np.maximum(f, fs / n)), rng)
        case "baseline":
            frequencies, phases = rng.uniform(*BASELINE_BAND, 8), rng.uniform(0, 2 * np.pi, 8)
            return sum(np.sin(2 * np.pi * f * times + phase) for f, phase in zip(frequencies, phases, strict=True))
        case "mains":
            return np.sin(2 * np.pi * mains * times + rng.uniform(0, 2 * np.pi))
        case "motion":
            n_bumps = max(1, round(6 * minutes))
            centres, widths = rng.uniform(0, n / fs, n_bumps), rng.uniform(0.05, 0.3, n_bumps)
            heights = rng.choice([-1.0, 1.0], n_bumps) * rng.uniform(0.5, 1.0, n_bumps)
            return _bumps(times, centres, widths, heights)
        case "muscle":
            n_bursts = max(1, round(4 * minutes))
            centres, widths = rng.uniform(0, n / fs, n_bursts), rng.uniform(0.2, 0.6, n_bursts)
            activity = _coloured(n, fs, lambda f: (f >= MUSCLE_BAND[0]) & (f <= MUSCLE_BAND[1]), rng)
            return activity * _bumps(times, centres, widths, np.ones(n_bursts))


def _coloured(n: int, fs: float, gain: Callable[[NDArray], NDArray], rng: np.random.Generator) -> _Floats:
    """Return Gaussian noise whose spectrum follows `gain`, a function of frequency in Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    return np.fft.irfft(spectrum * gain(np.fft.rfftfreq(n, 1 / fs)), n)


def _bumps(times: _Floats, centres: _Floats, widths: _Floats, heights: _Floats) -> _Floats:
    """Return a sum of Gaussians over time."""
    total = np.zeros(len(times))
    for centre, width, height in zip(centres, widths, heights, strict=True):
        near = slice(*np.searchsorted(times, [centre - 6 * width, centre + 6 * width]))
        total[near] += height * np.exp(-(((times[near] - centre) / width) ** 2) / 2)
    return total
