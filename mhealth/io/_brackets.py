"""Waves in WFDB annotation files: ``(`` onset, ``p``, ``N`` or ``t`` peak, ``)`` offset; phases of breaths as notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mhealth.core import BREATH_PHASES, ECG_WAVES, UNUSABLE, Spans
from mhealth.errors import AnnotationError
from mhealth.io._annotation_file import encode_annotation, read_annotation

__all__ = ["BEAT_SYMBOLS", "UNREADABLE", "encode_brackets", "read_bracket_annotation"]

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""WFDB annotation codes that mark a beat (a QRS complex)."""

UNREADABLE = -1
"""Subtype of the mark ``~`` (change in signal quality) where the signal becomes unreadable; 0: it is clean again."""

PHASE, NO_PHASE = "+", "(end"
"""Mark and note where a phase of a breath ends and none begins; where one begins, the note is ``(`` and its label.

As WFDB marks rhythms, which last until the next note."""

_SYMBOL_OF_LABEL = {"P": "p", "QRS": "N", "T": "t"}
_LABEL_OF_SYMBOL = {"p": 0, "t": 2} | dict.fromkeys(BEAT_SYMBOLS, 1)


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
        classes=ECG_WAVES,
    )


def _waves(samples: Sequence[int], symbols: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Return rows (onset, peak, offset, label).

    Each peak makes a wave; it has an onset if the mark just before it is ``(``, and an offset if the one just after
    is ``)``. U waves are kept until here because their brackets belong to no other wave.
    """
    marks = [(s, c) for s, c in zip(samples, symbols, strict=True) if c in {"(", ")", "u"} or c in _LABEL_OF_SYMBOL]
    framed = [(-1, ""), *marks, (-1, "")]
    return [
        (left if opening == "(" else -1, peak, right if closing == ")" else -1, _LABEL_OF_SYMBOL[symbol])
        for (left, opening), (peak, symbol), (right, closing) in zip(framed, marks, framed[2:], strict=False)
        if symbol in _LABEL_OF_SYMBOL
    ]


def encode_brackets(spans: Spans) -> bytes:
    """Return a WFDB annotation file of the spans of one channel.

    Waves become ``(``, the symbol of the wave at its peak, ``)``; points that are −1 are left out. A phase of a breath
    becomes ``+`` with a note, such as ``(inspiration``, at its onset, and ``+`` with the note ``(end`` at its offset
    where no other begins there. An unusable stretch becomes ``~`` with subtype −1 (unreadable) at its onset and ``~``
    with subtype 0 (clean) at its offset.

    Raises
    ------
    AnnotationError
        If a label has no WFDB symbol, a wave has no peak, or spans overlap: brackets cannot tell that.
    """
    marks: list[tuple[int, str, int, str]] = []
    for onset, peak, offset, code in zip(
        spans.onset.tolist(), spans.peak.tolist(), spans.offset.tolist(), spans.label.tolist(), strict=True
    ):
        label = spans.classes[code]
        if label == UNUSABLE:
            points = [(onset, "~", UNREADABLE, ""), (offset, "~", 0, "")]
        elif label in _SYMBOL_OF_LABEL and peak >= 0:
            points = [(onset, "(", 0, ""), (peak, _SYMBOL_OF_LABEL[label], 0, ""), (offset, ")", 0, "")]
        elif label in BREATH_PHASES and min(onset, offset) >= 0:
            points = [(onset, PHASE, 0, f"({label}"), (offset, PHASE, 0, NO_PHASE)]
            if marks[-1:] == [(onset, PHASE, 0, NO_PHASE)]:
                marks.pop()
        else:
            raise AnnotationError(
                f"{label!r} at sample {max(onset, peak)} cannot be written as WFDB annotation, which holds P, QRS "
                "and T waves with a peak, phases of breaths with both edges, and unusable stretches. Write CSV or "
                "Parquet instead."
            )
        known = [point for point in points if point[0] >= 0]
        if marks and known[0][0] < marks[-1][0]:
            raise AnnotationError(
                f"{label!r} at sample {known[0][0]} begins before the span before it ends (sample {marks[-1][0]}); "
                "WFDB brackets cannot overlap within a channel. Write CSV or Parquet instead."
            )
        marks += known
    return encode_annotation(marks)
