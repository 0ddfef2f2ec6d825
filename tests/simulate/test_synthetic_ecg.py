"""The synthetic ECG: its truth is where its waves are."""

from __future__ import annotations

import numpy as np
import pytest

from mhealth.errors import InvalidParameterError
from mhealth.simulate import synthetic_ecg

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize("fs", [128.0, 250.0, 977.0])
def test_the_peak_of_every_wave_is_an_extremum_of_the_signal(fs):
    recording, truth = synthetic_ecg(fs=fs, duration=20, ectopic_beats=(7,), seed=4)
    spans = truth.spans
    assert len(spans) > 100
    for onset, peak, offset, channel in zip(spans.onset, spans.peak, spans.offset, spans.channel, strict=True):
        wave = np.abs(recording.signals[onset:offset, channel])
        assert onset <= peak < offset
        assert abs(onset + wave.argmax() - peak) <= 1, "only the tails of its neighbours may shift an extremum"


def test_a_wave_has_five_percent_of_its_height_at_its_edges_and_less_outside():
    recording, truth = synthetic_ecg(fs=1000.0, duration=20, leads=("II",), seed=1)
    signal = recording.signals[:, 0]
    p_waves = truth.spans.of(label="P")
    height = signal[p_waves.peak]
    np.testing.assert_allclose(signal[p_waves.onset] / height, 0.05, atol=0.01)  # 1 ms of slope is 0.006
    assert (signal[p_waves.onset - 2] < 0.05 * height).all()
    assert (signal[p_waves.onset] >= 0.05 * height - 1e-6).all()


def test_an_upright_lead_shows_waves_of_the_usual_height_and_length():
    recording, truth = synthetic_ecg(fs=500.0, duration=30, leads=("II",), heart_rate=60, variability=0, seed=0)
    signal = recording.signals[:, 0]
    for label, height, length in (("P", 0.15, 0.098), ("QRS", 1.0, 0.089), ("T", 0.3, 0.220)):
        waves = truth.spans.of(label=label)
        np.testing.assert_allclose(signal[waves.peak], height, rtol=0.03)
        # Respiration changes the RR interval by 3 %, the length of P and T by half of that; samples are 2 ms.
        np.testing.assert_allclose((waves.offset - waves.onset) / 500.0, length, atol=0.007)


def test_the_rate_is_the_one_asked_for_and_breathing_moves_it():
    _, truth = synthetic_ecg(fs=250.0, duration=120, leads=("II",), heart_rate=90, seed=3)
    rr = np.diff(truth.spans.of(label="QRS").peak) / 250.0
    assert abs(60 / rr.mean() - 90) < 1
    assert 0.015 < rr.std() / rr.mean() < 0.05


def test_an_ectopic_beat_is_early_wide_opposite_without_p_and_followed_by_a_pause():
    fs = 500.0
    recording, truth = synthetic_ecg(fs=fs, duration=20, leads=("II",), variability=0, ectopic_beats=(6,), seed=0)
    qrs, p_waves, t_waves = (truth.spans.of(label=label) for label in ("QRS", "P", "T"))
    rr = np.diff(qrs.peak) / np.median(np.diff(qrs.peak))
    assert rr[5] < 0.8
    assert rr[6] > 1.2
    assert abs(rr[5] + rr[6] - 2) < 0.1, "the pause is compensatory"
    length = (qrs.offset - qrs.onset) / fs
    assert length[6] > 0.14 > 0.1 > np.delete(length, 6).max()
    assert recording.signals[t_waves.peak[6], 0] < 0 < recording.signals[qrs.peak[6], 0]
    assert len(p_waves) == len(qrs) - 1
    assert not ((p_waves.onset > qrs.onset[5]) & (p_waves.onset < qrs.onset[6])).any()


def test_atrial_fibrillation_has_no_p_irregular_beats_and_a_wavy_baseline():
    recording, truth = synthetic_ecg(fs=250.0, duration=120, leads=("V1",), rhythm="atrial fibrillation", seed=5)
    assert len(truth.spans.of(label="P")) == 0
    qrs, t_waves = truth.spans.of(label="QRS"), truth.spans.of(label="T")
    rr = np.diff(qrs.peak)
    assert 0.15 < rr.std() / rr.mean() < 0.3
    quiet = np.concatenate([recording.signals[a:b, 0] for a, b in zip(t_waves.offset[:-1], qrs.onset[1:], strict=True)])
    assert 0.03 < quiet.std() < 0.15


def test_limb_leads_follow_from_two_of_them():
    recording, truth = synthetic_ecg(fs=250.0, duration=10, leads=TWELVE, seed=2)
    lead = dict(zip(recording.channels, recording.signals.T.astype(np.float64), strict=True))
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=1e-6)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-6)
    n_waves = [len(truth.spans.of(channel=name)) for name in TWELVE]
    assert len(set(n_waves)) == 1, "every wave is given in every lead"
    assert recording.units == ("mV",) * 12


@pytest.mark.parametrize("heart_rate", [30.0, 150.0])
@pytest.mark.parametrize("rhythm", ["sinus", "atrial fibrillation"])
def test_waves_follow_one_another_without_overlap_inside_the_recording(heart_rate, rhythm):
    recording, truth = synthetic_ecg(fs=250.0, duration=60, leads=("II",), heart_rate=heart_rate, rhythm=rhythm, seed=9)
    spans = truth.spans
    assert (spans.onset[1:] >= spans.offset[:-1]).all()
    assert spans.onset[0] >= 0
    assert spans.offset[-1] <= recording.n_samples
    expected = ["P", "QRS", "T"] if rhythm == "sinus" else ["QRS", "T"]
    texts = [spans.classes[code] for code in spans.label]
    assert texts == expected * (len(texts) // len(expected))


def test_the_signal_ends_as_it_began_where_no_beat_fits_any_more():
    recording, truth = synthetic_ecg(fs=250.0, duration=9.7, leads=("II",), seed=0)
    after = recording.signals[truth.spans.offset[-1] + 30 :, 0]
    assert np.abs(after).max(initial=0) < 0.01
    np.testing.assert_array_equal(truth.annotated, [[0, 0, 2425]])


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    first, truth = synthetic_ecg(fs=250.0, duration=10, seed=1)
    again, truth_again = synthetic_ecg(fs=250.0, duration=10, seed=1)
    other, _ = synthetic_ecg(fs=250.0, duration=10, seed=2)
    assert first.signals.tobytes() == again.signals.tobytes()
    np.testing.assert_array_equal(truth.spans.onset, truth_again.spans.onset)
    assert (first.signals != other.signals).any()


@pytest.mark.parametrize("duration", [0.1, 0.5, 1.0])
def test_a_recording_too_short_for_a_beat_has_no_waves(duration):
    recording, truth = synthetic_ecg(fs=100.0, duration=duration, heart_rate=40, seed=0)
    assert recording.n_samples == round(100 * duration)
    assert len(truth.spans) == 0 or duration == 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"duration": 0}, "duration=0"),
        ({"leads": "II"}, "leads='II'"),
        ({"leads": ("II", "X")}, "leads="),
        ({"heart_rate": 300}, "heart_rate=300"),
        ({"variability": 1}, "variability=1"),
        ({"rhythm": "flutter"}, "rhythm='flutter'"),
        ({"ectopic_beats": (0,)}, "beat 0 has none before it"),
        ({"ectopic_beats": (3,), "rhythm": "atrial fibrillation"}, "early only in sinus rhythm"),
        ({"fs": -1}, "fs=-1"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(InvalidParameterError, match=message):
        synthetic_ecg(**{"fs": 250.0, "duration": 10.0, **wrong})
