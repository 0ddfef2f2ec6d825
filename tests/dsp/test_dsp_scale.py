"""Running scale and floor: against the definition, for any chunking, unit and polarity."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhealth.dsp import RunningScale, ScaleAndFloor
from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError
from naive_segmentation import naive_scale, stretches

FS = 100.0
SHORT = RunningScale(window=0.4, ahead=0.06, block=0.05, time_constant=0.2)
seeds = st.integers(0, 2**32 - 1)


def lead_with_gaps(seed: int, n: int) -> np.ndarray:
    """Return a coarse random walk (many ties) with stretches of NaN."""
    rng = np.random.default_rng(seed)
    lead = np.cumsum(rng.integers(-2, 3, n)).astype(np.float32)
    for start in rng.integers(0, max(n, 1), rng.integers(0, 4)):
        lead[start : start + rng.integers(1, 20)] = np.nan
    return lead


def pushed(stream, lead, cuts) -> ScaleAndFloor:
    parts = [stream.push(part) for part in np.split(lead, sorted(cuts))] + [stream.flush()]
    return ScaleAndFloor(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@given(seed=seeds, n=st.integers(0, 200))
def test_scale_and_floor_are_as_defined(seed, n):
    lead = lead_with_gaps(seed, n)
    got = SHORT.measure(lead, fs=FS)
    expected = np.full((2, n), np.nan)
    weight = -math.expm1(-1 / (0.2 * FS))
    for start, x in stretches(lead):
        values = naive_scale(x, window=40, ahead=6, block=5, weight=weight, quantile=0.35)
        expected[:, start : start + len(x)] = values
    np.testing.assert_array_equal(np.stack(got), expected)


@given(seed=seeds, n=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_chunking_gives_the_same_bits(seed, n, cuts):
    lead = lead_with_gaps(seed, n)
    whole = SHORT.measure(lead, fs=FS)
    for places in (np.minimum(cuts, n).astype(int), np.arange(n)):
        got = pushed(SHORT.open(fs=FS), lead, places)
        assert [c.tobytes() for c in got] == [c.tobytes() for c in whole]


@settings(max_examples=20)
@given(seed=seeds, power=st.integers(-30, 30))
def test_scaling_by_a_power_of_two_scales_the_bits_and_the_sign_does_not_matter(seed, power):
    lead = lead_with_gaps(seed, 200)
    one, other = SHORT.measure(lead, fs=FS), SHORT.measure(-lead * np.float32(2.0**power), fs=FS)
    np.testing.assert_array_equal(np.stack(one) * 2.0**power, np.stack(other))


def test_values_come_ahead_seconds_after_their_sample_once_the_first_window_is_full():
    stream = RunningScale().open(fs=250.0)
    lead = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert len(stream.push(lead[:480]).scale) == 0
    assert len(stream.push(lead[480:481]).scale) == 441  # 480 smoothed samples, 40 of them ahead
    for k in range(481, 1000):
        assert len(stream.push(lead[k : k + 1]).scale) == 1
    assert len(stream.flush().scale) == 1000 - 441 - 519


def test_the_scale_follows_a_lead_that_grows_and_the_floor_its_noise(rng):
    times = np.arange(30_000) / 250
    beats = np.where(times % 0.8 < 0.04, 1.0, 0.0) * np.where(times < 60, 1, 4)
    noise = rng.uniform(-0.5, 0.5, len(times)) * np.where(times < 60, 0.02, 0.2)
    scale, floor = RunningScale().measure(beats + noise, fs=250.0)
    assert scale[5000:14_000] == pytest.approx(1.0, rel=0.05)
    assert scale[20_000:] == pytest.approx(4.1, rel=0.05)
    assert 0.005 < floor[5000:14_000].min() <= floor[5000:14_000].max() < 0.02
    assert 0.05 < floor[20_000:].min() <= floor[20_000:].max() < 0.2


def test_one_sample_and_a_flat_lead_have_scale_zero():
    assert RunningScale().measure([7.0], fs=250.0).scale.tolist() == [0.0]
    assert not np.stack(RunningScale().measure(np.full(2000, 7.0), fs=250.0)).any()


def test_a_stream_pickles_in_the_middle(rng):
    lead = rng.standard_normal(2000).astype(np.float32)
    stream = RunningScale().open(fs=250.0)
    stream.push(lead[:777])
    copy = pickle.loads(pickle.dumps(stream))
    for one, other in zip(stream.push(lead[777:]), copy.push(lead[777:]), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(stream.flush(), copy.flush(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_chunks_that_do_not_continue_the_stream_are_refused():
    stream = RunningScale().open(fs=250.0)
    stream.push([1.0, 2.0], start=0)
    with pytest.raises(StreamError, match="starts at sample 5 but the stream is at 2"):
        stream.push([1.0], start=5)
    with pytest.raises(InvalidSignalError, match="infinite"):
        stream.push([np.inf])
    stream.flush()
    with pytest.raises(StreamError, match="has ended"):
        stream.push([1.0])
    with pytest.raises(StreamError, match="has ended"):
        stream.flush()


@pytest.mark.parametrize("wrong", [{"window": 0.0}, {"ahead": 3.0}, {"block": math.nan}, {"quantile": 1.0}])
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        RunningScale(**wrong)
