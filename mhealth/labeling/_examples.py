"""From annotated recordings to candidates, features and targets of leads, single or together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Recording, Spans
from mhealth.labeling._channels import lead_columns
from mhealth.labeling._constraints import LeadMarks, Targets, constrain
from mhealth.labeling._features import RawFeatures, side_by_side
from mhealth.labeling._nodes import NodeStream
from mhealth.labeling._task import Task

__all__ = ["Example", "LeadCase", "examples", "joint_cases", "lead_cases"]

_BEFORE, _AFTER = 12.0, 3.0
"""Seconds of signal around an annotated stretch: what the average beat looks back on, and what features look ahead."""

_AROUND = 2.0
"""Seconds of nodes around an annotated stretch, where anything is allowed: its first and last waves have neighbours."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LeadCase:
    """A stretch of one lead in which an expert marked every wave, and some signal around it.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,), or (n_samples, n_leads) of leads that are described together
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
    spans = annotation.spans
    for channel, start, stop in annotation.annotated:
        of_lead = spans.select(spans.channel == channel)
        labels = [spans.classes[k] for k in of_lead.label]
        yield _case(recording, int(channel), _points(of_lead), labels, (int(start), int(stop)))


def joint_cases(recording: Recording, annotation: Annotation, leads: Sequence[str], task: Task) -> Iterator[LeadCase]:
    """Cut a recording into stretches in which all its annotated leads are annotated, with marks for them together.

    Waves of one label whose peaks lie within `Task.tolerance` are one. It is kept if half the leads that are annotated
    there have it, and each of its points is the median over those in which it is marked.

    Parameters
    ----------
    recording : Recording
    annotation : Annotation
    leads : sequence of str
        Which of its channels, in which order.
    task : Task
    """
    if not len(annotation.annotated):
        return
    columns, spans = lead_columns(leads, recording.channels), annotation.spans
    covered = np.zeros((len(recording.channels), recording.n_samples), bool)
    for channel, start, stop in annotation.annotated:
        covered[channel, start:stop] = True
    covered = covered[columns]
    spans = spans.select(np.isin(spans.channel, columns))
    points = _points(spans)
    first, last = np.nanmin(points, axis=1, initial=np.inf), np.nanmax(points, axis=1, initial=-1.0)
    place = np.where(np.isfinite(points[:, 1]), points[:, 1], (first + last) / 2)
    found: list[list[int]] = []  # marks of each wave
    for k in np.lexsort((place, spans.label)).tolist():
        wave = found[-1] if found else []
        is_near = wave and place[k] - place[wave[0]] <= task.tolerance * recording.fs
        if is_near and spans.label[k] == spans.label[wave[0]] and spans.channel[k] not in spans.channel[wave]:
            wave.append(k)
        else:
            found.append([k])
    waves, labels = [], []
    for wave in found:
        at = min(int(np.median(place[wave])), recording.n_samples - 1)
        if 2 * len(wave) >= covered[:, at].sum():
            waves.append(np.ma.filled(np.ma.median(np.ma.masked_invalid(points[wave]), axis=0), np.nan))
            labels.append(spans.classes[spans.label[wave[0]]])
    order = np.argsort([np.nanmin(wave) for wave in waves], kind="stable")
    joint = np.array(waves).reshape(-1, 3)[order]
    for start, stop in _runs(np.all(covered[covered.any(axis=1)], axis=0)):
        yield _case(recording, columns, joint, [labels[k] for k in order], (int(start), int(stop)))


def _points(spans: Spans) -> NDArray[np.float64]:
    """Return onset, peak and offset of marks, NaN where not marked."""
    points = np.stack([spans.onset, spans.peak, spans.offset], axis=1).astype(np.float64)
    points[points < 0] = np.nan
    return points


def _case(
    recording: Recording,
    columns: int | list[int],
    points: NDArray[np.float64],
    labels: list[str],
    annotated: tuple[int, int],
) -> LeadCase:
    """Cut an annotated stretch out of a recording, with the signal and the marks around it."""
    start, stop = annotated
    first = max(0, int(start - _BEFORE * recording.fs))
    last = min(recording.n_samples, int(stop + _AFTER * recording.fs))
    inside = (np.nanmin(points, axis=1, initial=np.inf) < last) & (np.nanmax(points, axis=1, initial=-1.0) >= first)
    return LeadCase(
        samples=recording.signals[first:last, columns],
        fs=recording.fs,
        waves=points[inside] - first,
        labels=[labels[k] for k in np.flatnonzero(inside)],
        annotated=(start - first, stop - first),
    )


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return start and stop of each run of True, shape (n_runs, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))).reshape(-1, 2)


def examples(case: LeadCase, task: Task) -> Iterator[Example]:
    """Turn a case into sequences: one for each usable stretch that meets the annotated one.

    Of leads that are described together, one that is usable makes a stretch usable.
    """
    signals, fs, grammar = np.atleast_2d(case.samples.T).T, case.fs, task.grammar
    stream = NodeStream(fs=fs, n_leads=signals.shape[1], task=task)
    found = stream.propose(signals, last=True)
    positions = found.clusters[1]
    samples = positions * stream.ratio
    usable = np.stack([lead.codes == 0 for lead in stream.leads])
    at = np.minimum(samples.astype(np.int64), len(signals) - 1)
    raw, present = side_by_side(stream.describe_shared(found), positions, usable[:, at])
    lowest = case.annotated[0] - _AROUND * fs
    highest = case.annotated[1] + _AROUND * fs
    state_of = {label: grammar.index(state) for state, label in grammar.reported}
    for first, last in _runs(np.any(usable, axis=0)):
        start, stop = max(first, lowest), min(last, highest)
        nodes = np.flatnonzero((samples > start) & (samples < stop) & present.any(axis=0))
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
            raw=raw.select(nodes),
            targets=constrain(times, marks, task),
        )
