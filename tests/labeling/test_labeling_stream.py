"""Streams: the same labels for any chunks, at most 2 s late, in bounded memory."""

import io
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from labeling_cases import LEADS, UNUSABLE, ecg, pushed, record, rows, unusable, waves
from sklearn.base import clone
from strategies import chunkings, cut, damage, damaged

from mhealth.core import Spans
from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._features import FeatureStream

SECONDS = 12.0
LATEST = 2.0
"""Seconds after its end by which a wave is reported."""


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


def delays(stream, chunks):
    """Return the spans of a stream, and for each wave the seconds from its end to its report."""
    found, late = [], []
    for chunk in chunks:
        spans = stream.push(chunk)
        found.append(spans)
        late += [(stream.position - offset) / stream.fs for offset in waves(spans).offset.tolist()]
    return found, late


@given(data=st.data())
@settings(max_examples=8)
@pytest.mark.parametrize("fs", [250.0, 360.0])
def test_any_chunking_of_one_lead_gives_the_batch_labels(labeler, fs, data):
    recording, _ = ecg(1, fs=fs, duration=SECONDS, leads=("II",))
    signals = damaged(recording.signals, fs, data.draw(damage(SECONDS, 1)))
    cuts = data.draw(chunkings(len(signals)))
    got = pushed(labeler.open(fs=fs, channels=("II",)), cut(signals, cuts))
    assert rows(got) == rows(labeler.label(record(signals, fs, ("II",))))


@given(data=st.data())
@settings(max_examples=10)
@pytest.mark.parametrize("leads", ["fused", "independent"])
def test_any_chunking_of_three_leads_gives_the_batch_labels(labeler, leads, data):
    recording, _ = ecg(2, duration=SECONDS)
    signals = damaged(recording.signals, 250.0, data.draw(damage(SECONDS, 3)))
    cuts = data.draw(chunkings(len(signals)))
    other = with_(labeler, leads=leads)
    got = pushed(other.open(fs=250.0, channels=LEADS), cut(signals, cuts))
    assert rows(got) == rows(other.label(record(signals, 250.0, LEADS)))


@pytest.mark.parametrize("seed", range(6))
def test_scattered_dropouts_in_fused_leads_do_not_make_the_chunks_matter(labeler, seed):
    """Stretches between two dropouts may be too short for a candidate of their own."""
    rng = np.random.default_rng(seed)
    signals = ecg(seed, fs=500.0, duration=SECONDS)[0].signals.copy()
    for start in rng.integers(len(signals), size=16):
        signals[start : start + rng.integers(1, 60), rng.integers(3)] = np.nan
    got = pushed(labeler.open(fs=500.0, channels=LEADS), np.array_split(signals, 450))
    assert rows(got) == rows(labeler.label(record(signals, 500.0, LEADS)))


@pytest.mark.parametrize("seed", range(3))
def test_a_large_beat_at_the_end_of_the_warm_up_is_seen_alike_by_any_chunks(seed):
    lead = ecg(seed, duration=SECONDS, leads=("II",))[0].signals[:, 0]
    lead = np.roll(lead, 478 - int(np.abs(lead[:900]).argmax()))
    lead[440:520] *= 6
    whole, pieces = FeatureStream(ECG.front_end.features), FeatureStream(ECG.front_end.features)
    whole.push(lead)
    for sample in lead:
        pieces.push(sample[None])
    np.testing.assert_array_equal(pieces._context._beats, whole._context._beats)
    np.testing.assert_array_equal(pieces._context._floats, whole._context._floats)


@pytest.mark.parametrize("leads", ["fused", "independent"])
def test_a_pickled_stream_goes_on_as_if_nothing_had_happened(labeler, leads):
    recording, _ = ecg(3)
    stream = with_(labeler, leads=leads).open(fs=250.0, channels=LEADS)
    parts = [stream.push(recording.signals[:2311])]
    copied = pickle.loads(pickle.dumps(stream))
    rest = [recording.signals[2311:3000], recording.signals[3000:]]
    assert rows(pushed(copied, rest)) == rows(pushed(stream, rest))
    assert len(waves(parts[0])) > 10


def test_two_streams_of_one_labeler_do_not_touch_each_other(labeler):
    signals = [ecg(seed, leads=("II",))[0].signals for seed in (1, 2)]
    streams = [labeler.open(fs=250.0, channels=("II",)) for _ in signals]
    parts = [[stream.push(lead[:0])] for stream, lead in zip(streams, signals, strict=True)]
    for start in range(0, 5000, 100):
        for stream, part, lead in zip(streams, parts, signals, strict=True):
            part.append(stream.push(lead[start : start + 100]))
    for stream, part, lead in zip(streams, parts, signals, strict=True):
        got = Spans.concat([*part, stream.flush()])
        assert sorted(rows(got)) == sorted(rows(labeler.label(record(lead, 250.0, ("II",)))))


def quiet(n, rng):
    return np.full((n, 1), np.nan, np.float32)


def flat(n, rng):
    return np.zeros((n, 1), np.float32)


def noise(n, rng):
    return rng.standard_normal((n, 1)).astype(np.float32)


def torn(n, rng):
    """An ECG that loses a sample every 0.1 s."""
    lead = np.resize(ecg(0, leads=("II",))[0].signals, (n, 1)).copy()
    lead[::25] = np.nan
    return lead


def beats(n, rng):
    return np.resize(ecg(0, leads=("II",))[0].signals, (n, 1))


@pytest.mark.parametrize("signal", [quiet, flat, noise, torn, beats])
def test_the_state_of_a_stream_stays_small(labeler, rng, signal):
    stream = labeler.open(fs=250.0, channels=("II",))
    sizes = []
    for _ in range(8):
        for chunk in np.array_split(signal(250 * 45, rng), 20):
            stream.push(chunk)
        sizes.append(state_size(stream, labeler))
    assert max(sizes) < 1_000_000
    assert max(sizes[4:]) < 1.1 * max(sizes[:4])


def test_the_state_of_twelve_fused_leads_stays_small(labeler):
    recording, _ = ecg(4, fs=1000.0, leads=("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"))
    stream = labeler.open(fs=1000.0, channels=recording.channels)
    for chunk in np.array_split(recording.signals, 50):
        stream.push(chunk)
        assert state_size(stream, labeler) < 12 * 1_000_000


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("channels", [("II",), LEADS])
def test_every_wave_is_reported_within_two_seconds_of_its_end(labeler, fs, channels):
    recording, _ = ecg(5, fs=fs, duration=SECONDS, leads=channels)
    stream = labeler.open(fs=fs, channels=channels)
    n_chunks = int(SECONDS * 50)
    found, late = delays(stream, np.array_split(recording.signals, n_chunks))
    assert len(late) > 20 * len(channels)
    assert max(late) <= LATEST + 0.02  # the chunk's length
    reported = rows(waves(Spans.concat(found)))
    assert len(set(reported)) == len(reported)


@pytest.mark.parametrize("heart_rate_seed", range(6))
def test_the_first_and_the_slowest_beats_are_not_late_either(labeler, heart_rate_seed):
    recording, _ = ecg(6 + heart_rate_seed, duration=9.0, leads=("II",))
    _, late = delays(labeler.open(fs=250.0, channels=("II",)), np.split(recording.signals, len(recording.signals)))
    assert late
    assert max(late) <= LATEST


def test_waves_before_and_after_a_gap_are_not_late(labeler):
    signals = ecg(2, leads=LEADS)[0].signals.copy()
    signals[2000:2600] = np.nan
    _, late = delays(labeler.open(fs=250.0, channels=LEADS), np.array_split(signals, 1250))
    assert max(late) <= LATEST + 4 / 250  # the chunk's length


def test_waves_do_not_wait_for_a_lead_that_returns(labeler):
    signals = ecg(2, leads=LEADS)[0].signals.copy()
    signals[2000:2600, 0] = np.nan
    signals[2500:2530, 1] = np.nan
    signals[3300:3301, 2] = np.nan
    _, late = delays(labeler.open(fs=250.0, channels=LEADS), np.array_split(signals, 1250))
    assert max(late) <= LATEST + 4 / 250  # the chunk's length


def test_a_lead_that_returns_shows_what_the_others_decide_at_once(labeler):
    """It has no say yet: waves are found by the others, and placed in it by them."""
    recording = ecg(2, leads=LEADS)[0]
    signals = recording.signals.copy()
    signals[2000:2010, 0] = np.nan
    got, whole = (waves(labeler.label(record(part, 250.0, LEADS))) for part in (signals, recording.signals))
    got, whole = (spans.select(spans.channel == 0) for spans in (got, whole))
    warming_up = (whole.onset > 2010) & (whole.onset < 2010 + round(1.9 * 250))
    assert warming_up.sum() > 3
    for wave in np.flatnonzero(warming_up):
        same = (got.label == whole.label[wave]) & (np.abs(got.peak - whole.peak[wave]) <= 10)
        assert same.sum() == 1
        edges = [[spans.onset[k], spans.offset[k]] for spans, k in ((got, same), (whole, wave))]
        assert np.abs(np.subtract(edges[0], np.reshape(edges[1], (2, 1)))).max() <= 15  # 60 ms: so far leads may differ


def test_waves_do_not_wait_where_leads_take_turns(labeler):
    """The second lead returns shortly before the first is lost: a new era starts amid candidates of both."""
    signals = ecg(2, leads=("I", "II"))[0].signals.copy()
    for start in range(1000, 4500, 700):
        signals[start : start + 9, 1] = np.nan
        signals[start + 35 : start + 45, 0] = np.nan
    _, late = delays(labeler.open(fs=250.0, channels=("I", "II")), np.array_split(signals, 1250))
    assert max(late) <= LATEST + 4 / 250  # the chunk's length


@given(data=st.data())
@settings(max_examples=12)
@example(data=None)
def test_waves_are_in_order_and_outside_what_is_unusable(labeler, data):
    recording, _ = ecg(0, duration=SECONDS)
    events = [("flat", 1, 5.0, 2.0), ("dropout", 0, 3.0, 0.0)] if data is None else data.draw(damage(SECONDS, 3))
    n = recording.n_samples
    spans = labeler.label(record(damaged(recording.signals, 250.0, events), 250.0))
    for channel in range(3):
        of = spans.select(spans.channel == channel)
        assert (of.onset >= 0).all()
        assert (of.offset <= n).all()
        assert (of.onset < of.offset).all()
        assert (of.onset[1:] >= of.offset[:-1]).all()
        found = waves(of)
        assert ((found.onset <= found.peak) & (found.peak < found.offset)).all()
        assert ((found.probability >= 0) & (found.probability <= 1)).all()
        assert np.isnan(of.probability[of.label == UNUSABLE]).all()
        assert (of.peak[of.label == UNUSABLE] == -1).all()


@pytest.mark.parametrize("leads", ["fused", "independent"])
def test_a_lead_that_is_off_is_labelled_as_if_it_were_missing(labeler, leads):
    """Nothing is remembered across: the step at the end of the flat line would count as a beat for ten seconds."""
    signals = ecg(1, duration=30.0, leads=LEADS)[0].signals.copy()
    signals[2500:3000, 0] = signals[2500, 0]
    signals[2502, 0] += 0.1  # the line starts after it
    missing = signals.copy()
    missing[2503 + 125 : 3000, 0] = np.nan  # half a second has passed
    other = with_(labeler, leads=leads)
    flat, gone = (waves(other.label(record(part, 250.0, LEADS))) for part in (signals, missing))
    flat, gone = (spans.select(spans.offset > 3000) for spans in (flat, gone))
    assert len(flat) > 100
    np.testing.assert_allclose(flat.probability, gone.probability, atol=1e-6)  # what lies before is not the same
    for name in ("onset", "peak", "offset", "label", "channel"):
        np.testing.assert_array_equal(getattr(flat, name), getattr(gone, name))


def test_labelling_resumes_after_an_unusable_stretch(labeler):
    signals = ecg(1, duration=30.0, leads=("II",))[0].signals.copy()
    signals[2500:3500] = np.nan
    signals[5000:5600] = signals[5000]
    spans = labeler.label(record(signals, 250.0))
    (lost, flat_line) = unusable(spans, 0)
    assert lost == (2500, 3500)
    assert flat_line == pytest.approx((5000, 5600), abs=1)
    qrs = spans.of(label="QRS").peak / 250
    for start, stop in [(1, 9.5), (14.7, 19.5), (23.0, 29)]:
        assert np.count_nonzero((qrs > start) & (qrs < stop)) >= 0.8 * (stop - start) * 65 / 60


def test_a_chunk_must_continue_the_stream(labeler):
    stream = labeler.open(fs=250.0, channels=("II",))
    stream.push(np.zeros(100), start=0)
    with pytest.raises(StreamError, match=r"starts at sample 90 but the stream is at 100.*10 samples"):
        stream.push(np.zeros(10), start=90)
    stream.push(np.zeros(10), start=100)
    assert stream.position == 110
    stream.flush()
    with pytest.raises(StreamError, match="ended"):
        stream.push(np.zeros(10))
    with pytest.raises(StreamError, match="ended"):
        stream.flush()


def test_a_chunk_that_is_refused_changes_nothing(labeler):
    recording, _ = ecg(1, leads=("II",))
    stream = labeler.open(fs=250.0, channels=("II",))
    parts = [stream.push(recording.signals[:1000])]
    for bad in (np.zeros((5, 2)), np.array([1.0, np.inf]), np.array(["a"])):
        with pytest.raises(InvalidSignalError):
            stream.push(bad)
    with pytest.raises(StreamError):
        stream.push(recording.signals[1000:], start=1001)
    assert stream.position == 1000
    rest = pushed(stream, [recording.signals[1000:]])
    assert sorted(rows(parts[0]) + rows(rest)) == sorted(rows(labeler.label(recording)))


def test_one_lead_may_come_as_a_row_of_samples(labeler):
    recording, _ = ecg(1, leads=("II",))
    got = pushed(labeler.open(fs=250.0, channels=("II",)), [recording.signals[:, 0].astype(np.float64)])
    assert rows(got) == rows(labeler.label(recording))


def test_whole_recording_decoding_offers_no_stream(labeler):
    with pytest.raises(InvalidParameterError, match="lag=None"):
        with_(labeler, lag=None).open(fs=250.0, channels=("II",))


def test_a_stream_needs_a_lead(labeler):
    with pytest.raises(InvalidSignalError, match="at least one channel"):
        labeler.open(fs=250.0, channels=())
    with pytest.raises(InvalidSignalError, match="one string"):
        labeler.open(fs=250.0, channels="II")
