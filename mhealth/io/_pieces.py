"""Pieces of a recording that come as they are found, regrouped into blocks of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mhealth.core import Gap
from mhealth.io._info import Block

__all__ = ["LONGEST_GAP", "join_gaps", "missing", "regroup"]

LONGEST_GAP = 7 * 86400.0
"""Seconds. A longer jump of a time axis is taken for an error in the file; the usual long recording is a week."""

_FILL = 1 << 16
"""Rows of NaN that are made at a time."""


def missing(n_samples: int, n_channels: int) -> Iterator[Block]:
    """Yield `n_samples` that were not recorded."""
    for first in range(0, n_samples, _FILL):
        n = min(_FILL, n_samples - first)
        yield Block(np.full((n, n_channels), np.nan, dtype=np.float32), (Gap(0, n),))


def regroup(pieces: Iterable[Block], start: int, stop: int | None, size: int) -> Iterator[Block]:
    """Cut samples `start` to `stop` out of consecutive pieces, and yield them in blocks of `size`."""
    held: list[Block] = []
    n_held = position = 0
    for piece in pieces:
        begin, end = max(0, start - position), len(piece.signals)
        if stop is not None:
            end = min(end, stop - position)
        position += len(piece.signals)
        while begin < end:
            taken = min(end - begin, size - n_held)
            held.append(_cut(piece, begin, begin + taken))
            n_held, begin = n_held + taken, begin + taken
            if n_held == size:
                yield _join(held)
                held, n_held = [], 0
        if stop is not None and position >= stop:
            break
    if held:
        yield _join(held)


def join_gaps(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Join gaps that touch."""
    joined: list[Gap] = []
    for gap in gaps:
        if joined and joined[-1].stop == gap.start:
            joined[-1] = Gap(joined[-1].start, gap.stop)
        else:
            joined.append(gap)
    return tuple(joined)


def _cut(block: Block, start: int, stop: int) -> Block:
    gaps = (Gap(max(a, start) - start, min(b, stop) - start) for a, b in block.gaps if a < stop and b > start)
    return Block(block.signals[start:stop], tuple(gaps))


def _join(blocks: list[Block]) -> Block:
    gaps, position = [], 0
    for block in blocks:
        gaps += [Gap(a + position, b + position) for a, b in block.gaps]
        position += len(block.signals)
    return Block(np.concatenate([block.signals for block in blocks]), join_gaps(gaps))
