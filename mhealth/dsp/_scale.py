"""How large the waves of one lead are at present."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_fs
from mhealth.dsp._chunks import check_chunk
from mhealth.errors import InvalidParameterError, StreamError

__all__ = ["RunningScale", "RunningScaleStream"]

_STATE = np.dtype(
    [
        *((name, np.int64) for name in ("behind", "ahead", "n_samples", "n_smoothed", "n_decided")),
        *((name, np.int64) for name in ("high_first", "high_last", "low_first", "low_last")),
        *((name, np.float64) for name in ("weight", "before", "value", "scale")),
    ]
)


@dataclass(frozen=True, kw_only=True)
class RunningScale:
    """Exponential average of the range (largest less smallest value) of one lead in a sliding window.

    The range is taken of the lead smoothed over 3 samples, so that a single outlying sample counts a third. The first
    window of a stretch, `behind` + `ahead` seconds long, gives the scale of all samples up to `behind`; from there on
    the window slides and the average follows. A shorter stretch has one scale, its range. NaN ends a stretch.

    Parameters
    ----------
    behind, ahead : float, default=1.7 and 0.2
        How far the window reaches back and forward, in seconds. Together they exceed the longest RR interval of a heart
        at 32 beats a minute; `ahead` is the delay.
    time_constant : float, default=2.0
        Of the average, in seconds: a beat or two of another height change little.

    Notes
    -----
    Each sample enters and leaves each of two monotone queues [1]_ once, which is O(1) a sample. State: the two queues,
    at most `behind` + `ahead` seconds each. A scale is decided `ahead` seconds after its sample; at the start of a
    stretch `behind` + `ahead` seconds after the first. Scaling the lead by a power of two scales the scale, to the
    bit; flipping its sign does nothing.

    References
    ----------
    .. [1] Lemire D. (2006). Streaming maximum-minimum filter using no more than three comparisons per element. Nordic
       Journal of Computing 13, 328–339. https://arxiv.org/abs/cs/0610046

    Examples
    --------
    >>> RunningScale().scale([0.0, 0.0, 3.0, 3.0, 3.0, 0.0], fs=250.0)
    array([3., 3., 3., 3., 3., 3.])
    """

    behind: float = 1.7
    ahead: float = 0.2
    time_constant: float = 2.0

    def __post_init__(self) -> None:
        """Check the durations."""
        for name in ("behind", "ahead", "time_constant"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidParameterError(f"{name}={value!r} must be a positive, finite number of seconds.")

    def open(self, *, fs: float) -> RunningScaleStream:
        """Return a stream for one lead sampled at `fs` Hz."""
        return RunningScaleStream(self, fs=fs)

    def scale(self, lead: ArrayLike, *, fs: float) -> NDArray[np.float64]:
        """Return the scale at every sample of one lead: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            Samples in any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz.

        Returns
        -------
        scale : ndarray of float64, shape (n_samples,)
            In the unit of `lead`; NaN where a sample is missing.
        """
        stream = self.open(fs=fs)
        return np.concatenate([stream.push(lead), stream.flush()])


class RunningScaleStream:
    """The running scale of one lead, as far as it has come; made by `RunningScale.open`.

    Attributes
    ----------
    ahead_samples : int
        Samples that a scale waits for after its own (more at the start of a stretch).
    position : int
        Index of the next input sample.
    """

    def __init__(self, running_scale: RunningScale, *, fs: float) -> None:
        fs = check_fs(fs)
        self.ahead_samples = max(1, round(running_scale.ahead * fs))
        self.position = 0
        behind = round(running_scale.behind * fs)
        self._reach = behind + self.ahead_samples
        self._state = np.recarray(1, dtype=_STATE)
        self._state.fill(0)
        self._state.behind = behind
        self._state.ahead = self.ahead_samples
        self._state.weight = -math.expm1(-1 / (running_scale.time_constant * fs))
        self._state.high_last = self._state.low_last = -1
        self._queues = np.zeros((2, 1 << self._reach.bit_length()))
        self._indices = np.zeros(self._queues.shape, dtype=np.int64)
        self._ended = False

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> NDArray[np.float64]:
        """Take the next samples and return the scales that are decided now.

        Parameters
        ----------
        chunk : array_like of shape (n,)
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        scale : ndarray of float64, shape (m,)
            One for each of the m samples after those decided before, NaN where a sample is missing.

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk is not one lead of finite or missing samples.
        """
        from mhealth._kernels._scale import running_scale

        samples = np.ascontiguousarray(check_chunk(chunk, start=start, position=self.position, ended=self._ended))
        scale = np.empty(len(samples) + self._reach)
        n_scale = running_scale(samples, self._state[0], self._queues, self._indices, scale)
        self.position += len(samples)
        return scale[:n_scale]

    def flush(self) -> NDArray[np.float64]:
        """End the stream and return the scales of the last samples, by what there is.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        from mhealth._kernels._scale import drain_scale

        if self._ended:
            raise StreamError("flush() after flush(): this stream has ended. Open a new one.")
        self._ended = True
        scale = np.empty(self._reach)
        return scale[: drain_scale(self._state[0], self._queues, self._indices, scale, 0)]
