"""The recording that the demonstration labels."""

from __future__ import annotations

from dataclasses import replace

from mhealth.core import Annotation, Recording
from mhealth.simulate._ecg import synthetic_ecg
from mhealth.simulate._faults import add_dropout
from mhealth.simulate._noise import add_noise

__all__ = ["demo_recording"]


def demo_recording(*, seed: int = 0) -> tuple[Recording, Annotation]:
    """Make 40 s of a two-lead ECG as a wearable might record it: noise, a dropout, a ventricular ectopic beat.

    Parameters
    ----------
    seed : int
        Seed of everything random.

    Returns
    -------
    recording : Recording
        Leads II and V5 in mV at 250 Hz; nothing is recorded from 21 to 23.5 s.
    annotation : Annotation
        All waves outside the dropout; see `synthetic_ecg`.

    Examples
    --------
    >>> recording, truth = demo_recording(seed=1)
    >>> recording.duration
    40.0
    """
    recording, truth = synthetic_ecg(
        fs=250.0, duration=40.0, leads=("II", "V5"), heart_rate=68.0, ectopic_beats=(11,), seed=seed
    )
    # The ratios leave P waves visible to the eye, as in a fair ambulatory recording.
    recording = add_noise(recording, "baseline", snr_db=6.0, seed=seed)
    recording = add_noise(recording, "pink", snr_db=20.0, seed=seed + 1)
    recording = add_noise(recording, "mains", snr_db=24.0, seed=seed + 2)
    recording = add_noise(recording, "muscle", snr_db=18.0, seed=seed + 3)
    recording, truth = add_dropout(recording, truth, [(21.0, 23.5)])
    return replace(recording, name="demo"), truth
