"""The breaths before a candidate in whole numbers: `mhealth.labeling`'s breath context as ``runtime/mh_breaths.c``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_table

__all__ = ["BreathsTable", "BreathsTwin"]


@dataclass(frozen=True, kw_only=True)
class BreathsTable:
    """Settings of the breath context.

    Attributes
    ----------
    rate : int
        Samples a second.
    n_turns : int
        Turns that are remembered, a power of two.
    """

    rate: int
    n_turns: int

    @classmethod
    def of(cls, *, rate: float, n_turns: int = 128) -> BreathsTable:
        """Return the table of a breath context, which has no settings of its own.

        Parameters
        ----------
        rate : float
            Internal rate in Hz.
        n_turns : int, default=128
            As many as the float stage looks at.

        Raises
        ------
        InvalidParameterError
            If the C has no room for the settings.
        """
        if n_turns not in (8, 16, 32, 64, 128):
            raise InvalidParameterError(f"n_turns={n_turns!r} must be a power of two from 8 to 128.")
        if rate not in range(1, 101):
            raise InvalidParameterError(
                f"rate={rate!r} must be a whole number of Hz, at most 100, for its breaths to be exported."
            )
        return cls(rate=int(rate), n_turns=n_turns)

    def open(self) -> BreathsTwin:
        """Return the twin of the C state, at the start of a stretch."""
        return BreathsTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table, a ``mh_breaths_table_t``, as C source."""
        return c_table("mh_breaths_table_t", name, asdict(self))


class BreathsTwin:
    """The turns of one stretch in whole numbers; made by `BreathsTable.open`."""

    def __init__(self, table: BreathsTable) -> None:
        self._table = table
        self._times, self._values = np.empty((2, 0), np.int64)

    def describe(self, positions: ArrayLike, values: ArrayLike, scale_q8: ArrayLike) -> NDArray[np.int16]:
        """Note the next candidates of the stretch and describe each.

        Parameters
        ----------
        positions : array_like of int, shape (n,)
            Increasing.
        values : array_like of int, shape (n,)
            The signal there, ADC units of 16 bits.
        scale_q8 : array_like of int, shape (n,)
            Running scale there, Q24.8 ADC units, at least 1.

        Returns
        -------
        dense : ndarray of int16, shape (n, 20)
            Q4.11.
        """
        from mhealth._kernels._breaths import N_BREATH
        from mhealth._kernels._fixed_breaths import describe

        scale, n_known = np.asarray(scale_q8, np.int64), len(self._times)
        times = np.append(self._times, np.asarray(positions, np.int64))
        values = np.append(self._values, np.asarray(values, np.int64))
        dense = np.empty((len(scale), N_BREATH), np.int64)
        describe(times, values, scale, self._table.rate, self._table.n_turns, n_known, dense)
        self._times, self._values = times[-self._table.n_turns :], values[-self._table.n_turns :]
        return dense.astype(np.int16)
