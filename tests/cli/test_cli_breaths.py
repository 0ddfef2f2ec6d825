"""Breathing through the command line: what is labelled as what, bad input, training and evaluation."""

import importlib.util
import io
import json
import os
import re
import warnings
from argparse import Namespace
from pathlib import Path

import fake_labeling
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders.bidmc import Bidmc
from mhealth import labeling
from mhealth.cli import _evaluate, _label, _selection, _training, app
from mhealth.cli._selection import Job, select
from mhealth.cli._training import Case, kind_of_marks
from mhealth.core import Annotation, Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.io import write_spans
from mhealth.labeling import BreathLabeler, TrainingSettings
from mhealth.simulate import synthetic_respiration

DATA = Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[3] / "shared" / "data")
SCORER = DATA.parent / "acceptance" / "score.py"
TINY = TrainingSettings(
    n_atoms=12, n_nonzero=3, n_first=16, n_second=8, n_epochs=4, fewest_steps=150, n_augmented=0, batch_size=2
)


def table(result):
    assert result.exit_code == 0, result.output
    return pd.read_csv(io.StringIO(result.stdout), dtype={"channel": str})


def labels_by_channel(result):
    return {channel: set(rows["label"]) for channel, rows in table(result).groupby("channel")}


def test_every_channel_is_labelled_as_what_it_is_and_the_choice_is_told(mhealth, write_csv):
    result = mhealth("label", write_csv("a.csv", channels=("RESP", "PLETH", "V5", "II")))
    assert labels_by_channel(result) == {"RESP": {"inspiration"}, "V5": {"QRS"}, "II": {"QRS"}}
    assert "a: RESP as respiration by the model respiration; V5, II as an ECG by the model ecg." in result.stderr
    assert "RESP rises with inspiration (certainty 0.75)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--as", "ecg"], {"II": {"QRS"}}),
        (["--as", "respiration"], {"RESP": {"inspiration"}}),
        (["--model", "respiration"], {"RESP": {"inspiration"}}),
        (["--channels", "resp"], {"RESP": {"inspiration"}}),
        (["--channels", "PLETH,II", "--as", "respiration"], {"PLETH": {"inspiration"}, "II": {"inspiration"}}),
        (["--channels", "PLETH", "--model", "ecg"], {"PLETH": {"QRS"}}),
    ],
)
def test_kind_model_and_channels_override_the_choice(mhealth, write_csv, arguments, expected):
    record = write_csv("a.csv", channels=("RESP", "PLETH", "II"))
    assert labels_by_channel(mhealth("label", record, *arguments)) == expected


def test_as_labels_everything_where_nothing_looks_like_it(mhealth, write_csv):
    record = write_csv("a.csv", channels=("one", "two"))
    assert set(labels_by_channel(mhealth("label", record, "--as", "respiration"))) == {"one", "two"}


def test_what_is_unclear_or_contradictory_is_refused_with_the_remedy(mhealth, write_csv):
    record = write_csv("a.csv", channels=("II", "other"))
    unclear = mhealth("label", record, "--channels", "II,other")
    assert unclear.exit_code == 1
    assert "'other' (no unit) looks like neither" in unclear.stderr
    assert "--as ecg or --as respiration" in unclear.stderr
    assert "'II'" not in unclear.stderr
    missing = mhealth("label", record, "--model", "respiration")
    assert "no channel that looks like respiration" in missing.stderr
    contradiction = mhealth("label", record, "--model", "ecg", "--as", "respiration")
    assert "--as respiration contradicts --model ecg" in contradiction.stderr
    assert contradiction.stderr.count("error:") == 1


def test_the_polarity_of_many_records_is_told_in_one_line(mhealth, write_csv, tmp_path):
    records = [write_csv(f"r{k}.csv", channels=("RESP",)) for k in range(3)]
    found = mhealth("label", *records, "--out", tmp_path / "out").stderr
    assert found.count("certainty") == 1
    assert "in 3 records (certainty 0.75 or more, least in r0)" in found
    assert found.count("as respiration") == 1
    given = mhealth("label", *records, "--out", tmp_path / "out", "--polarity", "down").stderr
    assert "certainty" not in given


def test_labels_of_both_kinds_do_not_depend_on_blocks_and_count_from_the_start_of_the_file(
    mhealth, write_csv, monkeypatch
):
    record = write_csv("a.csv", channels=("RESP", "II"))
    arguments = ("label", record, "--start", "3.2", "--stop", "7")
    whole = table(mhealth(*arguments)).sort_values(["channel", "onset"])
    assert whole["onset"].tolist() == [350, 450, 550, 650] * 2
    monkeypatch.setattr(_selection, "BLOCK", 0.37)
    parts = table(mhealth(*arguments)).sort_values(["channel", "onset"])
    assert parts.to_csv(index=False) == whole.to_csv(index=False)


class TestChannelsOfSeveralRates:
    @pytest.fixture
    def night(self, tmp_path):
        """An EDF with an ECG lead at 100 Hz and belts at 25 Hz and 4 Hz, each with a step up every second or four."""
        edfio = pytest.importorskip("edfio")
        signals = [
            edfio.EdfSignal((np.arange(60 * fs) % period >= period // 2) * 1.0, fs, label=label, physical_dimension="V")
            for label, fs, period in (("RESP", 25, 100), ("ECG", 100, 100), ("ABD", 4, 16))
        ]
        edfio.Edf(signals).write(tmp_path / "night.edf")
        return tmp_path / "night.edf"

    def test_samples_count_at_the_highest_and_what_is_too_slow_is_left_out(self, mhealth, night, monkeypatch):
        monkeypatch.setattr(_selection, "BLOCK", 7.0)
        result = mhealth("label", night)
        found = table(result)
        waves, breaths = (found[found["channel"] == channel] for channel in ("ECG", "RESP"))
        assert waves["onset"].tolist() == list(range(50, 6000, 100))
        assert breaths["onset"].tolist() == list(range(200, 6000, 400))
        np.testing.assert_allclose(found["onset_s"], found["onset"] / 100)
        assert set(found["channel"]) == {"ECG", "RESP"}
        assert re.search(r"note: .*night.edf: left out: ABD cannot be labelled as respiration: fs=4 Hz", result.stderr)

    def test_breaths_are_measured_on_the_slower_signal(self, mhealth, night, tmp_path):
        rows = [(t, t + 200, t + 200, 0, 0, 1.0) for t in range(1, 6000, 400)]
        rows += [(t + 200, -1, t + 400, 1, 0, 1.0) for t in range(1, 5600, 400)]
        spans = Spans.from_rows(rows, fs=100.0, channels=("RESP",), classes=("inspiration", "expiration"))
        write_spans(spans, tmp_path / "labels.csv")
        breaths = table(mhealth("intervals", tmp_path / "labels.csv", "--signal", night, "--breaths"))
        np.testing.assert_allclose(breaths["stretch"].dropna(), 1.0, atol=1e-3)
        assert len(breaths["stretch"].dropna()) == 14

    def test_an_excerpt_shows_all_channels_at_the_highest(self, mhealth, night):
        with pytest.warns(UserWarning, match="ABD cannot be labelled"):
            selection = select(Job(record=str(night)))
        excerpt = selection.slice(6100 - 200, 6100)  # past the end
        assert excerpt.channels == ("RESP", "ECG")
        assert excerpt.fs == 100
        np.testing.assert_allclose(excerpt.signals[:, 0], np.arange(5900, 6000) % 400 >= 200, atol=1e-3)
        np.testing.assert_allclose(excerpt.signals[:, 1], np.arange(5900, 6000) % 100 >= 50, atol=1e-3)


def test_a_report_shows_beats_and_breaths(mhealth, write_csv, tmp_path):
    record = write_csv("a.csv", n_samples=6000, channels=("RESP", "II"))
    report = tmp_path / "x.html"
    assert mhealth("label", record, "--out", tmp_path / "x.csv", "--report", report).exit_code == 0
    page = report.read_text(encoding="utf-8")
    for text in ("Signal and waves", "Signal and breaths", "Heart rate", "Breath rate", "model respiration, ecg of"):
        assert text in page
    mhealth("label", record, "--as", "respiration", "--out", tmp_path / "x.csv", "--report", report)
    assert "Signal and waves" not in report.read_text(encoding="utf-8")


def test_the_help_tells_how_channels_are_chosen(mhealth):
    shown = " ".join(mhealth("label", "--help").stdout.split())
    for text in ("belts, impedance, airflow and CO2", "--as", "--polarity"):
        assert text in shown


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Path of a breath labeler that has learned from a few simulated minutes."""
    made = [synthetic_respiration(fs=25.0, duration=90.0, seed=seed) for seed in range(4)]
    path = tmp_path_factory.mktemp("model") / "tiny.npz"
    BreathLabeler(training=TINY, n_simulated=4).fit(*zip(*made, strict=True)).save(path)
    return path


@pytest.fixture
def label_belt(model, tmp_path):
    """Return a function that writes a belt to a CSV file and labels it by `model`."""

    def label(samples, fs, *arguments):
        seconds = np.arange(len(samples)) / fs
        pd.DataFrame({"time": seconds, "belt": samples}).to_csv(tmp_path / "belt.csv", index=False)
        _selection.load_labeler.cache_clear()
        given = ["label", tmp_path / "belt.csv", "--model", model, *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in given])

    return label


def breathing(seconds, fs, rate=15.0):
    """Return breaths that take a third of the cycle in and rest at the end of expiration."""
    phase = np.arange(int(seconds * fs)) / fs * rate / 60 % 1
    return np.interp(phase, [0, 0.35, 0.75, 1], [0, 1, 0, 0])


class TestInput:
    """Real breaths, and what is none, by a real if tiny model."""

    def test_that_is_a_belt_gives_breaths(self, label_belt):
        found = table(label_belt(breathing(120, 25), 25))
        assert abs((found["label"] == "inspiration").sum() - 30) <= 3

    def test_that_is_clipped_gives_breaths(self, label_belt):
        found = table(label_belt(breathing(120, 25).clip(0.1, 0.6), 25))
        assert abs((found["label"] == "inspiration").sum() - 30) <= 4

    def test_that_hangs_upside_down_is_turned_by_the_user_to_the_same_labels(self, label_belt):
        signal = breathing(90, 25)
        upright = table(label_belt(signal, 25, "--polarity", "up"))
        turned = table(label_belt(-signal, 25, "--polarity", "down"))
        assert (upright["label"] == "inspiration").sum() > 15
        pd.testing.assert_frame_equal(turned, upright)

    def test_of_two_seconds_gives_a_breath_at_most_and_no_error(self, label_belt):
        found = table(label_belt(breathing(2, 25), 25))
        assert (found["label"] == "inspiration").sum() <= 1
        assert not (found["label"] == "pause").any()
        assert found["offset"].max() <= 50

    def test_that_is_constant_is_unusable(self, label_belt):
        found = table(label_belt(np.full(25 * 60, 3.0), 25))
        assert set(found["label"]) == {"unusable"}
        assert (found["offset"] - found["onset"]).sum() == 25 * 60

    def test_that_shows_the_heart_only_gives_no_breath(self, label_belt):
        ripple = 0.02 * np.sin(2 * np.pi * 1.2 * np.arange(25 * 60) / 25) + 2
        found = table(label_belt(ripple + 0.001 * np.random.default_rng(0).standard_normal(25 * 60), 25))
        usable = 60 - (found["offset"] - found["onset"])[found["label"] == "unusable"].sum() / 25
        assert (found["label"] == "inspiration").sum() <= 6 or usable < 10

    def test_below_ten_hertz_is_refused(self, label_belt):
        result = label_belt(breathing(60, 8), 8)
        assert result.exit_code == 1
        assert "belt cannot be labelled as respiration: fs=8 Hz is outside 10 to 1000 Hz" in result.stderr
        assert result.stdout == ""


class TwoAnnotators:
    """A data set of breaths: a square wave, its edges marked by one person, all but the last by a second, later."""

    licence = citation = ""
    folder = None

    def __init__(self, folder, annotator=1):
        self.records = [f"r{k}" for k in range(4)]
        self.annotator = annotator

    def load(self, name):
        signals = (np.arange(10000) % 400 >= 200).astype(float)
        recording = Recording(signals=signals, fs=100.0, channels=("RESP",), units=("",), name=name)
        return recording, self.annotation(name, recording), name

    def annotation(self, name, recording):
        ends = [at + (4, 74)[self.annotator - 1] for at in range(200, 10000, 400)][: 26 - self.annotator]
        rows = [(-1, -1, end, 0, 0, np.nan) for end in ends]
        spans = Spans.from_rows(rows, fs=100.0, channels=recording.channels, classes=("inspiration",))
        return Annotation(spans=spans, annotated=[(0, ends[0], ends[-1] + 1)])

    def stratum(self, name):
        return ""

    def hash(self, name):
        return name


class TestBreathsOfADataSet:
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        monkeypatch.setattr(_training, "open_dataset", lambda name, data: TwoAnnotators(data))

    def test_train_a_breath_labeler(self, mhealth, tmp_path, monkeypatch):
        monkeypatch.setattr(fake_labeling.EcgLabeler, "fit", None)
        result = mhealth("train", "two", "--out", tmp_path / "m.npz")
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "m.npz").read_text())["fitted_on"] == ["r0", "r1", "r2", "r3"]
        for option, value in (("--noise", "two"), ("--model", "tcn")):
            refused = mhealth("train", "two", option, value, "--out", tmp_path / "m.npz")
            assert refused.exit_code == 1

    def test_are_evaluated_beside_the_second_annotator(self, mhealth, tmp_path):
        out = tmp_path / "out"
        result = mhealth("evaluate", "two", "--folds", 2, "--out", out)
        assert result.exit_code == 0, result.output
        figures = json.loads((out / "figures.json").read_text())["independent"]
        assert figures == {
            "f1_0.5s": 100.0,
            "f1_1s": 100.0,
            "count_error_pct": 0.0,
            "human_f1_0.5s": 0.0,
            "human_f1_1s": pytest.approx(100 * 48 / 49, abs=0.001),
            "human_count_error_pct": 4.0,
        }
        records = pd.read_csv(out / "independent" / "records.csv")
        assert records["record"].tolist() == ["r0", "r1", "r2", "r3"]
        assert set(records["n"]) == {25}
        assert set(records["f1_0.5s"]) == {100}
        assert set(records["human_f1_0.5s"]) == {0}
        assert set(records["human_count_error_pct"]) == {4}
        assert re.search(r"human +0\.50 +100 +0\.00", result.stdout)
        assert not (out / "fused").exists()
        assert len(pd.read_csv(out / "independent" / "predictions" / "r0.csv")) == 25

    def test_are_not_evaluated_by_a_model_of_ecg(self, mhealth, tmp_path):
        result = mhealth("evaluate", "two", "--model", "ecg", "--out", tmp_path / "out")
        assert "--model ecg labels an ECG, but the marks of two are of respiration" in result.stderr


def marked(dataset, label):
    spans = Spans.from_rows([(0, 1, 2, 0, 0, 1.0)], fs=100.0, channels=("x",), classes=(label,))
    return Case(dataset, "r", None, Annotation(spans=spans, annotated=[(0, 0, 9)]), "s", "")


def test_the_marks_decide_what_is_learned_and_mixtures_are_refused():
    assert kind_of_marks([marked("a", "QRS")]) == "ecg"
    assert kind_of_marks([marked("a", "inspiration"), marked("b", "pause")]) == "respiration"
    with pytest.raises(InvalidParameterError, match="Heartbeats are marked in ludb, breaths in bidmc"):
        kind_of_marks([marked("ludb", "P"), marked("bidmc", "inspiration")])


@pytest.mark.realdata
class TestBidmc:
    def test_one_file_holds_waves_and_breaths(self, data_dir, model, monkeypatch, tmp_path):
        """The channels are `RESP, PLETH, V, AVR, II`, the ECG at 125 Hz."""
        load = labeling.load
        monkeypatch.setattr(labeling, "load", lambda name: load(model if name == "respiration" else name))
        _selection.load_labeler.cache_clear()
        record = Bidmc(data_dir / "bidmc").path("bidmc_05")
        outcome = _label.perform(Job(record=str(record), out=tmp_path / "x.csv", stop=60.0))
        _selection.load_labeler.cache_clear()
        assert outcome.error == ""
        found = pd.read_csv(tmp_path / "x.csv").groupby("channel")["label"].agg(set)
        assert found["RESP"] >= {"inspiration", "expiration"}
        for lead in ("II", "V", "AVR"):
            assert found[lead] >= {"QRS", "T"}
        assert "PLETH" not in found
        assert set(outcome.polarity) == {"RESP"}

    @pytest.mark.skipif(not SCORER.is_file(), reason="the acceptance scorer is not part of the project")
    def test_figures_are_those_of_the_acceptance_scorer(self, data_dir, model, tmp_path):
        dataset = Bidmc(data_dir / "bidmc")
        names = dataset.records[::10]
        cases = [Case("bidmc", name, *dataset.load(name), dataset.stratum(name)) for name in names]
        labeler = labeling.load(model)
        predictions = [labeler.label(_evaluate._shown_as("respiration", case.recording)) for case in cases]
        _evaluate._write_predictions(cases, predictions, tmp_path)
        (tmp_path / "records.txt").write_text("\n".join(names))
        specification = importlib.util.spec_from_file_location("acceptance_score", SCORER)
        scorer = importlib.util.module_from_spec(specification)
        expected = {}
        arguments = Namespace(data=dataset.folder.parent, predictions=tmp_path, records=tmp_path / "records.txt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wfdb's use of pandas
            specification.loader.exec_module(scorer)
            scorer.bidmc(arguments, expected)
        figures = _evaluate.figures_of(dataset, cases, predictions, None)
        assert len(expected) == 5
        assert 50 < expected["f1_1s"] < 100
        assert {key: figures.summary[key] for key in expected} == pytest.approx(expected, abs=0.0011)
        table = figures.tables["breaths"].set_index(["who", "tolerance_s"])["f1"]
        assert table["human", 0.5] == pytest.approx(expected["human_f1_0.5s"], abs=0.001)
