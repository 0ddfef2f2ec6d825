"""Whole recordings of breathing: marks and what they imply, pauses, and signals that show none."""

from dataclasses import replace

import numpy as np
import pytest
from breath_cases import EXPIRATION, INSPIRATION, PAUSE, UNUSABLE, breath_f1, breathing, check_spans, phases
from labeling_cases import record, rows, unusable

from mhealth.labeling._breath_task import RESPIRATION, completed
from mhealth.labeling._examples import LeadCase, examples, lead_cases

FS = 10.0


def held_low(highs, n=600) -> np.ndarray:
    """A signal that is 1 in these ranges of samples, else 0."""
    lead = np.zeros(n, np.float32)
    for start, stop in highs:
        lead[start:stop] = 1.0
    return lead


def only_ends(samples, ends, labels=None) -> LeadCase:
    """A case in which an annotator marked the ends of inspirations, as in BIDMC."""
    waves = np.full((len(ends), 3), np.nan)
    waves[:, 2] = ends
    return LeadCase(
        samples=samples,
        fs=FS,
        waves=waves,
        labels=labels or ["inspiration"] * len(ends),
        annotated=(int(ends[0]), int(ends[-1]) + 1),
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_between_two_marks_the_signal_tells_where_the_trough_is(sign):
    lead = sign * held_low([(80, 111), (140, 171)])
    case = completed(only_ends(lead, [100, 160]))
    assert case.labels == ["inspiration", "expiration"] * 2
    np.testing.assert_array_equal(
        case.waves,
        [
            (np.nan, 99, 100),  # nothing is known of what was before the first mark
            (100, 111, np.nan),  # breathed out until the signal is low
            (np.nan, 139, 160),  # on the way in when it leaves the trough
            (160, 161, np.nan),
        ],
    )


def test_where_marks_lie_far_apart_only_they_are_certain():
    lead = held_low([(80, 111), (290, 321)])
    case = completed(only_ends(lead, [100, 310]))
    np.testing.assert_array_equal(case.waves[1], (100, 101, np.nan))
    np.testing.assert_array_equal(case.waves[2], (np.nan, 309, 310))


def test_missing_samples_between_two_marks_tell_nothing():
    lead = held_low([(80, 111), (140, 171)])
    lead[120] = np.nan
    case = completed(only_ends(lead, [100, 160]))
    np.testing.assert_array_equal(case.waves[1], (100, 101, np.nan))


@pytest.mark.parametrize("change", ["none", "onsets", "labels"])
def test_marks_that_say_more_are_left_as_they_are(change):
    case = only_ends(held_low([(80, 111)]), [100, 160])
    if change == "none":
        case = replace(case, waves=case.waves[:0], labels=[])
    elif change == "onsets":
        case.waves[1, 0] = 140.0
    else:
        case = replace(case, labels=["inspiration", "pause"])
    assert completed(case) is case


@pytest.mark.parametrize("polarity", [1, -1])
def test_what_is_added_to_the_marks_agrees_with_the_truth(polarity):
    """Of simulated breathing the truth is known everywhere; the ends of inspiration alone must imply most of it."""
    n_decided = n_agreed = n = 0
    for seed in range(4):
        recording, truth = breathing(seed, duration=120.0, pauses=[(40, 60)], polarity=polarity)
        ends = truth.spans.of(label="inspiration")
        nothing = np.full(len(ends), -1)
        marks = replace(truth, spans=replace(ends, onset=nothing, peak=nothing))
        for case in lead_cases(recording, marks):
            for example in examples(completed(case), RESPIRATION):
                times, sets = example.times, example.targets.allowed[:-1]
                centres = (times[1:] + times[:-1]) / 2 * recording.fs
                at = np.searchsorted(truth.spans.onset, centres, side="right") - 1
                marked = (centres > ends.offset[0]) & (centres < ends.offset[-1])
                states = 1 << truth.spans.label[at[marked]]
                n_agreed += np.count_nonzero(sets[marked] & states)
                n_decided += np.isin(sets[marked], [1, 2, 4]).sum()
                n += marked.sum()
    assert n > 300
    assert n_agreed > 0.97 * n
    assert n_decided > 0.5 * n


def test_breaths_are_found_with_their_edges(breather):
    recording, truth = breathing(21, duration=120.0)
    spans = breather.label(recording)
    check_spans(spans, recording.n_samples)
    assert breath_f1(breather, [(recording, truth)]) > 90
    expected = truth.spans.of(label="expiration")
    nearest = np.abs(spans.of(label="expiration").offset[:, None] - expected.offset).min(axis=0)
    assert np.median(nearest) < 0.5 * recording.fs


def test_held_breath_shorter_than_ten_seconds_belongs_to_the_expiration(breather):
    recording, truth = breathing(1, duration=120.0, pauses=[(50, 57)])
    (held,) = np.flatnonzero(truth.spans.label == PAUSE)
    middle = (truth.spans.onset[held] + truth.spans.offset[held]) / 2
    spans = breather.label(recording)
    assert PAUSE not in spans.label
    assert spans.label[np.searchsorted(spans.onset, middle, side="right") - 1] == EXPIRATION


@pytest.mark.parametrize("seconds", [14.0, 34.0, 80.0])
def test_held_breath_of_any_length_comes_out_as_one_pause(breather, seconds):
    recording, truth = breathing(3, duration=160.0, pauses=[(50, 50 + seconds)])
    spans, held = breather.label(recording), truth.spans.of(label="pause")
    (pause,) = phases(spans.of(label="pause"))
    assert abs(pause[0] - held.onset[0]) < 3 * recording.fs
    assert abs(pause[1] - held.offset[0]) < 3 * recording.fs


def test_breath_that_is_held_to_the_end_is_a_pause(breather):
    recording, _ = breathing(3, duration=60.0, pauses=[(25, 60)])
    spans = breather.label(recording)
    assert phases(spans)[-1][1:] == (recording.n_samples, PAUSE)


def test_a_recording_that_is_one_long_pause_shows_no_breath(breather):
    recording, _ = breathing(1, duration=300.0, depth=0.0, ripple=0.0)
    spans = breather.label(recording)
    check_spans(spans, recording.n_samples)
    assert np.count_nonzero(spans.label == INSPIRATION) <= 2


def test_heartbeats_alone_are_no_breathing(breather):
    recording, _ = breathing(1, duration=300.0, depth=0.0, ripple=0.1)
    spans = breather.label(recording)
    check_spans(spans, recording.n_samples)
    assert np.count_nonzero(spans.label == INSPIRATION) <= 5


@pytest.mark.parametrize("value", [0.0, 3.3, np.nan])
@pytest.mark.parametrize("fs", [10.0, 125.0])
def test_a_signal_that_does_not_move_is_unusable(breather, value, fs):
    n = int(60 * fs)
    spans = breather.label(record(np.full((n, 1), value), fs))
    assert [row[:5] for row in rows(spans)] == [(0, -1, n, UNUSABLE, 0)]


def test_breaths_of_a_clipped_belt_are_found_all_the_same(breather):
    cases = [breathing(seed, duration=120.0, limits=(-0.1, 0.7)) for seed in (20, 21, 22)]
    assert breath_f1(breather, cases, tolerance=1.0) > 70
    for recording, _ in cases:
        assert unusable(breather.label(recording), 0) == []


@pytest.mark.parametrize("n_samples", [1, 2, 5, 20, 50, 100, 250, 400])
def test_short_recordings_are_labelled_as_far_as_they_go(breather, n_samples):
    recording, _ = breathing(0)
    for lag in (breather.lag, None):
        breather_ = type(breather)(lag=lag)
        breather_.model_ = breather.model_
        spans = breather_.label(record(recording.signals[:n_samples], 25.0))
        check_spans(spans, n_samples)
        if n_samples >= 250:
            assert len(spans)


def test_amplitudes_of_any_size_do_no_harm(breather):
    recording, _ = breathing(0)
    for factor in (1e-30, 1e30):
        check_spans(breather.label(record(recording.signals * np.float32(factor), 25.0)), recording.n_samples)


def test_the_score_is_the_f1_of_the_ends_of_inspiration(breather):
    recordings, annotations = zip(*(breathing(seed) for seed in (20, 21)), strict=True)
    score = breather.score(recordings, annotations)
    assert score == pytest.approx(breath_f1(breather, zip(recordings, annotations, strict=True)) / 100)
    assert 0.8 < score <= 1
