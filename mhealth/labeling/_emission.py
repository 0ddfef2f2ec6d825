"""From a candidate's codes to log potentials of the states around it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._features import Features

__all__ = ["SparseEmission"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SparseEmission:
    """Log potentials linear in two layers of non-negative codes above the sparse codes of the windows.

    The first layer codes a candidate's own windows and codes together, the second the first; each is the
    one-step non-negative sparse code relu(x W + threshold), with W refined by the gradient of the CRF's likelihood
    (task-driven dictionary learning [1]_).

    Parameters
    ----------
    of_dense : ndarray of float32, shape (n_dense, n_first)
    of_codes : ndarray of float32, shape (n_columns, n_first)
    threshold : ndarray of float32, shape (n_first,)
    second : ndarray of float32, shape (n_first, n_second)
    second_threshold : ndarray of float32, shape (n_second,)
    last : ndarray of float32, shape (n_second, 6 · n_states)
        Columns: inside, onset, offset and middle potentials of each state; then for each state how far the
        onset and the offset lie from the candidate, if it is one, in units of `Task.shift_unit`.
    bias : ndarray of float32, shape (6 · n_states,)

    References
    ----------
    .. [1] Mairal, Bach, Ponce (2012). Task-driven dictionary learning. IEEE TPAMI 34(4).
       https://doi.org/10.1109/TPAMI.2011.156
    """

    of_dense: NDArray[np.float32]
    of_codes: NDArray[np.float32]
    threshold: NDArray[np.float32]
    second: NDArray[np.float32]
    second_threshold: NDArray[np.float32]
    last: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def n_outputs(self) -> int:
        """Number of outputs of a candidate."""
        return len(self.bias)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.bias) // 6

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the parameters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def outputs(self, features: Features) -> NDArray[np.float32]:
        """Return the last layer's outputs, shape (n, 6 · n_states)."""
        from mhealth._kernels._emission import emit

        out = np.empty((len(features.positions), len(self.bias)), dtype=np.float32)
        emit(features.dense, features.columns, features.values, *self.to_arrays().values(), out)
        return out
