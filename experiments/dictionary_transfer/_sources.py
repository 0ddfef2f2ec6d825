"""Windows of four kinds of recordings, each in two halves of subjects, and what they are coded over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from experiments._experiment import Run
from experiments.dictionary_transfer._design import KINDS, LEADS, SOURCES
from mhealth.cli._training import Case, load_noise
from mhealth.core import Annotation, Recording
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import LeadCase, examples
from mhealth.sparse import Dictionary

__all__ = ["Windows", "cases_of", "control", "marked_channel", "matched", "windows_of"]

SNR_DB = 6.0
"""Variance of the recording to that of the noise: where labels begin to suffer."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one kind.

    Parameters
    ----------
    values : ndarray of float32, shape (n_windows, n_points)
        Compressed, as the labeler codes them.
    subject : ndarray of str, shape (n_windows,)
    """

    values: NDArray[np.float32]
    subject: NDArray[np.str_]


def cases_of(run: Run, source: str, half: int) -> list[Case]:
    """Return the recordings of half the subjects; QTDB's without excerpts of MIT-BIH, where these subjects are too."""
    name = "mitdb" if source == "noisy" else source
    cases = [
        case
        for case in run.cases(name, run.settings["records"])
        if name != "qtdb" or not case.subject.startswith("mitdb")
    ]
    subjects = np.random.default_rng(run.seed).permutation(sorted({case.subject for case in cases}))
    chosen = set(subjects[half::2].tolist())
    return [case for case in cases if case.subject in chosen]


def windows_of(run: Run, source: str, half: int) -> dict[str, Windows]:
    """Return windows of both kinds around the candidates of some seconds of each recording.

    Parameters
    ----------
    run : Run
    source : str
        Of `SOURCES`.
    half : {0, 1}
        Of the subjects.
    """
    return run.once(("windows", source, half), lambda: _windows(run, source, half))


def _windows(run: Run, source: str, half: int) -> dict[str, Windows]:
    cases = cases_of(run, source, half)
    noise = load_noise("nstdb", run.data) if source == "noisy" else None
    rng = np.random.default_rng([run.seed, SOURCES.index(source), half])
    parts: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in KINDS}
    subjects: list[str] = []
    for k, case in enumerate(cases):
        run.progress(f"windows of {source}", k, len(cases))
        excerpt = _excerpt(case.recording, run.settings["seconds"])
        if noise:
            excerpt = _noisy(excerpt, noise[k % len(noise)], rng)
        names = [name.lower() for name in excerpt.channels]
        columns = [names.index(lead) for lead in LEADS] if source == "ludb" else range(len(names))
        for column in columns:
            whole = LeadCase(
                samples=excerpt.signals[:, column],
                fs=excerpt.fs,
                waves=np.empty((0, 3)),
                labels=[],
                annotated=(0, excerpt.n_samples),
            )
            for example in examples(whole, ECG):
                assert example.raw is not None
                for kind, place in KINDS.items():
                    parts[kind].append(example.raw.windows[place])
                subjects += [case.subject] * len(example.raw.positions)
    subject = np.array(subjects)
    chosen = np.sort(rng.permutation(len(subject))[: run.settings["windows"]])
    return {kind: Windows(np.concatenate(own)[chosen], subject[chosen]) for kind, own in parts.items()}


def _excerpt(recording: Recording, seconds: float) -> Recording:
    """Return the middle of a recording."""
    n = min(recording.n_samples, round(seconds * recording.fs))
    start = (recording.n_samples - n) // 2
    return recording.slice(start, start + n)


def _noisy(recording: Recording, noise: Recording, rng: np.random.Generator) -> Recording:
    """Return a recording with a piece of noise in each channel, another one in each."""
    from scipy.signal import resample_poly

    ratio = Fraction(recording.fs / noise.fs).limit_denominator(1000)
    pool = resample_poly(noise.signals.astype(np.float64), ratio.numerator, ratio.denominator, axis=0)
    signals = recording.signals.astype(np.float64)
    for k in range(signals.shape[1]):
        start = int(rng.integers(len(pool) - len(signals)))
        piece = pool[start : start + len(signals), k % pool.shape[1]]
        signals[:, k] += (piece - piece.mean()) * np.sqrt(signals[:, k].var() / 10 ** (SNR_DB / 10) / piece.var())
    return replace(recording, signals=signals.astype(np.float32))


def control(name: str, kind: str, n_atoms: int, windows: Windows, rng: np.random.Generator) -> Dictionary:
    """Return a dictionary that nothing was learned for.

    Parameters
    ----------
    name : {"dct", "patches"}
        Cosines of rising frequency, more than there are points if need be (overcomplete DCT); or windows drawn at
        random.
    kind : {"edge", "wave"}
        What windows have lost their mean, or mean and slope; so have the cosines.
    n_atoms : int
    windows : Windows
        To draw from.
    rng : numpy.random.Generator
    """
    n_points = windows.values.shape[1]
    if name == "patches":
        used = windows.values[windows.values.any(axis=1)].astype(np.float64)
        rows = used[rng.choice(len(used), n_atoms, replace=False)]
    else:
        at = (np.arange(n_points) + 0.5) / max(n_atoms, n_points)
        rows = np.cos(np.pi * at * np.arange(1, n_atoms + 1)[:, None])
        removed = np.vander(np.arange(n_points), 1 if kind == "edge" else 2).astype(float)
        basis, _ = np.linalg.qr(removed)
        rows -= rows @ basis @ basis.T
    return Dictionary(atoms=rows / np.linalg.norm(rows, axis=1, keepdims=True))


def matched(first: Dictionary, second: Dictionary) -> NDArray[np.float64]:
    """Return for each atom its correlation, without sign, with the atom of another dictionary that it is paired with.

    Pairs are one-to-one, with the largest sum of correlations.
    """
    correlations = np.abs(first.atoms.astype(np.float64) @ second.atoms.T)
    rows, columns = linear_sum_assignment(correlations, maximize=True)
    return correlations[rows, columns]


def marked_channel(case: Case) -> Case:
    """Return a case with marks in its first channel only, where all channels have the same."""
    spans, rows = case.annotation.spans, case.annotation.annotated
    first = spans.select(spans.channel == 0)
    return replace(case, annotation=Annotation(spans=first, annotated=rows[rows[:, 0] == 0]))
