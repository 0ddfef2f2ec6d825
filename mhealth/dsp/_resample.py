"""Change the sampling rate of one lead, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_chunk, check_flush
from mhealth.dsp._rates import ECG_RATES, RateRange
from mhealth.errors import InvalidParameterError

__all__ = ["ResampleStream", "Resampler"]

BETA = 5.65
"""Shape of the Kaiser window: 60 dB in the stop band (Kaiser 1974, β = 0.1102 (A − 8.7))."""

CUTOFF = 0.8
"""Half-amplitude frequency as a share of the lower Nyquist rate.

With 8 zero crossings and 60 dB the transition band is ±0.23 of the Nyquist rate wide: 0.8 stops nearly all that
would alias, and passes what lies below 0.57 (71 Hz at 250 Hz). With 10 it is ±0.18: all that would alias is stopped,
and what lies below 0.62 passes (3.1 Hz at 10 Hz).
"""

MOST_PHASES = 4096
"""Bound on the table of taps; a ratio with a larger denominator is replaced by the nearest that has none."""


@dataclass(frozen=True, kw_only=True)
class Resampler:
    """Band-limited resampling of one lead to a fixed rate.

    Output sample k is the value at k / `rate` seconds of the signal, band-limited below both Nyquist rates: a sinc
    under a Kaiser window [1]_, its taps tabulated for every fraction of a sample that occurs and normalised so that a
    constant stays that constant. The taps are symmetric about the output instant, hence waves do not shift.

    Parameters
    ----------
    rate : float, default=250.0
        Rate of the output in Hz, within `rates`. 250 Hz is what QTDB was recorded at and half of LUDB's rate; the
        pass band then reaches 71 Hz, beyond the energy of P, QRS and T.
    zero_crossings : int, default=8
        Half the support of the interpolator, in zero crossings of its sinc: ±40 ms between 250 and 500 Hz.
    rates : RateRange, default=ECG_RATES
        Rates that input and output may have.

    Notes
    -----
    A signal that has this rate already passes unchanged and without delay. NaN makes NaN every output whose taps touch
    it. The first and the last sample are held beyond the edges. Scaling the input by a power of two, or flipping its
    sign, does the same to the output, to the bit.

    References
    ----------
    .. [1] Smith J. O., Gossett P. (1984). A flexible sampling-rate conversion method. ICASSP 9, 112–115.

    Examples
    --------
    >>> stream = Resampler(rate=250.0).open(fs=500.0)
    >>> len(stream.push([0.0] * 500)) + len(stream.flush())
    250
    """

    rate: float = 250.0
    zero_crossings: int = 8
    rates: RateRange = ECG_RATES

    def __post_init__(self) -> None:
        """Check the rate and the support."""
        self.rates.check(self.rate)
        if isinstance(self.zero_crossings, bool) or not isinstance(self.zero_crossings, int) or self.zero_crossings < 1:
            raise InvalidParameterError(
                f"zero_crossings={self.zero_crossings!r} must be an integer, at least 1; 8 stop most, 10 all aliases."
            )

    def open(self, *, fs: float) -> ResampleStream:
        """Return a stream for one lead sampled at `fs` Hz.

        Raises
        ------
        InvalidParameterError
            If `fs` lies outside `rates`.
        """
        return ResampleStream(self, fs=fs)

    def resample(self, lead: ArrayLike, *, fs: float) -> NDArray[np.float32]:
        """Resample one lead in one go: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            Samples in any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz, within `rates`.

        Returns
        -------
        resampled : ndarray of float32, shape (ceil(n_samples · rate / fs),)
            In the unit of `lead`.
        """
        stream = self.open(fs=fs)
        return np.concatenate([stream.push(lead), stream.flush()])


class ResampleStream:
    """The resampling of one lead, as far as it has come; made by `Resampler.open`.

    Attributes
    ----------
    ratio : Fraction
        Input samples per output sample, exact: positions do not drift however long the recording is. The denominator
        is at most 4096, so for a few odd rates (250.01 Hz) the output runs at fs / `ratio`, less than 0.025 % off.
    delay : float
        Seconds that an output waits for the inputs after it.
    position : int
        Index of the next input sample.

    Notes
    -----
    State: the last 2 · delay seconds of input.
    """

    def __init__(self, resampler: Resampler, *, fs: float) -> None:
        fs = resampler.rates.check(fs)
        self.ratio = (Fraction(fs) / Fraction(resampler.rate)).limit_denominator(MOST_PHASES)
        # An even half-width makes the number of taps a multiple of four, as the kernel wants it.
        self._half = 0 if self.ratio == 1 else 2 * math.ceil(resampler.zero_crossings / _bandwidth(self.ratio) / 2)
        self.delay = self._half / fs
        self.position = 0
        self._produced = 0
        self._held = np.empty(0, dtype=np.float32)  # the inputs up to `position` that outputs to come may need
        self._ended = False

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> NDArray[np.float32]:
        """Take the next samples and return the outputs that they complete.

        Parameters
        ----------
        chunk : array_like of shape (n,)
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        resampled : ndarray of float32, shape (m,)

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk is not one lead of finite or missing samples.
        """
        samples = check_chunk(chunk, n_channels=1, start=start, position=self.position, ended=self._ended)[:, 0]
        if self.position == 0 and len(samples):
            self._held = np.full(self._half, samples[0])
        self.position += len(samples)
        return self._take(samples)

    def flush(self) -> NDArray[np.float32]:
        """End the stream and return the last outputs, the last sample held.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        check_flush(ended=self._ended)
        self._ended = True
        return self._take(np.repeat(self._held[-1:], self._half))

    def to_input(self, output: ArrayLike) -> NDArray[np.int64]:
        """Return the input sample nearest to each output sample, ties to the later one.

        Parameters
        ----------
        output : array_like of int
            Indices of output samples.
        """
        num, den = self.ratio.as_integer_ratio()
        return (2 * np.asarray(output, dtype=np.int64) * num + den) // (2 * den)

    def to_output(self, position: ArrayLike) -> NDArray[np.int64]:
        """Return the output sample nearest to each input sample, ties to the later one.

        Parameters
        ----------
        position : array_like of int
            Indices of input samples.
        """
        num, den = self.ratio.as_integer_ratio()
        return (2 * np.asarray(position, dtype=np.int64) * den + num) // (2 * num)

    def _take(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Append samples, real or held ones, and return what is complete now."""
        if self._half == 0:
            return samples.copy()
        from mhealth._kernels._resample import interpolate

        num, den = self.ratio.as_integer_ratio()
        buffer = np.concatenate([self._held, samples])
        end = self.position + (self._half if self._ended else 0)
        # Output k needs the inputs up to floor(k · num / den) + half.
        complete = max(self._produced, -((self._half - end) * den // num))
        out = np.empty(complete - self._produced, dtype=np.float32)
        interpolate(buffer, end - len(buffer), self._produced, num, den, _taps(self.ratio, self._half), out)
        self._produced = complete
        self._held = buffer[-2 * self._half :].copy()
        return out


def _bandwidth(ratio: Fraction) -> float:
    """Return twice the cutoff, in cycles per input sample, for `ratio` input samples per output sample."""
    return CUTOFF / max(1.0, float(ratio))


@lru_cache(maxsize=16)
def _taps(ratio: Fraction, half: int) -> NDArray[np.float64]:
    """Return the taps for every fraction of an input sample, shape (denominator, 2 · half)."""
    fractions = np.arange(ratio.denominator)[:, None] / ratio.denominator
    distance = np.arange(1 - half, half + 1) - fractions
    window = np.i0(BETA * np.sqrt(1 - (distance / half) ** 2)) * (distance < half)
    taps = window * np.sinc(_bandwidth(ratio) * distance)
    taps /= taps.sum(axis=1, keepdims=True)
    taps.flags.writeable = False
    return taps
