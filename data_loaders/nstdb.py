"""MIT-BIH Noise Stress Test Database: recorded noise, and MIT-BIH records with that noise added."""

from __future__ import annotations

import numpy as np

from data_loaders._base import PhysioNetDataset
from data_loaders.mitdb import beat_annotation, mitdb_subject
from mhealth.core import ECG_WAVES, Annotation, Recording, Spans

__all__ = ["Nstdb"]

NOISE = {"bw": "baseline wander", "em": "electrode motion", "ma": "muscle artefact"}


class Nstdb(PhysioNetDataset):
    """MIT-BIH Noise Stress Test Database.

    Records of noise carry no marks; ECG records those of the MIT-BIH record they were made from.

    Parameters
    ----------
    data : path-like
        Folder with the records.
    """

    database = "nstdb"
    version = "1.0.0"
    citation = (
        "Moody, Muldrow & Mark (1984). A noise stress test for arrhythmia detectors. "
        "Computers in Cardiology 11, 381-384. https://doi.org/10.13026/C2HS3T"
    )
    published = ("bw.*", "em.*", "ma.*", "11[89]e*")
    megabytes = 29
    units = "mV"  # the noise records have gain 0, for which WFDB defines 200 a unit; all other records are in mV

    def annotators(self, name: str) -> tuple[str, ...]:
        """Return the reference annotator of ECG records, none for noise."""
        return () if name in NOISE else ("atr",)

    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the QRS peaks, or no marks for noise."""
        if name not in NOISE:
            return beat_annotation(self.path(name), recording)
        none = Spans.empty(fs=recording.fs, channels=recording.channels, classes=ECG_WAVES)
        return Annotation(spans=none, annotated=np.empty((0, 3), dtype=np.int64))

    def subject(self, name: str) -> str:
        """Return the MIT-BIH subject whose ECG this is, or the noise."""
        return f"nstdb-{name}" if name in NOISE else mitdb_subject(name.split("e")[0])

    def stratum(self, name: str) -> str:
        """Return the kind of noise, or that this is a noisy ECG."""
        return NOISE.get(name, "ECG with electrode motion")

    def _index(self) -> str:
        return "em.hea"

    def _entries(self) -> list[str]:
        return sorted(header.stem for header in self.folder.glob("*.hea"))
