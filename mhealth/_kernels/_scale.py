"""The running scale of one lead: range in a sliding window by monotone queues, then an exponential average."""

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
def drain_scale(s, queues, indices, scale, n_scale):
    """End the stretch: write the scale of its last samples to `scale` from entry `n_scale` on, return the new end."""
    if s.n_samples > 0:
        _append(s, _smooth(s.before, s.value, s.value), queues, indices)
        while s.n_decided < s.n_samples:
            scale[n_scale] = _decide(s, queues, indices)
            n_scale += 1
    s.n_samples = s.n_smoothed = s.n_decided = 0
    s.high_first = s.low_first = 0
    s.high_last = s.low_last = -1
    return n_scale


@njit(cache=True, nogil=True)
def running_scale(samples, s, queues, indices, scale):
    """Take samples, float32, and write the scale of those that are decided now to `scale`; return how many.

    Parameters
    ----------
    samples : float32 (n,)
        NaN ends a stretch.
    s : record of scalars, in and out
        `behind`, `ahead` (samples), `weight` of a new range in the average; the rest is state.
    queues : float64 (2, 2^k), 2^k > behind + ahead, in and out
        Falling largest and rising smallest values of the window, a ring each.
    indices : int64 (2, 2^k), in and out
        Their indices in the stretch.
    scale : float64 (n + behind + ahead,), out
        NaN for missing samples.
    """
    n_scale = 0
    for m in range(len(samples)):
        value = float(samples[m])
        if math.isnan(value):
            n_scale = drain_scale(s, queues, indices, scale, n_scale)
            scale[n_scale] = math.nan
            n_scale += 1
            continue
        if s.n_samples == 0:
            s.before = value
        else:
            _append(s, _smooth(s.before, s.value, value), queues, indices)
            s.before = s.value
        s.value = value
        s.n_samples += 1
        # The window of sample n holds the smoothed samples n − behind … n + ahead − 1; the first windows are one.
        if s.n_smoothed >= s.behind + s.ahead:
            while s.n_decided + s.ahead <= s.n_smoothed:
                scale[n_scale] = _decide(s, queues, indices)
                n_scale += 1
    return n_scale
