"""From annotated recordings to what a labeler is trained on: candidates, features and targets of single leads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Recording
from mhealth.labeling._constraints import LeadMarks, Targets, constrain
from mhealth.labeling._features import RawFeatures
from mhealth.labeling._lead import LeadStream
from mhealth.labeling._task import Task

__all__ = ["Example", "LeadCase", "examples", "lead_cases"]

_BEFORE, _AFTER = 12.0, 3.0
"""Seconds of signal around an annotated stretch: what the average beat looks back on, and what features look ahead."""

_AROUND = 2.0
"""Seconds of nodes around an annotated stretch, where anything is allowed: its first and last waves have neighbours."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LeadCase:
    """A stretch of one lead in which an expert marked every wave, and some signal around it.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
    fs : float
        Sampling rate in Hz.
    waves : ndarray of float64, shape (n_waves, 3)
        Onset, peak, offset in samples, NaN where not marked.
    labels : list of str
        Label of each wave.
    annotated : tuple of int
        Start and stop sample of the stretch.
    """

    samples: NDArray[np.float32]
    fs: float
    waves: NDArray[np.float64]
    labels: list[str]
    annotated: tuple[int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """A sequence of nodes and what is known about it. The first and last node have no features.

    `raw` is None once the features have been coded.
    """

    times: NDArray[np.float64]
    raw: RawFeatures | None
    targets: Targets


def lead_cases(recording: Recording, annotation: Annotation) -> Iterator[LeadCase]:
    """Cut a recording into its annotated stretches, lead by lead. Leads without marks are left out."""
    spans, fs = annotation.spans, recording.fs
    for channel, start, stop in annotation.annotated:
        of_lead = spans.select(spans.channel == channel)
        points = np.stack([of_lead.onset, of_lead.peak, of_lead.offset], axis=1).astype(np.float64)
        points[points < 0] = np.nan
        first = max(0, int(start - _BEFORE * fs))
        last = min(recording.n_samples, int(stop + _AFTER * fs))
        inside = (np.nanmin(points, axis=1, initial=np.inf) < last) & (np.nanmax(points, axis=1, initial=-1.0) >= first)
        yield LeadCase(
            samples=recording.signals[first:last, channel],
            fs=fs,
            waves=points[inside] - first,
            labels=[spans.classes[k] for k in of_lead.label[inside]],
            annotated=(int(start) - first, int(stop) - first),
        )


def examples(case: LeadCase, task: Task) -> Iterator[Example]:
    """Turn a case into sequences: one for each usable stretch that meets the annotated one."""
    lead, grammar = LeadStream(fs=case.fs, front_end=task.front_end), task.grammar
    proposal = lead.propose(case.samples, last=True)
    raw = lead.describe(proposal.positions, proposal.decided)
    fs, ratio = case.fs, lead.ratio
    samples = raw.positions * ratio
    lowest = case.annotated[0] - _AROUND * fs
    highest = case.annotated[1] + _AROUND * fs
    state_of = {label: grammar.index(state) for state, label in grammar.reported}
    usable = lead.codes == 0
    cuts = np.flatnonzero(np.diff(np.concatenate([[0], usable.astype(np.int8), [0]])))
    for start, stop in cuts.reshape(-1, 2):
        start, stop = max(start, lowest), min(stop, highest)
        nodes = np.flatnonzero((samples > start) & (samples < stop))
        meets = min(stop, case.annotated[1]) - max(start, case.annotated[0]) > 0.2 * fs
        if not meets or len(nodes) < 3:
            continue
        times = np.concatenate([[start], samples[nodes], [stop]]) / fs
        known = np.array([label in state_of for label in case.labels], dtype=bool)
        points = case.waves[known] if len(known) else case.waves.reshape(0, 3)
        inside = (np.nanmin(points, axis=1, initial=np.inf) > start) & (np.nanmax(points, axis=1, initial=-1) < stop)
        states = np.array([state_of[label] for label in case.labels if label in state_of], dtype=np.int64)
        marks = LeadMarks(points[inside] / fs, states[inside], np.array([case.annotated]) / fs)
        yield Example(
            times=times,
            raw=RawFeatures(raw.positions[nodes], tuple(w[nodes] for w in raw.windows), raw.dense[nodes]),
            targets=constrain(times, marks, task),
        )
