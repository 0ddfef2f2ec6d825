"""Persons cut in time, models moved with and without labels, settings that others choose."""

from dataclasses import replace

import numpy as np
import pytest

from experiments._experiment import find
from experiments._runner import carry_out, finished
from experiments.personalisation._design import GENERAL, OWN, SHRUNK, Trial, trials
from experiments.personalisation._models import (
    aligned,
    candidates,
    looks,
    of_nothing,
    of_own_codes,
    rescaled,
    with_model,
    with_own_atoms,
)
from experiments.personalisation._persons import AFTER, BEFORE, person_of
from experiments.personalisation._summary import chosen
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.core import Annotation
from mhealth.labeling import TrainingSettings, load
from mhealth.metrics import score_delineation
from mhealth.simulate import synthetic_ecg
from mhealth.sparse import omp


@pytest.fixture(scope="module")
def case() -> Case:
    """Twenty marked beats of a simulated recording, in two runs, marked alike in both channels."""
    recording, truth = synthetic_ecg(fs=250, duration=90, leads=("II", "V5"), heart_rate=60, seed=3)
    peaks = truth.spans.of(label="QRS", channel="II").peak
    rows = []
    for first, last in ((40, 55), (60, 65)):
        start, stop = int(peaks[first] - 100), int(peaks[last - 1] + 140)
        rows += [(channel, start, stop) for channel in (0, 1)]
    spans = truth.spans.select(truth.spans.channel == 0)
    inside = np.any([(spans.onset >= start) & (spans.offset <= stop) for _, start, stop in rows], axis=0)
    marked = spans.select(inside)
    both = type(marked).concat([marked, replace(marked, channel=np.ones_like(marked.channel))])
    return Case("made", "one", recording, Annotation(spans=both, annotated=np.array(sorted(rows))), "somebody", "")


@pytest.fixture(scope="module")
def model():
    return load("ecg").model_


def test_a_person_is_cut_in_time_beat_by_beat(case):
    person = person_of(case)
    assert person.n_beats == 20
    assert person.recording.channels == ("II",)
    learned, tested = person.first(15), person.tested
    assert sum(learned.spans.label == 1) == 10  # never more than the first half
    assert sum(tested.spans.label == 1) == 10
    assert learned.annotated[:, 2].max() <= tested.annotated[:, 1].min()
    assert learned.spans.offset.max() <= tested.spans.onset.min()
    assert len(learned.spans) + len(tested.spans) == len(person.annotation.spans)
    assert len(tested.annotated) == 2
    one = person.first(1)
    assert [one.spans.classes[k] for k in one.spans.label] == ["P", "QRS", "T"]
    assert one.spans.onset.min() >= one.annotated[0, 1]
    assert one.spans.offset.max() <= one.annotated[0, 2]


def test_a_person_keeps_what_the_recording_showed(case):
    person = person_of(case)
    first = int(case.annotation.annotated[:, 1].min())
    start = max(0, first - round(BEFORE * 250))
    np.testing.assert_array_equal(
        person.recording.signals[:, 0],
        case.recording.signals[start : int(case.annotation.annotated[:, 2].max() + AFTER * 250), 0],
    )
    assert person.unmarked.n_samples == first - start
    original = case.annotation.spans.of(channel="II").peak
    np.testing.assert_array_equal(person.annotation.spans.peak, original - start)


def test_another_scale_makes_windows_as_large_as_the_populations(case, model):
    raw = candidates(model, person_of(case).unmarked)
    general = replace(looks(model, raw), size=0.8 * looks(model, raw).size)
    new = rescaled(model, raw, general, 1.0)
    assert new.task.front_end.features.knee > model.task.front_end.features.knee
    assert looks(new, candidates(new, person_of(case).unmarked)).size == pytest.approx(general.size, rel=1e-3)
    half = rescaled(model, raw, general, 0.5).task.front_end.features.knee
    assert half == pytest.approx(np.sqrt(model.task.front_end.features.knee * new.task.front_end.features.knee))


def test_own_atoms_code_the_person_better(case, model):
    raw = candidates(model, person_of(case).unmarked)
    new = with_own_atoms(model, raw, 1.0)
    for windows, old, own in zip(raw.windows, model.dictionaries, new.dictionaries, strict=True):
        left = [windows - omp(windows, d, n_nonzero=model.n_nonzero).reconstruct(d) for d in (old, own)]
        assert np.square(left[1]).sum() < 0.8 * np.square(left[0]).sum()
        assert own.name == old.name
    same = with_own_atoms(model, raw, 0.0)
    np.testing.assert_allclose(same.dictionaries[0].atoms, model.dictionaries[0].atoms, atol=1e-6)


def test_aligned_activations_have_the_populations_mean_and_spread(case, model, rng):
    raw = candidates(model, person_of(case).unmarked)
    own = looks(model, raw)
    general = replace(own, mean=own.mean + rng.normal(size=len(own.mean)), sd=own.sd * rng.uniform(0.5, 2, len(own.sd)))
    found = looks(aligned(model, own, general, 1.0), raw)
    np.testing.assert_allclose(found.mean, general.mean, atol=1e-3)
    np.testing.assert_allclose(found.sd, general.sd, rtol=1e-3)
    halfway = looks(aligned(model, own, general, 0.5), raw)
    np.testing.assert_allclose(halfway.mean, (own.mean + general.mean) / 2, atol=1e-3)
    np.testing.assert_allclose(aligned(model, own, general, 0.0).emission.of_dense, model.emission.of_dense, rtol=1e-6)


def test_a_model_of_own_codes_passes_them_on(case, model, rng):
    raw = candidates(model, person_of(case).unmarked)
    own = of_own_codes(model, raw, TrainingSettings(n_atoms=16, n_nonzero=3), rng)
    own.check()
    last = rng.normal(size=own.emission.last.shape).astype(np.float32)
    from mhealth.labeling._features import code

    features = code(raw.select(np.arange(20)), own.dictionaries, 3)
    plain = np.zeros((20, 2 * 16 * len(own.dictionaries)))
    for row, (columns, values) in enumerate(zip(features.columns, features.values, strict=True)):
        plain[row, columns[columns >= 0]] = values[columns >= 0]
    split = np.hstack([plain, np.maximum(features.dense, 0), np.maximum(-features.dense, 0)])
    outputs = replace(own.emission, last=last).outputs(features)
    np.testing.assert_allclose(outputs, split @ last, rtol=1e-3, atol=1e-3)


def test_a_person_alone_can_be_learned_from(case, model):
    person, population = person_of(case), load("ecg")
    raw = candidates(model, person.unmarked)
    own = of_own_codes(model, raw, TrainingSettings(n_atoms=16), np.random.default_rng(0))

    def macro(start) -> float:
        labels = with_model(population, start).adapted([person.recording], [person.first(8)], strength=1.0)
        return score_delineation([(person.tested, labels.label(person.recording))]).macro()

    assert macro(own) > 70
    assert macro(of_nothing(model)) > 90
    nothing = with_model(population, of_nothing(model)).label(person.recording)
    assert score_delineation([(person.tested, nothing)]).macro() < 50


def score_of(found: int) -> dict:
    """A score with so many of ten waves of each kind found."""
    sums = np.zeros((2, 3, 3, 5))
    sums[..., 0], sums[..., 1] = found, 10 - found
    return {"sums": sums.tolist(), "without_p": [0, 0]}


def test_settings_are_chosen_by_other_folds():
    tried = [Trial(GENERAL, 0, 0.0), Trial(SHRUNK, 1, 3.0), Trial(SHRUNK, 1, 30.0)]
    rows = {}
    for k in range(4):
        # For the persons of the first fold 3 is better, for those of the second 30.
        fold, best = k % 2, (9, 4) if k % 2 == 0 else (4, 9)
        scores = dict(zip((trial.key for trial in tried), (score_of(n) for n in (5, *best)), strict=True))
        rows[f"r{k}"] = {"subject": f"s{k}", "fold": fold, "n_beats": 30, "scores": scores}
    scores, settings = chosen(rows, tried)
    assert settings[SHRUNK, 1, 1] == 30.0  # what the second fold wants, and the wrong one here
    assert settings[SHRUNK, 1, 2] == 3.0
    assert scores[SHRUNK, 1].counts().sensitivity[0, 0] == pytest.approx(40)
    assert scores[GENERAL, 0].counts().sensitivity[0, 0] == pytest.approx(50)


def test_trials_have_names_of_their_own():
    keys = [trial.key for trial in trials()]
    assert len(set(keys)) == len(keys)
    assert {trial.count for trial in trials((2, 4)) if trial.arm == OWN} == {2, 4}


@pytest.mark.realdata
def test_the_experiment_runs_from_its_recordings_to_its_report(data_dir, tmp_path):
    experiment = find("personalisation")
    settings = experiment.settings_of(quick=True) | {"counts": [4], "n_resamples": 10, "ludb_records": 2}
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=settings, seed=0, quick=True, command="test",
        terminal=Terminal(quiet=True),
    )  # fmt: skip
    manifest, _ = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} <= set(experiment.datasets)
    assert 50 < outcome.metrics[f"f1.{SHRUNK}.4.150ms"] <= 100
    assert set(outcome.tables["scores"]["arm"]) == {trial.arm for trial in trials()}
    for figure in outcome.figures:
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 5000
