"""Signal quality: what is unusable and why, on made and on recorded signals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhealth.dsp import Reason, SignalQuality, unusable_spans
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.io import read_recording
from mhealth.simulate import add_noise, synthetic_ecg

RATES = [100.0, 128.0, 250.0, 360.0, 500.0, 977.0, 2000.0]


def beats(fs: float, seconds: float, *, rate: float = 1.2) -> np.ndarray:
    """Return a noise-free lead: P, QRS and T at `rate` beats a second, in mV."""
    times = np.arange(int(seconds * fs)) / fs
    phase = (times * rate % 1 - 0.4) / rate
    waves = [(-0.16, 0.025, 0.15), (-0.03, 0.008, -0.1), (0.0, 0.01, 1.0), (0.03, 0.008, -0.2), (0.25, 0.05, 0.3)]
    return sum(a * np.exp(-(((phase - at) / width) ** 2) / 2) for at, width, a in waves)


def noise(kind: str, fs: float, seconds: float, seed: int = 0) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal(int(fs * seconds))
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, len(white))


def troubled(fs: float) -> np.ndarray:
    """Return beats with every kind of trouble, which differ from second to second."""
    lead = beats(fs, 30) + 0.01 * noise("white", fs, 30)
    at = lambda second: int(second * fs)  # noqa: E731
    lead[at(5) : at(6)] = np.nan
    lead[at(9) : at(10)] = lead[at(9)]
    lead[at(12) : at(14)] = np.where(np.arange(at(14) - at(12)) // 7 % 2, 3.0, -3.0)
    lead[at(17) : at(26)] += 3 * noise("white", fs, 9)
    return lead.astype(np.float32)


def test_every_trouble_is_found_named_and_survived():
    fs = 500.0
    codes = SignalQuality().codes(troubled(fs), fs=fs)
    start, stop, reason = unusable_spans(codes)
    assert reason.tolist() == [Reason.DROPOUT, Reason.FLAT, Reason.SATURATED, Reason.NOISE]
    assert (start[0], stop[0]) == (2500, 3000), "missing samples are exactly those that are NaN"
    assert (start[1], stop[1]) == (4500, 5000), "a flat line counts from its first to its last sample"
    np.testing.assert_allclose(start[2:] / fs, [12, 17], atol=2.0)  # noise must first fill the window
    np.testing.assert_allclose(stop[2:] / fs, [14, 26], atol=1.0)


@settings(deadline=None, max_examples=40)
@given(fs=st.sampled_from(RATES[:4]), cuts=st.lists(st.integers(0, 7500), max_size=10))
def test_any_chunking_gives_the_same_codes(fs, cuts):
    lead = troubled(fs)
    stream = SignalQuality().open(fs=fs)
    parts = [stream.push(part) for part in np.split(lead, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), SignalQuality().codes(lead, fs=fs))


def test_single_samples_come_after_the_stated_delay_and_a_pickled_stream_goes_on():
    fs = 100.0
    lead = troubled(fs)
    stream = SignalQuality().open(fs=fs)
    parts = []
    for n, value in enumerate(lead):
        parts.append(stream.push([value], start=n))
        assert len(parts[-1]) == (n >= stream.delay * fs)
        if n == 1300:
            stream = pickle.loads(pickle.dumps(stream))
    assert stream.delay <= 0.5
    assert len(pickle.dumps(stream)) < 10_000
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), SignalQuality().codes(lead, fs=fs))


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**20, -1.0])
def test_unit_and_polarity_do_not_matter(factor):
    lead = troubled(360.0)
    got = SignalQuality().codes(lead * np.float32(factor), fs=360.0)
    np.testing.assert_array_equal(got, SignalQuality().codes(lead, fs=360.0))


@pytest.mark.parametrize("fs", RATES)
@pytest.mark.parametrize("rate", [0.6, 1.2, 3.0])
def test_clean_beats_are_usable_also_in_coarse_steps(fs, rate):
    lead = beats(fs, 30, rate=rate)
    assert not SignalQuality().codes(lead, fs=fs).any()
    if rate > 1:
        stepped = np.round(lead * 50) / 50
        assert not SignalQuality().codes(stepped, fs=fs).any()


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0, 2000.0])
def test_ten_minutes_of_noise_are_noise_from_the_second_second_on(kind, fs):
    codes = SignalQuality().codes(1e-3 * noise(kind, fs, 600), fs=fs)
    assert (codes == Reason.NOISE).mean() >= 0.99
    assert np.argmax(codes == Reason.NOISE) <= 2 * fs


def test_noise_comes_and_goes_in_stretches_of_a_second_at_least():
    fs = 250.0
    lead = beats(fs, 300) + noise("white", fs, 300) * np.repeat(np.geomspace(0.02, 1.0, 30), int(10 * fs))
    spans = unusable_spans(SignalQuality().codes(lead, fs=fs))
    assert len(spans.start) > 0
    assert ((spans.stop - spans.start)[:-1] >= fs).all()


@pytest.mark.parametrize(
    ("kind", "bearable", "hopeless"), [("white", 0.0, -15.0), ("pink", 0.0, -15.0), ("mains", -10.0, -25.0)]
)
def test_beats_that_stand_out_of_the_noise_stay_usable_until_they_do_not(kind, bearable, hopeless):
    recording, _ = synthetic_ecg(fs=360.0, duration=60.0, leads=("II",), seed=3)
    shares = [
        (SignalQuality().codes(add_noise(recording, kind, snr_db=snr_db).signals, fs=360.0) == Reason.NOISE).mean()
        for snr_db in (bearable, hopeless)
    ]
    assert shares[0] == 0
    assert shares[1] > 0.9


def test_a_pause_is_quiet_not_noisy():
    fs = 250.0
    lead = beats(fs, 30)
    lead[int(14.9 * fs) : int(18.9 * fs)] = 0
    lead += 0.02 * noise("white", fs, 30)
    assert not SignalQuality().codes(lead, fs=fs).any()


def test_fibrillation_like_waves_are_not_noise():
    fs = 250.0
    times = np.arange(int(30 * fs)) / fs
    lead = np.sin(2 * np.pi * 5 * times + np.sin(2 * np.pi * 0.4 * times)) * (1 + 0.4 * np.sin(2 * np.pi * 0.3 * times))
    assert not SignalQuality().codes(lead + 0.02 * noise("white", fs, 30), fs=fs).any()


@pytest.mark.parametrize("value", [0.0, -1.3])
def test_a_lead_that_was_never_on_is_flat(value):
    codes = SignalQuality().codes(np.full(1000, value), fs=250.0)
    assert (codes == Reason.FLAT).all()


def test_all_missing_is_dropout():
    assert (SignalQuality().codes(np.full(1000, np.nan), fs=250.0) == Reason.DROPOUT).all()


def test_a_lead_that_clips_the_top_of_its_beats_is_usable_and_one_at_the_rail_is_not():
    fs = 250.0
    lead = beats(fs, 30)
    assert not SignalQuality().codes(np.minimum(lead, 0.6), fs=fs).any()
    lead[int(20 * fs) :] = 2.0
    start, stop, reason = unusable_spans(SignalQuality().codes(lead, fs=fs))
    assert (stop.tolist(), reason.tolist()) == ([7500], [Reason.SATURATED])
    assert abs(start[0] - 5000) <= 2


@pytest.mark.parametrize("n", [0, 1, 3, 60, 130])
def test_short_signals_get_a_code_for_every_sample(n):
    assert SignalQuality().codes(np.arange(n), fs=250.0).tolist() == [0] * n


def test_flat_and_dropout_agree_with_a_slow_twin(rng):
    lengths = rng.choice([1, 2, 20, 50, 51, 60, 120], 2000, p=[0.8, 0.1, 0.06, 0.01, 0.01, 0.01, 0.01])
    values = rng.standard_normal(2000) * np.where(lengths > 2, 0.1, 1.0)  # no long run at an extreme
    values[rng.integers(0, 2000, 100)] = np.nan
    lead = np.repeat(values, lengths).astype(np.float32)
    codes = SignalQuality(enter=1e9).codes(lead, fs=100.0)
    expected = np.zeros(len(lead), dtype=bool)
    stood_still = []  # end and length of the runs that were not flat
    for value, length, end in zip(values, lengths, np.cumsum(lengths), strict=True):
        needed = max(50, 2 * max((k for at, k in stood_still if at > end - 1600), default=0))
        if length > needed and not np.isnan(value):
            expected[end - length + needed - 50 : end] = True
        elif not np.isnan(value):
            stood_still.append((end, length))
    found = codes == Reason.FLAT
    np.testing.assert_array_equal(codes == Reason.DROPOUT, np.isnan(lead))
    # The twin remembers 16 s, the stream 8 to 16 s: it may find more, but only what stands still for half a second.
    assert expected.sum() > 100
    assert not (expected & ~found).any()
    assert not (found & ~np.repeat(lengths > 50, lengths)).any()


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 7500), max_size=10))
def test_a_stream_knows_at_once_that_a_lead_is_off(cuts):
    fs = 250.0
    lead = troubled(fs)
    stream = SignalQuality().open(fs=fs)
    off = [stream.judge(part).off for part in np.split(lead, sorted(cuts))]
    expected = np.zeros(len(lead), bool)
    expected[int(9 * fs + fs / 2) : int(10 * fs)] = True  # half a second has passed
    np.testing.assert_array_equal(np.concatenate(off), expected)


def test_spans_are_the_runs_of_codes():
    start, stop, reason = unusable_spans([1, 1, 0, 2, 4, 4, 0])
    assert (start.tolist(), stop.tolist(), reason.tolist()) == ([0, 3, 4], [2, 4, 6], [1, 2, 4])
    assert len(unusable_spans([]).start) == 0


def test_thresholds_and_chunks_are_checked():
    with pytest.raises(InvalidParameterError, match="leave=2"):
        SignalQuality(enter=1.0, leave=2.0)
    stream = SignalQuality().open(fs=250.0)
    stream.flush()
    with pytest.raises(StreamError, match="after flush"):
        stream.push([1.0])


@pytest.mark.realdata
@pytest.mark.parametrize("record", ["ludb/data/1", "ludb/data/41", "ludb/data/138", "qtdb/sele0116", "mitdb/207"])
def test_recorded_beats_are_usable(data_dir, record):
    recording = read_recording(data_dir / record)
    codes = [SignalQuality().codes(lead, fs=recording.fs) for lead in recording.signals.T]
    assert (np.concatenate(codes) != Reason.USABLE).mean() < 0.015


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "lowest", "highest"), [("bw", 0.6, 1.0), ("ma", 0.15, 0.5), ("em", 0.0, 0.1)])
def test_recorded_noise_keeps_its_share(data_dir, name, lowest, highest):
    """Electrode motion looks like beats and is not told apart: the docstring says so."""
    recording = read_recording(data_dir / "nstdb" / name, units="mV")
    share = (SignalQuality().codes(recording.signals[:, 0], fs=recording.fs) == Reason.NOISE).mean()
    assert lowest <= share <= highest
