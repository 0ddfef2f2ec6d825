"""Orthogonal matching pursuit in whole numbers, bit for bit that of ``export/runtime/mh_codes.c``.

The chosen atoms' Gram matrix is kept as L D L', which needs no root; each step fits all chosen atoms again, and what
is left of the window's correlations follows from the Gram matrix: no residual is computed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mhealth._kernels._fixed import rounded_shift
from mhealth._kernels._fixed_windows import compress_window, cut_window, level_of, quotient

__all__ = ["MOST_NONZERO", "code_windows", "context_windows", "signal_windows"]

MOST_NONZERO = 5
"""Atoms a window may take; ``MH_CODES_MOST_NONZERO`` in C."""

ONE = 1 << 26
NEGLIGIBLE = 1 << 13
"""Correlation below the resolution of the codes, in Q6.25."""

DEPENDENT = 1 << 22
"""An atom with less of its energy than this outside the span of the chosen ones ends the search; 1/16 in Q26.

The model goes on to 2^-17, but of its choices next to none are below a sixteenth, and numbers stay within 32 bits."""

LARGEST = 32767


@njit(cache=True, nogil=True)
def signal_windows(signal, first, positions, scales, start, widths, inverse_moment, knee, windows):
    """Cut and compress one window a candidate: signal, first to inverse_moment as in `cut_window`.

    Parameters
    ----------
    positions, scales : int64 (n,)
        Candidates, and the running scale at each in 1/256 ADC units.
    knee : int
        Q4.12.
    windows : int64 (n, n_points), out
        Q1.14.
    """
    bins = np.empty(widths.size, np.int64)
    for i in range(positions.size):
        cut_window(signal, first, positions[i], start, widths, inverse_moment, bins)
        compress_window(bins, level_of(scales[i], knee), windows[i])


@njit(cache=True, nogil=True)
def context_windows(context, scales, knee, windows):
    """Compress windows in 1/256 ADC units, int64 (n, n_points), to Q1.14."""
    for i in range(context.shape[0]):
        compress_window(context[i], level_of(scales[i], knee), windows[i])


@njit(cache=True, nogil=True)
def _left_of(correlation, gram, support, coefficient, count, atom):
    """Return what is left of an atom's correlation when the chosen atoms are taken away."""
    left = correlation[atom]
    for s in range(count):
        left -= gram[support[s], atom] * coefficient[s]
    return left


@njit(cache=True, nogil=True)
def code_windows(windows, atoms, multipliers, gram, n_nonzero, first_column, columns, values):
    """Code windows over a dictionary.

    Parameters
    ----------
    windows : int64 (n, n_points)
        Q1.14.
    atoms : int8 (n_points, n_atoms)
    multipliers : uint16 (n_atoms,)
        Products with an atom, times this, / 2^11 are in Q6.25.
    gram : int16 (n_atoms, n_atoms)
        Q2.13.
    n_nonzero : int
    first_column : int
        Of the dictionary: positive coefficients, then negative ones.
    columns : int32 (n, n_nonzero), out
        −1 where unused.
    values : int16 (n, n_nonzero), out
        Magnitudes, Q3.12.

    Returns
    -------
    saturated : int
        Coefficients that did not fit 16 bits.
    """
    n_points, n_atoms = atoms.shape
    correlation = np.empty(n_atoms, np.int64)
    support, coefficient, share = np.zeros((3, n_nonzero), np.int64)
    energy, solved = np.zeros((2, n_nonzero), np.int64)
    triangle = np.zeros((n_nonzero, n_nonzero), np.int64)
    saturated = 0
    for i in range(windows.shape[0]):
        correlation[:] = 0
        for b in range(n_points):
            for k in range(n_atoms):
                correlation[k] += windows[i, b] * atoms[b, k]
        for k in range(n_atoms):
            correlation[k] = rounded_shift(correlation[k] * multipliers[k], 11)
        count = 0
        while count < n_nonzero:
            best, most = 0, 0
            for k in range(n_atoms):
                size = abs(_left_of(correlation, gram, support, coefficient, count, k))
                if size > most:
                    best, most = k, size
            if most <= NEGLIGIBLE:
                break
            found = _left_of(correlation, gram, support, coefficient, count, best)
            remaining = ONE
            for s in range(count):
                part = gram[best, support[s]] << 13
                for t in range(s):
                    part -= triangle[s, t] * solved[t]
                solved[s] = max(min(rounded_shift(part, 13), 1 << 13), -(1 << 13))
                triangle[count, s] = max(min(quotient(part, energy[s]), 1 << 15), -(1 << 15))
                remaining -= triangle[count, s] * solved[s]
            if remaining < DEPENDENT:
                break
            support[count], energy[count] = best, rounded_shift(remaining, 13)
            share[count] = quotient(found, energy[count])
            count += 1
            for s in range(count - 1, -1, -1):
                value = share[s]
                for t in range(s + 1, count):
                    value -= rounded_shift(triangle[t, s] * coefficient[t], 13)
                coefficient[s] = max(min(value, LARGEST), -LARGEST)
                saturated += coefficient[s] != value
        for s in range(n_nonzero):
            columns[i, s], values[i, s] = -1, 0
            if s < count:
                sign = n_atoms if coefficient[s] < 0 else 0
                columns[i, s], values[i, s] = first_column + sign + support[s], abs(coefficient[s])
    return saturated
