"""The engine: one lead at the internal rate, from samples to candidates."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import new_state
from mhealth.dsp import ScaleAndFloor

if TYPE_CHECKING:
    from mhealth.segmentation._segmenter import Segmenter

__all__ = ["LeadCandidates", "LeadSegmenterStream", "Turn"]

_SAMPLES = ("half", "reach", "arm", "pad", "shortest", "busy_gap", "longest_gap")
_RATIOS = ("prominence", "prominence_floor", "deviation", "deviation_floor", "deviation_range", "busy_range")
_STATE = np.dtype(
    [(name, np.int64) for name in _SAMPLES]
    + [(name, np.float64) for name in (*_RATIOS, "reference", "period", "value")]
    + [(name, np.int64) for name in ("start", "n_fed", "n_decided", "last", "held", "n_out")]
)
_CANDIDATE = np.dtype(
    (
        np.record,  # fields are attributes of the elements, also where kernels are not compiled
        np.dtype(
            [
                ("position", np.int64),
                ("kind", np.int8),
                ("scale", np.float32),
                ("prominence", np.float32),
                ("running_scale", np.float32),
            ],
            align=True,
        ),
    )
)


class Turn(IntEnum):
    """Kind of a candidate. Flipping the sign of the signal swaps maximum and minimum, concave and convex."""

    FILL = 0
    """No turn: keeps neighbours from being too far apart."""
    MAXIMUM = 1
    MINIMUM = 2
    CONCAVE = 3
    """Bends above the chord between its neighbours."""
    CONVEX = 4
    """Bends below the chord between its neighbours."""


class LeadCandidates(NamedTuple):
    """Parallel arrays, one entry a candidate of one lead, in the order of `position`.

    Attributes
    ----------
    position : ndarray of int64, shape (n_candidates,)
        Strictly increasing sample index at the internal rate.
    kind : ndarray of int8, shape (n_candidates,)
        Values of `Turn`.
    scale : ndarray of float32, shape (n_candidates,)
        Temporal scale in seconds at which the signal turns.
    prominence : ndarray of float32, shape (n_candidates,)
        How far it turns, in units of the running scale; 0 for `Turn.FILL`.
    running_scale : ndarray of float32, shape (n_candidates,)
        The running scale there, in the unit of the signal.
    """

    position: NDArray[np.int64]
    kind: NDArray[np.int8]
    scale: NDArray[np.float32]
    prominence: NDArray[np.float32]
    running_scale: NDArray[np.float32]


class LeadSegmenterStream:
    """Candidates of one lead at the internal rate, as far as it has come; made by `Segmenter.open_lead`.

    Attributes
    ----------
    position : int
        Index of the next input sample.
    decided : int
        Every candidate before this sample has been returned.

    Notes
    -----
    State: rings of raw and smoothed samples, scales and floors, of 128 samples each for ECG and 32 for breathing; a
    gap's worth of candidates; the state of the running scale, and the samples that wait for theirs. 9 and 4 kB in all.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        rate = segmenter.rate
        reach, arm, half = round(segmenter.reach * rate), round(segmenter.arm * rate), round(segmenter.box * rate) // 2
        longest_gap = round(segmenter.longest_gap * rate)
        settings = {
            "half": half,
            "reach": reach,
            "arm": arm,
            "pad": half + max(reach, arm),
            "shortest": round(segmenter.shortest * rate),
            "busy_gap": round(segmenter.busy_gap * rate),
            "longest_gap": longest_gap,
            **{name: getattr(segmenter, name) for name in _RATIOS},
            "reference": segmenter.reference * rate,
            "period": 1 / rate,
        }
        self._state = new_state(_STATE, **settings)
        # From the candidate before the longest gap, or the sample before the first arm, to the last sample fed.
        size = 1 << (max(longest_gap, arm + 2 * half, reach) + int(settings["pad"]) + 1).bit_length()
        self._raw, self._smoothed, self._scales, self._floors = np.zeros((4, size))
        self._stack = np.empty(longest_gap + 2, dtype=_CANDIDATE)
        self._scale = segmenter.running_scale.open(fs=rate)
        self._held = np.empty(0, dtype=np.float32)  # samples that wait for their running scale
        self._ended = False

    @property
    def settings(self) -> np.record:
        """What the kernels go by: times in samples, thresholds as they are; and the state."""
        return self._state[0].copy()

    @property
    def position(self) -> int:
        """Index of the next input sample."""
        return self._scale.position

    @property
    def decided(self) -> int:
        """Every candidate before this sample has been returned."""
        state = self._state[0]
        return int(state.start + (state.last + 1 if state.n_decided else 0))

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> LeadCandidates:
        """Take the next samples and return the candidates that are decided now.

        Parameters
        ----------
        chunk : array_like of shape (n,)
            Samples at the internal rate, in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        candidates : LeadCandidates

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk is not one lead of finite or missing samples.
        """
        values = self._scale.push(chunk, start=start)
        samples = np.asarray(chunk, dtype=np.float32).reshape(-1)
        return self._take(np.concatenate([self._held, samples]), values)

    def flush(self) -> LeadCandidates:
        """End the stream and return the last candidates.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        values = self._scale.flush()
        self._ended = True
        return self._take(self._held, values)

    def _take(self, samples: NDArray[np.float32], values: ScaleAndFloor) -> LeadCandidates:
        """Decide the samples whose scale is known, and keep the others."""
        from mhealth._kernels._segment import end_stretch, segment

        state = self._state[0]
        buffers = (self._smoothed, self._scales, self._floors, self._stack)
        n_decided = len(values.scale)
        out = np.empty(n_decided + len(self._stack), dtype=_CANDIDATE)  # the gap that is open holds fewer
        segment(samples, values.scale, values.floor, state, self._raw, *buffers, out)
        if self._ended:
            end_stretch(state, *buffers, out)
        self._held = samples[n_decided:].copy()
        found = out[: int(state.n_out)]
        return LeadCandidates(*(np.ascontiguousarray(found[name]) for name in _CANDIDATE.names or ()))
