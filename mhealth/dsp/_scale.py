"""How large the waves of one lead are at present, and how large its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_chunk, check_flush, check_fs, new_state
from mhealth.errors import InvalidParameterError

__all__ = ["RunningScale", "RunningScaleStream", "ScaleAndFloor"]

_STATE = np.dtype(
    [(name, np.int64) for name in ("window", "ahead", "block")]
    + [(name, np.float64) for name in ("weight", "quantile")]
    + [(name, np.int64) for name in ("n_samples", "n_smoothed", "n_decided", "n_in_block", "n_blocks")]
    + [(name, np.float64) for name in ("before", "value", "low", "high", "extent", "scale", "floor")]
)


class ScaleAndFloor(NamedTuple):
    """Parallel arrays, one entry a sample, in the unit of the lead; NaN where a sample is missing.

    Attributes
    ----------
    scale : ndarray of float64, shape (n_samples,)
        How far the lead moves in a beat.
    floor : ndarray of float64, shape (n_samples,)
        How far it moves within a block of its quieter moments.
    """

    scale: NDArray[np.float64]
    floor: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RunningScale:
    """How large the waves of one lead are at present, and how large its noise.

    The lead is smoothed over 3 samples, so that a single outlying sample counts a third, and cut into blocks. The
    *scale* is an exponential average of the range (largest less smallest value) of the latest blocks; the *floor* is a
    quantile of the ranges of each of them: between its waves an ECG moves by noise only. The first `window` seconds of
    a stretch give the values of all samples of which they reach `ahead` seconds beyond; from there on the window
    slides, and the average follows. NaN ends a stretch. The last block of a stretch may be short, and the last samples
    have the window at its end.

    Parameters
    ----------
    window : float, default=1.92
        How much of the lead is looked at, in seconds: more than an RR interval of a heart at 32 beats a minute.
    ahead : float, default=0.16
        How far the window reaches beyond the sample, in seconds: the delay.
    time_constant : float, default=2.0
        Of the average, in seconds: a beat or two of another height change little.
    block : float, default=0.04
        Length of the blocks in seconds: noise above 25 Hz shows its whole range in one, a P wave does not.
    quantile : float, default=0.35
        Share of the blocks below the floor: TP and ST take more of most beats. Tuned with the segmenter's settings, see
        `experiments/candidates`.

    Notes
    -----
    Work and state are bounded: 48 blocks are looked through once a block, about ten operations a sample at 250 Hz.
    Values are decided `ahead` seconds after their sample; at the start of a stretch `window` seconds after the first.
    Scaling the lead by a power of two scales them, to the bit; flipping its sign does nothing.

    Examples
    --------
    >>> RunningScale().measure([0.0, 0.0, 3.0, 3.0, 3.0, 0.0], fs=250.0).scale
    array([3., 3., 3., 3., 3., 3.])
    """

    window: float = 1.92
    ahead: float = 0.16
    time_constant: float = 2.0
    block: float = 0.04
    quantile: float = 0.35

    def __post_init__(self) -> None:
        """Check the durations."""
        for name in ("window", "ahead", "time_constant", "block"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidParameterError(f"{name}={value!r} must be a positive, finite number of seconds.")
        if not self.ahead + self.block <= self.window:
            raise InvalidParameterError(
                f"window={self.window!r} must be at least ahead + block, {self.ahead!r} + {self.block!r} s."
            )
        if not 0 <= self.quantile < 1:
            raise InvalidParameterError(f"quantile={self.quantile!r} must be a share, at least 0 and below 1.")

    def open(self, *, fs: float) -> RunningScaleStream:
        """Return a stream for one lead sampled at `fs` Hz."""
        return RunningScaleStream(self, fs=fs)

    def measure(self, lead: ArrayLike, *, fs: float) -> ScaleAndFloor:
        """Measure one lead in one go: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            Samples in any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz.

        Returns
        -------
        values : ScaleAndFloor
            At every sample.
        """
        stream = self.open(fs=fs)
        return ScaleAndFloor(*(np.concatenate(pair) for pair in zip(stream.push(lead), stream.flush(), strict=True)))


class RunningScaleStream:
    """The running scale of one lead, as far as it has come; made by `RunningScale.open`.

    Attributes
    ----------
    ahead_samples : int
        Samples that a value waits for after its own (more at the start of a stretch).
    position : int
        Index of the next input sample.
    """

    def __init__(self, running_scale: RunningScale, *, fs: float) -> None:
        fs = check_fs(fs)
        self.ahead_samples = max(1, round(running_scale.ahead * fs))
        self.position = 0
        block = max(1, round(running_scale.block * fs))
        n_blocks = max(1, round(running_scale.window * fs / block))
        settings = {
            "window": n_blocks * block,
            "ahead": self.ahead_samples,
            "block": block,
            "weight": -math.expm1(-1 / (running_scale.time_constant * fs)),
            "quantile": running_scale.quantile,
        }
        self._state = new_state(_STATE, **settings)
        self._lows, self._highs, self._ranges = np.zeros((3, n_blocks))
        self._most_undecided = n_blocks * block + 1
        self._ended = False

    @property
    def settings(self) -> np.record:
        """What the kernels go by: `window`, `ahead` and `block` in samples, `weight`, `quantile`; and the state."""
        return self._state[0].copy()

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> ScaleAndFloor:
        """Take the next samples and return the values that are decided now.

        Parameters
        ----------
        chunk : array_like of shape (n,)
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        values : ScaleAndFloor
            Those of the samples after the ones decided before.

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk is not one lead of finite or missing samples.
        """
        from mhealth._kernels._scale import running_scale

        lead = check_chunk(chunk, n_channels=1, start=start, position=self.position, ended=self._ended)[:, 0]
        samples = np.ascontiguousarray(lead)
        scale, floor = np.empty((2, len(samples) + self._most_undecided))
        n_decided = running_scale(samples, *self._buffers(), scale, floor)
        self.position += len(samples)
        return ScaleAndFloor(scale[:n_decided], floor[:n_decided])

    def flush(self) -> ScaleAndFloor:
        """End the stream and return the values of the last samples, by what there is.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        from mhealth._kernels._scale import drain_scale

        check_flush(ended=self._ended)
        self._ended = True
        scale, floor = np.empty((2, self._most_undecided))
        n_decided = drain_scale(*self._buffers(), scale, floor, 0)
        return ScaleAndFloor(scale[:n_decided], floor[:n_decided])

    def _buffers(self) -> tuple[np.record | NDArray, ...]:
        """Return the state as the kernels take it."""
        return self._state[0], self._lows, self._highs, self._ranges
