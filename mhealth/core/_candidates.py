"""Candidates: the moments where a quasi-periodic signal turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidates"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidates:
    """Parallel arrays, one entry a candidate, in the order of `position`.

    Parameters
    ----------
    position : ndarray of int64, shape (n_candidates,)
        Sample index at the recording's own rate.
    channel : ndarray of int64, shape (n_candidates,)
        Column of the recording.
    kind : ndarray of int8, shape (n_candidates,)
        Which kind of turn, as the segmenter that made it documents.
    scale : ndarray of float32, shape (n_candidates,)
        Temporal scale in seconds at which the signal turns.
    prominence : ndarray of float32, shape (n_candidates,)
        How far it turns, in units of the running scale.
    """

    position: NDArray[np.int64]
    channel: NDArray[np.int64]
    kind: NDArray[np.int8]
    scale: NDArray[np.float32]
    prominence: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.position)
