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
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mhealth.core import Gap
from mhealth.errors import RecordingFileError
from mhealth.io._info import Block, RecordingInfo
from mhealth.io._wfdb_package import wfdb_package

__all__ = ["WfdbSource"]

BYTES_PER_SAMPLE = {
    "8": Fraction(1), "16": Fraction(2), "24": Fraction(3), "32": Fraction(4), "61": Fraction(2), "80": Fraction(1),
    "160": Fraction(2), "212": Fraction(3, 2), "310": Fraction(4, 3), "311": Fraction(4, 3),
}  # fmt: skip
"""Sizes of the uncompressed formats, from signal(5) of the WFDB manual; others (FLAC) have no fixed size."""


class WfdbSource:
    """An opened WFDB record.

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
        self._base = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat") else path
        self._header_path = self._base.with_name(self._base.name + ".hea")
        if not self._header_path.is_file():
            hint = " It is a signal file; its header must lie beside it." if path.suffix.lower() == ".dat" else ""
            raise RecordingFileError(f"{self._header_path} does not exist.{hint} Check the path of the WFDB record.")
        uncalibrated = _check_header_text(self._header_path)
        self._header = _read_header(self._base, self._header_path)
        self._segments = list(getattr(self._header, "segments", None) or ())  # None: a null segment
        for segment in self._segments:
            if segment is not None:
                uncalibrated += _check_header_text(self._base.with_name(f"{segment.record_name}.hea"))
        self._frames_in = _samples_per_frame(self._header, self._segments)
        self._frame_rate = float(self._header.fs)
        self.info = self._describe(set(uncalibrated))

    def blocks(self, columns: Sequence[int], start: int, stop: int | None, size: int) -> Iterator[Block]:
        """Yield samples of these columns (of one rate); see `Source`."""
        per_frame = self._frames_in[columns[0]]
        end = self._n_frames * per_frame
        stop = end if stop is None else min(stop, end)
        self._check_files(-(-stop // per_frame))
        for first in range(start, stop, size):
            last = min(first + size, stop)
            signals = self._read(list(columns), first // per_frame, -(-last // per_frame))
            skipped = first - first // per_frame * per_frame
            yield Block(signals[skipped : skipped + last - first], self._gaps(first, last, per_frame))

    def _describe(self, uncalibrated: set[str]) -> RecordingInfo:
        header, frames_in = self._header, self._frames_in
        if self._segments:
            names, units = header.get_sig_name(), header.get_sig_units()
        else:
            names, units = header.sig_name, header.units
        self._n_frames = header.sig_len if header.sig_len else self._frames_in_files()
        if self._n_frames < 1:
            raise RecordingFileError(f"{self._header_path} describes an empty recording: it has no samples.")
        return RecordingInfo(
            path=self._header_path,
            name=self._base.name,
            channels=tuple(name or "" for name in names),
            units=tuple("" if name in uncalibrated else unit or "" for name, unit in zip(names, units, strict=True)),
            rates=tuple(self._frame_rate * n for n in frames_in),
            n_samples=self._n_frames * max(frames_in),
            start=header.base_datetime,
            uncalibrated=frozenset(uncalibrated),
        )

    def _read(self, columns: list[int], first: int, last: int) -> np.ndarray:
        try:
            record = wfdb_package().rdrecord(
                str(self._base), sampfrom=first, sampto=last, channels=columns, physical=True, smooth_frames=False
            )
        except Exception as error:  # wfdb raises whatever its parsing meets
            raise RecordingFileError(
                f"{self._base}: samples {first} to {last} cannot be read ({type(error).__name__}: {error}). "
                "Fetch the record again, or choose other channels."
            ) from error
        return np.stack([np.asarray(signal, dtype=np.float32) for signal in record.e_p_signal], axis=1)

    def _gaps(self, first: int, last: int, per_frame: int) -> tuple[Gap, ...]:
        """Return the null segments of a multi-segment record inside samples first to last, counted from first."""
        gaps, frame = [], 0
        for segment, length in zip(self._segments, getattr(self._header, "seg_len", ()), strict=True):
            start, stop = max(first, frame * per_frame), min(last, (frame + length) * per_frame)
            if segment is None and start < stop:
                gaps.append(Gap(start - first, stop - first))
            frame += length
        return tuple(gaps)

    def _parts(self) -> list[tuple[Any, int]]:
        """Return (header, first frame) of every piece that has signal files."""
        if not self._segments:
            return [(self._header, 0)]
        firsts = np.cumsum([0, *self._header.seg_len[:-1]])
        return [(part, int(first)) for part, first in zip(self._segments, firsts, strict=True) if part is not None]

    def _files(self, part: Any) -> dict[Path, tuple[int, Fraction | None]]:
        """Return for every signal file its prologue and the bytes of one frame (None where not fixed)."""
        files: dict[Path, tuple[int, Fraction | None]] = {}
        for name, fmt, count, prologue in zip(
            part.file_name or (), part.fmt or (), part.samps_per_frame or (), part.byte_offset or (), strict=True
        ):
            if name == "~":  # a layout header: names of channels without samples
                continue
            path = self._base.parent / name
            sample = BYTES_PER_SAMPLE.get(fmt)
            _, frame = files.get(path, (0, Fraction(0)))
            files[path] = (prologue or 0, None if sample is None or frame is None else frame + sample * (count or 1))
        return files

    def _frames_in_files(self) -> int:
        """Return the number of frames that the signal files hold; used where the header gives no length."""
        held = [
            int((_size(path, self._header_path) - prologue) / frame)
            for path, (prologue, frame) in self._files(self._header).items()
            if frame
        ]
        if not held:
            raise RecordingFileError(f"{self._header_path} gives no number of samples, and its files do not tell it.")
        return min(held)

    def _check_files(self, stop: int) -> None:
        """Refuse signal files that are shorter than what is to be read, before anything is allocated."""
        for part, first in self._parts():
            frames = min(stop - first, part.sig_len or self._n_frames)
            for path, (prologue, frame) in self._files(part).items():
                size = _size(path, self._header_path)
                if frames <= 0 or frame is None or size >= math.floor(prologue + frame * frames):
                    continue
                held = max(0, int((size - prologue) / frame))
                raise RecordingFileError(
                    f"{path} is truncated: its {size} bytes hold {held} samples a channel "
                    f"({held / self._frame_rate:.3f} s), but {self._header_path.name} promises "
                    f"{part.sig_len or self._n_frames}. Fetch the file again, or read what is there: "
                    f"stop={(first + held) / self._frame_rate:.3f} (--stop on the command line)."
                )


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


def _samples_per_frame(header: Any, segments: list[Any]) -> list[int]:
    if not segments:
        return [int(n or 1) for n in header.samps_per_frame]
    described = next(s for s in segments if s is not None)
    by_name = dict(zip(described.sig_name, described.samps_per_frame, strict=True))
    return [int(by_name.get(name) or 1) for name in header.get_sig_name()]


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
