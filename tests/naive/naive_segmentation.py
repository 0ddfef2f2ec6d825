"""Running scale and candidates of a whole lead, by definition: no streams, no rings, every window looked at anew."""

import math

import numpy as np

FILL, MAXIMUM, MINIMUM, CONCAVE, CONVEX = range(5)


def stretches(lead):
    """Return the runs of samples without NaN as (start, samples)."""
    edges = np.flatnonzero(np.diff(np.isnan(lead).astype(int), prepend=1, append=1))
    return [(start, np.asarray(lead[start:stop], float)) for start, stop in edges.reshape(-1, 2)]


def box_average(x, half, pad):
    """Return the average over 2 half + 1 samples at −pad … len(x) + pad − 1, ends held; the newest is added first."""
    held = np.pad(x, pad + half, mode="edge")
    n = len(x) + 2 * pad
    total = held[2 * half : 2 * half + n].copy()
    for k in range(2 * half):
        total = total + held[k : k + n]
    return total / (2 * half + 1)


def naive_scale(x, *, window, ahead, block, weight, quantile):
    """Return scale and floor of one stretch; `window` and `block` in samples, `window` a multiple of `block`."""
    held = np.pad(x, 1, mode="edge")
    smoothed = (held[:-2] + held[1:-1] + held[2:]) / 3.0
    n_window = window // block
    scale, floor = [], []
    for n in range(len(x)):
        seen = min(max(window, n + ahead), len(x))
        ends = list(range(block, seen + 1, block))
        if seen == len(x) and seen % block:
            ends.append(seen)
        blocks = [smoothed[(end - 1) // block * block : end] for end in ends[-n_window:]]
        extent = max(b.max() for b in blocks) - min(b.min() for b in blocks)
        if n == 0:
            scale.append(extent)
        elif n + ahead > window:
            scale.append(scale[-1] + weight * (extent - scale[-1]))
        else:
            scale.append(scale[-1])
        floor.append(sorted(b.max() - b.min() for b in blocks)[int(quantile * len(blocks))])
    return np.array(scale), np.array(floor)


def is_peak(near):
    """Say whether the middle of `near` is its largest value: the middle of a plateau, the first of equal peaks."""
    reach = len(near) // 2
    value = near[reach]
    first = last = reach
    while first > 0 and near[first - 1] == value:
        first -= 1
    while last < 2 * reach and near[last + 1] == value:
        last += 1
    if first == 0 or (first + last) // 2 != reach:
        return False
    return near[:first].max() < value and (last == 2 * reach or near[last + 1 :].max() <= value)


def naive_candidates(x, scale, floor, c):
    """Return rows (position, kind, span, prominence, scale) of one stretch; `c` has the settings, times in samples."""
    pad = max(c["reach"], c["arm"])
    padded = box_average(x, c["half"], pad)
    y = padded[pad : pad + len(x)]
    rows = []

    def row(i, kind, span, height):
        return i, kind, span, height / scale[i] if scale[i] > 0 else 0.0, scale[i]

    def split(start, stop):
        """Return what lies between two neighbours."""
        length = stop - start
        chord = y[start] + (y[stop] - y[start]) / max(length, 1) * np.arange(length + 1)
        inside = np.arange(start + c["shortest"], stop - c["shortest"] + 1)
        extent = np.ptp(y[start : stop + 1])
        if len(inside):
            # The order of subtractions matters for the last bit.
            slope = (y[stop] - y[start]) / length
            signed = y[inside] - y[start] - slope * (inside - start)
            assert np.allclose(signed, (y[start : stop + 1] - chord)[c["shortest"] : length - c["shortest"] + 1])
            farthest = np.abs(signed).max()
            k = inside[np.argmax(np.abs(signed))]
            least = max(c["deviation"] * scale[stop], c["deviation_floor"] * floor[stop], c["deviation_range"] * extent)
            if farthest > 0 and farthest > least * math.sqrt(c["reference"] / length):
                kind = CONCAVE if signed[k - inside[0]] > 0 else CONVEX
                return [*split(start, k), row(k, kind, length / 2 / c["rate"], farthest), *split(k, stop)]
        if length > c["busy_gap"] and extent > c["busy_range"] * scale[stop]:
            n = -(-length // c["busy_gap"])
            return [
                row(start + (2 * k * length + n) // (2 * n), FILL, length / n / c["rate"], 0.0) for k in range(1, n)
            ]
        return []

    last = 0
    for i in range(len(x)):
        near = padded[pad + i - c["reach"] : pad + i + c["reach"] + 1]
        found = None
        for kind, sign in ((MAXIMUM, 1), (MINIMUM, -1)):
            if is_peak(sign * near):
                arms = sign * padded[pad + i - c["arm"] : pad + i + c["arm"] + 1]
                height = sign * y[i] - max(arms[: c["arm"] + 1].min(), arms[c["arm"] :].min())
                if height > max(c["prominence"] * scale[i], c["prominence_floor"] * floor[i]):
                    found = row(i, kind, c["arm"] / c["rate"], height)
        if found is None and i - last == c["longest_gap"]:
            found = row(i, FILL, c["longest_gap"] / c["rate"], 0.0)
        if found is not None:
            rows += [*split(last, i), found]
            last = i
    return rows + split(last, len(x) - 1)


def naive_lead(segmenter, lead):
    """Return the candidates of a lead at the internal rate of a segmenter, whose settings are in seconds."""
    running, rate = segmenter.running_scale, segmenter.rate
    counts = ("reach", "arm", "shortest", "busy_gap", "longest_gap")
    ratios = ("prominence", "prominence_floor", "deviation", "deviation_floor", "deviation_range", "busy_range")
    c = {name: round(getattr(segmenter, name) * rate) for name in counts}
    c |= {name: getattr(segmenter, name) for name in ratios}
    c |= {"rate": rate, "half": round(segmenter.box * rate) // 2, "reference": segmenter.reference * rate}
    block = round(running.block * rate)
    rows = []
    for start, x in stretches(lead):
        scale, floor = naive_scale(
            x,
            window=round(running.window * rate / block) * block,
            ahead=round(running.ahead * rate),
            block=block,
            weight=-math.expm1(-1 / (running.time_constant * rate)),
            quantile=running.quantile,
        )
        rows += [(start + i, *rest) for i, *rest in naive_candidates(x, scale, floor, c)]
    return rows
