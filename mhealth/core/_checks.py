"""Checks on what users hand in; every message names value, expectation and remedy."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = ["check_channels", "check_fs", "check_signals"]


def check_fs(fs: Any, *, lowest: float = 0.0, highest: float = math.inf) -> float:
    """Return the sampling rate as a float.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz.
    lowest, highest : float
        Range in Hz that the caller can work with, both ends included (0 is never accepted).

    Returns
    -------
    fs : float
        The rate in Hz.

    Raises
    ------
    InvalidParameterError
        If `fs` is no positive, finite number or lies outside the range.
    """
    if not isinstance(fs, numbers.Real) or isinstance(fs, bool) or not math.isfinite(float(fs)) or float(fs) <= 0:
        raise InvalidParameterError(f"fs={fs!r} must be a positive, finite number of Hz.")
    rate = float(fs)
    if not lowest <= rate <= highest:
        raise InvalidParameterError(
            f"fs={rate:g} Hz is outside {lowest:g} to {highest:g} Hz, the rates this stage supports. "
            "Resample the signal (for example with scipy.signal.resample_poly) or check the rate in its header."
        )
    return rate


def check_signals(signals: ArrayLike, *, n_channels: int | None = None, name: str = "signals") -> NDArray[np.float32]:
    """Return signals as float32 of shape (n_samples, n_channels).

    Parameters
    ----------
    signals : array_like of shape (n_samples, n_channels) or (n_samples,)
        Samples in physical units; NaN is missing data. Infinite values are rejected.
    n_channels : int, optional
        The number of channels that is expected.
    name : str
        How messages call the array.

    Returns
    -------
    signals : ndarray of float32, shape (n_samples, n_channels)
        A view where nothing had to change.

    Raises
    ------
    InvalidSignalError
        If the array is not numeric, not 1-D or 2-D, has another number of channels or holds infinities.
    """
    try:
        array = np.asarray(signals)
        if array.dtype.kind not in "fiub":
            raise TypeError(array.dtype)
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidSignalError(
            f"{name} is not numeric ({error}); expected real numbers in physical units."
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InvalidSignalError(
            f"{name} has shape {array.shape}; expected (n_samples, n_channels), or (n_samples,) for one channel."
        )
    if n_channels is not None and array.shape[1] != n_channels:
        raise InvalidSignalError(
            f"{name} has {array.shape[1]} channels; expected {n_channels}. "
            "Samples run along axis 0, channels along axis 1."
        )
    if np.isinf(array).any():
        row, column = (int(k[0]) for k in np.nonzero(np.isinf(array)))
        raise InvalidSignalError(
            f"{name} is infinite (or too large for float32) at sample {row}, channel {column}. "
            "Mark missing samples with NaN."
        )
    return array


def check_channels(channels: Sequence[str], n_channels: int) -> tuple[str, ...]:
    """Return channel names as a tuple of the expected length.

    Parameters
    ----------
    channels : sequence of str
        One name a channel.
    n_channels : int
        The number of channels that is expected.

    Returns
    -------
    channels : tuple of str

    Raises
    ------
    InvalidSignalError
        If their number differs from `n_channels`, or one is no string.
    """
    if isinstance(channels, str):
        raise InvalidSignalError(
            f"channels={channels!r} is one string; expected a sequence of names, for example ({channels!r},)."
        )
    names = tuple(channels)
    if len(names) != n_channels or not all(isinstance(name, str) for name in names):
        raise InvalidSignalError(
            f"channels={names!r}; expected {n_channels} strings, one for each column of the signals."
        )
    return names
