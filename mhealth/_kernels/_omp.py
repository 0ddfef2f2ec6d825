"""Orthogonal matching pursuit on the Gram matrix, in float32 and in a fixed order of arithmetic.

The order in which a window's numbers are added depends on nothing but the dictionary, so its code has the
same bits however many windows are coded in one call (BLAS gives no such promise).
"""

from __future__ import annotations

import numpy as np
from numba import njit

_NEGLIGIBLE = np.float32(2.0**-18)
"""Correlations below this fraction of the window's largest value are rounding (32 float32 epsilons)."""

_DEPENDENT = np.float32(2.0**-17)
"""An atom with less of its energy than this outside the span of the chosen ones adds nothing (64 epsilons)."""


@njit(cache=True, nogil=True)
def _correlate(window, atoms_by_point, correlation):
    """Write the inner products of a window with all atoms; vectorised over atoms, in order over points."""
    n_points, n_atoms = atoms_by_point.shape
    n_blocked = n_points - n_points % 4
    for k in range(n_atoms):
        correlation[k] = 0.0
    for j in range(0, n_blocked, 4):  # four points a pass: a quarter of the loads and stores of `correlation`
        x0, x1, x2, x3 = window[j], window[j + 1], window[j + 2], window[j + 3]
        for k in range(n_atoms):
            total = correlation[k] + x0 * atoms_by_point[j, k]
            total += x1 * atoms_by_point[j + 1, k]
            total += x2 * atoms_by_point[j + 2, k]
            correlation[k] = total + x3 * atoms_by_point[j + 3, k]
    for j in range(n_blocked, n_points):
        x0 = window[j]
        for k in range(n_atoms):
            correlation[k] += x0 * atoms_by_point[j, k]


@njit(cache=True, nogil=True)
def _largest_magnitude(bits):
    """Return the largest magnitude of float32 values given as int32 bits, itself as bits.

    Without their sign bit floats order as integers do, and an integer maximum is vectorised without fastmath.
    """
    largest = np.int32(0)
    for k in range(bits.size):
        largest = max(largest, bits[k] & np.int32(0x7FFFFFFF))
    return largest


@njit(cache=True, nogil=True)
def batch_omp(windows, atoms_by_point, gram, support, coefficient, correlation, basis, triangle, projection):
    """Code each window over unit-norm atoms by orthogonal matching pursuit.

    Parameters
    ----------
    windows : float32 (n_windows, n_points), C-contiguous
    atoms_by_point : float32 (n_points, n_atoms), C-contiguous
        The dictionary, transposed.
    gram : float32 (n_atoms, n_atoms), C-contiguous
    support : int16 (n_windows, n_nonzero), out
        Chosen atoms in order of selection, −1 where unused.
    coefficient : float32 (n_windows, n_nonzero), out
        Their least-squares coefficients, 0 where unused.
    correlation : float32 (n_atoms,), scratch
        D'r, inner products of the atoms with the residual.
    basis : float32 (n_nonzero, n_atoms), scratch
        D'q_s, inner products of the atoms with the orthonormalised chosen ones.
    triangle : float32 (n_nonzero, n_nonzero), scratch
        Cholesky factor L of the Gram matrix of the chosen atoms.
    projection : float32 (n_nonzero,), scratch
        q_s'x.

    Notes
    -----
    Rubinstein, Zibulevsky & Elad (2008), Efficient implementation of the K-SVD algorithm using batch orthogonal
    matching pursuit. Departs from their algorithm 1 in keeping D'q_s instead of solving for all coefficients in
    each step: a row of L is then read off `basis`, D'r loses one rank-one term a step at the same cost, and the
    coefficients take a single back substitution at the end.
    """
    n_atoms = gram.shape[0]
    n_nonzero = support.shape[1]
    window_bits = windows.view(np.int32)
    bits = correlation.view(np.int32)
    magnitude = np.empty(1, np.float32)
    magnitude_bits = magnitude.view(np.int32)
    for i in range(windows.shape[0]):
        _correlate(windows[i], atoms_by_point, correlation)
        magnitude_bits[0] = _largest_magnitude(window_bits[i])
        floor = _NEGLIGIBLE * magnitude[0]
        n_chosen = 0
        while n_chosen < n_nonzero:
            largest = _largest_magnitude(bits)
            magnitude_bits[0] = largest
            if not magnitude[0] > floor:  # also ends a window that holds NaN
                break
            best = 0
            while bits[best] & np.int32(0x7FFFFFFF) != largest:
                best += 1
            remaining = gram[best, best]
            for s in range(n_chosen):
                part = basis[s, best]
                triangle[n_chosen, s] = part
                remaining -= part * part
            if not remaining > _DEPENDENT:
                break
            diagonal = np.sqrt(remaining)
            triangle[n_chosen, n_chosen] = diagonal
            step = correlation[best] / diagonal
            projection[n_chosen] = step
            support[i, n_chosen] = best

            for k in range(n_atoms):
                basis[n_chosen, k] = gram[best, k]
            for s in range(n_chosen):
                part = triangle[n_chosen, s]
                for k in range(n_atoms):
                    basis[n_chosen, k] -= part * basis[s, k]
            for k in range(n_atoms):
                basis[n_chosen, k] /= diagonal
                correlation[k] -= step * basis[n_chosen, k]
            n_chosen += 1
            for s in range(n_chosen):  # zero but for rounding; exactly zero is never chosen again
                correlation[support[i, s]] = 0.0
        for s in range(n_chosen - 1, -1, -1):
            total = projection[s]
            for t in range(s + 1, n_chosen):
                total -= triangle[t, s] * coefficient[i, t]
            coefficient[i, s] = total / triangle[s, s]
        for s in range(n_chosen, n_nonzero):
            support[i, s] = -1
            coefficient[i, s] = 0.0
