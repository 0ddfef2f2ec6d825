"""What is called what, curves, groups, and the structures that they are drawn of."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from experiments import _peers
from experiments._arms import NAMES, labeler, missing
from experiments._experiment import Run, find
from experiments._ludb import ground
from experiments._runner import carry_out, finished
from experiments._spans import as_rows, from_rows
from experiments._statistics import holm, signed_rank
from experiments._structures import stretches_of, waves_of
from experiments.ecg_morphology._confusion import EXPERT, FOUND, confusion
from experiments.ecg_morphology._curves import curve, histograms, of_waves
from experiments.ecg_morphology._groups import groups
from mhealth.cli._terminal import Terminal
from mhealth.core import ECG_WAVES, Annotation, Spans
from mhealth.crf import label_runs
from mhealth.labeling._ecg_task import ECG
from mhealth.metrics import WaveOutcomes, score_delineation
from mhealth.simulate import synthetic_ecg


def spans(*rows: tuple[int, int, int, str]) -> Spans:
    classes = (*ECG_WAVES, "unusable")
    coded = [(a, p, b, classes.index(label), 0, np.nan) for a, p, b, label in rows]
    return Spans.from_rows(coded, fs=100.0, channels=("II",), classes=classes)


def marks(*rows: tuple[int, int, int, str], stretch: tuple[int, int] = (0, 1000)) -> Annotation:
    return Annotation(spans=spans(*rows), annotated=np.array([[0, *stretch]]))


def test_every_sample_of_an_annotated_stretch_is_called_something():
    expert = marks((100, 105, 110, "P"), (120, 125, 130, "QRS"), (160, 170, 180, "T"), stretch=(100, 200))
    found = spans((50, 60, 105, "P"), (120, 125, 130, "T"), (165, 170, 210, "T"), (190, -1, 195, "unusable"))
    table = confusion([(expert, found)], ["a"])
    seconds = dict(zip(itertools.product(EXPERT, FOUND), 100 * table.seconds[0].ravel(), strict=True))
    expected = {
        ("P", "P"): 5, ("P", "nothing"): 5, ("QRS", "T"): 10, ("T", "T"): 15, ("T", "nothing"): 5,
        ("nothing", "T"): 15, ("nothing", "unusable"): 5, ("nothing", "nothing"): 40,
    }  # fmt: skip
    assert {pair: round(n) for pair, n in seconds.items() if n} == expected
    assert table.recall("P") == 50
    assert table.shares.sum(axis=1) == pytest.approx([100] * 4)


def test_around_an_edge_that_the_expert_left_out_nothing_is_counted():
    expert = marks((100, 105, 110, "QRS"), (-1, 150, 160, "T"), stretch=(100, 200))
    table = confusion([(expert, spans())], ["a"])
    assert table.seconds.sum() == pytest.approx(0.5)  # without all from the QRS complex to the end of T
    assert table.seconds[0, EXPERT.index("T")].sum() == 0


def test_tables_of_one_subject_are_added_and_weighed():
    case = (marks((100, 105, 110, "P"), stretch=(100, 200)), spans())
    table = confusion([case, case, case], ["a", "b", "a"])
    assert table.subjects == ("a", "b")
    assert table.seconds.sum(axis=(1, 2)) == pytest.approx([2, 1])
    assert table.reweighted(np.array([0.0, 3.0])).seconds.sum() == pytest.approx(3)


def test_areas_of_binned_time_are_those_of_the_probabilities(rng):
    n = 400
    occupancy = np.zeros((n, ECG.grammar.n_states), np.float32)
    label = ECG.grammar.index("P")
    allowed = np.where(rng.random(n) < 0.2, 1 << label, ECG.grammar.mask("TP", "PQ")).astype(np.uint8)
    is_p = allowed == 1 << label
    # No two in one bin, which would tie them.
    odds = rng.permutation(np.linspace(-11, 11, 241)[:200].repeat(2)[:n]) + is_p
    occupancy[:, label] = 1 / (1 + np.exp(-odds))
    times = np.concatenate([np.arange(n / 2), np.arange(n / 2)])
    found = histograms(occupancy, allowed, times, [n // 2, n // 2], ECG)["P"]
    counted = np.setdiff1d(np.arange(n), [n // 2 - 1, n - 1])  # the last node of a stretch begins no interval
    own = curve([found])
    assert sum(found["positive"]) == is_p[counted].sum()
    assert sum(found["positive"]) + sum(found["negative"]) == n - 2
    assert own.area == pytest.approx(roc_auc_score(is_p[counted], odds[counted]), abs=0.01)
    expected = average_precision_score(is_p[counted], odds[counted])
    assert own.average_precision == pytest.approx(expected, abs=0.02)


def test_time_of_which_nothing_is_known_does_not_count():
    occupancy = np.full((4, ECG.grammar.n_states), 0.5, np.float32)
    everything = np.full(4, ECG.grammar.mask(), np.uint8)
    found = histograms(occupancy, everything, np.arange(4.0), [4], ECG)
    assert sum(sum(own[name]) for own in found.values() for name in own) == 0


def test_waves_that_are_never_reported_limit_the_recall_and_rules_have_one_point():
    outcomes = WaveOutcomes(np.array([0.9, 0.8, 0.4]), np.array([True, False, True]), 4)
    recall, precision, mean = of_waves(outcomes)
    assert recall.tolist() == [0.25, 0.25, 0.5]
    assert precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert mean == pytest.approx(0.25 + 0.25 * 2 / 3)
    recall, precision, mean = of_waves(replace(outcomes, probability=np.full(3, np.nan)))
    assert (recall.tolist(), precision.tolist()) == ([0.5], [2 / 3])
    assert np.isnan(mean)


def test_rows_bring_spans_back():
    recording, _ = synthetic_ecg(fs=100, duration=5, leads=("II",), seed=1)
    given = replace(spans((10, 12, 20, "QRS"), (30, -1, 50, "unusable")), probability=np.array([0.98765, np.nan]))
    rows = as_rows(given)
    assert rows == [[10, 12, 20, 1, 0, 0.9876], [30, -1, 50, 3, 0, None]]
    assert as_rows(from_rows(rows, recording)) == rows


def test_paired_tests_are_as_published():
    # Holm (1979): the smallest is multiplied by the number of tests, the next by one less; none falls below another.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert signed_rank(np.zeros(9)) == 1.0
    assert signed_rank(np.array([1.0, 2, 3, 4, 5, 6, np.nan])) == pytest.approx(2 / 2**6)


def test_a_wave_counts_if_all_its_points_are_given_in_order():
    found = _peers._aligned(
        {"P": ([1, np.nan, 30], [2, 12, 25], [3, 13, 35]), "QRS": ([5, None], [6, 16], [7, 17]), "T": ([], [], [])}
    )
    assert found == [(1, 2, 3, 0), (5, 6, 7, 1)]


def test_peers_are_asked_in_another_interpreter_and_found_where_they_are(monkeypatch, tmp_path):
    recording, truth = synthetic_ecg(fs=250, duration=12, leads=("II", "V5"), seed=3)
    broken = replace(recording, signals=recording.signals * np.where(np.arange(3000) < 200, np.nan, 1)[:, None])
    for peer in _peers.PEERS:
        if _peers.interpreter(peer) is None:
            assert "make bench" in str(missing(peer))
            continue
        assert missing(peer) is None
        found = _peers.delineate(peer, [recording, broken.pick([1])])
        assert [own.channels for own in found] == [("II", "V5"), ("V5",)]
        assert score_delineation([(truth, found[0])]).f1("QRS") > 80
        break  # one tells how all are asked
    monkeypatch.setattr(_peers, "_PACKAGES", {"x": ("no_such_package",)})
    monkeypatch.setattr(_peers, "_BENCH", tmp_path / "python")
    assert _peers.interpreter("x") is None


def test_what_raises_has_found_nothing(monkeypatch):
    def raises(fs: int):
        return lambda lead: 1 / 0

    monkeypatch.setitem(_peers._MAKERS, "neurokit2-dwt", raises)
    assert _peers._in_process("neurokit2-dwt", [np.zeros(10)], [100.0]) == [[]]


def test_every_arm_has_a_name_and_networks_their_own_settings():
    asked = find("ecg_morphology").settings
    for arm in (*asked["labelers"], *asked["peers"], *find("noise").settings["labelers"]):
        assert arm in NAMES
    made = {arm: labeler(arm, 400, [], seed=3) for arm in ("sparse", "tcn", "unet", "unet-hard")}
    assert made["sparse"].emission is None
    assert made["unet-hard"].emission.wearing == "hard"
    assert [made[arm].emission.training.n_passes for arm in ("unet", "tcn")] == [150, 300]
    assert {own.random_state for own in made.values()} == {3}


def test_where_tensorflow_is_missing_networks_are_left_out():
    code = (
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'tensorflow' else real(name, *a)\n"
        "from experiments._arms import missing\nprint(missing('unet'), missing('tcn'), missing('sparse'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("the extra cnn") == 2
    assert done.stdout.strip().endswith("None")


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")  # three records do not fill two folds evenly
def test_marks_turned_into_states_come_back_as_the_waves_of_the_expert(data_dir, tmp_path):
    leads = ["ii", "v2"]
    run = Run(data=data_dir, settings={"records": 3, "leads": leads, "folds": 2}, seed=0, folder=tmp_path)
    cases = ground(run).cases
    stretches = stretches_of(cases, leads, ECG)
    allowed = np.concatenate([stretch.example.targets.allowed for stretch in stretches])
    one_state = np.isin(allowed, 1 << np.arange(ECG.grammar.n_states))
    states = np.where(one_state, np.log2(allowed).astype(int), ECG.grammar.index(ECG.gaps[0]))
    paths = label_runs(states, [len(stretch.example.times) for stretch in stretches])
    occupancy = np.zeros((len(states), ECG.grammar.n_states), np.float32)
    occupancy[np.arange(len(states)), states] = 0.75
    found = waves_of(paths, stretches, cases, ECG, occupancy)
    score = score_delineation([(case.annotation, found[k]) for k, case in enumerate(cases)])
    assert score.macro("150ms") == 100
    assert score.macro("tight") > 99
    assert all((own.probability == 0.75).all() for own in found.values())


@pytest.mark.realdata
def test_groups_hold_every_record_in_one_rhythm_and_its_diagnoses(data_dir):
    found = groups(data_dir / "ludb")
    rhythms = [name for group, names in found.items() if group.startswith("rhythm") for name in names]
    assert len(rhythms) == len(set(rhythms)) > 100
    assert set().union(*found.values()) == set(rhythms)
    none = set(found["none of these diagnoses"])
    assert all(none.isdisjoint(names) for group, names in found.items() if not group.startswith(("rhythm", "none")))
    assert 3 <= len(found["atrioventricular block"]) < len(found["bundle branch block or hemiblock"])


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_experiment_runs_from_recordings_to_curves_and_confusion(data_dir, tmp_path):
    experiment = find("ecg_morphology")
    fewer = {"records": 4, "max_iter": 12, "n_resamples": 10}
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=experiment.settings_of(quick=True) | fewer, seed=0,
        quick=True, command="test", terminal=Terminal(quiet=True),
    )  # fmt: skip
    assert outcome is not None
    _, results = finished(tmp_path)
    assert {text.split(":")[0] for text in results["left_out"]} == {NAMES[a] for a in experiment.settings["peers"]} | {
        "TCN", "U-Net",
    }  # fmt: skip
    for arm in ("independent", "chain", "span", "sparse"):
        assert 10 < outcome.metrics[f"f1.{arm}.150ms.macro"] <= 100
        assert outcome.metrics[f"recall.{arm}.range"] >= 0
    assert set(outcome.figures) == {"scores", "recall", "curves", "confusion", "groups"}
    shares = outcome.tables["confusion"].groupby(["arm", "expert"], sort=False)["share_pct"].sum()
    np.testing.assert_allclose(shares, 100)
    pairs = outcome.tables["differences"]
    assert len(pairs) == 2 * 6
    assert (pairs["p_holm"] >= pairs["p"]).all()
