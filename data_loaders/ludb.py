"""LUDB: 200 twelve-lead ECGs of ten seconds, every wave bracketed by cardiologists in every lead."""

from __future__ import annotations

import csv
from functools import cached_property

from data_loaders._base import PhysioNetDataset, marked_stretches
from mhealth.core import Annotation, Recording, Spans
from mhealth.io import read_bracket_annotation

__all__ = ["Ludb"]

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")

RHYTHM_GROUPS = {
    "Sinus rhythm": "sinus rhythm",
    "Sinus bradycardia": "sinus bradycardia",
    "Atrial fibrillation": "atrial fibrillation or flutter",
    "Atrial flutter, typical": "atrial fibrillation or flutter",
}
"""First rhythm of a record to its group; all others are rare sinus rhythms. Each group then fills five folds."""


class Ludb(PhysioNetDataset):
    """Lobachevsky University Electrocardiography Database.

    Marks are complete, lead by lead, from the first mark to the last; the first and last beats were left out.

    Parameters
    ----------
    data : path-like
        Folder with `RECORDS`, `ludb.csv` and `data/`.
    """

    database = "ludb"
    version = "1.0.1"
    citation = (
        "Kalyakulina et al. (2020). LUDB: A New Open-Access Validation Tool for Electrocardiogram Delineation "
        "Algorithms. IEEE Access 8, 186181-186190. https://doi.org/10.1109/ACCESS.2020.3029211"
    )
    published = ("ludb.csv", "data/*")
    megabytes = 25

    def annotators(self, name: str) -> tuple[str, ...]:
        """Return one suffix a lead."""
        return LEADS

    def annotation(self, name: str, recording: Recording) -> Annotation:
        """Return the marks of all leads."""
        spans = Spans.concat(
            read_bracket_annotation(
                self.path(name), lead.lower(), fs=recording.fs, channels=recording.channels, columns=[column]
            )
            for column, lead in enumerate(recording.channels)
        )
        return Annotation(spans=spans, annotated=marked_stretches(spans))

    def subject(self, name: str) -> str:
        """Return the subject: every record shows another person."""
        return f"ludb-{name}"

    def stratum(self, name: str) -> str:
        """Return the rhythm group."""
        return RHYTHM_GROUPS.get(self.rhythm(name), "other sinus rhythm")

    def rhythm(self, name: str) -> str:
        """Return the rhythm that the publisher names first, for example ``"Sinus rhythm"``."""
        return self._rhythms[name]

    @cached_property
    def _rhythms(self) -> dict[str, str]:
        with open(self.folder / "ludb.csv", newline="", encoding="utf-8-sig") as file:
            return {row["ID"].strip(): row["Rhythms"].strip().splitlines()[0] for row in csv.DictReader(file)}
