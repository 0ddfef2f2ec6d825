"""Wave marks in WFDB annotation files: ``(`` onset, ``p``, ``N`` or ``t`` peak, ``)`` offset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Spans
from mhealth.errors import RecordingFileError
from mhealth.io._wfdb_package import wfdb_package

__all__ = ["BEAT_SYMBOLS", "WAVE_CLASSES", "read_annotation", "read_bracket_annotation"]

WAVE_CLASSES = ("P", "QRS", "T")
"""Labels that expert marks carry."""

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB annotation codes that mark a beat (a QRS complex)."""

_LABEL_OF_SYMBOL = {"p": 0, "t": 2} | dict.fromkeys(BEAT_SYMBOLS, 1)


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
        If the file is missing or malformed.
    """
    wfdb = wfdb_package()
    file = Path(f"{path}.{extension}")
    if not file.is_file():
        raise RecordingFileError(f"{file} does not exist. Check the record's path and the extension {extension!r}.")
    try:
        # asking for the stored codes, not for their symbols, spares twenty pandas calls a file
        annotation = wfdb.rdann(str(path), extension, return_label_elements=["label_store"])
    except Exception as error:  # wfdb raises whatever its parsing meets
        raise RecordingFileError(
            f"{file} is no readable WFDB annotation ({type(error).__name__}: {error}). Fetch it again."
        ) from error
    symbol_of = {label.label_store: label.symbol for label in wfdb.io.annotation.ann_labels}
    return annotation.sample.astype(np.int64), [symbol_of.get(code, "") for code in annotation.label_store]


def read_bracket_annotation(
    path: Path | str,
    extension: str,
    *,
    fs: float,
    channels: Sequence[str],
    columns: Sequence[int] | None = None,
) -> Spans:
    """Read the waves that an expert bracketed.

    Parameters
    ----------
    path : path-like
        The record, without suffix.
    extension : str
        Suffix of the annotation file, without dot; LUDB has one a lead, QTDB `q1c` for all channels.
    fs : float
        Sampling rate of the recording in Hz.
    channels : sequence of str
        Channels of the recording.
    columns : sequence of int, optional
        Positions of the channels that the marks hold for; default: all.

    Returns
    -------
    spans : Spans
        Waves with classes ``("P", "QRS", "T")``. Brackets are taken unchanged as onset and offset; a point that the
        expert left out is −1. U waves are skipped. The probability is NaN: experts give none.

    Raises
    ------
    RecordingFileError
        If the file is missing or malformed.
    """
    samples, symbols = read_annotation(path, extension)
    waves = _waves(samples.tolist(), symbols)
    wanted = range(len(channels)) if columns is None else columns
    return Spans.from_rows(
        [(*wave, channel, np.nan) for channel in wanted for wave in waves],
        fs=fs,
        channels=tuple(channels),
        classes=WAVE_CLASSES,
    )


def _waves(samples: Sequence[int], symbols: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Return rows (onset, peak, offset, label).

    Each peak makes a wave; it has an onset if the mark just before it is ``(``, and an offset if the one just after
    is ``)``. U waves are kept until here because their brackets belong to no other wave.
    """
    marks = [(s, c) for s, c in zip(samples, symbols, strict=True) if c in {"(", ")", "u"} or c in _LABEL_OF_SYMBOL]
    before, after = [(-1, ""), *marks[:-1]], [*marks[1:], (-1, "")]
    return [
        (left if opening == "(" else -1, peak, right if closing == ")" else -1, _LABEL_OF_SYMBOL[symbol])
        for (peak, symbol), (left, opening), (right, closing) in zip(marks, before, after, strict=True)
        if symbol in _LABEL_OF_SYMBOL
    ]
