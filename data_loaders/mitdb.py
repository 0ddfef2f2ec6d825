"""MIT-BIH Arrhythmia Database: 48 half-hour two-channel ECGs with every beat marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_loaders._base import PhysioNetDataset
from mhealth.core import ECG_WAVES, Annotation, Recording, Spans
from mhealth.io import BEAT_SYMBOLS, read_annotation

__all__ = ["Mitdb", "beat_annotation", "mitdb_subject"]


class Mitdb(PhysioNetDataset):
    """MIT-BIH Arrhythmia Database.

    QRS complexes are marked by a point near their peak; P and T waves are not marked, so no stretch counts as
    annotated.

    Parameters
    ----------
    data : path-like
        Folder with `RECORDS` and the records.
    """

    database = "mitdb"
    version = "1.0.0"
    citation = (
        "Moody & Mark (2001). The impact of the MIT-BIH Arrhythmia Database. "
        "IEEE Eng in Med and Biol 20(3), 45-50. https://doi.org/10.13026/C2F305"
    )
    published = ("[12]??.hea", "[12]??.dat", "[12]??.atr")
    megabytes = 94

    def annotators(self, name: str) -> tuple[str, ...]:
        """Return the reference annotator."""
        return ("atr",)

    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the QRS peaks, given for every channel: the experts saw all of them."""
        return beat_annotation(self.path(name), recording)

    def flutter(self, name: str) -> list[tuple[int, int]]:
        """Return the episodes of ventricular flutter, in which no beats are marked.

        Returns
        -------
        episodes : list of (first, last)
            Samples of the marks ``[`` and ``]``, both inside the episode.
        """
        samples, symbols = read_annotation(self.path(name), "atr")
        starts, stops = (samples[np.array(symbols) == symbol].tolist() for symbol in "[]")
        return list(zip(starts, stops, strict=True))

    def subject(self, name: str) -> str:
        """Return the subject; 201 and 202 are one person."""
        return mitdb_subject(name)

    def stratum(self, name: str) -> str:
        """Return which of the publisher's two groups a record is in: the 200s were chosen for rare arrhythmias."""
        return "200s: rare arrhythmias" if name.startswith("2") else "100s: drawn at random"


def mitdb_subject(name: str) -> str:
    """Return the subject of a MIT-BIH record, under which other data sets show excerpts of it too."""
    return "mitdb-201" if name == "202" else f"mitdb-{name}"


def beat_annotation(path: Path, recording: Recording) -> Annotation:
    """Return the beats of an annotation file `atr` as QRS waves of which only the peak is known."""
    samples, symbols = read_annotation(path, "atr")
    beats = samples[[symbol in BEAT_SYMBOLS for symbol in symbols]]
    n_channels = len(recording.channels)
    peak = np.tile(beats, n_channels)
    unknown = np.full(len(peak), -1)
    spans = Spans(
        onset=unknown,
        peak=peak,
        offset=unknown,
        label=np.full(len(peak), ECG_WAVES.index("QRS")),
        channel=np.repeat(np.arange(n_channels), len(beats)),
        probability=np.full(len(peak), np.nan),
        fs=recording.fs,
        channels=recording.channels,
        classes=ECG_WAVES,
    )
    return Annotation(spans=spans, annotated=np.empty((0, 3), dtype=np.int64))
