"""Annotated leads as another heart, electrode or walk might have given them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._examples import LeadCase

__all__ = ["HARD", "USUAL", "Noise", "Wearing", "augmented"]

Noise = list[tuple[NDArray[np.float32], float]]
"""Recorded noise: samples without gaps, and their rate in Hz."""


@dataclass(frozen=True, kw_only=True)
class Wearing:
    """How often copies are as noisy as their waves are large.

    Parameters
    ----------
    loud : float
        Share of leads with such noise.
    recorded : float
        Share of it that was recorded, where any is at hand; the rest is hiss.
    bursts : float
        Share of it that lasts some seconds only.
    """

    loud: float
    recorded: float
    bursts: float


USUAL = Wearing(loud=1 / 8, recorded=0.6, bursts=0.5)

HARD = Wearing(loud=0.4, recorded=0.8, bursts=0.3)
"""For networks that see far enough to find in noise what several beats have in common (`experiments/noise`)."""


@dataclass
class _Shape:
    """What becomes of one wave: its size above the chord between its edges, its duration, how far it is smeared."""

    size: float = 1.0
    duration: float = 1.0
    blur: float = 0.0


@dataclass
class _Heart:
    """What becomes of a lead's waves, of the gaps behind them (as factors of time), and of its atria."""

    shapes: list[_Shape]
    gaps: NDArray[np.float64]
    fibrillating: bool


def augmented(case: LeadCase, rng: np.random.Generator, noise: Noise, *, wearing: Wearing = USUAL) -> LeadCase:
    """Return a lead with other waves, another rhythm, and more noise, and the marks that go with it.

    What few recordings show is drawn more often than it occurs: broad QRS complexes, ectopic beats that come early,
    flat and negative T waves, long and short PQ and ST segments, fast and irregular rhythms, atrial fibrillation (no P
    waves, an irregular rhythm, fibrillatory waves), either polarity, a start or end in the middle, wearing noise up to
    the size of the signal, and a lead that shows nothing but noise. Shapes are changed between an expert's edges, so
    that the marks stay exact.

    Leads that are described together share the heart, the polarity and the walk; each wears its own noise, and one in
    ten is lost, though never all of them.

    Parameters
    ----------
    case : LeadCase
    rng : numpy.random.Generator
        Source of every draw.
    noise : list of (samples, fs)
        Recorded noise to mix in.
    wearing : Wearing
    """
    heart = _draw_heart(case, rng)
    signal, reshaped = _reshape(case, heart.shapes)
    signal, waves, annotated = _warp(signal, case, heart)
    n_leads, n = signal.shape
    size = np.array([[_size(lead)] for lead in signal])
    if heart.fibrillating:
        signal = signal + _fibrillation(n, case.fs, rng) * size * np.exp(rng.uniform(-4.2, -1.9, (n_leads, 1)))
    if rng.random() < 0.5:
        signal = -signal
    detached = rng.random() < 0.03
    if detached:
        signal, reshaped = np.where(np.isfinite(signal), 0.0, signal), [None] * len(reshaped)
    signal = signal + np.stack([_wearing(n, case.fs, rng, noise, wearing) for _ in range(n_leads)]) * size
    if n_leads > 1:
        lost = np.less(rng.random(n_leads), 0.1)
        lost[rng.integers(n_leads)] = False
        signal[lost] = np.nan
    waves = waves[[label is not None for label in reshaped]]
    labels = [label for label in reshaped if label is not None]
    signal, waves, labels, annotated = _cut(signal, waves, labels, annotated, rng)
    # Read at a rate up to 22 % off: another heart rate, all waves alike. Whole multiples of 5 Hz keep resampling cheap.
    fs = float(np.clip(5 * np.round(case.fs * np.exp(rng.uniform(-0.2, 0.2)) / 5), 100.0, 2000.0))
    return replace(
        case,
        samples=np.ascontiguousarray(signal.T, np.float32).reshape(-1, *case.samples.shape[1:]),
        fs=fs,
        waves=waves,
        labels=labels,
        annotated=annotated,
    )


def _size(lead: NDArray[np.float64]) -> float:
    """Return how far a lead moves, but for its rarest samples."""
    finite = lead[np.isfinite(lead)]
    return float(np.percentile(finite, 99) - np.percentile(finite, 1)) if len(finite) else 0.0


def _draw_heart(case: LeadCase, rng: np.random.Generator) -> _Heart:
    """Draw what becomes of each wave and gap."""

    def factor(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(low, high))) if rng.random() < 0.5 else 1.0

    def sign(negative: float) -> float:
        return -1.0 if rng.random() < negative else 1.0

    usual = {
        "P": _Shape(size=factor(-1.0, 0.6), duration=factor(-0.5, 0.3)),
        "QRS": _Shape(size=factor(-0.7, 0.7), duration=factor(-0.25, 0.5)),
        "T": _Shape(size=factor(-0.9, 0.6) * sign(0.1), duration=factor(-0.3, 0.5)),
    }
    if rng.random() < 0.35:
        # As in bundle branch block: all complexes broad, T waves of either sign, P waves as they were.
        usual["QRS"].duration = rng.uniform(1.3, 2.2)
        usual["T"] = _Shape(size=rng.uniform(0.7, 2.0) * sign(0.5), duration=rng.uniform(1.0, 1.4))
    rhythm = rng.random()
    fibrillating = rhythm < 0.17
    shapes = [replace(usual[label]) if label in usual else _Shape() for label in case.labels]
    if fibrillating:
        for shape, label in zip(shapes, case.labels, strict=True):
            if label == "P":
                shape.size = 0.0
    gaps = _draw_gaps(case, rng, irregular=rhythm < 0.27)
    ectopic_share = 0.25 if rng.random() < 0.25 else 0.0
    for k, label in enumerate(case.labels):
        if label != "QRS" or rng.random() >= ectopic_share:
            continue
        # Broad, smooth, of either sign, T wave opposite to it, early with a pause behind it. Only every second one
        # loses its P wave: else the model would take every broad complex for one without.
        side = sign(0.5)
        shapes[k] = _Shape(
            size=side * rng.uniform(0.8, 1.8), duration=rng.uniform(1.4, 2.5), blur=rng.uniform(0.0, 0.2)
        )
        first = k
        if k > 0 and case.labels[k - 1] == "P":
            first = k - 1
            if rng.random() < 0.35:
                shapes[first].size = 0.0
        if first > 0:
            gaps[first - 1] *= rng.uniform(0.05, 1.0)
        if k + 1 < len(shapes) and case.labels[k + 1] == "T":
            shapes[k + 1] = _Shape(size=-side * rng.uniform(0.7, 2.0), duration=rng.uniform(1.0, 1.4))
            gaps[k + 1] *= rng.uniform(1.0, 2.0)
    for k, (label, shape) in enumerate(zip(case.labels, shapes, strict=True)):
        if label == "P" and shape.size == 0.0 and k > 0:
            # Nothing is left of it: part of the pause.
            shape.duration = gaps[k] = gaps[k - 1]
    return _Heart(shapes, gaps, fibrillating)


def _draw_gaps(case: LeadCase, rng: np.random.Generator, *, irregular: bool) -> NDArray[np.float64]:
    """Draw factors of the time behind each wave: to the QRS complex behind a P wave, to the T wave, in diastole."""
    # PQ segments to 0.28 s, as in first-degree block with a P wave beside the T wave before it.
    pq = rng.uniform(0.02, 0.28) if rng.random() < 0.4 else None
    st = float(np.exp(rng.uniform(-0.7, 0.7))) if rng.random() < 0.4 else 1.0
    diastole = rng.uniform(0.05, 0.6) if rng.random() < 0.25 else 1.0
    gaps = np.ones(len(case.labels))
    for k, (label, following) in enumerate(pairwise(case.labels)):
        length = (case.waves[k + 1, 0] - case.waves[k, 2]) / case.fs
        if (label, following) == ("P", "QRS"):
            gaps[k] = pq / length if pq is not None and length > 0 else 1.0
        elif (label, following) == ("QRS", "T"):
            gaps[k] = st
        else:
            gaps[k] = diastole * (np.exp(rng.normal(0.0, 0.5)) if irregular else 1.0)
    return gaps.clip(0.03, 12.0)


def _reshape(case: LeadCase, shapes: list[_Shape]) -> tuple[NDArray[np.float64], list[str | None]]:
    """Scale waves above their chords; a wave of size 0 loses its mark. Waves without both edges stay as they are.

    Leads come as rows, shape (n_leads, n_samples).
    """
    from scipy.ndimage import gaussian_filter1d

    signal, labels = np.atleast_2d(case.samples.T).astype(np.float64), list[str | None](case.labels)
    for k, shape in enumerate(shapes):
        onset, _, offset = case.waves[k]
        if not (np.isfinite(onset) and np.isfinite(offset)):
            shapes[k] = _Shape()
            continue
        first, last = max(0, int(onset)), min(signal.shape[1], int(offset) + 1)
        if last - first < 3:
            continue
        chord = np.linspace(signal[:, first], signal[:, last - 1], last - first, axis=1)
        above = signal[:, first:last] - chord
        if shape.blur:
            above = gaussian_filter1d(above, shape.blur * (last - first), mode="constant")
            above -= np.linspace(above[:, 0], above[:, -1], last - first, axis=1)
        signal[:, first:last] = chord + shape.size * above
        if shape.size == 0.0:
            labels[k] = None
    return signal, labels


def _warp(
    signal: NDArray[np.float64], case: LeadCase, heart: _Heart
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    """Stretch time: each wave and each gap between two waves by its own factor."""
    pace, waves = np.ones(signal.shape[1]), case.waves
    for k, (shape, (onset, _, offset)) in enumerate(zip(heart.shapes, waves, strict=True)):
        if not (np.isfinite(onset) and np.isfinite(offset)):
            continue
        pace[max(0, int(onset)) : int(offset)] = shape.duration
        if k + 1 < len(waves) and np.isfinite(waves[k + 1, 0]):
            pace[int(offset) : max(int(offset), int(waves[k + 1, 0]))] = heart.gaps[k]
    if (pace == 1.0).all():
        return signal, waves, case.annotated
    at = np.concatenate([[0.0], np.cumsum(pace)[:-1]])  # where each sample goes
    warped = np.stack([np.interp(np.arange(int(at[-1]) + 1), at, lead) for lead in signal])
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
    last = int(stop - rng.uniform(0.0, 0.4) * length) if rng.random() < 0.3 else signal.shape[1]
    begins = np.nanmin(waves, axis=1) if len(waves) else np.empty(0)
    ends = np.nanmax(waves, axis=1) if len(waves) else np.empty(0)
    kept = (begins >= first) & (ends < last)
    start = max([start, first, *(int(end) + 1 for end in ends[(begins < first) & (ends >= first)])])
    stop = min([stop, last, *(int(begin) for begin in begins[(begins < last) & (ends >= last)])])
    return (
        signal[:, first:last],
        waves[kept] - first,
        [label for label, keep in zip(labels, kept, strict=True) if keep],
        (start - first, max(start, stop) - first),
    )


def _fibrillation(n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return fibrillatory waves: a sawtooth-like oscillation that wanders in rate and size.

    A quarter is flutter, slower and steadier.
    """
    from scipy.ndimage import gaussian_filter1d

    slowest, fastest, unsteady = (3.5, 6.0, 0.1) if rng.random() < 0.25 else (4.0, 9.0, 1.0)
    wander = gaussian_filter1d(rng.standard_normal(n), 0.3 * fs)
    rate = rng.uniform(slowest, fastest) * np.exp(0.15 * unsteady * wander / max(wander.std(), 1e-12))
    phase = 2 * np.pi * np.cumsum(rate) / fs
    swell = gaussian_filter1d(rng.standard_normal(n), 0.5 * fs)
    return (np.sin(phase) + 0.4 * np.sin(2 * phase + 1.0)) * np.exp(0.4 * unsteady * swell / max(swell.std(), 1e-12))


def _wearing(n: int, fs: float, rng: np.random.Generator, noise: Noise, wearing: Wearing) -> NDArray[np.float64]:
    """Return what wearing adds, as a share of the signal's size: drift, hiss and recorded noise.

    In some leads the noise is as large as the waves, throughout or in a burst: what such a lead shows must count for
    little, and what it does not show for nothing.
    """
    from scipy.ndimage import gaussian_filter1d

    # Widths in seconds: drift below 0.5 Hz, hiss to tremor. Levels log-uniform, 1/110 to 1/7 and 1/800 to 1/40.
    drift = gaussian_filter1d(rng.standard_normal(n), rng.uniform(0.24, 0.8) * fs)
    parts = [(drift, rng.uniform(-4.7, -1.9)), (_hiss(n, fs, rng), rng.uniform(-6.7, -3.7))]
    if noise and rng.random() < 0.5:
        parts.append((_recorded(n, fs, rng, noise), rng.uniform(-4.5, -1.8)))
    total = np.sum([part / max(part.std(), 1e-12) * np.exp(level) for part, level in parts], axis=0)
    if rng.random() < wearing.loud:
        loud = _recorded(n, fs, rng, noise) if noise and rng.random() < wearing.recorded else _hiss(n, fs, rng)
        loud *= np.exp(rng.uniform(-3.0, -0.5)) / max(loud.std(), 1e-12)
        if rng.random() < wearing.bursts:
            start = int(rng.integers(n))
            burst = slice(start, start + int(rng.uniform(0.3, 4.0) * fs))
            loud[: burst.start] = loud[burst.stop :] = 0.0
        total += loud
    return total


def _hiss(n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise from hiss to tremor."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(rng.standard_normal(n), rng.uniform(0.0012, 0.012) * fs)


def _recorded(n: int, fs: float, rng: np.random.Generator, noise: Noise) -> NDArray[np.float64]:
    """Return a piece of recorded noise, without its mean."""
    samples, rate = noise[rng.integers(len(noise))]
    length = int(np.ceil(n / fs * rate)) + 1
    start = int(rng.integers(max(1, len(samples) - length)))
    piece = samples[start : start + length].astype(np.float64)
    piece = np.interp(np.arange(n) / fs * rate, np.arange(len(piece)), piece)
    return piece - piece.mean()
