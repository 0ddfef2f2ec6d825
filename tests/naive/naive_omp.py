"""Orthogonal matching pursuit as the textbook has it: least squares on each support, in float64."""

import numpy as np


def naive_omp(window, atoms, *, n_nonzero):
    """Return (support, coefficients) of one window, in order of selection."""
    support, coefficients, residual = [], np.empty(0), window
    while len(support) < n_nonzero and np.linalg.norm(residual) > 1e-6 * np.linalg.norm(window):
        support.append(int(np.argmax(np.abs(atoms @ residual))))
        coefficients = np.linalg.lstsq(atoms[support].T, window, rcond=None)[0]
        residual = window - atoms[support].T @ coefficients
    return support, coefficients
