"""A synthetic ECG of Gaussian waves, and exactly where each wave begins, peaks and ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mhealth.core import ECG_WAVES, Annotation, Recording, Spans, check_fs
from mhealth.errors import InvalidParameterError

__all__ = ["Rhythm", "synthetic_ecg"]

Rhythm = Literal["sinus", "atrial fibrillation"]

EDGE = 0.05
"""A wave begins and ends where its outermost Gaussian has this share of its height."""

REACH = math.sqrt(-2 * math.log(EDGE))
"""Distance of that point from the peak, in widths of the Gaussian."""

TAIL = 14.0
"""Widths of a Gaussian that are drawn: beyond, float32 has no number so small."""


class Component(NamedTuple):
    """One Gaussian: its time after the R peak and its widths before and after its own peak, in s; amplitude column."""

    centre: float
    before: float
    after: float
    column: int


class Wave(NamedTuple):
    """A labelled wave; `elastic` ones move and widen with the square root of the RR interval, as QT does (Bazett)."""

    label: str
    elastic: bool
    components: tuple[Component, ...]


SINUS_BEAT = (
    Wave("P", True, (Component(-0.16, 0.02, 0.02, 0),)),
    Wave("QRS", False, (
        Component(-0.025, 0.008, 0.008, 1), Component(0.0, 0.01, 0.01, 2), Component(0.025, 0.008, 0.008, 3),
    )),
    Wave("T", True, (Component(0.27, 0.055, 0.035, 4),)),
)  # fmt: skip
"""At 60 beats a minute: PR 164 ms, QRS 89 ms, QT 400 ms."""

VENTRICULAR_BEAT = (
    Wave("QRS", False, (Component(0.0, 0.022, 0.022, 5), Component(0.045, 0.022, 0.022, 6))),
    Wave("T", True, (Component(0.3, 0.055, 0.045, 7),)),
)
"""No P wave, QRS of 153 ms, T against the QRS."""

AMPLITUDES = {
    "I": (0.07, -0.05, 0.55, -0.10, 0.20, 0.9, -0.2, -0.30, 0.02),
    "II": (0.15, -0.08, 1.00, -0.15, 0.30, 1.4, -0.5, -0.45, 0.05),
    "V1": (0.06, 0.00, 0.20, -0.90, 0.10, -0.9, 0.2, 0.35, 0.10),
    "V2": (0.07, 0.00, 0.45, -1.30, 0.45, -1.4, 0.3, 0.50, 0.07),
    "V3": (0.07, -0.02, 0.80, -0.90, 0.50, -1.0, 0.4, 0.40, 0.04),
    "V4": (0.08, -0.06, 1.40, -0.50, 0.45, 1.0, -0.6, -0.40, 0.03),
    "V5": (0.08, -0.08, 1.30, -0.25, 0.35, 1.5, -0.5, -0.45, 0.03),
    "V6": (0.08, -0.08, 1.00, -0.10, 0.28, 1.2, -0.3, -0.35, 0.03),
}
"""Heights in mV: P, Q, R, S, T, the two parts of a ventricular QRS, its T, fibrillatory waves.

Our choice, within the normal range.
"""

LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
"""Leads that follow from I and II (Einthoven, Goldberger)."""

PREMATURE = 0.3
"""How early a ventricular beat comes, as a share of the RR interval; the sinus node keeps its time."""

SINUS_ARRHYTHMIA, BREATHS = 0.03, 0.25
"""Depth of the respiratory change of the RR interval, and breaths a second (McSharry et al. 2003)."""

IRREGULARITY = 0.2
"""Standard deviation of the logarithm of the RR interval in atrial fibrillation."""

FIRST_BEAT = 0.3
"""Earliest R peak in seconds: its P wave is complete at any rate."""

REFRACTORY = 0.48
"""Shortest RR interval in atrial fibrillation, in s at 60 beats a minute: the T wave is over. Scales as QT does."""


def synthetic_ecg(
    *,
    fs: float,
    duration: float,
    leads: Sequence[str] = ("I", "II"),
    heart_rate: float = 70.0,
    variability: float = 0.02,
    rhythm: Rhythm = "sinus",
    ectopic_beats: Sequence[int] = (),
    seed: int = 0,
) -> tuple[Recording, Annotation]:
    """Make a noise-free ECG with known waves.

    Every beat is a sum of Gaussians, as in [1]_, but placed in time instead of integrated along an orbit, so that
    onset, peak and offset of each wave are known exactly.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz.
    duration : float
        Length in seconds. Beats that would be cut by an end are left out.
    leads : sequence of str
        Any of the twelve standard leads.
    heart_rate : float, default=70.0
        Mean rate in beats a minute, from 30 to 150 (faster, waves would run into each other).
    variability : float, default=0.02
        Standard deviation of the RR interval in sinus rhythm as a share of it, beside the respiratory part of 3 %.
    rhythm : {"sinus", "atrial fibrillation"}
        Atrial fibrillation has no P waves, fibrillatory waves of 5 to 7 Hz, and RR intervals that vary by 20 %.
    ectopic_beats : sequence of int
        Which beats of a sinus rhythm, counted from 0, are premature ventricular beats: no P, wide QRS, opposite T,
        compensatory pause. The first beat cannot be one.
    seed : int
        Seed of everything random.

    Returns
    -------
    recording : Recording
        In mV, without noise.
    annotation : Annotation
        All waves of all leads. Onset is the first sample at which the outermost Gaussian of the wave has 5 % of its
        height, offset the first sample after the last such one; peak is the sample of the wave's largest deflection.
        A wave is given in every lead, however small it is there.

    Raises
    ------
    InvalidParameterError
        If a lead or rhythm is unknown or a number is out of range.

    References
    ----------
    .. [1] McSharry P. E., Clifford G. D., Tarassenko L., Smith L. A. (2003). A dynamical model for generating synthetic
       electrocardiogram signals. IEEE Trans. Biomed. Eng. 50, 289–294. https://doi.org/10.1109/TBME.2003.808805

    Examples
    --------
    >>> recording, truth = synthetic_ecg(fs=250, duration=10, seed=1)
    >>> recording.signals.shape
    (2500, 2)
    """
    fs = check_fs(fs)
    _check(duration, leads, heart_rate, variability, rhythm, ectopic_beats)
    rng = np.random.default_rng(seed)
    n_samples = round(duration * fs)
    amplitudes = np.array([_amplitudes(lead) for lead in leads])
    signals = np.zeros((n_samples, len(leads)))
    fibrillating = rhythm == "atrial fibrillation"
    rows = []
    for beat, (time, stretch) in enumerate(_beats(duration, heart_rate, variability, fibrillating, rng)):
        waves = VENTRICULAR_BEAT if beat in ectopic_beats else SINUS_BEAT[fibrillating:]
        if beat in ectopic_beats:
            time -= PREMATURE * 60 / heart_rate
        placed = [_place(wave, time, stretch if wave.elastic else 1.0) for wave in waves]
        extents = [_extent(components, fs) for components in placed]
        if extents[0][0] < 0 or extents[-1][1] > n_samples:
            continue
        for wave, components, (onset, offset) in zip(waves, placed, extents, strict=True):
            first, drawn = _draw(components, amplitudes, fs, n_samples)
            signals[first : first + len(drawn)] += drawn
            peaks = onset + np.abs(drawn[onset - first : offset - first]).argmax(axis=0)
            label = ECG_WAVES.index(wave.label)
            rows += [(onset, int(peak), offset, label, channel, np.nan) for channel, peak in enumerate(peaks)]
    if fibrillating:
        signals += _fibrillation(n_samples, fs, rng)[:, None] * amplitudes[:, -1]
    return (
        Recording(
            signals=signals.astype(np.float32),
            fs=fs,
            channels=tuple(leads),
            units=("mV",) * len(leads),
            name=f"synthetic{seed}",
        ),
        Annotation(
            spans=Spans.from_rows(rows, fs=fs, channels=tuple(leads), classes=ECG_WAVES),
            annotated=np.array([(channel, 0, n_samples) for channel in range(len(leads))]),
        ),
    )


def _check(
    duration: float,
    leads: Sequence[str],
    heart_rate: float,
    variability: float,
    rhythm: str,
    ectopic_beats: Sequence[int],
) -> None:
    if not 0 < duration < math.inf:
        raise InvalidParameterError(f"duration={duration!r} must be a positive number of seconds.")
    known = [*AMPLITUDES, *LIMB_LEADS]
    unknown = [lead for lead in leads if lead not in known]
    if isinstance(leads, str) or unknown or not leads:
        raise InvalidParameterError(f"leads={leads!r} must be a sequence of some of {known}.")
    if not 30 <= heart_rate <= 150:
        raise InvalidParameterError(f"heart_rate={heart_rate!r} must lie between 30 and 150 beats a minute.")
    if not 0 <= variability <= 0.1:
        raise InvalidParameterError(f"variability={variability!r} must lie between 0 and 0.1 of the RR interval.")
    if rhythm not in get_args(Rhythm):
        raise InvalidParameterError(f"rhythm={rhythm!r} must be one of {get_args(Rhythm)}.")
    if any(beat < 1 for beat in ectopic_beats):
        raise InvalidParameterError(f"ectopic_beats={ectopic_beats!r} must be 1 or more: beat 0 has none before it.")
    if len(ectopic_beats) and rhythm != "sinus":
        raise InvalidParameterError(f"ectopic_beats={ectopic_beats!r} are early only in sinus rhythm, not in {rhythm}.")


def _amplitudes(lead: str) -> NDArray[np.float64]:
    """Return the heights of a lead in mV, in the order of `AMPLITUDES`."""
    if lead in AMPLITUDES:
        return np.array(AMPLITUDES[lead])
    one, two = LIMB_LEADS[lead]
    return one * np.array(AMPLITUDES["I"]) + two * np.array(AMPLITUDES["II"])


def _beats(
    duration: float, heart_rate: float, variability: float, fibrillating: bool, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Return the time in seconds of every R peak of the dominant rhythm, and how far its elastic waves stretch."""
    mean = 60 / heart_rate
    n_beats = math.ceil(duration / (mean / 2)) + 1
    if fibrillating:
        rr = np.maximum(mean * rng.lognormal(0, IRREGULARITY, n_beats), max(REFRACTORY * math.sqrt(mean), mean / 2))
        stretch = np.full(n_beats, math.sqrt(mean))
    else:
        breathing = SINUS_ARRHYTHMIA * np.sin(2 * np.pi * BREATHS * mean * np.arange(n_beats))
        rr = mean * (1 + breathing + variability * np.clip(rng.standard_normal(n_beats), -3, 3))
        stretch = np.sqrt(rr)
    times = FIRST_BEAT + rng.uniform(0, 0.5) + np.cumsum(rr) - rr[0]
    return [(float(t), float(factor)) for t, factor in zip(times, stretch, strict=True) if t < duration]


def _place(wave: Wave, time: float, stretch: float) -> tuple[Component, ...]:
    """Return the components in absolute time."""
    return tuple(
        Component(time + stretch * c.centre, stretch * c.before, stretch * c.after, c.column) for c in wave.components
    )


def _extent(components: Sequence[Component], fs: float) -> tuple[int, int]:
    """Return onset and offset of a wave in samples."""
    onset = min(c.centre - REACH * c.before for c in components)
    offset = max(c.centre + REACH * c.after for c in components)
    return math.ceil(onset * fs), math.floor(offset * fs) + 1


def _draw(
    components: Sequence[Component], amplitudes: NDArray[np.float64], fs: float, n_samples: int
) -> tuple[int, NDArray[np.float64]]:
    """Return the first sample of a wave with its tails, and its values, shape (n, n_leads)."""
    first = max(0, math.floor(min(c.centre - TAIL * c.before for c in components) * fs))
    stop = min(n_samples, math.ceil(max(c.centre + TAIL * c.after for c in components) * fs))
    times = np.arange(first, stop) / fs
    drawn = np.zeros((stop - first, len(amplitudes)))
    for c in components:
        distance = (times - c.centre) / np.where(times < c.centre, c.before, c.after)
        drawn += np.exp(-(distance**2) / 2)[:, None] * amplitudes[:, c.column]
    return first, drawn


def _fibrillation(n_samples: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return fibrillatory waves of height 1, 5 to 7 Hz, whose rate and height wander (Stridh & Sörnmo 2001)."""
    times = np.arange(n_samples) / fs
    phase = 2 * np.pi * 6 * times + 2 * np.sin(2 * np.pi * 0.2 * times + rng.uniform(0, 2 * np.pi))
    phase += rng.uniform(0, 2 * np.pi)
    height = 1 + 0.3 * np.sin(2 * np.pi * 0.35 * times + rng.uniform(0, 2 * np.pi))
    return height * (np.sin(phase) + 0.4 * np.sin(2 * phase)) / 1.4
