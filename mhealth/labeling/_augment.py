"""Annotated leads as another heart, electrode or walk might have given them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._examples import LeadCase

__all__ = ["Noise", "augmented"]

Noise = list[tuple[NDArray[np.float32], float]]
"""Recorded noise: samples without gaps, and their rate in Hz."""


@dataclass
class _Shape:
    """What becomes of one wave: its size above the chord between its edges, and its duration."""

    size: float = 1.0
    duration: float = 1.0


def augmented(case: LeadCase, rng: np.random.Generator, noise: Noise) -> LeadCase:
    """Return a lead with other waves, another rhythm, and more noise, and the marks that go with it.

    What few recordings show is drawn more often than it occurs: broad QRS complexes, ectopic beats, flat and negative
    T waves, atrial fibrillation (no P waves, an irregular rhythm, fibrillatory waves), an irregular rhythm with P
    waves, either polarity, a start or end in the middle, wearing noise. Shapes are changed between an expert's edges,
    so that the marks stay exact.

    Parameters
    ----------
    case : LeadCase
    rng : numpy.random.Generator
        Source of every draw.
    noise : list of (samples, fs)
        Recorded noise to mix in.
    """
    shapes, irregular, fibrillating = _draw_shapes(case, rng)
    signal, reshaped = _reshape(case, shapes)
    signal, waves, annotated = _warp(signal, case, shapes, irregular, rng)
    finite = signal[np.isfinite(signal)]
    size = float(np.percentile(finite, 99) - np.percentile(finite, 1)) if len(finite) else 0.0
    if fibrillating:
        signal = signal + _fibrillation(len(signal), case.fs, rng) * size * np.exp(rng.uniform(-4.2, -2.5))
    if rng.random() < 0.5:
        signal = -signal
    signal = signal + _wearing(len(signal), case.fs, rng, noise) * size
    waves = waves[[label is not None for label in reshaped]]
    labels = [label for label in reshaped if label is not None]
    signal, waves, labels, annotated = _cut(signal, waves, labels, annotated, rng)
    # Read at a rate up to 22 % off: another heart rate, all waves alike. Whole multiples of 5 Hz keep resampling cheap.
    fs = float(np.clip(5 * np.round(case.fs * np.exp(rng.uniform(-0.2, 0.2)) / 5), 100.0, 2000.0))
    return replace(
        case,
        samples=signal.astype(np.float32),
        fs=fs,
        waves=waves,
        labels=labels,
        annotated=annotated,
    )


def _draw_shapes(case: LeadCase, rng: np.random.Generator) -> tuple[list[_Shape], bool, bool]:
    """Draw what becomes of each wave, whether the rhythm is irregular, and whether the atria fibrillate."""

    def factor(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(low, high))) if rng.random() < 0.5 else 1.0

    def sign(negative: float) -> float:
        return -1.0 if rng.random() < negative else 1.0

    usual = {
        "P": _Shape(size=factor(-1.0, 0.6), duration=factor(-0.2, 0.3)),
        "QRS": _Shape(size=factor(-0.7, 0.3), duration=factor(-0.25, 0.5)),
        "T": _Shape(size=factor(-0.9, 0.6) * sign(0.1), duration=factor(-0.2, 0.35)),
    }
    if (
        rng.random() < 0.2
    ):  # as in bundle branch block: all complexes broad, T waves of either sign, P waves as they were
        usual["QRS"].duration = rng.uniform(1.3, 2.2)
        usual["T"] = _Shape(size=rng.uniform(0.7, 2.0) * sign(0.5), duration=rng.uniform(1.0, 1.4))
    rhythm = rng.random()
    fibrillating = rhythm < 0.1
    irregular = rhythm < 0.22
    ectopic_share = 0.2 if rng.random() < 0.25 else 0.0
    shapes = [replace(usual[label]) if label in usual else _Shape() for label in case.labels]
    for k, label in enumerate(case.labels):
        if label == "P" and fibrillating:
            shapes[k].size = 0.0
        if label == "QRS" and rng.random() < ectopic_share:
            # Broad, of either sign, T wave opposite to it. Only every second one loses its P wave: else the model
            # would take every broad complex for one without.
            side = sign(0.5)
            shapes[k] = _Shape(size=side * rng.uniform(0.8, 1.8), duration=rng.uniform(1.4, 2.3))
            if k > 0 and case.labels[k - 1] == "P" and rng.random() < 0.5:
                shapes[k - 1].size = 0.0
            if k + 1 < len(shapes) and case.labels[k + 1] == "T":
                shapes[k + 1] = _Shape(size=-side * rng.uniform(0.7, 2.0), duration=rng.uniform(1.0, 1.4))
    return shapes, irregular, fibrillating


def _reshape(case: LeadCase, shapes: list[_Shape]) -> tuple[NDArray[np.float64], list[str | None]]:
    """Scale waves above their chords; a wave of size 0 loses its mark. Waves without both edges stay as they are."""
    signal, labels = case.samples.astype(np.float64), list[str | None](case.labels)
    for k, shape in enumerate(shapes):
        onset, _, offset = case.waves[k]
        if not (np.isfinite(onset) and np.isfinite(offset)):
            shapes[k] = _Shape()
            continue
        first, last = max(0, int(onset)), min(len(signal), int(offset) + 1)
        if last - first < 3:
            continue
        chord = np.linspace(signal[first], signal[last - 1], last - first)
        signal[first:last] = chord + shape.size * (signal[first:last] - chord)
        if shape.size == 0.0:
            labels[k] = None
    return signal, labels


def _warp(
    signal: NDArray[np.float64], case: LeadCase, shapes: list[_Shape], irregular: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    """Stretch time: each wave by its own factor, pauses by factors of their own where the rhythm is irregular."""
    pace, waves = np.ones(len(signal)), case.waves
    if irregular:
        r_peaks = [int(w[1]) for w, label in zip(waves, case.labels, strict=True) if label == "QRS" and w[1] >= 0]
        for start, stop in pairwise(r_peaks):
            pace[start:stop] = np.exp(rng.normal(0.0, 0.25))
    for shape, (onset, _, offset) in zip(shapes, waves, strict=True):
        if np.isfinite(onset) and np.isfinite(offset):
            pace[max(0, int(onset)) : int(offset)] = shape.duration
    if (pace == 1.0).all():
        return signal, waves, case.annotated
    at = np.concatenate([[0.0], np.cumsum(pace)[:-1]])  # where each sample goes
    warped = np.interp(np.arange(int(at[-1]) + 1), at, signal)
    moved = np.interp(waves.ravel(), np.arange(len(at)), at).reshape(waves.shape)
    moved[~np.isfinite(waves)] = np.nan
    ends = np.interp(case.annotated, np.arange(len(at)), at)
    return warped, moved, (round(ends[0]), round(ends[1]))


def _cut(
    signal: NDArray[np.float64],
    waves: NDArray[np.float64],
    labels: list[str],
    annotated: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str], tuple[int, int]]:
    """Let the signal start or end among marked waves, as after a dropout: experts leave the first and last beat out.

    Each with a probability of 0.3, up to 40 % into the annotated stretch. A wave that is cut loses its mark, and the
    stretch starts or ends beside it.
    """
    start, stop = annotated
    length = stop - start
    first = int(start + rng.uniform(0.0, 0.4) * length) if rng.random() < 0.3 else 0
    last = int(stop - rng.uniform(0.0, 0.4) * length) if rng.random() < 0.3 else len(signal)
    begins = np.nanmin(waves, axis=1) if len(waves) else np.empty(0)
    ends = np.nanmax(waves, axis=1) if len(waves) else np.empty(0)
    kept = (begins >= first) & (ends < last)
    start = max([start, first, *(int(end) + 1 for end in ends[(begins < first) & (ends >= first)])])
    stop = min([stop, last, *(int(begin) for begin in begins[(begins < last) & (ends >= last)])])
    return (
        signal[first:last],
        waves[kept] - first,
        [label for label, keep in zip(labels, kept, strict=True) if keep],
        (start - first, max(start, stop) - first),
    )


def _fibrillation(n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return fibrillatory waves: a sawtooth-like oscillation of 4 to 9 Hz that wanders in rate and size."""
    from scipy.ndimage import gaussian_filter1d

    wander = gaussian_filter1d(rng.standard_normal(n), 0.3 * fs)
    rate = rng.uniform(4.0, 9.0) * np.exp(0.15 * wander / max(wander.std(), 1e-12))
    phase = 2 * np.pi * np.cumsum(rate) / fs
    swell = gaussian_filter1d(rng.standard_normal(n), 0.5 * fs)
    return (np.sin(phase) + 0.4 * np.sin(2 * phase + 1.0)) * np.exp(0.4 * swell / max(swell.std(), 1e-12))


def _wearing(n: int, fs: float, rng: np.random.Generator, noise: Noise) -> NDArray[np.float64]:
    """Return what wearing adds, as a share of the signal's size: drift, hiss and recorded noise."""
    from scipy.ndimage import gaussian_filter1d

    # Widths in seconds: drift below 0.5 Hz, hiss to tremor. Levels log-uniform, 1/110 to 1/7 and 1/800 to 1/40.
    parts = [
        (gaussian_filter1d(rng.standard_normal(n), rng.uniform(0.24, 0.8) * fs), rng.uniform(-4.7, -1.9)),
        (gaussian_filter1d(rng.standard_normal(n), rng.uniform(0.0012, 0.012) * fs), rng.uniform(-6.7, -3.7)),
    ]
    if noise and rng.random() < 0.5:
        samples, rate = noise[rng.integers(len(noise))]
        length = int(np.ceil(n / fs * rate)) + 1
        start = int(rng.integers(max(1, len(samples) - length)))
        piece = samples[start : start + length].astype(np.float64)
        piece = np.interp(np.arange(n) / fs * rate, np.arange(len(piece)), piece)
        parts.append((piece - piece.mean(), rng.uniform(-4.5, -1.8)))
    return np.sum([part / max(part.std(), 1e-12) * np.exp(level) for part, level in parts], axis=0)
