"""The experiments run on recordings, each with its quick settings or fewer."""

import subprocess
import sys

import numpy as np
import pytest

from experiments import _experiment
from experiments._experiment import Run, find, names
from experiments._runner import carry_out, finished
from experiments.breathing._rules import moving_average_breaths
from experiments.dictionary_transfer._sources import Windows, cases_of, control, matched
from mhealth.cli._terminal import Terminal
from mhealth.core import Spans
from mhealth.metrics import score_breaths
from mhealth.simulate import synthetic_respiration
from mhealth.sparse import Dictionary

FASTER = {
    "breathing": {"records": 4, "n_simulated": 0, "n_resamples": 20},
    "dictionary_transfer": {
        "records": 6,
        "seconds": 6.0,
        "windows": 500,
        "sizes": [64],
        "iterations": 2,
        "max_iter": 3,
    },
    "drug_effect": {"ludb_records": 10, "records": 3, "n_resamples": 10},
}
"""What tests do with less of than quick runs."""


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")  # so few records do not fill five folds evenly
@pytest.mark.parametrize("name", FASTER)
def test_every_experiment_runs_from_its_recordings_to_its_report(name, data_dir, tmp_path):
    experiment = find(name)
    settings = experiment.settings_of(quick=True) | FASTER[name]
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=settings, seed=0, quick=True, command="test",
        terminal=Terminal(quiet=True),
    )  # fmt: skip
    manifest, results = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} <= set(experiment.datasets)
    assert sum(np.isfinite(value) for value in outcome.metrics.values()) > 0.6 * len(outcome.metrics)
    expected = [name for name in experiment.headline if "NeuroKit2" not in name]
    assert set(expected) <= set(results["metrics"])
    for figure in outcome.figures:
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 5000


def test_experiments_are_listed_without_importing_them_and_imported_without_heavy_packages():
    heavy = {"tensorflow", "numba", "sklearn", "wfdb", "matplotlib", "pandas"}
    code = (
        "import sys\nfrom experiments._experiment import find, names\nfound = names()\n"
        "assert not [m for m in sys.modules if m.startswith('experiments.')][1:], sys.modules\n"
        f"[find(name) for name in found]\nprint(*found)\nprint(*sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed, imported = done.stdout.split("\n")[:2]
    assert listed.split() == names()
    assert imported == ""


@pytest.mark.parametrize("name", names())
def test_every_experiment_says_what_it_asks_and_expected_and_has_a_readme(name):
    experiment = find(name)
    assert experiment.name == name
    assert experiment.question.endswith("?")
    assert experiment.expectation
    text = (_experiment.FOLDER / name / "README.md").read_text(encoding="utf-8")
    for heading in ("## Method", "## Data", "## Result", "## What it means", "## Limits"):
        assert heading in text, heading
    assert f"python -m experiments run {name}" in text


def test_the_moving_average_finds_simulated_breaths():
    recording, annotation = synthetic_respiration(fs=25.0, duration=240.0, seed=2)
    ends = moving_average_breaths(recording.signals[:, 0].astype(float), 25.0)
    found = Spans.from_rows(
        [(-1, -1, end, 0, 0, np.nan) for end in ends.tolist()],
        fs=25.0, channels=recording.channels, classes=("inspiration",),
    )  # fmt: skip
    assert score_breaths([(annotation, found)]).f1(0.5) > 90


def test_the_moving_average_finds_nothing_in_nothing():
    assert len(moving_average_breaths(np.zeros(1000), 25.0)) == 0


def test_atoms_are_paired_one_to_one_without_sign(rng):
    atoms = rng.normal(size=(6, 30))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    mixed = atoms[rng.permutation(6)] * rng.choice([-1, 1], size=(6, 1))
    np.testing.assert_allclose(matched(Dictionary(atoms=atoms), Dictionary(atoms=mixed)), 1, atol=1e-5)


@pytest.mark.parametrize(("kind", "n_points"), [("edge", 25), ("wave", 40)])
def test_controls_have_lost_what_windows_have_lost(rng, kind, n_points):
    windows = Windows(rng.normal(size=(200, n_points)).astype(np.float32), np.full(200, "a"))
    cosines = control("dct", kind, 64, windows, rng).atoms
    assert cosines.shape == (64, n_points)
    np.testing.assert_allclose(cosines.sum(axis=1), 0, atol=1e-4)
    if kind == "wave":
        np.testing.assert_allclose(cosines @ np.arange(n_points), 0, atol=1e-3)
    patches = control("patches", kind, 16, windows, rng).atoms
    whole = windows.values / np.linalg.norm(windows.values, axis=1, keepdims=True)
    np.testing.assert_allclose((patches @ whole.T).max(axis=1), 1, atol=1e-5)


@pytest.mark.realdata
def test_no_subject_is_in_both_halves_or_in_two_data_sets(data_dir, tmp_path):
    run = Run(data=data_dir, settings={"records": 20}, seed=0, folder=tmp_path)
    subjects = {
        (source, half): {case.subject for case in cases_of(run, source, half)}
        for source in ("qtdb", "mitdb")
        for half in (0, 1)
    }
    assert sum(map(len, subjects.values())) == len(set().union(*subjects.values()))
