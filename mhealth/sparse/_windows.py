"""How a stretch of signal around a moment becomes a vector."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_fs, check_signals
from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = ["Window", "extract_windows"]

_FEWEST_POINTS = {"mean": 2, "linear": 3}  # with fewer, nothing is left of any window


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch around a moment, described by averages over equal bins.

    Parameters
    ----------
    before, after : float
        Seconds of signal before and after the moment.
    n_points : int
        Number of bins. Their edges are rounded to whole samples, and each must hold at least one.
    detrend : {"mean", "linear"}, default="mean"
        What is projected out of each window: its mean, which carries the baseline rather than a wave's shape, or
        mean and straight line over the bins, where baseline wander matters over the length of the window.

    Raises
    ------
    InvalidParameterError
        If a duration is negative or not finite, both are zero, or `n_points` or `detrend` is out of range.
    """

    before: float
    after: float
    n_points: int
    detrend: Literal["mean", "linear"] = "mean"

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("before", "after"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidParameterError(f"{name}={value!r} must be a finite number of seconds, zero or more.")
        if self.before + self.after <= 0:
            raise InvalidParameterError("before and after are both 0; expected a window with a length in seconds.")
        if self.detrend not in _FEWEST_POINTS:
            raise InvalidParameterError(f"detrend={self.detrend!r} must be one of {sorted(_FEWEST_POINTS)}.")
        fewest = _FEWEST_POINTS[self.detrend]
        if not isinstance(self.n_points, numbers.Integral) or self.n_points < fewest:
            raise InvalidParameterError(
                f"n_points={self.n_points!r} must be an integer, {fewest} or more: with detrend={self.detrend!r} "
                "nothing is left of shorter windows."
            )

    def edges(self, *, rate: float) -> NDArray[np.int64]:
        """Return the edges of the bins in samples from the moment, shape (n_points + 1,).

        Bin b holds samples edges[b] to edges[b + 1], half-open; the sample at the moment has number 0.

        Parameters
        ----------
        rate : float
            Sampling rate in Hz.

        Raises
        ------
        InvalidParameterError
            If a bin would hold no sample at this rate.
        """
        rate = check_fs(rate)
        edges = np.floor(np.linspace(-self.before * rate, self.after * rate, self.n_points + 1) + 0.5).astype(np.int64)
        if np.diff(edges).min() < 1:
            raise InvalidParameterError(
                f"n_points={self.n_points} bins over {self.before + self.after:g} s leave bins without samples at "
                f"{rate:g} Hz; use at most {edges[-1] - edges[0]} points, or a longer window."
            )
        return edges


def extract_windows(signal: ArrayLike, positions: ArrayLike, window: Window, *, rate: float) -> NDArray[np.float32]:
    """Cut a window around each position of one signal.

    Parameters
    ----------
    signal : array_like of shape (n_samples,)
        One channel, in any unit; NaN is missing.
    positions : array_like of int, shape (n_windows,)
        Sample indices inside the signal, in any order.
    window : Window
        Length, bins and what is projected out.
    rate : float
        Sampling rate of `signal` in Hz.

    Returns
    -------
    windows : ndarray of float32, shape (n_windows, n_points)
        In the unit of the signal. A bin averages those of its samples that are inside the signal and not NaN; a
        bin without any takes the value of the nearest valid bin towards the centre. A window without a valid bin
        is zero.

    Raises
    ------
    InvalidSignalError
        If `signal` is not 1-D, not numeric or infinite somewhere, or a position lies outside it.
    InvalidParameterError
        If a bin would hold no sample at this rate.

    Notes
    -----
    A window depends on the samples under it only, to the bit, however the signal around it is cut. A signal times
    −1, or times a power of two (short of under- and overflow), has exactly the same windows times that factor.

    Examples
    --------
    >>> extract_windows([0.0, 0.0, 4.0, 2.0], [2], Window(before=1.0, after=1.0, n_points=2), rate=2.0)
    array([[-1.5,  1.5]], dtype=float32)
    """
    from mhealth._kernels._windows import cut_windows

    if np.ndim(signal) != 1:
        raise InvalidSignalError(
            f"signal has shape {np.shape(signal)}; expected (n_samples,). Pass one channel, for example signals[:, 0]."
        )
    samples = np.ascontiguousarray(check_signals(signal, name="signal")[:, 0])
    centres = np.asarray(positions)
    if centres.size == 0:
        centres = centres.astype(np.int64)  # an empty list is an array of floats
    if centres.ndim != 1 or centres.dtype.kind not in "iu":
        raise InvalidSignalError(
            f"positions has shape {centres.shape} and type {centres.dtype}; expected integers of shape (n_windows,)."
        )
    outside = centres[(centres < 0) | (centres >= len(samples))]
    if outside.size:
        raise InvalidSignalError(
            f"position {outside[0]} is outside the signal; expected 0 to {len(samples) - 1}, samples of this signal."
        )
    edges = window.edges(rate=rate)
    centre = int(np.clip(np.searchsorted(edges, 0, side="right") - 1, 0, window.n_points - 1))
    windows = np.empty((len(centres), window.n_points), dtype=np.float32)
    cut_windows(
        samples, np.ascontiguousarray(centres, dtype=np.int64), edges, centre, window.detrend == "linear", windows
    )
    return windows
