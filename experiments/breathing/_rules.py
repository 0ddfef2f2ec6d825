"""Finders of breaths that learn nothing: one that is written here, those of NeuroKit2 where it is installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

__all__ = ["NEUROKIT", "RULE", "Finder", "finders", "moving_average_breaths"]

Finder = Callable[[NDArray[np.float64], float], NDArray[np.int64]]
"""Takes one channel and its rate (Hz), returns the samples at which inspirations end."""

RULE = "moving average"
NEUROKIT = {"NeuroKit2 khodadad2018": "khodadad2018", "NeuroKit2 biosppy": "biosppy"}
"""NeuroKit2's default, and the method of it that finds BIDMC's breaths best."""


def moving_average_breaths(
    signal: NDArray[np.float64],
    fs: float,
    *,
    smoothing: float = 0.25,
    reach: float = 8.0,
    smallest: float = 0.1,
    shortest: float = 0.31,
) -> NDArray[np.int64]:
    """Return where inspirations end: the maximum between an upward and the next downward crossing of the average.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_samples,)
        Without missing samples, rising with inspiration.
    fs : float
        Sampling rate in Hz.
    smoothing : float
        Seconds over which the signal is smoothed.
    reach : float
        Seconds to either side over which the average is taken.
    smallest : float
        A breath that falls by less than this share of the mean fall is none.
    shortest : float
        Seconds from a maximum to the minimum after it below which a breath is none.

    Notes
    -----
    The method of Lu et al. [1]_, with the constants of the code that MD2K's studies used (cerebralcortex, `rip`:
    smoothing over 5 samples at 21.33 Hz, 8 s, 10 %, 0.31 s). Not taken over: its corrections of where a maximum lies.

    References
    ----------
    .. [1] Lu et al. (2006). A semi-automatic method for peak and valley detection in free-breathing respiratory
       waveforms. Medical Physics 33, 3634-3636. https://doi.org/10.1118/1.2348764
    """
    smooth = uniform_filter1d(signal, max(1, round(smoothing * fs)), mode="nearest")
    above = smooth > uniform_filter1d(smooth, 2 * round(reach * fs) + 1, mode="nearest")
    ups, downs = np.flatnonzero(~above[:-1] & above[1:]) + 1, np.flatnonzero(above[:-1] & ~above[1:]) + 1
    peaks, falls = [], []
    for up, next_up in zip(ups, np.append(ups[1:], len(smooth)), strict=False):  # as many as there are ups
        down = downs[(downs > up) & (downs <= next_up)]
        if not len(down):
            continue
        peak = up + int(np.argmax(smooth[up : down[0]]))
        valley = down[0] + int(np.argmin(smooth[down[0] : next_up])) if next_up > down[0] else down[0]
        if valley - peak >= shortest * fs:
            peaks.append(peak)
            falls.append(smooth[peak] - smooth[min(valley, len(smooth) - 1)])
    kept = np.array(falls) >= smallest * np.mean(falls) if falls else np.empty(0, bool)
    return np.array(peaks, dtype=np.int64)[kept]


def _neurokit(method: str) -> Finder:
    """Return NeuroKit2's cleaning and peaks of one method."""

    def find(signal: NDArray[np.float64], fs: float) -> NDArray[np.int64]:
        import neurokit2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cleaned = neurokit2.rsp_clean(signal, sampling_rate=round(fs), method=method)
            found = neurokit2.rsp_findpeaks(cleaned, sampling_rate=round(fs), method=method)
        return np.asarray(found["RSP_Peaks"], dtype=np.int64)

    return find


def finders() -> dict[str, Finder]:
    """Return the finders that can be had here, by name."""
    found: dict[str, Finder] = {RULE: moving_average_breaths}
    if importlib.util.find_spec("neurokit2"):
        found |= {name: _neurokit(method) for name, method in NEUROKIT.items()}
    return found
