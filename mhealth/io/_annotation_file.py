"""WFDB annotation files in MIT format, decoded and encoded.

The format is a list of 16-bit words, six bits of code over ten bits of time since the mark before. `wfdb.rdann`
parses the record's header too, which costs 15 ms a file (LUDB has twelve a record); `wfdb.wrann` loses symbols
that it does not know without a word. See annot(5) of the WFDB manual.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import RecordingFileError

__all__ = ["encode_annotation", "read_annotation"]

SKIP, NUM, SUB, CHN, AUX = 59, 60, 61, 62, 63
"""Codes that are no marks: a long interval, and what is said about the mark before."""

SYMBOLS = dict(enumerate(' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'))
"""Code to symbol, as in <wfdb/ecgcodes.h>; codes that the manual leaves free are blank."""

_CODES = {symbol: code for code, symbol in SYMBOLS.items() if symbol != " "}


def read_annotation(path: Path | str, extension: str) -> tuple[NDArray[np.int64], list[str]]:
    """Read a WFDB annotation file.

    Parameters
    ----------
    path : path-like
        The record, without suffix.
    extension : str
        Suffix of the annotation file, without dot.

    Returns
    -------
    samples : ndarray of int64, shape (n_marks,)
        Where the marks are.
    symbols : list of str
        Their codes.

    Raises
    ------
    RecordingFileError
        If the file is missing, truncated or no annotation in MIT format.
    """
    file = Path(f"{path}.{extension}")
    if not file.is_file():
        raise RecordingFileError(f"{file} does not exist. Check the record's path and the extension {extension!r}.")
    content = file.read_bytes()
    if len(content) % 2:
        raise RecordingFileError(f"{file} is no WFDB annotation: its length of {len(content)} bytes is odd.")
    words = np.frombuffer(content, dtype="<u2").tolist()
    samples, symbols = [], []
    time, k = 0, 0
    while k < len(words) and words[k] != 0:
        code, value = words[k] >> 10, words[k] & 0x3FF
        if code == SKIP and k + 2 < len(words):
            time += struct.unpack("<i", struct.pack("<HH", words[k + 2], words[k + 1]))[0]
            k += 3
            continue
        if code < SKIP:
            time += value
            samples.append(time)
            symbols.append(SYMBOLS.get(code, " "))
        k += 1 + ((value + 1) // 2 if code == AUX else 0)
    if k >= len(words):
        raise RecordingFileError(f"{file} is truncated or no WFDB annotation: its end mark is missing. Fetch it again.")
    return np.array(samples, dtype=np.int64), symbols


def encode_annotation(marks: Sequence[tuple[int, str, int] | tuple[int, str, int, str]]) -> bytes:
    """Return the content of an annotation file.

    Parameters
    ----------
    marks : sequence of (sample, symbol, subtype) or (sample, symbol, subtype, note)
        In the order of time; the subtype is −128 to 127, the note ASCII text of at most 255 characters.
    """
    words, last = [], 0
    for sample, symbol, subtype, *notes in marks:
        step = sample - last
        if not 0 <= step < 1 << 10:
            high, low = divmod(step & 0xFFFFFFFF, 1 << 16)
            words += [SKIP << 10, high, low]
            step = 0
        words.append(_CODES[symbol] << 10 | step)
        if subtype:
            words.append(SUB << 10 | subtype & 0x3FF)
        for text in filter(None, notes):
            words.append(AUX << 10 | len(text))
            words += np.frombuffer(text.encode("ascii") + b"\0" * (len(text) % 2), dtype="<u2").tolist()
        last = sample
    return np.array([*words, 0], dtype="<u2").tobytes()
