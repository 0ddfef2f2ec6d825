"""One file from the network: whole and checked, or not there."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from mhealth.core import unwritable
from mhealth.errors import RecordingFileError

__all__ = ["download", "sha256_of"]

Tick = Callable[[], None]
"""Called after every block; what it raises ends the download."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PAUSES = (1.0, 4.0, 10.0)
"""Seconds to wait before each further attempt, should a connection break or the server be busy."""

_BLOCK = 1 << 16
_BUSY = (408, 425, 429)
"""HTTP errors, beside those from 500 on, that may pass."""


def download(url: str, path: Path, *, sha256: str | None = None, tick: Tick = lambda: None) -> None:
    """Fetch a file; it appears under its name when it is complete and has the hash that it should have.

    Until then it lies beside it as ``<name>.part``. What an interrupted call has left there is not fetched again (HTTP
    Range), unless the hash tells that it was damaged.

    Parameters
    ----------
    url : str
        Where it is.
    path : Path
        File to write or to replace, in a folder that exists.
    sha256 : str, optional
        Its hash in hexadecimal digits. Without one nothing can be gone on with, and it is fetched as a whole.
    tick : callable, optional
        Called after every block.

    Raises
    ------
    RecordingFileError
        If the server cannot be reached, refuses, breaks off again and again, or sends something else.
    UnwritableOutputError
        If the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with unwritable(path):
        for anew in (sha256 is None, True):
            if anew:
                part.unlink(missing_ok=True)
            _complete(url, part, tick)
            if sha256 is None or sha256_of(part) == sha256:
                os.replace(part, path)
                return
        found = sha256_of(part)
        part.unlink()
    raise RecordingFileError(
        f"{url} came twice with the SHA-256 {found}, but its publisher's list says {sha256}. Something on the way "
        "changes files, or the publisher replaced one: try again later or over another network."
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(url: str, part: Path, tick: Tick) -> None:
    """Fetch what is missing of a file; a connection that breaks is made again, one that cannot be made is not."""
    pauses = iter(PAUSES)
    while True:
        try:
            _append(url, part, tick)
            return
        except (URLError, HTTPException, SSLError, ConnectionError, TimeoutError) as error:
            pause = next(pauses, None)
            busy = isinstance(error, HTTPError) and (error.code >= 500 or error.code in _BUSY)
            if pause is None or (isinstance(error, URLError) and not busy):
                raise RecordingFileError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}.") from error
            time.sleep(pause)
            tick()


def _append(url: str, part: Path, tick: Tick) -> None:
    """Fetch what is missing of a file, in one go."""
    begun = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "mhealth", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if begun and error.code == 416:  # nothing lies behind what is here: whole, or wrong, which the hash tells
            return
        raise
    with response, open(part, "ab" if response.status == 206 else "wb") as file:
        missing = response.length  # None where the server does not say
        while block := response.read(_BLOCK):
            file.write(block)
            if missing is not None:
                missing -= len(block)
            tick()
    if missing:
        raise ConnectionError(f"the connection ended {missing} bytes too early")
