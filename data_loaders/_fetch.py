"""Where the publishers keep their files, and what to say when one is missing here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mhealth.errors import RecordingFileError

__all__ = ["check_files"]


def check_files(folder: Path, names: Iterable[str], *, database: str, version: str) -> None:
    """Check that files of a PhysioNet database are there.

    Parameters
    ----------
    folder : Path
        Where the user keeps the database, in the publisher's layout.
    names : iterable of str
        Files that are needed, relative to `folder`.
    database, version : str
        The database's short name and version on PhysioNet.

    Raises
    ------
    RecordingFileError
        If a file is missing; the message says where the publisher offers it.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise RecordingFileError(
            f"{folder} lacks {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''} "
            f"of {database} {version}. "
            f"The publisher offers the files at https://physionet.org/content/{database}/{version}/; in Python, "
            f"wfdb.dl_database({database!r}, {str(folder)!r}) fetches them."
        )
