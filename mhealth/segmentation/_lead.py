"""The engine: one lead at the internal rate, from samples to candidates."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import StreamError

if TYPE_CHECKING:
    from mhealth.segmentation._segmenter import Segmenter

__all__ = ["LeadCandidates", "LeadSegmenterStream", "Turn"]

_SETTINGS = ("pad", "apart", "longest_gap", "busy_gap")
_COUNTERS = (
    "start", "n_fed", "n_decided", "n_merged", "last", "held", "extrema", "fine", "coarse", "kept", "n_out",
)  # fmt: skip
_STATE = np.dtype(
    [(name, np.int64) for name in _SETTINGS + _COUNTERS]
    + [(name, np.float64) for name in ("busy_range", "fill_span", "value")]
)
_CANDIDATE = np.dtype(
    [
        ("position", np.int64),
        ("kind", np.int8),
        ("scale", np.float32),
        ("prominence", np.float32),
        ("running_scale", np.float32),
    ],
    align=True,
)


class Turn(IntEnum):
    """Kind of a candidate. Flipping the sign of the signal swaps maximum and minimum, concave and convex."""

    FILL = 0
    """No turn: keeps neighbours from being too far apart."""
    MAXIMUM = 1
    MINIMUM = 2
    CONCAVE = 3
    """A bend above the chord of its surroundings."""
    CONVEX = 4
    """A bend below the chord of its surroundings."""


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
    """

    def __init__(self, segmenter: Segmenter) -> None:
        def samples(seconds: float) -> int:
            return max(1, round(seconds * segmenter.rate))

        extrema, bends = segmenter.extrema, (segmenter.fine_bends, segmenter.coarse_bends)
        rows = [(extrema.box, extrema.prominence_reach, extrema.reach), *((b.box, b.arm, b.reach) for b in bends)]
        self._rules = np.array([(samples(box) // 2, samples(arm), samples(reach)) for box, arm, reach in rows])
        half, arm, reach = self._rules.T
        self._thresholds = np.array([rule.threshold for rule in (extrema, *bends)])
        self._spans = np.array([extrema.reach, *(b.arm for b in bends)], dtype=np.float32)
        self._scale = segmenter.running_scale.open(fs=segmenter.rate)
        state = np.recarray(1, dtype=_STATE)
        state.fill(0)
        state.pad = max(half[0] + max(arm[0], reach[0]), (half + arm + reach)[1:].max())
        state.apart = samples(segmenter.separation)
        state.longest_gap = samples(segmenter.longest_gap)
        state.busy_gap = samples(segmenter.busy_gap)
        state.busy_range = segmenter.busy_range
        state.fill_span = segmenter.busy_gap
        state.n_fed = -state.pad
        self._state = state
        # The oldest sample that a rule looks at: the candidate before the longest gap, or the left end of a chord.
        oldest = max(2 * int(state.apart[0]) + int(state.longest_gap[0]), 2 * int((half + arm + reach).max()))
        size = 1 << (oldest + int(state.pad[0]) + 1).bit_length()
        self._raw, self._scales = np.zeros(size), np.zeros(size)
        self._smoothed, self._bend, self._height = (np.zeros((3, size)) for _ in range(3))
        self._turn = np.zeros((3, size), dtype=np.int8)
        self._held = np.empty(0, dtype=np.float32)  # samples that wait for their running scale
        self._ended = False

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
        scale = self._scale.push(chunk, start=start)
        samples = np.asarray(chunk, dtype=np.float32).reshape(-1)
        return self._take(np.concatenate([self._held, samples]), scale)

    def flush(self) -> LeadCandidates:
        """End the stream and return the last candidates.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        if self._ended:
            raise StreamError("flush() after flush(): this stream has ended. Open a new one.")
        self._ended = True
        return self._take(self._held, self._scale.flush())

    def _take(self, samples: NDArray[np.float32], scale: NDArray[np.float64]) -> LeadCandidates:
        """Decide the samples whose scale is known, and keep the others."""
        from mhealth._kernels._segment import end_stretch, segment

        state = self._state[0]
        out = np.recarray(len(scale) + int(state.longest_gap) + 2 * int(state.apart) + 1, dtype=_CANDIDATE)
        segment(
            samples, scale, state, self._rules, self._thresholds, self._spans, self._raw, self._scales,
            self._smoothed, self._bend, self._turn, self._height, out,
        )  # fmt: skip
        self._held = samples[len(scale) :].copy()
        if self._ended:
            end_stretch(
                state, self._rules, self._spans, self._raw, self._scales, self._smoothed, self._turn, self._height, out
            )  # fmt: skip
        found = out[: int(state.n_out)]
        return LeadCandidates(*(np.ascontiguousarray(found[name]) for name in _CANDIDATE.names or ()))
