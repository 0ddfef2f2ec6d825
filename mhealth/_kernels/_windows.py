"""Cut windows around positions of a signal, as bin averages without mean or trend."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _average_bins(signal, position, edges, window):
    """Average the valid samples of each bin around a position; NaN where a bin has none."""
    n_samples = signal.size
    for b in range(window.size):
        start = max(position + edges[b], 0)
        stop = min(position + edges[b + 1], n_samples)
        total = np.float32(0.0)
        for i in range(start, stop):
            total += signal[i]
        count = stop - start
        if total != total:  # some samples are missing, so count and add the others
            total = np.float32(0.0)
            count = 0
            for i in range(start, stop):
                if signal[i] == signal[i]:
                    total += signal[i]
                    count += 1
        if count > 0:
            window[b] = total / np.float32(count)
        else:
            window[b] = np.nan


@njit(cache=True, nogil=True)
def _fill_outwards(window, centre):
    """Give bins that are NaN the value of the nearest valid bin towards the centre, zeros if there is none."""
    n_points = window.size
    origin = centre
    for distance in range(n_points):
        if centre - distance >= 0 and window[centre - distance] == window[centre - distance]:
            origin = centre - distance
            break
        if centre + distance < n_points and window[centre + distance] == window[centre + distance]:
            origin = centre + distance
            break
    if window[origin] != window[origin]:
        window[origin] = 0.0
    for b in range(origin - 1, -1, -1):
        if window[b] != window[b]:
            window[b] = window[b + 1]
    for b in range(origin + 1, n_points):
        if window[b] != window[b]:
            window[b] = window[b - 1]


@njit(cache=True, nogil=True)
def cut_windows(signal, positions, edges, centre, remove_trend, windows):
    """Write one window a position.

    Parameters
    ----------
    signal : float32 (n_samples,)
        NaN is missing.
    positions : int64 (n_windows,)
    edges : int64 (n_points + 1,)
        Bin b holds the samples from position + edges[b] up to, not including, position + edges[b + 1].
    centre : int
        The bin that holds the position.
    remove_trend : bool
        Project out the straight line over the bins too, not only the mean.
    windows : float32 (n_windows, n_points), out
    """
    n_points = edges.size - 1
    size = np.float32(n_points)
    middle = np.float32(0.5) * np.float32(n_points - 1)
    moment = np.float32(n_points * (n_points * n_points - 1.0) / 12.0)  # sum of (b − middle)²
    for w in range(positions.size):
        window = windows[w]
        _average_bins(signal, positions[w], edges, window)
        total = np.float32(0.0)
        for b in range(n_points):
            total += window[b]
        if total != total:
            _fill_outwards(window, centre)
            total = np.float32(0.0)
            for b in range(n_points):
                total += window[b]
        mean = total / size
        for b in range(n_points):
            window[b] -= mean
        if remove_trend:
            tilt = np.float32(0.0)
            for b in range(n_points):
                tilt += (np.float32(b) - middle) * window[b]
            slope = tilt / moment
            for b in range(n_points):
                window[b] -= slope * (np.float32(b) - middle)
