"""Streams of breathing: the same phases for any chunks, in bounded time and memory."""

import io
import pickle

import numpy as np
import pytest
from breath_cases import EXPIRATION, INSPIRATION, PAUSE, UNUSABLE, breath_f1, breathing, check_spans, phases
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_cases import pushed, record, rows, unusable
from sklearn.base import clone
from strategies import chunkings, cut, damage, damaged

from mhealth.core import Spans
from mhealth.errors import InvalidParameterError

SECONDS = 60.0
LATEST = {INSPIRATION: 18.0, EXPIRATION: 36.0, PAUSE: 24.0}
"""Seconds after its end by which a phase is reported, whatever the breathing."""


def with_(labeler, **parameters):
    """Return a labeler that shares what was learned, with other parameters."""
    other = clone(labeler).set_params(**parameters)
    other.model_ = labeler.model_
    return other


def state_size(stream, labeler) -> int:
    """Return the bytes of a pickled stream, less the model, which streams share."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return "model" if item is labeler.model_ else None

    buffer = io.BytesIO()
    Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(stream)
    return buffer.tell()


@given(data=st.data())
@settings(max_examples=10)
@pytest.mark.parametrize("fs", [10.0, 62.4])
def test_any_chunking_gives_the_batch_labels(breather, fs, data):
    recording, _ = breathing(1, fs=fs, duration=40.0, pauses=[(10, 22)])
    signals = damaged(recording.signals, fs, data.draw(damage(40.0, 1)))
    cuts = data.draw(chunkings(len(signals), most=6))
    got = pushed(breather.open(fs=fs, channels=("RESP",)), cut(signals, cuts))
    assert sorted(rows(got)) == sorted(rows(breather.label(record(signals, fs, ("RESP",)))))
    check_spans(breather.label(record(signals, fs)), len(signals))


@pytest.mark.parametrize("polarity", ["auto", "up"])
def test_single_samples_give_the_batch_labels_where_the_polarity_turns(breather, polarity):
    recording, _ = breathing(3, fs=12.5, duration=200.0, polarity=-1, pauses=[(50, 75)])
    labeler = with_(breather, polarity=polarity)
    stream = labeler.open(fs=12.5, channels=recording.channels)
    got = pushed(stream, np.split(recording.signals, len(recording.signals)))
    assert sorted(rows(got)) == sorted(rows(labeler.label(recording)))
    assert stream.polarity["RESP"].sign == (-1 if polarity == "auto" else 1)


@pytest.mark.parametrize("factor", [2.0**-16, 2.0**10])
def test_the_unit_does_not_matter(breather, factor):
    recording, _ = breathing(2, duration=SECONDS, drift=0.3)
    scaled = record(recording.signals * np.float32(factor), 25.0, recording.channels)
    assert rows(breather.label(scaled)) == rows(breather.label(recording))


@pytest.mark.parametrize("shift", [-3.0, 20.0])
def test_the_zero_does_not_matter(breather, shift):
    recording, _ = breathing(0, duration=SECONDS)
    shifted = breather.label(record(recording.signals + np.float32(shift), 25.0, recording.channels))
    expected, got = phases(breather.label(recording)), phases(shifted)
    assert [label for *_, label in got] == [label for *_, label in expected]
    np.testing.assert_allclose(got, expected, atol=1)  # float32 rounds


def test_a_signal_upside_down_that_is_said_to_be_is_labelled_alike(breather):
    recording, _ = breathing(3, duration=SECONDS)
    mirrored = record(-recording.signals, 25.0, recording.channels)
    up, down = with_(breather, polarity="up"), with_(breather, polarity="down")
    assert rows(down.label(mirrored)) == rows(up.label(recording))
    assert down.open(fs=25.0, channels=("a", "b")).polarity == {"a": (-1, 1.0), "b": (-1, 1.0)}


def test_a_pickled_stream_goes_on_as_if_nothing_had_happened(breather):
    recording, _ = breathing(3, fs=12.5, duration=200.0, polarity=-1, pauses=[(30, 60)])
    for place in (0, 3, 511, 1000, 1777):
        stream = breather.open(fs=12.5, channels=recording.channels)
        stream.push(recording.signals[:place])
        copied = pickle.loads(pickle.dumps(stream))
        rest = recording.signals[place:]
        parts = [rest[:700], rest[700:]]
        assert rows(pushed(copied, parts)) == rows(pushed(stream, parts))
        assert copied.polarity == stream.polarity


def test_channels_are_labelled_each_on_its_own(breather):
    signals = [breathing(seed, duration=120.0, polarity=polarity)[0].signals for seed, polarity in ((0, 1), (1, -1))]
    both = breather.label(record(np.hstack(signals), 25.0))
    for k, alone in enumerate(signals):
        of = both.select(both.channel == k)
        assert [row[:4] + row[5:] for row in rows(of)] == [
            row[:4] + row[5:] for row in rows(breather.label(record(alone, 25.0)))
        ]


def test_labelling_resumes_after_missing_samples(breather):
    recording, truth = breathing(1, duration=150.0)
    signals = recording.signals.copy()
    signals[1500:1700] = np.nan
    spans = breather.label(record(signals, 25.0, recording.channels))
    assert unusable(spans, 0) == [(1500, 1700)]
    ends, expected = (s.of(label="inspiration").offset for s in (spans, truth.spans))
    for start, stop in [(0, 1400), (2000, 3700)]:
        found, there = (((e > start) & (e < stop)).sum() for e in (ends, expected))
        assert abs(found - there) <= 2
        assert there > 10


@pytest.mark.parametrize("fs", [10.0, 12.5, 25.0, 125.0, 1000.0])
def test_breaths_are_found_at_every_rate(breather, fs):
    assert breath_f1(breather, [breathing(seed, fs=fs, duration=SECONDS) for seed in (20, 21, 22)]) > 85


@pytest.mark.parametrize("fs", [1.0, 9.99, 1000.1])
def test_rates_out_of_range_are_refused_with_a_remedy(breather, fs):
    with pytest.raises(InvalidParameterError, match=r"outside 10 to 1000 Hz.*Resample"):
        breather.label(record(np.zeros((1000, 1)), fs))
    with pytest.raises(InvalidParameterError, match="outside 10 to 1000 Hz"):
        breather.open(fs=fs, channels=("RESP",))


def test_whole_recording_decoding_offers_no_stream(breather):
    whole = with_(breather, lag=None)
    with pytest.raises(InvalidParameterError, match="lag=None"):
        whole.open(fs=25.0, channels=("RESP",))
    assert breath_f1(whole, [breathing(20)]) > 85


@pytest.mark.parametrize(
    ("name", "value"), [("lag", 0.0), ("polarity", "left"), ("n_simulated", -1), ("n_simulated", 2.5), ("budget", "m0")]
)
def test_impossible_parameters_are_refused(breather, name, value):
    with pytest.raises(InvalidParameterError, match=f"{name}={value!r}"):
        with_(breather, **{name: value}).label(breathing(0)[0])


@pytest.mark.parametrize("rate", [4.2, 15.0, 65.0])
@pytest.mark.parametrize("fs", [10.0, 125.0])
def test_every_phase_comes_in_time_and_once(breather, fs, rate):
    recording, _ = breathing(5, fs=fs, duration=240.0, rate=rate, rate_variability=0.1, pauses=[(60, 75), (120, 165)])
    stream = breather.open(fs=fs, channels=recording.channels)
    found = []
    for chunk in np.array_split(recording.signals, 240 * 4):
        spans = stream.push(chunk)
        found.append(spans)
        for _, offset, label in phases(spans):
            assert (stream.position - offset) / fs <= LATEST[label] + 0.25  # the chunk's length
    reported = phases(Spans.concat(found))
    assert len(set(reported)) == len(reported) > 10


def quiet(n, rng):
    return np.full((n, 1), np.nan, np.float32)


def hiss(n, rng):
    return rng.standard_normal((n, 1)).astype(np.float32)


def torn(n, rng):
    """Breathing that loses a sample every 2 s."""
    lead = breathing(1, fs=25.0, duration=n / 25)[0].signals.copy()
    lead[::50] = np.nan
    return lead


def breaths(n, rng):
    return breathing(1, fs=25.0, duration=n / 25, rate=40.0, ripple=0.3, noise=0.05)[0].signals


def held(n, rng):
    """Nothing but heartbeats and noise, for minutes."""
    return breathing(1, fs=25.0, duration=n / 25, depth=0.0, ripple=0.1, noise=0.05)[0].signals


@pytest.mark.parametrize("signal", [quiet, hiss, torn, breaths, held])
def test_the_state_of_a_stream_is_small_and_does_not_grow(breather, rng, signal):
    stream = breather.open(fs=25.0, channels=("RESP",))
    stream.push(breathing(0)[0].signals)
    sizes = []
    for chunk in np.array_split(signal(25 * 600, rng), 150):
        stream.push(chunk)
        sizes.append(state_size(stream, breather))
    assert max(sizes) < 100_000
    assert max(sizes[75:]) < 1.2 * max(sizes[:75])


def test_a_large_chunk_leaves_no_large_state(breather):
    recording, _ = breathing(1, fs=125.0, duration=600.0)
    stream = breather.open(fs=125.0, channels=recording.channels)
    stream.push(recording.signals)
    assert state_size(stream, breather) < 100_000


def test_unusable_stretches_are_given_as_they_end(breather):
    recording, _ = breathing(0, duration=SECONDS)
    signals = recording.signals.copy()
    signals[500:600] = np.nan
    stream = breather.open(fs=25.0, channels=recording.channels)
    for chunk in np.array_split(signals, 60):
        spans = stream.push(chunk)
        if (spans.label == UNUSABLE).any():
            break
    assert unusable(spans, 0) == [(500, 600)]
    assert (stream.position - 600) / 25 <= LATEST[INSPIRATION]
