"""The experiments on networks run on simulated people, so that none can rot; training is tested in `tests/nn`."""

import os
from functools import partial
from pathlib import Path

import pytest

from experiments.networks import _ground, distillation, labels, sensitivity
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.labeling import EcgLabeler, TrainingSettings, as_annotation
from mhealth.labeling._network_emission import SCHEDULE
from mhealth.simulate import synthetic_ecg

QUIET = Terminal(quiet=True)
compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="takes minutes")


def case(seed: int) -> Case:
    recording, annotation = synthetic_ecg(fs=250, duration=20, leads=("II", "V2", "V5", "V6"), seed=seed)
    return Case("simulated", f"r{seed}", recording, annotation, f"s{seed}", "")


@pytest.fixture(scope="module")
def ground() -> _ground.Ground:
    recording, _ = synthetic_ecg(fs=250, duration=60, leads=("II",), seed=9)
    return _ground.Ground([_ground.of_leads(case(seed), ("ii", "v5")) for seed in range(4)], [0, 1, 1, 2], [recording])


@pytest.fixture(scope="module")
def tiny(ground: _ground.Ground) -> EcgLabeler:
    settings = TrainingSettings(
        n_atoms=12, n_nonzero=3, n_first=8, n_second=4, n_epochs=1, fewest_steps=150, n_augmented=0, batch_size=1
    )
    cases = ground.training(0)
    labeler = EcgLabeler(training=settings, leads="independent")
    return labeler.fit([c.recording for c in cases], [c.annotation for c in cases], groups=[c.subject for c in cases])


def test_the_ground_keeps_tested_subjects_out_and_draws_one_training_from_the_next(ground):
    assert [c.subject for c in ground.tested(1)] == ["s1", "s2"]
    assert {c.subject for c in ground.training(1)} == {"s0", "s3"}
    fewer, more = ({c.subject for c in ground.training(0, n)} for n in (1, 2))
    assert len(fewer) == 1
    assert fewer < more
    assert ground.cases[0].recording.channels == ("II", "V5")
    assert set(ground.cases[0].annotation.annotated[:, 0].tolist()) == {0, 1}


def test_a_finished_run_is_not_repeated(tmp_path):
    assert _ground.kept(tmp_path / "runs", "a", lambda: {"macro": 1.0})["macro"] == 1.0
    assert _ground.kept(tmp_path / "runs", "a", lambda: {"macro": 2.0})["macro"] == 1.0


@pytest.mark.parametrize("architecture", sorted(SCHEDULE))
def test_every_changed_setting_makes_a_labeler_of_its_own(ground, architecture):
    weights = sensitivity.rarity(ground, 0)
    assert len(weights) == 4
    assert weights[0] == min(weights)  # there is mostly nothing
    made = [
        repr(_ground.labeler(architecture, ground.noise, 24, **of).emission)
        for of in sensitivity.changes(architecture, weights).values()
    ]
    assert len(set(made)) == len(made)


@compiled
def test_labels_are_scored_on_people_that_nobody_learned_from(ground, tiny, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(labels, "trained", lambda name, cases, noise: [seen.append(cases), tiny][1])
    rows = [labels.run("sparse", ground, 0, n) for n in (1, 2)]
    assert [row["n_subjects"] for row in rows] == [1, 2]
    assert all("s0" not in {c.subject for c in cases} for cases in seen)
    assert 0 < rows[0]["ludb.150ms.macro"] <= 100
    labels.draw({"sparse": rows}, tmp_path / "labels.png")
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")


@compiled
def test_a_teacher_marks_pieces_of_recordings(tiny, monkeypatch):
    monkeypatch.setattr(distillation, "SECONDS", 8.0)
    monkeypatch.setattr(distillation, "EVERY", 10.0)
    monkeypatch.setattr(distillation, "as_annotation", partial(as_annotation, certainty=0.3))
    pieces = list(distillation.taught(tiny, [case(7)], QUIET))
    assert pieces
    for piece in pieces:
        assert piece.recording.n_samples == 2000
        assert len(piece.annotation.annotated)


def test_every_experiment_says_how_it_is_run():
    readme = (Path(_ground.__file__).parent / "README.md").read_text(encoding="utf-8")
    for module in (distillation, labels, sensitivity):
        assert f"python -m {module.__name__} ../shared/data --out runs/" in readme
