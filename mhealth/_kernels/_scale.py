"""Running scale and floor of one lead: range in a sliding window by monotone queues; quantile of short ranges."""

from __future__ import annotations

import math

from numba import njit

__all__ = ["drain_scale", "running_scale"]


@njit(cache=True, nogil=True)
def _smooth(before, value, after):
    return (before + value + after) / 3.0


@njit(cache=True, nogil=True)
def _append(s, value, queues, indices):
    """Put the next smoothed sample at the back of both queues, in place of all that it outlives."""
    mask = queues.shape[1] - 1
    last = s.high_last
    while last >= s.high_first and queues[0, last & mask] <= value:
        last -= 1
    last += 1
    queues[0, last & mask] = value
    indices[0, last & mask] = s.n_smoothed
    s.high_last = last
    last = s.low_last
    while last >= s.low_first and queues[1, last & mask] >= value:
        last -= 1
    last += 1
    queues[1, last & mask] = value
    indices[1, last & mask] = s.n_smoothed
    s.low_last = last
    s.n_smoothed += 1


@njit(cache=True, nogil=True)
def _note_block(s, value, blocks, ordered):
    """Take the next smoothed sample; when it ends a block, replace the oldest block's range by that of the new one."""
    if s.n_block == 0:
        s.block_low = s.block_high = value
    s.block_low = min(s.block_low, value)
    s.block_high = max(s.block_high, value)
    s.n_block += 1
    if s.n_block < s.block:
        return
    s.n_block = 0
    extent = s.block_high - s.block_low
    slot = s.n_blocks % len(blocks)
    place = s.n_blocks
    if s.n_blocks >= len(blocks):
        place = 0
        while ordered[place] != blocks[slot]:
            place += 1
    count = min(s.n_blocks, len(blocks) - 1)  # of the others
    while place < count and ordered[place + 1] < extent:
        ordered[place] = ordered[place + 1]
        place += 1
    while place > 0 and ordered[place - 1] > extent:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = extent
    blocks[slot] = extent
    s.n_blocks += 1
    s.floor = ordered[int(s.quantile * (count + 1))]


@njit(cache=True, nogil=True)
def _decide(s, queues, indices):
    """Return the scale of the next sample of the stretch, whose window is complete."""
    mask = queues.shape[1] - 1
    first = s.n_decided - s.behind
    while indices[0, s.high_first & mask] < first:
        s.high_first += 1
    while indices[1, s.low_first & mask] < first:
        s.low_first += 1
    extent = queues[0, s.high_first & mask] - queues[1, s.low_first & mask]
    if s.n_decided == 0:
        s.scale = extent
    elif first > 0:  # until then the window is the same
        s.scale += s.weight * (extent - s.scale)
    s.n_decided += 1
    return s.scale


@njit(cache=True, nogil=True)
def drain_scale(s, queues, indices, blocks, ordered, scale, floor, n_scale):
    """End the stretch: write the values of its last samples from entry `n_scale` on, return the new end."""
    if s.n_samples > 0:
        value = _smooth(s.before, s.value, s.value)
        _append(s, value, queues, indices)
        _note_block(s, value, blocks, ordered)
        while s.n_decided < s.n_samples:
            scale[n_scale] = _decide(s, queues, indices)
            floor[n_scale] = s.floor
            n_scale += 1
    s.n_samples = s.n_smoothed = s.n_decided = s.n_block = s.n_blocks = 0
    s.floor = 0.0
    s.high_first = s.low_first = 0
    s.high_last = s.low_last = -1
    return n_scale


@njit(cache=True, nogil=True)
def running_scale(samples, s, queues, indices, blocks, ordered, scale, floor):
    """Take samples and write scale and floor of those that are decided now; return how many.

    Parameters
    ----------
    samples : float32 (n,)
        NaN ends a stretch.
    s : record of scalars, in and out
        `behind`, `ahead`, `block` (samples), `weight` of a new range in the average, `quantile`; the rest is state.
    queues : float64 (2, 2^k), 2^k > behind + ahead, in and out
        Falling largest and rising smallest values of the window, a ring each.
    indices : int64 (2, 2^k), in and out
        Their indices in the stretch.
    blocks, ordered : float64 (k,), in and out
        Ranges of the latest k blocks: a ring, and by size.
    scale, floor : float64 (n + behind + ahead,), out
        NaN for missing samples.
    """
    n_scale = 0
    for m in range(len(samples)):
        value = float(samples[m])
        if math.isnan(value):
            n_scale = drain_scale(s, queues, indices, blocks, ordered, scale, floor, n_scale)
            scale[n_scale] = floor[n_scale] = math.nan
            n_scale += 1
            continue
        if s.n_samples == 0:
            s.before = value
        else:
            smoothed = _smooth(s.before, s.value, value)
            _append(s, smoothed, queues, indices)
            _note_block(s, smoothed, blocks, ordered)
            s.before = s.value
        s.value = value
        s.n_samples += 1
        # The window of sample n holds the smoothed samples n − behind … n + ahead − 1; the first windows are one.
        if s.n_smoothed >= s.behind + s.ahead:
            while s.n_decided + s.ahead <= s.n_smoothed:
                scale[n_scale] = _decide(s, queues, indices)
                floor[n_scale] = s.floor
                n_scale += 1
    return n_scale
