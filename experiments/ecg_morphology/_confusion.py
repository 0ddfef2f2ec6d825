"""What is called what, sample by sample."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import ECG_WAVES, UNUSABLE, Annotation, Spans

__all__ = ["EXPERT", "FOUND", "Confusion", "confusion"]

NOTHING = "nothing"
EXPERT = (*ECG_WAVES, NOTHING)
FOUND = (*ECG_WAVES, NOTHING, UNUSABLE)

_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Confusion:
    """Time that an expert and a method give to each pair of labels, by subject.

    Parameters
    ----------
    subjects : tuple
        Whose the tables are; each subject once.
    seconds : ndarray of float64, shape (n_subjects, 4, 5)
        A row for each of `EXPERT`, a column for each of `FOUND`.
    """

    subjects: tuple[Hashable, ...]
    seconds: NDArray[np.float64]

    def reweighted(self, weights: NDArray[np.float64]) -> Confusion:
        """Return the tables in which each subject counts `weights` times (shape (n_subjects,))."""
        return replace(self, seconds=self.seconds * weights[:, None, None])

    @property
    def shares(self) -> NDArray[np.float64]:
        """What becomes of the time of each expert's label, in per cent, shape (4, 5)."""
        total = self.seconds.sum(axis=0)
        return 100 * total / total.sum(axis=1, keepdims=True)

    def recall(self, label: str) -> float:
        """Return the share of the expert's time in a label that is given the same label, in per cent."""
        row = self.seconds[:, EXPERT.index(label)].sum(axis=0)
        return float(100 * row[FOUND.index(label)] / row.sum())


def confusion(cases: Iterable[tuple[Annotation, Spans]], subjects: Iterable[Hashable]) -> Confusion:
    """Compare labels with an expert's at every sample of the annotated stretches.

    Parameters
    ----------
    cases : iterable of (Annotation, Spans)
        Expert marks and labels of one recording each, with the same channels.
    subjects : iterable of hashable
        Subject of each case.

    Notes
    -----
    Around a wave of which the expert left an edge out, nothing is counted up to the marks beside it.
    """
    tables: dict[Hashable, NDArray[np.float64]] = {}
    for (annotation, spans), subject in zip(cases, subjects, strict=True):
        table = tables.setdefault(subject, np.zeros((len(EXPERT), len(FOUND))))
        for channel, start, stop in annotation.annotated.tolist():
            expert = _marked(annotation.spans.select(annotation.spans.channel == channel), start, stop)
            found = _labelled(spans.select(spans.channel == channel), start, stop)
            known = expert != _UNKNOWN
            pairs = np.bincount(expert[known] * len(FOUND) + found[known], minlength=table.size)
            table += pairs.reshape(table.shape) / spans.fs
    return Confusion(tuple(tables), np.stack(list(tables.values())))


def _marked(spans: Spans, start: int, stop: int) -> NDArray[np.int64]:
    """Return the index into `EXPERT` at each sample of a stretch."""
    label = np.full(stop - start, EXPERT.index(NOTHING))
    points = np.stack([spans.onset, spans.peak, spans.offset], axis=1)
    for k, (onset, _, offset) in enumerate(points.tolist()):
        if onset >= 0 and offset >= 0:
            label[max(0, onset - start) : max(0, offset - start)] = EXPERT.index(spans.classes[spans.label[k]])
            continue
        if onset < 0:
            onset = points[k - 1].max() if k else start
        if offset < 0:
            following = points[k + 1] if k + 1 < len(points) else np.array([stop])
            offset = following[following >= 0].min()
        label[max(0, onset - start) : max(0, offset - start)] = _UNKNOWN
    return label


def _labelled(spans: Spans, start: int, stop: int) -> NDArray[np.int64]:
    """Return the index into `FOUND` at each sample of a stretch."""
    label = np.full(stop - start, FOUND.index(NOTHING))
    for onset, offset, code in zip(spans.onset.tolist(), spans.offset.tolist(), spans.label.tolist(), strict=True):
        label[max(0, onset - start) : max(0, offset - start)] = FOUND.index(spans.classes[code])
    return label
