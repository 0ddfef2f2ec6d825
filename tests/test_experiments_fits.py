"""Fits that the repository keeps: taken by later runs, made in several sittings."""

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from experiments import _fits, _ledger, _manifest, _runner
from experiments._experiment import Experiment, Outcome, Run, Step
from experiments._runner import carry_out, finished
from mhealth.cli._terminal import Terminal
from mhealth.errors import InvalidParameterError, RecordingFileError


def work_of_a_fit(run: Run, before: Mapping[str, Any]) -> Any:
    """Read a recording as a fit does, and leave a figure; it counts itself in a file of the run."""
    log = run.folder / "done.txt"
    run.once("text", lambda: (run.data / "ludb" / "a.txt").read_text())
    log.write_text(log.read_text() + "." if log.exists() else ".")
    return {"macro": 90.0 + run.settings["size"], "undefined": float("nan")}


class Fitted:
    """An experiment of two fits, of which the second may be left out."""

    leaves_out = False

    def experiment(self, **changes: Any) -> Experiment:
        fields: dict[str, Any] = {
            "name": "fitted",
            "question": "Is it kept?",
            "expectation": "It is.",
            "datasets": ("ludb",),
            "settings": {"size": 5},
            "quick": {},
            "steps": self.steps,
            "conclude": self.conclude,
        }
        return Experiment(**(fields | changes))

    def steps(self, run: Run) -> list[Step]:
        fit = {"size": run.settings["size"]}
        second = (lambda run, before: None) if self.leaves_out else work_of_a_fit
        return [Step("a-0", work_of_a_fit, fit), Step("b-1", second, fit)]

    def conclude(self, run: Run, left: Mapping[str, Any]) -> Outcome:
        return Outcome(metrics={name: (of or {"macro": np.nan})["macro"] for name, of in left.items()})


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Fitted:
    """Fits from a clean tree, whose code nobody changes meanwhile."""
    monkeypatch.setattr(_manifest, "code_hash", lambda: "0" * 64)
    monkeypatch.setattr(_runner, "environment", lambda: _manifest.environment() | {"clean": True})
    return Fitted()


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "ludb").mkdir(parents=True)
    (folder / "ludb" / "a.txt").write_text("seven..")
    return folder


def carried_out(fitted: Fitted, data, out, *, seed: int = 0, settings: Mapping[str, Any] | None = None, **how: Any):
    experiment = fitted.experiment()
    return carry_out(
        experiment, data=data, out=out, settings=settings or experiment.settings, seed=seed, quick=False,
        command="run", terminal=Terminal(quiet=True), **how,
    )  # fmt: skip


def n_done(folder) -> int:
    path = folder / "done.txt"
    return len(path.read_text()) if path.exists() else 0


def test_fits_are_kept_and_later_runs_take_them(fitted, data, tmp_path):
    fits = tmp_path / "fits"
    first = carried_out(fitted, data, tmp_path / "first", fits=fits)
    assert sorted(path.name for path in fits.iterdir()) == ["a-0.json", "b-1.json", "inputs.json"]
    again = carried_out(fitted, data, tmp_path / "again", fits=fits)
    assert (n_done(tmp_path / "first"), n_done(tmp_path / "again")) == (2, 0)
    assert again.metrics == first.metrics
    manifest, _ = finished(tmp_path / "again")
    assert list(manifest["inputs"]) == ["ludb/a.txt"]
    assert manifest["steps"]["a-0"]["commit"] == manifest["sittings"][0]["commit"]
    carried_out(fitted, data, tmp_path / "alone")
    assert n_done(tmp_path / "alone") == 2  # a reproduction takes nothing on trust


@pytest.mark.parametrize("other", ["seed", "settings", "code"])
def test_fits_of_another_seed_setting_or_code_are_made_anew(fitted, data, tmp_path, monkeypatch, other):
    fits = tmp_path / "fits"
    carried_out(fitted, data, tmp_path / "first", fits=fits)
    if other == "code":
        monkeypatch.setattr(_fits, "deciding_code", lambda step: "f" * 64)
        carried_out(fitted, data, tmp_path / "any", fits=fits, any_code=True)
        assert n_done(tmp_path / "any") == 0
    settings = {"size": 7} if other == "settings" else None
    carried_out(fitted, data, tmp_path / "other", fits=fits, seed=int(other == "seed"), settings=settings)
    assert n_done(tmp_path / "other") == 2


def test_fits_of_other_recordings_are_refused(fitted, data, tmp_path):
    carried_out(fitted, data, tmp_path / "first", fits=tmp_path / "fits")
    (data / "ludb" / "a.txt").write_text("another")
    with pytest.raises(RecordingFileError, match=r"a\.txt has changed since the fits"):
        carried_out(fitted, data, tmp_path / "again", fits=tmp_path / "fits")


def test_fits_of_a_tree_with_changes_stay_in_their_run(fitted, data, tmp_path, monkeypatch):
    monkeypatch.setattr(_runner, "environment", lambda: _manifest.environment() | {"clean": False})
    carried_out(fitted, data, tmp_path / "first", fits=tmp_path / "fits")
    assert not (tmp_path / "fits").exists()


def test_a_sitting_may_do_some_steps_only(fitted, data, tmp_path):
    out = tmp_path / "run"
    assert carried_out(fitted, data, out, only="*-1") is None
    assert n_done(out) == 1
    with pytest.raises(InvalidParameterError, match="not finished"):
        finished(out)
    assert carried_out(fitted, data, out, only="*-0").metrics == {"a-0": 95.0, "b-1": 95.0}
    assert n_done(out) == 2
    assert len(finished(out)[0]["sittings"]) == 2


def test_what_is_left_out_in_one_sitting_is_done_in_another(fitted, data, tmp_path):
    fits = tmp_path / "fits"
    fitted.leaves_out = True
    assert np.isnan(carried_out(fitted, data, tmp_path / "without", fits=fits).metrics["b-1"])
    assert not (fits / "b-1.json").exists()
    fitted.leaves_out = False
    assert carried_out(fitted, data, tmp_path / "with", fits=fits).metrics["b-1"] == 95.0
    assert n_done(tmp_path / "with") == 1


def test_what_steps_share_counts_as_read_by_each(fitted, data, tmp_path):
    carried_out(fitted, data, tmp_path / "run")
    for name in ("a-0", "b-1"):
        told = json.loads((tmp_path / "run" / "steps" / f"{name}.json").read_text())
        assert list(told["inputs"]) == ["ludb/a.txt"], name


def test_the_code_of_a_fit_is_what_it_means():
    said = _fits.meaning('"""Doc."""\ndef f(x):\n    """Say."""\n    return x + 1  # one\n')
    assert said == _fits.meaning("def f(x):\n    return (x + 1)\n")
    assert said != _fits.meaning("def f(x):\n    return x + 2\n")
    assert _fits.deciding_code(Step("a", partial(work_of_a_fit))) == _fits.deciding_code(Step("b", work_of_a_fit))


def test_the_ledger_names_the_commits_of_earlier_fits(fitted, data, tmp_path):
    for name in ("first", "again"):
        carried_out(fitted, data, tmp_path / name, fits=tmp_path / "fits")
    manifest, results = finished(tmp_path / "again")
    text = _ledger._part(fitted.experiment(), manifest, results)
    assert f"Fits of earlier sittings: commit {manifest['sittings'][0]['commit'][:9]}." in text


def test_fits_of_a_sitting_leave_the_tree_clean_for_the_next(tmp_path, monkeypatch):
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    for folder in ("experiments/toy", "mhealth", "data_loaders"):
        (tmp_path / folder).mkdir(parents=True)
    code = tmp_path / "experiments" / "toy" / "experiment.py"
    code.write_text("ONE = 1\n")
    (tmp_path / "pyproject.toml").write_text("")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "toy")
    monkeypatch.setattr(_manifest, "ROOT", tmp_path)
    assert _manifest.environment()["clean"] is True
    fits = code.parent / "fits"
    fits.mkdir()
    (fits / "a-0.json").write_text("{}")
    assert _manifest.environment()["clean"] is True
    git("add", ".")
    assert _manifest.environment()["clean"] is True  # committed or not
    code.write_text("ONE = 2\n")
    told = _manifest.environment()
    assert told["clean"] is False
    assert told["changed"] == [" M experiments/toy/experiment.py"]
