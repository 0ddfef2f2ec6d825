"""Which way a breathing signal points: whether inspiration makes it rise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Polarity", "PolarityTracker"]

_BLOCK = 30.0
"""Seconds that are judged at a time: eight breaths at rest, two at 4 a minute."""

_REMEMBERED = 20
"""Blocks that count; ten minutes."""

_PRIOR = math.log(52)
"""Log odds before anything is seen: 52 of the 53 recordings of BIDMC rise with inspiration."""

_WEIGHT = 2.5
"""Log odds that a block's skewness of 1 adds. In each of the 40 BIDMC recordings at hand the skewness over eight
minutes is positive, 0.5 on average with a spread of 0.3, which would give twice as much; blocks of one person are not
independent of each other."""


class Polarity(NamedTuple):
    """Sign of the signal during inspiration (1 rises, −1 falls), and the probability that it is right."""

    sign: int
    certainty: float


class PolarityTracker:
    """Follow the polarity of one channel.

    Lungs rest empty: between breaths the signal stays near its end-expiratory level, and leaves it for the depth of a
    breath. So its distribution leans away from inspiration, and its skewness has the sign of inspiration. Polarity
    changes at the end of a block of 30 s at which the other one has become more likely than not.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz.

    Notes
    -----
    State: sums of one block, and four numbers. Sums run sample by sample, so that chunks do not matter.
    """

    def __init__(self, fs: float) -> None:
        self._left = self._length = max(1, round(_BLOCK * fs))
        self._sums = _nothing()
        self._evidence: list[float] = []
        self.sign = 1

    @property
    def polarity(self) -> Polarity:
        """What the samples so far say."""
        odds = _PRIOR + _WEIGHT * sum(self._evidence)
        return Polarity(self.sign, 1 / (1 + math.exp(-self.sign * min(max(odds, -500.0), 500.0))))

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples; return the sign at each."""
        from mhealth._kernels._breaths import add_powers

        signs = np.empty(len(samples), np.float32)
        start = 0
        while start < len(samples):
            stop = min(len(samples), start + self._left)
            signs[start:stop] = self.sign
            add_powers(samples[start:stop], self._sums)
            self._left -= stop - start
            if self._left == 0:
                self._judge()
            start = stop
        return signs

    def _judge(self) -> None:
        """Weigh the block, and start another."""
        _, count, first, second, third = self._sums
        if count > self._length / 2:
            mean = first / count
            variance = second / count - mean**2
            if variance > 1e-12 * second / count:
                skewness = (third / count - 3 * mean * second / count + 2 * mean**3) / variance**1.5
                self._evidence = [*self._evidence[1 - _REMEMBERED :], min(max(skewness, -1.0), 1.0)]
        odds = _PRIOR + _WEIGHT * sum(self._evidence)
        self.sign = 1 if odds > 0 else -1
        self._left, self._sums = self._length, _nothing()


def _nothing() -> NDArray[np.float64]:
    """Return the sums of `add_powers` before the first sample."""
    return np.array([math.nan, 0.0, 0.0, 0.0, 0.0])
