"""Targets, descriptions of ten seconds, and classifiers that learn from few subjects."""

from dataclasses import replace

import numpy as np
import pytest

from data_loaders import Ludb
from experiments._experiment import find
from experiments._runner import carry_out, finished
from experiments._statistics import auroc
from experiments.outcome_codes._describe import INTERVAL_NAMES, Describer, bag, transitions
from experiments.outcome_codes._design import BAG, BEATS, INTERVALS, NGRAMS, REFINED
from experiments.outcome_codes._learning import Part, curve, draws, first_of, scaled, transferred
from experiments.outcome_codes._summary import Curves
from experiments.outcome_codes._targets import ludb_targets, mitdb_targets, rhythms, windows_of_one_rhythm
from mhealth.cli._terminal import Terminal
from mhealth.core import Recording
from mhealth.labeling import load
from mhealth.labeling._features import Features
from mhealth.simulate import synthetic_ecg
from mhealth.sparse import Dictionary


@pytest.fixture(scope="module")
def tools() -> Describer:
    rng = np.random.default_rng(0)

    def unit(*shape) -> Dictionary:
        atoms = rng.normal(size=shape)
        return Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True))

    return Describer(labeler=load("ecg"), symbols=unit(4, 40), beats=unit(8, 100))


def lead(heart_rate: float, seed: int = 0) -> Recording:
    recording, _ = synthetic_ecg(fs=250, duration=10, leads=("II",), heart_rate=heart_rate, seed=seed)
    return recording


def test_ten_seconds_are_described_by_what_is_in_them(tools):
    slow, fast = (tools.describe(lead(rate)) for rate in (50, 100))
    rr = INTERVAL_NAMES.index("rr")
    assert slow[INTERVALS][rr] == pytest.approx(1200, rel=0.05)
    assert fast[INTERVALS][rr] == pytest.approx(600, rel=0.05)
    assert slow[INTERVALS][INTERVAL_NAMES.index("share with p")] > 0.9
    assert slow[BEATS].shape == (24,)
    assert slow[NGRAMS].shape == (64,)
    assert np.square(slow[NGRAMS]).sum() == pytest.approx(1)
    assert slow[BAG].shape == (2 * sum(d.n_atoms for d in tools.labeler.model_.dictionaries),)
    assert (slow[BAG] >= 0).all()
    assert slow[REFINED].shape == (2 * len(tools.labeler.model_.emission.second_threshold),)


def test_neither_gain_nor_offset_of_a_lead_is_described(tools):
    recording = lead(70, seed=4)
    first = tools.describe(recording)
    second = tools.describe(replace(recording, signals=8 * recording.signals))
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_silent_lead_has_no_intervals_and_no_beats(tools):
    silent = tools.describe(Recording(signals=np.zeros((2500, 1), np.float32), fs=250, channels=("II",)))
    assert np.isnan(silent[INTERVALS]).all()
    assert np.isnan(silent[BEATS]).all()
    assert not silent[BAG].any()
    assert not silent[NGRAMS].any()
    assert np.isfinite(silent[REFINED]).all()


def test_bigrams_and_bags_are_counted():
    found = transitions(np.array([0, 1, 1, 0, 1]), 2)
    np.testing.assert_allclose(found**2, [0, 0.5, 0.25, 0.25])
    features = Features(
        np.arange(2), np.empty((2, 0), np.float32), np.array([[0, 2], [2, -1]], np.int32),
        np.array([[1.0, 2.0], [4.0, 9.0]], np.float32),
    )  # fmt: skip
    np.testing.assert_allclose(bag(features, 4), [0.5, 0, 3, 0])


def test_windows_lie_within_one_rhythm():
    starts, notes = np.array([5, 100, 125]), ["(N", "(B", "(AFIB"]
    places, names = windows_of_one_rhythm(starts, notes, 200, 20, 99)
    assert places == [5, 25, 45, 65, 100, 125, 145, 165]
    assert names == ["(N"] * 4 + ["(B"] + ["(AFIB"] * 3
    few, _ = windows_of_one_rhythm(starts, notes, 200, 20, 4)
    assert few == [5, 45, 100, 145]
    assert mitdb_targets(names)["fibrillation or flutter"].tolist() == [False] * 5 + [True] * 3


@pytest.mark.realdata
def test_targets_are_those_of_the_publishers(data_dir):
    ludb = Ludb(data_dir / "ludb")
    found = ludb_targets(data_dir / "ludb", ludb.records)
    first = ludb.records.index("1")
    assert [name for name, positive in found.items() if positive[first]] == [
        "bradycardia", "left ventricular hypertrophy", "repolarization",
    ]  # fmt: skip
    fibrillates = np.array([ludb.stratum(name) == "atrial fibrillation or flutter" for name in ludb.records])
    assert found["fibrillation or flutter"][fibrillates].all()
    assert found["fibrillation or flutter"].mean() < 0.15
    starts, notes = rhythms(data_dir / "mitdb" / "201")
    assert len(starts) == len(notes)
    assert "(AFIB" in notes


def made(rng, n_subjects: int = 60, rows: int = 3):
    """Rows of subjects, a third of which have something that the first column tells."""
    subject = np.repeat([f"s{k:02d}" for k in range(n_subjects)], rows)
    positive = np.repeat(np.arange(n_subjects) % 3 == 0, rows)
    telling = positive[:, None] * 2.0 + rng.normal(size=(len(subject), 1))
    return subject, positive, telling


def test_a_curve_rises_with_the_subjects_and_is_honest(rng):
    subject, positive, telling = made(rng)
    noise = rng.normal(size=(len(subject), 40))
    scores = curve([Part(telling, False), Part(noise, True)], positive, subject, [8, None], folds=4, repeats=2, seed=0)
    assert scores.shape == (2, 2, len(subject))
    few, many = (np.mean([auroc(repeat, positive) for repeat in of_size]) for of_size in scores)
    assert many > 0.8
    assert few < many
    identity = np.eye(60)[np.repeat(np.arange(60), 3)] * np.where(positive, 1.0, -1.0)[:, None]
    leaky = curve([Part(identity, True)], positive, subject, [None], folds=4, repeats=1, seed=0)
    assert auroc(leaky[0, 0], positive) == pytest.approx(0.5, abs=0.15)


def test_subjects_are_drawn_with_their_share_and_never_tested_on(rng):
    subject, positive, _ = made(rng)
    parts = draws(positive, subject, 5, rng)
    tested = np.concatenate([names for names, _ in parts])
    assert sorted(tested.tolist()) == sorted(set(subject.tolist()))
    for names, order in parts:
        assert len(np.intersect1d(np.unique(subject[positive]), names)) == 4
        assert not np.intersect1d(names, np.concatenate(order)).size
        chosen = first_of(order, 12)
        assert len(set(chosen.tolist())) == 12
        assert len(np.intersect1d(chosen, subject[positive])) == 4
        assert len(np.intersect1d(first_of(order, 3), subject[positive])) == 2
        assert len(first_of(order, None)) == 48


def test_columns_of_one_unit_keep_their_sizes_and_gaps_count_as_usual():
    seen = np.array([[0.0, 10.0], [2.0, np.nan], [4.0, 30.0]])
    here, there = scaled([Part(seen, False), Part(seen, True)], [Part(np.full((1, 2), np.nan), False)] * 2)
    np.testing.assert_allclose(here[:, :2].std(axis=0), 1)
    assert here[1, 1] == 0
    assert here[:, 3].std() / here[:, 2].std() == pytest.approx(5)
    np.testing.assert_array_equal(there, np.zeros((1, 4)))


def test_many_columns_give_what_their_rotation_gives(rng):
    subject, positive, telling = made(rng, n_subjects=20, rows=1)
    wide = np.hstack([telling, rng.normal(size=(20, 100))])
    rotation, _ = np.linalg.qr(rng.normal(size=(101, 101)))
    first, second = (
        transferred([Part(values, True)], positive, subject, [Part(values, True)]) for values in (wide, wide @ rotation)
    )
    np.testing.assert_allclose(second, first, atol=1e-2)


def test_differences_are_of_the_same_draws_of_subjects(rng):
    subject, positive, telling = made(rng)
    curves, scores = Curves(subject.tolist()), telling[None, :, 0]
    area = curves.estimate([(scores, positive)], n=100, seed=0)
    assert area.low < area.value < area.high
    assert area.value == pytest.approx(auroc(scores[0], positive))
    same = curves.estimate([(scores, positive)], [scores], n=100, seed=0)
    assert same == (0, 0, 0)


@pytest.mark.realdata
def test_the_experiment_runs_from_its_recordings_to_its_report(data_dir, tmp_path):
    experiment = find("outcome_codes")
    fewer = {"ludb_records": 40, "ludb_sizes": [None], "mitdb_records": 4, "windows": 2, "n_resamples": 10}
    settings = experiment.settings_of(quick=True) | fewer
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=settings, seed=0, quick=True, command="test",
        terminal=Terminal(quiet=True),
    )  # fmt: skip
    manifest, _ = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} <= set(experiment.datasets)
    assert outcome.metrics["auroc.ludb.bradycardia.intervals.all"] > 0.9
    assert any("U-Net" in text for text in outcome.left_out)
    assert any("mitdb" in text for text in outcome.left_out)
    for figure in outcome.figures:
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 5000
