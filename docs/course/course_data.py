"""The recordings that the pages of the course read: real ones where they are at hand, else simulated ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_loaders import Ludb
from mhealth.core import Annotation, Recording
from mhealth.simulate import add_noise, synthetic_ecg

__all__ = ["LEADS", "Ecgs", "ecgs", "is_real"]

LEADS = ("I", "II", "III", "V2", "V5")
MOST_SIMULATED = 16


class Ecgs(NamedTuple):
    """Annotated recordings, one a person, and where they are from."""

    recordings: list[Recording]
    annotations: list[Annotation]
    subjects: list[str]
    source: str


def _ludb() -> Path:
    """Return the folder of LUDB: in that of the data sets, MHEALTH_DATA or else shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("MHEALTH_DATA") or beside) / "ludb"


def is_real() -> bool:
    """Return whether LUDB is at hand."""
    return _ludb().is_dir()


def ecgs(count: int) -> Ecgs:
    """Return ten seconds of the leads I, II, III, V2 and V5 of `count` people, with their waves.

    They are records of LUDB, evenly spread. Where LUDB is not at hand they are simulated: with noise, every fifth in
    atrial fibrillation, and 16 at most, since they are much alike.
    """
    if is_real():
        ludb = Ludb(_ludb())
        cases = [ludb.load(ludb.records[k * len(ludb.records) // count]) for k in range(count)]
        source = f"real: {count} records of LUDB {ludb.version} (ODC-By 1.0)"
    else:
        cases = [(*_simulated(k), f"simulated-{k}") for k in range(min(count, MOST_SIMULATED))]
        source = f"simulated: {len(cases)} people by mhealth.simulate"
    of_leads = [_of_leads(recording, annotation) for recording, annotation, _ in cases]
    return Ecgs(
        recordings=[recording for recording, _ in of_leads],
        annotations=[annotation for _, annotation in of_leads],
        subjects=[subject for *_, subject in cases],
        source=source,
    )


def _simulated(seed: int) -> tuple[Recording, Annotation]:
    """Return ten seconds of somebody."""
    rng = np.random.default_rng(seed)
    recording, annotation = synthetic_ecg(
        fs=500,
        duration=10,
        leads=LEADS,
        heart_rate=rng.uniform(50, 100),
        rhythm="atrial fibrillation" if seed % 5 == 4 else "sinus",
        seed=seed,
    )
    for kind, snr_db in (("baseline", 10), ("pink", 15)):
        recording = add_noise(recording, kind, snr_db=snr_db, seed=seed)
    return recording, annotation


def _of_leads(recording: Recording, annotation: Annotation) -> tuple[Recording, Annotation]:
    """Return the five leads under their usual names, and their marks."""
    names = [name.upper() for name in recording.channels]
    columns = [names.index(lead.upper()) for lead in LEADS]
    spans = annotation.spans.select(np.isin(annotation.spans.channel, columns))
    rows = annotation.annotated[np.isin(annotation.annotated[:, 0], columns)].copy()
    rows[:, 0] = [columns.index(column) for column in rows[:, 0]]
    channel = [columns.index(column) for column in spans.channel]
    return (
        replace(recording.pick(columns), channels=LEADS),
        Annotation(spans=replace(spans, channel=channel, channels=LEADS), annotated=rows),
    )
