"""From committed spans to the waves of each lead: edges between candidates, peaks between edges."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def shared_positions(positions, longest, middles, firsts):
    """Thin sorted candidates of several leads to one a cluster; return their number.

    A cluster holds the candidates less than `longest` samples after its first; its middle one stands for it.
    """
    count = 0
    i = 0
    while i < positions.size:
        j = i
        while j + 1 < positions.size and positions[j + 1] - positions[i] < longest:
            j += 1
        middles[count] = positions[(i + j) // 2]
        firsts[count] = positions[i]
        count += 1
        i = j + 1
    return count


@njit(cache=True, nogil=True)
def farthest_from_chord(signal, start, stop):
    """Return the sample of [start, stop) farthest from the chord between its ends; ties to the earlier."""
    best = start
    if stop - start < 2:
        return best
    first = np.float64(signal[start])
    slope = (np.float64(signal[stop - 1]) - first) / (stop - 1 - start)
    farthest = -1.0
    for n in range(start, stop):
        distance = abs(signal[n] - (first + slope * (n - start)))
        if distance > farthest:
            farthest = distance
            best = n
    return best


@njit(cache=True, nogil=True)
def locate_waves(
    starts, stops, states, occupancy, first_interval, shift, usable, times, shift_unit, longest_shift, raw, raw_start,
    fs, earliest, out, probability,
):  # fmt: skip
    """Find the edges and the peak of each wave in one lead.

    Parameters
    ----------
    starts, stops, states : int64 (n_waves,)
        Nodes at which the waves start and stop, and their states.
    occupancy : float64 (n_intervals,)
        Probability of its state in each interval of each wave.
    first_interval : int64 (n_waves,)
        Where the intervals of a wave start in `occupancy`.
    shift : float32 (n_nodes, 2 * n_states)
        How far this lead's onset and offset of each state lie from a node, in units of `shift_unit` seconds.
    usable : bool (n_nodes,)
        Nodes at which the lead is usable; elsewhere it has no wave.
    times : float64 (n_nodes,)
        Seconds.
    longest_shift : float
        Seconds by which an edge may be moved off its node.
    raw : float32 (n,)
        Input samples of the lead from sample `raw_start` on.
    fs : float
        Their rate in Hz.
    earliest : int
        Sample before which no wave may start: the offset of the one before.
    out : int64 (n_waves, 3), out
        Onset, peak and offset; the onset is −1 where the lead cannot have the wave.
    probability : float64 (n_waves,), out
        Of the wave's state at its peak.

    Returns
    -------
    earliest : int
        Offset of the last wave.
    """
    end = raw_start + raw.size
    for w in range(starts.size):
        out[w, 0] = -1
        probability[w] = 0.0
        first, last, state = starts[w], stops[w], states[w]
        if not usable[first] or not usable[last]:
            continue
        begin = times[first] + min(max(shift_unit * shift[first, 2 * state], -longest_shift), longest_shift)
        finish = times[last] + min(max(shift_unit * shift[last, 2 * state + 1], -longest_shift), longest_shift)
        start = max(np.int64(np.floor(begin * fs + 0.5)), earliest)
        stop = min(np.int64(np.floor(finish * fs + 0.5)), end)
        if stop - start < 2:
            continue
        peak = raw_start + farthest_from_chord(raw, start - raw_start, stop - raw_start)
        interval = first
        while interval + 1 < last and times[interval + 1] * fs <= peak:
            interval += 1
        out[w, 0] = start
        out[w, 1] = peak
        out[w, 2] = stop
        probability[w] = occupancy[first_interval[w] + interval - first]
        earliest = stop
    return earliest
