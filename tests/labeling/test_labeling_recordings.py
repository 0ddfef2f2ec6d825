"""Whole recordings: units, polarity, rates, several leads, and everything that can be wrong with a signal."""

from dataclasses import replace

import numpy as np
import pytest
from labeling_cases import LEADS, UNUSABLE, ecg, record, rows, unusable, waves
from sklearn.base import clone

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.labeling import EcgLabeler
from mhealth.metrics import sample_agreement, score_delineation
from mhealth.simulate import add_noise, synthetic_ecg

SEEDS = range(20, 24)


def with_(labeler, **parameters):
    """Return a labeler that shares what was learned, with other parameters."""
    other = clone(labeler).set_params(**parameters)
    other.model_ = labeler.model_
    return other


def scaled(recording: Recording, factor: float) -> Recording:
    return replace(recording, signals=recording.signals * np.float32(factor))


def f1(labeler, cases) -> float:
    """Return the macro F1 at 150 ms in per cent."""
    return score_delineation([(truth, labeler.label(recording)) for recording, truth in cases]).macro()


def points(spans: Spans) -> np.ndarray:
    """Return label, channel and the three points of each wave, in seconds."""
    found = waves(spans)
    samples = np.stack([found.onset, found.peak, found.offset], axis=1) / found.fs
    return np.column_stack([found.label, found.channel, samples])


def test_simulated_waves_are_found(labeler):
    assert f1(labeler, [ecg(seed) for seed in SEEDS]) > 95


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**-3, 4.0, 2.0**12])
def test_a_power_of_two_changes_nothing(labeler, factor):
    recording, _ = ecg(20)
    assert rows(labeler.label(scaled(recording, factor))) == rows(labeler.label(recording))


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e3), ("V", 1e-3), ("nV", 1e6)])
def test_the_unit_does_not_matter_but_for_rounding(labeler, unit, factor):
    for seed in SEEDS:
        recording, _ = ecg(seed)
        other = replace(scaled(recording, factor), units=(unit,) * 3)
        agreement = sample_agreement(labeler.label(recording), labeler.label(other), recording.n_samples)
        assert agreement > 0.998


def test_an_offset_of_the_baseline_does_not_matter_but_for_rounding(labeler):
    recording, _ = ecg(21)
    moved = replace(recording, signals=recording.signals + np.float32(5.0))
    assert sample_agreement(labeler.label(recording), labeler.label(moved), recording.n_samples) > 0.998


def test_an_inverted_lead_is_labelled_as_well(labeler):
    cases = [ecg(seed) for seed in SEEDS]
    upright = f1(labeler, cases)
    inverted = f1(labeler, [(scaled(recording, -1), truth) for recording, truth in cases])
    assert inverted > upright - 1


@pytest.mark.parametrize("fs", [128.0, 200.0, 250.0, 360.0, 1000.0])
def test_waves_stay_where_they_are_at_another_rate(labeler, fs):
    """Of the pairs that a labelling at another rate shares, nearly all lie within a sample of the lower rate + 4 ms."""
    tolerance = 1 / min(fs, 500.0) + 0.004
    errors, n_waves, n_other = [], 0, 0
    for seed in SEEDS:
        # The same heart: noise would not be the same at another rate.
        first, second = (
            labeler.label(
                synthetic_ecg(fs=rate, duration=20, leads=LEADS, heart_rate=60 + 5 * (seed % 4), seed=seed)[0]
            )
            for rate in (500.0, fs)
        )
        at, other = points(first), points(second)
        n_waves, n_other = n_waves + len(at), n_other + len(other)
        for row in at:
            same = other[(other[:, 0] == row[0]) & (other[:, 1] == row[1])]
            errors.append(np.abs(same[:, 2:] - row[2:]).max(axis=1).min() if len(same) else np.inf)
    assert abs(n_other - n_waves) <= 0.02 * n_waves
    assert np.mean(np.array(errors) <= tolerance) > 0.97
    assert np.mean(np.array(errors) <= 2 * tolerance) > 0.98


def test_all_leads_get_the_same_waves(labeler):
    recording, _ = ecg(22)
    spans = waves(labeler.label(recording))
    labels = [spans.label[spans.channel == k].tolist() for k in range(3)]
    assert labels[0] == labels[1] == labels[2]
    onsets = np.stack([spans.onset[spans.channel == k] for k in range(3)]) / recording.fs
    assert np.ptp(onsets, axis=0).max() <= 2 * 0.06 + 1 / recording.fs
    assert np.ptp(onsets, axis=0).max() > 0


def test_one_of_several_leads_works_alone(labeler):
    cases = [ecg(seed) for seed in SEEDS]
    for k in range(3):
        lead = [labeler.label(recording.pick([k])) for recording, _ in cases]
        score = score_delineation([(t, s) for (_, t), s in zip(cases, lead, strict=True)], channels=[LEADS[k]])
        assert score.macro() > 90


def test_independent_leads_are_each_labelled_as_if_alone(labeler):
    recording, _ = ecg(22)
    spans = with_(labeler, leads="independent").label(recording)
    for k in range(3):
        alone = labeler.label(recording.pick([k]))
        together = spans.select(spans.channel == k)
        assert [row[:4] for row in rows(together)] == [row[:4] for row in rows(alone)]


@pytest.mark.parametrize("trouble", ["dropout", "flat", "noise", "saturated"])
def test_a_lead_that_drops_out_does_not_harm_the_others(labeler, trouble, rng):
    harm = []
    for seed in SEEDS:
        recording, truth = ecg(seed)
        part = (bad := recording.signals.copy())[1500:3200, 1]
        part[:] = {
            "dropout": np.nan,
            "flat": part[0],
            "noise": rng.normal(0, 3, len(part)),
            "saturated": 4.0,
        }[trouble]
        spans = labeler.label(replace(recording, signals=bad))
        found = unusable(spans, 1)
        assert sum(min(b, 3200) - max(a, 1500) for a, b in found if b > 1500 and a < 3200) > 0.6 * 1700
        assert not unusable(spans, 0)
        before = labeler.label(recording)
        scores = [score_delineation([(truth, s)], channels=["I", "V5"]).macro() for s in (before, spans)]
        harm.append(scores[0] - scores[1])
        lead = waves(spans.select(spans.channel == 1))
        assert np.count_nonzero(lead.onset > 3200 + 2.5 * 250) > 5
    assert np.mean(harm) < 2


def test_a_lead_without_any_sample_leaves_the_others_as_they_are(labeler):
    recording, _ = ecg(23)
    empty = np.full((recording.n_samples, 1), np.nan, np.float32)
    spans = labeler.label(record(np.hstack([recording.signals[:, :2], empty]), 250.0))
    two = labeler.label(record(recording.signals[:, :2], 250.0))
    assert unusable(spans, 2) == [(0, recording.n_samples)]
    assert rows(spans.select(spans.channel < 2)) == rows(two)


def test_two_channels_may_share_a_name(labeler):
    recording, _ = ecg(20)
    spans = labeler.label(replace(recording, channels=("ECG", "ECG", "V5")))
    assert [row[:5] for row in rows(spans)] == [row[:5] for row in rows(labeler.label(recording))]
    assert set(spans.to_frame().channel) == {"0", "1", "V5"}


def test_the_lag_hardly_changes_what_viterbi_finds(labeler):
    agreement = []
    for seed in SEEDS:
        recording, _ = ecg(seed)
        recording = add_noise(recording, "muscle", snr_db=12, seed=seed)
        whole = with_(labeler, lag=None).label(recording)
        agreement.append(sample_agreement(labeler.label(recording), whole, recording.n_samples))
    assert np.mean(agreement) >= 0.995


def test_a_lag_longer_than_the_recording_is_viterbi(labeler):
    signals = ecg(21)[0].signals.copy()
    signals[2000:2300] = np.nan
    signals[3500:3540, 0] = np.nan
    whole = with_(labeler, lag=None).label(record(signals, 250.0))
    late = with_(labeler, lag=1e3).label(record(signals, 250.0))
    assert [row[:5] for row in rows(late)] == [row[:5] for row in rows(whole)]
    np.testing.assert_allclose(late.probability, whole.probability, atol=1e-4)


def test_a_shorter_lag_is_allowed(labeler):
    recording, truth = ecg(21)
    score = score_delineation([(truth, with_(labeler, lag=0.4).label(recording))])
    assert score.macro() > 60


@pytest.mark.parametrize("fs", [50.0, 99.9, 2000.1, 4000.0])
def test_rates_out_of_range_are_refused_with_a_remedy(labeler, fs):
    with pytest.raises(InvalidParameterError, match=r"outside 100 to 2000 Hz.*Resample"):
        labeler.label(record(np.zeros((1000, 1)), fs))
    with pytest.raises(InvalidParameterError, match="outside 100 to 2000 Hz"):
        labeler.open(fs=fs, channels=("II",))


@pytest.mark.parametrize("fs", [100.0, 2000.0])
def test_the_outermost_rates_work(labeler, fs):
    cases = [ecg(seed, fs=fs) for seed in (20, 21)]
    assert f1(labeler, cases) > 90


def test_an_empty_recording_is_refused(labeler):
    with pytest.raises(InvalidSignalError, match=r"0 (samples|channels)"):
        labeler.label(record(np.empty((0, 2)), 250.0))
    with pytest.raises(InvalidSignalError, match=r"0 (samples|channels)"):
        labeler.label(Recording(signals=np.empty((100, 0)), fs=250.0, channels=()))


@pytest.mark.parametrize("n_samples", [1, 2, 3, 10, 100, 250, 483, 484, 485, 486, 600])
@pytest.mark.parametrize("lag", [1.5, None])
def test_short_recordings_are_labelled_as_far_as_they_go(labeler, n_samples, lag):
    recording, _ = ecg(20)
    spans = with_(labeler, lag=lag).label(record(recording.signals[:n_samples], 250.0))
    assert (spans.offset <= n_samples).all()
    if n_samples >= 250:
        assert len(spans) > 0
    if n_samples <= 10:
        assert len(spans) == 0


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("n_samples", [1, 40, 1000])
def test_a_recording_without_samples_is_one_unusable_stretch(labeler, fs, n_samples):
    spans = labeler.label(record(np.full((n_samples, 2), np.nan), fs))
    assert [row[:5] for row in rows(spans)] == [(0, -1, n_samples, UNUSABLE, k) for k in range(2)]


@pytest.mark.parametrize(("start", "stop"), [(0, 700), (4300, 5000), (2000, 2001), (1999, 2600)])
def test_missing_samples_are_reported_to_the_sample(labeler, start, stop):
    signals = ecg(20)[0].signals.copy()
    signals[start:stop] = np.nan
    spans = labeler.label(record(signals, 250.0))
    for k in range(3):
        assert unusable(spans, k) == [(start, stop)]


def test_a_flat_lead_is_unusable(labeler):
    spans = labeler.label(record(np.full((5000, 1), 0.3), 250.0))
    assert [row[:5] for row in rows(spans)] == [(0, -1, 5000, UNUSABLE, 0)]


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_noise_gets_hardly_any_wave(labeler, kind):
    carrier, _ = synthetic_ecg(fs=250.0, duration=120.0, leads=("II",), seed=0)
    noise = add_noise(carrier, kind, snr_db=-60, seed=3)
    assert len(waves(labeler.label(noise))) <= 2 * 2 + 8  # the first two seconds are judged by nothing yet


def test_infinite_samples_are_refused():
    with pytest.raises(InvalidSignalError, match="infinite"):
        record(np.array([[0.0], [np.inf]]), 250.0)


def test_samples_of_any_size_do_no_harm(labeler):
    recording, _ = ecg(20, duration=8.0)
    for factor in (1e-30, 1e30):
        spans = labeler.label(scaled(recording, factor))
        assert np.isfinite(spans.probability[spans.label != UNUSABLE]).all()


def test_integers_are_samples_too(labeler):
    recording, _ = ecg(20)
    counts = np.round(recording.signals * 1000).astype(np.int16)
    spans = labeler.label(record(counts, 250.0))
    assert len(waves(spans)) > 100


def test_the_labeler_itself_is_not_changed_by_labelling(labeler):
    before = {name: array.copy() for name, array in labeler.model_.emission.to_arrays().items()}
    labeler.label(ecg(20)[0])
    for name, array in labeler.model_.emission.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])
    assert isinstance(labeler, EcgLabeler)
