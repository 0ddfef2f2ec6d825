"""Annotated recordings by name: data sets that packages register, or a folder of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mhealth.errors import InvalidParameterError, RecordingFileError

if TYPE_CHECKING:
    from mhealth.core import Annotation, Recording

__all__ = ["Dataset", "chosen_records", "open_dataset", "registered_datasets", "second_annotations"]

GROUP = "mhealth.datasets"

FOLDER = "folder"
"""The registered data set that reads a folder of one's own."""


class Dataset(Protocol):
    """What the entry points of the group `mhealth.datasets` construct from a folder.

    Where two people marked every record, the class takes ``annotator=2`` too, and offers its `folder` and
    ``annotation(name, recording)``.
    """

    licence: str
    citation: str
    records: list[str]

    def load(self, name: str) -> tuple[Recording, Annotation, str]:
        """Return recording, expert marks and subject of a record."""
        ...

    def stratum(self, name: str) -> str:
        """Return the group of a record that every fold should hold its share of."""
        ...

    def hash(self, name: str) -> str:
        """Return the SHA-256 over the files of a record."""
        ...


def registered_datasets() -> dict[str, EntryPoint]:
    """Return the registered data sets by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def open_dataset(name: str, data: Path | None) -> Dataset:
    """Return a registered data set, or a folder of one's own.

    Parameters
    ----------
    name : str
        Name of an entry point of the group ``mhealth.datasets``, or path of a folder.
    data : Path, optional
        Folder of the data set, or a folder that holds it under its name.

    Raises
    ------
    InvalidParameterError
        If there is no data set of that name, or its folder is not given.
    """
    known = registered_datasets()
    if name not in known and Path(name).is_dir() and FOLDER in known:
        name, data = FOLDER, Path(name)
    if name not in known:
        raise InvalidParameterError(
            f"{name!r} is neither a data set ({', '.join(sorted(known))}) nor a folder with recordings and their marks."
        )
    if data is None:
        raise InvalidParameterError(f"Where is {name}? Add --data DIR, the folder with its files.")
    below = data / name
    dataset: Dataset = known[name].load()(below if below.is_dir() else data)
    return dataset


def chosen_records(dataset: Dataset, listed: Path | None) -> list[str]:
    """Return the records to use: all, or those that a text file names, one a line.

    Raises
    ------
    RecordingFileError, InvalidParameterError
        If the file cannot be read, or names a record that the data set lacks.
    """
    if listed is None:
        return list(dataset.records)
    try:
        names = listed.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingFileError(f"{listed} is no readable list of records ({error}).") from error
    unknown = [name for name in names if name not in dataset.records]
    if unknown or not names:
        raise InvalidParameterError(
            f"{listed} names {unknown[:5] or 'no records'}; the data set here holds {len(dataset.records)}: "
            f"{', '.join(dataset.records[:5])}, ..."
        )
    return names


def second_annotations(dataset: Dataset, recordings: Mapping[str, Recording]) -> list[Annotation] | None:
    """Return a second person's marks, None where only one marked the data set.

    Parameters
    ----------
    dataset : Dataset
        With the marks of the first.
    recordings : mapping of str to Recording
        By the names of their records.
    """
    of_class: Any = type(dataset)
    if "annotator" not in inspect.signature(of_class).parameters:
        return None
    second = of_class(dataset.folder, annotator=2)  # type: ignore[attr-defined]
    return [second.annotation(name, recording) for name, recording in recordings.items()]
