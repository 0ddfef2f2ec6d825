"""A recording: several channels on one clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core._channels import channel_keys
from mhealth.core._checks import check_channels, check_fs, check_signals
from mhealth.errors import InvalidSignalError

__all__ = ["Gap", "Recording"]


class Gap(NamedTuple):
    """Half-open range of samples that were not recorded (NaN in every channel)."""

    start: int
    stop: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """Simultaneous signals in physical units.

    Parameters
    ----------
    signals : array_like of shape (n_samples, n_channels)
        Kept as float32. NaN is missing data, never zero.
    fs : float
        Sampling rate in Hz.
    channels : sequence of str
        One name a column, as the recording gives it. Names may repeat; see `keys`.
    units : sequence of str
        Physical unit of each column, ``""`` where unknown.
    start : datetime, optional
        Wall-clock time of sample 0.
    subject : str, optional
        Who was recorded; recordings of one subject stay on one side of any split.
    gaps : sequence of Gap
        Sample ranges that are NaN in every channel, so that index / fs is always time.
    name : str
        Name of the record, used to name result files.

    Raises
    ------
    InvalidSignalError, InvalidParameterError
        If shapes, names, rate or gaps contradict each other.
    """

    signals: NDArray[np.float32]
    fs: float
    channels: tuple[str, ...]
    units: tuple[str, ...] = ()
    start: datetime | None = None
    subject: str | None = None
    gaps: tuple[Gap, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Check and freeze what was handed in."""
        signals = check_signals(self.signals)
        units = tuple(self.units) or ("",) * signals.shape[1]
        if len(units) != signals.shape[1]:
            raise InvalidSignalError(
                f"units={units!r}; expected {signals.shape[1]}, one for each column of the signals."
            )
        gaps = tuple(Gap(int(a), int(b)) for a, b in self.gaps)
        if any(not 0 <= a < b <= len(signals) for a, b in gaps):
            raise InvalidSignalError(f"gaps={gaps!r} must be half-open ranges inside the {len(signals)} samples.")
        object.__setattr__(self, "signals", signals)
        object.__setattr__(self, "fs", check_fs(self.fs))
        object.__setattr__(self, "channels", check_channels(self.channels, signals.shape[1]))
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "gaps", gaps)

    @property
    def n_samples(self) -> int:
        """Number of samples a channel."""
        return len(self.signals)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.signals) / self.fs

    @property
    def keys(self) -> tuple[str, ...]:
        """Channel names where they are unique, else positions ``"0"``, ``"1"``, … for all that share a name."""
        return channel_keys(self.channels)

    def pick(self, columns: list[int]) -> Recording:
        """Return the recording with only these columns, in this order."""
        keys = self.keys
        return replace(
            self,
            signals=self.signals[:, columns],
            channels=tuple(keys[k] for k in columns),
            units=tuple(self.units[k] for k in columns),
        )

    def slice(self, start: int, stop: int) -> Recording:
        """Return samples `start` to `stop` (half-open) as a recording of its own."""
        start, stop = max(0, start), min(self.n_samples, stop)
        gaps = [Gap(max(a, start) - start, min(b, stop) - start) for a, b in self.gaps if a < stop and b > start]
        return replace(self, signals=self.signals[start:stop], gaps=tuple(gaps))
