"""From sparse codes to log potentials: two layers of non-negative codes, then a linear map.

Every candidate is computed alone and in a fixed order of arithmetic, so its potentials do not depend on which
others are in the same call.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def compress(windows, scale, knee):
    """Replace each value x of window w by x / (|x| + knee · scale[w]).

    Odd, and the same for any unit. Waves from a twentieth of a QRS complex up come out within one order of magnitude.
    """
    for w in range(windows.shape[0]):
        level = knee * scale[w]
        for b in range(windows.shape[1]):
            value = windows[w, b]
            if value != 0.0:  # in a flat stretch the level is zero too
                windows[w, b] = value / (abs(value) + level)


@njit(cache=True, nogil=True)
def add_rows(out, rows, values, count, weights):
    """Add rows of `weights`, times values, to `out`: vectorised over columns, in order over rows, four at a time.

    Parameters
    ----------
    out : float32 (n_columns,)
    rows : int32 (at least count,)
    values : float32 (at least count,)
    count : int
        Entries of `rows` and `values` to take.
    weights : float32 (n_rows, n_columns)
    """
    n_columns = out.size
    n_blocked = count - count % 4
    for i in range(0, n_blocked, 4):
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        first, second, third, fourth = (
            weights[rows[i]],
            weights[rows[i + 1]],
            weights[rows[i + 2]],
            weights[rows[i + 3]],
        )
        for j in range(n_columns):
            total = out[j] + a * first[j]
            total += b * second[j]
            total += c * third[j]
            out[j] = total + d * fourth[j]
    for i in range(n_blocked, count):
        a = values[i]
        first = weights[rows[i]]
        for j in range(n_columns):
            out[j] += a * first[j]


@njit(cache=True, nogil=True)
def used_codes(columns, values, rows, kept):
    """Copy the codes whose column is not negative to `rows` and `kept`; return their number."""
    count = 0
    for k in range(columns.size):
        if columns[k] >= 0:
            rows[count] = columns[k]
            kept[count] = values[k]
            count += 1
    return count


@njit(cache=True, nogil=True)
def positive_codes(values, rows, kept):
    """Copy the positive values to `kept` and their places to `rows`, each of `values.size`; return their number.

    Every value is copied, and overwritten by the next one unless it counts: a branch would be mispredicted on half of
    the values, which took a third of the emission's time.
    """
    count = 0
    for j in range(values.size):
        rows[count] = j
        kept[count] = values[j]
        count += values[j] > 0.0
    return count


@njit(cache=True, nogil=True)
def emit(dense, columns, values, of_dense, of_codes, threshold, second, second_threshold, last, bias, out):
    """Compute the outputs of each candidate.

    Parameters
    ----------
    dense : float32 (n, n_dense)
    columns : int32 (n, n_nonzero)
    values : float32 (n, n_nonzero)
    of_dense : float32 (n_dense, n_first)
    of_codes : float32 (n_columns, n_first)
    threshold : float32 (n_first,)
    second : float32 (n_first, n_second)
    second_threshold : float32 (n_second,)
    last : float32 (n_second, n_out)
    bias : float32 (n_out,)
    out : float32 (n, n_out), out
    """
    first_code = np.empty_like(threshold)
    second_code = np.empty_like(second_threshold)
    longest = max(columns.shape[1], dense.shape[1], threshold.size, second_threshold.size)
    rows = np.empty(longest, np.int32)
    kept = np.empty(longest, np.float32)
    all_dense = np.arange(dense.shape[1]).astype(np.int32)
    for i in range(dense.shape[0]):
        first_code[:] = threshold
        count = used_codes(columns[i], values[i], rows, kept)
        add_rows(first_code, rows, kept, count, of_codes)
        add_rows(first_code, all_dense, dense[i], dense.shape[1], of_dense)
        count = positive_codes(first_code, rows, kept)
        second_code[:] = second_threshold
        add_rows(second_code, rows, kept, count, second)
        count = positive_codes(second_code, rows, kept)
        out[i] = bias
        add_rows(out[i], rows, kept, count, last)


@njit(cache=True, nogil=True)
def code_products(columns, values, of_codes, start, stop, out):
    """Add codes @ of_codes to rows `start` to `stop` of `out` (n, n_first)."""
    rows = np.empty(columns.shape[1], np.int32)
    kept = np.empty(columns.shape[1], np.float32)
    for i in range(start, stop):
        count = used_codes(columns[i], values[i], rows, kept)
        add_rows(out[i], rows, kept, count, of_codes)


@njit(cache=True, nogil=True)
def code_gradient(columns, values, out_gradient, start, stop, gradient):
    """Add codes' @ out_gradient over rows `start` to `stop` to `gradient` (n_columns, n_first)."""
    for i in range(start, stop):
        for k in range(columns.shape[1]):
            column = columns[i, k]
            if column < 0:
                continue
            value = values[i, k]
            for j in range(gradient.shape[1]):
                gradient[column, j] += value * out_gradient[i, j]
