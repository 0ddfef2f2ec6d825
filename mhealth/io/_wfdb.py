"""WFDB records, read piece by piece through the `wfdb` package.

`wfdb` trusts headers. So the header's text and the sizes of the signal files are checked here first:
a header with an absurd length must fail before anything is allocated, and a gain of 0, which WFDB
defines as "not calibrated, assume 200 a unit", must not pass for millivolts unnoticed. Such records
are real (nine of the 78 QTDB records at hand), so they are read, with a warning and without a unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import RecordingFileError
from mhealth.io._info import Block, RecordingInfo
from mhealth.io._pieces import missing, regroup
from mhealth.io._wfdb_package import wfdb_package

__all__ = ["WfdbSource"]

BYTES_PER_SAMPLE = {
    "8": Fraction(1), "16": Fraction(2), "24": Fraction(3), "32": Fraction(4), "61": Fraction(2), "80": Fraction(1),
    "160": Fraction(2), "212": Fraction(3, 2), "310": Fraction(4, 3), "311": Fraction(4, 3),
}  # fmt: skip
"""Sizes of the uncompressed formats, from signal(5) of the WFDB manual; others (FLAC) have no fixed size."""


@dataclass(frozen=True)
class _Part:
    """A stretch of frames with signal files of its own; `header` is None where nothing was recorded."""

    header: Any
    base: Path
    first: int
    n_frames: int


class WfdbSource:
    """An opened WFDB record, of one or of several segments.

    Parameters
    ----------
    path : Path
        The record, with or without the suffix of its header or signal file.

    Raises
    ------
    RecordingFileError
        If the header is missing, malformed or contradicts its signal files.
    """

    def __init__(self, path: Path) -> None:
        base = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat") else path
        self._header_path = base.with_name(base.name + ".hea")
        if not self._header_path.is_file():
            hint = " It is a signal file; its header must lie beside it." if path.suffix.lower() == ".dat" else ""
            raise RecordingFileError(f"{self._header_path} does not exist.{hint} Check the path of the WFDB record.")
        uncalibrated = _check_header_text(self._header_path)
        header = _read_header(base, self._header_path)
        self._parts = _parts(header, base)
        for part in self._parts:
            if part.header is not None and part.base != base:
                uncalibrated += _check_header_text(part.base.with_name(part.base.name + ".hea"))
        # of several segments the first that exists names the channels; it may be a layout without samples
        self._described: Any = next((part.header for part in self._parts if part.header is not None), None)
        if self._described is None:
            raise RecordingFileError(f"{self._header_path} describes an empty recording: all its segments are null.")
        self._frames_in = [int(n or 1) for n in self._described.samps_per_frame]
        self._frame_rate = float(header.fs)
        self._n_frames = header.sig_len or 0
        if not self._n_frames:
            self._refuse_no_length()
        names = tuple(name or "" for name in self._described.sig_name)
        self.info = RecordingInfo(
            path=self._header_path,
            name=base.name,
            channels=names,
            units=tuple(
                "" if name in uncalibrated else unit or ""
                for name, unit in zip(names, self._described.units, strict=True)
            ),
            rates=tuple(self._frame_rate * n for n in self._frames_in),
            n_samples=self._n_frames * max(self._frames_in),
            start=header.base_datetime,
            uncalibrated=frozenset(uncalibrated),
        )

    def blocks(self, columns: Sequence[int], start: int, stop: int | None, size: int) -> Iterator[Block]:
        """Yield samples of these columns (of one rate); see `Source`."""
        per_frame = self._frames_in[columns[0]]
        end = self._n_frames * per_frame
        stop = end if stop is None else min(stop, end)
        first, last = start // per_frame, -(-stop // per_frame)
        self._check_files(last)
        pieces = self._pieces(list(columns), first, last, max(1, size // per_frame))
        yield from regroup(pieces, start - first * per_frame, stop - first * per_frame, size)

    def _pieces(self, columns: list[int], first: int, last: int, longest: int) -> Iterator[Block]:
        """Yield frames `first` to `last`, at most `longest` at a time."""
        for part in self._parts:
            stop = min(last, part.first + part.n_frames) - part.first
            for begin in range(max(first - part.first, 0), stop, longest):
                end = min(begin + longest, stop)
                if part.header is None:
                    yield from missing((end - begin) * self._frames_in[columns[0]], len(columns))
                else:
                    yield Block(self._read(part, columns, begin, end))

    def _read(self, part: _Part, columns: list[int], begin: int, end: int) -> NDArray[np.float32]:
        """Return frames of a part; channels that a segment lacks are NaN."""
        names = self._described.sig_name
        if part.header.sig_name == names:
            there = {column: column for column in columns}
        else:
            there = {c: part.header.sig_name.index(names[c]) for c in columns if names[c] in part.header.sig_name}
        signals = np.full(((end - begin) * self._frames_in[columns[0]], len(columns)), np.nan, dtype=np.float32)
        if not there:
            return signals
        try:
            record = wfdb_package().rdrecord(
                str(part.base), sampfrom=begin, sampto=end, channels=list(there.values()), smooth_frames=False
            )
            for column, signal in zip(there, record.e_p_signal, strict=True):
                signals[:, columns.index(column)] = signal
        except Exception as error:  # wfdb raises whatever its parsing meets
            raise RecordingFileError(
                f"{part.base}: samples {begin} to {end} cannot be read ({type(error).__name__}: {error}). "
                "Fetch the record again, or choose other channels."
            ) from error
        return signals

    def _files(self, part: _Part) -> dict[Path, tuple[int, Fraction | None]]:
        """Return for every signal file its prologue and the bytes of one frame (None where not fixed)."""
        files: dict[Path, tuple[int, Fraction | None]] = {}
        header = part.header
        for name, fmt, count, prologue in zip(
            header.file_name, header.fmt, header.samps_per_frame, header.byte_offset, strict=True
        ):
            if name == "~":  # a layout header: names of channels without samples
                continue
            path = part.base.parent / name
            sample = BYTES_PER_SAMPLE.get(fmt)
            _, frame = files.get(path, (0, Fraction(0)))
            files[path] = (prologue or 0, None if sample is None or frame is None else frame + sample * (count or 1))
        return files

    def _frames_held(self, path: Path, prologue: int, frame: Fraction | None) -> int:
        """Return the number of frames that a signal file holds, 0 where its format does not tell."""
        return max(0, int((_size(path, self._header_path) - prologue) / frame)) if frame else 0

    def _check_files(self, stop: int) -> None:
        """Refuse signal files that are shorter than what is to be read, before anything is allocated."""
        for part in self._parts:
            if part.header is None:
                continue
            frames = min(stop - part.first, part.n_frames)
            for path, (prologue, frame) in self._files(part).items():
                size = _size(path, self._header_path)
                if frames <= 0 or frame is None or size >= math.floor(prologue + frame * frames):
                    continue
                held = self._frames_held(path, prologue, frame)
                raise RecordingFileError(
                    f"{path} is truncated: its {size} bytes hold {held} samples a channel "
                    f"({held / self._frame_rate:.3f} s), but {self._header_path.name} promises {part.n_frames}. "
                    f"Fetch the file again, or read what is there: "
                    f"stop={(part.first + held) / self._frame_rate:.3f} (--stop on the command line)."
                )

    def _refuse_no_length(self) -> None:
        held = min((self._frames_held(path, *size) for path, size in self._files(self._parts[0]).items()), default=0)
        raise RecordingFileError(
            f"{self._header_path} gives no number of samples; its files hold {held}. "
            "Write the number as the fourth field of the header's first line."
            if held
            else f"{self._header_path} describes an empty recording: it has no samples."
        )


def _parts(header: Any, base: Path) -> list[_Part]:
    """Return the segments of a record, or the record as its only part."""
    if not hasattr(header, "segments"):
        return [_Part(header, base, 0, header.sig_len or 0)]
    firsts = np.cumsum([0, *header.seg_len]).tolist()
    return [
        _Part(segment, base.with_name(name), first, n_frames)
        for segment, name, first, n_frames in zip(
            header.segments, header.seg_name, firsts[:-1], header.seg_len, strict=True
        )
    ]


def _size(path: Path, header: Path) -> int:
    if not path.is_file():
        raise RecordingFileError(f"{header} names the signal file {path.name}, which is not beside it. Fetch {path}.")
    return path.stat().st_size


def _read_header(base: Path, header_path: Path) -> Any:
    try:
        return wfdb_package().rdheader(str(base), rd_segments=True)
    except Exception as error:  # wfdb raises whatever its parsing meets
        raise RecordingFileError(
            f"{header_path} is no readable WFDB header ({type(error).__name__}: {error}). Fetch it again or correct it."
        ) from error


def _check_header_text(path: Path) -> list[str]:
    """Check what `wfdb` would take without asking: counts, rate and gains. Return the uncalibrated channels."""
    lines = [line.strip() for line in path.read_text(encoding="latin-1").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    fields = lines[0].split() if lines else []
    if len(fields) < 2 or not fields[1].isdecimal():
        raise RecordingFileError(
            f"{path} is no WFDB header: its first line is {lines[0][:60]!r}, expected "
            "'<record name> <number of signals> <sampling rate> <number of samples>'."
            if lines
            else f"{path} is no WFDB header: it is empty. Fetch it again."
        )
    n_signals, multi_segment = int(fields[1]), "/" in fields[0]
    rate = _number(re.split(r"[/(]", fields[2])[0]) if len(fields) > 2 else 250.0  # header(5): 250 if missing
    if rate is None or not math.isfinite(rate) or rate <= 0:
        raise RecordingFileError(
            f"{path}: sampling rate {fields[2]!r} must be a positive number of Hz. Correct the header's first line."
        )
    if len(fields) > 3 and not fields[3].isdecimal():
        raise RecordingFileError(
            f"{path}: number of samples {fields[3]!r} must be a whole number. Correct the header's first line."
        )
    if n_signals < 1:
        raise RecordingFileError(f"{path} describes an empty recording: it has no signals.")
    if multi_segment:
        return []
    signals = lines[1 : n_signals + 1]
    if len(signals) < n_signals:
        raise RecordingFileError(
            f"{path} announces {n_signals} signals but describes {len(signals)}. Fetch the header again."
        )
    parts = [line.split(maxsplit=8) for line in signals]
    return [fields[8] if len(fields) > 8 else "" for fields in parts if not _is_calibrated(path, fields)]


def _is_calibrated(path: Path, fields: list[str]) -> bool:
    """Check the gain of one channel, and return whether it has one."""
    if fields[0] == "~":  # a layout header: names of channels without samples
        return True
    text = fields[2] if len(fields) > 2 else "0"
    number, *rest = re.split(r"[(/]", text, maxsplit=1)
    gain, name = _number(number), fields[8] if len(fields) > 8 else ""
    if gain is None or not math.isfinite(gain):
        raise RecordingFileError(
            f"{path}: gain {text!r} of channel {name!r} is no number. Correct the header's line of that channel."
        )
    if gain == 0 and rest:
        raise RecordingFileError(
            f"{path}: channel {name!r} has gain {text!r}: a calibration of 0 steps a unit, by which no sample can be "
            "divided. Correct the header; a plain 0 would mean that the channel is not calibrated."
        )
    return gain != 0


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
