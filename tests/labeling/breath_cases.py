"""Simulated breathing, and a labeler that learns it in seconds."""

import numpy as np

from mhealth.core import BREATH_PHASES, Annotation, Recording, Spans
from mhealth.labeling import BreathLabeler, TrainingSettings
from mhealth.metrics import score_breaths
from mhealth.simulate import synthetic_respiration

INSPIRATION, EXPIRATION, PAUSE, UNUSABLE = range(len(BREATH_PHASES) + 1)

TINY = TrainingSettings(
    n_atoms=16, n_first=24, n_second=12, n_epochs=6, fewest_steps=150, n_augmented=1, batch_size=4, learning_rate=1e-2
)
"""Learns simulated breaths in a few seconds; of real ones it knows nothing."""


def breathing(seed: int, *, fs: float = 25.0, duration: float = 90.0, **parameters) -> tuple[Recording, Annotation]:
    """Make 10 to 25 breaths a minute with some noise, of a belt or of chest impedance."""
    parameters = {"rate": 10.0 + 5.0 * (seed % 4), "kind": ("belt", "impedance")[seed % 2], "noise": 0.01} | parameters
    return synthetic_respiration(fs=fs, duration=duration, seed=seed, **parameters)


def tiny_breath_labeler(**parameters) -> BreathLabeler:
    """Train on six simulated recordings of four subjects, every second one with a pause."""
    cases = [breathing(seed, pauses=[(30, 50)] if seed % 2 else ()) for seed in range(6)]
    labeler = BreathLabeler(training=TINY, n_simulated=8, **parameters)
    return labeler.fit(*map(list, zip(*cases, strict=True)), groups=["a", "b", "c", "d", "a", "b"])


def phases(spans: Spans) -> list[tuple[int, int, int]]:
    """Return onset, offset and label of every breath and pause."""
    kept = spans.select(spans.label != UNUSABLE)
    return list(zip(kept.onset.tolist(), kept.offset.tolist(), kept.label.tolist(), strict=True))


def breath_f1(labeler: BreathLabeler, cases, tolerance: float = 0.5) -> float:
    """Return the F1 of the ends of inspiration in per cent."""
    return score_breaths([(truth, labeler.label(recording)) for recording, truth in cases]).f1(tolerance)


def check_spans(spans: Spans, n_samples: int) -> None:
    """Check what holds for the spans of any one channel."""
    found = spans.label != UNUSABLE
    assert (spans.onset >= 0).all()
    assert (spans.offset <= n_samples).all()
    assert (spans.onset < spans.offset).all()
    assert (spans.onset[1:] >= spans.offset[:-1]).all()
    assert ((spans.probability[found] >= 0) & (spans.probability[found] <= 1)).all()
    assert np.isnan(spans.probability[~found]).all()
    inspired = spans.label == INSPIRATION
    np.testing.assert_array_equal(spans.peak, np.where(inspired, spans.offset, -1))
