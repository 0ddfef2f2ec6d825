"""What a network takes and gives, sample by sample and candidate by candidate."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["describe", "weigh"]


@njit(cache=True, nogil=True)
def weigh(logits, largest, odds, probability):
    """Write what logits, float32 (n, 1 + n_classes), say of each class but the first.

    Parameters
    ----------
    largest : float32
        Log odds beyond it are cut.
    odds : float32 (n, n_classes), out
        Log odds against the first class, in units of half of the largest.
    probability : float32 (n, n_classes), out
    """
    n_classes = odds.shape[1]
    unit = largest / np.float32(2.0)
    for j in range(len(logits)):
        row, weights = logits[j], probability[j]
        highest = row[0]
        for c in range(n_classes):
            highest = max(highest, row[c + 1])
        total = math.exp(row[0] - highest)
        for c in range(n_classes):
            odds[j, c] = min(max(row[c + 1] - row[0], -largest), largest) / unit
            weights[c] = math.exp(row[c + 1] - highest)
            total += weights[c]
        for c in range(n_classes):
            weights[c] /= total


@njit(cache=True, nogil=True)
def describe(odds, probability, first, stride, positions, near, starts, counts, step, dense):
    """Write the outputs around each position; beyond the ends the first and the last count.

    Parameters
    ----------
    odds, probability : float32 (n, n_classes)
        Of the outputs from output `first` on; output j is about samples j · stride to (j + 1) · stride − 1.
    positions : int64 (n_positions,)
    near : int64 (n_near,)
        Samples from a position at which the log odds are read, on the line between the middles of two outputs.
    starts, counts : int64 (n_means,)
        Probabilities are averaged over so many outputs, from that of the sample so far from a position on.
    step : int
        Outputs from one of them to the next.
    dense : float32 (n_positions, (n_near + n_means) · n_classes), out
    """
    last, n_classes = len(odds) - 1, odds.shape[1]
    for n in range(len(positions)):
        into = dense[n]
        column = 0
        for k in range(len(near)):
            halves = 2 * (positions[n] + near[k]) - (stride - 1)
            j = halves // (2 * stride)
            part = np.float32((halves - 2 * stride * j) / (2 * stride))
            before = odds[min(max(j - first, 0), last)]
            after = odds[min(max(j + 1 - first, 0), last)]
            for c in range(n_classes):
                into[column + c] = before[c] + part * (after[c] - before[c])
            column += n_classes
        for k in range(len(starts)):
            j = (positions[n] + starts[k]) // stride - first
            into[column : column + n_classes] = 0.0
            for _ in range(counts[k]):
                of_output = probability[min(max(j, 0), last)]
                for c in range(n_classes):
                    into[column + c] += of_output[c]
                j += step
            for c in range(n_classes):
                into[column + c] /= np.float32(counts[k])
            column += n_classes
