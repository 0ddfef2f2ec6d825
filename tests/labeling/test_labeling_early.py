"""Early fusion: leads whose codes lie side by side, from marks to streams and files."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_cases import LEADS, TINY, ecg, pushed, record, rows, tiny_labeler, unusable, waves
from sklearn.base import clone
from strategies import chunkings, cut, damage, damaged

from mhealth.core import Annotation, Recording, Spans
from mhealth.errors import AnnotationError, InvalidParameterError, InvalidSignalError, ModelFileError
from mhealth.labeling import EcgLabeler, NetworkEmission, load
from mhealth.labeling._augment import augmented
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import examples, joint_cases
from mhealth.metrics import score_delineation

SECONDS = 12.0


@pytest.fixture(scope="module")
def early() -> EcgLabeler:
    """Knows three simulated leads together; no test may change it."""
    return tiny_labeler(leads="early")


def with_(labeler, **parameters):
    """Return a labeler that shares what was learned, with other parameters."""
    other = clone(labeler).set_params(**parameters)
    other.model_ = labeler.model_
    return other


def f1(labeler, cases) -> float:
    """Return the macro F1 at 150 ms in per cent."""
    return score_delineation([(truth, labeler.label(recording)) for recording, truth in cases]).macro()


def of_channel(spans: Spans, name: str) -> list[tuple]:
    """Return what was found in a channel, wherever it stands."""
    found = spans.of(channel=name)
    columns = (found.onset, found.peak, found.offset, found.label, np.nan_to_num(found.probability, nan=-1))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def marks(rows_, n_samples=2000, annotated=None, leads=("I", "II", "V5")) -> tuple[Recording, Annotation]:
    """Return flat leads at 250 Hz with marks (onset, peak, offset, label, lead)."""
    recording = record(np.zeros((n_samples, len(leads))), 250.0, leads)
    spans = Spans.from_rows(
        [(*row, np.nan) for row in rows_], fs=250.0, channels=recording.channels, classes=("P", "QRS", "T")
    )
    everywhere = [(k, 0, n_samples) for k in range(len(leads))]
    return recording, Annotation(spans=spans, annotated=everywhere if annotated is None else annotated)


def test_simulated_waves_are_found_with_joint_edges_and_each_leads_own_peaks(early):
    cases = [ecg(seed) for seed in range(20, 23)]
    assert f1(early, cases) > 95
    spans = early.label(cases[0][0])
    edges = [[row[:1] + row[2:4] for row in of_channel(spans, name)] for name in LEADS]
    assert len(edges[0]) > 40
    assert edges[0] == edges[1] == edges[2]
    assert len({tuple(row[1] for row in of_channel(spans, name)) for name in LEADS}) > 1


def test_the_model_is_made_of_the_codes_of_all_its_leads(early, labeler):
    assert early.model_.leads == LEADS
    assert labeler.model_.leads == ()
    for name in ("of_codes", "of_dense"):
        together, alone = getattr(early.model_.emission, name), getattr(labeler.model_.emission, name)
        assert together.shape == (3 * alone.shape[0], alone.shape[1])


@given(data=st.data())
@settings(max_examples=10)
def test_any_chunking_gives_the_batch_labels(early, data):
    recording, _ = ecg(2, duration=SECONDS)
    signals = damaged(recording.signals, 250.0, data.draw(damage(SECONDS, 3)))
    cuts = data.draw(chunkings(len(signals)))
    got = pushed(early.open(fs=250.0, channels=LEADS), cut(signals, cuts))
    assert rows(got) == rows(early.label(record(signals, 250.0, LEADS)))


@pytest.mark.parametrize("seed", range(4))
def test_scattered_dropouts_do_not_make_the_chunks_matter(early, seed):
    rng = np.random.default_rng(seed)
    signals = ecg(seed, fs=500.0, duration=SECONDS)[0].signals.copy()
    for start in rng.integers(len(signals), size=16):
        signals[start : start + rng.integers(1, 60), rng.integers(3)] = np.nan
    got = pushed(early.open(fs=500.0, channels=LEADS), np.array_split(signals, 450))
    assert rows(got) == rows(early.label(record(signals, 500.0, LEADS)))


def test_a_pickled_stream_goes_on_as_if_nothing_had_happened(early):
    recording, _ = ecg(3)
    stream = early.open(fs=250.0, channels=LEADS)
    assert len(waves(stream.push(recording.signals[:2311]))) > 10
    copied = pickle.loads(pickle.dumps(stream))
    rest = [recording.signals[2311:3000], recording.signals[3000:]]
    assert rows(pushed(copied, rest)) == rows(pushed(stream, rest))


@pytest.mark.parametrize("fs", [100.0, 360.0, 1000.0])
def test_every_wave_is_reported_within_two_seconds_of_its_end(early, fs):
    signals = ecg(5, fs=fs, duration=SECONDS)[0].signals.copy()
    signals[int(4 * fs) : int(6 * fs), 0] = np.nan
    stream, late = early.open(fs=fs, channels=LEADS), []
    for chunk in np.array_split(signals, int(SECONDS * 50)):
        late += [(stream.position - offset) / fs for offset in waves(stream.push(chunk)).offset.tolist()]
    assert len(late) > 60
    assert max(late) <= 2.0 + 2 * 0.02  # the chunk's length, before and after the push


def test_waves_are_in_order_and_outside_what_is_unusable(early):
    signals = ecg(0, duration=SECONDS)[0].signals.copy()
    signals[700:1300, 1] = signals[700, 1]
    signals[1500:1700, 0] = np.nan
    spans = early.label(record(signals, 250.0, LEADS))
    for channel in range(3):
        of = spans.select(spans.channel == channel)
        assert (of.onset < of.offset).all()
        assert (of.onset[1:] >= of.offset[:-1]).all()


def test_channels_may_come_in_any_order_and_among_others(early):
    recording, _ = ecg(4)
    spans = early.label(recording)
    order = [2, 0, 1]
    other = record(
        np.column_stack([np.zeros(recording.n_samples), recording.signals[:, order]]), 250.0, ("RESP", "v5", "i", "ii")
    )
    found = early.label(other)
    assert not of_channel(found, "RESP")
    for name in LEADS:
        assert of_channel(found, name.lower()) == of_channel(spans, name)
        assert of_channel(spans, name)


@pytest.mark.parametrize("channels", [("I", "V5"), ("I", "II", "V2"), ("I", "II", "II", "V5")])
def test_a_missing_lead_is_an_error_that_names_it_and_the_remedy(early, channels):
    missing = "II" if channels.count("II") != 1 else "V5"
    message = rf"lack {missing}: the model was trained on I, II, V5 together.*leads='fused'"
    with pytest.raises(InvalidSignalError, match=message):
        early.open(fs=250.0, channels=channels)
    with pytest.raises(InvalidSignalError, match=message):
        early.label(record(np.zeros((500, len(channels))), 250.0, channels))


@pytest.mark.parametrize("lead", range(3))
@pytest.mark.parametrize("damage", [np.nan, 0.0])
def test_an_unusable_lead_does_not_harm_the_others(early, lead, damage):
    cases = []
    for seed in (20, 22, 25):
        recording, truth = ecg(seed)
        signals = recording.signals.copy()
        signals[1000:, lead] = damage
        kept = [k for k in range(3) if k != lead]
        of_kept = truth.spans.select(np.isin(truth.spans.channel, kept))
        annotated = truth.annotated[np.isin(truth.annotated[:, 0], kept)]
        cases.append((replace(recording, signals=signals), Annotation(spans=of_kept, annotated=annotated)))
        spans = early.label(cases[-1][0])
        ((start, stop),) = unusable(spans, lead)
        assert (start, stop) == pytest.approx((1000, 5000), abs=2)
        assert waves(spans).select(waves(spans).channel == lead).offset.max() <= 1000
    assert f1(early, cases) > 90


def test_where_no_lead_is_usable_nothing_is_labelled(early):
    signals = ecg(1)[0].signals.copy()
    signals[2000:3000] = np.nan
    found = waves(early.label(record(signals, 250.0, LEADS)))
    assert not ((found.offset > 2000) & (found.onset < 3000)).any()
    assert (found.onset > 3500).any()
    with_nothing = early.label(record(np.full_like(signals, np.nan), 250.0, LEADS))
    assert [row[:3] for row in rows(with_nothing)] == [(0, -1, 5000)] * 3


def test_a_model_comes_back_to_the_bit(early, labeler, tmp_path):
    early.save(tmp_path / "early.npz")
    again = load(tmp_path / "early.npz")
    assert again.leads == "early"
    assert again.model_.leads == LEADS
    recording, _ = ecg(7)
    assert rows(again.label(recording)) == rows(early.label(recording))
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "early.npz").read_bytes()
    labeler.save(tmp_path / "late.npz")
    with np.load(tmp_path / "late.npz") as archive:
        assert "leads" not in archive.files


@pytest.mark.parametrize("leads", [None, ("I", "II"), ("I", "II", "V5", "V6")])
def test_a_file_whose_leads_do_not_fit_is_refused(early, tmp_path, leads):
    early.save(tmp_path / "early.npz")
    with np.load(tmp_path / "early.npz") as archive:
        content = {name: archive[name] for name in archive.files if name != "leads"}
    if leads:
        content["leads"] = np.array(leads)
    np.savez(tmp_path / "odd.npz", **content)
    with pytest.raises(ModelFileError, match=r"odd\.npz"):
        load(tmp_path / "odd.npz")


def test_parameters_are_those_of_any_labeler(early):
    assert early.get_params() == EcgLabeler(leads="early", training=TINY).get_params()
    assert repr(EcgLabeler(leads="early")) == "EcgLabeler(leads='early')"
    assert not hasattr(clone(early), "model_")


def test_how_leads_are_joined_must_fit_the_model(early, labeler):
    recording, _ = ecg(0)
    for leads in ("fused", "independent"):
        with pytest.raises(InvalidParameterError, match=rf"leads='{leads}'.*I, II, V5.*leads='early'"):
            with_(early, leads=leads).label(recording)
    with pytest.raises(InvalidParameterError, match=r"leads='early'.*single leads.*'fused'"):
        with_(labeler, leads="early").open(fs=250.0, channels=LEADS)
    with pytest.raises(InvalidParameterError, match="network"):
        EcgLabeler(leads="early", emission=NetworkEmission()).fit([], [])


def test_the_score_counts_the_leads_that_are_labelled(early):
    recording, truth = ecg(21, leads=("V2", *LEADS))
    assert early.score([recording], [truth]) > 0.95


def test_recordings_must_share_a_lead():
    recordings, annotations = zip(ecg(0, leads=("I", "II")), ecg(1, leads=("V1", "V2")), strict=True)
    with pytest.raises(AnnotationError, match=r"early.*V1.*fused"):
        EcgLabeler(leads="early", training=TINY).fit(recordings, annotations)
    with pytest.raises(AnnotationError, match="early"):
        EcgLabeler(leads="early", training=TINY).fit([], [])


def test_joint_marks_are_medians_of_what_half_the_leads_have():
    recording, annotation = marks(
        [
            (500, 510, 520, 0, 0), (504, 512, 524, 0, 1), (505, 540, 530, 0, 2),  # a P wave in all leads
            (600, 605, 620, 1, 0), (610, -1, 630, 1, 2),  # QRS in two, of one the edges only
            (700, 750, 800, 2, 1),  # T in one
            (900, 910, -1, 0, 0), (-1, 912, 930, 0, 2),  # a P wave whose edges come from one lead each
            (990, 1000, 1010, 0, 0), (1030, 1040, 1050, 0, 1), (1031, 1041, 1051, 0, 2),  # two that are 160 ms apart
        ]
    )  # fmt: skip
    (case,) = joint_cases(recording, annotation, ("V5", "I", "II"), ECG)
    assert case.samples.shape == (2000, 3)
    assert case.annotated == (0, 2000)
    assert case.labels == ["P", "QRS", "P", "P"]
    expected = [(504, 512, 524), (605, 605, 625), (900, 911, 930), (1030.5, 1040.5, 1050.5)]
    np.testing.assert_array_equal(case.waves, expected)


def test_leads_without_marks_have_no_vote_and_stretches_are_those_of_all_marked_leads():
    recording, annotation = marks(
        [(500, 510, 520, 0, 0), (300, 310, 320, 1, 1), (700, 710, 720, 1, 1)],
        annotated=[(0, 400, 900), (1, 200, 800)],
    )
    (case,) = joint_cases(recording, annotation, ("I", "II", "V5"), ECG)
    assert case.annotated == (400, 800)
    assert case.labels == ["QRS", "P", "QRS"]
    assert list(joint_cases(*marks([], annotated=[]), ("I",), ECG)) == []


def test_the_order_of_the_leads_is_that_of_the_signals():
    recording, truth = ecg(1)
    (case,) = joint_cases(recording, truth, ("V5", "I"), ECG)
    np.testing.assert_array_equal(case.samples, recording.signals[:, [2, 0]])


def test_a_lead_that_is_lost_gives_zeros_beside_what_the_others_show():
    recording, truth = ecg(1)
    signals = recording.signals.copy()
    signals[2000:4000, 1] = np.nan
    (case,) = joint_cases(replace(recording, signals=signals), truth, LEADS, ECG)
    (example,) = examples(case, ECG)
    n_kinds = len(ECG.front_end.features.lengths)
    assert len(example.raw.windows) == 3 * n_kinds
    lost = (example.times[1:-1] > 8) & (example.times[1:-1] < 16)
    for k, window in enumerate(example.raw.windows):
        assert window[lost].any() == (k // n_kinds != 1)
        assert window[~lost].any()
    dense = np.split(example.raw.dense, 3, axis=1)
    assert not dense[1][lost].any()
    assert all(dense[k][lost].any() for k in (0, 2))


def test_altered_leads_share_heart_and_marks_but_not_their_noise():
    (case,) = joint_cases(*ecg(1), LEADS, ECG)
    n_lost = 0
    for seed in range(40):
        copy = augmented(case, np.random.default_rng(seed), [])
        assert copy.samples.shape[1] == 3
        is_lost = np.isnan(copy.samples).all(axis=0)
        assert not is_lost.all()
        n_lost += int(is_lost.sum())
        kept = copy.samples[:, ~is_lost]
        assert np.isfinite(kept).all()
        assert len(np.unique(kept, axis=1).T) == kept.shape[1]
    assert 2 <= n_lost <= 25  # about one lead in ten of 120
