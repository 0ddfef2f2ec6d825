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
