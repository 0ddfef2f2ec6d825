"""Stretches of a recording that nobody can label, and what remains of the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Gap, Recording
from mhealth.errors import InvalidParameterError

__all__ = ["add_dropout", "add_flat", "add_saturation"]

RAIL = 1.5
"""Rail of the amplifier, in units of the largest deflection of the channel."""

Stretches = Sequence[tuple[float, float]]


def add_dropout(
    recording: Recording, annotation: Annotation, stretches: Stretches, *, channel: int | None = None
) -> tuple[Recording, Annotation]:
    """Lose all samples of some stretches.

    Parameters
    ----------
    recording, annotation : Recording, Annotation
        Left as they are.
    stretches : sequence of (float, float)
        Start and stop in seconds, half-open.
    channel : int, optional
        Column that is concerned; all by default.

    Returns
    -------
    recording : Recording
        With NaN; stretches that miss in all channels become gaps.
    annotation : Annotation
        Without the waves that the stretches touch, and not claiming to be complete there.

    Raises
    ------
    InvalidParameterError
        If a stretch is no range inside the recording, or there is no such channel.
    """
    ranges = _ranges(recording, stretches)
    gaps = recording.gaps
    if channel is None:
        gaps = tuple(Gap(*pair) for pair in _union([*gaps, *ranges]))
    changed = _overwrite(recording, ranges, channel, lambda lead, start: np.nan)
    return replace(changed, gaps=gaps), _forget(annotation, ranges, channel)


def add_flat(
    recording: Recording, annotation: Annotation, stretches: Stretches, *, channel: int | None = None
) -> tuple[Recording, Annotation]:
    """Hold the first value of some stretches, as with a lead that came off.

    Parameters
    ----------
    recording, annotation, stretches, channel
        As for `add_dropout`.

    Returns
    -------
    recording, annotation
        As from `add_dropout`.

    Raises
    ------
    InvalidParameterError
        As `add_dropout`.
    """
    ranges = _ranges(recording, stretches)
    changed = _overwrite(recording, ranges, channel, lambda lead, start: lead[start])
    return changed, _forget(annotation, ranges, channel)


def add_saturation(
    recording: Recording, annotation: Annotation, stretches: Stretches, *, channel: int | None = None
) -> tuple[Recording, Annotation]:
    """Push some stretches to the upper rail, 1.5 times the largest deflection of the channel.

    Parameters
    ----------
    recording, annotation, stretches, channel
        As for `add_dropout`.

    Returns
    -------
    recording, annotation
        As from `add_dropout`.

    Raises
    ------
    InvalidParameterError
        As `add_dropout`.
    """
    ranges = _ranges(recording, stretches)
    changed = _overwrite(recording, ranges, channel, lambda lead, start: RAIL * np.nanmax(np.abs(lead)))
    return changed, _forget(annotation, ranges, channel)


def _ranges(recording: Recording, stretches: Stretches) -> list[tuple[int, int]]:
    """Return the stretches in samples."""
    for start, stop in stretches:
        if not 0 <= start < stop <= recording.duration:
            raise InvalidParameterError(
                f"stretch ({start!r}, {stop!r}) must be a range in seconds inside the {recording.duration:g} s of the "
                "recording."
            )
    return [(round(start * recording.fs), round(stop * recording.fs)) for start, stop in stretches]


def _overwrite(
    recording: Recording,
    ranges: list[tuple[int, int]],
    channel: int | None,
    value: Callable[[NDArray[np.float32], int], float],
) -> Recording:
    """Return the recording with `value(lead, start)` in every range."""
    if channel is not None and not 0 <= channel < recording.signals.shape[1]:
        raise InvalidParameterError(
            f"channel={channel!r} must be a column of the recording, 0 to {recording.signals.shape[1] - 1}."
        )
    signals = recording.signals.copy()
    columns = range(signals.shape[1]) if channel is None else [channel]
    for column in columns:
        for start, stop in ranges:
            signals[start:stop, column] = value(recording.signals[:, column], start)
    return replace(recording, signals=signals)


def _forget(annotation: Annotation, ranges: list[tuple[int, int]], channel: int | None) -> Annotation:
    """Return the annotation without the waves that the ranges touch, and complete only outside both."""
    spans = annotation.spans
    kept = np.ones(len(spans), dtype=bool)
    rows = annotation.annotated
    for start, stop in ranges:
        for column in range(len(spans.channels)) if channel is None else [channel]:
            touched = (spans.channel == column) & (spans.onset < stop) & (spans.offset > start)
            kept &= ~touched
            first = min(start, spans.onset[touched].min(initial=start))
            last = max(stop, spans.offset[touched].max(initial=stop))
            rows = _cut(rows, column, first, last)
    return Annotation(spans=spans.select(kept), annotated=rows)


def _cut(rows: NDArray[np.int64], column: int, start: int, stop: int) -> NDArray[np.int64]:
    """Take a range of a channel out of rows (channel, start, stop)."""
    parts = []
    for channel, first, last in rows.tolist():
        if channel != column or last <= start or first >= stop:
            parts.append((channel, first, last))
            continue
        parts += [(channel, a, b) for a, b in ((first, start), (stop, last)) if a < b]
    return np.array(parts, dtype=np.int64).reshape(-1, 3)


def _union(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return disjoint ranges in order."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
