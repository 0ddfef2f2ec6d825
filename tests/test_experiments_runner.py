"""Runs of experiments: what a folder holds, going on, doing again, comparing, keeping."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from data_loaders import Bidmc, Ludb
from experiments import __main__ as command_line
from experiments import _comparison, _experiment, _fetching, _ledger, _manifest
from experiments._comparison import DIFFERENT, IDENTICAL, WITHIN, check_inputs, compare
from experiments._experiment import Experiment, Outcome, Run, Step
from experiments._manifest import code_hash, reading, reasons
from experiments._runner import carry_out, finished
from experiments._statistics import auroc, estimate_mean
from mhealth.cli._terminal import Terminal
from mhealth.errors import InvalidParameterError, RecordingFileError


class Toy:
    """An experiment of two steps that reads a file, draws a number, and can be told to stop or to be off."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stops_at = ""
        self.off = 0.0

    def experiment(self, **changes: Any) -> Experiment:
        fields: dict[str, Any] = {
            "name": "toy",
            "question": "Is <b> more than & less?",
            "expectation": "It is.",
            "datasets": ("ludb",),
            "settings": {"size": 5, "text": "full"},
            "quick": {"size": 2},
            "steps": self.steps,
            "conclude": self.conclude,
            "tolerance": {"mean.*": 0.1, "nothing": 1.0},
            "headline": ("mean.drawn",),
        }
        return Experiment(**(fields | changes))

    def steps(self, run: Run) -> list[Step]:
        return [Step("read", self.read), Step("draw.2", self.draw)]

    def read(self, run: Run, before: Mapping[str, Any]) -> Any:
        self._called("read")
        return {"n": len((run.data / "ludb" / "a.txt").read_text()), "undefined": np.nan}

    def draw(self, run: Run, before: Mapping[str, Any]) -> Any:
        self._called("draw")
        run.progress("drawing", 1, 2)
        return np.random.default_rng(run.seed).normal(size=run.settings["size"] + before["read"]["n"]).tolist()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.stops_at == name:
            raise KeyboardInterrupt

    def conclude(self, run: Run, left: Mapping[str, Any]) -> Outcome:
        figure = Figure()
        figure.subplots().plot(left["draw.2"])
        mean = float(np.mean(left["draw.2"])) + self.off
        return Outcome(
            metrics={"mean.drawn": mean, "n": left["read"]["n"] + self.off, "undefined": float("nan")},
            tables={"drawn": pd.DataFrame({"value": left["draw.2"], "<i>": "&"})},
            figures={"walk": figure},
            left_out=["neurokit2 <is> not installed"],
        )


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy that is found by its name, and code that nobody changes meanwhile."""
    toy = Toy()
    monkeypatch.setattr(_manifest, "code_hash", lambda: "0" * 64)
    for module in (_comparison, _ledger, command_line):
        monkeypatch.setattr(module, "find", lambda name: toy.experiment())
    monkeypatch.setattr(_ledger, "names", lambda: ["toy"])
    return toy


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "ludb").mkdir(parents=True)
    (folder / "ludb" / "a.txt").write_text("seven..")
    return folder


def carried_out(toy: Toy, data, out, *, seed: int = 0, quick: bool = False, **changes: Any) -> Outcome:
    experiment = toy.experiment(**changes)
    settings = experiment.settings_of(quick=quick)
    return carry_out(
        experiment, data=data, out=out, settings=settings, seed=seed, quick=quick, command="run toy",
        terminal=Terminal(quiet=True),
    )  # fmt: skip


def test_a_run_leaves_all_that_is_needed_to_do_it_again(toy, data, tmp_path):
    out = tmp_path / "run"
    outcome = carried_out(toy, data, out)
    manifest, results = finished(out)
    assert results["metrics"] == {"mean.drawn": outcome.metrics["mean.drawn"], "n": 7.0, "undefined": None}
    assert (manifest["seed"], manifest["settings"], manifest["quick"]) == (0, {"size": 5, "text": "full"}, False)
    assert manifest["inputs"] == {"ludb/a.txt": hashlib.sha256(b"seven..").hexdigest()}
    begun = manifest["sittings"][0]
    assert re.fullmatch(r"[0-9a-f]{40}", begun["commit"])
    assert begun["packages"]["numpy"] == np.__version__
    assert manifest["cpu_s"] >= 0 <= manifest["wall_s"]
    assert set(manifest["steps"]) == {"read", "draw.2", "conclusion"}
    assert pd.read_csv(out / "tables" / "drawn.csv").value.size == 12
    assert (out / "figures" / "walk.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "figures" / "walk.svg").read_bytes()


def test_the_report_is_one_file_and_escapes_every_text(toy, data, tmp_path):
    carried_out(toy, data, tmp_path / "run")
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for text in ("&lt;b&gt;", "more than &amp; less", "&lt;is&gt;", "<th>&lt;i&gt;</th>", "data:image/png;base64,"):
        assert text in report
    assert "<b>" not in report
    assert not re.search(r"(src|href)=\"(?!data:)", report)


def test_an_interrupted_run_goes_on_behind_the_last_finished_step(toy, data, tmp_path):
    carried_out(toy, data, tmp_path / "whole")
    toy.calls.clear()
    toy.stops_at = "draw"
    with pytest.raises(KeyboardInterrupt):
        carried_out(toy, data, tmp_path / "cut")
    with pytest.raises(InvalidParameterError, match="not finished"):
        finished(tmp_path / "cut")
    toy.stops_at = ""
    carried_out(toy, data, tmp_path / "cut")
    assert toy.calls == ["read", "draw", "draw"]
    manifest, results = finished(tmp_path / "cut")
    assert len(manifest["sittings"]) == 2
    assert list(manifest["inputs"]) == ["ludb/a.txt"]  # of the first sitting
    assert results == finished(tmp_path / "whole")[1]


def test_a_run_goes_on_only_as_it_was_begun(toy, data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    toy.stops_at = "draw"
    with pytest.raises(KeyboardInterrupt):
        carried_out(toy, data, out)
    toy.stops_at = ""
    with pytest.raises(InvalidParameterError, match="seed=0, not 1"):
        carried_out(toy, data, out, seed=1)
    with pytest.raises(InvalidParameterError, match="quick=False, not True"):
        carried_out(toy, data, out, quick=True)
    with monkeypatch.context() as patch:
        patch.setattr(_manifest, "code_hash", lambda: "f" * 64)
        with pytest.raises(InvalidParameterError, match="begun with other code"):
            carried_out(toy, data, out)
    (data / "ludb" / "a.txt").write_text("another")
    with pytest.raises(RecordingFileError, match=r"a\.txt has changed since"):
        carried_out(toy, data, out)
    (data / "ludb" / "a.txt").write_text("seven..")
    carried_out(toy, data, out)
    with pytest.raises(InvalidParameterError, match="was finished at"):
        carried_out(toy, data, out)


def test_the_same_run_again_is_identical_metric_by_metric(toy, data, tmp_path):
    carried_out(toy, data, tmp_path / "a")
    carried_out(toy, data, tmp_path / "b")
    found = compare(tmp_path / "a", tmp_path / "b")
    assert [row.verdict for row in found.rows] == [IDENTICAL] * 3
    assert found.reasons == []


@pytest.mark.parametrize(("off", "verdicts"), [(0.05, [WITHIN, DIFFERENT]), (0.2, [DIFFERENT, DIFFERENT])])
def test_a_metric_is_within_its_own_tolerance_or_different(toy, data, tmp_path, off, verdicts):
    carried_out(toy, data, tmp_path / "a")
    toy.off = off
    carried_out(toy, data, tmp_path / "b")
    rows = compare(tmp_path / "a", tmp_path / "b").rows
    assert [row.verdict for row in rows] == [*verdicts, IDENTICAL]
    assert [row.tolerance for row in rows] == [0.1, 0.0, 0.0]


def test_a_comparison_says_what_else_differs(toy, data, tmp_path):
    carried_out(toy, data, tmp_path / "a")
    carried_out(toy, data, tmp_path / "b", quick=True, seed=3)
    path = tmp_path / "b" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sittings"][0] |= {"processor": "abacus", "packages": {"numpy": "1.0"}}
    path.write_text(json.dumps(manifest))
    found = compare(tmp_path / "a", tmp_path / "b").reasons
    assert "other size (5, then 2)" in found
    assert "other seed (0, then 3)" in found
    assert any("other processor" in text and "abacus" in text for text in found)
    assert f"other numpy ({np.__version__}, then 1.0)" in found


def test_runs_are_done_again_only_on_the_files_that_they_were_made_from(toy, data, tmp_path):
    carried_out(toy, data, tmp_path / "run")
    assert check_inputs(tmp_path / "run", data)["seed"] == 0
    (data / "ludb" / "a.txt").write_text("another")
    with pytest.raises(RecordingFileError, match=r"1 of the 1 files .*a\.txt has changed"):
        check_inputs(tmp_path / "run", data)
    (data / "ludb" / "a.txt").unlink()
    with pytest.raises(RecordingFileError, match=r"a\.txt is missing"):
        check_inputs(tmp_path / "run", data)


def test_missing_recordings_are_named_with_where_to_get_them(toy, tmp_path):
    with pytest.raises(RecordingFileError, match=r"ludb/ with ludb 1\.0\.1 \(https://physionet\.org/content/ludb/"):
        carried_out(toy, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_steps_and_settings_that_make_no_sense_are_refused(toy, data, tmp_path):
    with pytest.raises(InvalidParameterError, match=r"\['sise'\]"):
        toy.experiment(quick={"sise": 1})
    for name in ("../up", "Upper", "same"):
        steps = [Step("same", toy.read), Step(name, toy.draw)]
        with pytest.raises(InvalidParameterError, match="toy has the steps"):
            carried_out(toy, data, tmp_path / name.lower().replace("../", ""), steps=lambda run, steps=steps: steps)


def test_every_file_that_is_opened_in_the_folder_is_noted_and_no_other(data, tmp_path):
    (tmp_path / "other.txt").write_text("")
    np.arange(3.0).tofile(data / "array.dat")
    with reading(data) as files:
        np.fromfile(data / "array.dat")
        pd.read_csv(data / "ludb" / "a.txt")
        (tmp_path / "other.txt").read_text()
    (data / "ludb" / "a.txt").read_text()
    assert files == {data / "array.dat", data / "ludb" / "a.txt"}


def test_code_hashes_follow_code_but_not_texts(tmp_path):
    others = ("mhealth/README.md", "experiments/x/result/results.json", "mhealth/_kernels/__pycache__/a.nbi")
    for name in ("mhealth/a.py", *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = code_hash(tmp_path)
    for name in others:
        (tmp_path / name).write_text("2")
    assert code_hash(tmp_path) == before
    (tmp_path / "mhealth/a.py").write_text("2")
    assert code_hash(tmp_path) != before


def test_equal_environments_give_no_reason():
    here = _manifest.environment()
    assert reasons(here, here) == []


def clean(run) -> None:
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sittings"][0]["clean"] = True
    path.write_text(json.dumps(manifest))


def test_the_ledger_keeps_full_runs_from_a_clean_tree_only(toy, data, tmp_path):
    folder = tmp_path / "experiments"
    carried_out(toy, data, tmp_path / "quick", quick=True)
    with pytest.raises(InvalidParameterError, match="is quick"):
        _ledger.keep(tmp_path / "quick", folder)
    carried_out(toy, data, tmp_path / "full")
    path = tmp_path / "full" / "manifest.json"
    path.write_text(path.read_text().replace('"clean": true', '"clean": false'))
    with pytest.raises(InvalidParameterError, match="tree with changes"):
        _ledger.keep(tmp_path / "full", folder)
    clean(tmp_path / "full")
    _ledger.keep(tmp_path / "full", folder)
    text = (folder / "RESULTS.md").read_text()
    assert text == _ledger.ledger(folder)
    assert "## [toy](toy/README.md)" in text
    assert re.search(r"\| mean\.drawn \| -?0\.\d+ \|", text)
    assert "![walk](toy/result/figures/walk.png)" in text
    assert (folder / "toy/result/figures/walk.png").is_file()
    assert compare(tmp_path / "full", folder / "toy" / "result").count(IDENTICAL) == 3


def test_the_ledger_in_the_repository_is_that_of_the_runs_kept_in_it():
    assert (_experiment.FOLDER / "RESULTS.md").read_text(encoding="utf-8") == _ledger.ledger()


def invoked(*arguments: str):
    return CliRunner().invoke(command_line.app, [str(argument) for argument in arguments])


def test_the_commands_run_reproduce_and_compare(toy, data, tmp_path):
    first = invoked("run", "toy", "--data", data, "--out", tmp_path / "a", "--quiet")
    assert first.exit_code == 0, first.output
    assert "mean.drawn" in first.output
    again = invoked("reproduce", tmp_path / "a", "--data", data, "--out", tmp_path / "b", "--quiet")
    assert again.exit_code == 0, again.output
    assert "3 identical, 0 within tolerance, 0 different" in " ".join(again.output.split())
    toy.off = 1.0
    assert invoked("run", "toy", "--data", data, "--out", tmp_path / "c", "--quiet").exit_code == 0
    other = invoked("compare", tmp_path / "a", tmp_path / "c")
    assert other.exit_code == 1
    assert "2 different" in other.output


def test_a_run_without_recordings_says_where_it_looked_and_how_to_name_or_fetch_them(toy, tmp_path, monkeypatch):
    monkeypatch.delenv("MHEALTH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = invoked("run", "toy")
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert f"{tmp_path}/mhealth/data/ludb/ with ludb 1.0.1" in told
    assert "--data DIR or MHEALTH_DATA, or have them fetched: run --fetch" in told


@pytest.fixture
def fetched(monkeypatch):
    """Names and folders of what was fetched; the publisher's files are one."""
    calls = []

    def fetch(name, folder, progress):
        calls.append((name, folder))
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("seven..")

    for loader in (Ludb, Bidmc):
        monkeypatch.setattr(
            loader, "fetch", lambda folder, *, progress, name=loader.database: fetch(name, folder, progress)
        )
    return calls


def test_missing_recordings_are_fetched_with_consent_only_and_once(toy, data, fetched, tmp_path, monkeypatch):
    whole = toy.experiment
    toy.experiment = lambda: whole(datasets=("ludb", "bidmc"))
    arguments = ("run", "toy", "--data", data, "--out", tmp_path / "a")
    assert invoked(*arguments).exit_code == 1
    assert fetched == []
    result = invoked(*arguments, "--fetch")
    assert result.exit_code == 0, result.output
    assert fetched == [("bidmc", data / "bidmc")]
    assert "Cite: Pimentel et al." in result.output
    assert invoked("run", "toy", "--data", data, "--out", tmp_path / "b", "--fetch").exit_code == 0
    assert len(fetched) == 1


@pytest.mark.parametrize(("answer", "n_fetched"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_the_user_is_asked(toy, fetched, tmp_path, monkeypatch, answer, n_fetched):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MHEALTH_DATA", raising=False)
    monkeypatch.setattr(_fetching, "_is_terminal", lambda terminal: True)
    arguments = ["run", "toy", "--out", str(tmp_path / "a")]
    result = CliRunner().invoke(command_line.app, arguments, input=answer)
    assert "Fetch ludb 1.0.1 (25 MB, ODC-By 1.0) from physionet.org" in " ".join(result.output.split())
    assert (len(fetched), result.exit_code) == (n_fetched, 1 - n_fetched)
    assert fetched == [("ludb", tmp_path / "mhealth" / "data" / "ludb")][:n_fetched]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InvalidParameterError, match=r"holds no manifest\.json"):
        finished(tmp_path)


def test_areas_under_the_curve_count_pairs(rng):
    scores, positive = rng.integers(5, size=40).astype(float), rng.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    weights = rng.integers(3, size=40)
    repeated = auroc(np.repeat(scores, weights), np.repeat(positive, weights))
    assert auroc(scores, positive, weights.astype(float)) == pytest.approx(repeated)
    assert np.isnan(auroc(scores, np.ones(40, bool)))


def test_subjects_count_equally_however_many_values_they_have():
    found = estimate_mean([1.0, 1.0, 1.0, 4.0, np.nan], ["a", "a", "a", "b", "b"], n=200)
    assert found.value == pytest.approx(2.5)
    assert 1.0 <= found.low <= 2.5 <= found.high <= 4.0
