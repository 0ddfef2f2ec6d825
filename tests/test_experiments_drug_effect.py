"""Warped beats, what is measured in them, and what tells drug from exercise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.drug_effect._design import (
    CALIBRATION,
    DRUG,
    EXERCISE,
    REST,
    STRETCHED,
    TAKEN,
    Change,
    episodes,
    minutes,
    single_steps,
)
from experiments.drug_effect._detect import Windows, areas, between, within
from experiments.drug_effect._reference import REFERENCES, windows_of
from experiments.drug_effect._summary import MARKS, measured_by, smallest_change, weighted_quantile
from experiments.drug_effect._warp import SLOPE, Beats, as_expert, beats_of, qt_rr_slope, warped, warping
from experiments.drug_effect._windows import INTERVALS, by_stretching, measured, of_marks
from mhealth.core import Spans
from mhealth.labeling import load
from mhealth.simulate import synthetic_ecg
from mhealth.sparse import Dictionary


def regular(n: int = 40, rr: float = 1.0) -> Beats:
    """Beats with PQ 0.16, QRS 0.1, QT 0.4 s."""
    onset = 0.5 + rr * np.arange(n)
    return Beats(p_onset=onset - 0.16, qrs_onset=onset, qrs_offset=onset + 0.1, t_offset=onset + 0.4)


def moved(beats: Beats, warp) -> Beats:
    return Beats(
        *(warp.forward(points) for points in (beats.p_onset, beats.qrs_onset, beats.qrs_offset, beats.t_offset))
    )


@pytest.mark.parametrize("change", [Change(), TAKEN, Change(rate=0.4), Change(qt=0.02), Change(qrs=-0.01)])
def test_intervals_change_by_what_was_asked_for(change):
    beats, slope = regular(), 0.154
    warp = warping(beats, minutes([change]), slope=slope)
    new = moved(beats, warp)
    rr = 1 / (1 + change.rate)
    inside = slice(1, -1)
    np.testing.assert_allclose(new.rr[inside], rr, atol=1e-9)
    np.testing.assert_allclose(new.qt[inside], 0.4 + slope * (rr - 1) + change.qt, atol=1e-9)
    np.testing.assert_allclose((new.qrs_offset - new.qrs_onset)[inside], 0.1 + change.qrs, atol=1e-9)
    np.testing.assert_allclose((new.qrs_onset - new.p_onset)[inside], 0.16, atol=1e-9)
    assert warp.has_room.all()


def test_a_fast_heart_shortens_pq_first_and_then_beats_slower_than_asked():
    fast = warping(regular(rr=0.7), minutes([Change(rate=0.22)]), slope=0.0)
    assert fast.has_room.all()
    pq = moved(regular(rr=0.7), fast)
    assert 0.7 * 0.16 <= (pq.qrs_onset - pq.p_onset)[5] < 0.16
    faster = warping(regular(rr=0.7), minutes([Change(rate=0.6)]), slope=0.0)
    assert not faster.has_room.any()
    assert (np.diff(faster.after) > 0).all()


def test_beats_without_t_or_p_keep_order_and_rate():
    beats = regular()
    beats = replace(beats, t_offset=np.full(40, np.nan), p_onset=np.where(np.arange(40) % 2, np.nan, beats.p_onset))
    warp = warping(beats, minutes([TAKEN]), slope=0.154)
    assert (np.diff(warp.before) > 0).all()
    assert (np.diff(warp.after) > 0).all()
    np.testing.assert_allclose(np.diff(warp.forward(beats.qrs_onset)), 1 / 1.2, atol=1e-9)
    np.testing.assert_allclose((warp.forward(beats.qrs_offset) - warp.forward(beats.qrs_onset))[:-1], 0.1, atol=1e-9)


def test_each_minute_has_its_own_change():
    beats = regular(n=150)
    new = moved(beats, warping(beats, minutes([Change(), Change(rate=0.5)]), slope=0.0))
    at = new.qrs_onset[:-1]
    np.testing.assert_allclose(new.rr[:-1][at < 60], 1.0, atol=1e-9)
    np.testing.assert_allclose(new.rr[:-1][at >= 60], 2 / 3, atol=1e-9)


def test_a_warped_recording_shows_the_signal_where_the_map_puts_it():
    recording, annotation = synthetic_ecg(fs=250, duration=30, leads=("II",), seed=0)
    beats = beats_of(annotation.spans, 0)
    warp = warping(beats, minutes([TAKEN]), slope=0.154)
    new = warped(recording, warp)
    spans = annotation.spans.of(label="QRS")
    peaks = spans.peak[(spans.peak > beats.qrs_onset[0] * 250) & (spans.peak < beats.qrs_onset[-1] * 250)]
    places = np.rint(warp.forward(peaks / 250) * 250).astype(int)
    height = np.abs(recording.signals[peaks, 0])
    np.testing.assert_allclose(np.abs(new.signals[places, 0]), height, atol=0.15 * height.max())
    same = warped(recording, warping(beats, minutes([Change()]), slope=0.154))
    np.testing.assert_allclose(same.signals, recording.signals[: same.n_samples], atol=1e-3)


def test_landmarks_come_from_brackets_with_the_last_end_of_t():
    rows = [
        (100, 120, 145, 1, 0, 0.9), (200, 230, -1, 2, 0, 0.9), (-1, 240, 260, 2, 0, 0.9), (320, 335, 350, 0, 0, 0.9),
        (380, 400, 425, 1, 0, 0.9),
    ]  # fmt: skip
    beats = beats_of(Spans.from_rows(rows, fs=250, channels=("II",), classes=("P", "QRS", "T")), 0)
    np.testing.assert_array_equal(beats.t_offset, [260 / 250, np.nan])
    np.testing.assert_array_equal(beats.p_onset, [np.nan, 320 / 250])


def test_landmarks_are_moved_by_their_median_distance_to_an_experts():
    beats = regular()
    expert = Beats(*(points[10:20] for points in (beats.p_onset, beats.qrs_onset, beats.qrs_offset, beats.t_offset)))
    expert = replace(expert, t_offset=expert.t_offset + np.linspace(0.01, 0.05, 10), p_onset=np.full(10, np.nan))
    found = as_expert(beats, expert)
    np.testing.assert_allclose(found.t_offset - beats.t_offset, 0.03, atol=1e-9)
    np.testing.assert_array_equal(found.p_onset, beats.p_onset)


def test_the_own_qt_rr_line_counts_as_far_as_the_beats_tell_it(rng):
    onset = np.cumsum(np.concatenate([np.full(70, rr) for rr in np.linspace(0.7, 1.1, 12)]))
    rr = np.append(np.diff(onset), 1.1)
    line = Beats(onset - 0.16, onset, onset + 0.1, onset + 0.2 + 0.22 * rr)
    assert qt_rr_slope(line) == pytest.approx(0.22, abs=0.005)
    noisy = replace(regular(n=600), t_offset=regular(n=600).t_offset + rng.normal(0, 0.05, 600))
    assert qt_rr_slope(noisy) == pytest.approx(SLOPE[0], abs=0.05)
    assert qt_rr_slope(regular(n=20)) == SLOPE[0]


def test_minutes_are_measured_with_their_own_beats():
    recording, annotation = synthetic_ecg(fs=250, duration=130, leads=("II", "V5"), seed=1)
    beats = beats_of(annotation.spans, 0)
    new = warped(recording, warping(beats, minutes([Change(), Change(rate=0.3)]), slope=0.0))
    atoms = np.random.default_rng(0).normal(size=(8, 100))
    dictionary = Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True))
    found = measured(new, load("ecg").label(new), dictionary, 3)
    assert found.codes.shape == (3, 2, 8)
    rr = found.intervals[:, :, INTERVALS.index("rr_ms")]
    np.testing.assert_allclose(rr[1], rr[0] / 1.3, rtol=0.03)
    assert np.isnan(found.intervals[2]).all()  # a minute that is not there


def test_stretched_beats_and_marks_tell_what_was_done():
    recording, annotation = synthetic_ecg(fs=250, duration=250, leads=("II", "V5"), seed=1)
    beats = beats_of(annotation.spans, 0)
    changes = [Change(), Change(), Change(qt=0.03), Change(qrs=0.008)]
    warp = warping(beats, minutes(changes), slope=0.154)
    new = warped(recording, warp)
    for found, off in (
        (of_marks(beats, warp, 4), 4.0),
        (by_stretching(new, load("ecg").label(new), 4, 120.0), 5.0),
    ):
        rest = found[:2].mean(axis=0)
        np.testing.assert_allclose(found[2, 1:] - rest[1:], [0, 30], atol=off)
        np.testing.assert_allclose(found[3, 1:] - rest[1:], [8, 0], atol=off)
    assert np.isnan(by_stretching(new, load("ecg").label(new), 4, 300.0)).all()


def test_what_stretching_tells_is_known_with_rest_only():
    kinds = [CALIBRATION] * 2 + [REST, EXERCISE, EXERCISE, DRUG, DRUG] * 2
    rr = np.where(np.array(kinds) == EXERCISE, 700.0, 1000.0) + np.arange(12)
    qt = 400 + 0.154 * (rr - 1000) + 30 * (np.array(kinds) == DRUG)
    lengths = np.stack([rr, np.full(12, 100.0), qt], axis=1)
    intervals = np.repeat(np.insert(lengths, [1, 3], np.nan, axis=1)[:, None], 2, axis=1)
    row = {
        "subject": "a", "kinds": kinds, "intervals": intervals.tolist(), "codes": np.zeros((12, 2, 4)).tolist(),
        "stretched": lengths.tolist(), "marks": lengths.tolist(),
    }  # fmt: skip
    nothing, rest, exercise = (windows_of({"a": row}, reference) for reference in REFERENCES)
    assert STRETCHED not in nothing.features
    np.testing.assert_allclose(rest.features[STRETCHED][:, 2], qt[2:] - qt[:2].mean())
    own = exercise.features[STRETCHED][:, 1]
    assert own[exercise.is_drug].min() > 5 > 1 > np.abs(own[~exercise.is_drug]).max()
    for measure in (STRETCHED, MARKS):  # corrected for the heart rate, what is left is the drug
        corrected = measured_by(row, "qt", measure)
        np.testing.assert_allclose(corrected - 400, 30 * (np.array(kinds) == DRUG), atol=2e-9)
        np.testing.assert_allclose(measured_by(row, "qrs", measure), 100)


def test_the_plan_of_a_recording_is_balanced_and_repeats_with_its_seed():
    plan = episodes(np.random.default_rng(3))
    kinds = [kind for kind, _ in plan]
    for half in (kinds[2:7], kinds[7:]):
        assert sorted(half) == sorted([REST, EXERCISE, EXERCISE, DRUG, DRUG])
    assert plan == episodes(np.random.default_rng(3))
    sizes = [change.qt for _, change in single_steps("qt", np.random.default_rng(0))]
    assert sizes[:2] == [0, 0]
    assert sorted(sizes[2:]) == [0] * 6 + [0.005, 0.01, 0.015, 0.02, 0.03, 0.04]


def made(rng, n_subjects: int = 20) -> Windows:
    """Minutes in which one detector knows and another guesses."""
    kind = np.tile([REST, EXERCISE, EXERCISE, DRUG, DRUG] * 2, n_subjects)
    n = len(kind)
    known = (kind == DRUG)[:, None] * 3.0 + rng.normal(size=(n, 3))
    known[rng.random((n, 3)) < 0.05] = np.nan
    subject = np.repeat([f"s{k:02d}" for k in range(n_subjects)], 10)
    half = np.tile(np.repeat([0, 1], 5), n_subjects)
    return Windows(subject, half, kind, {"intervals": known, "codes": rng.normal(size=(n, 3))})


def test_detectors_that_learn_from_others_and_from_the_other_half(rng):
    windows = made(rng)
    for scores, pooled in ((between, True), (within, False)):
        area = areas(windows, scores(windows, "intervals"), (REST, EXERCISE), pooled=pooled, n=50, seed=0)
        assert 0.95 < area.low <= area.value <= area.high <= 1
        chance = areas(windows, scores(windows, "codes"), (REST, EXERCISE), pooled=pooled, n=50, seed=0)
        assert 0.3 < chance.value < 0.7


def test_a_detector_never_learns_from_the_subject_it_is_tested_on(rng):
    windows = made(rng)
    identity = np.eye(20)[np.repeat(np.arange(20), 10)] * np.where(windows.is_drug, 1.0, -1.0)[:, None]
    leaky = replace(windows, features={"codes": identity})
    assert areas(leaky, between(leaky, "codes"), (REST,), pooled=True, n=5, seed=0).value == pytest.approx(
        0.5, abs=0.05
    )
    assert areas(leaky, within(leaky, "codes"), (REST,), pooled=False, n=5, seed=0).value == 1.0


def test_the_smallest_change_is_where_nearly_all_minutes_exceed_nearly_all_others():
    sizes = np.array([0.0, 10.0, 20.0])
    rows = [(f"s{k}", 0.0, value) for k, value in enumerate(np.linspace(-10, 10, 101))]
    rows += [(f"s{k}", 10.0, value) for k, value in enumerate(np.linspace(0, 20, 101))]
    rows += [(f"s{k}", 20.0, value) for k, value in enumerate(np.linspace(10, 30, 101))]
    table = pd.DataFrame(rows, columns=["subject", "size", "measured"])
    found = smallest_change(sizes, table, n=20, seed=0)
    # Threshold 9: 55 of 101 exceed it at 10 ms, all at 20.
    assert found.value == pytest.approx(10 + 10 * (0.95 - 55 / 101) / (1 - 55 / 101), abs=0.3)
    hopeless = table.assign(measured=0.0)
    assert smallest_change(sizes, hopeless, n=5, seed=0).value == np.inf


def test_quantiles_follow_weights():
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_quantile(values, np.array([1.0, 1.0, 1.0]), 0.5) == 2.0
    assert weighted_quantile(values, np.array([8.0, 1.0, 1.0]), 0.5) == 3.0
