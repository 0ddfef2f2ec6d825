"""Segmentation in whole numbers: its table, and the twin of ``runtime/mh_segment.c``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core import check_flush, new_state
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.export._c_tables import c_table
from mhealth.export._scale import ScaleTable, ScaleValues
from mhealth.segmentation import Segmenter

__all__ = ["SegmentCandidates", "SegmentTable", "SegmentTwin"]

_FRACTION = 20
"""Bits behind the point of the thresholds."""

_THRESHOLDS = ("prominence", "prominence_floor", "deviation", "deviation_floor", "deviation_range", "busy_range")
_SAMPLES = ("half", "reach", "arm", "shortest", "busy_gap", "longest_gap")
_SETTINGS = (*_THRESHOLDS, "reference", *_SAMPLES, "root_shift", "group_shift")
_STATE = np.dtype([(name, np.int64) for name in (*_SETTINGS, "origin", "position", "last", "before", "value", "after")])


class SegmentCandidates(NamedTuple):
    """Parallel arrays, one entry a candidate, in the order of `position`.

    Attributes
    ----------
    position : ndarray of int64, shape (n_candidates,)
        In samples from the start of the stretch.
    scale : ndarray of int64, shape (n_candidates,)
        The running scale there, in ADC units, Q24.8.
    """

    position: NDArray[np.int64]
    scale: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SegmentTable:
    """Settings of a segmenter as the C takes them; made by `SegmentTable.of`.

    Parameters
    ----------
    prominence, prominence_floor, deviation, deviation_floor, deviation_range, busy_range : int
        Thresholds, Q12.20; but for `deviation_range` times the length of the box, which the C does not divide by.
    reference : int
        In samples, times 4^`root_shift`.
    half, reach, arm, shortest, busy_gap, longest_gap : int
        In samples.
    n_splits : int
        That may wait while a gap is taken apart.
    root_shift : int
        Bits behind the point of √(reference · length).
    group_shift : int
        The scale of earlier samples is kept for groups of 2^`group_shift` of them.
    n_groups : int
        A power of two; those of the longest gap.
    """

    prominence: int
    prominence_floor: int
    deviation: int
    deviation_floor: int
    deviation_range: int
    busy_range: int
    reference: int
    half: int
    reach: int
    arm: int
    shortest: int
    busy_gap: int
    longest_gap: int
    n_splits: int
    root_shift: int
    group_shift: int
    n_groups: int

    @classmethod
    def of(cls, segmenter: Segmenter) -> SegmentTable:
        """Return the table of a segmenter, at its internal rate.

        Raises
        ------
        InvalidParameterError
            If a gap is so long, or a threshold so high, that the C's sums would overflow.
        """
        settings = segmenter.open_lead().settings
        samples = {name: int(settings[name]) for name in _SAMPLES}
        box, gap = 2 * samples["half"] + 1, samples["longest_gap"]
        if box * gap >= 2**14:  # distances from a chord are differences of 16-bit samples times both, twice
            raise InvalidParameterError(
                f"box={segmenter.box!r} and longest_gap={segmenter.longest_gap!r} s are {box} and {gap} samples; the "
                "export takes a product below 16384. Shorten them."
            )
        thresholds = {
            name: round(float(settings[name]) * (1 if name == "deviation_range" else box) * 2**_FRACTION)
            for name in _THRESHOLDS
        }
        for name, value in thresholds.items():
            if value >= 2**32:
                raise InvalidParameterError(f"{name}={float(settings[name])!r} is more than the export can hold.")
        reference = float(settings.reference)
        root_shift = max(shift for shift in range(13) if shift == 0 or reference * gap * 4**shift < 2**31)
        if reference * gap >= 2**31:
            raise InvalidParameterError(f"reference={segmenter.reference!r} s is more than the export can hold.")
        # Within a group the running scale moves by no more than a sixteenth of the way to the next one.
        time_constant = segmenter.running_scale.time_constant * segmenter.rate
        group_shift = max(0, int(time_constant / 16).bit_length() - 1)
        return cls(
            **thresholds,
            **samples,
            reference=round(reference * 4**root_shift),
            n_splits=gap // max(samples["shortest"], 1) + 1,
            root_shift=root_shift,
            group_shift=group_shift,
            n_groups=1 << (((gap >> group_shift) + 1).bit_length()),
        )

    @property
    def back(self) -> int:
        """Samples before the one being decided that are looked at."""
        return max(self.longest_gap, self.reach, self.arm) + self.half

    @property
    def buffers(self) -> dict[str, tuple[str, int]]:
        """Type and length of each array that the C's state needs, in the order of `mh_segment_init`."""
        return {"groups": ("mh_scale_value_t", self.n_groups), "splits": ("uint16_t", self.n_splits)}

    def history(self, scale: ScaleTable) -> int:
        """Return how many samples the ring of the signal must hold at least, given what its scale holds back."""
        return scale.window + 1 + self.back

    def open(self) -> SegmentTwin:
        """Return a stream at the start of a stretch."""
        return SegmentTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table in C."""
        return c_table("mh_segment_table_t", name, asdict(self))


class SegmentTwin:
    """Candidates of one stretch without missing samples, as the C finds them; made by `SegmentTable.open`.

    It is pushed on together with the `ScaleTwin` that measures the same samples.

    Attributes
    ----------
    decided : int
        Every candidate before this sample has been returned.
    """

    def __init__(self, table: SegmentTable) -> None:
        self._state = new_state(_STATE, **{name: getattr(table, name) for name in _SETTINGS})
        self._groups = tuple(np.zeros((2, table.n_groups), np.int64))
        self._splits = np.zeros(table.n_splits, np.int64)
        self._gap, self._back = table.longest_gap, table.back
        self._signal = np.empty(0, np.int16)  # from sample `origin` on
        self._ended = False

    @property
    def decided(self) -> int:
        """Every candidate before this sample has been returned."""
        state = self._state[0]
        return int(state.last) + (state.position > 0)

    def push(self, samples: NDArray[np.int16], values: ScaleValues) -> SegmentCandidates:
        """Take the next samples, and the running scale of those of which it is known now; return the candidates.

        Raises
        ------
        StreamError
            If the stretch has ended.
        """
        if self._ended:
            raise StreamError("push() after flush(): this stretch has ended. Open a new one.")
        self._signal = np.concatenate([self._signal, np.asarray(samples, np.int16)])
        return self._take(values)

    def flush(self, values: ScaleValues) -> SegmentCandidates:
        """End the stretch, given the running scale of its last samples; return its last candidates."""
        check_flush(ended=self._ended)
        self._ended = True
        return self._take(values)

    def _take(self, values: ScaleValues) -> SegmentCandidates:
        """Decide the samples whose scale is known, and forget those that are not looked at any more."""
        from mhealth._kernels._fixed_segment import end_fixed_stretch, fixed_segment

        state = self._state[0]
        positions, scales = np.empty((2, len(values.scale) + 2 * self._gap), np.int64)
        buffers = (*self._groups, self._splits, positions, scales)
        n = fixed_segment(self._signal, *values, state, *buffers)
        if self._ended:
            n = end_fixed_stretch(self._signal, state, *buffers, n)
        origin = max(int(state.position) - self._back - 1, int(state.origin))
        self._signal = self._signal[origin - int(state.origin) :]
        state.origin = origin
        return SegmentCandidates(positions[:n], scales[:n])
