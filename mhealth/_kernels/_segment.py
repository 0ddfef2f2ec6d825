"""The state machine behind segmentation: one lead, one sample at a time, from turns to candidates.

A stretch is a run of samples without NaN. Its first and last sample are held beyond its edges, so that every rule sees
a signal without edges. Indices count from the start of the stretch; rings are addressed modulo their size.

Arguments that several functions share:

s : record of scalars
    Settings and state, see `mhealth.segmentation._lead`.
rules : int64 (3, 3)
    A row each for extrema, fine bends and coarse bends, in order of priority: half width of the smoothing box, arm (how
    far a bend's chord reaches to either side; how far an extremum looks for its opposite), reach (to either side, of
    the neighbourhood of which the sample is the peak); in samples.
thresholds : float64 (3,)
    Smallest height of each, in units of the running scale.
raw, scales : float64 (2^k,)
    Rings of the latest samples and of their running scales.
smoothed, bend, height : float64 (3, 2^k)
    Rings, a row a rule: the lead smoothed; how far that is above its chord; how high the turns are.
turn : int8 (3, 2^k)
    Ring of the kind of each turn, where there is one.
out : structured (n,)
    Candidates; `s.n_out` of them are written.
"""

from __future__ import annotations

import math

from numba import njit

__all__ = ["end_stretch", "segment"]

_FILL, _MAXIMUM, _MINIMUM, _CONCAVE, _CONVEX = range(5)  # as in mhealth.segmentation.Turn
_EXTREMUM, _FINE, _COARSE = range(3)  # rows of `rules`
_HALF, _ARM, _REACH = range(3)  # columns of `rules`


@njit(cache=True, nogil=True)
def _feed(s, value, rules, raw, smoothed, bend):
    """Append one sample, real or held, and what it completes of the smoothed signals and their bends."""
    mask = len(raw) - 1
    i = s.n_fed
    raw[i & mask] = value
    for rule in range(3):
        half = rules[rule, _HALF]
        total = 0.0
        for k in range(i - 2 * half, i + 1):
            total += raw[k & mask]
        smoothed[rule, (i - half) & mask] = total / (2 * half + 1)
        if rule != _EXTREMUM:
            arm = rules[rule, _ARM]
            j = i - half - arm
            chord = 0.5 * (smoothed[rule, (j - arm) & mask] + smoothed[rule, (j + arm) & mask])
            bend[rule, j & mask] = smoothed[rule, j & mask] - chord
    s.n_fed = i + 1


@njit(cache=True, nogil=True)
def _is_peak(signal, i, reach, sign):
    """Say whether sign · signal is largest at i within ± reach: of a plateau the middle, of equal peaks the first."""
    mask = len(signal) - 1
    value = sign * signal[i & mask]
    before = after = 1
    while before <= reach and sign * signal[(i - before) & mask] == value:
        before += 1
    while after <= reach and sign * signal[(i + after) & mask] == value:
        after += 1
    if before > reach or not 0 <= after - before <= 1:
        return False
    for k in range(before, reach + 1):
        if sign * signal[(i - k) & mask] >= value:
            return False
    for k in range(after, reach + 1):  # noqa: SIM110  (numba compiles no generator in all())
        if sign * signal[(i + k) & mask] > value:
            return False
    return True


@njit(cache=True, nogil=True)
def _extremes(signal, start, stop):
    """Return the smallest and the largest of the samples start … stop − 1."""
    mask = len(signal) - 1
    low = high = signal[start & mask]
    for k in range(start + 1, stop):
        value = signal[k & mask]
        low = min(low, value)
        high = max(high, value)
    return low, high


@njit(cache=True, nogil=True)
def _find_extremum(i, scale, rules, thresholds, smoothed, turn, height):
    """Note whether the smoothed signal has an extremum at i, and return 1 if so."""
    signal = smoothed[_EXTREMUM]
    mask = len(signal) - 1
    value, before, after = signal[i & mask], signal[(i - 1) & mask], signal[(i + 1) & mask]
    reach, arm = rules[_EXTREMUM, _REACH], rules[_EXTREMUM, _ARM]
    if before <= value >= after and _is_peak(signal, i, reach, 1.0):
        kind, size = _MAXIMUM, value - _extremes(signal, i - arm, i + arm + 1)[0]
    elif before >= value <= after and _is_peak(signal, i, reach, -1.0):
        kind, size = _MINIMUM, _extremes(signal, i - arm, i + arm + 1)[1] - value
    else:
        return 0
    if not size > thresholds[_EXTREMUM] * scale:
        return 0
    turn[_EXTREMUM, i & mask] = kind
    height[_EXTREMUM, i & mask] = size
    return 1


@njit(cache=True, nogil=True)
def _find_bend(i, scale, rule, rules, thresholds, bend, turn, height):
    """Note whether one of the smoothed signals bends most at i within its reach, and return 1 if so."""
    mask = bend.shape[1] - 1
    value = bend[rule, i & mask]
    size = abs(value)
    if not size > thresholds[rule] * scale:
        return 0
    for k in range(1, rules[rule, _REACH] + 1):
        if abs(bend[rule, (i - k) & mask]) >= size or abs(bend[rule, (i + k) & mask]) > size:
            return 0
    turn[rule, i & mask] = _CONCAVE if value > 0 else _CONVEX
    height[rule, i & mask] = size
    return 1


@njit(cache=True, nogil=True)
def _emit(s, i, kind, span, height, scale, out):
    """Write one candidate."""
    candidate = out[s.n_out]
    candidate.position = s.start + i
    candidate.kind = kind
    candidate.scale = span
    candidate.prominence = height / scale if scale > 0 else 0.0
    candidate.running_scale = scale
    s.n_out += 1


@njit(cache=True, nogil=True)
def _fill(s, stop, scales, smoothed, out):
    """Split the gap between the last candidate and the next one, at `stop`, where it is long and busy."""
    mask = len(scales) - 1
    length = stop - s.last
    if length > s.busy_gap:
        low, high = _extremes(smoothed[_EXTREMUM], s.last, stop + 1)
        if high - low > s.busy_range * scales[stop & mask]:
            n_pieces = (length + s.busy_gap - 1) // s.busy_gap
            for k in range(1, n_pieces):
                i = s.last + (2 * k * length + n_pieces) // (2 * n_pieces)
                _emit(s, i, _FILL, s.fill_span, 0.0, scales[i & mask], out)
    s.last = stop


@njit(cache=True, nogil=True)
def _advance(s, rules, scales, smoothed, turn, height, found, spans, out):
    """Merge the turns found up to the sample decided last, and emit what no later turn can change.

    Bit k of `s.extrema` (`s.fine`, `s.coarse`) says whether one was found k samples before that sample; bit k of
    `s.kept` whether a fine bend that no extremum displaces was found `s.apart` + k before it.
    """
    near = (1 << (2 * s.apart + 1)) - 1
    s.extrema = (s.extrema << 1) | (found & 1)
    s.fine = (s.fine << 1) | ((found >> 1) & 1)
    s.coarse = (s.coarse << 1) | (found >> 2)
    s.kept = (s.kept << 1) | (1 if (s.fine >> s.apart) & 1 and not s.extrema & near else 0)
    s.n_merged += 1
    i = s.n_merged - 1 - 2 * s.apart
    if i < 0:
        return
    mask = len(scales) - 1
    if (s.extrema >> (2 * s.apart)) & 1:
        rule = _EXTREMUM
    elif (s.kept >> s.apart) & 1:
        rule = _FINE
    elif (s.coarse >> (2 * s.apart)) & 1 and not (s.extrema >> s.apart) & near and not s.kept & near:
        rule = _COARSE
    else:
        if i - s.last == s.longest_gap:
            _fill(s, i, scales, smoothed, out)
            _emit(s, i, _FILL, s.fill_span, 0.0, scales[i & mask], out)
        return
    _fill(s, i, scales, smoothed, out)
    _emit(s, i, turn[rule, i & mask], spans[rule], height[rule, i & mask], scales[i & mask], out)


@njit(cache=True, nogil=True)
def end_stretch(s, rules, spans, raw, scales, smoothed, turn, height, out):
    """Emit the last candidates of the stretch; beyond its end nothing turns."""
    if s.n_decided > 0:
        for _ in range(2 * s.apart):
            _advance(s, rules, scales, smoothed, turn, height, 0, spans, out)
        _fill(s, s.n_decided - 1, scales, smoothed, out)
    s.start += s.n_decided
    s.n_fed = -s.pad
    s.n_decided = s.n_merged = s.last = s.held = 0
    s.extrema = s.fine = s.coarse = s.kept = 0


@njit(cache=True, nogil=True)
def segment(samples, scale, s, rules, thresholds, spans, raw, scales, smoothed, bend, turn, height, out):
    """Decide the samples whose running scale is known.

    Parameters
    ----------
    samples : float32 (n,)
        Samples from the first undecided one on; NaN ends a stretch.
    scale : float64 (m,), m <= n
        Running scale of the first m. Either `s.pad` more samples follow, or the stretch ends before.
    spans : float32 (3,)
        Temporal scale of each rule in seconds.
    """
    s.n_out = 0
    mask = len(scales) - 1
    for j in range(len(scale)):
        if math.isnan(samples[j]):
            end_stretch(s, rules, spans, raw, scales, smoothed, turn, height, out)
            s.start += 1
            continue
        ahead = j + s.pad
        if s.n_decided == 0:
            s.value = float(samples[j])
            while s.n_fed < 0:
                _feed(s, s.value, rules, raw, smoothed, bend)
            ahead = j
        while s.n_fed <= s.n_decided + s.pad:
            if not s.held and ahead < len(samples) and not math.isnan(samples[ahead]):
                s.value = float(samples[ahead])
                ahead += 1
            else:
                s.held = 1
            _feed(s, s.value, rules, raw, smoothed, bend)
        i = s.n_decided
        scales[i & mask] = scale[j]
        found = _find_extremum(i, scale[j], rules, thresholds, smoothed, turn, height)
        found += 2 * _find_bend(i, scale[j], _FINE, rules, thresholds, bend, turn, height)
        found += 4 * _find_bend(i, scale[j], _COARSE, rules, thresholds, bend, turn, height)
        s.n_decided += 1
        _advance(s, rules, scales, smoothed, turn, height, found, spans, out)
