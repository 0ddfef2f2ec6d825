"""Noise, faults and the demonstration recording."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from mhealth.core import Gap, Recording
from mhealth.dsp import Reason, SignalQuality, unusable_spans
from mhealth.errors import InvalidParameterError
from mhealth.simulate import (
    NoiseKind,
    add_dropout,
    add_flat,
    add_noise,
    add_saturation,
    demo_recording,
    synthetic_ecg,
)

FS = 250.0
KINDS = get_args(NoiseKind)


@pytest.fixture(scope="module")
def clean():
    return synthetic_ecg(fs=FS, duration=30, seed=1)


def added(recording: Recording, kind: str, **options) -> np.ndarray:
    return add_noise(recording, kind, **options).signals.astype(np.float64) - recording.signals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("snr_db", [-6.0, 20.0])
def test_noise_has_the_power_asked_for_in_every_channel(clean, kind, snr_db):
    recording, _ = clean
    ratio = recording.signals.astype(np.float64).var(axis=0) / (added(recording, kind, snr_db=snr_db) ** 2).mean(axis=0)
    np.testing.assert_allclose(10 * np.log10(ratio), snr_db, atol=0.01)


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [("white", 20, 110), ("baseline", 0, 0.6), ("mains", 49, 51), ("motion", 0, 10), ("muscle", 18, 125)],
)
def test_noise_lies_in_its_band(clean, kind, lowest, highest):
    spectrum = np.abs(np.fft.rfft(added(clean[0], kind, snr_db=0), axis=0)) ** 2
    frequency = np.fft.rfftfreq(clean[0].n_samples, 1 / FS)
    inside = spectrum[(frequency >= lowest) & (frequency <= highest)].sum(axis=0) / spectrum.sum(axis=0)
    assert (inside > (0.65 if kind == "white" else 0.95)).all()


def test_pink_noise_has_equal_power_in_every_octave():
    silent = Recording(signals=np.tile([1.0, -1.0], 30_000)[:, None], fs=FS, channels=("II",))
    power = np.abs(np.fft.rfft(added(silent, "pink", snr_db=0)[:, 0])) ** 2
    frequency = np.fft.rfftfreq(60_000, 1 / FS)
    octaves = [power[(frequency >= f) & (frequency < 2 * f)].sum() for f in (2, 4, 8, 16, 32)]
    np.testing.assert_allclose(octaves / np.mean(octaves), 1, atol=0.25)  # 480 bins in the lowest octave: SD 5 %


def test_mains_follows_its_frequency(clean):
    spectrum = np.abs(np.fft.rfft(added(clean[0], "mains", snr_db=0, mains=60.0)[:, 0]))
    assert np.fft.rfftfreq(clean[0].n_samples, 1 / FS)[spectrum.argmax()] == 60


@pytest.mark.parametrize("kind", KINDS)
def test_noise_repeats_with_its_seed_and_differs_between_seeds_and_channels(clean, kind):
    recording, _ = clean
    one = added(recording, kind, snr_db=0, seed=3)
    np.testing.assert_array_equal(one, added(recording, kind, snr_db=0, seed=3))
    assert not np.allclose(one, added(recording, kind, snr_db=0, seed=4))
    assert abs(np.corrcoef(one.T)[0, 1]) < 0.99


def test_noise_leaves_missing_samples_missing_and_the_input_as_it_is(clean):
    recording, truth = clean
    holed, _ = add_dropout(recording, truth, [(3, 4)])
    before = holed.signals.copy()
    noisy = add_noise(holed, "white", snr_db=10)
    np.testing.assert_array_equal(np.isnan(noisy.signals), np.isnan(before))
    np.testing.assert_array_equal(holed.signals, before)
    assert noisy.gaps == holed.gaps


def test_a_dropout_is_missing_and_its_waves_are_forgotten(clean):
    recording, truth = clean
    holed, remaining = add_dropout(recording, truth, [(10.0, 12.0), (11.5, 13.0)])
    start, stop = 2500, 3250
    assert np.isnan(holed.signals[start:stop]).all()
    np.testing.assert_array_equal(
        np.delete(holed.signals, np.s_[start:stop], 0), np.delete(recording.signals, np.s_[start:stop], 0)
    )
    assert holed.gaps == (Gap(start, stop),)
    spans = truth.spans
    outside = (spans.offset <= start) | (spans.onset >= stop)
    np.testing.assert_array_equal(remaining.spans.onset, spans.onset[outside])
    assert 0 < len(remaining.spans) < len(spans)


def test_a_wave_cut_by_a_fault_is_neither_truth_nor_background(clean):
    recording, truth = clean
    qrs = truth.spans.of(label="QRS", channel="II")
    middle = int(qrs.peak[5])
    _, remaining = add_flat(recording, truth, [(middle / FS, middle / FS + 1.0)], channel=1)
    rows = remaining.annotated
    assert [row.tolist() for row in rows if row[0] == 0] == [[0, 0, recording.n_samples]]
    (_, first, end), (_, resumed, last) = (row.tolist() for row in rows if row[0] == 1)
    assert (first, end, last) == (0, qrs.onset[5], recording.n_samples)
    assert resumed >= middle + 250
    assert qrs.peak[5] not in remaining.spans.of(channel="II").peak
    assert qrs.peak[5] - 1 <= truth.spans.of(label="QRS", channel="I").peak[5], "the other lead keeps its truth"
    for row in rows:
        inside = remaining.spans.channel == row[0]
        assert not (inside & (remaining.spans.onset < row[1]) & (remaining.spans.offset > row[1])).any()


def test_flat_and_saturated_stretches_are_what_signal_quality_calls_so(clean):
    recording, truth = clean
    recording = add_noise(recording, "white", snr_db=30)
    recording, truth = add_flat(recording, truth, [(8.0, 9.0)], channel=0)
    recording, truth = add_saturation(recording, truth, [(20.0, 22.0)], channel=0)
    start, stop, reason = unusable_spans(SignalQuality().codes(recording.signals[:, 0], fs=FS))
    assert reason.tolist() == [Reason.FLAT, Reason.SATURATED]
    np.testing.assert_allclose(start, [2000, 5000], atol=2)
    np.testing.assert_allclose(stop, [2250, 5500], atol=2)
    assert not SignalQuality().codes(recording.signals[:, 1], fs=FS).any()


@pytest.mark.parametrize("add", [add_dropout, add_flat, add_saturation])
def test_faults_outside_the_recording_are_named(clean, add):
    with pytest.raises(InvalidParameterError, match=r"stretch \(29, 31\)"):
        add(*clean, [(29, 31)])
    with pytest.raises(InvalidParameterError, match="channel=2"):
        add(*clean, [(1, 2)], channel=2)


def test_unknown_noise_is_named(clean):
    with pytest.raises(InvalidParameterError, match="kind='brown'"):
        add_noise(clean[0], "brown", snr_db=0)
    with pytest.raises(InvalidParameterError, match="snr_db=nan"):
        add_noise(clean[0], "white", snr_db=float("nan"))


@pytest.mark.parametrize("seed", range(5))
def test_the_demonstration_shows_a_dropout_an_ectopic_beat_and_nothing_else_unusable(seed):
    recording, truth = demo_recording(seed=seed)
    again, _ = demo_recording(seed=seed)
    assert recording.signals.tobytes() == again.signals.tobytes()
    assert recording.gaps == (Gap(5250, 5875),)
    for lead in recording.signals.T:
        codes = SignalQuality().codes(lead, fs=recording.fs)
        assert set(codes[:5250]) | set(codes[5875:]) == {Reason.USABLE}
        assert set(codes[5250:5875]) == {Reason.DROPOUT}
    qrs = truth.spans.of(label="QRS", channel="II")
    assert ((qrs.offset - qrs.onset) / recording.fs > 0.13).sum() == 1
