"""A folder of one's own recordings and labels, for training on them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders._base import file_hash, marked_stretches
from mhealth.core import ECG_WAVES, Annotation, Recording, Spans
from mhealth.errors import RecordingFileError
from mhealth.io import (
    open_recording,
    read_annotation,
    read_bracket_annotation,
    read_recording,
    read_spans,
)

__all__ = ["Folder"]

STRETCHES = "stretches.csv"
STRETCH_COLUMNS = ("record", "channel", "start_s", "stop_s")

_SIGNAL_SUFFIXES = (".hea", ".edf", ".parquet", ".csv.gz", ".csv")
"""In this order of preference, where several files share a name: a CSV beside a header or EDF holds its labels."""


class Folder:
    """Recordings with WFDB bracket annotations, or with the CSV that `mhealth label` writes.

    The marks of a record ``night1`` are, in this order: ``night1.labels.csv``; ``night1.csv`` beside a WFDB or EDF
    recording; WFDB annotations named after the channels as in LUDB (``night1.ii``); the one annotation file with
    brackets that it has, as in QTDB (``night1.q1c``), whose marks hold for all channels.

    Parameters
    ----------
    data : path-like
        The folder.
    stretches : path-like, optional
        CSV table of the stretches in which every wave is marked, with the columns ``record,channel,start_s,stop_s``
        (an empty channel means all) and perhaps ``subject``. Default: ``stretches.csv`` in the folder. Records that it
        does not name, or all if there is no table, count as marked from each channel's first mark to its last.

    Raises
    ------
    RecordingFileError
        If the folder holds no recording with labels, or the table is malformed.
    """

    licence = "your own recordings"
    citation = ""

    def __init__(self, data: Path | str, stretches: Path | str | None = None) -> None:
        self.folder = Path(data)
        table = self.folder / STRETCHES if stretches is None else Path(stretches)
        self._signals = _signal_files(self.folder, table)
        self._labels = {name: found for name, path in self._signals.items() if (found := _label_files(name, path))}
        self.records = sorted(self._labels)
        if not self.records:
            raise RecordingFileError(
                f"{self.folder} holds no recording with labels. Put WFDB bracket annotations (<record>.<channel>) or "
                "the CSV that `mhealth label` writes (<record>.labels.csv) beside the recordings."
            )
        self._stretches = _read_stretches(table) if stretches is not None or table.is_file() else []
        unknown = sorted({row["record"] for row in self._stretches} - set(self.records))
        if unknown:
            raise RecordingFileError(f"{table} names the records {unknown}, which have no labels in {self.folder}.")

    def __iter__(self) -> Iterator[tuple[Recording, Annotation, str]]:
        """Yield `load` of every record."""
        return (self.load(name) for name in self.records)

    def load(self, name: str) -> tuple[Recording, Annotation, str]:
        """Return recording, marks and subject (from the table of stretches; without it, the record's name)."""
        recording = read_recording(self._signals[name])
        spans = self._spans(name, recording)
        rows = [row for row in self._stretches if row["record"] == name]
        subject = next((row["subject"] for row in rows if row.get("subject")), name)
        annotated = self._annotated(recording, rows) if rows else marked_stretches(spans)
        return replace(recording, subject=subject), Annotation(spans=spans, annotated=annotated), subject

    def stratum(self, name: str) -> str:
        """Return one group for all records: a folder tells no more."""
        return "folder"

    def hash(self, name: str) -> str:
        """Return the SHA-256 over recording and labels of a record."""
        path = self._signals[name]
        signals = [path, path.with_suffix(".dat")] if path.suffix == ".hea" else [path]
        return file_hash([file for file in (*signals, *self._labels[name]) if file.is_file()])

    def _spans(self, name: str, recording: Recording) -> Spans:
        files = self._labels[name]
        if files[0].suffix == ".csv":
            return _of_channels(read_spans(files[0], fs=recording.fs), recording, files[0])
        base, channels = files[0].with_suffix(""), recording.channels
        lowered = [channel.lower() for channel in channels]
        parts = []
        for file in files:
            extension = file.suffix[1:]
            columns = [lowered.index(extension.lower())] if extension.lower() in lowered else None
            parts.append(read_bracket_annotation(base, extension, fs=recording.fs, channels=channels, columns=columns))
        return Spans.concat(parts)

    def _annotated(self, recording: Recording, rows: list[dict[str, str]]) -> NDArray[np.int64]:
        annotated = []
        for row in rows:
            wanted = row["channel"].strip()
            columns = [_channel_index(wanted, recording)] if wanted else range(len(recording.channels))
            start, stop = (round(float(row[column]) * recording.fs) for column in ("start_s", "stop_s"))
            annotated += [(column, start, min(stop, recording.n_samples)) for column in columns]
        return np.array(annotated, dtype=np.int64)


def _signal_files(folder: Path, table: Path) -> dict[str, Path]:
    """Return record name to signal file."""
    if not folder.is_dir():
        raise RecordingFileError(f"{folder} is no folder. Give the folder that holds recordings and labels.")
    found: dict[str, Path] = {}
    for suffix in _SIGNAL_SUFFIXES:
        for path in sorted(folder.iterdir()):
            name = path.name.removesuffix(suffix)
            if path.name.endswith(suffix) and not name.endswith(".labels") and path != table:
                found.setdefault(name, path)
    return found


def _label_files(name: str, signals: Path) -> list[Path]:
    """Return the files that hold the marks of a record, none if it has no marks."""
    folder = signals.parent
    tables = [folder / f"{name}.labels.csv", folder / f"{name}.csv"]
    for table in tables:
        if table.is_file() and table != signals:
            return [table]
    channels = {channel.lower() for channel in open_recording(signals).channels}
    others = [path for path in sorted(folder.glob(f"{name}.*")) if path.name.count(".") == name.count(".") + 1]
    of_channels = [path for path in others if path.suffix[1:].lower() in channels]
    if of_channels:
        return of_channels
    bracketed = [path for path in others if path.suffix not in (".hea", ".dat", ".edf") and _has_brackets(path)]
    if len(bracketed) > 1:
        raise RecordingFileError(
            f"{name} has several annotations with brackets: {', '.join(path.name for path in bracketed)}. "
            "Keep one in the folder, so that it is clear whose marks are meant."
        )
    return bracketed


def _has_brackets(path: Path) -> bool:
    try:
        _, symbols = read_annotation(path.with_suffix(""), path.suffix[1:])
    except RecordingFileError:  # some other kind of file
        return False
    return "(" in symbols


def _of_channels(spans: Spans, recording: Recording, file: Path) -> Spans:
    """Return the waves of a table of labels as spans of the recording's channels."""
    waves = spans.select(np.isin(spans.label, [k for k, text in enumerate(spans.classes) if text in ECG_WAVES]))
    try:
        channel = np.array([_channel_index(text, recording) for text in waves.channels], dtype=np.int64)
    except RecordingFileError as error:
        raise RecordingFileError(f"{file}: {error}") from error
    label = np.array([ECG_WAVES.index(text) if text in ECG_WAVES else -1 for text in waves.classes], dtype=np.int64)
    return replace(
        waves,
        channel=channel[waves.channel],
        label=label[waves.label],
        probability=np.full(len(waves), np.nan),
        channels=recording.channels,
        classes=ECG_WAVES,
    )


def _channel_index(text: str, recording: Recording) -> int:
    keys = [key.lower() for key in recording.keys]
    if text.lower() not in keys:
        raise RecordingFileError(f"channel {text!r} is none of {recording.keys} of record {recording.name}.")
    return keys.index(text.lower())


def _read_stretches(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of stretches."""
    if not path.is_file():
        raise RecordingFileError(f"{path} does not exist; expected a table with {', '.join(STRETCH_COLUMNS)}.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        absent = [column for column in STRETCH_COLUMNS if column not in (reader.fieldnames or ())]
        if absent:
            raise RecordingFileError(f"{path} lacks the columns {absent}; expected {', '.join(STRETCH_COLUMNS)}.")
        rows = list(reader)
    for k, row in enumerate(rows, start=1):
        try:
            valid = 0 <= float(row["start_s"]) < float(row["stop_s"])
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise RecordingFileError(
                f"{path}: row {k} (after the header) has start_s={row['start_s']!r} and stop_s={row['stop_s']!r}, "
                "expected seconds with 0 <= start_s < stop_s."
            )
    return rows
