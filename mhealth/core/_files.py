"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mhealth.errors import MHealthError, UnwritableOutputError

__all__ = ["make_folder", "replacing", "unwritable", "write_file"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, which takes the place of `path` when the block ends well.

    After any error, KeyboardInterrupt included, nothing is left of it and a file that was there before is untouched.

    Parameters
    ----------
    path : Path
        File to write.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Tell what the operating system objects to as `UnwritableOutputError` about `path`.

    Parameters
    ----------
    path : Path
        File that the block writes.

    Raises
    ------
    UnwritableOutputError
        In place of an OSError of the block.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, MHealthError):
            raise
        raise UnwritableOutputError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Choose a file in a folder that exists and that you may write to."
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, unless it is there.

    Parameters
    ----------
    folder : Path
        Folder that files will be written to.

    Raises
    ------
    UnwritableOutputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableOutputError(
            f"The folder {folder} cannot be made: {error.strerror or error}. Choose another one."
        ) from error


def write_file(path: Path | str, content: bytes) -> None:
    """Write a file so that it is never seen half-written.

    Parameters
    ----------
    path : path-like
        File to write, or to replace as a whole; missing folders are made.
    content : bytes
        What it is to hold.

    Raises
    ------
    UnwritableOutputError
        If the file cannot be written.
    """
    path = Path(path)
    with unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
