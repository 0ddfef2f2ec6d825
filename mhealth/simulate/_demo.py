"""The recordings that the demonstration labels: an ECG, and the breathing of the same person."""

from __future__ import annotations

from dataclasses import replace

from mhealth.core import Annotation, Recording
from mhealth.simulate._ecg import synthetic_ecg
from mhealth.simulate._faults import add_dropout
from mhealth.simulate._noise import add_noise
from mhealth.simulate._respiration import synthetic_respiration

__all__ = ["demo_recording", "demo_respiration"]

HEART_RATE = 68.0
"""Beats a minute."""


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
        fs=250.0, duration=40.0, leads=("II", "V5"), heart_rate=HEART_RATE, ectopic_beats=(11,), seed=seed
    )
    # The ratios leave P waves visible to the eye, as in a fair ambulatory recording.
    recording = add_noise(recording, "baseline", snr_db=6.0, seed=seed)
    recording = add_noise(recording, "pink", snr_db=20.0, seed=seed + 1)
    recording = add_noise(recording, "mains", snr_db=24.0, seed=seed + 2)
    recording = add_noise(recording, "muscle", snr_db=18.0, seed=seed + 3)
    recording, truth = add_dropout(recording, truth, [(21.0, 23.5)])
    return replace(recording, name="demo"), truth


def demo_respiration(*, seed: int = 0) -> tuple[Recording, Annotation]:
    """Make two minutes of breathing beside `demo_recording`: a sigh, a pause, talking and a movement.

    Parameters
    ----------
    seed : int
        Seed of everything random.

    Returns
    -------
    recording : Recording
        Chest impedance in Ohm at 125 Hz, with the heart rate of the ECG in it. Its first sample is taken together with
        that of the ECG. The sigh lies near 20 s, the pause of 15 s near 35 s, talking from 60 to 90 s, the movement
        from 100 to 104 s.
    annotation : Annotation
        Breaths and pause outside the movement, which is `unusable`; see `synthetic_respiration`.

    Examples
    --------
    >>> recording, truth = demo_respiration(seed=1)
    >>> recording.duration
    120.0
    """
    recording, truth = synthetic_respiration(
        fs=125.0, duration=120.0, kind="impedance", rate_variability=0.1, depth_variability=0.2, heart_rate=HEART_RATE,
        sighs=[20.0], pauses=[(35.0, 50.0)], talking=[(60.0, 90.0)], motion=[(100.0, 104.0)], drift=0.1, noise=0.01,
        seed=seed,
    )  # fmt: skip
    return replace(recording, name="demo"), truth
