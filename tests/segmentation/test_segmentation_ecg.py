"""Candidates: against the definition, for any chunking, unit, polarity and rate, and on recorded ECG."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mhealth.core import Candidates
from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError
from mhealth.segmentation import EcgSegmenter, LeadCandidates, Turn
from naive_segmentation import naive_lead, stretches

ECG = EcgSegmenter()
SHORT = EcgSegmenter(running_scale=RunningScale(window=0.4, ahead=0.16, time_constant=0.3))
"""The same with a scale that is known soon, so that short leads go through all of its phases."""

MIRRORED = np.array([Turn.FILL, Turn.MINIMUM, Turn.MAXIMUM, Turn.CONVEX, Turn.CONCAVE], dtype=np.int8)
seeds = st.integers(0, 2**32 - 1)


def beats(fs: float, seconds: float) -> np.ndarray:
    """Return P, QRS and T at 1.2 beats a second, in mV, without noise."""
    times = np.arange(round(seconds * fs)) / fs
    phase = (times * 1.2 % 1 - 0.4) / 1.2
    waves = [(-0.16, 0.025, 0.15), (-0.03, 0.008, -0.1), (0.0, 0.01, 1.0), (0.03, 0.008, -0.2), (0.25, 0.05, 0.3)]
    return sum(a * np.exp(-(((phase - at) / width) ** 2) / 2) for at, width, a in waves)


def made_lead(seed: int, n: int) -> np.ndarray:
    """Return beats, noise and steps with many ties, of random strengths, with stretches of NaN."""
    rng = np.random.default_rng(seed)
    lead = rng.choice([0, 1]) * beats(250.0, n / 250) + rng.choice([0, 0.01, 0.3]) * rng.standard_normal(n)
    lead += rng.choice([0, 0.02]) * np.cumsum(rng.integers(-1, 2, n))
    if rng.random() < 0.5:
        lead = np.round(lead * 50) / 50
    for start in rng.integers(0, max(n, 1), rng.integers(0, 4)):
        lead[start : start + rng.integers(1, 30)] = np.nan
    return lead.astype(np.float32)


def whole(segmenter: EcgSegmenter, lead: np.ndarray) -> LeadCandidates:
    return pushed(segmenter.open_lead(), [lead])


def pushed(stream, parts) -> LeadCandidates:
    found = [stream.push(part) for part in parts] + [stream.flush()]
    return LeadCandidates(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def same_bits(one: LeadCandidates, other: LeadCandidates) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@settings(max_examples=60)
@given(seed=seeds, n=st.integers(0, 500))
@example(seed=0, n=0)
@example(seed=0, n=1)
def test_candidates_are_as_defined(seed, n):
    lead = made_lead(seed, n)
    got, expected = whole(SHORT, lead), naive_lead(SHORT, lead)
    assert got.position.tolist() == [row[0] for row in expected]
    assert got.kind.tolist() == [row[1] for row in expected]
    np.testing.assert_allclose(got.scale, [row[2] for row in expected], rtol=1e-6)  # float32
    np.testing.assert_array_equal(got.prominence, np.array([row[3] for row in expected], dtype=np.float32))
    np.testing.assert_array_equal(got.running_scale, np.array([row[4] for row in expected], dtype=np.float32))


@given(seed=seeds, n=st.integers(0, 900), cuts=st.lists(st.integers(0, 900), max_size=15))
def test_any_chunking_gives_the_same_bits(seed, n, cuts):
    lead = made_lead(seed, n)
    expected = whole(SHORT, lead)
    assert same_bits(pushed(SHORT.open_lead(), np.split(lead, sorted(min(cut, n) for cut in cuts))), expected)


@settings(max_examples=15)
@given(seed=seeds)
def test_single_samples_give_the_same_bits_with_the_default_scale_too(seed):
    lead = made_lead(seed, 800)
    assert same_bits(pushed(ECG.open_lead(), np.split(lead, 800)), whole(ECG, lead))


@given(seed=seeds, power=st.integers(-20, 20), sign=st.sampled_from([1, -1]))
def test_scaling_by_a_power_of_two_changes_nothing_and_a_sign_flip_mirrors_the_kinds(seed, power, sign):
    lead = made_lead(seed, 900)
    one, other = whole(ECG, lead), whole(ECG, lead * np.float32(sign * 2.0**power))
    kind = one.kind if sign > 0 else MIRRORED[one.kind]
    scale = one.running_scale * np.float32(2.0**power)
    assert same_bits(other, one._replace(kind=kind, running_scale=scale))


@given(seed=seeds)
def test_positions_increase_and_are_never_far_apart(seed):
    lead = made_lead(seed, 1500)
    position = whole(ECG, lead).position
    assert not np.isnan(lead[position]).any()
    for start, x in stretches(lead):
        inside = position[(position >= start) & (position < start + len(x))]
        steps = np.diff(inside, prepend=start, append=start + len(x) - 1)
        assert (steps[1:-1] > 0).all()
        assert steps.max(initial=0) <= 60


@settings(max_examples=20)
@given(seed=seeds, gap=st.integers(1, 40))
def test_each_stretch_is_segmented_as_a_recording_of_its_own(seed, gap):
    parts = [part[~np.isnan(part)] for part in (made_lead(seed, 700), made_lead(seed + 1, 600))]
    joined = whole(ECG, np.concatenate([parts[0], np.full(gap, np.nan, np.float32), parts[1]]))
    alone = [whole(ECG, part) for part in parts]
    shifted = alone[1]._replace(position=alone[1].position + len(parts[0]) + gap)
    expected = LeadCandidates(*(np.concatenate(pair) for pair in zip(alone[0], shifted, strict=True)))
    assert same_bits(joined, expected)


def test_a_candidate_waits_at_most_400_ms_once_the_scale_is_known():
    lead = made_lead(5, 3000)
    lead[np.isnan(lead)] = 0
    stream = ECG.open_lead()
    stream.push(lead[:500])
    waits = []
    for n in range(500, 3000):
        found = stream.push(lead[n : n + 1])
        waits += (n - found.position).tolist()
        assert stream.decided > n - 100
    assert 40 <= min(waits) <= max(waits) <= 100


def test_the_candidates_returned_so_far_are_all_before_what_is_undecided():
    lead = made_lead(11, 2500)
    stream = ECG.open_lead()
    later = []
    for part in np.split(lead, range(50, 2500, 50)):
        decided = stream.decided
        found = stream.push(part).position
        assert (found >= decided).all()
        later.append((found < stream.decided).all())
    assert all(later)


def test_a_flat_lead_has_fillers_only_and_one_sample_nothing():
    found = whole(ECG, np.full(700, 3.0, dtype=np.float32))
    assert found.position.tolist() == list(range(60, 700, 60))
    assert set(found.kind.tolist()) == {Turn.FILL}
    assert not found.prominence.any()
    assert len(whole(ECG, np.ones(1, dtype=np.float32)).position) == 0
    assert len(whole(ECG, np.full(300, np.nan, dtype=np.float32)).position) == 0


def test_the_top_of_a_plateau_is_its_middle():
    lead = np.zeros(1000, dtype=np.float32)
    lead[400:411] = 1.0
    found = whole(ECG, lead)
    assert found.position[found.kind == Turn.MAXIMUM].tolist() == [405]
    assert found.prominence[found.kind == Turn.MAXIMUM].tolist() == [1.0]


def test_the_apex_of_every_wave_is_a_candidate_and_quiet_stretches_have_few(rng):
    lead = (beats(250.0, 60) + 0.005 * rng.standard_normal(15_000)).astype(np.float32)
    found = whole(ECG, lead)
    seconds = np.arange(2, 70) / 1.2
    for at, tolerance in ((0.0, 1), (-0.16, 4), (0.25, 5)):
        extrema = found.position[found.kind == Turn.MAXIMUM]
        apex = (seconds + 0.4 / 1.2 + at)[:-1] * 250
        assert np.abs(extrema[:, None] - apex).min(axis=0).max() <= tolerance
    phase = (found.position / 250 * 1.2 % 1 - 0.4) / 1.2
    per_second = {
        name: np.sum((phase > a) & (phase < b)) / 60 / 1.2 / (b - a)
        for name, a, b in (("TP", 0.4, 0.5), ("QRS", -0.05, 0.05))
    }
    assert per_second["QRS"] > 2 * per_second["TP"]


@pytest.mark.parametrize("fs", [100.0, 128.0, 257.0, 360.0, 500.0, 1000.0, 2000.0])
def test_other_rates_give_the_same_moments(fs):
    reference = ECG.segment(beats(250.0, 20), fs=250.0)
    found = ECG.segment(beats(fs, 20), fs=fs)
    assert len(found) == pytest.approx(len(reference), rel=0.1)
    turns = reference.position[(reference.kind != Turn.FILL) & (reference.prominence > 0.05)] / 250
    distance = np.abs(found.position[:, None] / fs - turns).min(axis=0)
    assert len(turns) > 100
    assert np.mean(distance <= 0.5 / fs + 0.006) > 0.97


def gather(parts: list[Candidates]) -> list[bytes]:
    names = ("position", "channel", "kind", "scale", "prominence")
    return [np.concatenate([getattr(part, name) for part in parts]).tobytes() for name in names]


@settings(max_examples=30)
@given(seed=seeds, cuts=st.lists(st.integers(0, 900), max_size=10), fs=st.sampled_from([100.0, 250.0, 360.0, 500.0]))
def test_two_channels_in_any_chunking_give_the_same_bits_in_order_of_position(seed, cuts, fs):
    signals = np.stack([made_lead(seed, 900), made_lead(seed + 1, 900)], axis=1)
    expected = ECG.segment(signals, fs=fs)
    stream = ECG.open(fs=fs, channels=("I", "II"))
    parts = [stream.push(part) for part in np.split(signals, sorted(cuts))] + [stream.flush()]
    assert gather(parts) == gather([expected])
    assert (np.diff(expected.position) >= 0).all()
    assert expected.position.max(initial=0) < 900
    for channel in range(2):
        alone = ECG.segment(signals[:, channel], fs=fs)
        assert expected.position[expected.channel == channel].tolist() == alone.position.tolist()


def test_streams_pickle_in_the_middle_and_do_not_share_state():
    signals = np.stack([made_lead(1, 2000), made_lead(2, 2000)], axis=1)
    expected = ECG.segment(signals, fs=360.0)
    streams = [ECG.open(fs=360.0, channels=("I", "II")) for _ in range(2)]
    parts = [[], []]
    for k in range(0, 2000, 100):
        for which in range(2):
            parts[which].append(streams[which].push(signals[k : k + 100], start=k))
            streams[which] = pickle.loads(pickle.dumps(streams[which]))
    for which in range(2):
        assert gather([*parts[which], streams[which].flush()]) == gather([expected])


def test_the_state_does_not_grow():
    stream = ECG.open_lead()
    sizes = []
    for _ in range(5):
        stream.push(made_lead(3, 5000))
        sizes.append(len(pickle.dumps(stream)))
    assert max(sizes) - min(sizes) < 2000  # the samples that wait for their scale, at most 1.92 s of them
    assert max(sizes) < 30_000


def test_chunks_that_do_not_continue_the_stream_are_refused():
    stream = ECG.open(fs=500.0, channels=("I", "II"))
    stream.push(np.zeros((3, 2)), start=0)
    with pytest.raises(StreamError, match="starts at sample 5 but the stream is at 3"):
        stream.push(np.zeros((3, 2)), start=5)
    with pytest.raises(InvalidSignalError, match="3 channels; expected 2"):
        stream.push(np.zeros((3, 3)))
    stream.flush()
    with pytest.raises(StreamError, match="has ended"):
        stream.push(np.zeros((3, 2)))
    with pytest.raises(StreamError, match="has ended"):
        stream.flush()
    lead = ECG.open_lead()
    lead.flush()
    with pytest.raises(StreamError, match="has ended"):
        lead.push([0.0])
    with pytest.raises(StreamError, match="has ended"):
        lead.flush()


@pytest.mark.parametrize("fs", [50.0, 2001.0, 0.0, math.nan])
def test_rates_that_cannot_be_resampled_are_refused(fs):
    with pytest.raises(InvalidParameterError, match="fs="):
        ECG.open(fs=fs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reach": 0.0}, "reach"),
        ({"longest_gap": math.inf}, "longest_gap"),
        ({"prominence": -1.0}, "prominence"),
        ({"arm": 0.3}, "ahead"),
        ({"rate": -1.0}, "fs"),
    ],
)
def test_settings_without_meaning_are_refused(wrong, message):
    with pytest.raises(InvalidParameterError, match=message):
        replace(ECG, **wrong)


@pytest.mark.realdata
def test_candidates_are_few_and_near_the_experts_marks(data_dir):
    from data_loaders import Ludb

    peaks, boundaries, count, seconds = [], [], 0, 0.0
    for recording, annotation, _ in Ludb(data_dir / "ludb"):
        if recording.name not in {"1", "25", "50", "75", "100", "125", "150", "175"}:
            continue
        found = ECG.segment(recording.signals, fs=recording.fs)
        count += len(found)
        seconds += recording.duration * recording.signals.shape[1]
        spans = annotation.spans
        for channel in range(len(recording.channels)):
            position = found.position[found.channel == channel]
            mine = spans.channel == channel
            for points, distances in ((spans.peak, peaks), (spans.onset, boundaries), (spans.offset, boundaries)):
                marks = points[mine & (points >= 0)]
                distances += (np.abs(position[:, None] - marks).min(axis=0) / recording.fs).tolist()
    assert count / seconds <= 26
    assert np.mean(peaks) <= 0.0032
    assert np.mean(boundaries) <= 0.0078
