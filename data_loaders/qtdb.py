"""QT Database: 105 fifteen-minute excerpts of two-channel ECGs, 30 to 85 beats of each bracketed by an expert."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_loaders._base import PhysioNetDataset
from data_loaders.mitdb import mitdb_subject
from mhealth.core import ECG_WAVES, Annotation, Recording, Spans
from mhealth.io import read_bracket_annotation

__all__ = ["Qtdb", "annotated_runs"]

EXPERT = "q1c"
"""Expert 1, second pass: the only manual annotation that every record has."""


class Qtdb(PhysioNetDataset):
    """QT Database.

    The expert looked at both channels and gave one set of marks, which therefore holds for both. Beats were skipped,
    often for minutes: marks are complete only inside runs of consecutive annotated beats (see `annotated_runs`).

    Parameters
    ----------
    data : path-like
        Folder with `RECORDS` and the records.
    """

    database = "qtdb"
    version = "1.0.0"
    citation = (
        "Laguna, Mark, Goldberger & Moody (1997). A Database for Evaluation of Algorithms for Measurement of QT and "
        "Other Waveform Intervals in the ECG. Computers in Cardiology 24, 673-676. https://doi.org/10.13026/C24K53"
    )
    published = tuple(f"sel*.{suffix}" for suffix in ("hea", "dat", EXPERT, "q2c", "pu0", "atr", "man"))
    megabytes = 76

    units = "mV"  # nine of 78 headers call their channels uncalibrated; all others are in mV

    def annotators(self, name: str) -> tuple[str, ...]:
        """Return the expert's annotation."""
        return (EXPERT,)

    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the marks of expert 1, given for both channels."""
        spans = read_bracket_annotation(self.path(name), EXPERT, fs=recording.fs, channels=recording.channels)
        runs = annotated_runs(spans.select(spans.channel == 0))
        rows = [(channel, start, stop) for channel in range(len(recording.channels)) for start, stop in runs]
        return Annotation(spans=spans, annotated=np.array(rows, dtype=np.int64))

    def subject(self, name: str) -> str:
        """Return the subject, which excerpts of MIT-BIH records share with that database."""
        parent = name.removeprefix("sel")
        return mitdb_subject(parent) if self.stratum(name) == "MIT-BIH Arrhythmia" else f"qtdb-{parent}"

    def stratum(self, name: str) -> str:
        """Return the database that the excerpt was taken from, which the length and start of its number tell."""
        parent = name.removeprefix("sel")
        if parent.startswith("e"):
            return "European ST-T"
        if len(parent) == 2:
            return "sudden death"
        if len(parent) == 5:
            return "long-term and normal sinus rhythm"
        return {"3": "MIT-BIH ST Change", "8": "MIT-BIH Supraventricular"}.get(parent[0], "MIT-BIH Arrhythmia")


def annotated_runs(spans: Spans) -> NDArray[np.int64]:
    """Return the stretches in which every beat is annotated.

    A run ends where the next annotated QRS follows later than 1.5 times the usual interval. It reaches to the marks
    within 0.6 of that interval before its first QRS peak and 0.7 after its last.

    Parameters
    ----------
    spans : Spans
        Marks of one channel.

    Returns
    -------
    runs : ndarray of int64, shape (n_runs, 2)
        Rows (start, stop), half-open: from the first mark to the last one, both included.
    """
    points = np.concatenate([spans.onset, spans.peak, spans.offset])
    marks = points[points >= 0]
    peaks = np.sort(spans.peak[(spans.label == ECG_WAVES.index("QRS")) & (spans.peak >= 0)])
    if not len(marks):
        return np.empty((0, 2), dtype=np.int64)
    if len(peaks) < 2:
        return np.array([[marks.min(), marks.max() + 1]])
    steps = np.diff(peaks)
    usual = np.median(steps)
    runs = []
    for run in np.split(peaks, np.flatnonzero(steps > 1.5 * usual) + 1):
        inside = marks[(marks >= run[0] - 0.6 * usual) & (marks <= run[-1] + 0.7 * usual)]
        runs.append((inside.min(), inside.max() + 1))
    return np.array(runs, dtype=np.int64)
