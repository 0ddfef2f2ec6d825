"""Which subjects are labelled, what is learned from the recordings of the others, and what is concluded."""

import os
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from experiments._experiment import Run, find
from experiments._ludb import Ground, of_leads, packed, unpacked
from experiments._macro import by_subject, interval, macros, weights_of
from experiments._runner import carry_out, finished
from experiments.label_budget import _fits
from experiments.label_budget._design import ARMS, Fit, fits
from experiments.label_budget._fits import WithUnlabelled, chosen, drawn, pieces, taught_by, uncertainty
from experiments.label_budget._summary import elsewhere_table, gain_table, points
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.labeling import EcgLabeler, TrainingSettings, as_annotation, load
from mhealth.metrics import DelineationScore, score_delineation
from mhealth.simulate import synthetic_ecg

compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="takes minutes")
SETTINGS = find("label_budget").settings
SIZES = TrainingSettings(
    n_atoms=12, n_nonzero=3, n_first=8, n_second=4, n_epochs=1, fewest_steps=150, n_augmented=1, batch_size=1
)


def case(seed: int) -> Case:
    recording, annotation = synthetic_ecg(fs=250, duration=20, leads=("II", "V2", "V5"), seed=seed)
    return of_leads(Case("simulated", f"r{seed}", recording, annotation, f"s{seed}", ""), ("ii", "v5"))


@pytest.fixture(scope="module")
def given() -> Ground:
    recording, _ = synthetic_ecg(fs=250, duration=60, leads=("II",), seed=9)
    return Ground([case(seed) for seed in range(6)], [0, 1, 1, 1, 1, 2], [recording])


@pytest.fixture
def run(given, tmp_path, monkeypatch) -> Run:
    """A run on simulated people."""
    monkeypatch.setattr(_fits, "ground", lambda run: given)
    settings = SETTINGS | {"subjects": [1, 2, 4], "start": 2, "sources": [], "training": asdict(SIZES)}
    return Run(data=tmp_path, settings=settings, seed=0, folder=tmp_path)


def test_leads_are_picked_with_their_marks(given):
    first = given.cases[0]
    assert first.recording.channels == ("II", "V5")
    assert set(first.annotation.annotated[:, 0].tolist()) == {0, 1}
    assert set(first.annotation.spans.channel.tolist()) == {0, 1}


def test_every_fit_comes_after_what_it_needs_and_has_a_name_of_its_own():
    planned = fits(SETTINGS)
    names = [fit.name for fit in planned]
    assert len(set(names)) == len(names)
    assert {fit.arm for fit in planned} == set(ARMS)
    for fit in planned:
        if ARMS[fit.arm].active:
            first = Fit("sparse", SETTINGS["start"], fit.draw, fit.fold)
            assert names.index(first.name) < names.index(fit.name)
    without = fits(SETTINGS | {"networks": False})
    assert {fit.arm for fit in without} == {"sparse", "sparse-dictionary", "sparse-active", "sparse-by-sparse"}


def test_a_larger_draw_holds_the_smaller_and_nobody_of_the_fold(given):
    few, more, every = (drawn(given, Fit("sparse", n, 0, 1), 0) for n in (1, 2, None))
    assert few == more[:1]
    assert set(more) < set(every) == {"s0", "s5"} or set(more) == set(every)
    orders = {tuple(drawn(given, Fit("sparse", None, draw, 0), 0)) for draw in range(5)}
    assert len(orders) > 1


def test_the_least_certain_subjects_are_added_to_those_there_are(run):
    last = {"subjects": ["s1", "s2"], "uncertainty": {"r3": 0.2, "r4": 0.9, "r5": 0.5}}
    before = {"sparse-2-0-fold0": last}
    assert chosen(Fit("sparse-active", 4, 0, 0), run, before) == ["s1", "s2", "s4", "s5"]


def test_a_labeler_is_less_certain_of_a_noisy_recording(rng):
    recording = case(3).recording
    noise = rng.normal(scale=0.15, size=recording.signals.shape).astype(np.float32)
    noisy = replace(recording, signals=recording.signals + noise)
    model = load("ecg")
    assert 0 < uncertainty(model, recording) < uncertainty(model, noisy) < np.log2(6)


@compiled
def test_without_further_recordings_dictionaries_are_those_of_the_labeler(given):
    cases = given.training(1)
    made = [
        kind(training=SIZES, leads="independent", noise=given.noise).fit(
            [c.recording for c in cases], [c.annotation for c in cases]
        )
        for kind in (EcgLabeler, WithUnlabelled)
    ]
    usual, own = (labeler.model_ for labeler in made)
    for name, array in usual.emission.to_arrays().items():
        np.testing.assert_array_equal(getattr(own.emission, name), array, err_msg=name)
    further = WithUnlabelled(training=SIZES, leads="independent", noise=given.noise)
    further.unlabelled = [c.recording for c in given.tested(1)]
    further.fit([c.recording for c in cases], [c.annotation for c in cases])
    assert not np.array_equal(further.model_.dictionaries[1].atoms, own.dictionaries[1].atoms)


@compiled
def test_fits_leave_scores_of_people_that_nobody_learned_from(run, given, monkeypatch):
    monkeypatch.setattr(_fits, "as_annotation", partial(as_annotation, certainty=0.2))
    left = {}
    for arm in ("sparse", "sparse-dictionary", "sparse-by-sparse"):
        fit = Fit(arm, 2, 0, 0)
        left[fit.name] = _fits.carry_out(fit, run, left)
        assert set(left[fit.name]["scores"]) == {"s0"}
        assert "s0" not in left[fit.name]["subjects"]
    assert set(left["sparse-2-0-fold0"]["uncertainty"]) == {c.name for c in given.training(0)} - {
        f"r{name[1:]}" for name in left["sparse-2-0-fold0"]["subjects"]
    }
    assert left["sparse-by-sparse-2-0-fold0"]["taught"] > 0
    active = _fits.carry_out(Fit("sparse-active", 4, 0, 0), run, left)
    assert len(active["subjects"]) == 4
    model = run.folder / "models" / "sparse-2-0-fold0.npz"
    first = model.read_bytes()
    _fits.teacher(Fit("sparse-by-sparse", 2, 0, 0), [], run)  # is there: learns nothing anew
    assert model.read_bytes() == first


def test_fits_that_need_tensorflow_are_left_out_without_it(run, monkeypatch):
    monkeypatch.setattr(_fits, "missing", lambda architecture: architecture != "sparse")
    for arm in ("unet", "tcn", "sparse-by-unet"):
        assert _fits.carry_out(Fit(arm, 2, 0, 0), run, {}) is None


def test_a_teacher_marks_what_it_is_sure_of(monkeypatch):
    monkeypatch.setattr(_fits, "as_annotation", partial(as_annotation, certainty=0.3))
    found = taught_by(load("ecg"), [case(7)])
    assert len(found) == 1
    assert len(found[0].annotation.annotated)
    monkeypatch.setattr(_fits, "as_annotation", partial(as_annotation, certainty=1.0))
    assert taught_by(load("ecg"), [case(7)]) == []


def test_pieces_are_where_nobody_has_marked_a_wave():
    recording, annotation = synthetic_ecg(fs=100, duration=700, leads=("II",), seed=0)
    spans = annotation.spans
    some = spans.select((spans.onset > 310 * 100) & (spans.onset < 330 * 100))
    long = Case("simulated", "r", recording, replace(annotation, spans=some), "s", "")
    assert [piece.recording.duration for piece in pieces([long])] == [20.0, 20.0]
    np.testing.assert_array_equal(pieces([long])[1].recording.signals, recording.signals[60000:62000])
    beats = replace(some, onset=np.full(len(some), -1), offset=np.full(len(some), -1))
    assert len(pieces([replace(long, annotation=replace(annotation, spans=beats))])) == 3


def test_what_other_data_sets_teach_is_judged_on_ludb_and_elsewhere(run, score, monkeypatch):
    plan = fits(SETTINGS)
    beyond = [fit for fit in plan if fit.source]
    assert {(fit.arm, fit.source) for fit in beyond} == {
        (arm, source) for arm in ("sparse-by-unet", "tcn-by-unet") for source in ("mitdb", "qtdb")
    }
    own = Run(data=run.data, settings=SETTINGS | {"n_resamples": 20}, seed=0, folder=run.folder)
    left = {fit.name: {"subjects": ["a"], "taught": 3, "scores": packed(score), "qtdb": packed(score)} for fit in plan}
    table = elsewhere_table(own, left | {beyond[0].name: None})
    assert len(table) == 3 * 2 * 2
    assert (table["gain"] == 0).all()
    assert set(table["tested"]) == {"ludb", "qtdb"}
    asked = []
    monkeypatch.setattr(_fits, "missing", lambda architecture: False)
    monkeypatch.setattr(Run, "cases", lambda self, name, count=None: asked.append(name) or [])
    monkeypatch.setattr(_fits, "teacher", lambda fit, known, run: None)
    monkeypatch.setattr(_fits, "train", lambda fit, cases, run, unlabelled: load("ecg"))
    found = _fits.carry_out(Fit("tcn-by-unet", None, 0, 0, "mitdb"), run, {})
    assert asked == ["mitdb"]
    assert found["taught"] == 0


@pytest.fixture(scope="module")
def score() -> DelineationScore:
    cases = [case(seed) for seed in range(3)]
    labeler = load("ecg")
    return score_delineation(
        [(c.annotation, labeler.label(c.recording)) for c in cases], subjects=[c.subject for c in cases]
    )


def test_a_packed_score_is_the_same_score(score):
    again = unpacked(packed(score))
    assert again.subjects == score.subjects
    for tolerance in ("150ms", "tight"):
        assert again.macro(tolerance) == score.macro(tolerance)
    np.testing.assert_equal(again.false_p_per_beat, score.false_p_per_beat)


def test_macros_of_many_draws_are_those_of_reweighted_scores(score):
    weights = weights_of(3, n=20, seed=1)
    found = macros(unpacked(packed(score)), weights)
    for row, of_draw in zip(found, weights, strict=True):
        assert row == pytest.approx([score.reweighted(of_draw).macro(t) for t in ("150ms", "tight")])
    assert interval(found[:, 0]).low <= found[0, 0] <= interval(found[:, 0]).high
    np.testing.assert_allclose(by_subject([score, score]), macros(score, np.eye(3)))


def test_gains_are_over_plain_labels_of_as_many_subjects(score, tmp_path):
    worse = dict(packed(score))
    for name, line in worse.items():
        counts = np.array(line.split(), int)
        counts[2:].reshape(-1, 3)[:, 0] -= 1  # a hit less
        counts[2:].reshape(-1, 3)[:, 1] += 1
        worse[name] = " ".join(map(str, counts))
    settings = SETTINGS | {"subjects": [2], "start": 2, "draws": 2, "networks": False, "tested": [0]}
    run = Run(data=tmp_path, settings=settings, seed=0, folder=tmp_path)
    left = {
        fit.name: {"scores": worse if fit.arm == "sparse" else packed(score), "subjects": ["a", "b"]}
        for fit in fits(settings)
    }
    found = points(run, left)
    assert [(point.arm, len(point.draws)) for point in found] == [
        ("sparse", 2), ("sparse-dictionary", 2), ("sparse-by-sparse", 2),
    ]  # fmt: skip
    table = gain_table(found, weights_of(3, n=50, seed=0))
    assert set(table["arm"]) == {"sparse-dictionary", "sparse-by-sparse"}
    assert (table["low"] > 0).all()
    left["sparse-dictionary-2-1-fold0"] = None
    assert [point.arm for point in points(run, left)] == ["sparse", "sparse-by-sparse"]


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")  # so few records do not fill folds evenly
@compiled
def test_label_budget_runs_from_its_recordings_to_its_report(data_dir, tmp_path):
    experiment = find("label_budget")
    settings = experiment.settings_of(quick=True) | {
        "records": 8, "folds": 2, "subjects": [2, 3], "start": 2, "n_resamples": 20,
        "training": asdict(SIZES) | {"fewest_steps": 40, "batch_size": 4, "n_augmented": 0},
    }  # fmt: skip
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=settings, seed=0, quick=True, command="test",
        terminal=Terminal(quiet=True),
    )  # fmt: skip
    manifest, results = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} == {"ludb", "nstdb"}
    assert "f1.sparse.2.150ms" in results["metrics"]
    assert "gain.sparse-active.3.tight" in results["metrics"]
    assert len(outcome.left_out) == 1
    for figure in ("budget", "gains"):
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 5000
