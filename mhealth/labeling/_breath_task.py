"""The phases of breathing as a labeling task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES
from mhealth.crf import BREATH_GRAMMAR
from mhealth.dsp import BREATH_RATES, BreathQuality
from mhealth.labeling._augment import Noise
from mhealth.labeling._breath_context import BreathContext
from mhealth.labeling._examples import LeadCase, lead_cases
from mhealth.labeling._features import FeatureSettings
from mhealth.labeling._front_end import FrontEnd
from mhealth.labeling._task import Task
from mhealth.segmentation import BreathSegmenter
from mhealth.simulate import RespirationKind, random_stretches, synthetic_respiration
from mhealth.sparse import Window

__all__ = ["FARTHEST_TOP", "RESPIRATION", "RESPIRATION_MCU", "SHORTEST_PAUSE", "made_cases"]

INSPIRATION, EXPIRATION, PAUSE = BREATH_PHASES

SHORTEST_PAUSE = 10.0
"""Seconds from which on held breath is a pause, as in the definition of apnoea (AASM 2012)."""

_TROUGH = 0.1
"""Share of a breath's rise up to which the signal counts as its trough: inspiration may have begun, or not yet."""

_SLOW = 2.5
"""Seconds of an inspiration from which on it is slow: 10 breaths a minute, where candidates beside the top may be more
than half a second off it."""

_TOP, FARTHEST_TOP, _SMOOTHED = 0.05, 1.5, 0.3
"""The top of a breath: share of the rise, seconds from the labelled end, seconds of smoothing. Simulated belts at 4 to
6 breaths a minute, clean, worn, badly worn: F1 at 0.5 s 98.0, 89.7, 65.3 % with a share of 0.05, with 0.02 98.3, 89.0,
65.0, with 0.1 96.7, 88.7, 62.6."""

_LONGEST_BREATH = 15.0
"""Seconds between two marked breaths beyond which there may have been a pause: 4 breaths a minute."""


def _between(before: str, after: str, seconds: float) -> tuple[str, ...]:
    """Return the phase before, which goes on; and a pause where two breaths are far apart."""
    if (before, after) == (EXPIRATION, INSPIRATION) and seconds > SHORTEST_PAUSE - 2.0:
        return EXPIRATION, PAUSE
    return (before,)


def completed(case: LeadCase) -> LeadCase:
    """Add what the signal says where only the ends of inspirations are marked.

    An expiration starts at each of them. It goes on until the signal comes near its extremum before the next mark, the
    trough, and the next inspiration is on its way when the signal leaves it; in between, either may be. Where marks lie
    far apart nothing is said but at the marks. The side of the trough is that on which the signal lies between marks.
    """
    waves = case.waves
    if not len(waves) or set(case.labels) != {INSPIRATION} or np.isfinite(waves[:, :2]).any():
        return case
    ends = waves[:, 2]
    inside = ends[(ends >= 0) & (ends < len(case.samples))].astype(np.int64)
    signal = case.samples.astype(np.float64)
    if np.nanmean(signal[inside]) < np.nanmean(signal):
        signal = -signal
    rows: list[tuple[float, float, float]] = []
    labels: list[str] = []
    for k, end in enumerate(ends):
        trough = _trough(signal, ends[k - 1], end, case.fs) if k else None
        rows.append((np.nan, trough[1] if trough else end - 1, end))
        following = _trough(signal, end, ends[k + 1], case.fs) if k + 1 < len(ends) else None
        rows.append((end, following[0] if following else end + 1, np.nan))
        labels += [INSPIRATION, EXPIRATION]
    return replace(case, waves=np.array(rows), labels=labels)


def _trough(signal: NDArray[np.float64], start: float, stop: float, fs: float) -> tuple[float, float] | None:
    """Return the first and last sample near the lowest one between two marks; None if they are too far apart."""
    first, last = max(0, int(start)), min(len(signal), int(stop) + 1)
    if not 3 <= last - first <= _LONGEST_BREATH * fs or np.isnan(signal[first:last]).any():
        return None
    part = signal[first:last]
    low = np.flatnonzero(part <= part.min() + _TROUGH * (part.max() - part.min()))
    return float(first + low[0]), float(first + low[-1])


def refined(
    raw: NDArray[np.float32], raw_start: int, fs: float, states: NDArray[np.int64], waves: NDArray[np.int64]
) -> None:
    """Move the end of each slow inspiration to the middle of its top.

    The top of a slow breath is broad, and noise decides where in it the signal is highest. Its middle, between the
    moments at which the signal comes to and leaves the upper twentieth of the rise, is steadier.
    """
    from scipy.ndimage import uniform_filter1d

    slow = (
        (states == BREATH_GRAMMAR.index(INSPIRATION)) & (waves[:, 2] - waves[:, 0] >= _SLOW * fs) & (waves[:, 0] >= 0)
    )
    reach = round(FARTHEST_TOP * fs)
    for k in np.flatnonzero(slow):
        wave = waves[k]
        first, end = wave[0] - raw_start, wave[2] - raw_start
        known = raw[first : end + reach].astype(np.float64)
        known = known[: int(np.argmax(np.append(np.isnan(known), True)))]
        if len(known) < end - first:
            continue
        part = uniform_filter1d(known, max(1, round(_SMOOTHED * fs)))
        low = max(0, end - first - reach)
        peak = low + int(np.argmax(part[low:]))
        below = part < part[peak] - _TOP * (part[peak] - part[0])
        before, after = np.flatnonzero(below[:peak]), np.flatnonzero(below[peak:])
        start = int(before[-1]) + 1 if len(before) else 0
        stop = peak + int(after[0]) if len(after) else len(part)
        wave[2] = wave[0] + (start + stop) // 2


def augmented(case: LeadCase, rng: np.random.Generator, noise: Noise) -> LeadCase:
    """Return another person's breathing, in a worse recording: faster or slower, drifting, noisy, rippled, clipped.

    Parameters
    ----------
    case : LeadCase
    rng : numpy.random.Generator
        Source of every draw.
    noise : list of (samples, fs)
        Not used: no noise of breathing sensors is recorded.
    """
    from scipy.ndimage import gaussian_filter1d

    signal = case.samples.astype(np.float64)
    low, high = np.nanpercentile(signal, (5, 95))
    size, n = high - low, len(signal)
    drift = gaussian_filter1d(rng.standard_normal(n), rng.uniform(5.0, 20.0) * case.fs)
    signal = signal + drift / max(drift.std(), 1e-12) * size * np.exp(rng.uniform(-4.0, -1.5))
    hiss = gaussian_filter1d(rng.standard_normal(n), rng.uniform(0.02, 0.1) * case.fs)
    signal = signal + hiss / max(hiss.std(), 1e-12) * size * np.exp(rng.uniform(-6.0, -2.5))
    heart = np.sin(2 * np.pi * rng.uniform(0.8, 2.0) * np.arange(n) / case.fs)
    signal = signal + heart * size * np.exp(rng.uniform(-6.0, -1.5))
    if rng.random() < 0.2:
        signal = signal.clip(low + rng.uniform(-0.2, 0.15) * size, high - rng.uniform(-0.2, 0.15) * size)
    fs = float(np.clip(case.fs * np.exp(rng.uniform(-0.6, 0.6)), BREATH_RATES.lowest, BREATH_RATES.highest))
    return replace(case, samples=signal.astype(np.float32), fs=round(fs, 1))


def made_cases(rng: np.random.Generator, count: int) -> Iterator[LeadCase]:
    """Yield simulated recordings of four minutes: what few real ones show, with exact truth.

    A third of them at 8 to 30 breaths a minute, a third slower, a third faster; two in five with pauses; the heart up
    to half as large as a breath, where nobody would take it for one.
    """
    kinds: tuple[RespirationKind, ...] = ("belt", "impedance")
    rates = (8.0, 30.0), (4.0, 8.0), (30.0, 70.0)
    for k in range(count):
        duration = 240.0
        rate = float(np.exp(rng.uniform(*np.log(rates[k % len(rates)]))))
        seed = int(rng.integers(2**31))
        held = random_stretches(duration, per_hour=45.0, lengths=(SHORTEST_PAUSE, 60.0), seed=seed)
        recording, annotation = synthetic_respiration(
            fs=20.0,
            duration=duration,
            rate=rate,
            kind=kinds[k % len(kinds)],
            rate_variability=float(rng.uniform(0.02, 0.25)),
            inspiration_share=float(rng.uniform(0.3, 0.5)),
            share_variability=float(rng.uniform(0.02, 0.2)),
            depth_variability=float(rng.uniform(0.05, 0.4)),
            pauses=held if rng.random() < 0.4 else (),
            heart_rate=float(rng.uniform(50.0, 110.0)),
            ripple=float(np.exp(rng.uniform(-4.5, -0.7 if rate < 20.0 else -2.3))),
            drift=float(rng.uniform(0.0, 0.5)),
            noise=float(np.exp(rng.uniform(-6.0, -3.0))),
            limits=(-0.1, float(rng.uniform(0.6, 1.1))) if rng.random() < 0.15 else None,
            seed=seed,
        )
        yield from lead_cases(recording, annotation)


RESPIRATION = Task(
    kind="respiration",
    grammar=BREATH_GRAMMAR,
    rates=BREATH_RATES,
    front_end=FrontEnd(
        segmenter=BreathSegmenter(),
        quality=BreathQuality(),
        features=FeatureSettings(
            rate=10.0,
            # The turn, the breath, the breaths before.
            windows=(
                Window(before=1.0, after=1.0, n_points=20),
                Window(before=4.0, after=2.0, n_points=30, detrend="linear"),
                Window(before=14.0, after=2.0, n_points=40, detrend="linear"),
            ),
            knee=1.0,
            lookahead=2.0,
            warm_up=4.0,
            context=BreathContext(),
        ),
    ),
    # Of a slow breath the top is broad, and of a clipped one a plateau: experts mark the middle.
    farthest_edge=0.6,
    shift_unit=0.2,
    gaps=(PAUSE,),
    between=_between,
    # Half the breaths that a bonus adds are ripple: the error of their number doubles.
    eager=(),
    doubtful=(),
    # A breath counts by its peak, and a pause by its length so far.
    cut={"start": (INSPIRATION, EXPIRATION, PAUSE), "end": (EXPIRATION, PAUSE)},
    refined=refined,
    point="offset",
    tolerance=0.5,
    completed=completed,
    augmented=augmented,
)
"""Inspirations, expirations and pauses."""

RESPIRATION_MCU = replace(RESPIRATION, budget="cortex-m3")
"""The same for a microcontroller: the last 16 s are 160 samples."""
