"""The signals that all methods are timed on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_loaders import Bidmc, Ludb
from mhealth.core import Recording
from mhealth.io import read_recording
from mhealth.simulate import synthetic_ecg, synthetic_respiration

__all__ = ["BREATH_FS", "FS", "LEADS", "data_folder", "in_records", "real_ecg", "real_respiration"]

FS = 500.0
"""Hz; LUDB's rate, and the one that the requirements name."""

BREATH_FS = 125.0
"""Hz; BIDMC's rate, and the one that the requirements name."""

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")

RECORD = 10.0
"""Seconds of a LUDB record."""

BREATH_RECORD = 8.0
"""Minutes of a BIDMC record."""

_SIMULATED = 300.0
"""Seconds that are simulated at most; longer signals repeat them."""


def data_folder() -> Path:
    """Return the folder of the real recordings."""
    return Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[3] / "shared" / "data")


def real_ecg(leads: Sequence[str], *, minutes: float) -> Recording:
    """Join LUDB's records, the median of each lead taken off, and repeat them until the signal is long enough.

    Where LUDB is not at hand the ECG is simulated; `name` says what the recording is.
    """
    n_samples = round(minutes * 60 * FS)
    folder = data_folder() / "ludb"
    if folder.is_dir():
        ludb = Ludb(folder)
        used = ludb.records[: int(np.ceil(minutes * 60 / RECORD))]
        parts = [read_recording(ludb.path(name), channels=list(leads)).signals for name in used]
        signals = np.concatenate([part - np.median(part, axis=0) for part in parts])
        name = f"LUDB, {len(used)} records joined"
    else:
        duration = min(minutes * 60, _SIMULATED)
        recording, _ = synthetic_ecg(fs=FS, duration=duration, leads=[_standard(lead) for lead in leads])
        signals = recording.signals
        name = f"simulated ECG, since {folder} does not exist (set MHEALTH_DATA)"
    return Recording(
        signals=np.resize(signals, (n_samples, len(leads))),
        fs=FS,
        channels=tuple(leads),
        units=("mV",) * len(leads),
        name=name,
    )


def real_respiration(*, minutes: float) -> Recording:
    """Join the impedance of BIDMC's records, the median of each taken off, and repeat them until it is long enough.

    Where BIDMC is not at hand the signal is simulated; `name` says what the recording is.
    """
    n_samples = round(minutes * 60 * BREATH_FS)
    folder = data_folder() / "bidmc"
    if folder.is_dir():
        bidmc = Bidmc(folder)
        used = bidmc.records[: int(np.ceil(minutes / BREATH_RECORD))]
        parts = [read_recording(bidmc.path(name), channels=["RESP"]).signals for name in used]
        signals = np.concatenate([part - np.median(part, axis=0) for part in parts])
        name = f"BIDMC, {len(used)} records joined"
    else:
        signals = synthetic_respiration(fs=BREATH_FS, duration=min(minutes * 60, _SIMULATED))[0].signals
        name = f"simulated breathing, since {folder} does not exist (set MHEALTH_DATA)"
    return Recording(
        signals=np.resize(signals, (n_samples, 1)), fs=BREATH_FS, channels=("RESP",), units=("",), name=name
    )


def in_records(recording: Recording) -> list[Recording]:
    """Cut a recording into records of LUDB's length, a shorter rest left out."""
    length = int(RECORD * recording.fs)
    starts = range(0, recording.n_samples - length + 1, length)
    return [replace(recording, signals=recording.signals[start : start + length]) for start in starts]


def _standard(lead: str) -> str:
    """Return a lead's name as the simulation writes it: aVF, V1, II."""
    return lead.upper().replace("AV", "aV")
