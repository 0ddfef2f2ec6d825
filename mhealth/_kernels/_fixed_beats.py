"""Heartbeats, and a candidate's place among them, in whole numbers, bit for bit as ``export/runtime/mh_beats.c``.

The float stage, and what its constants stem from, is in `_beats`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mhealth._kernels._beats import (
    DELAY,
    DOMINANCE,
    FARTHEST,
    FORGET_AFTER,
    HALF_ENERGY,
    HALF_SLOPE,
    JUST_PASSED,
    N_RHYTHM,
    STEEPEST,
)
from mhealth._kernels._fixed_windows import quotient

__all__ = ["KEPT", "PACE", "describe", "follow", "share"]

KEPT = 16
"""Beats that are remembered."""

PACE = 16
"""Samples gone through in a call at most."""

_THRESHOLD, _RISE, _FALL, _DECAY = 26214, 26214, 3277, 45875  # 0.4, 0.4, 0.05, 0.7 as Q0.16
_SECOND = 250
_FAR = 3 * _SECOND


@njit(cache=True, nogil=True)
def _slope(signal, n):
    total = 0
    for k in range(1, HALF_SLOPE + 1):
        total += signal[n + k] - signal[max(n - k, 0)]
    return abs(total)


@njit(cache=True, nogil=True)
def _advance(s, signal):
    """Move the running energy on to the next sample."""
    n = s.followed
    if n == 0:
        s.energy = 0
        for k in range(HALF_ENERGY):
            s.energy += _slope(signal, k)
    s.energy += _slope(signal, n + HALF_ENERGY)
    if n > HALF_ENERGY:
        s.energy -= _slope(signal, n - HALF_ENERGY - 1)


@njit(cache=True, nogil=True)
def _times(value, share):
    """Return a share, Q0.16, of a value."""
    return (value * share) >> 16


@njit(cache=True, nogil=True)
def _note(s, signal, now, beats):
    """Note a beat whose energy peaked at sample best_at, and let the running energy follow."""
    landmark = s.best_at
    steepest = _slope(signal, landmark)
    for k in range(max(s.best_at - STEEPEST, 0), s.best_at + STEEPEST + 1):
        slope = _slope(signal, k)
        if slope > steepest:
            steepest = slope
            landmark = k
    beats[0, s.n_found] = landmark
    beats[1, s.n_found] = s.followed + DELAY
    beats[2, s.n_found] = now
    s.n_found += 1
    strength = s.best << 8
    if strength < s.level_q8:
        s.level_q8 -= _times(s.level_q8 - strength, _FALL)
    else:
        s.level_q8 += _times(min(strength - s.level_q8, s.level_q8), _RISE)
    s.last_beat = s.best_at


@njit(cache=True, nogil=True)
def _track(s, signal, now, beats):
    """Decide whether there was a beat, by the energy at the next sample."""
    n = s.followed
    if s.energy > s.best:
        s.best = s.energy
        s.best_at = n
    elif n - s.best_at == DOMINANCE and s.best > 0:
        if s.best << 8 > _times(s.level_q8, _THRESHOLD):
            _note(s, signal, now, beats)
        s.best = 0
        s.best_at = n
    quiet = n - s.last_beat
    if quiet > FORGET_AFTER and (quiet - FORGET_AFTER) % _SECOND == 1:
        s.level_q8 = _times(s.level_q8, _DECAY)


@njit(cache=True, nogil=True)
def follow(signal, first, last, ended, s, beats):
    """Take samples `first` to `last` of a stretch one by one, as C does; end the stretch if `ended`.

    Parameters
    ----------
    signal : int64 (last,)
        The stretch so far.
    s : record of int64
        `warm_up`, and the state.
    beats : int64 (3, most), in and out
        Landmark of each beat, the sample that made it known, and the one at which it was found: later than known where
        the samples of the warm-up are gone through, and `last` where the end of the stretch shows it.
    """
    for now in range(first, last + ended):
        if now == last and not s.is_warm:
            s.is_warm = 1
            s.followed = 0
        known = min(now + 1, last) - DELAY
        most = s.warm_up + 1 if now == last else PACE
        while most > 0 and s.followed < known:
            most -= 1
            _advance(s, signal)
            if s.is_warm:
                _track(s, signal, now, beats)
            else:
                s.level_q8 = max(s.level_q8, s.energy << 8)
            s.followed += 1
        if now == s.warm_up and not s.is_warm:
            s.is_warm = 1
            s.followed = 0


@njit(cache=True, nogil=True)
def _average(signal, landmarks, phase, oldest, limit, half, width, window):
    """Average the signal at `phase` samples after each beat, and return how many beats there are."""
    n_points = window.size
    window[:] = 0
    count = 0
    for landmark in landmarks:
        start = landmark + phase - half
        if start < oldest or landmark + phase + half > limit:
            continue
        count += 1
        for b in range(n_points):
            for j in range(start + b * width, start + (b + 1) * width):
                window[b] += signal[j]
    if count == 0:
        return 0
    mean = 0
    for b in range(n_points):
        window[b] = quotient(window[b] * 256, count * width)
        mean += window[b]
    window -= quotient(mean, n_points)
    return count


@njit(cache=True, nogil=True)
def _spread(signal, landmarks, phase, oldest, limit, half, width, window, count):
    """Return the mean absolute deviation of `count` beats from their average, each without its mean."""
    n_points = window.size
    spread = 0
    for landmark in landmarks:
        start = landmark + phase - half
        if start < oldest or landmark + phase + half > limit:
            continue
        level, deviation = 0, 0
        for j in range(start, start + n_points * width):
            level += signal[j]
        level = quotient(level * 256, n_points * width)
        for b in range(n_points):
            value = 0
            for j in range(start + b * width, start + (b + 1) * width):
                value += signal[j]
            deviation += abs(quotient(value * 256, width) - level - window[b])
        spread += deviation // n_points
    return spread // count


@njit(cache=True, nogil=True)
def share(part, whole):
    """Return part / whole as Q4.11, to twenty binary digits of the whole."""
    while whole >= 1 << 20:
        part >>= 1
        whole >>= 1
    return ((part << 11) + whole // 2) // whole


@njit(cache=True, nogil=True)
def _seconds(samples, count):
    """Return samples, or the mean of `count` such numbers by their sum, as seconds in Q4.11."""
    return quotient(samples * 2048, _SECOND * count)


@njit(cache=True, nogil=True)
def _describe_intervals(landmarks, rhythm):
    """Write median, last, mean and mean absolute change of the intervals between beats."""
    n = len(landmarks) - 1
    intervals = np.empty(n, np.int64)
    total = change = 0
    for k in range(n):
        intervals[k] = min(landmarks[k + 1] - landmarks[k], _FAR)
        total += intervals[k]
        if k > 0:
            change += abs(intervals[k] - intervals[k - 1])
    rhythm[1] = _seconds(intervals[n - 1], 1)
    intervals.sort()
    rhythm[0] = _seconds(intervals[n // 2], 1)
    rhythm[2] = _seconds(total, n)
    rhythm[3] = _seconds(change, max(n - 1, 1))


@njit(cache=True, nogil=True)
def describe(
    signal, positions, limits, newest, ended, scale_q8, beats, most, horizon, half, width, history, before, after,
    rhythm,
):  # fmt: skip
    """Describe candidates by the average beat at their phase, and by the beats around them; see `_beats`.

    Parameters
    ----------
    signal : int64 (n,)
        The stretch so far, of which C has the latest `history` samples only.
    positions, limits, newest : int64 (m,)
        Of each candidate; the last sample that it may know of; the latest one at the time of its description.
    ended : bool
        Whether the end of the stretch has shown its last beats.
    scale_q8 : int64 (m,)
        Running scale, Q24.8.
    beats : int64 (3, n_beats)
        From `follow`.
    most, horizon, half, width, history : int
        See `mhealth.export._beats.BeatsTable`.
    before, after : int64 (m, 2 * half / width), out
        1/256 ADC units.
    rhythm : int64 (m, N_RHYTHM), out
        Q4.11.
    """
    landmarks, known_at = beats[0], beats[1]
    found = np.searchsorted(beats[2], newest + ended, side="right")
    for m in range(positions.size):
        t = positions[m]
        forgotten = max(found[m] - KEPT, 0)
        oldest = max(newest[m] + 1 - history, 0)
        end = found[m]
        while end > forgotten and known_at[end - 1] > limits[m]:
            end -= 1
        upcoming = end
        while upcoming > forgotten and landmarks[upcoming - 1] > t - JUST_PASSED:
            upcoming -= 1
        first = max(end - most, forgotten)
        while first < end and t - landmarks[first] > horizon:
            first += 1
        averaged = landmarks[first:end]
        row = rhythm[m]
        row[:] = 0
        before[m] = 0
        after[m] = 0
        row[0] = _seconds(_FAR, 1)
        if upcoming < end:
            ahead = landmarks[upcoming] - t
            count = _average(signal, averaged, -ahead, oldest, limits[m], half, width, before[m])
            row[0] = _seconds(min(ahead, _FAR), 1)
            row[9] = quotient(count * 2048, most)
            if count > 0:
                spread = _spread(signal, averaged, -ahead, oldest, limits[m], half, width, before[m], count)
                if spread > 0:
                    row[11] = share(spread, spread + scale_q8[m])
        for k in range(4):
            elapsed = min(t - landmarks[upcoming - 1 - k], _FAR) if upcoming - forgotten > k else _FAR
            row[1 + k] = _seconds(elapsed, 1)
        if upcoming > forgotten and t - landmarks[upcoming - 1] < FARTHEST:
            elapsed = t - landmarks[upcoming - 1]
            count = _average(signal, averaged, elapsed, oldest, limits[m], half, width, after[m])
            row[10] = quotient(count * 2048, most)
        if len(averaged) > 1:
            _describe_intervals(averaged, row[5:9])


assert N_RHYTHM == 12
