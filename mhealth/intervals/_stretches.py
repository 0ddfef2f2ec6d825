"""Where spans begin and end, and what unusable stretches lie between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mhealth.core import UNUSABLE, Spans

__all__ = ["extent", "usable_between"]


def extent(spans: Spans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last known point of every span."""
    points = np.stack([spans.onset, spans.peak, spans.offset])
    return np.where(points >= 0, points, np.iinfo(np.int64).max).min(axis=0), points.max(axis=0)


def usable_between(spans: Spans, channel: int) -> Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]:
    """Return a function that tells where no unusable stretch of a channel lies between two samples."""
    unusable = spans.select(spans.channel == channel).of(label=UNUSABLE)
    begin, end = (np.sort(points) for points in extent(unusable))

    def usable(start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.bool_]:
        begun = np.searchsorted(begin, stop, side="left")
        return begun == np.searchsorted(end, start, side="right")

    return usable
