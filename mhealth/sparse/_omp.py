"""Sparse codes by orthogonal matching pursuit."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.sparse._dictionary import Dictionary

__all__ = ["SparseCodes", "omp"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SparseCodes:
    """Codes of windows over a dictionary: which atoms, and how much of each.

    Parameters
    ----------
    support : ndarray of int16, shape (n_windows, n_nonzero)
        Atoms in order of selection; −1 where fewer were needed.
    coefficient : ndarray of float32, shape (n_windows, n_nonzero)
        Coefficient of each, in the unit of the windows; 0 where unused.
    n_atoms : int
        Number of atoms of the dictionary.
    """

    support: NDArray[np.int16]
    coefficient: NDArray[np.float32]
    n_atoms: int

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.support)

    def to_dense(self, *, sign_split: bool = False) -> NDArray[np.float32]:
        """Return one row a window and one column an atom.

        Parameters
        ----------
        sign_split : bool, default=False
            Give each atom two non-negative columns instead: column k holds positive coefficients of atom k,
            column n_atoms + k the magnitude of negative ones. A linear model can then weigh the signs apart.

        Returns
        -------
        codes : ndarray of float32, shape (n_windows, n_atoms) or (n_windows, 2 · n_atoms)
        """
        rows, slots = np.nonzero(self.support >= 0)
        columns, values = self.support[rows, slots].astype(np.intp), self.coefficient[rows, slots]
        if sign_split:
            columns, values = columns + self.n_atoms * (values < 0), np.abs(values)
        codes = np.zeros((len(self), self.n_atoms * (2 if sign_split else 1)), dtype=np.float32)
        codes[rows, columns] = values
        return codes

    def to_csr(self) -> scipy.sparse.csr_array:
        """Return the codes as a sparse array of shape (n_windows, n_atoms), columns in order within a row."""
        used = self.support >= 0
        starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
        codes = scipy.sparse.csr_array(
            (self.coefficient[used], self.support[used].astype(np.int32), starts), shape=(len(self), self.n_atoms)
        )
        codes.sort_indices()
        return codes

    def reconstruct(self, dictionary: Dictionary) -> NDArray[np.float32]:
        """Return the windows that the codes stand for, shape (n_windows, atom_length)."""
        return self.to_csr() @ dictionary.atoms


def omp(windows: ArrayLike, dictionary: Dictionary, *, n_nonzero: int) -> SparseCodes:
    """Code windows as few atoms each, by orthogonal matching pursuit.

    Each step takes the atom that correlates most with what is left of the window (of equals the first), and
    fits all chosen ones again. A window is done early when what is left is rounding, so a zero window takes none.

    Parameters
    ----------
    windows : array_like of shape (n_windows, atom_length)
        Any unit; computed in float32.
    dictionary : Dictionary
        Its atoms have the length of a window.
    n_nonzero : int
        Atoms a window may take, from 1 to the number of atoms.

    Returns
    -------
    codes : SparseCodes

    Raises
    ------
    InvalidSignalError
        If `windows` is not numeric, not 2-D, of another length than the atoms, or not finite.
    InvalidParameterError
        If `n_nonzero` is no integer in its range.

    Notes
    -----
    A window's code has the same bits however many windows are given in one call. A window times −1, or times a
    power of two (short of under- and overflow), has exactly the same code times that factor.

    References
    ----------
    .. [1] Rubinstein, Zibulevsky & Elad (2008). Efficient implementation of the K-SVD algorithm using batch
       orthogonal matching pursuit. Technion, CS-2008-08.

    Examples
    --------
    >>> dictionary = Dictionary(atoms=[[1.0, 0.0], [0.0, 1.0]])
    >>> omp([[3.0, -4.0]], dictionary, n_nonzero=2).support
    array([[1, 0]], dtype=int16)
    """
    from mhealth._kernels._omp import batch_omp

    n_atoms = dictionary.n_atoms
    n_chosen = check_n_nonzero(n_nonzero, n_atoms=n_atoms)
    points = as_windows(windows, atom_length=dictionary.atom_length)
    support = np.empty((len(points), n_chosen), dtype=np.int16)
    coefficient = np.empty((len(points), n_chosen), dtype=np.float32)
    batch_omp(
        points, dictionary.atoms_by_point, dictionary.gram, support, coefficient,
        np.empty(n_atoms, dtype=np.float32), np.empty((n_chosen, n_atoms), dtype=np.float32),
        np.empty((n_chosen, n_chosen), dtype=np.float32), np.empty(n_chosen, dtype=np.float32),
    )  # fmt: skip
    return SparseCodes(support=support, coefficient=coefficient, n_atoms=n_atoms)


def check_n_nonzero(n_nonzero: int, *, n_atoms: int) -> int:
    """Return the number of atoms a window may take.

    Raises
    ------
    InvalidParameterError
        If it is no integer from 1 to `n_atoms`.
    """
    if not isinstance(n_nonzero, numbers.Integral) or not 1 <= n_nonzero <= n_atoms:
        raise InvalidParameterError(
            f"n_nonzero={n_nonzero!r} must be an integer from 1 to {n_atoms}, the atoms of the dictionary."
        )
    return int(n_nonzero)


def as_windows(windows: ArrayLike, *, atom_length: int | None = None) -> NDArray[np.float32]:
    """Return windows as contiguous float32 of shape (n_windows, atom_length), all finite.

    Raises
    ------
    InvalidSignalError
        If they are not numeric, not 2-D, of another length, or not finite.
    """
    points = np.asarray(windows)
    if points.dtype.kind not in "fiub" or points.ndim != 2 or atom_length not in (None, points.shape[1]):
        length = "atom_length" if atom_length is None else str(atom_length)
        raise InvalidSignalError(
            f"windows has shape {points.shape} and type {points.dtype}; expected numbers, (n_windows, {length})."
        )
    with np.errstate(over="ignore"):
        points = np.ascontiguousarray(points, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise InvalidSignalError(
            f"windows[{bad[0]}] is not finite in float32 ({bad.size} such windows). Leave out windows that hold NaN, "
            "or cut them with extract_windows, which fills them."
        )
    return points
