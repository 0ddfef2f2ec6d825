"""A network's inputs and what is read from its outputs, in whole numbers; twin of ``export/runtime/mh_network.c``."""

from __future__ import annotations

from numba import njit

from mhealth._kernels._fixed import clipped, rounded_shift

__all__ = ["describe_network", "network_inputs", "network_probabilities"]


@njit(cache=True, nogil=True)
def _part_of(value, part):
    """Return value · part, the part Q1.31, rounded."""
    return (value * part + (1 << 30)) >> 31


@njit(cache=True, nogil=True)
def _compressed(value, knee, scale_q8, code, code_shift, nothing):
    """Return the code of value / (abs(value) + knee · scale); the value is Q20.12."""
    size = abs(value)
    bound = size + ((scale_q8 * knee) >> 12)
    while bound >> 16 != 0:
        bound >>= 1
        size >>= 1
    ratio = 0 if bound == 0 else ((size << 15) + bound // 2) // bound
    number = rounded_shift(ratio * code, code_shift)
    return clipped(nothing - number if value < 0 else nothing + number, 8)


@njit(cache=True, nogil=True)
def network_inputs(samples, scales, n_before, filtered, gain, leak, knees, code, code_shift, nothing, one, slope, out):
    """Write the inputs of samples; return the state of the high-pass filter.

    Parameters
    ----------
    samples : int64 (slope + n,)
        In ADC units, the new ones behind the `slope` before them.
    scales : int64 (n,)
        Running scale, Q24.8.
    n_before : int
        Samples of the stretch before the new ones; what lies before the first one is as the first one.
    filtered : int
        State, Q20.12.
    gain, leak, knees, code, code_shift, nothing, one, slope
        As in ``mh_network_table_t``.
    out : int8 (n, 3), out
    """
    for n in range(len(scales)):
        sample = samples[slope + n]
        at = n_before + n
        change = sample - samples[slope + n - min(1, at)]
        difference = sample - samples[slope + n - min(slope, at)]
        filtered += _part_of(change << 12, gain) - _part_of(filtered, leak)
        out[n, 0] = _compressed(filtered, knees[0], scales[n], code, code_shift, nothing)
        out[n, 1] = _compressed(difference << 12, knees[1], scales[n], code, code_shift, nothing)
        out[n, 2] = one
    return filtered


@njit(cache=True, nogil=True)
def network_probabilities(logits, exponentials, out):
    """Write how probable each class but the first is, in parts of 255.

    Parameters
    ----------
    logits : int8 (n, 1 + n_classes)
    exponentials : int64 (n_exponentials,)
        e^(−k · scale of the logits), Q1.15; beyond them it is 0.
    out : uint8 (n, n_classes), out
    """
    for j in range(len(logits)):
        row = logits[j]
        highest = max(row)
        total = 0
        for logit in row:
            below = highest - logit
            if below < len(exponentials):
                total += exponentials[below]
        for c in range(out.shape[1]):
            below = highest - row[c + 1]
            weight = exponentials[below] if below < len(exponentials) else 0
            out[j, c] = (weight * 255 + total // 2) // total


@njit(cache=True, nogil=True)
def _odds(row, c, odds, odds_shift, limit):
    value = rounded_shift((row[c + 1] - row[0]) * odds, odds_shift)
    return min(max(value, -limit), limit)


@njit(cache=True, nogil=True)
def describe_network(
    logits, probabilities, positions, stride, near, starts, counts, factors, step, odds, odds_shift, odds_limit, dense
):
    """Write what outputs around candidates say, Q4.11.

    Parameters
    ----------
    logits : int8 (n, 1 + n_classes)
        Of all outputs of a stretch so far, at least one.
    probabilities : uint8 (n, n_classes)
    positions : int64 (n_positions,)
    stride, near, starts, counts, factors, step, odds, odds_shift, odds_limit
        As in ``mh_network_table_t``.
    dense : int16 (n_positions, (n_near + n_means) · n_classes), out
    """
    last, n_classes = len(logits) - 1, probabilities.shape[1]
    for n in range(len(positions)):
        column = 0
        for offset in near:
            halves = 2 * (positions[n] + offset) - (stride - 1)
            j = halves // (2 * stride)
            part = halves - 2 * stride * j
            before, after = logits[min(max(j, 0), last)], logits[min(max(j + 1, 0), last)]
            for c in range(n_classes):
                first = _odds(before, c, odds, odds_shift, odds_limit)
                second = _odds(after, c, odds, odds_shift, odds_limit)
                dense[n, column] = (2 * stride * first + part * (second - first) + stride) // (2 * stride)
                column += 1
        for k in range(len(starts)):
            first = (positions[n] + starts[k]) // stride
            for c in range(n_classes):
                total = 0
                for m in range(counts[k]):
                    total += probabilities[min(max(first + m * step, 0), last), c]
                dense[n, column] = rounded_shift(total * factors[k], 16)
                column += 1
