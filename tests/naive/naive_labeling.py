"""Beats, beat context, emission and waves by definition, one candidate after the other, in float64."""

import math

import numpy as np


def naive_slope_energy(signal):
    """Return |slope| over ±3 samples and its sum over ±12, as far as the signal goes; its start is held."""
    x = np.concatenate([np.full(3, signal[0]), signal]).astype(float)
    n = len(signal) - 3
    slope = np.array([abs(sum(x[i + 3 + k] - x[i + 3 - k] for k in (1, 2, 3))) for i in range(n)])
    energy = np.array([slope[max(i - 12, 0) : i + 13].sum() for i in range(n - 12)])
    return slope, energy


def naive_beats(slope, energy, level):
    """Return landmarks and the samples that made them known: peaks that stay the highest for 30 samples."""
    beats, confirmed, last, start = [], [], 0, 0
    while True:
        peaks = (
            m for m in range(start, len(energy) - 30)
            if energy[m] > max(energy[start:m], default=0.0) and energy[m] >= energy[m + 1 : m + 31].max()
        )  # fmt: skip
        peak = next(peaks, None)
        if peak is None:
            return beats, confirmed
        now = peak + 30
        start = now + 1
        fallen = level * 0.7 ** max(0, math.ceil((now - last - 451) / 250))
        if energy[peak] > 0.4 * fallen:
            nearby = range(max(peak - 15, 0), peak + 16)
            beats.append(max(nearby, key=lambda k: (slope[k], -abs(k - peak) if k == peak else -1000 - k)))
            confirmed.append(now + 15)
            level = fallen + (0.4 if energy[peak] > fallen else 0.05) * (min(energy[peak], 2 * fallen) - fallen)
            last = peak


def naive_average(signal, beats, phase, limit, half, width):
    """Return the average window over those beats that have one, their number and their mean absolute deviation."""
    parts = [
        signal[b + phase - half : b + phase + half].astype(float).reshape(-1, width).mean(axis=1)
        for b in beats
        if b + phase - half >= 0 and b + phase + half <= limit
    ]
    if not parts:
        return np.zeros(2 * half // width), 0, 0.0
    parts = np.array(parts) - np.mean(parts, axis=1, keepdims=True)
    return parts.mean(axis=0), len(parts), np.abs(parts - parts.mean(axis=0)).mean()


def naive_context(signal, t, limit, scale, beats, confirmed, half, width, most, horizon):
    """Return the windows before and after, and the rhythm, of a candidate at t that may know of samples up to limit."""
    known = [b for b, c in zip(beats, confirmed, strict=True) if c <= limit]
    past = [b for b in known if b <= t - 12]
    upcoming = known[len(past) :]
    recent = [b for b in known[-most:] if t - b <= horizon]
    rhythm = np.zeros(12)
    before = after = np.zeros(2 * half // width)
    rhythm[0] = 3.0
    if upcoming:
        rhythm[0] = min((upcoming[0] - t) / 250, 3.0)
        before, count, spread = naive_average(signal, recent, t - upcoming[0], limit, half, width)
        rhythm[9] = count / most
        rhythm[11] = spread / (spread + scale) if spread > 0 else 0.0
    for k in range(4):
        rhythm[1 + k] = min((t - past[-1 - k]) / 250, 3.0) if len(past) > k else 3.0
    if past and t - past[-1] < 200:
        after, count, _ = naive_average(signal, recent, t - past[-1], limit, half, width)
        rhythm[10] = count / most
    intervals = np.minimum(np.diff(recent) / 250, 3.0)
    if len(intervals):
        rhythm[5] = np.sort(intervals)[len(intervals) // 2]
        rhythm[6] = intervals[-1]
        rhythm[7] = intervals.mean()
        rhythm[8] = np.abs(np.diff(intervals)).sum() / max(len(intervals) - 1, 1)
    return before, after, rhythm


def naive_outputs(dense, columns, values, layers):
    """Return the outputs of every candidate by plain matrix products of the unpacked codes."""
    of_dense, of_codes, threshold, second, second_threshold, last, bias = (part.astype(float) for part in layers)
    codes = np.zeros((len(dense), len(of_codes)))
    for i, (row, sizes) in enumerate(zip(columns, values, strict=True)):
        for column, size in zip(row, sizes, strict=True):
            if column >= 0:
                codes[i, column] += size
    first_code = np.maximum(dense @ of_dense + codes @ of_codes + threshold, 0)
    return np.maximum(first_code @ second + second_threshold, 0) @ last + bias


def naive_clusters(positions, longest):
    """Return the middle and the first candidate of each cluster of those less than `longest` after its first."""
    clusters = []
    for position in positions:
        if clusters and position - clusters[-1][0] < longest:
            clusters[-1].append(position)
        else:
            clusters.append([position])
    return [c[(len(c) - 1) // 2] for c in clusters], [c[0] for c in clusters]


def naive_wave(signal, onset, offset):
    """Return the sample farthest from the chord between the first and the last sample of [onset, offset)."""
    chord = np.linspace(float(signal[onset]), float(signal[offset - 1]), offset - onset)
    return onset + int(np.argmax(np.abs(signal[onset:offset] - chord)))


def naive_breath_context(times, values, here, scale):
    """Return what the turns before turn `here` say of it, in the order of the kernel's columns."""
    known = [k for k in range(here + 1) if times[here] - times[k] <= 40.0][-128:]
    rises = np.diff(values[known])
    size, period = 0.0, 4.0
    if len(rises) >= 3:
        least = 0.5 * np.quantile(np.abs(rises), 0.9)
        large = np.abs(rises)[np.abs(rises) > least]
        size = np.median(large) if len(large) else 0.0
        starts = [times[k] for k, rise in zip(known[1:], rises, strict=True) if rise > least]
        if len(starts) >= 3:
            period = np.median(np.diff(starts))
    before, relative = [], []
    for k in range(1, 7):
        rise, elapsed = (values[here] - values[here - k], times[here] - times[here - k]) if here >= k else (0.0, 8.0)
        before += [rise / (abs(rise) + scale) if scale else 0.0, min(elapsed, 8.0) / 4]
        if k <= 3:
            relative += [np.clip(rise / size, -2, 2) if size else 0.0, min(elapsed / period, 3.0)]
    return [*before, size / (size + scale) if size else 0.0, min(period, 12.0) / 6, *relative]


def naive_polarity_odds(samples, block, remembered, prior, weight):
    """Return the log odds after each whole block of samples; a block half of which is missing says nothing."""
    odds, evidence = [], []
    for start in range(0, len(samples) - block + 1, block):
        known = samples[start : start + block].astype(float)
        known = known[np.isfinite(known)]
        if len(known) > block / 2 and np.ptp(known) > 0:
            deviation = known - known.mean()
            evidence.append(np.clip((deviation**3).mean() / (deviation**2).mean() ** 1.5, -1, 1))
        odds.append(prior + weight * sum(evidence[-remembered:]))
    return odds
