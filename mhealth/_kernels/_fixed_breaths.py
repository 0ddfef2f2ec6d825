"""A candidate's place among the breaths before it in whole numbers, bit for bit as ``export/runtime/mh_breaths.c``.

The float stage, and what its constants stem from, is in `_breaths`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mhealth._kernels._breaths import FAR, HORIZON, N_BEFORE, N_RELATIVE, SLOWEST, UNKNOWN_PERIOD
from mhealth._kernels._fixed_beats import share
from mhealth._kernels._fixed_windows import quotient

__all__ = ["describe"]

_HORIZON, _FAR, _SLOWEST, _UNKNOWN = int(HORIZON), int(FAR), int(SLOWEST), int(UNKNOWN_PERIOD)
_ONE = 2048  # of Q4.11


@njit(cache=True, nogil=True)
def _twice_median(ordered):
    n = len(ordered)
    return ordered[(n - 1) // 2] + ordered[n // 2]


@njit(cache=True, nogil=True)
def _usual_breath(times, values, first, last, scratch):
    """Return twice the size and the period of the usual breath among turns `first` to `last`; 0 if too few."""
    n = last - first
    if n < 3:
        return 0, 0
    for k in range(n):
        scratch[k] = abs(values[first + k + 1] - values[first + k])
    ordered = scratch[:n]
    ordered.sort()
    # Ten times the 90 % quantile, by linear interpolation. A breath is larger than half of that.
    rank = 9 * (n - 1) // 10
    large = 10 * ordered[rank] + 9 * (n - 1) % 10 * (ordered[min(rank + 1, n - 1)] - ordered[rank])
    n_small = 0
    while n_small < n - 1 and 20 * ordered[n_small] <= large:
        n_small += 1
    twice_size = _twice_median(ordered[n_small:])
    count, previous = 0, -1
    for k in range(first + 1, last + 1):
        if 20 * (values[k] - values[k - 1]) > large:
            if previous >= 0:
                scratch[count] = times[k] - times[previous]
                count += 1
            previous = k
    if count < 2:
        return twice_size, 0
    known = scratch[:count]
    known.sort()
    return twice_size, _twice_median(known)


@njit(cache=True, nogil=True)
def describe(times, values, scale_q8, rate, n_turns, n_known, dense):
    """Describe candidates by the turns before them; see `_breaths`.

    Parameters
    ----------
    times, values : int64 (n_known + m,)
        Samples from the start of the stretch, and ADC units, of its earlier turns, then of the m candidates.
    scale_q8 : int64 (m,)
        Running scale at each candidate, Q24.8.
    rate, n_turns, n_known : int
        Samples a second; turns that C remembers; earlier turns.
    dense : int64 (m, N_BREATH), out
        Q4.11.
    """
    scratch = np.empty(n_turns, np.int64)
    for m in range(len(dense)):
        here = n_known + m
        row = dense[m]
        oldest = max(here + 1 - n_turns, 0)
        first = oldest
        while times[here] - times[first] > _HORIZON * rate:
            first += 1
        twice_size, twice_period = _usual_breath(times, values, first, here, scratch)
        if twice_period == 0:
            twice_period = 2 * _UNKNOWN * rate
        for k in range(1, N_BEFORE + 1):
            rise, elapsed = 0, _FAR * rate
            if here - oldest >= k:
                rise, elapsed = values[here] - values[here - k], times[here] - times[here - k]
            column = 2 * (k - 1)
            part = share(abs(rise) << 8, (abs(rise) << 8) + scale_q8[m])
            row[column] = part if rise >= 0 else -part
            row[column + 1] = quotient(min(elapsed, _FAR * rate) * _ONE, 4 * rate)
            if k <= N_RELATIVE:
                column = 2 * N_BEFORE + 2 + 2 * (k - 1)
                relative = quotient(rise * 2 * _ONE, twice_size) if twice_size > 0 else 0
                row[column] = min(max(relative, -2 * _ONE), 2 * _ONE)
                row[column + 1] = min(quotient(elapsed * 2 * _ONE, twice_period), 3 * _ONE)
        row[2 * N_BEFORE] = share(twice_size << 7, (twice_size << 7) + scale_q8[m])
        row[2 * N_BEFORE + 1] = quotient(min(twice_period, 2 * _SLOWEST * rate) * _ONE, 12 * rate)
