"""Every benchmark, and the comparison of structures on breaths, runs on a tiny input, so that none can rot."""

import importlib.util
import os
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from data_loaders import Bidmc, Ludb
from experiments._structures import stretches_of, waves_of
from experiments.benchmarks import _measure, _signals, breaths, coding, labeling, peers, speed, startup
from experiments.polarity import measure as polarity
from experiments.simulated_breathing import measure as simulated_breathing
from experiments.structures import compare
from mhealth.core import Recording
from mhealth.crf import label_runs
from mhealth.io import read_recording
from mhealth.labeling import BreathLabeler, EcgLabeler, NetworkEmission, TrainingSettings
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._features import Features
from mhealth.metrics import BootstrapDifference
from mhealth.nn import Network
from mhealth.simulate import synthetic_ecg, synthetic_respiration

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    pytest.skip("benchmarks time compiled kernels, and take minutes without", allow_module_level=True)

TINY = 0.35  # minutes: two records and a rest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a model that has hardly learned anything: what it costs to run does not depend on that."""
    recording, annotation = synthetic_ecg(fs=250, duration=20, leads=("II",), seed=1)
    training = TrainingSettings(
        n_atoms=12, n_nonzero=3, n_first=8, n_second=4, n_epochs=1, fewest_steps=150, n_augmented=0, batch_size=1
    )
    path = tmp_path_factory.mktemp("model") / "tiny.npz"
    EcgLabeler(training=training).fit([recording], [annotation]).save(path)
    return str(path)


@pytest.fixture(scope="module")
def network_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a model above a tiny TCN."""
    recording, annotation = synthetic_ecg(fs=250, duration=20, leads=("II",), seed=1)
    network = Network.from_bytes((Path(__file__).parent / "data" / "tcn" / "float.npz").read_bytes())
    training = TrainingSettings(n_first=8, n_second=4, n_epochs=1, fewest_steps=150, n_augmented=0, batch_size=1)
    labeler = EcgLabeler(emission=NetworkEmission(architecture="tcn", network=network), training=training)
    path = tmp_path_factory.mktemp("model") / "network.npz"
    labeler.fit([recording], [annotation]).save(path)
    return str(path)


@pytest.fixture(scope="module")
def breath_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a model of breaths that has hardly learned anything."""
    recording, annotation = synthetic_respiration(fs=25.0, duration=60.0, seed=1)
    training = TrainingSettings(
        n_atoms=8, n_nonzero=3, n_first=8, n_second=4, n_epochs=1, fewest_steps=150, n_augmented=0, batch_size=1
    )
    path = tmp_path_factory.mktemp("model") / "breaths.npz"
    BreathLabeler(training=training, n_simulated=0).fit([recording], [annotation]).save(path)
    return str(path)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("MHEALTH_DATA", str(tmp_path / "nothing"))


def prepared(benchmark, model: str, *, minutes: float = TINY):
    benchmark.model, benchmark.minutes = model, minutes
    return benchmark


@pytest.mark.parametrize(("leads", "signal"), list(product(*labeling.Label.params)))
@pytest.mark.usefixtures("simulated")
def test_labeling_is_timed_on_leads_alone_and_fused_and_on_short_records(model, leads, signal):
    benchmark = prepared(labeling.Label(), model)
    benchmark.setup(leads, signal)
    benchmark.time_label(leads, signal)
    n_leads = 1 if leads == "one lead" else 12
    seconds = TINY * 60 if signal == "long" else 20
    assert benchmark.lead_hours == pytest.approx(n_leads * seconds / 3600)
    assert benchmark.labeler.leads == ("independent" if n_leads == 1 else "fused")


@pytest.mark.usefixtures("simulated")
def test_the_stages_hand_on_what_the_labeler_itself_computes(model, monkeypatch):
    benchmark = prepared(labeling.Stages(), model)
    benchmark.setup()
    seen = []
    outputs = SparseEmission.outputs

    def watched(self: SparseEmission, features: Features) -> np.ndarray:
        seen.append(features)
        return outputs(self, features)

    monkeypatch.setattr(SparseEmission, "outputs", watched)
    labeling.load(model).label(_signals.real_ecg(("ii",), minutes=TINY))
    for name in ("positions", "dense", "columns", "values"):
        ours = np.concatenate([getattr(features, name) for features in benchmark.features])
        np.testing.assert_array_equal(ours, np.concatenate([getattr(features, name) for features in seen]))


@pytest.mark.usefixtures("simulated")
def test_a_model_above_a_network_is_timed_too_but_codes_nothing(network_model):
    benchmark = prepared(labeling.Label(), network_model)
    benchmark.setup("one lead", "long")
    benchmark.time_label("one lead", "long")
    prepared(labeling.Stages(), network_model).setup()
    with pytest.raises(NotImplementedError, match=r"network\.npz codes no windows"):
        prepared(coding.Omp(), network_model).setup()


@pytest.mark.usefixtures("simulated")
def test_the_state_of_a_stream_is_weighed(model):
    benchmark = prepared(labeling.Stream(), model)
    benchmark.setup()
    assert 10_000 < benchmark.track_state() < 1_000_000


@pytest.mark.usefixtures("simulated")
def test_labeling_breaths_is_timed(breath_model):
    benchmark = prepared(breaths.LabelBreaths(), breath_model, minutes=2)
    benchmark.setup()
    benchmark.time_label()
    assert benchmark.hours == pytest.approx(2 / 60)


@pytest.mark.usefixtures("simulated")
def test_the_largest_state_of_a_stream_of_breaths_is_weighed(breath_model):
    benchmark = prepared(breaths.StreamBreaths(), breath_model, minutes=1.5)
    benchmark.setup()
    largest = benchmark.track_peak_state()
    assert _measure.state_size(benchmark.stream) <= largest < 200_000
    assert benchmark.stream.position == 90 * 125


@pytest.mark.parametrize("peer", breaths.PeerBreaths.params[0])
@pytest.mark.usefixtures("simulated")
def test_a_peer_finds_breaths_or_says_which_package_is_missing(peer):
    benchmark = breaths.PeerBreaths()
    benchmark.minutes = 1.5
    if importlib.util.find_spec("neurokit2") is None:
        with pytest.raises(NotImplementedError, match="neurokit2 is missing; `make bench` installs it"):
            benchmark.setup(peer)
        return
    benchmark.setup(peer)
    benchmark.time_find(peer)


@pytest.mark.usefixtures("simulated")
def test_the_memory_of_the_command_line_is_that_of_its_process(model):
    benchmark = prepared(labeling.CommandLine(), model)
    benchmark.setup(TINY / 60)
    ballast = np.ones(100_000_000)  # 800 MB that this process holds, and the command does not
    try:
        recording = read_recording(benchmark.record)
        assert 50 < benchmark.track_peak_memory(TINY / 60) < 700
    finally:
        benchmark.teardown(TINY / 60)
    assert recording.duration == pytest.approx(TINY * 60)
    assert recording.channels == ("II",)
    assert ballast[-1] == 1


def test_a_written_file_holds_the_signal_again_and_again(tmp_path, rng):
    signals = rng.normal(scale=0.5, size=(1000, 1))
    once = Recording(signals=signals, fs=500.0, channels=("ii",), units=("mV",))
    labeling.write_wfdb(once, tmp_path / "x", hours=2500 / 500 / 3600)
    written = read_recording(tmp_path / "x").signals
    np.testing.assert_allclose(written, np.resize(signals, (2500, 1)), atol=0.00051)


@pytest.mark.usefixtures("simulated")
def test_both_ways_of_omp_code_the_same_windows(model):
    benchmark = prepared(coding.Omp(), model)
    benchmark.most = 20
    benchmark.setup()
    benchmark.time_own()
    benchmark.time_scikit_learn()
    assert 20 <= benchmark.n_windows <= 100


def test_importing_mhealth_costs_something():
    benchmark = startup.Import()
    benchmark.repeats = 1
    assert benchmark.track_cpu_seconds("mhealth.labeling") > 0


@pytest.mark.parametrize(("peer", "signal"), list(product(*peers.Delineate.params)))
@pytest.mark.usefixtures("simulated")
def test_a_peer_runs_or_says_which_package_is_missing(peer, signal):
    benchmark = peers.Delineate()
    benchmark.minutes = TINY
    wanted = {
        "NeuroKit2": ("neurokit2",),
        "prominence-delineator": ("vg_beat_detectors", "prominence_delineator", "neurokit2"),
        "prominence-delineator, beats by sleepecg": ("sleepecg", "prominence_delineator", "neurokit2"),
    }[peer if peer.startswith("prominence") else "NeuroKit2"]
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        with pytest.raises(NotImplementedError, match=f"{missing[0]} is missing; `make bench` installs it"):
            benchmark.setup(peer, signal)
        return
    benchmark.setup(peer, signal)
    benchmark.time_delineate(peer, signal)
    assert not benchmark.failures


@pytest.mark.usefixtures("simulated")
def test_a_peer_that_raises_is_counted_and_not_fatal(monkeypatch):
    calls = iter(["warm-up", "first", "second"])

    def raises_on_the_second(lead: np.ndarray) -> None:
        if next(calls) == "second":
            raise ZeroDivisionError

    monkeypatch.setitem(peers.PEERS, "fragile", lambda: raises_on_the_second)
    benchmark = peers.Delineate()
    benchmark.minutes = TINY
    benchmark.setup("fragile", "records")
    benchmark.time_delineate("fragile", "records")
    assert benchmark.failures == {"ZeroDivisionError": 1}


def test_a_failing_job_is_reported_and_the_others_go_on():
    calls = []

    def fails() -> None:
        raise IndexError("no beats")

    timings = _measure.in_turn({"fails": fails, "works": lambda: calls.append(1)}, repeats=3)
    assert timings["fails"].failure == "IndexError: no beats"
    assert np.isnan(timings["fails"].median)
    assert len(timings["works"].seconds) == len(calls) == 3


def test_a_failing_command_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        _measure.child_peak_memory([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_the_signal_is_simulated_where_ludb_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MHEALTH_DATA", str(tmp_path / "nothing"))
    recording = _signals.real_ecg(_signals.LEADS, minutes=0.1)
    assert recording.name.startswith("simulated ECG")
    assert recording.signals.shape == (3000, 12)


@pytest.mark.realdata
def test_the_signal_is_ludb_joined_and_repeated(data_dir, monkeypatch):
    monkeypatch.setenv("MHEALTH_DATA", str(data_dir))
    recording = _signals.real_ecg(("ii",), minutes=0.5)
    assert recording.name == "LUDB, 3 records joined"
    assert len(_signals.in_records(recording)) == 3
    everything = _signals.real_ecg(("ii",), minutes=40)
    assert everything.duration == 2400
    n_once = 5000 * len(Ludb(data_dir / "ludb").records)
    np.testing.assert_array_equal(everything.signals[n_once : n_once + 5000], everything.signals[:5000])


def test_breathing_is_simulated_where_bidmc_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MHEALTH_DATA", str(tmp_path / "nothing"))
    recording = _signals.real_respiration(minutes=0.5)
    assert recording.name.startswith("simulated breathing")
    assert recording.signals.shape == (3750, 1)


@pytest.mark.realdata
def test_breathing_is_bidmc_joined(data_dir, monkeypatch):
    monkeypatch.setenv("MHEALTH_DATA", str(data_dir))
    recording = _signals.real_respiration(minutes=10)
    assert recording.name == "BIDMC, 2 records joined"
    assert recording.duration == 600
    bidmc = Bidmc(data_dir / "bidmc")
    first = read_recording(bidmc.path(bidmc.records[0]), channels=["RESP"]).signals
    np.testing.assert_array_equal(recording.signals[: len(first)], first - np.median(first))


@pytest.mark.usefixtures("simulated")
def test_the_run_prints_a_table_with_every_method(model, breath_model, capsys, monkeypatch):
    for name in speed.THREADS:
        monkeypatch.setenv(name, "1")  # so that what the run sets is undone
    speed.main(["--minutes", str(TINY), "--repeats", "1", "--model", model, "--breath-model", breath_model])
    printed = capsys.readouterr().out
    for method in ("mhealth, one lead", "mhealth, 12 leads fused", *peers.PEERS, "mhealth", *breaths.PEERS):
        assert f"\n| {method} | " in printed
    for stage in ("resample", "quality", "segment", "features", "codes", "emission", "decoder", "the rest"):
        assert f"\n| {stage} | " in printed
    for figure in ("scikit-learn", "import mhealth:", "State of a stream", "Largest state of a stream"):
        assert figure in printed


@pytest.mark.realdata
def test_marks_turned_into_states_come_back_as_the_breaths_of_the_annotator(data_dir):
    cases, _ = compare.cases_of(data_dir, 3)
    stretches = stretches_of(cases, compare.CHANNELS, RESPIRATION)
    allowed = np.concatenate([stretch.example.targets.allowed for stretch in stretches])
    one_state = np.isin(allowed, 1 << np.arange(RESPIRATION.grammar.n_states))
    states = np.where(one_state, np.log2(allowed).astype(int), RESPIRATION.grammar.index(RESPIRATION.gaps[0]))
    paths = label_runs(states, [len(stretch.example.times) for stretch in stretches])
    score = compare.scored(cases, waves_of(paths, stretches, cases, RESPIRATION))
    # A candidate beside the mark may lie in a stretch that both count, and its breath then not.
    assert score.f1(1.0) > 99
    assert score.f1(0.5) > 99
    assert score.count_error < 1


@pytest.mark.realdata
def test_structures_and_the_rule_find_the_breaths_of_three_recordings(data_dir, capsys):
    compare.main([str(data_dir), "--records", "3", "--folds", "3", "--max-iter", "20"])
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.split("| ends of inspiration |")[1].splitlines()]
    narrow, wide, number = ([float(cell) for cell in row[1:5]] for row in rows if row[0][2:] in BREATH_ROWS)
    rule, *structures = narrow
    assert rule > 95
    assert min(structures) > 85
    assert all(a <= b for a, b in zip(narrow, wide, strict=True))
    assert max(number) < 15


BREATH_ROWS = ("F1, 0.5 s", "F1, 1 s", "error of their number")


def test_a_maximum_of_the_rule_rises_and_falls_by_the_threshold():
    heights = np.array([3.0, 0.0, 1.0, 0.8, 1.2, 0.1, 0.3, 0.0, 1.0, 0.6, 0.9, 0.2, 1.0])
    # The first falls without a rise, the last rises without a fall; 1.0 and 0.3 are followed or preceded too closely.
    assert compare.maxima(heights, np.full(13, 0.5)) == [4, 8]
    assert compare.maxima(heights, np.full(13, 0.15)) == [2, 4, 6, 8, 10]
    assert compare.maxima(heights, np.full(13, 3.5)) == []


def test_a_difference_counts_as_better_by_what_the_figure_means():
    fewer = BootstrapDifference(-2.0, -3.0, -1.0, 0.001)
    unclear = BootstrapDifference(-2.0, -3.0, 1.0, 0.2)
    share, error = compare.Figure("F1", float), compare.Figure("error", float, higher_is_better=False)
    assert [compare.sign(fewer, share), compare.sign(fewer, error), compare.sign(unclear, error)] == ["<", ">", "≈"]


@pytest.mark.realdata
def test_polarity_and_coupling_are_measured_on_a_recording(data_dir):
    recording, _, _ = Bidmc(data_dir / "bidmc").load("bidmc_02")
    belt, lead = (recording.pick([recording.channels.index(name)]) for name in ("RESP", "II"))
    inverted = polarity.signs(replace(belt, signals=-belt.signals))
    assert len(inverted) == np.ceil(belt.duration / polarity.BLOCK)
    assert inverted[0] == 1
    assert inverted[-1] == -1
    found = polarity.coupling(belt, lead)
    assert 0.7 < found.coherence <= 1
    assert abs(found.phase) < 45
    assert polarity.coupling(replace(belt, signals=-belt.signals), lead).phase == pytest.approx(
        found.phase + 180, abs=1
    )


def test_breaths_and_pauses_of_simulated_belts_are_counted(capsys):
    simulated_breathing.main(["--belts", "2"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    by_name = {row[0][2:]: row[1:] for row in rows}
    for low, high in simulated_breathing.RATES:
        f1, error = map(float, by_name[f"{low} to {high}"][0].removesuffix(" %").split(", "))
        assert f1 > 90
        assert error < 10
    found, pauses = by_name["clean"][0].split(",")[0].split(" of ")
    assert int(pauses) == 12
    assert int(found) >= 10
