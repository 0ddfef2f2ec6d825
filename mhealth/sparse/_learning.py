"""Learn a dictionary from windows, without labels."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError
from mhealth.sparse._dictionary import Dictionary
from mhealth.sparse._omp import SparseCodes, as_windows, check_n_nonzero, omp

__all__ = ["learn_dictionary"]

_TWINS = 0.99
"""Two atoms that correlate more than this are one: the value of Rubinstein's KSVD-Box (`muthresh`)."""

_WINDOWS_PER_ATOM = 160
"""Windows of a mini-batch for each atom. On LUDB windows 20 000 for 64 atoms were no better and took twice as long."""

_FEWEST_USERS = 4
"""An atom that fewer windows use describes these windows only: the value of Rubinstein's KSVD-Box (`usecount`)."""


def learn_dictionary(
    windows: ArrayLike,
    n_atoms: int,
    *,
    n_nonzero: int = 4,
    n_iter: int = 200,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Dictionary:
    """Learn atoms of which each window needs few, by approximate K-SVD on mini-batches.

    Windows count by their energy; divide them by their scale first if quiet ones matter as much as loud ones.

    Parameters
    ----------
    windows : array_like of shape (n_windows, atom_length)
        At least as many as atoms; usually a thousand times as many. Any unit.
    n_atoms : int
        Number of atoms.
    n_nonzero : int, default=4
        Atoms that a window may take while learning.
    n_iter : int, default=200
        Mini-batches to learn from. On LUDB windows 20 passes over all of them were no better and took twice as long.
    rng : numpy.random.Generator
        Chooses the first atoms, and the windows that replace useless ones. The result is the same again for the
        same windows and state of `rng` on one machine.
    progress : callable, optional
        Called after each mini-batch with the number done and `n_iter`.

    Returns
    -------
    dictionary : Dictionary
        Atoms sorted by the energy that they carry, most first; the largest value of each is positive.

    Raises
    ------
    InvalidSignalError
        If `windows` is not numeric, not 2-D or not finite.
    InvalidParameterError
        If a number is out of range, or there are fewer windows than atoms.

    Notes
    -----
    Each step codes a random mini-batch with `omp` and then improves one atom after the other with its
    coefficients [1]_. Departs from [1]_ in

    - mini-batches instead of all windows, whose noise also leads out of poor local optima;
    - half of `n_nonzero` in the first half of the steps: atoms then settle on whole shapes before they learn to share
      windows (5 to 15 % less error on LUDB windows);
    - what replaces an atom that almost no window uses, or that repeats another: a window drawn with a probability
      proportional to its squared error, as in k-means++, not the worst one, which in real recordings is an artefact.

    References
    ----------
    .. [1] Rubinstein, Zibulevsky & Elad (2008). Efficient implementation of the K-SVD algorithm using batch
       orthogonal matching pursuit. Technion, CS-2008-08.
    """
    from mhealth._kernels._ksvd import improve_atoms

    points = as_windows(windows)
    for name, value in (("n_atoms", n_atoms), ("n_iter", n_iter)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise InvalidParameterError(f"{name}={value!r} must be an integer, 1 or more.")
    few = (check_n_nonzero(n_nonzero, n_atoms=n_atoms) + 1) // 2
    if len(points) < n_atoms:
        raise InvalidParameterError(
            f"n_samples={len(points)} windows are fewer than n_atoms={n_atoms}; give more windows or learn fewer atoms."
        )
    atoms = _unit_rows(points[rng.choice(len(points), n_atoms, replace=False)], rng)
    direction = np.empty(points.shape[1])
    batch_size = _WINDOWS_PER_ATOM * n_atoms
    for done in range(n_iter):
        batch = points if len(points) <= batch_size else points[rng.integers(len(points), size=batch_size)]
        dictionary = Dictionary(atoms=atoms)
        codes = omp(batch, dictionary, n_nonzero=few if 2 * done < n_iter else n_nonzero)
        residual = batch - codes.reconstruct(dictionary)
        users, slots, starts = _users_by_atom(codes)
        improve_atoms(residual, atoms, users, slots, starts, codes.coefficient, direction)
        if done + 1 < n_iter:
            _replace_useless(atoms, np.diff(starts), batch, residual, rng)
        if progress is not None:
            progress(done + 1, n_iter)
    return Dictionary(atoms=_in_order(atoms, codes))


def _unit_rows(rows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return rows divided by their norm; a zero row becomes a random direction."""
    rows = rows.astype(np.float64)
    zero = ~rows.any(axis=1)
    rows[zero] = rng.standard_normal((int(zero.sum()), rows.shape[1]))
    rows /= np.abs(rows).max(axis=1, keepdims=True)  # squares of tiny numbers vanish
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _users_by_atom(codes: SparseCodes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns at which atoms are used, sorted by atom, and where each atom's entries start."""
    rows, slots = np.nonzero(codes.support >= 0)
    chosen = codes.support[rows, slots]
    order = np.argsort(chosen, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(chosen, minlength=codes.n_atoms))])
    return rows[order], slots[order], starts


def _replace_useless(
    atoms: NDArray[np.float32],
    n_users: NDArray[np.int64],
    batch: NDArray[np.float32],
    residual: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Put badly represented windows in the place of atoms that are hardly used or repeat an earlier one."""
    repeats = np.triu(np.abs(atoms @ atoms.T) > _TWINS, k=1).any(axis=0)
    useless = np.flatnonzero(repeats | (n_users < min(_FEWEST_USERS, len(batch) // len(atoms))))
    error = np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
    if useless.size and np.count_nonzero(error) >= useless.size:
        chosen = rng.choice(len(batch), useless.size, replace=False, p=error / error.sum())
        atoms[useless] = _unit_rows(batch[chosen], rng)


def _in_order(atoms: NDArray[np.float32], codes: SparseCodes) -> NDArray[np.float32]:
    """Return the atoms by falling energy of their coefficients, each with its largest value positive."""
    used = codes.support >= 0
    energy = np.bincount(
        codes.support[used], weights=codes.coefficient[used].astype(np.float64) ** 2, minlength=len(atoms)
    )
    largest = np.take_along_axis(atoms, np.abs(atoms).argmax(axis=1)[:, None], axis=1)
    return (atoms * np.sign(largest))[np.argsort(-energy, kind="stable")]
