"""The resampler: chunks, accuracy, timing, edges, missing samples."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhealth.dsp import Resampler
from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError

RATES = [100.0, 128.0, 250.0, 257.3, 360.0, 500.0, 977.0, 1000.0, 2000.0]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def sine(frequency: float, times: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * times + 0.3)


@settings(deadline=None, max_examples=60)
@given(
    fs=st.sampled_from(RATES),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 700),
    cuts=st.lists(st.integers(0, 700), max_size=12),
)
def test_any_chunking_gives_the_same_bits(fs, seed, n, cuts):
    lead = noise(n, seed)
    whole = Resampler().resample(lead, fs=fs)
    stream = Resampler().open(fs=fs)
    parts = [stream.push(part) for part in np.split(lead, sorted(cuts))]
    assert np.concatenate([*parts, stream.flush()]).tobytes() == whole.tobytes()


def test_single_samples_and_a_pickled_stream_give_the_same_bits():
    lead = noise(900)
    stream = Resampler().open(fs=360.0)
    parts = []
    for n, value in enumerate(lead):
        parts.append(stream.push([value]))
        if n == 450:
            stream = pickle.loads(pickle.dumps(stream))
    parts.append(stream.flush())
    np.testing.assert_array_equal(np.concatenate(parts), Resampler().resample(lead, fs=360.0))


@pytest.mark.parametrize("fs", RATES)
@pytest.mark.parametrize("rate", [128.0, 250.0, 500.0])
def test_a_sine_below_half_of_the_lower_nyquist_rate_keeps_its_values(fs, rate):
    frequency = 0.5 * min(fs, rate) / 2
    lead = sine(frequency, np.arange(int(3 * fs)) / fs)
    stream = Resampler(rate=rate).open(fs=fs)
    got = np.concatenate([stream.push(lead), stream.flush()])
    times = np.arange(len(got)) * float(stream.ratio) / fs
    inner = (times > 0.2) & (times < 2.8)
    # 60 dB of stop band is 1e-3 of ripple in the pass band.
    np.testing.assert_allclose(got[inner], sine(frequency, times)[inner], atol=2e-3)


@pytest.mark.parametrize("fs", [500.0, 977.0, 2000.0])
def test_what_would_alias_is_removed(fs):
    times = np.arange(int(3 * fs)) / fs
    got = Resampler(rate=250.0).resample(sine(131.0, times), fs=fs)
    assert np.abs(got[50:-50]).max() < 4e-3


@pytest.mark.parametrize("fs", RATES)
def test_a_constant_stays_exactly_constant_up_to_both_edges(fs):
    lead = np.full(777, 0.1, dtype=np.float32)
    np.testing.assert_array_equal(np.unique(Resampler().resample(lead, fs=fs)), lead[:1])


@pytest.mark.parametrize("fs", RATES)
def test_the_output_covers_the_duration_of_the_input(fs):
    n = 1013
    ratio = Resampler().open(fs=fs).ratio
    assert len(Resampler().resample(noise(n), fs=fs)) == -(-n // ratio)
    assert ratio == Fraction(str(fs)) / 250


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_the_shortest_signals_are_defined(n):
    got = Resampler().resample(np.full(n, 3.0), fs=500.0)
    np.testing.assert_array_equal(got, np.full(-(-n // 2), 3.0, dtype=np.float32))


@pytest.mark.parametrize("fs", RATES)
def test_an_output_comes_with_the_last_input_that_it_needs(fs):
    lead = noise(600)
    stream = Resampler().open(fs=fs)
    produced = 0
    for n, value in enumerate(lead):
        arrived = len(stream.push([value]))
        for k in range(produced, produced + arrived):
            lag = n - k * stream.ratio
            assert stream.delay * fs - 1 < lag + 1e-9, "an output came before its inputs"
            assert lag <= stream.delay * fs + 1e-9, "an output came later than the stated delay"
        produced += arrived
    assert produced > 0


def test_the_delay_is_short_and_a_signal_at_the_rate_passes_through():
    assert Resampler(rate=250.0).open(fs=500.0).delay == 0.04
    stream = Resampler(rate=250.0).open(fs=250.0)
    lead = noise(100)
    assert stream.delay == 0
    np.testing.assert_array_equal(stream.push(lead), lead)
    assert len(stream.flush()) == 0


@pytest.mark.parametrize("fs", [128.0, 257.3, 500.0])
@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30, -1.0])
def test_scaling_by_a_power_of_two_or_a_sign_flip_is_exact(fs, factor):
    lead = noise(800)
    resampler = Resampler()
    expected = resampler.resample(lead, fs=fs) * np.float32(factor)
    assert resampler.resample(lead * np.float32(factor), fs=fs).tobytes() == expected.tobytes()


@pytest.mark.parametrize("fs", [128.0, 500.0, 977.0])
def test_missing_samples_spoil_the_outputs_whose_taps_touch_them_and_no_others(fs):
    lead = noise(2000)
    holed = lead.copy()
    holed[1000:1010] = np.nan
    stream = Resampler().open(fs=fs)
    got = np.concatenate([stream.push(holed), stream.flush()])
    position = np.arange(len(got)) * float(stream.ratio)
    reach = stream.delay * fs
    spoiled = np.isnan(got)
    assert spoiled[(position > 1000 - reach) & (position < 1009 + reach)].all()
    assert not spoiled[(position < 999 - reach) | (position > 1010 + reach)].any()
    np.testing.assert_array_equal(got[~spoiled], Resampler().resample(lead, fs=fs)[~spoiled])


@pytest.mark.parametrize("fs", RATES)
def test_positions_map_to_the_nearest_sample_and_do_not_drift(fs):
    stream = Resampler().open(fs=fs)
    k = np.array([0, 1, 2, 3, 10**8])
    exact = [int(i) * stream.ratio for i in k]
    assert all(abs(int(n) - e) <= Fraction(1, 2) for n, e in zip(stream.to_input(k), exact, strict=True))
    back = [int(i) / stream.ratio for i in k]
    assert all(abs(int(n) - e) <= Fraction(1, 2) for n, e in zip(stream.to_output(k), back, strict=True))


def test_ties_go_to_the_later_sample():
    np.testing.assert_array_equal(Resampler(rate=500.0).open(fs=250.0).to_input([0, 1, 2, 3]), [0, 1, 1, 2])


def test_a_wave_does_not_shift():
    fs = 500.0
    times = np.arange(1000) / fs
    bump = np.exp(-(((times - 0.9) / 0.02) ** 2) / 2)
    got = Resampler(rate=250.0).resample(bump, fs=fs)
    assert np.argmax(got) == round(0.9 * 250)
    np.testing.assert_allclose(got[226:300], got[224:150:-1], atol=1e-6)


def test_the_state_is_small():
    stream = Resampler().open(fs=257.3)
    stream.push(noise(100_000))
    assert len(pickle.dumps(stream)) < 2000


def test_a_stream_refuses_what_does_not_continue_it():
    stream = Resampler().open(fs=500.0)
    stream.push(noise(10), start=0)
    with pytest.raises(StreamError, match="starts at sample 12 but the stream is at 10"):
        stream.push(noise(10), start=12)
    stream.flush()
    with pytest.raises(StreamError, match="after flush"):
        stream.push(noise(10))
    with pytest.raises(StreamError, match="after flush"):
        stream.flush()


def test_bad_rates_and_shapes_are_named():
    with pytest.raises(InvalidParameterError, match="fs=50 Hz"):
        Resampler().open(fs=50.0)
    with pytest.raises(InvalidParameterError, match="fs=4000 Hz"):
        Resampler(rate=4000.0)
    with pytest.raises(InvalidSignalError, match="2 channels; expected 1"):
        Resampler().open(fs=500.0).push(np.zeros((10, 2)))
