"""One person's labelled beats, cut in time: the first ones to learn from, the last ones to be tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mhealth.cli._training import Case
from mhealth.core import Annotation, Recording, Spans

__all__ = ["Person", "person_of"]

BEFORE, AFTER = 120.0, 3.0
"""Seconds of signal before the first and after the last mark: what is known of a person without any marks."""


@dataclass(frozen=True, eq=False)
class Person:
    """The first channel of a recording around its marks.

    Parameters
    ----------
    subject : str
    recording : Recording
    annotation : Annotation
        Of all marked beats.
    cuts : ndarray of int64, shape (n_beats + 1,)
        Samples between the marked beats, before the first and after the last.
    """

    subject: str
    recording: Recording
    annotation: Annotation
    cuts: NDArray[np.int64]

    @property
    def n_beats(self) -> int:
        """Number of marked beats."""
        return len(self.cuts) - 1

    @property
    def unmarked(self) -> Recording:
        """The signal before the first mark."""
        first = int(self.annotation.annotated[:, 1].min())
        return self.recording.slice(0, first)

    @property
    def tested(self) -> Annotation:
        """Marks of the second half of the beats."""
        return self._between(self.n_beats // 2, self.n_beats)

    def first(self, count: int) -> Annotation:
        """Return the marks of the first beats, at most those of the first half."""
        return self._between(0, min(count, self.n_beats // 2))

    def _between(self, first: int, last: int) -> Annotation:
        """Return the marks of some beats; complete as far as they reach."""
        start, stop = self.cuts[first], self.cuts[last]
        spans, rows = self.annotation.spans, self.annotation.annotated
        inside = (places(spans) >= start) & (places(spans) < stop)
        rows = np.stack([rows[:, 0], np.maximum(rows[:, 1], start), np.minimum(rows[:, 2], stop)], axis=1)
        return Annotation(spans=spans.select(inside), annotated=rows[rows[:, 1] < rows[:, 2]])


def person_of(case: Case) -> Person:
    """Return the person that a recording of QTDB shows; marks of one channel are those of all."""
    fs, rows = case.recording.fs, case.annotation.annotated
    start = max(0, int(rows[:, 1].min() - BEFORE * fs))
    recording = case.recording.pick([0]).slice(start, int(rows[:, 2].max() + AFTER * fs))
    marks = case.annotation.spans
    marks = marks.select(marks.channel == 0)
    points = {name: np.where((at := getattr(marks, name)) >= 0, at - start, -1) for name in ("onset", "peak", "offset")}
    spans = replace(marks, **points, channels=recording.channels)
    rows = rows[rows[:, 0] == 0] - [0, start, start]
    return Person(case.subject, recording, Annotation(spans=spans, annotated=rows), cuts_of(spans, recording.n_samples))


def cuts_of(spans: Spans, end: int) -> NDArray[np.int64]:
    """Return where one beat's waves end and the next one's begin; 0 and `end` around them."""
    place, last, first = places(spans), _points(spans).max(axis=0), np.ma.masked_less(_points(spans), 0).min(axis=0)
    label = np.array(spans.classes)[spans.label]
    qrs = np.sort(place[label == "QRS"])
    cuts = [0]
    for before, after in pairwise(qrs):
        here = (place >= before) & (place <= after)
        ends = last[here & ((label == "T") | (place == before))].max()
        starts = first[here & ((label == "P") | (place == after))].min()
        cuts.append(int(ends + starts) // 2)
    return np.array([*cuts, end], dtype=np.int64)


def places(spans: Spans) -> NDArray[np.float64]:
    """Return where each wave is: at its peak, or in the middle of what is marked of it."""
    points = np.ma.masked_less(_points(spans), 0)
    return np.where(spans.peak >= 0, spans.peak, np.ma.filled(points.mean(axis=0), 0.0))


def _points(spans: Spans) -> NDArray[np.int64]:
    return np.stack([spans.onset, spans.peak, spans.offset])
