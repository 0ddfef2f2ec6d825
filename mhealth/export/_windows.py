"""Windows around candidates in whole numbers: their tables, for the twin and for C."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.sparse import Window

__all__ = ["MOST_POINTS", "WindowTable", "packed"]

MOST_POINTS = 63
"""Points of a window for which no 32-bit sum overflows; ``MH_WINDOWS_MOST_POINTS`` in C."""

_WIDEST_BIN = 127


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowTable:
    """A window as ``mh_window_t`` has it.

    Parameters
    ----------
    start : int
        Of the first bin, in samples from the candidate.
    widths : ndarray of uint8, shape (n_points,)
        Samples of each bin.
    inverse_moment : int
        2^31 / Σ (2b − n_points + 1)² over the bins b; 0 where the trend stays.
    """

    start: int
    widths: NDArray[np.uint8]
    inverse_moment: int

    @classmethod
    def of(cls, window: Window, *, rate: float) -> WindowTable:
        """Return the table of a window of a signal at `rate` Hz.

        Raises
        ------
        InvalidParameterError
            If the window has too many points or too long bins for 32 bits.
        """
        edges = window.edges(rate=rate)
        widths, n = np.diff(edges), window.n_points
        if n > MOST_POINTS or widths.max() > _WIDEST_BIN:
            raise InvalidParameterError(
                f"A window of {n} points, up to {widths.max()} samples each, cannot be exported; windows have at most "
                f"{MOST_POINTS} points of at most {_WIDEST_BIN} samples. Train with shorter or coarser windows."
            )
        moment = n * (n * n - 1) // 3
        return cls(
            start=int(edges[0]),
            widths=widths.astype(np.uint8),
            inverse_moment=round(2**31 / moment) if window.detrend == "linear" else 0,
        )

    @property
    def n_points(self) -> int:
        """Number of bins."""
        return len(self.widths)

    @property
    def stop(self) -> int:
        """Sample after the last bin, counted from the candidate."""
        return self.start + int(self.widths.sum())


def packed(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return weights as the C reads them: words of four neighbouring columns, shape (n_columns / 4, n_rows).

    Parameters
    ----------
    weights : ndarray of int8, shape (n_rows, n_columns)
    """
    n_rows, n_columns = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -n_columns % 4)))
    blocks = padded.reshape(n_rows, -1, 4).transpose(1, 0, 2).astype(np.uint8).astype(np.uint32)
    return (blocks << np.array([0, 8, 16, 24], np.uint32)).sum(axis=2, dtype=np.uint32)
