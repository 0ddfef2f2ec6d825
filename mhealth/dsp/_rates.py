"""Sampling rates at which a kind of signal still shows what is to be labelled."""

from __future__ import annotations

from dataclasses import dataclass

from mhealth.core import check_fs

__all__ = ["BREATH_RATES", "ECG_RATES", "HIGHEST_RATE", "LOWEST_RATE", "RateRange"]


@dataclass(frozen=True)
class RateRange:
    """Sampling rates that a stage supports.

    Parameters
    ----------
    lowest, highest : float
        In Hz, both included.

    Examples
    --------
    >>> ECG_RATES.check(250)
    250.0
    """

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        """Check the ends."""
        check_fs(self.lowest, highest=check_fs(self.highest))

    def check(self, fs: float) -> float:
        """Return a sampling rate as a float.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz.

        Raises
        ------
        InvalidParameterError
            If `fs` is no positive, finite number or lies outside the range.
        """
        return check_fs(fs, lowest=self.lowest, highest=self.highest)


ECG_RATES = RateRange(100.0, 2000.0)
"""An ECG below 100 Hz has lost the edges of its waves."""

BREATH_RATES = RateRange(10.0, 1000.0)
"""Respiration below 10 Hz folds heartbeats among its breaths, and tells the end of an inspiration to 0.1 s at best."""

LOWEST_RATE, HIGHEST_RATE = ECG_RATES.lowest, ECG_RATES.highest
"""The ends of `ECG_RATES` in Hz."""
