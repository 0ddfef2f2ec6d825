"""Running scale and floor in whole numbers, bit for bit those of ``export/runtime/mh_scale.c``.

Arguments that several functions share:

s : record of int64
    Settings and state; names and formats as in ``mh_scale.h``.
lows, ranges, ordered : int64 (n_blocks,)
    Of the latest blocks: lows in units, ranges in thirds of a unit, and these in order of size.
"""

from __future__ import annotations

from numba import njit

__all__ = ["drain_fixed_scale", "fixed_scale"]


@njit(cache=True, nogil=True)
def _end_block(s, lows, ranges, ordered):
    extent = min(s.high - s.low, 65535)
    place = s.n_filled
    if s.n_filled == len(lows):
        place = 0
        while ordered[place] != ranges[s.slot]:
            place += 1
    else:
        s.n_filled += 1
    n = s.n_filled
    while place + 1 < n and ordered[place + 1] < extent:
        ordered[place] = ordered[place + 1]
        place += 1
    while place > 0 and ordered[place - 1] > extent:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = extent
    lows[s.slot] = (s.low + 1) // 3
    ranges[s.slot] = extent
    s.slot = (s.slot + 1) % len(lows)
    s.n_in_block = 0
    lowest, highest = 3 * lows[0], 3 * lows[0] + ranges[0]
    for k in range(1, n):
        lowest = min(lowest, 3 * lows[k])
        highest = max(highest, 3 * lows[k] + ranges[k])
    s.extent = (min(highest - lowest, 3 * 65535) << 16) // 3
    s.floor_q8 = (ordered[min((s.quantile * n) >> 16, n - 1)] << 8) // 3


@njit(cache=True, nogil=True)
def _smooth(s, after, lows, ranges, ordered):
    value = s.before + s.latest + after
    if s.n_in_block == 0:
        s.low = s.high = value
    s.low = min(s.low, value)
    s.high = max(s.high, value)
    s.n_in_block += 1
    if s.n_in_block == s.block:
        _end_block(s, lows, ranges, ordered)


@njit(cache=True, nogil=True)
def _give(s, n_out, scale, floor):
    if s.n_decided == 0:
        s.average = s.extent
    if s.n_decided + s.ahead <= s.window:
        s.n_decided += 1
    elif s.extent >= s.average:
        s.average += ((s.extent - s.average) * s.weight + (1 << 29)) >> 30
    else:
        s.average -= ((s.average - s.extent) * s.weight + (1 << 29)) >> 30
    s.n_waiting -= 1
    scale[n_out] = max(1, s.average >> 8)
    floor[n_out] = s.floor_q8


@njit(cache=True, nogil=True)
def fixed_scale(samples, s, lows, ranges, ordered, scale, floor):
    """Take samples and write scale and floor of those that are decided now; return how many.

    Parameters
    ----------
    samples : int16 (n,)
    scale, floor : int64 (n + window + 1,), out
        ADC units, Q24.8.
    """
    n_out = 0
    for m in range(len(samples)):
        sample = int(samples[m])
        if s.n_seen == 0:
            s.before = sample
        else:
            _smooth(s, sample, lows, ranges, ordered)
            s.before = s.latest
        s.latest = sample
        s.n_seen = min(s.n_seen + 1, s.window + 1)
        s.n_waiting += 1
        n_given = 0
        while s.n_seen > s.window and s.n_waiting > s.ahead and n_given < s.burst:
            _give(s, n_out, scale, floor)
            n_given += 1
            n_out += 1
    return n_out


@njit(cache=True, nogil=True)
def drain_fixed_scale(s, lows, ranges, ordered, scale, floor):
    """End the stretch: write the values of its last samples, return how many."""
    if s.n_seen > 0:
        _smooth(s, s.latest, lows, ranges, ordered)
        if s.n_in_block > 0:
            _end_block(s, lows, ranges, ordered)
    n_out = 0
    while s.n_waiting > 0:
        _give(s, n_out, scale, floor)
        n_out += 1
    return n_out
