"""Breath candidates: against the definition, at every rate of breathing and of sampling, and on recorded breathing."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import chunkings, cut

from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError
from mhealth.segmentation import BreathSegmenter, LeadCandidates, Turn, quasi_periodic_segmenter
from mhealth.simulate import synthetic_respiration
from naive_segmentation import naive_lead

BREATHS = BreathSegmenter()
SHORT = BreathSegmenter(
    running_scale=RunningScale(window=2.0, ahead=1.1, time_constant=1.0, block=0.4), busy_gap=0.9, longest_gap=1.5
)
"""With a scale that is known soon, so that short belts go through all of its phases, and with gaps that are filled."""

MIRRORED = np.array([Turn.FILL, Turn.MINIMUM, Turn.MAXIMUM, Turn.CONVEX, Turn.CONCAVE], dtype=np.int8)
seeds = st.integers(0, 2**32 - 1)


def made_belt(seed: int, n: int) -> np.ndarray:
    """Return breaths at 10 Hz of random rate, noise and steps with many ties, clipped or not, with stretches of NaN."""
    rng = np.random.default_rng(seed)
    belt = rng.choice([0, 1]) * np.sin(np.cumsum(rng.uniform(0.04, 0.75) * rng.uniform(0.7, 1.3, n)))
    belt = belt + rng.choice([0, 0.01, 0.3]) * rng.standard_normal(n)
    belt += rng.choice([0, 0.05]) * np.cumsum(rng.integers(-1, 2, n))
    if rng.random() < 0.3:
        belt = np.clip(belt, -0.6, 0.4)
    if rng.random() < 0.5:
        belt = np.round(belt * 50) / 50
    for start in rng.integers(0, max(n, 1), rng.integers(0, 4)):
        belt[start : start + rng.integers(1, 30)] = np.nan
    return belt.astype(np.float32)


def pushed(stream, parts) -> LeadCandidates:
    found = [stream.push(part) for part in parts] + [stream.flush()]
    return LeadCandidates(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def whole(segmenter, belt: np.ndarray) -> LeadCandidates:
    return pushed(segmenter.open_lead(), [belt])


def assert_same_bits(one: LeadCandidates, other: LeadCandidates) -> None:
    for name, a, b in zip(one._fields, one, other, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes(), name


def distances(position: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.abs(position[:, None] - points).min(axis=0)


@settings(max_examples=60)
@given(seed=seeds, n=st.integers(0, 400), segmenter=st.sampled_from([SHORT, BREATHS]))
@example(seed=0, n=0, segmenter=BREATHS)
@example(seed=0, n=1, segmenter=BREATHS)
def test_breath_candidates_are_as_defined(seed, n, segmenter):
    belt = made_belt(seed, n)
    got, expected = whole(segmenter, belt), naive_lead(segmenter, belt)
    assert got.position.tolist() == [row[0] for row in expected]
    assert got.kind.tolist() == [row[1] for row in expected]
    np.testing.assert_allclose(got.scale, [row[2] for row in expected], rtol=1e-6)  # float32
    np.testing.assert_array_equal(got.prominence, np.array([row[3] for row in expected], dtype=np.float32))
    np.testing.assert_array_equal(got.running_scale, np.array([row[4] for row in expected], dtype=np.float32))


@given(seed=seeds, n=st.integers(0, 700), data=st.data())
def test_any_chunking_gives_the_same_bits(seed, n, data):
    belt = made_belt(seed, n)
    assert_same_bits(pushed(BREATHS.open_lead(), cut(belt, data.draw(chunkings(n)))), whole(BREATHS, belt))


@given(seed=seeds, power=st.integers(-20, 20), sign=st.sampled_from([1, -1]))
def test_unit_and_polarity_change_no_position(seed, power, sign):
    belt = made_belt(seed, 700)
    one, other = whole(BREATHS, belt), whole(BREATHS, belt * np.float32(sign * 2.0**power))
    kind = one.kind if sign > 0 else MIRRORED[one.kind]
    assert_same_bits(other, one._replace(kind=kind, running_scale=one.running_scale * np.float32(2.0**power)))


@given(seed=seeds, ahead=st.integers(1, 60))
def test_what_comes_before_a_dropout_changes_nothing_after_it(seed, ahead):
    belt = made_belt(seed, 500)
    expected = whole(BREATHS, belt)
    later = whole(BREATHS, np.concatenate([made_belt(seed + 1, ahead), [np.nan], belt]).astype(np.float32))
    after = LeadCandidates(*(column[later.position > ahead] for column in later))
    assert_same_bits(after._replace(position=after.position - ahead - 1), expected)


def test_a_level_changes_no_position():
    recording, _ = synthetic_respiration(fs=10, duration=120, kind="impedance", noise=0.02, seed=2)
    belt = np.round(recording.signals[:, 0] * 1024) / 1024  # sums with the level are exact
    expected = BREATHS.segment(belt, fs=10)
    for level in (-64.0, 1000.0):
        assert BREATHS.segment(belt + level, fs=10).position.tolist() == expected.position.tolist()


def test_streams_pickle_in_the_middle_and_stay_small():
    belt = made_belt(5, 3000)
    expected = whole(BREATHS, belt)
    stream = BREATHS.open_lead()
    parts, sizes = [], []
    for k in range(0, 3000, 70):
        parts.append(stream.push(belt[k : k + 70], start=k))
        stream = pickle.loads(pickle.dumps(stream))
        sizes.append(len(pickle.dumps(stream)))
    found = [*parts, stream.flush()]
    assert_same_bits(LeadCandidates(*(np.concatenate(c) for c in zip(*found, strict=True))), expected)
    assert max(sizes) < 6_000


def test_candidates_are_decided_within_the_stated_delay():
    recording, _ = synthetic_respiration(fs=10, duration=60, seed=1)
    stream = BREATHS.open_lead()
    for n, value in enumerate(recording.signals[:, 0]):
        stream.push([value])
        if n > BREATHS.running_scale.window * 10:
            assert (n - stream.decided) / 10 <= BREATHS.longest_gap + BREATHS.running_scale.ahead + 1e-9
    assert BREATHS.longest_gap + BREATHS.running_scale.ahead <= 3.0


@pytest.mark.parametrize("kind", ["belt", "impedance"])
@pytest.mark.parametrize("rate", [4.0, 10.0, 20.0, 40.0, 70.0])
def test_breaths_of_every_rate_turn_at_a_candidate(rate, kind):
    recording, truth = synthetic_respiration(fs=25, duration=180, rate=rate, kind=kind, noise=0.01, seed=3)
    found = BREATHS.segment(recording.signals, fs=recording.fs)
    inspirations = truth.spans.of(label="inspiration")
    assert 0.7 < len(found) / recording.duration < 2.5
    for points in (inspirations.peak, inspirations.onset):
        inner = points[points > recording.fs]  # the edge of a stretch stands for what lies next to it
        seconds = distances(found.position, inner) / recording.fs
        assert seconds.mean() < 0.13 + 0.01 * 60 / rate  # slow breaths turn slowly, and noise shifts where
        assert seconds.max() < 0.5 + 0.05 * 60 / rate
    mirrored = BREATHS.segment(-recording.signals, fs=recording.fs)
    assert mirrored.position.tolist() == found.position.tolist()


def test_a_pause_keeps_its_edges_and_costs_no_more_than_breathing():
    recording, truth = synthetic_respiration(fs=25, duration=240, pauses=[(60, 100), (150, 200)], noise=0.01, seed=4)
    found = BREATHS.segment(recording.signals, fs=recording.fs)
    pauses = truth.spans.of(label="pause")
    assert len(pauses) == 2
    for start, stop in zip(pauses.onset, pauses.offset, strict=True):
        inside = np.sum((found.position > start) & (found.position < stop))
        assert inside / (stop - start) * recording.fs < 2.5
    assert (distances(found.position, np.append(pauses.onset, pauses.offset)) / recording.fs).max() < 0.9


@pytest.mark.parametrize("fs", [10.0, 11.0, 25.0, 62.5, 125.0, 257.0, 1000.0])
def test_other_rates_give_the_same_breath_moments(fs):
    reference = BREATHS.segment(synthetic_respiration(fs=50, duration=120, seed=5)[0].signals, fs=50.0)
    found = BREATHS.segment(synthetic_respiration(fs=fs, duration=120, seed=5)[0].signals, fs=fs)
    assert len(found) == pytest.approx(len(reference), rel=0.1)
    turns = reference.position[(reference.kind != Turn.FILL) & (reference.prominence > 0.2)] / 50
    assert len(turns) > 40
    # A candidate falls on a sample at 10 Hz, and on the input sample nearest to it.
    assert np.mean(distances(found.position / fs, turns) <= 0.5 / fs + 0.11) > 0.97


@pytest.mark.parametrize("fs", [9.9, 1001.0])
def test_breathing_at_rates_that_cannot_show_it_is_refused(fs):
    with pytest.raises(InvalidParameterError, match="outside 10 to 1000 Hz"):
        BREATHS.open(fs=fs)


@settings(max_examples=30)
@given(seed=seeds, factor=st.sampled_from([2.0**-6, 0.5, 2.0, 8.0]), fs=st.sampled_from([10.0, 25.0]))
def test_a_stretched_segmenter_does_the_same_to_a_slower_signal(seed, factor, fs):
    belt = made_belt(seed, 600)
    expected = BREATHS.segment(belt, fs=fs)
    got = BREATHS.stretched(factor).segment(belt, fs=fs / factor)
    assert got.position.tolist() == expected.position.tolist()
    assert got.kind.tolist() == expected.kind.tolist()
    np.testing.assert_array_equal(got.scale, expected.scale * np.float32(factor))


def test_stretching_back_gives_the_settings_again():
    back = BREATHS.stretched(4.0).stretched(0.25)
    assert all(getattr(back, item.name) == getattr(BREATHS, item.name) for item in fields(back))


def test_a_pulse_wave_has_candidates_at_its_feet_and_tops():
    fs = 100.0
    times = np.arange(3000) / fs
    phase = 2 * np.pi * (1.4 * times + 0.1 * np.sin(times))
    wave = np.sin(phase) + 0.4 * np.sin(2 * phase)
    found = quasi_periodic_segmenter(shortest_period=0.3).segment(wave, fs=fs)
    inner = np.arange(1, len(wave) - 20)  # the last sample is held beyond the end
    turns = inner[(wave[inner] - wave[inner - 1]) * (wave[inner + 1] - wave[inner]) < 0]
    assert len(turns) > 80
    assert distances(found.position, turns).max() / fs <= 0.04
    assert len(found) / 30 < 6


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan])
def test_periods_and_factors_without_meaning_are_refused(wrong):
    with pytest.raises(InvalidParameterError, match="shortest_period="):
        quasi_periodic_segmenter(shortest_period=wrong)
    with pytest.raises(InvalidParameterError, match="factor="):
        BREATHS.stretched(wrong)


def test_a_delay_that_does_not_cover_the_arm_is_refused():
    with pytest.raises(InvalidParameterError, match="ahead"):
        replace(BREATHS, arm=2.0)


@pytest.mark.realdata
def test_breath_candidates_are_few_and_near_the_annotators_marks(data_dir):
    from data_loaders import Bidmc

    dataset = Bidmc(data_dir / "bidmc")
    count, seconds, off = 0, 0.0, []
    for name in dataset.records[2::10]:
        recording, annotation, _ = dataset.load(name)
        found = BREATHS.segment(recording.signals[:, recording.channels.index("RESP")], fs=recording.fs)
        count += len(found)
        seconds += recording.duration
        off.append(distances(found.position, annotation.spans.offset) / recording.fs)
    off = np.concatenate(off)
    assert len(off) > 400
    assert count / seconds <= 1.6
    assert off.mean() <= 0.11
    assert np.percentile(off, 95) <= 0.3
