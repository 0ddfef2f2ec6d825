"""Find heartbeats without labels, and look at a candidate's place among them.

A beat here is only a landmark: the moment of steepest change where the running energy of the slope peaks. What the
waves around it are called is for the CRF to say. All indices count samples at 250 Hz from the start of a stretch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

HALF_ENERGY = 12
"""The slope's energy is averaged over ±48 ms, about a QRS complex."""

DOMINANCE = 30
"""An energy peak is a beat once it stayed the highest for 120 ms; with DELAY it is known 180 ms after its middle."""

STEEPEST = 15
"""The landmark is the steepest moment within ±60 ms of the energy peak."""

RELATIVE_THRESHOLD = 0.4
"""A beat reaches this share of the running energy of beats; T waves have less than half of a QRS complex's."""

RISE, FALL = 0.4, 0.05
"""Steps towards a stronger and a weaker beat: the running energy is that of the strongest usual ones.

With equal steps, P and T waves that counted once in a pause pulled it down to theirs and counted for good: of QTDB's
landmarks 7 % were no QRS complexes, with these 3 %.
"""

FORGET_AFTER = 450
"""After 1.8 s without a beat the running energy falls, by a third each second."""

HALF_SLOPE = 3
DELAY = HALF_SLOPE + HALF_ENERGY

JUST_PASSED = 12
"""A beat up to 48 ms back counts as the next one still: its landmark lies inside the QRS complex."""

FARTHEST = 200
"""A candidate more than 0.8 s after a beat is compared with no earlier beat: the T wave is over."""

N_RHYTHM = 12
FAR = 3.0  # seconds; stands for a beat that is not there
LEVEL, BEST = 0, 1
BEST_AT, LAST_BEAT = 0, 1


@njit(cache=True, nogil=True)
def slope_energy(signal, slope, energy, n_slope, n_energy):
    """Fill |slope| and its energy as far as the signal allows; return how far both are known.

    Parameters
    ----------
    signal : float32 (n,)
        Latest samples of a stretch; the first is held before its start.
    slope, energy : float64 (n,), out
        |Slope| of the smoothed signal, and its sum over ±HALF_ENERGY samples.
    n_slope, n_energy : int
        Entries that are filled already.
    """
    stop = max(signal.size - HALF_SLOPE, n_slope)
    for i in range(n_slope, stop):
        total = 0.0
        for k in range(1, HALF_SLOPE + 1):
            total += np.float64(signal[i + k]) - np.float64(signal[max(i - k, 0)])
        slope[i] = abs(total)
    n_slope = stop
    stop = max(n_slope - HALF_ENERGY, n_energy)
    for i in range(n_energy, stop):
        total = 0.0
        for k in range(max(i - HALF_ENERGY, 0), i + HALF_ENERGY + 1):
            total += slope[k]
        energy[i] = total
    return n_slope, stop


@njit(cache=True, nogil=True)
def track_beats(slope, energy, origin, start, stop, floats, integers, beats, confirmed, n_beats):
    """Advance the tracker over samples `start` to `stop` of the buffers; return the number of beats.

    Parameters
    ----------
    slope, energy : float64 (n,)
        Filled up to ``stop + HALF_ENERGY`` and `stop`.
    origin : int
        Index of the buffers' first entry.
    floats : float64 (2,)
        Running energy of beats; best energy since the last decision.
    integers : int64 (2,)
        Index of that best energy; index of the last beat's energy peak, or of the start.
    beats, confirmed : int64 (most,), out
        Landmark of each beat, and the index of the sample that made it known.
    n_beats : int
        Entries that are filled already.
    """
    for i in range(start, stop):
        n = origin + i
        value = energy[i]
        if value > floats[BEST]:
            floats[BEST] = value
            integers[BEST_AT] = n
        elif n - integers[BEST_AT] == DOMINANCE and floats[BEST] > 0.0:
            if floats[BEST] > RELATIVE_THRESHOLD * floats[LEVEL]:
                peak = integers[BEST_AT] - origin
                steepest = peak
                for k in range(max(peak - STEEPEST, 0), peak + STEEPEST + 1):
                    if slope[k] > slope[steepest]:
                        steepest = k
                beats[n_beats] = origin + steepest
                confirmed[n_beats] = n + DELAY
                n_beats += 1
                above = min(floats[BEST], 2.0 * floats[LEVEL]) - floats[LEVEL]
                floats[LEVEL] += (RISE if above > 0.0 else FALL) * above
                integers[LAST_BEAT] = integers[BEST_AT]
            floats[BEST] = 0.0
            integers[BEST_AT] = n
        quiet = n - integers[LAST_BEAT]
        if quiet > FORGET_AFTER and (quiet - FORGET_AFTER) % 250 == 1:
            floats[LEVEL] *= 0.7
    return n_beats


@njit(cache=True, nogil=True)
def average_window(signal, origin, beats, first, last, phase, limit, half, width, window):
    """Average the signal at one phase of beats `first` to `last`; return the number of beats.

    The window takes ±`half` samples in bins of `width`; beats whose window is not in the buffer up to `limit` are
    left out. Its mean is projected out.
    """
    n_points = window.size
    for b in range(n_points):
        window[b] = 0.0
    count = 0
    for k in range(first, last):
        start = beats[k] + phase - half - origin
        if start < 0 or beats[k] + phase + half > limit:
            continue
        count += 1
        for b in range(n_points):
            for j in range(start + b * width, start + (b + 1) * width):
                window[b] += signal[j]
    if count == 0:
        return 0
    mean = np.float32(0.0)
    for b in range(n_points):
        window[b] /= np.float32(count * width)
        mean += window[b]
    mean /= np.float32(n_points)
    for b in range(n_points):
        window[b] -= mean
    return count


@njit(cache=True, nogil=True)
def beat_spread(signal, origin, beats, first, last, phase, limit, half, width, window, count):
    """Return the mean absolute deviation of `count` beats from their average `window`, each without its mean."""
    n_points = window.size
    spread = np.float32(0.0)
    for k in range(first, last):
        start = beats[k] + phase - half - origin
        if start < 0 or beats[k] + phase + half > limit:
            continue
        level = np.float32(0.0)
        for j in range(start, start + n_points * width):
            level += signal[j]
        level /= np.float32(n_points * width)
        for b in range(n_points):
            value = np.float32(0.0)
            for j in range(start + b * width, start + (b + 1) * width):
                value += signal[j]
            spread += abs(value / np.float32(width) - level - window[b])
    return spread / np.float32(count * n_points)


@njit(cache=True, nogil=True)
def beat_context(
    signal, origin, positions, limits, scale, beats, confirmed, n_beats, half, width, most, horizon, before, after,
    rhythm,
):  # fmt: skip
    """Describe each candidate by the average beat at its phase, and by the beats around it.

    Parameters
    ----------
    signal : float32 (n,)
        Samples of the stretch from `origin` on.
    positions, limits : int64 (m,)
        Index of each candidate, and the last index that it may know of.
    scale : float32 (m,)
        Running scale at each candidate.
    beats, confirmed : int64 (at least n_beats,)
        From `track_beats`.
    half, width : int
        Half length of the averaged window and of its bins in samples.
    most, horizon : int
        At most so many beats are looked back on, and none that is farther back than so many samples.
    before, after : float32 (m, 2 * half / width), out
        Average of the recent beats at the candidate's distance before the next beat, and after the last one; zeros
        where there is none. In the signal's unit.
    rhythm : float32 (m, N_RHYTHM), out
        Seconds to the next beat and since each of the last four; median, last, mean and mean absolute change of the
        recent inter-beat intervals; beats in both averages as a share of `most`; spread
        before, as a share of itself and the scale.
    """
    intervals = np.empty(most, np.float64)
    known = 0
    for m in range(positions.size):
        t = positions[m]
        limit = limits[m]
        while known < n_beats and confirmed[known] <= limit:
            known += 1
        while known > 0 and confirmed[known - 1] > limit:
            known -= 1
        upcoming = known  # first known beat that is not over
        while upcoming > 0 and beats[upcoming - 1] > t - JUST_PASSED:
            upcoming -= 1
        first = max(known - most, 0)
        while first < known and t - beats[first] > horizon:
            first += 1
        row = rhythm[m]
        for k in range(N_RHYTHM):
            row[k] = 0.0
        for b in range(before.shape[1]):
            before[m, b] = 0.0
            after[m, b] = 0.0
        row[0] = FAR
        if upcoming < known:
            row[0] = min((beats[upcoming] - t) / 250.0, FAR)
            phase = t - beats[upcoming]
            count = average_window(signal, origin, beats, first, known, phase, limit, half, width, before[m])
            spread = np.float32(0.0)
            if count > 0:
                spread = beat_spread(signal, origin, beats, first, known, phase, limit, half, width, before[m], count)
            row[9] = count / most
            if spread > 0.0:
                row[11] = spread / (spread + scale[m])
        for k in range(4):
            row[1 + k] = min((t - beats[upcoming - 1 - k]) / 250.0, FAR) if upcoming > k else FAR
        if upcoming > 0 and t - beats[upcoming - 1] < FARTHEST:
            count = average_window(
                signal, origin, beats, first, known, t - beats[upcoming - 1], limit, half, width, after[m]
            )
            row[10] = count / most
        n_intervals = known - first - 1
        if n_intervals > 0:
            total = 0.0
            change = 0.0
            for k in range(n_intervals):
                intervals[k] = min((beats[first + k + 1] - beats[first + k]) / 250.0, FAR)
                total += intervals[k]
                if k > 0:
                    change += abs(intervals[k] - intervals[k - 1])
            row[6] = intervals[n_intervals - 1]
            row[7] = total / n_intervals
            row[8] = change / max(n_intervals - 1, 1)
            ordered = intervals[:n_intervals]
            ordered.sort()
            row[5] = ordered[n_intervals // 2]
