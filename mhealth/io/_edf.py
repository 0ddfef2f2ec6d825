"""EDF and EDF+, read through `edfio`; gaps of discontinuous files are filled with NaN."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import MissingExtraError, RecordingFileError
from mhealth.io._info import Block, RecordingInfo
from mhealth.io._pieces import LONGEST_GAP, missing, regroup

__all__ = ["EdfSource"]

_PIECE = 60.0
"""Seconds read at a time."""


class EdfSource:
    """An opened EDF or EDF+ file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    RecordingFileError
        If the file is missing, truncated or malformed.
    MissingExtraError
        If `edfio` is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._edf = _read_edf(path)
        for signal in self._edf.signals:
            if signal.digital_min >= signal.digital_max or signal.physical_min == signal.physical_max:
                raise RecordingFileError(
                    f"{path}: channel {signal.label!r} has the physical range {tuple(signal.physical_range)} for the "
                    f"digital range {tuple(signal.digital_range)}, which gives no calibration. Correct the header."
                )
        self._record_seconds = float(self._edf.data_record_duration)
        self._onsets = self._record_onsets()
        signals = self._edf.signals
        rates = tuple(float(signal.sampling_frequency) for signal in signals)
        self.info = RecordingInfo(
            path=path,
            name=path.stem,
            channels=tuple(signal.label for signal in signals),
            units=tuple(signal.physical_dimension for signal in signals),
            rates=rates,
            n_samples=round((self._onsets[-1] + self._record_seconds) * max(rates)),
            start=_start_of(self._edf),
        )

    def blocks(self, columns: Sequence[int], start: int, stop: int | None, size: int) -> Iterator[Block]:
        """Yield samples of these columns (of one rate); see `Source`."""
        rate = self.info.rates[columns[0]]
        first = max(0, int(np.searchsorted(self._onsets, start / rate, side="right")) - 1)
        skipped = round(self._onsets[first] * rate)
        yield from regroup(
            self._pieces(list(columns), first, rate), start - skipped, None if stop is None else stop - skipped, size
        )

    def _pieces(self, columns: list[int], first: int, rate: float) -> Iterator[Block]:
        """Yield what the data records hold from record `first` on, and the gaps between them."""
        position = round(self._onsets[first] * rate)
        per_piece = max(1, int(_PIECE / self._record_seconds))
        for begin, end in self._runs(first, per_piece):
            lost = round(self._onsets[begin] * rate) - position
            yield from missing(lost, len(columns))
            signals = [
                self._edf.signals[k].get_data_slice(begin * self._record_seconds, end * self._record_seconds)
                for k in columns
            ]
            piece = np.stack(signals, axis=1).astype(np.float32)
            position += lost + len(piece)
            yield Block(piece)

    def _runs(self, first: int, longest: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of at most `longest` data records that follow each other without a gap."""
        jumps = np.flatnonzero(np.diff(self._onsets) - self._record_seconds > 1e-6) + 1
        bounds = [first, *jumps[jumps > first].tolist(), len(self._onsets)]
        for start, stop in itertools.pairwise(bounds):
            for begin in range(start, stop, longest):
                yield begin, min(begin + longest, stop)

    def _record_onsets(self) -> NDArray[np.float64]:
        """Return when each data record starts, in seconds from the first."""
        n_records = self._edf.num_data_records
        if not self._edf.reserved.startswith("EDF+D"):
            return np.arange(n_records) * self._record_seconds
        onsets = _timekeeping(self._path, n_records)
        steps = np.diff(onsets)
        if (steps < self._record_seconds - 1e-6).any() or (steps > LONGEST_GAP).any():
            k = int(np.flatnonzero((steps < self._record_seconds - 1e-6) | (steps > LONGEST_GAP))[0])
            raise RecordingFileError(
                f"{self._path}: data record {k + 2} starts at {onsets[k + 1]:g} s, after one of "
                f"{self._record_seconds:g} s at {onsets[k]:g} s. Records must follow each other in time, "
                f"with gaps of at most {LONGEST_GAP / 86400:g} days."
            )
        return onsets - onsets[0]


def _read_edf(path: Path) -> Any:
    """Open the file lazily; what `edfio` would repair with a warning is an error here."""
    try:
        import edfio
    except ImportError as error:
        raise MissingExtraError(f"Reading {path} needs edfio: pip install 'mhealth[edf]'.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            edf = edfio.read_edf(path, lazy_load_data=True, header_encoding="latin-1")
            empty = edf.num_data_records < 1 or not edf.signals or not edf.data_record_duration > 0
    except Exception as error:  # edfio raises whatever its parsing meets
        raise RecordingFileError(
            f"{path} is truncated or no EDF file ({type(error).__name__}: {error}). Fetch it again."
        ) from error
    if empty:
        raise RecordingFileError(f"{path} is an empty recording: it has no signals or no data records.")
    return edf


def _start_of(edf: Any) -> datetime | None:
    try:
        return edf.startdatetime
    except ValueError:  # anonymised files carry no date
        return None


def _timekeeping(path: Path, n_records: int) -> NDArray[np.float64]:
    """Return the onset in seconds that each data record of an EDF+ file states.

    `edfio` keeps these marks to itself. They open the first signal called "EDF Annotations" in each data record:
    https://www.edfplus.info/specs/edfplus.html#timekeeping.
    """
    with open(path, "rb") as file:
        n_signals = int(file.read(256)[252:256])
        header = file.read(256 * n_signals)
    labels = [header[16 * k : 16 * k + 16].strip() for k in range(n_signals)]
    if b"EDF Annotations" not in labels:
        raise RecordingFileError(
            f"{path} calls itself discontinuous (EDF+D) but has no 'EDF Annotations' to tell when."
        )
    sizes = [2 * int(header[216 * n_signals + 8 * k : 216 * n_signals + 8 * k + 8]) for k in range(n_signals)]
    column = labels.index(b"EDF Annotations")
    records = np.memmap(path, np.uint8, "r", 256 * (n_signals + 1), (n_records, sum(sizes)))
    begin = sum(sizes[:column])
    onsets = np.empty(n_records)
    for k, record in enumerate(records[:, begin : begin + sizes[column]]):
        stated = re.match(rb"([+-]\d+(?:\.\d*)?)\x14", record.tobytes())
        if stated is None:
            raise RecordingFileError(
                f"{path}: data record {k + 1} of a discontinuous EDF+ file does not state its time."
            )
        onsets[k] = float(stated[1])
    return onsets
