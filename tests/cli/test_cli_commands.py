"""`mhealth train`, `evaluate`, `intervals`, `models`, `demo` and the help, with fake labels."""

import importlib.util
import json
import os
import re
import shutil
import sys
import warnings
from argparse import Namespace
from pathlib import Path

import fake_labeling
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders.ludb import Ludb
from data_loaders.mitdb import Mitdb
from data_loaders.qtdb import Qtdb
from mhealth.cli import app
from mhealth.cli._evaluate import figures_of, split
from mhealth.cli._training import Case
from mhealth.core import Spans

DATA = Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[3] / "shared" / "data")
SCORER = DATA.parent / "acceptance" / "score.py"
COMMANDS = ("label", "intervals", "train", "evaluate", "models", "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_examples_and_explains_every_option(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    assert f"mhealth {command}" in result.output.split("Examples")[1]
    for line in result.output.splitlines():
        if match := re.match(r"│ (\*| ) +(--[a-z]+) ", line):
            assert len(re.sub(r"\W+", " ", line.split(match[2])[1])) > 25, line


def test_a_mistyped_option_exits_with_2():
    assert CliRunner().invoke(app, ["label", "a", "--no-such-option"]).exit_code == 2


@pytest.fixture
def dataset(write_csv, tmp_path):
    """Return a folder of four records, each with its QRS complexes marked, and one stretch of each annotated."""
    folder = tmp_path / "records"
    stretches = ["record,channel,start_s,stop_s,subject"]
    for k in range(4):
        write_csv(f"r{k}.csv", folder=folder)
        rows = [("II", "QRS", s, s + 2, s + 4, s / 100, (s + 4) / 100, "") for s in range(50, 1000, 100)]
        columns = ("channel", "label", "onset", "peak", "offset", "onset_s", "offset_s", "probability")
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"r{k}.labels.csv", index=False)
        stretches.append(f"r{k},,0,10,subject{k // 2}")
    (folder / "stretches.csv").write_text("\n".join(stretches) + "\n")
    return folder


def test_training_uses_all_records_and_notes_where_they_are_from(mhealth, dataset, tmp_path):
    result = mhealth("train", dataset, "--out", tmp_path / "model.npz")
    assert result.exit_code == 0, result.output
    saved = json.loads((tmp_path / "model.npz").read_text())
    assert saved["fitted_on"] == ["subject0", "subject1"]
    assert [row["record"] for row in saved["training"]] == ["r0", "r1", "r2", "r3"]
    assert len({row["sha256"] for row in saved["training"]}) == 4
    assert "4 records of 2 subjects" in result.stderr


def test_a_labeler_for_a_microcontroller_is_trained_and_evaluated(mhealth, dataset, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(fake_labeling.EcgLabeler, "fit", lambda self, *args, **kwargs: made.append(self.budget) or self)
    assert mhealth("train", dataset, "--budget", "cortex-m3", "--out", tmp_path / "m.npz").exit_code == 0
    options = ("--budget", "cortex-m3", "--folds", 2, "--out", tmp_path / "results")
    assert mhealth("evaluate", dataset, *options).exit_code == 0
    assert made == ["cortex-m3"] * 3
    assert mhealth("train", dataset, "--budget", "cortex-m0", "--out", tmp_path / "m.npz").exit_code == 2


def test_a_network_is_trained_with_its_options(mhealth, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("mhealth.nn.require_tensorflow", lambda: None)
    out, options = tmp_path / "m.npz", ("--checkpoint", tmp_path / "c", "--log-dir", tmp_path / "board")
    assert mhealth("train", dataset, "--model", "tcn", *options, "--out", out).exit_code == 0
    assert out.read_text() == str(fake_labeling.NetworkEmission("tcn", tmp_path / "c", tmp_path / "board"))
    result = mhealth("evaluate", dataset, "--emission", "unet", "--folds", 2, "--out", tmp_path / "results")
    assert result.exit_code == 0, result.output
    refused = mhealth("train", dataset, *options, "--out", out)
    assert refused.exit_code == 1
    assert "--checkpoint and --log-dir: of a network only. Add --model" in refused.stderr
    networks = (
        "--network",
        tmp_path / "a.keras",
        "--keep",
        tmp_path / "b.keras",
        "--precision",
        "int8",
        "--wearing",
        "hard",
    )
    assert mhealth("train", dataset, "--model", "unet", *networks, "--out", out).exit_code == 0
    kept = fake_labeling.NetworkEmission("unet", None, None, tmp_path / "a.keras", tmp_path / "b.keras", "int8", "hard")
    assert out.read_text() == str(kept)


def test_a_network_without_tensorflow_names_the_extra(mhealth, dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    result = mhealth("train", dataset, "--model", "unet", "--out", tmp_path / "m.npz")
    assert result.exit_code == 1
    assert "pip install 'mhealth[cnn]'" in result.stderr
    assert not (tmp_path / "m.npz").exists()


def test_training_can_use_some_records(mhealth, dataset, tmp_path):
    (tmp_path / "some.txt").write_text("r0\nr3\n")
    mhealth("train", dataset, "--records", tmp_path / "some.txt", "--out", tmp_path / "m.npz")
    assert [row["record"] for row in json.loads((tmp_path / "m.npz").read_text())["training"]] == ["r0", "r3"]
    (tmp_path / "some.txt").write_text("r0\nr9\n")
    assert "r9" in mhealth("train", dataset, "--records", tmp_path / "some.txt", "--out", tmp_path / "m.npz").stderr


def test_a_model_that_could_not_be_saved_is_not_trained(mhealth, dataset, tmp_path):
    result = mhealth("train", dataset, "--out", tmp_path / "nowhere" / "m.npz")
    assert result.exit_code == 1
    assert "there is no folder" in result.stderr


def test_an_unknown_data_set_is_refused_and_the_known_ones_are_listed(mhealth, tmp_path):
    result = mhealth("train", "ldub", "--out", tmp_path / "m.npz")
    assert result.exit_code == 1
    for name in ("ludb", "qtdb", "mitdb", "nstdb"):
        assert name in result.stderr
    assert "--data" in mhealth("train", "ludb", "--out", tmp_path / "m.npz").stderr


def test_cross_validation_predicts_every_record_and_writes_what_it_found(mhealth, dataset, tmp_path):
    out = tmp_path / "out"
    result = mhealth("evaluate", dataset, "--folds", 2, "--out", out)
    assert result.exit_code == 0, result.output
    for variant in ("independent", "fused"):
        predictions = sorted((out / variant / "predictions").iterdir())
        assert [path.name for path in predictions] == ["r0.csv", "r1.csv", "r2.csv", "r3.csv"]
        assert len(pd.read_csv(predictions[0])) == 10
        assert (out / variant / "calibration.png").read_bytes().startswith(b"\x89PNG")
        points = pd.read_csv(out / variant / "points-150ms.csv").set_index(["label", "point"])
        assert points.loc[("QRS", "onset"), "f1"] == 100
        assert points.loc[("QRS", "onset"), "n"] == 40
    figures = json.loads((out / "figures.json").read_text())
    assert figures["fused"]["all leads.150ms.QRS"] == 100
    assert figures["fused"]["all leads.calibration.QRS"] == 0.25  # the fake states 0.75 and is always right
    folds = pd.read_csv(out / "folds.csv")
    assert folds.groupby("subject")["fold"].nunique().tolist() == [1, 1]
    assert "all leads.tight.macro" in result.stdout


def test_folds_learn_from_other_data_too_but_not_of_those_they_are_tested_on(mhealth, dataset, tmp_path, monkeypatch):
    learned, fit = [], fake_labeling.EcgLabeler.fit
    monkeypatch.setattr(
        fake_labeling.EcgLabeler, "fit",
        lambda self, *given, groups, **more: [learned.append(groups), fit(self, *given, groups=groups, **more)],
    )  # fmt: skip
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    table = (other / "stretches.csv").read_text()
    (other / "stretches.csv").write_text(table.replace("subject1", "somebody else"))
    result = mhealth("evaluate", dataset, "--also", other, "--folds", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(sorted(set(groups)) for groups in learned) == [
        ["somebody else", "subject0"],
        ["somebody else", "subject1"],
    ]
    refused = mhealth("evaluate", dataset, "--also", other, "--model", "ecg", "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "trained already" in refused.stderr


def test_a_model_is_evaluated_without_training(mhealth, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(fake_labeling.EcgLabeler, "fit", None)
    result = mhealth("evaluate", dataset, "--model", "ecg", "--leads", "fused", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out" / "independent").exists()


def test_a_model_that_knows_its_leads_together_only_is_evaluated_with_these(mhealth, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(fake_labeling, "load", lambda name: fake_labeling.EcgLabeler(leads="early"))
    result = mhealth("evaluate", dataset, "--model", "ecg", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert list(json.loads((tmp_path / "out" / "figures.json").read_text())) == ["early"]


def test_more_folds_than_subjects_are_refused(mhealth, dataset, tmp_path):
    assert "there are 2" in mhealth("evaluate", dataset, "--folds", 3, "--out", tmp_path / "out").stderr


def test_folds_keep_subjects_together_and_spread_the_strata(rng):
    cases = [Case("", str(k), None, None, str(k // 2), "rare" if k < 20 else "common") for k in range(100)]
    folds = np.array(split(cases, 5, seed=0))
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds[:20], minlength=5).tolist() == [4] * 5
    assert split(cases, 5, seed=0) == folds.tolist()


def moved(marks, rng):
    """Return predictions with errors: most of the marks, displaced."""
    kept = marks.select(rng.random(len(marks)) < 0.8)
    rows = [
        (*(max(0, int(p + rng.normal(0, 10))) if p >= 0 else -1 for p in points), label, channel, 0.5)
        for *points, label, channel in zip(kept.onset, kept.peak, kept.offset, kept.label, kept.channel, strict=True)
    ]
    return Spans.from_rows(rows, fs=marks.fs, channels=marks.channels, classes=marks.classes)


@pytest.mark.realdata
class TestFiguresAreThoseOfTheAcceptanceScorer:
    __test__ = SCORER.is_file()

    @pytest.mark.parametrize(("loader", "step"), [(Ludb, 12), (Qtdb, 16), (Mitdb, 9)])
    def test_on(self, loader, step, data_dir, tmp_path, rng):
        dataset = loader(data_dir / loader.database)
        names = dataset.records[::step]
        loaded = [dataset.load(name) for name in names]
        cases = [
            Case(loader.database, name, *parts, dataset.stratum(name))
            for name, parts in zip(names, loaded, strict=True)
        ]
        predictions = [moved(case.annotation.spans, rng) for case in cases]
        for case, spans in zip(cases, predictions, strict=True):
            spans.to_frame().to_csv(tmp_path / f"{case.name}.csv", index=False)
        (tmp_path / "records.txt").write_text("\n".join(names))
        specification = importlib.util.spec_from_file_location("acceptance_score", SCORER)
        scorer = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(scorer)
        expected = {}
        arguments = Namespace(
            data=dataset.folder, predictions=tmp_path, channels=None, records=tmp_path / "records.txt"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wfdb's use of pandas
            getattr(scorer, loader.database)(arguments, expected)
        figures = figures_of(dataset, cases, predictions, None)
        told = dict(figures.summary)
        if "channels" in figures.tables:
            table = figures.tables["channels"]
            (lead_two,) = table[table["channel"].str.lower() == "ii"].to_dict("records")
            told |= {f"lead II.150ms.{key}": round(lead_two[key], 3) for key in ("P", "QRS", "T")}
            told |= {f"lead II.{key}.macro": round(lead_two[f"macro {key}"], 3) for key in ("150ms", "tight")}
            expected = {key: value for key, value in expected.items() if not re.match(r"lead II\.tight\.[PQT]", key)}
        assert len(expected) >= 3
        assert {key: told.get(key) for key in expected} == expected


@pytest.fixture
def labels(tmp_path):
    rows = []
    for k in range(5):
        r = 1000 + 800 * k
        if k != 2:
            rows.append((r - 160, r - 120, r - 60, 0, 0, 0.9))
        rows += [(r - 40, r, r + 50, 1, 0, 0.9), (r + 200, r + 280, r + 360, 2, 0, 0.9)]
    from mhealth.io import write_spans

    path = tmp_path / "labels.csv"
    write_spans(Spans.from_rows(rows, fs=1000, channels=("II",), classes=("P", "QRS", "T")), path)
    return path


def test_intervals_are_summarised(mhealth, labels):
    result = mhealth("intervals", labels)
    assert result.exit_code == 0, result.output
    rows = {line.split()[1]: line.split()[2:4] for line in result.stdout.splitlines() if line.strip().startswith("II")}
    assert rows["pr_ms"] == ["4", "120.00"]
    assert rows["qt_ms"] == ["5", "400.00"]
    assert rows["heart_rate_bpm"] == ["4", "75.00"]


def test_a_beat_without_p_wave_has_an_empty_pr(mhealth, labels, tmp_path):
    assert mhealth("intervals", labels, "--out", tmp_path / "beats.csv", "--quiet").exit_code == 0
    beats = pd.read_csv(tmp_path / "beats.csv")
    assert beats["pr_ms"].isna().tolist() == [False, False, True, False, False]
    assert (tmp_path / "beats.csv").read_text() == mhealth("intervals", labels, "--beats").stdout


def test_labels_are_not_overwritten_by_their_intervals(mhealth, labels):
    before = labels.read_bytes()
    assert "choose another --out" in mhealth("intervals", labels, "--out", labels).stderr
    assert labels.read_bytes() == before


def test_intervals_are_plotted(mhealth, labels, tmp_path):
    assert mhealth("intervals", labels, "--plot", tmp_path / "trend.png").exit_code == 0
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG")


def test_models_are_listed_with_scores_and_long_lists_are_cut(mhealth):
    shown = mhealth("models").stdout
    assert re.search(r"scores\.ludb\s+macro 97\.5", shown)
    assert "(20 in all)" in shown
    assert "record19" not in shown


@pytest.mark.parametrize("own", [False, True])
def test_the_demo_writes_a_plot_and_a_report(mhealth, write_csv, tmp_path, own):
    record = ("--record", write_csv("mine.csv")) if own else ()
    result = mhealth("demo", *record, "--out", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    plots = ["ecg.png"] if own else ["breaths.png", "ecg.png"]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [*plots, "report.html"]
    assert ("mine, 10 s" if own else "Synthetic ECG and breathing, 60 s") in result.stdout
    assert "no medical device" in result.stdout
