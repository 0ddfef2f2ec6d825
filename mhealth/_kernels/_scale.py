"""Running scale and floor of one lead, from the extremes of its latest blocks."""

from __future__ import annotations

import math

from numba import njit

__all__ = ["drain_scale", "running_scale"]


@njit(cache=True, nogil=True)
def _end_block(s, lows, highs, ranges):
    """Put the running block in place of the oldest; measure the extent of all blocks, and the quantile of theirs."""
    slot = s.n_blocks % len(lows)
    extent = s.high - s.low
    count = min(s.n_blocks, len(lows) - 1)  # blocks beside this one
    place = s.n_blocks  # of the entry of `ranges`, which are in order of size, that gives way
    if s.n_blocks >= len(lows):
        oldest = highs[slot] - lows[slot]
        place = 0
        while ranges[place] != oldest:
            place += 1
    while place < count and ranges[place + 1] < extent:
        ranges[place] = ranges[place + 1]
        place += 1
    while place > 0 and ranges[place - 1] > extent:
        ranges[place] = ranges[place - 1]
        place -= 1
    ranges[place] = extent
    lows[slot] = s.low
    highs[slot] = s.high
    s.n_blocks += 1
    s.n_in_block = 0
    s.floor = ranges[int(s.quantile * (count + 1))]
    lowest, highest = lows[0], highs[0]
    for k in range(1, count + 1):
        lowest = min(lowest, lows[k])
        highest = max(highest, highs[k])
    s.extent = highest - lowest


@njit(cache=True, nogil=True)
def _smooth(s, after, lows, highs, ranges):
    """Take one more smoothed sample, the average of the last two samples and the one after them."""
    value = (s.before + s.value + after) / 3.0
    if s.n_in_block == 0:
        s.low = s.high = value
    s.low = min(s.low, value)
    s.high = max(s.high, value)
    s.n_in_block += 1
    s.n_smoothed += 1
    if s.n_in_block == s.block:
        _end_block(s, lows, highs, ranges)


@njit(cache=True, nogil=True)
def _decide(s, n_out, scale, floor):
    """Write the values of the next undecided sample."""
    if s.n_decided == 0:
        s.scale = s.extent
    elif s.n_decided + s.ahead > s.window:  # until then nothing is new
        s.scale += s.weight * (s.extent - s.scale)
    s.n_decided += 1
    scale[n_out] = s.scale
    floor[n_out] = s.floor


@njit(cache=True, nogil=True)
def drain_scale(s, lows, highs, ranges, scale, floor, n_out):
    """End the stretch: write the values of its last samples from entry `n_out` on, return the new end."""
    if s.n_samples > 0:
        _smooth(s, s.value, lows, highs, ranges)
        if s.n_in_block > 0:
            _end_block(s, lows, highs, ranges)
        while s.n_decided < s.n_samples:
            _decide(s, n_out, scale, floor)
            n_out += 1
    s.n_samples = s.n_smoothed = s.n_decided = s.n_in_block = s.n_blocks = 0
    return n_out


@njit(cache=True, nogil=True)
def running_scale(samples, s, lows, highs, ranges, scale, floor):
    """Take samples and write scale and floor of those that are decided now; return how many.

    Parameters
    ----------
    samples : float32 (n,)
        NaN ends a stretch.
    s : record of scalars, in and out
        `window`, `ahead`, `block` in samples, `weight` of a new extent in the average, `quantile`; the rest is state.
    lows, highs : float64 (n_blocks,), in and out
        Rings of the extremes of the latest blocks.
    ranges : float64 (n_blocks,), in and out
        Their differences in order of size.
    scale, floor : float64 (n + window + 1,), out
        NaN for missing samples.
    """
    n_out = 0
    for m in range(len(samples)):
        value = float(samples[m])
        if math.isnan(value):
            n_out = drain_scale(s, lows, highs, ranges, scale, floor, n_out)
            scale[n_out] = floor[n_out] = math.nan
            n_out += 1
            continue
        if s.n_samples == 0:
            s.before = value
        else:
            _smooth(s, value, lows, highs, ranges)
            s.before = s.value
        s.value = value
        s.n_samples += 1
        if s.n_smoothed >= s.window:
            while s.n_decided + s.ahead <= s.n_smoothed:
                _decide(s, n_out, scale, floor)
                n_out += 1
    return n_out
