"""What a recording file says about itself, and how channels are picked by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Gap, check_fs
from mhealth.errors import InvalidParameterError, InvalidSignalError, RecordingFileError

__all__ = ["Block", "RecordingInfo", "Source", "pick_columns", "with_rate", "with_units"]


@dataclass(frozen=True, kw_only=True)
class RecordingInfo:
    """The header of a recording: everything but its samples.

    Parameters
    ----------
    path : Path
        The file (WFDB: the header).
    name : str
        Name of the record, used to name result files.
    channels, units : tuple of str
        Name and physical unit (``""`` where unknown) of each channel.
    rates : tuple of float
        Sampling rate of each channel in Hz.
    n_samples : int or None
        Samples of the fastest channel; None where only reading the whole file would tell (text tables).
    start : datetime or None
        Wall-clock time of sample 0.
    uncalibrated : frozenset of str
        Channels whose unit is arbitrary because the file gives no gain.
    """

    path: Path
    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rates: tuple[float, ...]
    n_samples: int | None
    start: datetime | None = None
    uncalibrated: frozenset[str] = frozenset()

    @property
    def fs(self) -> float:
        """The sampling rate in Hz that all channels share.

        Raises
        ------
        RecordingFileError
            If the channels have several rates.
        """
        self.check_one_rate()
        return self.rates[0]

    def check_one_rate(self) -> None:
        """Raise RecordingFileError if the channels have several sampling rates."""
        if len(set(self.rates)) > 1:
            listed = ", ".join(f"{c} at {r:g} Hz" for c, r in zip(self.channels, self.rates, strict=True))
            raise RecordingFileError(
                f"{self.path} holds channels of several sampling rates: {listed}. "
                "Choose channels of one rate with channels=[...] (--channels on the command line)."
            )

    @property
    def duration(self) -> float | None:
        """Length in seconds, None where only reading the whole file would tell."""
        return None if self.n_samples is None else self.n_samples / max(self.rates)

    def pick(self, columns: Sequence[int]) -> RecordingInfo:
        """Return the header of these channels, in this order."""
        rates = tuple(self.rates[k] for k in columns)
        n_samples = self.n_samples
        if n_samples is not None:
            n_samples = round(n_samples * max(rates) / max(self.rates))
        return replace(
            self,
            channels=tuple(self.channels[k] for k in columns),
            units=tuple(self.units[k] for k in columns),
            rates=rates,
            n_samples=n_samples,
        )


@dataclass(frozen=True)
class Block:
    """Consecutive samples, float32 of shape (n, n_channels), and the ranges in them that were not recorded."""

    signals: NDArray[np.float32]
    gaps: tuple[Gap, ...] = ()


class Source(Protocol):
    """An opened recording file of any format."""

    info: RecordingInfo

    def blocks(self, columns: Sequence[int], start: int, stop: int | None, size: int) -> Iterator[Block]:
        """Yield samples `start` to `stop` (None: the end) of these columns in blocks of at most `size`.

        The columns share one rate, at which `start`, `stop` and `size` count. Memory is bounded by `size`.
        """
        ...


def pick_columns(info: RecordingInfo, channels: Sequence[str | int] | None) -> list[int]:
    """Return the columns that `channels` asks for.

    Parameters
    ----------
    info : RecordingInfo
        Header of the recording.
    channels : sequence of str or int, optional
        Names (exact match first, then regardless of case) or positions from 0, also as text; None: all channels.

    Returns
    -------
    columns : list of int
        One position a wanted channel.

    Raises
    ------
    InvalidParameterError
        If a channel does not exist, is asked for twice, or its name is not unique.
    """
    if channels is None:
        return list(range(len(info.channels)))
    if isinstance(channels, str | int):
        channels = [channels]
    columns = [_column(info, wanted) for wanted in channels]
    if not columns or len(set(columns)) < len(columns):
        raise InvalidParameterError(
            f"channels={list(channels)!r} must name at least one channel of {info.path}, and each only once."
        )
    return columns


def _column(info: RecordingInfo, wanted: str | int) -> int:
    """Return the position of one channel."""
    there = ", ".join(f"{k}: {name!r}" for k, name in enumerate(info.channels))
    text = str(wanted).strip()
    for names, sought in ((info.channels, text), ([c.strip().lower() for c in info.channels], text.lower())):
        found = [k for k, name in enumerate(names) if name == sought]
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidParameterError(
                f"channel {wanted!r} is not unique in {info.path}; ask for it by position. It holds {there}."
            )
    if text.isdecimal() and int(text) < len(info.channels):
        return int(text)
    raise InvalidParameterError(f"{info.path} has no channel {wanted!r}; it holds {there}.")


def with_rate(info: RecordingInfo, fs: float | None) -> RecordingInfo:
    """Return the header with the rate that the user states instead of the one that its channels share."""
    if fs is None:
        return info
    info.check_one_rate()
    return replace(info, rates=(check_fs(fs),) * len(info.rates))


def with_units(info: RecordingInfo, units: str | Sequence[str] | None) -> RecordingInfo:
    """Return the header with the units that the user states instead of the file's own."""
    if units is None:
        return info
    stated = (units,) * len(info.channels) if isinstance(units, str) else tuple(units)
    if len(stated) != len(info.channels):
        raise InvalidSignalError(
            f"units={stated!r} for the {len(info.channels)} channels {info.channels} of {info.path}: "
            "state one for all, or one for each."
        )
    return replace(info, units=stated)
