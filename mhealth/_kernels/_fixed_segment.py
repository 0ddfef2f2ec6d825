"""Candidates of one lead in whole numbers, bit for bit those of ``export/runtime/mh_segment.c``.

Arguments that several functions share:

s : record of int64
    Settings and state; names and formats as in ``mh_segment.h``.
signal : int16 (n,)
    The lead from sample `s.origin` of the stretch on, as far as it is needed; sample 0 is held before it, and where it
    has ended (`s.ended`) its last sample after it.
scales, floors : int64 (n_groups,)
    Running scale and floor, Q24.8, of groups of samples.
splits : int64 (n,)
    Positions between the last candidate and the end of its gap, the nearest last.
"""

from __future__ import annotations

from numba import njit

from mhealth._kernels._fixed import root

__all__ = ["end_fixed_stretch", "fixed_segment"]


@njit(cache=True, nogil=True)
def _box(s, signal, k):
    """Return the sum over the box around sample k."""
    total = 0
    for n in range(k - s.half, k + s.half + 1):
        total += int(signal[min(max(n, 0) - s.origin, len(signal) - 1)])
    return total


@njit(cache=True, nogil=True)
def _fall(s, signal, i, sign, step):
    """Return how far sign · lead falls beside i, and how many samples are as large; −1 if it is not largest at i."""
    value, fall, plateau = sign * _box(s, signal, i), 0, 1
    for n in range(1, max(s.reach, s.arm) + 1):
        change = sign * _box(s, signal, i + step * n) - value
        if n <= s.reach:
            if change > 0 or (change == 0 and n > plateau and step < 0):
                return -1, 0
            if change == 0 and n == plateau:
                plateau += 1
        if n <= s.arm:
            fall = max(fall, -change)
    return fall, plateau


@njit(cache=True, nogil=True)
def _height(s, signal, i, sign):
    """Return how far the peak of sign · lead at i stands out; −1 if there is none."""
    if max(sign * s.before, sign * s.after) > sign * s.value:
        return -1
    fall_before, before = _fall(s, signal, i, sign, -1)
    if fall_before < 0 or before > s.reach:
        return -1
    fall_after, after = _fall(s, signal, i, sign, 1)
    if fall_after < 0 or not 0 <= after - before <= 1:
        return -1
    return min(fall_before, fall_after)


@njit(cache=True, nogil=True)
def _close_gap(s, stop, signal, scales, floors, splits, positions, candidate_scales, n_out, emit_end):
    """Take the gap from the last candidate to `stop` apart and write what it holds; return the new end of `out`."""
    mask = len(scales) - 1
    splits[0] = stop
    n_open = 1
    while n_open > 0:
        start, end = s.last, splits[n_open - 1]
        length = end - start
        first = _box(s, signal, start)
        rise = _box(s, signal, end) - first
        low, high = min(0, rise), max(0, rise)
        farthest, bend = 0, 0
        for n in range(1, length):
            level = _box(s, signal, start + n) - first
            low = min(low, level)
            high = max(high, level)
            distance = abs(level * length - rise * n)
            if distance > farthest and s.shortest <= n <= length - s.shortest:
                farthest, bend = distance, n
        group = (end >> s.group_shift) & mask
        least = max(s.deviation * scales[group], s.deviation_floor * floors[group]) >> 20
        least = max(least, (s.deviation_range * (high - low)) >> 12)
        if farthest << (8 + s.root_shift) > least * root(s.reference * length):
            splits[n_open] = start + bend
            n_open += 1
            continue
        n_pieces = 1
        if length > s.busy_gap and (high - low) << 28 > s.busy_range * scales[group]:
            n_pieces = (length + s.busy_gap - 1) // s.busy_gap
        n_open -= 1
        s.last = end
        for piece in range(1, n_pieces + 1):
            if piece < n_pieces or n_open > 0 or emit_end:
                position = start + (2 * piece * length + n_pieces) // (2 * n_pieces)
                positions[n_out] = position
                candidate_scales[n_out] = scales[(position >> s.group_shift) & mask]
                n_out += 1
    return n_out


@njit(cache=True, nogil=True)
def fixed_segment(signal, scale, floor, s, scales, floors, splits, positions, candidate_scales):
    """Decide the samples whose running scale is known; return the number of candidates.

    Parameters
    ----------
    scale, floor : int64 (n,)
        Running scale and floor of the next n samples, Q24.8.
    positions, candidate_scales : int64 (n + longest gap,), out
    """
    n_out = 0
    mask = len(scales) - 1
    for j in range(len(scale)):
        i = s.position
        if i == 0:
            s.value, s.after = _box(s, signal, -1), _box(s, signal, 0)
        s.before, s.value, s.after = s.value, s.after, _box(s, signal, i + 1)
        scales[(i >> s.group_shift) & mask] = scale[j]
        floors[(i >> s.group_shift) & mask] = floor[j]
        height = _height(s, signal, i, 1)
        if height < 0:
            height = _height(s, signal, i, -1)
        stands_out = height >= 0 and height << 28 > max(s.prominence * scale[j], s.prominence_floor * floor[j])
        s.position += 1
        if stands_out or i - s.last == s.longest_gap:
            n_out = _close_gap(s, i, signal, scales, floors, splits, positions, candidate_scales, n_out, True)
    return n_out


@njit(cache=True, nogil=True)
def end_fixed_stretch(signal, s, scales, floors, splits, positions, candidate_scales, n_out):
    """Write the last candidates of the stretch from entry `n_out` on; return the new end."""
    if s.position - 1 > s.last:
        stop = s.position - 1
        n_out = _close_gap(s, stop, signal, scales, floors, splits, positions, candidate_scales, n_out, False)
    return n_out
