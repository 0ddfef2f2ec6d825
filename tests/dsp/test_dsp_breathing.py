"""Resampling and signal quality at the rates of breathing: what is kept, what folds, what is usable and what is not."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import chunkings, cut

from mhealth.dsp import BREATH_RATES, BreathQuality, RateRange, Reason, Resampler, SignalQuality, unusable_spans
from mhealth.dsp._quality import _sections
from mhealth.errors import InvalidParameterError
from mhealth.segmentation import BreathSegmenter
from mhealth.simulate import synthetic_respiration

RESAMPLER = BreathSegmenter().resampler
QUALITY = BreathQuality()
RATES = [10.0, 11.0, 14.9, 15.0, 25.0, 62.5, 125.0, 257.3, 1000.0]


def belt(fs: float, seconds: float, **settings) -> np.ndarray:
    return synthetic_respiration(fs=fs, duration=seconds, **settings)[0].signals[:, 0].copy()


def spans(lead: np.ndarray, fs: float) -> list[tuple[float, float, Reason]]:
    """Return start and stop in seconds and reason of what is unusable."""
    found = unusable_spans(QUALITY.codes(lead, fs=fs))
    return [(a / fs, b / fs, Reason(why)) for a, b, why in zip(*found, strict=True)]


def resampled(frequency: float, fs: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times and samples at 10 Hz of a sine, edges cut off."""
    lead = np.sin(2 * np.pi * frequency * np.arange(int(30 * fs)) / fs + 0.3)
    stream = RESAMPLER.open(fs=fs)
    got = np.concatenate([stream.push(lead), stream.flush()])
    times = np.arange(len(got)) * float(stream.ratio) / fs
    inner = (times > 3) & (times < 27)
    return times[inner], got[inner]


@pytest.mark.parametrize("fs", RATES)
@pytest.mark.parametrize("frequency", [0.07, 1.2, 2.4, 3.0])
def test_breaths_and_heartbeats_up_to_three_hertz_stay_as_they_are(fs, frequency):
    times, got = resampled(frequency, fs)
    # 60 dB of stop band is 1e-3 of ripple in the pass band.
    np.testing.assert_allclose(got, np.sin(2 * np.pi * frequency * times + 0.3), atol=2e-3)


@pytest.mark.parametrize("fs", RATES[4:])
@pytest.mark.parametrize("frequency", [5.0, 6.0, 7.1, 9.9, 12.0])
def test_nothing_folds_onto_breathing(fs, frequency):
    assert np.abs(resampled(frequency, fs)[1]).max() < 2e-3


def test_ten_hertz_pass_through_and_the_delay_is_short():
    assert RESAMPLER.open(fs=10.0).delay == 0
    assert RESAMPLER.open(fs=125.0).delay <= 1.3


def test_any_chunking_of_slow_signals_gives_the_same_bits(rng):
    lead = rng.standard_normal(3000).astype(np.float32)
    stream = RESAMPLER.open(fs=125.0)
    parts = [stream.push(part) for part in np.split(lead, np.sort(rng.integers(0, 3000, 60)))] + [stream.flush()]
    assert np.concatenate(parts).tobytes() == RESAMPLER.resample(lead, fs=125.0).tobytes()


@pytest.mark.parametrize("stage", [RESAMPLER, QUALITY], ids=["resampler", "quality"])
@pytest.mark.parametrize("fs", [9.99, 1000.1])
def test_rates_outside_those_of_breathing_are_refused(stage, fs):
    with pytest.raises(InvalidParameterError, match="outside 10 to 1000 Hz"):
        stage.open(fs=fs)


def test_ranges_and_supports_are_checked():
    assert RateRange(1, 2).check(2) == 2.0
    with pytest.raises(InvalidParameterError, match="fs=3"):
        RateRange(3.0, 2.0)
    with pytest.raises(InvalidParameterError, match="outside 100 to 2000 Hz"):
        Resampler(rate=10.0)
    for wrong in (0, 1.5, True):
        with pytest.raises(InvalidParameterError, match="zero_crossings="):
            Resampler(rate=10.0, rates=BREATH_RATES, zero_crossings=wrong)


def troubled(fs: float) -> np.ndarray:
    """Return breathing with every kind of trouble, a minute after the start."""
    lead = belt(fs, 180, noise=0.005, motion=[(120, 132)], seed=3)
    at = lambda second: int(second * fs)  # noqa: E731
    lead[at(60) : at(65)] = np.nan
    lead[at(75) : at(90)] = lead[at(75)]
    lead[at(100) : at(112)] = 4.0
    return lead


@pytest.mark.parametrize("fs", [10.0, 25.0, 125.0])
def test_dropout_lead_off_rail_and_motion_are_found_and_named(fs):
    found = spans(troubled(fs), fs)
    assert [why for *_, why in found] == [Reason.DROPOUT, Reason.FLAT, Reason.SATURATED, Reason.NOISE]
    starts, stops = np.array([span[:2] for span in found]).T
    np.testing.assert_array_equal([starts[0], stops[0]], [60, 65])
    # A flat line shows after 8 s, and the last two of them are coded in hindsight.
    np.testing.assert_allclose(starts[1:3], [81, 106], atol=0.2)
    np.testing.assert_allclose(stops[1:3], [90, 112], atol=0.2)
    np.testing.assert_allclose([starts[3], stops[3]], [120, 132], atol=3.0)


@settings(max_examples=30)
@given(data=st.data())
def test_any_chunking_gives_the_same_codes_of_breathing(data):
    lead = troubled(10.0)
    stream = QUALITY.open(fs=10.0)
    parts = [stream.push(part) for part in cut(lead, data.draw(chunkings(len(lead))))]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), QUALITY.codes(lead, fs=10.0))


def test_codes_come_after_the_stated_delay_from_a_small_pickled_state():
    fs = 10.0
    lead = troubled(fs)
    stream, parts = QUALITY.open(fs=fs), []
    for n, value in enumerate(lead):
        parts.append(stream.push([value], start=n))
        assert len(parts[-1]) == (n >= stream.delay * fs)
        if n % 500 == 0:
            stream = pickle.loads(pickle.dumps(stream))
            assert len(pickle.dumps(stream)) < 10_000
    assert stream.delay == 2.0
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), QUALITY.codes(lead, fs=fs))


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**20, -1.0])
def test_unit_and_polarity_do_not_matter_to_codes_of_breathing(factor):
    lead = troubled(25.0)
    np.testing.assert_array_equal(QUALITY.codes(lead * np.float32(factor), fs=25.0), QUALITY.codes(lead, fs=25.0))


@pytest.mark.parametrize("fs", [10.0, 15.0, 25.0, 250.0])
@pytest.mark.parametrize("kind", ["belt", "impedance"])
@pytest.mark.parametrize("rate", [4.0, 15.0, 40.0, 70.0])
def test_breathing_of_every_rate_is_usable_also_in_coarse_steps(fs, kind, rate):
    lead = belt(fs, 120, rate=rate, kind=kind, noise=0.01, seed=int(rate))
    assert not QUALITY.codes(lead, fs=fs).any()
    assert not QUALITY.codes(np.round(lead * 25) / 25, fs=fs).any()


@pytest.mark.parametrize("length", [10, 30, 60])
@pytest.mark.parametrize("kind", ["belt", "impedance"])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_an_apnoea_is_a_pause_not_a_flat_line_and_not_noise(length, kind, noise):
    lead = belt(25.0, 180, kind=kind, noise=noise, pauses=[(60, 60 + length)], seed=7)
    assert not QUALITY.codes(lead, fs=25.0).any()
    stepped = np.round(lead * 256) / 256  # an 8-bit converter
    assert not QUALITY.codes(stepped, fs=25.0).any()


def test_what_never_breathed_is_flat_also_where_its_converter_flickers(rng):
    constant = np.full(2000, 0.3)
    assert (QUALITY.codes(constant, fs=25.0) == Reason.FLAT).all()
    for steps in ([0, 1], [0, 1, 2]):
        flicker = 5.0 + 0.01 * rng.choice(steps, 2000)
        assert (QUALITY.codes(flicker, fs=25.0) == Reason.FLAT).all()
    for lead in (constant, flicker):  # once it breathes, it is usable
        codes = QUALITY.codes(np.concatenate([lead, belt(25.0, 60, seed=1)]), fs=25.0)
        assert (codes[:2000] == Reason.FLAT).all()
        assert (codes[2100:] != Reason.FLAT).all()


def test_flicker_after_breathing_is_a_pause_for_a_minute_and_then_flat(rng):
    fs = 25.0
    step = 1 / 1024
    lead = np.round(belt(fs, 300, noise=0.005, seed=2) / step) * step
    lead[int(60 * fs) :] = lead[int(60 * fs)] + step * rng.integers(0, 2, len(lead) - int(60 * fs))
    (start, stop, why), = spans(lead, fs)  # fmt: skip
    assert why == Reason.FLAT
    assert 60 + 60 - 2 <= start <= 60 + 120
    assert stop == 300


def test_two_seconds_and_less_get_a_code_for_every_sample():
    for n in (0, 1, 19, 20, 21, 50):
        assert len(QUALITY.codes(np.arange(n), fs=10.0)) == n


@pytest.mark.parametrize("height", [0.8, 0.4, 0.1])
def test_clipped_breaths_can_be_counted_and_stay_usable(height):
    lead = belt(25.0, 120, limits=(0.5 - height / 2, 0.5 + height / 2), seed=1)
    assert np.mean((lead == lead.max()) | (lead == lead.min())) > 0.1
    assert not QUALITY.codes(lead, fs=25.0).any()


@pytest.mark.parametrize("fs", [10.0, 25.0, 125.0])
def test_hopeless_noise_and_heartbeats_alone_are_noise(fs):
    white = np.random.default_rng(0).standard_normal(int(300 * fs))
    assert np.mean(QUALITY.codes(white, fs=fs) == Reason.NOISE) > 0.95
    heart = belt(fs, 300, depth=0.0, kind="impedance", seed=1)
    assert np.mean(QUALITY.codes(heart, fs=fs) == Reason.NOISE) > 0.9


def test_breaths_that_stand_out_of_the_noise_stay_usable_until_they_do_not():
    shares = [np.mean(QUALITY.codes(belt(25.0, 240, noise=level, seed=1), fs=25.0) > 0) for level in (0.3, 3.0)]
    assert shares[0] == 0
    assert shares[1] > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_motion_is_found_from_its_first_to_its_last_seconds_and_nothing_beside_it(seed):
    found = spans(belt(25.0, 240, motion=[(100, 110), (150, 170)], seed=seed), 25.0)
    assert [why for *_, why in found] == [Reason.NOISE] * 2
    np.testing.assert_allclose([span[:2] for span in found], [(100, 110), (150, 170)], atol=3.0)


def test_a_deep_sigh_is_not_motion():
    assert not QUALITY.codes(belt(25.0, 180, sighs=[60, 100, 130], seed=4), fs=25.0).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"still": 1.0}, "still=1.0 must be at least look=2.0"),
        ({"quiet_share": 1.5}, "quiet_share"),
        ({"extremes": -1.0}, "extremes"),
        ({"block": 0.01}, "block=0.01 must last a sample"),
        ({"leave": 0.1}, "leave=0.1"),
    ],
)
def test_settings_without_meaning_are_refused(wrong, message):
    with pytest.raises(InvalidParameterError, match=message):
        replace(QUALITY, **wrong)


def test_filters_are_designed_once_a_rate():
    for quality, fs in ((QUALITY, 25.0), (SignalQuality(), 500.0)):
        quality.open(fs=fs)
        before = _sections.cache_info()
        quality.open(fs=fs).push([0.0])
        after = _sections.cache_info()
        assert after.misses == before.misses
        assert after.hits > before.hits


@pytest.mark.realdata
def test_recorded_breathing_is_usable_where_annotators_marked_it(data_dir):
    from data_loaders import Bidmc

    dataset = Bidmc(data_dir / "bidmc")
    for name in ("bidmc_05", "bidmc_13", "bidmc_35"):  # slow and clipped, the noisiest, clipped for 89 % of the time
        recording, _, _ = dataset.load(name)
        assert not QUALITY.codes(recording.signals[:, recording.channels.index("RESP")], fs=recording.fs).any()
