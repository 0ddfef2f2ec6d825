"""Signals with known truth: synthetic ECG and breathing, the noise of wearing a recorder, and its faults."""

from mhealth.simulate._demo import demo_recording, demo_respiration
from mhealth.simulate._ecg import Rhythm, synthetic_ecg
from mhealth.simulate._faults import add_dropout, add_flat, add_saturation
from mhealth.simulate._noise import NoiseKind, add_noise
from mhealth.simulate._respiration import RespirationKind, random_stretches, synthetic_respiration

__all__ = [
    "NoiseKind",
    "RespirationKind",
    "Rhythm",
    "add_dropout",
    "add_flat",
    "add_noise",
    "add_saturation",
    "demo_recording",
    "demo_respiration",
    "random_stretches",
    "synthetic_ecg",
    "synthetic_respiration",
]
