"""What to do when the publishers' files are missing here: say where they are, or fetch them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from threading import Event
from urllib.parse import quote

from data_loaders._download import download, sha256_of
from mhealth.core import make_folder, unwritable
from mhealth.errors import RecordingFileError

__all__ = ["Progress", "check_files", "fetch_database"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is, and how much there is."""

PUBLISHER = "https://physionet.org/files"
SUMS = "SHA256SUMS.txt"
"""The publisher's list: a line a file, its hash and its path."""

ABOUT = ("ANNOTATORS", "LICENSE*", "README*", "RECORDS")
"""Files that come with every database."""

CONNECTIONS = 4
"""Files under way at once. Most are small, so that asking takes longer than sending; `wfdb` uses as many."""

_HASH = re.compile(r"[0-9a-f]{64}")


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
            f"data_loaders.{database.capitalize()}.fetch(FOLDER) fetches them into a new folder."
        )


def fetch_database(
    folder: Path, patterns: Sequence[str], *, database: str, version: str, progress: Progress | None = None
) -> None:
    """Fetch a PhysioNet database in its publisher's layout, and check every file by its hash.

    The folder appears when everything is in it. Until then files gather in a hidden folder beside it,
    ``.<name>-<version>.part``, where another call goes on after an interruption.

    Parameters
    ----------
    folder : Path
        The folder to make. Where it exists already nothing is fetched, checked or changed.
    patterns : sequence of str
        Which of the publisher's files are wanted, as of `fnmatch`.
    database, version : str
        The database's short name and version on PhysioNet.
    progress : callable, optional
        Called with a text, and how many of how many files are there.

    Raises
    ------
    RecordingFileError
        If the publisher cannot be reached, or what came is not what its list of hashes says; the message says what to
        put where by hand.
    UnwritableOutputError
        If files cannot be written.
    """
    folder = folder.absolute()
    if folder.exists():
        return
    gathered = folder.with_name(f".{folder.name}-{version}.part")
    address = f"{PUBLISHER}/{database}/{version}"
    report = progress or _silent
    make_folder(gathered)
    try:
        download(f"{address}/{SUMS}", gathered / SUMS)
        wanted = _listed(gathered / SUMS, (*ABOUT, *patterns))
        _gather(gathered, address, wanted, lambda done: report(f"fetching {database}", done, len(wanted)))
    except RecordingFileError as error:
        raise RecordingFileError(
            f"{error} What came so far is kept in {gathered}, and another call goes on there. To do it by hand: put "
            f"the files of https://physionet.org/content/{database}/{version}/ into {folder}, as they are."
        ) from error
    with unwritable(folder):
        os.rename(gathered, folder)


def _listed(sums: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Return the hash of each wanted file of a list; no path may lead out of the folder."""
    wanted = {}
    for line in filter(str.strip, sums.read_text(encoding="utf-8", errors="replace").splitlines()):
        sha256, _, name = line.partition(" ")
        name = name.lstrip(" *")
        parts = PurePosixPath(name).parts
        if not _HASH.fullmatch(sha256) or not parts or {"/", ".."} & set(parts) or {"\\", ":"} & set(name):
            raise RecordingFileError(
                f"{sums} has the line {line[:100]!r}; expected a SHA-256 and a path, as in the publisher's list."
            )
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            wanted[name] = sha256
    if not wanted:
        raise RecordingFileError(f"{sums} names none of {', '.join(patterns)}, so it is not the publisher's list.")
    return wanted


def _gather(folder: Path, address: str, wanted: dict[str, str], report: Callable[[int], None]) -> None:
    """Fetch the files that are not there yet, several at once."""
    for name in wanted:
        make_folder((folder / name).parent)
    missing = [name for name in wanted if not _is_there(folder / name, wanted[name])]
    done = len(wanted) - len(missing)
    report(done)
    stop = Event()

    def check() -> None:
        if stop.is_set():
            raise CancelledError

    def fetch(name: str) -> None:
        check()
        download(f"{address}/{quote(name)}", folder / name, sha256=wanted[name], tick=check)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for future in as_completed([pool.submit(fetch, name) for name in missing]):
                future.result()
                done += 1
                report(done)
        except BaseException:  # Ctrl-C included: the others stop at their next block
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
