"""What every data set offers, and what those from PhysioNet share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from data_loaders._fetch import Progress, check_files, fetch_database
from mhealth.core import Annotation, Recording, Spans
from mhealth.io import read_recording

__all__ = ["Dataset", "PhysioNetDataset", "file_hash", "marked_stretches"]


class Dataset(Protocol):
    """Annotated recordings. What the entry points of the group `mhealth.datasets` construct from a folder.

    Attributes
    ----------
    licence, citation : str
        Under which licence the data may be used, and what to cite.
    records : list of str
        Names of the records.
    """

    licence: str
    citation: str
    records: list[str]

    def __iter__(self) -> Iterator[tuple[Recording, Annotation, str]]:
        """Yield `load` of every record."""
        ...

    def load(self, name: str) -> tuple[Recording, Annotation, str]:
        """Return recording, expert marks and subject of a record. One subject stays on one side of any split."""
        ...

    def stratum(self, name: str) -> str:
        """Return the group of a record that every fold of a split should hold its share of."""
        ...

    def hash(self, name: str) -> str:
        """Return the SHA-256 over the files of a record, for the manifest of a model trained on it."""
        ...


class PhysioNetDataset(ABC):
    """A PhysioNet database in its publisher's layout.

    Parameters
    ----------
    data : path-like
        Folder of the database.

    Raises
    ------
    RecordingFileError
        If the folder, or later a record in it, lacks files; the message says where to get them.
    """

    database: ClassVar[str]
    """Short name on PhysioNet."""
    version: ClassVar[str]
    licence: ClassVar[str] = "ODC-By 1.0"
    citation: ClassVar[str]
    units: ClassVar[str | None] = None
    """Stated unit, where the publisher's headers call the channels uncalibrated."""
    published: ClassVar[tuple[str, ...]]
    """Patterns of the publisher's files that `fetch` takes: what is read here or in the experiments."""
    megabytes: ClassVar[int]
    """How much that is, about."""

    def __init__(self, data: Path | str) -> None:
        self.folder = Path(data)
        check_files(self.folder, [self._index()], database=self.database, version=self.version)
        self._paths = {PurePosixPath(entry).name: entry for entry in self._entries()}
        self.records = list(self._paths)

    def __iter__(self) -> Iterator[tuple[Recording, Annotation, str]]:
        """Yield `load` of every record."""
        return (self.load(name) for name in self.records)

    @classmethod
    def fetch(cls, data: Path | str, *, progress: Progress | None = None) -> Self:
        """Fetch the database from its publisher, unless its folder is there, and return it.

        Every file is checked against the publisher's list of SHA-256. The folder appears when it is complete; an
        interrupted call is gone on with by the next one.

        Parameters
        ----------
        data : path-like
            Folder of the database.
        progress : callable, optional
            Called as ``progress(text, done, total)`` after every file.

        Returns
        -------
        database : PhysioNetDataset

        Raises
        ------
        RecordingFileError
            If the publisher cannot be reached, or what came is not what its list says; the message says what to put
            where by hand.
        UnwritableOutputError
            If files cannot be written.
        """
        fetch_database(Path(data), cls.published, database=cls.database, version=cls.version, progress=progress)
        return cls(data)

    def load(self, name: str) -> tuple[Recording, Annotation, str]:
        """Return recording, expert marks and subject of a record."""
        check_files(self.folder, self.files(name), database=self.database, version=self.version)
        recording = read_recording(self.path(name), units=self.units)
        subject = self.subject(name)
        return replace(recording, subject=subject), self.annotation(name, recording), subject

    def path(self, name: str) -> Path:
        """Return the path of a record, without suffix."""
        return self.folder / self._paths[name]

    def hash(self, name: str) -> str:
        """Return the SHA-256 over the files of a record."""
        check_files(self.folder, self.files(name), database=self.database, version=self.version)
        return file_hash(self.folder / file for file in self.files(name))

    def files(self, name: str) -> list[str]:
        """Return the files of a record relative to the folder: header, signals, expert marks."""
        extensions = ("hea", "dat", *self.annotators(name))
        return [f"{self._paths[name]}.{extension}" for extension in extensions]

    @abstractmethod
    def annotators(self, name: str) -> Sequence[str]:
        """Return the suffixes of the annotation files that are read for a record."""

    @abstractmethod
    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the expert marks of a record."""

    @abstractmethod
    def subject(self, name: str) -> str:
        """Return who was recorded, the same text in every data set that shows this person."""

    @abstractmethod
    def stratum(self, name: str) -> str:
        """Return the group of a record that every fold of a split should hold its share of."""

    def _index(self) -> str:
        """Return the file that must exist for the folder to be this database."""
        return "RECORDS"

    def _entries(self) -> list[str]:
        """Return the records, as the publisher's index lists them."""
        return (self.folder / "RECORDS").read_text(encoding="utf-8").split()


def marked_stretches(spans: Spans) -> NDArray[np.int64]:
    """Return for each channel the stretch from its first to its last mark, both included.

    Returns
    -------
    annotated : ndarray of int64, shape (n_channels with marks, 3)
        Rows (channel, start, stop), half-open.
    """
    rows = []
    for channel in np.unique(spans.channel):
        of_channel = spans.select(spans.channel == channel)
        points = np.concatenate([of_channel.onset, of_channel.peak, of_channel.offset])
        known = points[points >= 0]
        rows.append((channel, known.min(), known.max() + 1))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def file_hash(paths: Iterator[Path] | Sequence[Path]) -> str:
    """Return the SHA-256 over names and contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
