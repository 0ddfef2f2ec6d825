"""Simulated recordings, and spans as rows that can be compared."""

import numpy as np

from mhealth.core import Annotation, Recording, Spans
from mhealth.labeling import EcgLabeler, TrainingSettings
from mhealth.simulate import add_noise, synthetic_ecg

LEADS = ("I", "II", "V5")

TINY = TrainingSettings(
    n_atoms=24, n_first=32, n_second=16, n_epochs=6, fewest_steps=150, n_augmented=1, batch_size=6, learning_rate=1e-2
)
"""Learns the waves of simulated leads in a few seconds; of real ones it knows nothing."""

UNUSABLE = 3


def ecg(seed: int, *, fs: float = 250.0, duration: float = 20.0, leads=LEADS) -> tuple[Recording, Annotation]:
    """Make leads with some noise, another heart rate for another seed, a ventricular beat now and then."""
    recording, truth = synthetic_ecg(
        fs=fs, duration=duration, leads=leads, heart_rate=50 + 15 * (seed % 6), seed=seed,
        ectopic_beats=(5,) if seed % 3 == 0 else (),
    )  # fmt: skip
    return add_noise(recording, "pink", snr_db=24, seed=seed), truth


def tiny_labeler(**parameters) -> EcgLabeler:
    """Train on six simulated recordings of four subjects."""
    recordings, annotations = zip(*(ecg(seed) for seed in range(6)), strict=True)
    labeler = EcgLabeler(training=TINY, **parameters)
    return labeler.fit(recordings, annotations, groups=["a", "b", "c", "d", "a", "b"])


def record(signals: np.ndarray, fs: float, channels=None) -> Recording:
    """Wrap samples, channels named by position."""
    signals = np.asarray(signals, np.float32)
    return Recording(signals=signals, fs=fs, channels=channels or tuple(str(k) for k in range(signals.shape[1])))


def rows(spans: Spans) -> list[tuple]:
    """Return spans as rows; two lists are equal only if all numbers are, to the bit."""
    points = (spans.onset, spans.peak, spans.offset, spans.label, spans.channel)
    columns = [column.tolist() for column in (*points, np.nan_to_num(spans.probability, nan=-1))]
    return list(zip(*columns, strict=True))


def waves(spans: Spans) -> Spans:
    """Leave out the unusable stretches."""
    return spans.select(spans.label != UNUSABLE)


def unusable(spans: Spans, channel: int) -> list[tuple[int, int]]:
    """Return the unusable stretches of a channel."""
    of = spans.select((spans.label == UNUSABLE) & (spans.channel == channel))
    return list(zip(of.onset.tolist(), of.offset.tolist(), strict=True))


def pushed(stream, chunks) -> Spans:
    """Push chunks, flush, and join what comes out."""
    return Spans.concat([*(stream.push(chunk) for chunk in chunks), stream.flush()])
