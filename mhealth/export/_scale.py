"""The running scale in whole numbers: its table, and the twin of ``runtime/mh_scale.c``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core import check_flush, new_state
from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.export._c_tables import c_table

__all__ = ["ScaleTable", "ScaleTwin", "ScaleValues"]

_SETTINGS = ("weight", "quantile", "window", "ahead", "block", "burst")
_VALUES = ("extent", "average", "floor_q8", "low", "high", "before", "latest")
_COUNTS = ("n_seen", "n_decided", "n_waiting", "n_in_block", "n_filled", "slot")
_STATE = np.dtype([(name, np.int64) for name in (*_SETTINGS, *_VALUES, *_COUNTS)])


class ScaleValues(NamedTuple):
    """Parallel arrays, one entry a sample, in ADC units, Q24.8.

    Attributes
    ----------
    scale : ndarray of int64, shape (n_samples,)
        How far the lead moves in a beat; at least 1 / 256.
    floor : ndarray of int64, shape (n_samples,)
        How far it moves within a block of its quieter moments.
    """

    scale: NDArray[np.int64]
    floor: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ScaleTable:
    """Settings of a running scale as the C takes them; made by `ScaleTable.of`.

    Parameters
    ----------
    weight : int
        Of a new range in the average, Q2.30.
    quantile : int
        Share of the blocks below the floor, Q16.16.
    window, ahead, block : int
        In samples.
    n_blocks : int
        Of which the window consists.
    burst : int, default=8
        Values that come out at most a sample while those of the first window catch up, at most eight times the usual
        work: a stage after this one that takes a tenth of the processor's time stays in time. Those of the first 4 s
        are then a little newer than they need be: 99.1 % of the candidates in LUDB are those of the float segmenter
        on the same whole numbers; with 4 it would be 98.6 %, without a limit 99.4 %.
    """

    weight: int
    quantile: int
    window: int
    ahead: int
    block: int
    n_blocks: int
    burst: int = 8

    @classmethod
    def of(cls, running_scale: RunningScale, *, rate: float) -> ScaleTable:
        """Return the table of a running scale at the internal rate in Hz.

        Raises
        ------
        InvalidParameterError
            If the window does not fit the C's counters.
        """
        settings = running_scale.open(fs=rate).settings
        window, block = int(settings.window), int(settings.block)
        if window > 2**15:
            raise InvalidParameterError(
                f"running_scale.window={running_scale.window!r} s is {window} samples at {rate:g} Hz; "
                "the export takes at most 32768. Shorten it."
            )
        return cls(
            weight=round(float(settings.weight) * 2**30),
            quantile=-int(-float(settings.quantile) * 2**16 // 1),  # up: 0.35 of 20 blocks is 7
            window=window,
            ahead=int(settings.ahead),
            block=block,
            n_blocks=window // block,
        )

    @property
    def buffers(self) -> dict[str, tuple[str, int]]:
        """Type and length of each array that the C's state needs, in the order of `mh_scale_init`."""
        return {"blocks": ("mh_scale_block_t", self.n_blocks)}

    def open(self) -> ScaleTwin:
        """Return a stream at the start of a stretch."""
        return ScaleTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table in C."""
        return c_table("mh_scale_table_t", name, asdict(self))


class ScaleTwin:
    """The running scale of one stretch without missing samples, as the C computes it; made by `ScaleTable.open`."""

    def __init__(self, table: ScaleTable) -> None:
        self._state = new_state(_STATE, **{name: getattr(table, name) for name in _SETTINGS})
        self._blocks = tuple(np.zeros((3, table.n_blocks), np.int64))
        self._most = table.window + 1
        self._ended = False

    def push(self, samples: NDArray[np.int16]) -> ScaleValues:
        """Take the next samples; return the values that are decided now, in order.

        Raises
        ------
        StreamError
            If the stretch has ended.
        """
        from mhealth._kernels._fixed_scale import fixed_scale

        if self._ended:
            raise StreamError("push() after flush(): this stretch has ended. Open a new one.")
        scale, floor = np.empty((2, len(samples) + self._most), np.int64)
        n = fixed_scale(np.ascontiguousarray(samples, np.int16), self._state[0], *self._blocks, scale, floor)
        return ScaleValues(scale[:n], floor[:n])

    def flush(self) -> ScaleValues:
        """End the stretch; return the values of its last samples."""
        from mhealth._kernels._fixed_scale import drain_fixed_scale

        check_flush(ended=self._ended)
        self._ended = True
        scale, floor = np.empty((2, self._most), np.int64)
        n = drain_fixed_scale(self._state[0], *self._blocks, scale, floor)
        return ScaleValues(scale[:n], floor[:n])
