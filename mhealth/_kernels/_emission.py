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
def add_rows(out, values, weights):
    """Add values @ weights to `out`, vectorised over columns, in order over rows four at a time."""
    n_rows = weights.shape[0]
    n_columns = weights.shape[1]
    n_blocked = n_rows - n_rows % 4
    for i in range(0, n_blocked, 4):
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        if a == 0.0 and b == 0.0 and c == 0.0 and d == 0.0:
            continue
        for j in range(n_columns):
            total = out[j] + a * weights[i, j]
            total += b * weights[i + 1, j]
            total += c * weights[i + 2, j]
            out[j] = total + d * weights[i + 3, j]
    for i in range(n_blocked, n_rows):
        for j in range(n_columns):
            out[j] += values[i] * weights[i, j]


@njit(cache=True, nogil=True)
def add_codes(out, columns, values, weights):
    """Add the rows `columns` of `weights`, times `values`, to `out`; a negative column is unused."""
    for k in range(columns.size):
        column = columns[k]
        if column < 0:
            continue
        value = values[k]
        for j in range(weights.shape[1]):
            out[j] += value * weights[column, j]


@njit(cache=True, nogil=True)
def rectify(values):
    """Set negative values to zero."""
    for j in range(values.size):
        values[j] = max(values[j], np.float32(0.0))


@njit(cache=True, nogil=True)
def emit(
    dense, columns, values, of_dense, of_codes, threshold, second, second_threshold, last, bias,
    first_code, second_code, out,
):  # fmt: skip
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
    first_code, second_code : float32 (n_first,), (n_second,), scratch
    out : float32 (n, n_out), out
    """
    for i in range(dense.shape[0]):
        for j in range(first_code.size):
            first_code[j] = threshold[j]
        add_codes(first_code, columns[i], values[i], of_codes)
        add_rows(first_code, dense[i], of_dense)
        rectify(first_code)
        for j in range(second_code.size):
            second_code[j] = second_threshold[j]
        add_rows(second_code, first_code, second)
        rectify(second_code)
        for j in range(bias.size):
            out[i, j] = bias[j]
        add_rows(out[i], second_code, last)


@njit(cache=True, nogil=True)
def code_products(columns, values, of_codes, start, stop, out):
    """Add codes @ of_codes to rows `start` to `stop` of `out` (n, n_first)."""
    for i in range(start, stop):
        add_codes(out[i], columns[i], values[i], of_codes)


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
