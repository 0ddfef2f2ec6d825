"""Signals with known truth: synthetic ECG, the noise of wearing a recorder, and its faults."""

from mhealth.simulate._demo import demo_recording
from mhealth.simulate._ecg import Rhythm, synthetic_ecg
from mhealth.simulate._faults import add_dropout, add_flat, add_saturation
from mhealth.simulate._noise import NoiseKind, add_noise

__all__ = [
    "NoiseKind",
    "Rhythm",
    "add_dropout",
    "add_flat",
    "add_noise",
    "add_saturation",
    "demo_recording",
    "synthetic_ecg",
]
