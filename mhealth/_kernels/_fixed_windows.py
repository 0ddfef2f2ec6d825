"""Windows in whole numbers, bit for bit those of ``export/runtime/mh_windows.c``."""

from __future__ import annotations

from numba import njit

from mhealth._kernels._fixed import rounded_shift

__all__ = ["compress_window", "cut_window", "level_of", "quotient"]


@njit(cache=True, nogil=True)
def quotient(value, divisor):
    """Return value / divisor, halves away from zero; the divisor is positive."""
    return (value + divisor // 2) // divisor if value >= 0 else -((divisor // 2 - value) // divisor)


@njit(cache=True, nogil=True)
def cut_window(signal, first, position, start, widths, inverse_moment, bins):
    """Write the averages of bins around a position, without their mean or trend.

    Parameters
    ----------
    signal : int16 (n,)
        ADC units.
    first : int
        Sample before which the signal counts as unknown; a bin without a known one takes the value of its neighbour.
    position : int
        The candidate.
    start : int
        Of the first bin, in samples from the candidate.
    widths : uint8 (n_points,)
        Samples of each bin.
    inverse_moment : int
        2^31 / Σ (2b − n_points + 1)² over the bins b; 0 leaves the trend.
    bins : int64 (n_points,), out
        1/256 ADC units.
    """
    n_points = bins.size
    low, high, edge = n_points, 0, position + start
    for b in range(n_points):
        begin = max(edge, first)
        edge += widths[b]
        end = min(edge, signal.size)
        bins[b] = 0
        if begin < end:
            total = 0
            for n in range(begin, end):
                total += signal[n]
            bins[b] = quotient(total * 256, end - begin)
            low, high = min(low, b), b + 1
    if high > 0:
        bins[:low] = bins[low]
        bins[high:] = bins[high - 1]
    total = 0
    for b in range(n_points):
        total += bins[b]
    mean = quotient(total, n_points)
    tilt = 0
    for b in range(n_points):
        tilt += (bins[b] >> 4) * (2 * b - n_points + 1)
    slope = rounded_shift(tilt * inverse_moment, 21)
    for b in range(n_points):
        bins[b] -= mean + rounded_shift(slope * (2 * b - n_points + 1), 6)


@njit(cache=True, nogil=True)
def level_of(scale, knee):
    """Return where compression comes half way, in 1/256 ADC units: the running scale (Q24.8) times the knee (Q4.12)."""
    return max(min((scale * knee) >> 12, 1 << 30), 1)


@njit(cache=True, nogil=True)
def compress_window(bins, level, window):
    """Compress values as x / (|x| + level), to Q1.14.

    Parameters
    ----------
    bins : int64 (n_points,)
    level : int
    window : int64 (n_points,), out
    """
    for b in range(bins.size):
        size = abs(bins[b])
        total = size + level
        while total >= 1 << 17:
            size >>= 1
            total >>= 1
        share = ((size << 14) + (total >> 1)) // total
        window[b] = -share if bins[b] < 0 else share
