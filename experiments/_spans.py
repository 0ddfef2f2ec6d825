"""Spans as steps of experiments leave them: rows that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mhealth.core import ECG_WAVES, UNUSABLE, Recording, Spans

__all__ = ["CLASSES", "Rows", "as_rows", "from_rows"]

CLASSES = (*ECG_WAVES, UNUSABLE)
"""What the labels of rows count in."""

Rows = list[list[float | None]]
"""Onset, peak, offset, label, channel, probability of each span; the last is None where there is none."""


def as_rows(spans: Spans) -> Rows:
    """Return spans of waves and of what is unusable as rows, probabilities in steps of 0.0001."""
    label = np.array([CLASSES.index(name) for name in spans.classes], dtype=np.int64)[spans.label]
    points = np.stack([spans.onset, spans.peak, spans.offset, label, spans.channel], axis=1).tolist()
    known = np.isfinite(spans.probability).tolist()
    rounded = np.round(spans.probability, 4).tolist()
    return [[*row, p if is_known else None] for row, p, is_known in zip(points, rounded, known, strict=True)]


def from_rows(rows: Sequence[Sequence[float | None]], recording: Recording) -> Spans:
    """Return rows as spans of a recording."""
    return Spans.from_rows(
        [(*row[:5], np.nan if row[5] is None else row[5]) for row in rows],  # type: ignore[misc]
        fs=recording.fs, channels=recording.channels, classes=CLASSES,
    )  # fmt: skip
