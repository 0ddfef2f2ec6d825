"""Open, read whole, or read piece by piece: one way for every file format."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from mhealth.core import Gap, Recording
from mhealth.errors import InvalidParameterError, MHealthError, RecordingFileError
from mhealth.io._edf import EdfSource
from mhealth.io._info import Block, RecordingInfo, Source, pick_columns, with_rate, with_units
from mhealth.io._pieces import join_gaps
from mhealth.io._table import CsvTable, ParquetTable, TableSource
from mhealth.io._wfdb import WfdbSource

__all__ = ["blocks", "open_recording", "read_recording"]

READ_AT_ONCE = 60.0
"""Seconds that `read_recording` asks a file for at a time, so that decoding needs little beside the result."""


def open_recording(
    path: Path | str,
    *,
    channels: Sequence[str | int] | None = None,
    fs: float | None = None,
    units: str | Sequence[str] | None = None,
) -> RecordingInfo:
    """Read the header of a recording, but no samples.

    Parameters
    ----------
    path, channels, fs, units
        As for `read_recording`.

    Returns
    -------
    info : RecordingInfo
        Header of the chosen channels.

    Raises
    ------
    RecordingFileError, InvalidParameterError, MissingExtraError
        As `read_recording`.
    """
    return _open(path, channels, fs, units).info


def read_recording(
    path: Path | str,
    *,
    channels: Sequence[str | int] | None = None,
    fs: float | None = None,
    units: str | Sequence[str] | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> Recording:
    """Read a recording, or a part of it.

    Parameters
    ----------
    path : path-like
        WFDB record (with or without the suffix ``.hea`` or ``.dat``), EDF or EDF+ (``.edf``), CSV (``.csv``,
        ``.csv.gz``) or Parquet (``.parquet``).
    channels : sequence of str or int, optional
        Names, regardless of case, or positions; default: all.
    fs : float, optional
        Sampling rate in Hz, instead of what the file says. Tables without a time column need it.
    units : str or sequence of str, optional
        Physical unit, one for all channels or one for each of the chosen ones, instead of what the file says.
        Samples are not converted.
    start, stop : float
        Seconds from the start of the file; `stop` past the end means the end.

    Returns
    -------
    recording : Recording
        Samples in physical units, NaN where none were recorded.

    Raises
    ------
    RecordingFileError
        If the file is missing, truncated, malformed or empty.
    InvalidParameterError
        If a channel does not exist, or `start` and `stop` are no range within the recording.
    MissingExtraError
        If the format needs a package that is not installed.

    Warns
    -----
    UserWarning
        If a WFDB channel is not calibrated (gain 0; read as 200 steps a unit, as WFDB defines) and `units` is not
        given.
    """
    parts = list(blocks(path, READ_AT_ONCE, channels=channels, fs=fs, units=units, start=start, stop=stop))
    gaps, position = [], 0
    for part in parts:
        gaps += [Gap(a + position, b + position) for a, b in part.gaps]
        position += part.n_samples
    head = parts[0]
    return Recording(
        signals=np.concatenate([part.signals for part in parts]),
        fs=head.fs,
        channels=head.channels,
        units=head.units,
        start=head.start,
        gaps=join_gaps(gaps),
        name=head.name,
    )


def blocks(
    path: Path | str,
    seconds: float = 60.0,
    *,
    channels: Sequence[str | int] | None = None,
    fs: float | None = None,
    units: str | Sequence[str] | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> Iterator[Recording]:
    """Read a recording piece by piece, in memory bounded by the length of a piece.

    Parameters
    ----------
    seconds : float
        Length of a piece; the last may be shorter. One minute costs about 1 MB a channel and keeps overheads small.
    path, channels, fs, units, start, stop
        As for `read_recording`.

    Yields
    ------
    recording : Recording
        Consecutive pieces; `start` is the time of the piece, and gaps count from its first sample.

    Raises
    ------
    RecordingFileError, InvalidParameterError, MissingExtraError
        As `read_recording`; what the header shows is raised by the call itself, not by the first piece.
    """
    opened = _open(path, channels, fs, units)
    rate, end = opened.info.fs, opened.info.n_samples
    if not seconds > 0:
        raise InvalidParameterError(f"seconds={seconds!r} must be a positive length of the pieces.")
    first, last = round(start * rate), None if stop is None else round(stop * rate)
    past_end = end is not None and first >= end
    if first < 0 or past_end or (last is not None and last <= first):
        length = "" if end is None else f"; {opened.info.path} is {end / rate:g} s long"
        raise InvalidParameterError(
            f"start={start:g} s and stop={stop} s must be a range within the recording{length}."
        )
    return opened.blocks(first, last, max(1, round(seconds * rate)))


@dataclass(frozen=True)
class _Opened:
    """A source together with the channels, rate and units that the user wants."""

    source: Source
    columns: list[int]
    info: RecordingInfo

    def blocks(self, start: int, stop: int | None, size: int) -> Iterator[Recording]:
        position = start
        for block in self.source.blocks(self.columns, start, stop, size):
            yield self._recording(block, position)
            position += len(block.signals)
        if position == start:
            raise RecordingFileError(f"{self.info.path} has no samples from {start / self.info.fs:g} s on.")

    def _recording(self, block: Block, position: int) -> Recording:
        info = self.info
        return Recording(
            signals=block.signals,
            fs=info.fs,
            channels=info.channels,
            units=info.units,
            start=None if info.start is None else info.start + timedelta(seconds=position / info.fs),
            gaps=block.gaps,
            name=info.name,
        )


def _open(
    path: Path | str,
    channels: Sequence[str | int] | None,
    fs: float | None,
    units: str | Sequence[str] | None,
) -> _Opened:
    try:
        source = _source(Path(path), fs)
    except OSError as error:
        if isinstance(error, MHealthError):
            raise
        raise RecordingFileError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from error
    columns = pick_columns(source.info, channels)
    info = with_units(with_rate(source.info.pick(columns), fs), units)
    unstated = [] if units else [name for name in info.channels if name in info.uncalibrated]
    if unstated:
        warnings.warn(
            f"{info.path}: {', '.join(unstated)} not calibrated (gain 0); read as 200 steps a unit, WFDB's default. "
            "State the unit with units='mV' (--units mV on the command line) if that is what it is.",
            stacklevel=3,
        )
    return _Opened(source, columns, info)


def _source(path: Path, fs: float | None) -> Source:
    """Open the file with the reader of its format."""
    name = path.name.lower()
    if name.endswith((".hea", ".dat")) or path.with_name(path.name + ".hea").is_file():
        return WfdbSource(path)
    if not name.endswith((".edf", ".csv", ".csv.gz", ".parquet")):
        known = "WFDB (a .hea header), EDF or EDF+ (.edf), CSV (.csv, .csv.gz) and Parquet (.parquet)"
        if path.exists():
            kind = (
                "is a folder; name one recording in it" if path.is_dir() else "has none of the formats that can be read"
            )
            raise RecordingFileError(f"{path} {kind}: {known}.")
        raise RecordingFileError(f"{path} does not exist, nor does the WFDB header {path.name}.hea. Formats: {known}.")
    if not path.is_file():
        raise RecordingFileError(f"{path} does not exist. Check the path.")
    if name.endswith(".edf"):
        return EdfSource(path)
    return TableSource(ParquetTable(path) if name.endswith(".parquet") else CsvTable(path), fs=fs)
