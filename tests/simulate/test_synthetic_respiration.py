"""The synthetic breathing: its truth is where it turns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mhealth.core import Annotation, Recording
from mhealth.errors import InvalidParameterError
from mhealth.simulate import (
    add_flat,
    demo_recording,
    demo_respiration,
    random_stretches,
    synthetic_respiration,
)

QUIET = {"ripple": 0.0}
"""Nothing but breathing."""

EVENTS = {"sighs": [45.0], "talking": [(100.0, 140.0)], "pauses": [(20.0, 35.0), (70.0, 100.0)]}


def texts(truth: Annotation) -> list[str]:
    return [truth.spans.classes[code] for code in truth.spans.label]


def signal_of(recording: Recording) -> np.ndarray:
    return recording.signals[:, 0].astype(np.float64)


def heights(recording: Recording, truth: Annotation) -> np.ndarray:
    spans = truth.spans.of(label="inspiration")
    return signal_of(recording)[spans.peak] - signal_of(recording)[spans.onset]


@pytest.mark.parametrize("fs", [10.0, 125.0, 977.0])
@pytest.mark.parametrize("events", [{}, EVENTS])
def test_the_signal_rises_during_inspiration_falls_during_expiration_and_rests_in_pauses(fs, events):
    recording, truth = synthetic_respiration(fs=fs, duration=180, seed=4, **QUIET, **events)
    signal = signal_of(recording)
    assert {"inspiration", "expiration"} <= set(texts(truth))
    for onset, offset, text in zip(truth.spans.onset, truth.spans.offset, texts(truth), strict=True):
        # The offset of a phase is the extremum that it leads to.
        steps = np.diff(signal[onset : offset + 1])
        if text == "pause":
            np.testing.assert_array_equal(signal[onset:offset], 0)
        else:
            assert (steps >= 0 if text == "inspiration" else steps <= 0).all()
            assert signal[onset] != signal[offset]


@pytest.mark.parametrize("rate", [4.0, 15.0, 70.0])
@pytest.mark.parametrize("polarity", [1, -1])
def test_the_peak_of_an_inspiration_is_the_extremum_of_its_breath_and_the_onset_of_the_expiration(rate, polarity):
    recording, truth = synthetic_respiration(fs=50, duration=300, rate=rate, polarity=polarity, seed=2, **QUIET)
    inspirations, expirations = (truth.spans.of(label=label) for label in ("inspiration", "expiration"))
    np.testing.assert_array_equal(inspirations.peak, inspirations.offset)
    np.testing.assert_array_equal(inspirations.offset, expirations.onset)
    assert (expirations.peak == -1).all()
    signal = polarity * signal_of(recording)
    for onset, peak, offset in zip(inspirations.onset, inspirations.peak, expirations.offset, strict=True):
        assert signal[peak] == signal[onset:offset].max()


@pytest.mark.parametrize("rate", [4.0, 15.0, 40.0, 70.0])
@pytest.mark.parametrize("fs", [5.0, 10.0, 125.0])
def test_breaths_follow_one_another_without_overlap_and_without_a_hole(rate, fs):
    recording, truth = synthetic_respiration(fs=fs, duration=600, rate=rate, seed=9, **EVENTS)
    spans = truth.spans
    np.testing.assert_array_equal(spans.onset[1:], spans.offset[:-1])
    assert (spans.offset > spans.onset).all()
    assert spans.onset[0] >= 0
    assert spans.offset[-1] <= recording.n_samples
    np.testing.assert_array_equal(truth.annotated, [[0, spans.onset[0], spans.offset[-1]]])
    follows = {"inspiration": {"expiration"}, "expiration": {"inspiration", "pause"}, "pause": {"inspiration"}}
    order = texts(truth)
    assert order[0] == "inspiration"
    assert all(after in follows[before] for before, after in pairwise(order))


@pytest.mark.parametrize("rate", [4.0, 6.0, 15.0, 35.0, 70.0])
def test_rate_share_and_depth_and_their_variability_are_those_asked_for(rate):
    wanted = {"inspiration_share": 0.4, "rate_variability": 0.1, "share_variability": 0.1, "depth_variability": 0.3}
    recording, truth = synthetic_respiration(fs=200, duration=400 * 60 / rate, rate=rate, seed=1, **wanted, **QUIET)
    inspirations, expirations = (truth.spans.of(label=label) for label in ("inspiration", "expiration"))
    cycle = expirations.offset - inspirations.onset
    share = (inspirations.offset - inspirations.onset) / cycle
    height = heights(recording, truth)
    # Of 400 breaths the mean has a standard error of 5 % of the deviation, and the deviation one of 4 %; deviations
    # are 5 % smaller than asked for, since they stop at two.
    for values, mean, variability in (
        (cycle, 200 * 60 / rate, 0.1),
        (share, 0.4, 0.1),
        (height, 1.0, 0.3),
    ):
        np.testing.assert_allclose(values.mean(), mean, rtol=0.2 * variability)
        np.testing.assert_allclose(values.std() / values.mean(), 0.95 * variability, rtol=0.15)


def test_without_variability_every_breath_is_the_same():
    recording, truth = synthetic_respiration(
        fs=100, duration=60, rate=12, rate_variability=0, share_variability=0, depth_variability=0, seed=3, **QUIET
    )
    inspirations = truth.spans.of(label="inspiration")
    np.testing.assert_array_equal(np.diff(inspirations.onset), 500)
    np.testing.assert_array_equal(inspirations.offset - inspirations.onset, 210)
    np.testing.assert_array_equal(heights(recording, truth), 1)


def test_the_rate_may_change_over_time():
    _, truth = synthetic_respiration(fs=100, duration=600, rate=lambda time: 6 if time < 300 else 60, seed=1)
    onset = truth.spans.of(label="inspiration").onset / 100
    np.testing.assert_allclose([(onset < 300).sum(), (onset >= 300).sum()], [30, 300], rtol=0.1)
    with pytest.raises(InvalidParameterError, match=r"rate=80 at 3\d.* s must lie between 4 and 70"):
        synthetic_respiration(fs=100, duration=60, rate=lambda time: 20 if time < 30 else 80)


@pytest.mark.parametrize("length", [10.0, 60.0])
def test_a_pause_begins_at_the_next_end_of_an_expiration_and_lasts_as_long_as_asked_for(length):
    fs, start = 100.0, 33.0
    recording, truth = synthetic_respiration(
        fs=fs, duration=180, pauses=[(start, start + length), (start, start + 5)], kind="impedance", noise=0.01, seed=5
    )
    pauses, expirations = (truth.spans.of(label=label) for label in ("pause", "expiration"))
    np.testing.assert_allclose((pauses.offset - pauses.onset) / fs, sorted([5, length]), atol=1.01 / fs)
    ends = expirations.offset[expirations.offset >= start * fs]
    np.testing.assert_array_equal(pauses.onset, ends[:2], err_msg="a breath lies between two pauses")
    assert (pauses.peak == -1).all()
    for onset, offset in zip(pauses.onset, pauses.offset, strict=True):
        # The heartbeat is 0.05 to either side, the noise 0.01: five of its deviations.
        assert 0.03 < np.abs(signal_of(recording)[onset:offset]).max() < 0.1


def test_a_pause_may_last_until_the_end():
    recording, truth = synthetic_respiration(fs=25, duration=60, pauses=[(0.0, 60.0)], seed=0, **QUIET)
    assert texts(truth) == ["inspiration", "expiration", "pause"]
    pause = truth.spans.of(label="pause")
    assert pause.offset[0] == recording.n_samples == truth.annotated[0, 2]
    assert not recording.signals[pause.onset[0] :].any()


def test_a_sigh_is_deep_and_the_others_are_not():
    recording, truth = synthetic_respiration(fs=50, duration=120, depth=2.0, sighs=[61.0], seed=6, **QUIET)
    inspirations, expirations = (truth.spans.of(label=label) for label in ("inspiration", "expiration"))
    height = heights(recording, truth)
    deepest = height.argmax()
    assert inspirations.onset[deepest] <= 61 * 50 < expirations.offset[deepest]
    np.testing.assert_allclose(height[deepest], 5, rtol=1e-6)
    assert np.delete(height, deepest).max() < 3.5


def test_a_sigh_waits_for_the_end_of_a_pause():
    recording, truth = synthetic_respiration(fs=50, duration=90, pauses=[(20, 50)], sighs=[35.0], seed=6, **QUIET)
    after = truth.spans.of(label="inspiration").onset >= truth.spans.of(label="pause").offset
    assert heights(recording, truth).argmax() == after.argmax()


def test_talking_shortens_inspiration_and_lets_expiration_fall_in_steps():
    fs = 50.0
    recording, truth = synthetic_respiration(fs=fs, duration=240, talking=[(60, 180)], seed=1, **QUIET)
    inspirations, expirations = (truth.spans.of(label=label) for label in ("inspiration", "expiration"))
    talks = (inspirations.onset >= 60 * fs) & (inspirations.onset < 180 * fs)
    inspiration, expiration = ((spans.offset - spans.onset) / fs for spans in (inspirations, expirations))
    assert 12 < talks.sum() < 50
    assert inspiration[talks].max() < 0.85 < inspiration[~talks].mean()
    assert expiration[talks].std() > expiration[~talks].std()
    share = inspiration / (inspiration + expiration)
    assert share[talks].mean() < 0.2 < share[~talks].min()

    def n_steps(onset: int, offset: int) -> int:
        flow = -np.diff(signal_of(recording)[onset:offset])
        fast = flow > 0.5 * flow.max()
        return int(fast[0]) + int((np.diff(fast.astype(int)) == 1).sum())

    steps = np.array([n_steps(*edges) for edges in zip(expirations.onset, expirations.offset, strict=True)])
    assert (steps[~talks] == 1).all()
    assert (steps[talks] >= 2).all()


@pytest.mark.parametrize("kind", ["belt", "impedance"])
def test_polarity_mirrors_the_signal_and_leaves_the_truth(kind):
    options = {"fs": 50.0, "duration": 60.0, "kind": kind, "drift": 0.3, "noise": 0.1, "motion": [(20, 25)], "seed": 8}
    upright, truth = synthetic_respiration(**options)
    mirrored, truth_mirrored = synthetic_respiration(**options, polarity=-1)
    np.testing.assert_array_equal(mirrored.signals, -upright.signals)
    np.testing.assert_array_equal(truth_mirrored.spans.onset, truth.spans.onset)


def test_two_sampling_rates_show_the_same_breathing():
    options = {"duration": 120.0, "motion": [(50, 55)], "kind": "impedance", "drift": 0.3, "seed": 3} | EVENTS
    options |= {"talking": [(100, 115)]}
    (slow, coarse), (fast, fine) = (synthetic_respiration(fs=fs, **options) for fs in (25.0, 250.0))
    assert texts(coarse) == texts(fine)
    for name in ("onset", "offset"):
        # Each rate has its own nearest sample.
        np.testing.assert_allclose(
            getattr(coarse.spans, name) / 25, getattr(fine.spans, name) / 250, atol=0.5 / 25 + 0.5 / 250
        )
    np.testing.assert_allclose(coarse.annotated / 25, fine.annotated / 250, atol=0.5 / 25 + 0.5 / 250)
    # The phases end up to 22 ms apart, which is 0.05 of a breath, and 0.2 of a burst of 3 Hz.
    still = np.abs(np.arange(slow.n_samples) / 25 - 52.5) > 2.6
    np.testing.assert_allclose(signal_of(slow)[still], signal_of(fast)[::10][still], atol=0.15)


def test_the_heart_beats_in_an_impedance_more_than_in_a_belt_and_at_its_rate():
    silent = {"fs": 50.0, "duration": 300.0, "depth": 0.0, "heart_rate": 80.0, "seed": 2}
    size = {}
    for kind in ("belt", "impedance"):
        recording, truth = synthetic_respiration(**silent, kind=kind)
        size[kind] = np.ptp(signal_of(recording))
        spectrum = np.abs(np.fft.rfft(signal_of(recording)))
        assert abs(60 * np.fft.rfftfreq(recording.n_samples, 1 / 50)[spectrum.argmax()] - 80) < 1
        assert len(truth.spans) == 0
        np.testing.assert_array_equal(truth.annotated, [[0, 0, recording.n_samples]])
    assert size == pytest.approx({"belt": 0.01, "impedance": 0.1}, rel=0.05)
    assert (recording.channels, recording.units) == (("RESP",), ("Ohm",))


def test_noise_and_drift_have_the_size_and_band_asked_for():
    nothing = {"fs": 50.0, "duration": 3600.0, "depth": 0.0, "ripple": 0.0, "seed": 2}
    noise, _ = synthetic_respiration(**nothing, noise=0.2)
    np.testing.assert_allclose(signal_of(noise).std(), 0.2, rtol=0.02)
    assert abs(np.corrcoef(signal_of(noise)[1:], signal_of(noise)[:-1])[0, 1]) < 0.02, "white"
    drift, _ = synthetic_respiration(**nothing, drift=0.2)
    np.testing.assert_allclose(signal_of(drift).std(), 0.2, rtol=0.1)
    spectrum = np.abs(np.fft.rfft(signal_of(drift))) ** 2
    assert spectrum[np.fft.rfftfreq(drift.n_samples, 1 / 50) < 0.06].sum() > 0.99 * spectrum.sum()
    empty, _ = synthetic_respiration(**nothing)
    assert not empty.signals.any()


def test_motion_buries_breaths_and_is_unusable():
    options = {"fs": 50.0, "duration": 120.0, "depth": 2.0, "seed": 7}
    calm, complete = synthetic_respiration(**options)
    recording, truth = synthetic_respiration(**options, motion=[(40, 50), (48, 55)])
    unusable = truth.spans.of(label="unusable")
    assert (unusable.onset.tolist(), unusable.offset.tolist()) == ([2000], [2750])
    added = signal_of(recording) - signal_of(calm)
    assert added[2000:2750].std() > 3
    assert not np.delete(added, np.s_[2000:2750]).any()
    kept = (complete.spans.offset <= 2000) | (complete.spans.onset >= 2750)
    left = truth.spans.select(truth.spans.label != truth.spans.classes.index("unusable"))
    np.testing.assert_array_equal(left.onset, complete.spans.onset[kept])
    first, second = truth.annotated[:, 1:].tolist()
    assert first[1] <= 2000 < 2750 <= second[0]
    assert (first[1], second[0]) == (left.offset[left.offset <= 2000].max(), left.onset[left.onset >= 2750].min())


def test_faults_take_the_truth_away_as_from_an_ecg():
    recording, truth = synthetic_respiration(fs=50, duration=60, seed=1)
    flat, left = add_flat(recording, truth, [(20, 30)])
    assert np.ptp(flat.signals[1000:1500]) == 0
    assert not ((left.spans.onset < 1500) & (left.spans.offset > 1000)).any()
    assert 0 < len(left.spans) < len(truth.spans)


def test_an_amplifier_with_limits_clips_and_the_truth_stays():
    options = {"fs": 50.0, "duration": 60.0, "seed": 1}
    recording, truth = synthetic_respiration(**options)
    clipped, truth_clipped = synthetic_respiration(**options, limits=(0.1, 0.8))
    np.testing.assert_array_equal(clipped.signals, np.clip(recording.signals, np.float32(0.1), np.float32(0.8)))
    np.testing.assert_array_equal(truth_clipped.spans.onset, truth.spans.onset)


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    options = {"fs": 50.0, "duration": 200.0, "kind": "impedance", "drift": 0.1, "noise": 0.1, "motion": [(5, 9)]}
    first, truth = synthetic_respiration(**options, **EVENTS, seed=1)
    again, truth_again = synthetic_respiration(**options, **EVENTS, seed=1)
    other, _ = synthetic_respiration(**options, **EVENTS, seed=2)
    assert first.signals.tobytes() == again.signals.tobytes()
    np.testing.assert_array_equal(truth.spans.onset, truth_again.spans.onset)
    assert (first.signals != other.signals).any()


@pytest.mark.parametrize("duration", [0.1, 1.0, 4.0])
def test_a_recording_too_short_for_a_breath_has_none_and_nothing_is_known_of_it(duration):
    recording, truth = synthetic_respiration(fs=25, duration=duration, rate=6, seed=0)
    assert recording.n_samples == round(25 * duration)
    assert len(truth.spans) == 0
    assert truth.annotated.shape == (0, 3)


def test_random_stretches_lie_apart_inside_the_recording_and_have_the_lengths_asked_for():
    stretches = np.array(random_stretches(36_000, per_hour=30, lengths=(10, 60), seed=3))
    assert stretches.shape == (300, 2)
    assert stretches.min() >= 0
    assert stretches.max() <= 36_000
    assert (stretches[1:, 0] >= stretches[:-1, 1]).all()
    length = np.diff(stretches)[:, 0]
    assert 10 <= length.min() < 12
    assert 58 < length.max() <= 60.001
    assert random_stretches(36_000, per_hour=30, seed=3) == random_stretches(36_000, per_hour=30, seed=3)
    assert random_stretches(36_000, per_hour=30, seed=3) != random_stretches(36_000, per_hour=30, seed=4)
    assert random_stretches(600, per_hour=0) == []


def test_pauses_at_random_are_all_found_in_the_truth():
    stretches = random_stretches(1800, per_hour=20, seed=1)
    _, truth = synthetic_respiration(fs=25, duration=1800, pauses=stretches, seed=1)
    pauses = truth.spans.of(label="pause")
    asked = [round(25 * (stop - start)) for start, stop in stretches]
    assert len(asked) == 10
    np.testing.assert_allclose((pauses.offset - pauses.onset)[:-1], asked[:-1], atol=1)


@pytest.mark.parametrize("seed", range(3))
def test_the_demonstration_breathes_beside_the_ecg(seed):
    recording, truth = demo_respiration(seed=seed)
    assert recording.duration == 120
    assert recording.start == demo_recording()[0].start
    assert recording.signals.tobytes() == demo_respiration(seed=seed)[0].signals.tobytes()
    assert set(texts(truth)) == {"inspiration", "expiration", "pause", "unusable"}
    pause = truth.spans.of(label="pause")
    np.testing.assert_allclose((pause.offset - pause.onset) / recording.fs, 15, atol=0.01)
    # In the pause only the heart moves, as often as in the ECG, whose rate varies by a few percent.
    qrs = demo_recording(seed=seed)[1].spans.of(label="QRS", channel="II").peak / 250
    still = signal_of(recording)[pause.onset[0] : pause.offset[0]]
    still = still - np.polynomial.Polynomial.fit(np.arange(len(still)), still, 5)(np.arange(len(still)))
    spectrum = np.abs(np.fft.rfft(still, 2**15))
    beats = 60 * np.fft.rfftfreq(2**15, 1 / recording.fs)[spectrum.argmax()]
    np.testing.assert_allclose(beats, 60 / np.median(np.diff(qrs)), rtol=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fs": 4}, "fs=4 Hz is outside 5"),
        ({"fs": float("nan")}, "fs=nan"),
        ({"duration": 0}, "duration=0"),
        ({"duration": float("inf")}, "duration=inf"),
        ({"kind": "camera"}, "kind='camera'"),
        ({"rate": 3.0}, "rate=3.0"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"rate_variability": 0.5}, "rate_variability=0.5"),
        ({"inspiration_share": 0.9}, "inspiration_share=0.9"),
        ({"share_variability": -0.1}, "share_variability=-0.1"),
        ({"depth": -1.0}, "depth=-1.0"),
        ({"depth_variability": 1.0}, "depth_variability=1.0"),
        ({"heart_rate": 10}, "heart_rate=10"),
        ({"ripple": -0.1}, "ripple=-0.1"),
        ({"drift": float("inf")}, "drift=inf"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"polarity": 0}, "polarity=0"),
        ({"limits": (1.0, 0.0)}, r"limits=\(1.0, 0.0\)"),
        ({"sighs": [11.0]}, r"sighs=\[11.0\]"),
        ({"talking": [(3.0, 3.0)]}, r"talking holds \(3.0, 3.0\)"),
        ({"pauses": [(5.0, 15.0)]}, r"pauses holds \(5.0, 15.0\)"),
        ({"motion": [(-1.0, 2.0)]}, r"motion holds \(-1.0, 2.0\)"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(InvalidParameterError, match=message):
        synthetic_respiration(**{"fs": 25.0, "duration": 10.0, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"duration": -1.0}, "duration=-1.0"),
        ({"per_hour": -1.0}, "per_hour=-1.0"),
        ({"lengths": (60.0, 10.0)}, r"lengths=\(60.0, 10.0\)"),
        ({"per_hour": 500.0}, "per_hour=500.0 makes 83 stretches"),
    ],
)
def test_stretches_that_cannot_be_are_named(wrong, message):
    with pytest.raises(InvalidParameterError, match=message):
        random_stretches(**{"duration": 600.0, "per_hour": 6.0, **wrong})
