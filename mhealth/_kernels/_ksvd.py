"""One sweep of approximate K-SVD over the atoms of a dictionary."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def improve_atoms(residual, atoms, users, slots, starts, coefficient, direction):
    """Fit each atom in turn to what the windows that use it leave over, and its coefficients to the new atom.

    Parameters
    ----------
    residual : float32 (n_windows, n_points), in and out
        Windows less their reconstruction; kept up to date.
    atoms : float32 (n_atoms, n_points), in and out
        Unit norm. An atom without users stays as it is.
    users, slots : int64 (n_used,)
        Where atoms are used: row and column in `coefficient`, sorted by atom.
    starts : int64 (n_atoms + 1,)
        Entries starts[k] to starts[k + 1] of `users` belong to atom k.
    coefficient : float32 (n_windows, n_nonzero), in and out
    direction : float64 (n_points,), scratch

    Notes
    -----
    Rubinstein, Zibulevsky & Elad (2008), Efficient implementation of the K-SVD algorithm using batch orthogonal
    matching pursuit, algorithm 5: one step of the power method stands for the singular value decomposition.
    """
    n_atoms, n_points = atoms.shape
    for k in range(n_atoms):
        energy = 0.0
        for j in range(n_points):
            direction[j] = 0.0
        for u in range(starts[k], starts[k + 1]):
            row = users[u]
            weight = np.float64(coefficient[row, slots[u]])
            energy += weight * weight
            for j in range(n_points):
                direction[j] += weight * residual[row, j]
        squared = 0.0
        for j in range(n_points):
            direction[j] += energy * atoms[k, j]
            squared += direction[j] * direction[j]
        if not squared > 0.0:
            continue
        norm = np.sqrt(squared)
        for j in range(n_points):
            direction[j] /= norm
        for u in range(starts[k], starts[k + 1]):
            row = users[u]
            old = coefficient[row, slots[u]]
            new = np.float32(0.0)
            for j in range(n_points):
                residual[row, j] += old * atoms[k, j]
                new += residual[row, j] * np.float32(direction[j])
            coefficient[row, slots[u]] = new
            for j in range(n_points):
                residual[row, j] -= new * np.float32(direction[j])
        for j in range(n_points):
            atoms[k, j] = direction[j]
