"""A dictionary: the shapes that windows of a signal are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError, ModelFileError

__all__ = ["Dictionary"]

_MAX_ATOMS = np.iinfo(np.int16).max  # codes keep atom indices as int16


@dataclass(frozen=True, eq=False, kw_only=True)
class Dictionary:
    """Unit-norm atoms, and which stretch of the signal they describe.

    Parameters
    ----------
    atoms : array_like of shape (n_atoms, atom_length)
        One atom a row, each of Euclidean norm 1. Kept as float32.
    before, after : float, default=0.0
        Seconds of the window before and after the moment it is centred on; 0 where atoms are no windows in time.
    name : str, default=""
        What the dictionary is called in plots and manifests.

    Raises
    ------
    InvalidParameterError
        If `atoms` is not 2-D, empty, not finite, not of unit norm, or has more than 32767 rows.
    """

    atoms: NDArray[np.float32]
    before: float = 0.0
    after: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        """Check the atoms, and make them read-only."""
        atoms = np.array(self.atoms, dtype=np.float32, order="C")
        if atoms.ndim != 2 or atoms.size == 0 or len(atoms) > _MAX_ATOMS:
            raise InvalidParameterError(
                f"atoms has shape {atoms.shape}; expected (n_atoms, atom_length) with 1 to {_MAX_ATOMS} atoms."
            )
        norms = np.linalg.norm(atoms.astype(np.float64), axis=1)
        # Rounding to float32 moves a norm by less than 1e-6; NaN fails the comparison too.
        off = np.flatnonzero(~(np.abs(norms - 1) < 1e-5))
        if off.size:
            raise InvalidParameterError(
                f"atoms[{off[0]}] has norm {norms[off[0]]:g}; expected 1. Divide each atom by its norm."
            )
        atoms.setflags(write=False)
        object.__setattr__(self, "atoms", atoms)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.atoms.shape[0]

    @property
    def atom_length(self) -> int:
        """Number of points of an atom."""
        return self.atoms.shape[1]

    @cached_property
    def atoms_by_point(self) -> NDArray[np.float32]:
        """The atoms transposed and contiguous, shape (atom_length, n_atoms)."""
        return np.ascontiguousarray(self.atoms.T)

    @cached_property
    def gram(self) -> NDArray[np.float32]:
        """Inner products of the atoms, shape (n_atoms, n_atoms)."""
        atoms = self.atoms.astype(np.float64)
        return (atoms @ atoms.T).astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray]:
        """Return the fields as arrays that ``numpy.savez`` keeps without pickle."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Dictionary:
        """Rebuild a dictionary, bit for bit, from what `to_arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Such as the result of ``numpy.load(path, allow_pickle=False)``.

        Returns
        -------
        dictionary : Dictionary

        Raises
        ------
        ModelFileError
            If an array is missing, or is not what `to_arrays` writes.
        """
        try:
            return cls(
                atoms=arrays["atoms"],
                before=float(arrays["before"]),
                after=float(arrays["after"]),
                name=str(arrays["name"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"No dictionary in these arrays ({error}); expected what Dictionary.to_arrays gives. "
                "The file is damaged or of another kind: save the dictionary again."
            ) from error
