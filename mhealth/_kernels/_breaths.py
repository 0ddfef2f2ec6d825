"""Which way breathing leans, and a candidate's place among the breaths before it. All times in seconds."""

from __future__ import annotations

import numpy as np
from numba import njit

N_BEFORE = 6
"""Turns before a candidate that are described one by one: two breaths, and a ripple on them."""

N_RELATIVE = 3
"""Of these, those that are also compared with the usual breath: the present one."""

HORIZON = 40.0
"""Seconds over which a breath counts as usual: ten at rest, two and a half at 4 a minute."""

MOST = 128
"""Turns within the horizon that are looked at; more than 3 a second are ripple and noise."""

FAR = 8.0  # seconds; stands for a turn that is not there
SLOWEST = 12.0  # seconds between two breaths, beyond which the period tells nothing more
LARGE = 0.5  # of the 90 % quantile of swings: what is smaller is ripple, not breath
UNKNOWN_PERIOD = 4.0  # seconds between breaths at rest, where fewer than three are known

N_BREATH = 2 * N_BEFORE + 2 + 2 * N_RELATIVE


@njit(cache=True, nogil=True)
def add_powers(samples, sums):
    """Add the powers of deviations to their sums, sample by sample, so that chunks do not matter.

    Parameters
    ----------
    samples : float32 (n,)
        Those that are not finite are left out.
    sums : float64 (5,), in and out
        The first sample, which deviations count from, NaN before there is one; then number, sum, sum of squares and of
        cubes of the deviations.
    """
    for sample in samples:
        if not np.isfinite(sample):
            continue
        if np.isnan(sums[0]):
            sums[0] = sample
        deviation = sample - sums[0]
        sums[1] += 1.0
        sums[2] += deviation
        sums[3] += deviation * deviation
        sums[4] += deviation * deviation * deviation


@njit(cache=True, nogil=True)
def _quantile(ordered, share):
    """Return a quantile of sorted values by linear interpolation."""
    at = share * (ordered.size - 1)
    low = int(at)
    high = min(low + 1, ordered.size - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@njit(cache=True, nogil=True)
def _usual_breath(times, values, first, last, swings, periods):
    """Return size and period of the usual breath among turns `first` to `last`, 0 where too few are known."""
    n = 0
    for k in range(first + 1, last + 1):
        swings[n] = abs(values[k] - values[k - 1])
        n += 1
    if n < 3:
        return 0.0, 0.0
    ordered = swings[:n]
    ordered.sort()
    least = LARGE * _quantile(ordered, 0.9)
    n_small = 0
    while n_small < n - 1 and ordered[n_small] <= least:
        n_small += 1
    size = _quantile(ordered[n_small:], 0.5)
    count = 0
    previous = -1.0
    for k in range(first + 1, last + 1):
        if values[k] - values[k - 1] > least:
            if previous >= 0.0:
                periods[count] = times[k] - previous
                count += 1
            previous = times[k]
    if count < 2:
        return size, 0.0
    known = periods[:count]
    known.sort()
    return size, _quantile(known, 0.5)


@njit(cache=True, nogil=True)
def breath_context(times, values, scale, n_known, context):
    """Describe each candidate by the turns before it.

    Parameters
    ----------
    times, values : float64 (n_known + m,)
        Seconds and signal of earlier turns of the stretch, then of the m candidates.
    scale : float32 (m,)
        Running scale at each candidate.
    n_known : int
        How many earlier turns there are; N_BEFORE and those of the last HORIZON seconds must be among them.
    context : float32 (m, N_BREATH), out
        For each of N_BEFORE turns before, the nearest first: rise since then as d / (|d| + scale), and seconds / 4, at
        most 2; size of the usual breath as s / (s + scale), and its period / 6 s, at most 2; for each of N_RELATIVE
        turns before: rise as a share of the usual breath, at most ±2, and time as a share of its period, at most 3.
    """
    swings, periods = np.empty(MOST, np.float64), np.empty(MOST, np.float64)
    for m in range(context.shape[0]):
        here = n_known + m
        row = context[m]
        unit = np.float64(scale[m])
        first = max(here - MOST + 1, 0)
        while times[here] - times[first] > HORIZON:
            first += 1
        size, period = _usual_breath(times, values, first, here, swings, periods)
        if period <= 0.0:
            period = UNKNOWN_PERIOD
        for k in range(1, N_BEFORE + 1):
            rise, elapsed = 0.0, FAR
            if here >= k:
                rise, elapsed = values[here] - values[here - k], times[here] - times[here - k]
            column = 2 * (k - 1)
            row[column] = rise / (abs(rise) + unit) if unit > 0.0 else 0.0
            row[column + 1] = min(elapsed, FAR) / 4.0
            if k <= N_RELATIVE:
                column = 2 * N_BEFORE + 2 + 2 * (k - 1)
                row[column] = min(max(rise / size, -2.0), 2.0) if size > 0.0 else 0.0
                row[column + 1] = min(elapsed / period, 3.0)
        row[2 * N_BEFORE] = size / (size + unit) if size > 0.0 else 0.0
        row[2 * N_BEFORE + 1] = min(period, SLOWEST) / 6.0
