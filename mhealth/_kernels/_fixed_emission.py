"""The emission's layers in whole numbers, bit for bit those of ``export/runtime/mh_emission.c``."""

from __future__ import annotations

import numpy as np
from numba import njit

from mhealth._kernels._fixed import clipped, rounded_shift

__all__ = ["emit_fixed"]


@njit(cache=True, nogil=True)
def _rectify(sums, threshold, hidden):
    """Write relu(sums / 2^32 + threshold) within int16; return how many did not fit."""
    saturated = 0
    for j in range(sums.size):
        value = rounded_shift(sums[j], 32) + threshold[j]
        hidden[j] = max(min(value, 32767), 0)
        saturated += value > 32767
    return saturated


@njit(cache=True, nogil=True)
def _add_product(hidden, weights, multipliers, products):
    """Write hidden @ weights · multipliers."""
    products[:] = 0
    for i in range(hidden.size):
        if hidden[i] > 0:
            for j in range(products.size):
                products[j] += hidden[i] * weights[i, j]
    for j in range(products.size):
        products[j] *= multipliers[j]


@njit(cache=True, nogil=True)
def emit_fixed(
    dense, columns, values, of_dense, of_dense_multipliers, of_codes, of_codes_multipliers, threshold, second,
    second_multipliers, second_threshold, last, last_multipliers, bias, farthest, potentials, shifts,
):  # fmt: skip
    """Compute potentials and shifts of each candidate.

    Parameters
    ----------
    dense : int16 (n, n_dense)
        Q4.11.
    columns : int32 (n, n_codes)
        −1 where unused.
    values : int16 (n, n_codes)
        Q3.12.
    of_dense, of_codes, second, last : int8 (n_rows, n_columns)
    of_dense_multipliers, of_codes_multipliers, second_multipliers, last_multipliers : int32 (n_columns,)
        Sums times these / 2^32 are in the format of the layer's outputs.
    threshold, second_threshold, bias : int16 (n_columns,)
        Hidden codes are Q5.10, potentials Q7.8.
    farthest : int
        Samples that bound a shift.
    potentials : int16 (n, 4 n_states), out
    shifts : int8 (n, 2 n_states), out

    Returns
    -------
    saturated : int64 (3,)
        First codes, second codes and potentials that did not fit 16 bits.
    """
    saturated = np.zeros(3, np.int64)
    first_code = np.empty(threshold.size, np.int64)
    second_code = np.empty(second_threshold.size, np.int64)
    of_all_dense = np.empty_like(first_code)
    of_all_codes = np.empty_like(first_code)
    second_products = np.empty_like(second_code)
    outputs = np.empty(bias.size, np.int64)
    n_potentials = potentials.shape[1]
    for i in range(dense.shape[0]):
        of_all_dense[:] = 0
        of_all_codes[:] = 0
        for d in range(dense.shape[1]):
            for j in range(first_code.size):
                of_all_dense[j] += dense[i, d] * of_dense[d, j]
        for c in range(columns.shape[1]):
            if columns[i, c] >= 0:
                for j in range(first_code.size):
                    of_all_codes[j] += values[i, c] * of_codes[columns[i, c], j]
        for j in range(first_code.size):
            of_all_dense[j] = of_all_dense[j] * of_dense_multipliers[j] + of_all_codes[j] * of_codes_multipliers[j]
        saturated[0] += _rectify(of_all_dense, threshold, first_code)
        _add_product(first_code, second, second_multipliers, second_products)
        saturated[1] += _rectify(second_products, second_threshold, second_code)
        _add_product(second_code, last, last_multipliers, outputs)
        for j in range(outputs.size):
            value = rounded_shift(outputs[j], 32) + bias[j]
            if j < n_potentials:
                potentials[i, j] = clipped(value, 16)
                saturated[2] += potentials[i, j] != value
            else:
                shifts[i, j - n_potentials] = max(min(rounded_shift(value, 8), farthest), -farthest)
    return saturated
