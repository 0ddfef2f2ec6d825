"""Slow twins of the matching and scoring rules, and of the association of waves with beats, one event at a time."""

import math


def naive_match(reference, found, tolerance):
    """Take the nearest remaining pair until none is within the tolerance; ties by reference, then by found index."""
    left_reference, left_found = set(range(len(reference))), set(range(len(found)))
    pairs = []
    while True:
        candidates = [
            (abs(reference[i] - found[j]), i, j)
            for i in left_reference
            for j in left_found
            if abs(reference[i] - found[j]) <= tolerance
        ]
        if not candidates:
            return sorted(pairs)
        _, i, j = min(candidates)
        pairs.append((i, j))
        left_reference.remove(i)
        left_found.remove(j)


def naive_sums(marks, found, stretches, *, tolerance_ms, fs):
    """Score one kind of point in one channel.

    `marks` are (position, peak) of the expert's waves, position −1 where the point was left out; `found` are positions.
    Returns hits, misses, false positives, sum and sum of squares of the errors in ms.
    """
    tolerance = tolerance_ms * fs / 1000
    reference = [position for position, _ in marks if position >= 0]
    left_out = [peak for position, peak in marks if position < 0]
    pairs = naive_match(reference, found, tolerance)
    errors = [(found[j] - reference[i]) * 1000 / fs for i, j in pairs]
    matched = {j for _, j in pairs}
    false = 0
    for j, position in enumerate(found):
        annotated = any(start <= position < stop for start, stop in stretches)
        excused = any(abs(position - peak) <= tolerance + 0.15 * fs for peak in left_out)
        false += j not in matched and annotated and not excused
    return len(pairs), len(reference) - len(pairs), false, sum(errors), sum(e * e for e in errors)


def naive_f1(hits, missed, false):
    """F1 in per cent, NaN where nothing was marked or found."""
    return 200 * hits / (2 * hits + missed + false) if hits + missed + false else math.nan


def naive_beats(waves, *, longest_pr, longest_qt):
    """Associate the waves of one channel with its beats.

    `waves` are (label, begin, end) in samples in order of `begin`, the bounds in samples too. Returns for every QRS
    the indices of QRS, P and T (None where it has none) and whether the channel was usable since the QRS before it.
    """

    def usable(start, stop):
        return not any(label == "unusable" and begin < stop and end > start for label, begin, end in waves)

    order = [k for k, wave in enumerate(waves) if wave[0] == "QRS"]
    beats = []
    for number, k in enumerate(order):
        _, begin, end = waves[k]
        previous_end = waves[order[number - 1]][2] if number else -math.inf
        next_begin = waves[order[number + 1]][1] if number + 1 < len(order) else math.inf
        before = [j for j, (label, _, last) in enumerate(waves) if label == "P" and last <= begin]
        p = max(before, key=lambda j: (waves[j][2], j), default=None)
        if p is not None:
            _, first, last = waves[p]
            if first < previous_end or begin - first > longest_pr or not usable(last, begin):
                p = None
        t = next((j for j, (label, first, _) in enumerate(waves) if label == "T" and first >= end), None)
        if t is not None:
            _, first, last = waves[t]
            if first >= next_begin or last - begin > longest_qt or not usable(end, first):
                t = None
        beats.append((k, p, t, number > 0 and usable(previous_end, begin)))
    return beats
