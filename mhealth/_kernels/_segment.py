"""The state machine behind segmentation: one lead, one sample at a time, from turns to candidates.

A stretch is a run of samples without NaN. Its first and last sample are held beyond its edges, so that every rule sees
a signal without edges. Indices count from the start of the stretch; rings are addressed modulo their size.

Arguments that several functions share:

s : record of scalars
    Settings (in samples, or in units of scale and floor) and state, see `mhealth.segmentation._lead`.
raw, smoothed, scales, floors : float64 (2^k,)
    Rings of the latest samples, of their averages over 2 · `s.half` + 1 samples, and of the running scale and floor.
stack, out : structured (n,)
    Candidates: between the last one and those on the stack lies nothing yet; `s.n_out` of those in `out` are written.
"""

from __future__ import annotations

import math

from numba import njit

__all__ = ["end_stretch", "segment"]

_FILL, _MAXIMUM, _MINIMUM, _CONCAVE, _CONVEX = range(5)  # as in mhealth.segmentation.Turn


@njit(cache=True, nogil=True)
def _feed(i, value, half, raw, smoothed):
    """Append sample i, real or held, and the average that it completes."""
    mask = len(raw) - 1
    raw[i & mask] = value
    total = value
    for k in range(i - 2 * half, i):
        total += raw[k & mask]
    smoothed[(i - half) & mask] = total / (2 * half + 1)


@njit(cache=True, nogil=True)
def _is_peak(smoothed, i, reach, sign):
    """Say whether sign · signal is largest at i within ± reach: of a plateau the middle, of equal peaks the first."""
    mask = len(smoothed) - 1
    value = sign * smoothed[i & mask]
    before = after = 1
    while before <= reach and sign * smoothed[(i - before) & mask] == value:
        before += 1
    while after <= reach and sign * smoothed[(i + after) & mask] == value:
        after += 1
    if before > reach or not 0 <= after - before <= 1:
        return False
    for k in range(before, reach + 1):
        if sign * smoothed[(i - k) & mask] >= value:
            return False
    for k in range(after, reach + 1):  # noqa: SIM110  (numba compiles no generator in all())
        if sign * smoothed[(i + k) & mask] > value:
            return False
    return True


@njit(cache=True, nogil=True)
def _prominence(smoothed, i, arm, sign):
    """Return how far sign · signal falls from i within `arm`, on the side where it falls less."""
    mask = len(smoothed) - 1
    value = sign * smoothed[i & mask]
    lowest_before = lowest_after = value
    for k in range(1, arm + 1):
        lowest_before = min(lowest_before, sign * smoothed[(i - k) & mask])
        lowest_after = min(lowest_after, sign * smoothed[(i + k) & mask])
    return value - max(lowest_before, lowest_after)


@njit(cache=True, nogil=True)
def _note(candidate, i, kind, span, height, scale):
    candidate.position = i
    candidate.kind = kind
    candidate.scale = span
    candidate.prominence = height / scale if scale > 0 else 0.0
    candidate.running_scale = scale


@njit(cache=True, nogil=True)
def _emit(s, candidate, out):
    """Write a candidate, its position now counted from the start of the stream."""
    entry = out[s.n_out]
    entry.position = s.start + candidate.position
    entry.kind = candidate.kind
    entry.scale = candidate.scale
    entry.prominence = candidate.prominence
    entry.running_scale = candidate.running_scale
    s.n_out += 1


@njit(cache=True, nogil=True)
def _close_gap(s, smoothed, scales, floors, stack, out, emit_end):
    """Split the gap between the last candidate and the one at the bottom of the stack, and emit what it holds.

    The gap is split where the signal is farthest from its chord, if that is far enough for a gap of its length and for
    the range of the signal in it, and so are the parts. What remains too long for a moving signal is split evenly.
    """
    mask = len(smoothed) - 1
    n_stack = 1
    while n_stack > 0:
        start, stop = s.last, stack[n_stack - 1].position
        length = stop - start
        scale = scales[stop & mask]
        first = smoothed[start & mask]
        slope = (smoothed[stop & mask] - first) / max(length, 1)  # 0: a candidate at the start of the stretch
        low = min(first, smoothed[stop & mask])
        high = max(first, smoothed[stop & mask])
        first_split, last_split = start + s.shortest, stop - s.shortest
        farthest, split = 0.0, start
        for k in range(start + 1, stop):
            value = smoothed[k & mask]
            low = min(low, value)
            high = max(high, value)
            distance = abs(value - first - slope * (k - start))
            if distance > farthest and first_split <= k <= last_split:
                farthest, split = distance, k
        if farthest > 0:
            least = max(s.deviation * scale, s.deviation_floor * floors[stop & mask], s.deviation_range * (high - low))
            if farthest > least * math.sqrt(s.reference / length):
                above = smoothed[split & mask] - first - slope * (split - start) > 0
                kind = _CONCAVE if above else _CONVEX
                _note(stack[n_stack], split, kind, 0.5 * length * s.period, farthest, scales[split & mask])
                n_stack += 1
                continue
        if length > s.busy_gap and high - low > s.busy_range * scale:
            n_pieces = (length + s.busy_gap - 1) // s.busy_gap
            for k in range(1, n_pieces):
                i = start + (2 * k * length + n_pieces) // (2 * n_pieces)
                _note(stack[n_stack], i, _FILL, length * s.period / n_pieces, 0.0, scales[i & mask])
                _emit(s, stack[n_stack], out)
        n_stack -= 1
        s.last = stop
        if n_stack > 0 or emit_end:
            _emit(s, stack[n_stack], out)


@njit(cache=True, nogil=True)
def _decide(s, i, smoothed, scales, floors, stack, out):
    """Look for an extremum at i, and close the gap before it, or one that gets too long."""
    mask = len(smoothed) - 1
    value, before, after = smoothed[i & mask], smoothed[(i - 1) & mask], smoothed[(i + 1) & mask]
    kind, sign = _FILL, 0.0
    if before <= value >= after and _is_peak(smoothed, i, s.reach, 1.0):
        kind, sign = _MAXIMUM, 1.0
    elif before >= value <= after and _is_peak(smoothed, i, s.reach, -1.0):
        kind, sign = _MINIMUM, -1.0
    scale = scales[i & mask]
    if kind != _FILL:
        height = _prominence(smoothed, i, s.arm, sign)
        if height > max(s.prominence * scale, s.prominence_floor * floors[i & mask]):
            _note(stack[0], i, kind, s.arm * s.period, height, scale)
            _close_gap(s, smoothed, scales, floors, stack, out, True)
            return
    if i - s.last == s.longest_gap:
        _note(stack[0], i, _FILL, s.longest_gap * s.period, 0.0, scale)
        _close_gap(s, smoothed, scales, floors, stack, out, True)


@njit(cache=True, nogil=True)
def end_stretch(s, smoothed, scales, floors, stack, out):
    """Emit the last candidates of the stretch; its last sample closes the gap but is none."""
    if s.n_decided - 1 > s.last:
        _note(stack[0], s.n_decided - 1, _FILL, 0.0, 0.0, 0.0)
        _close_gap(s, smoothed, scales, floors, stack, out, False)
    s.start += s.n_decided
    s.n_decided = s.last = s.held = 0


@njit(cache=True, nogil=True)
def segment(samples, scale, floor, s, raw, smoothed, scales, floors, stack, out):
    """Decide the samples whose running scale is known.

    Parameters
    ----------
    samples : float32 (n,)
        Samples from the first undecided one on; NaN ends a stretch.
    scale, floor : float64 (m,), m <= n
        Running scale and floor of the first m. Either `s.pad` more samples follow, or the stretch ends before.
    """
    s.n_out = 0
    mask = len(scales) - 1
    for j in range(len(scale)):
        if math.isnan(samples[j]):
            end_stretch(s, smoothed, scales, floors, stack, out)
            s.start += 1
            continue
        ahead = j + s.pad
        if s.n_decided == 0:
            s.value = float(samples[j])
            for k in range(-s.pad, 0):
                _feed(k, s.value, s.half, raw, smoothed)
            s.n_fed = 0
            ahead = j
        i = s.n_decided
        while s.n_fed <= i + s.pad:
            if not s.held and ahead < len(samples) and not math.isnan(samples[ahead]):
                s.value = float(samples[ahead])
                ahead += 1
            else:
                s.held = 1
            _feed(s.n_fed, s.value, s.half, raw, smoothed)
            s.n_fed += 1
        scales[i & mask] = scale[j]
        floors[i & mask] = floor[j]
        s.n_decided += 1
        _decide(s, i, smoothed, scales, floors, stack, out)
