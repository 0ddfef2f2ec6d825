"""BIDMC: 53 eight-minute recordings from intensive care, every breath of them marked by two annotators."""

from __future__ import annotations

import csv
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders._base import PhysioNetDataset, marked_stretches
from data_loaders._fetch import check_files
from mhealth.core import BREATH_PHASES, Annotation, Recording, Spans
from mhealth.errors import InvalidParameterError, RecordingFileError
from mhealth.io import read_recording

__all__ = ["Bidmc"]

TABLES = "bidmc_csv"
"""Folder of the CSV layout, inside that of the WFDB layout."""

UNITS = {
    "RESP": "pm",
    "PLETH": "NU",
    **dict.fromkeys(("I", "II", "III", "AVR", "V", "MCL", "MCL1"), "mV"),
    **dict.fromkeys(("ABP", "ART", "CVP", "P1", "PAP", "UAP"), "mmHg"),
}
"""Units as the publisher's WFDB headers give them. The CSV tables hold the same values and name no unit."""

_PATIENT = re.compile(r"matched(?: wdb ID: |/)(s\d+)")
"""In the Fix file of a record as in the comments of its WFDB header."""


class Bidmc(PhysioNetDataset):
    """BIDMC PPG and Respiration Dataset.

    An annotator marked the end of each inspiration in the impedance signal ``RESP``, and nothing else of a breath:
    marks are spans `inspiration` of which only the offset is known. They count as complete from the first to the last.

    Both of the publisher's layouts are read, and records keep the names that they have there. Where both are present
    the tables are taken, since WFDB allows only one mark a sample and channel, whichever annotator it is from.

    Parameters
    ----------
    data : path-like
        Folder with ``bidmc_csv/``, that folder itself, or the folder with the WFDB records (``bidmc01.hea``, …).
        Tables of signals may be gzipped.
    annotator : {1, 2}, default=1
        Whose marks are read.

    Raises
    ------
    InvalidParameterError
        If `annotator` is neither 1 nor 2.
    RecordingFileError
        If the folder, or later a record in it, lacks files or holds malformed ones.
    """

    database = "bidmc"
    version = "1.0.0"
    citation = (
        "Pimentel et al. (2016). Toward a Robust Estimation of Respiratory Rate From Pulse Oximeters. "
        "IEEE Trans. Biomed. Eng. 64(8), 1914-1923. https://doi.org/10.1109/TBME.2016.2613124"
    )
    published = tuple(f"{TABLES}/bidmc_??_{kind}" for kind in ("Breaths.csv", "Fix.txt", "Signals.csv"))
    megabytes = 154

    def __init__(self, data: Path | str, annotator: int = 1) -> None:
        if annotator not in (1, 2):
            raise InvalidParameterError(f"annotator={annotator!r} must be 1 or 2: two people marked each recording.")
        self.annotator = annotator
        folder = Path(data)
        tables = [place for place in (folder / TABLES, folder) if any(place.glob("bidmc_*_Breaths.csv"))]
        self._has_tables = bool(tables)
        super().__init__(tables[0] if tables else folder)

    def load(self, name: str) -> tuple[Recording, Annotation, str]:
        """Return recording, expert marks and subject of a record."""
        check_files(self.folder, self.files(name), database=self.database, version=self.version)
        recording = read_recording(self.path(name))
        channels = tuple(channel.strip(" ,") for channel in recording.channels)  # WFDB headers say "RESP,"
        stated = zip(channels, recording.units, strict=True)
        units = tuple(unit or UNITS.get(channel, "") for channel, unit in stated)
        subject = self.subject(name)
        recording = replace(recording, channels=channels, units=units, subject=subject, name=name)
        return recording, self.annotation(name, recording), subject

    def path(self, name: str) -> Path:
        """Return the table of signals, or the path of a WFDB record without suffix."""
        if not self._has_tables:
            return super().path(name)
        plain, gzipped = (self.folder / f"{name}_Signals.csv{suffix}" for suffix in ("", ".gz"))
        return gzipped if gzipped.is_file() and not plain.is_file() else plain

    def files(self, name: str) -> list[str]:
        """Return the files of a record relative to the folder: signals, marks, and the text about it if it is there."""
        if not self._has_tables:
            return super().files(name)
        about = self._about(name)
        return [self.path(name).name, f"{name}_Breaths.csv", *([about.name] if about.is_file() else [])]

    def annotators(self, name: str) -> tuple[str, ...]:
        """Return the WFDB annotation, which holds the marks of both annotators, or none if the record has none."""
        return ("breath",) if self.path(name).with_suffix(".breath").is_file() else ()

    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the ends of inspiration in the channel ``RESP``."""
        if recording.channels.count("RESP") != 1:
            raise RecordingFileError(
                f"{self.path(name)} has the channels {recording.channels}; expected one called RESP, in which breaths "
                "were marked. Fetch it again."
            )
        marks = self._marks_of_table(name) if self._has_tables else self._marks_of_record(name)
        outside = marks[(marks < 0) | (marks >= recording.n_samples)]
        if len(outside):
            raise RecordingFileError(
                f"{self.folder}: annotator {self.annotator} of record {name} has a mark at sample {outside[0]} "
                f"(counted from 0), but there are {recording.n_samples} samples. Fetch the record again."
            )
        unknown = np.full(len(marks), -1)
        spans = Spans(
            onset=unknown,
            peak=unknown,
            offset=marks,
            label=np.zeros(len(marks), dtype=np.int64),
            channel=np.full(len(marks), recording.channels.index("RESP")),
            probability=np.full(len(marks), np.nan),
            fs=recording.fs,
            channels=recording.channels,
            classes=BREATH_PHASES[:1],
        )
        return Annotation(spans=spans, annotated=marked_stretches(spans))

    def subject(self, name: str) -> str:
        """Return the patient's id in MIMIC II, which several records share, or the record's name if none is told."""
        about = self._about(name)
        found = _PATIENT.search(about.read_text(encoding="utf-8", errors="replace")) if about.is_file() else None
        return found[1] if found else name

    def stratum(self, name: str) -> str:
        """Return one group for all records: nearly all are from one ward, and breathe at 12 to 25 a minute."""
        return "intensive care"

    def _about(self, name: str) -> Path:
        """Return the text that says whose recording it is."""
        return self.folder / f"{name}_Fix.txt" if self._has_tables else super().path(name).with_suffix(".hea")

    def _marks_of_table(self, name: str) -> NDArray[np.int64]:
        """Return the marks of a CSV table, which counts samples from 1 and fills the shorter column with NaN."""
        path = self.folder / f"{name}_Breaths.csv"
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                header, *rows = list(csv.reader(file)) or [[]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise RecordingFileError(f"{path} is no CSV text ({error}). Fetch it again.") from error
        columns = [k for k, title in enumerate(header) if f"ann{self.annotator}" in title]
        if len(columns) != 1:
            raise RecordingFileError(
                f"{path} has the columns {header}; expected one with ann{self.annotator} in its title. Fetch it again."
            )
        marks = []
        for number, row in enumerate(rows, start=1):
            cell = "".join(row[columns[0] : columns[0] + 1]).strip()
            if cell.lower() in ("", "nan"):
                continue
            if not cell.isdecimal():
                raise RecordingFileError(
                    f"{path}: row {number} (after the header) has {cell!r} where annotator {self.annotator} should "
                    "have a sample number, counted from 1. Fetch it again."
                )
            marks.append(int(cell) - 1)
        return np.array(marks, dtype=np.int64)

    def _marks_of_record(self, name: str) -> NDArray[np.int64]:
        """Return the marks of a WFDB annotation, none if the record has none."""
        if not self.annotators(name):
            return np.empty(0, dtype=np.int64)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, which concerns the authors of wfdb
                import wfdb

                marks = wfdb.rdann(str(self.path(name)), "breath")
        except Exception as error:  # wfdb raises whatever its parsing meets
            raise RecordingFileError(
                f"{self.path(name)}.breath is no WFDB annotation ({type(error).__name__}: {error}). Fetch it again."
            ) from error
        chosen = [note.strip("\0 ") == f"ann{self.annotator}" for note in marks.aux_note]
        if not any(chosen):
            raise RecordingFileError(
                f"{self.path(name)}.breath has no mark with the note ann{self.annotator}. Fetch it again."
            )
        return np.sort(marks.sample[chosen]).astype(np.int64)

    def _index(self) -> str:
        return min(self._marked(), default=f"{TABLES}/bidmc_01_Breaths.csv")

    def _entries(self) -> list[str]:
        return sorted(name.removesuffix("_Breaths.csv").removesuffix(".hea") for name in self._marked())

    def _marked(self) -> list[str]:
        """Return a file for each record. Headers called ``bidmc01n`` are of the monitor's numbers, one a second."""
        pattern = "bidmc_*_Breaths.csv" if self._has_tables else "bidmc[0-9][0-9].hea"
        return [path.name for path in self.folder.glob(pattern)]
