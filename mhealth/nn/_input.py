"""What a network sees of a lead: without its baseline, and relative to how large its waves are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_chunk, check_flush
from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = ["NetworkInput", "NetworkInputStream"]


@dataclass(frozen=True, kw_only=True)
class NetworkInput:
    """Turn one lead without missing samples into a network's inputs, sample by sample.

    Three numbers a sample: the lead behind a high-pass filter, its slope, both compressed as x / (|x| + knee · scale)
    by the running scale of the lead, and 1. Neither gain nor offset of the lead matters, and an artefact counts for no
    more than 1. The third number tells samples from what lies beyond the ends of the lead, where all three are 0.

    Parameters
    ----------
    cutoff : float, default=0.5
        Of the first-order high-pass filter, in Hz: what AHA [1]_ allows monitors, and below the slowest heart's waves.
    knee, slope_knee : float
        Parts of the running scale at which the compressed lead, and its change in 8 ms, are half way.
    scale : RunningScale
        How large the waves are at present.

    Notes
    -----
    Inputs are complete `scale.ahead` seconds after their sample; at the start of a lead `scale.window` seconds after
    the first. State: the filter's, the scale's, and the samples between.

    References
    ----------
    .. [1] Kligfield et al. (2007). Recommendations for the standardization and interpretation of the
       electrocardiogram, part I. Circulation 115, 1306-1324. https://doi.org/10.1161/CIRCULATIONAHA.106.180200
    """

    cutoff: float = 0.5
    knee: float = 0.1
    slope_knee: float = 0.04
    scale: RunningScale = field(default_factory=RunningScale)

    N_INPUTS: ClassVar[int] = 3

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("cutoff", "knee", "slope_knee"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidParameterError(f"{name}={value!r} must be a positive, finite number.")

    def open(self, *, fs: float) -> NetworkInputStream:
        """Return a stream at the start of a lead sampled at `fs` Hz."""
        return NetworkInputStream(self, fs=fs)

    def prepare(self, lead: ArrayLike, *, fs: float) -> NDArray[np.float32]:
        """Return the inputs of a whole lead, shape (n_samples, 3): open, push, flush."""
        stream = self.open(fs=fs)
        return np.concatenate([stream.push(lead), stream.flush()])


class NetworkInputStream:
    """A network's inputs, as far as they are complete; made by `NetworkInput.open`."""

    def __init__(self, settings: NetworkInput, *, fs: float) -> None:
        self._settings = settings
        self._scale = settings.scale.open(fs=fs)
        pole = math.exp(-2 * math.pi * settings.cutoff / fs)
        gain = (1 + pole) / 2
        step = max(1, round(0.008 * fs))
        self._high_pass = ([gain, -gain], [1.0, -pole])
        self._slope = ([1.0, *[0.0] * (step - 1), -1.0], [1.0])
        self._states = (np.zeros(1), np.zeros(step))
        self._first: float | None = None
        self._filtered = np.empty((0, 2))
        self.position = 0
        self._ended = False

    def push(self, chunk: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples, shape (n,), in any unit; return the inputs that are complete now, shape (m, 3).

        Raises
        ------
        InvalidSignalError
            If a sample is missing.
        """
        from scipy.signal import lfilter

        lead = check_chunk(chunk, n_channels=1, start=None, position=self.position, ended=self._ended)[:, 0]
        if np.isnan(lead).any():
            raise InvalidSignalError("lead has missing samples; open a stream for each stretch without.")
        self.position += len(lead)
        if len(lead):
            samples = lead.astype(np.float64)
            if self._first is None:
                self._first = float(samples[0])
            samples -= self._first
            parts = []
            filters = (self._high_pass, self._slope)
            states = []
            for (b, a), state in zip(filters, self._states, strict=True):
                filtered, state = lfilter(b, a, samples, zi=state)
                parts.append(filtered)
                states.append(state)
            self._states = (states[0], states[1])
            self._filtered = np.concatenate([self._filtered, np.stack(parts, axis=1)])
        return self._take(self._scale.push(lead).scale)

    def flush(self) -> NDArray[np.float32]:
        """End the lead; return the inputs of its last samples."""
        check_flush(ended=self._ended)
        self._ended = True
        return self._take(self._scale.flush().scale)

    def _take(self, scale: NDArray[np.float64]) -> NDArray[np.float32]:
        """Compress the samples of which the scale is known."""
        n = len(scale)
        filtered, self._filtered = self._filtered[:n], self._filtered[n:]
        knees = np.array([self._settings.knee, self._settings.slope_knee])
        bound = np.abs(filtered) + knees * scale[:, None]
        inputs = np.ones((n, 3), np.float32)
        inputs[:, :2] = np.divide(filtered, bound, out=np.zeros_like(filtered), where=bound > 0)
        return inputs
