"""What is done to a recording, and what remains of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mhealth.cli._training import Case
from mhealth.core import Annotation, Recording, Spans
from mhealth.simulate import add_dropout, add_flat

__all__ = ["COPIES", "Condition", "Disturbed", "conditions", "disturbed", "halves", "repeated"]

KINDS = {"em": "electrode motion", "ma": "muscle", "bw": "baseline wander"}
"""Recorded noise of NSTDB."""

COPIES = 3
"""Times that a record of ten seconds is played: the last one counts, after the time that judging a signal takes."""

_STRETCH = (0.3, 2.0)
"""Seconds that a dropout lasts, or a lead is off."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A disturbance and how much of it.

    Parameters
    ----------
    kind : str
        "clean", one of `KINDS`, "<one of them> alone", "dropout", "lead off" or "clipped".
    level : float
        Ratio in dB of noise; per cent of the time that is lost; per cent of a QRS complex that a clipped lead shows.
    """

    kind: str
    level: float = 0.0

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.kind if self.kind == "clean" or self.kind.endswith("alone") else f"{self.kind} {self.level:g}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Disturbed:
    """A disturbed recording.

    Parameters
    ----------
    recording : Recording
    annotation : Annotation
        What an expert marks in its last copy, where that can be known.
    faults : list of (int, int, int)
        Channel, first sample and end of each stretch that is lost.
    """

    recording: Recording
    annotation: Annotation
    faults: list[tuple[int, int, int]]


def conditions(settings: dict[str, Sequence[float]]) -> list[Condition]:
    """Return what is done, one after the other.

    Parameters
    ----------
    settings : dict of str to sequence of float
        Levels by kind.
    """
    return [
        Condition(kind="clean"),
        *(Condition(kind=kind, level=float(level)) for kind, levels in settings.items() for level in levels),
        *(Condition(kind=f"{kind} alone") for kind in KINDS if kind in settings),
    ]


def halves(noise: Sequence[Recording], *, second: bool) -> list[Recording]:
    """Return the first half of each recording, which labelers learn from, or the second, which they are tested with."""
    middle = [part.n_samples // 2 for part in noise]
    return [
        replace(part, signals=part.signals[at:] if second else part.signals[:at], gaps=())
        for part, at in zip(noise, middle, strict=True)
    ]


def repeated(case: Case) -> Case:
    """Return a record played `COPIES` times, its medians taken off; the last copy is annotated."""
    recording, marks = case.recording, case.annotation
    shift = (COPIES - 1) * recording.n_samples
    signals = recording.signals - np.nanmedian(recording.signals, axis=0)
    spans = marks.spans
    moved = {
        point: np.where(getattr(spans, point) >= 0, getattr(spans, point) + shift, -1)
        for point in ("onset", "peak", "offset")
    }
    return replace(
        case,
        recording=replace(recording, signals=np.tile(signals, (COPIES, 1)), gaps=()),
        annotation=Annotation(spans=replace(spans, **moved), annotated=marks.annotated + np.array([0, shift, shift])),
    )


def disturbed(case: Case, condition: Condition, noise: Sequence[Recording], rng: np.random.Generator) -> Disturbed:
    """Return a repeated record with a disturbance; every lead has another piece of noise, faults of its own.

    Parameters
    ----------
    case : Case
        Of `repeated`.
    condition : Condition
    noise : sequence of Recording
        NSTDB's, by name.
    rng : numpy.random.Generator
    """
    recording, annotation = case.recording, case.annotation
    if condition.kind == "clean":
        return Disturbed(recording=recording, annotation=annotation, faults=[])
    kind = condition.kind.removesuffix(" alone")
    if kind in KINDS:
        pool = _at_rate(next(part for part in noise if part.name == kind), recording.fs)
        if condition.kind != kind:
            return _noise_alone(case, pool, rng)
        return Disturbed(recording=_mixed(case, pool, condition.level, rng), annotation=annotation, faults=[])
    if kind == "clipped":
        return Disturbed(recording=_clipped(case, condition.level / 100), annotation=annotation, faults=[])
    change = {"dropout": add_dropout, "lead off": add_flat}[kind]
    faults = []
    for channel in range(len(recording.channels)):
        stretches = _stretches(recording.duration, condition.level / 100, rng)
        recording, annotation = change(recording, annotation, stretches, channel=channel)
        faults += [(channel, round(a * recording.fs), round(b * recording.fs)) for a, b in stretches]
    return Disturbed(recording=recording, annotation=annotation, faults=faults)


def _at_rate(noise: Recording, fs: float) -> NDArray[np.float64]:
    from scipy.signal import resample_poly

    ratio = Fraction(fs / noise.fs).limit_denominator(1000)
    return resample_poly(noise.signals.astype(np.float64), ratio.numerator, ratio.denominator, axis=0)


def _piece(pool: NDArray[np.float64], n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a piece of either channel, about its mean."""
    start, channel = int(rng.integers(len(pool) - n_samples)), int(rng.integers(pool.shape[1]))
    piece = pool[start : start + n_samples, channel]
    return piece - piece.mean()


def _mixed(case: Case, pool: NDArray[np.float64], snr_db: float, rng: np.random.Generator) -> Recording:
    """Return the recording with noise in each lead.

    The ratio is that of WFDB's nst: of the mean peak-to-peak amplitude of the QRS complexes squared over eight, as if
    they were a sine, to the mean square of the noise about its mean.
    """
    signals = case.recording.signals.astype(np.float64)
    for channel, size in enumerate(_qrs_sizes(case)):
        piece = _piece(pool, len(signals), rng)
        signals[:, channel] += piece * np.sqrt(size**2 / 8 / 10 ** (snr_db / 10) / np.mean(piece**2))
    return replace(case.recording, signals=signals.astype(np.float32))


def _noise_alone(case: Case, pool: NDArray[np.float64], rng: np.random.Generator) -> Disturbed:
    """Return noise in place of every lead, without any mark."""
    recording = case.recording
    signals = np.stack([_piece(pool, recording.n_samples, rng) for _ in recording.channels], axis=1)
    spans = case.annotation.spans
    none = Spans.empty(fs=spans.fs, channels=spans.channels, classes=spans.classes)
    return Disturbed(
        recording=replace(recording, signals=signals.astype(np.float32)),
        annotation=Annotation(spans=none, annotated=case.annotation.annotated),
        faults=[],
    )


def _clipped(case: Case, share: float) -> Recording:
    """Return leads whose amplifier shows so much of the usual QRS complex to either side of the median, and no more."""
    limits = share * np.array(_qrs_sizes(case), dtype=np.float32)
    return replace(case.recording, signals=np.clip(case.recording.signals, -limits, limits))


def _qrs_sizes(case: Case) -> list[float]:
    """Return the mean peak-to-peak amplitude of the marked QRS complexes of each lead, 0 where there is none."""
    qrs = case.annotation.spans.of(label="QRS")
    known = qrs.select((qrs.onset >= 0) & (qrs.offset > qrs.onset))
    sizes: list[list[float]] = [[] for _ in case.recording.channels]
    for channel, onset, offset in zip(known.channel.tolist(), known.onset, known.offset, strict=True):
        sizes[channel].append(float(np.ptp(case.recording.signals[onset:offset, channel])))
    return [float(np.mean(own)) if own else 0.0 for own in sizes]


def _stretches(duration: float, share: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Draw disjoint stretches that take a share of the time, at least half a second apart."""
    lengths: list[float] = []
    while sum(lengths) < share * duration:
        lengths.append(float(rng.uniform(*_STRETCH)))
    free = duration - sum(lengths) - 0.5 * (len(lengths) + 1)
    gaps = 0.5 + free * np.diff(np.sort(rng.random(len(lengths))), prepend=0.0)
    starts = np.cumsum(gaps) + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return [(float(start), float(start + length)) for start, length in zip(starts, lengths, strict=True)]
