"""Numbers that are moved, what is concluded of them, and optimisers beside their optimum."""

import os
from dataclasses import asdict
from fnmatch import fnmatchcase

import numpy as np
import pytest

from experiments._arms import labeler
from experiments._experiment import Run, find
from experiments._ludb import Ground, of_leads, packed
from experiments._runner import carry_out, finished
from experiments._structures import coder, stacked, stretches_of
from experiments.sensitivity import _fits, _optimisers
from experiments.sensitivity._fits import moved, rarity
from experiments.sensitivity._parameters import NETWORKS, PARAMETERS, Move, folds_of, moves
from experiments.sensitivity._summary import BETTER, WORSE, parameter_table, value_table
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case
from mhealth.crf import LinearChainCRF, SpanCRF
from mhealth.labeling import TrainingSettings, load
from mhealth.labeling._ecg_task import ECG
from mhealth.metrics import DelineationScore
from mhealth.nn import NetworkInput
from mhealth.simulate import synthetic_ecg
from mhealth.sparse import Dictionary, omp

compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="takes minutes")
SETTINGS = find("sensitivity").settings
SIZES = TrainingSettings(
    n_atoms=12, n_nonzero=3, n_first=8, n_second=4, n_epochs=1, fewest_steps=60, n_augmented=0, batch_size=2
)


def case(seed: int) -> Case:
    recording, annotation = synthetic_ecg(fs=250, duration=20, leads=("II", "V2", "V5"), seed=seed)
    return of_leads(Case("simulated", f"r{seed}", recording, annotation, f"s{seed}", ""), ("ii", "v5"))


@pytest.fixture(scope="module")
def given() -> Ground:
    recording, _ = synthetic_ecg(fs=250, duration=60, leads=("II",), seed=9)
    return Ground([case(seed) for seed in range(4)], [0, 0, 1, 1], [recording])


@pytest.fixture
def run(given, tmp_path, monkeypatch) -> Run:
    """A run on simulated people."""
    monkeypatch.setattr(_fits, "ground", lambda run: given)
    return Run(data=tmp_path, settings=SETTINGS | {"training": asdict(SIZES)}, seed=0, folder=tmp_path)


def parts(architecture: str) -> dict:
    """Return what paths start from, with the numbers that are the default."""
    usual = labeler(architecture, 500, [], seed=0)
    return {"training": TrainingSettings(), "emission": usual.emission, "task": ECG, "noise": []}


def at(of, path: str):
    """Return what lies at a path."""
    for name in path.split("."):
        of = of[name] if isinstance(of, dict) else of[int(name)] if isinstance(of, tuple) else getattr(of, name)
    return of


def single_numbers():
    """Yield the parameters that are one number, each with its path."""
    tables = {"sparse": PARAMETERS} | NETWORKS
    for architecture, parameter in ((name, parameter) for name, table in tables.items() for parameter in table):
        paths = {path for sets in parameter.moves.values() for path in sets}
        values = [value for sets in parameter.moves.values() for value in sets.values()]
        is_length = parameter.name.startswith("window-")  # told with both ends
        if len(paths) == 1 and not is_length and all(isinstance(value, int | float) for value in values):
            yield pytest.param(architecture, parameter, paths.pop(), id=f"{architecture}-{parameter.name}")


@pytest.mark.parametrize(("architecture", "parameter", "path"), list(single_numbers()))
def test_the_default_in_the_table_is_the_default_and_others_are_moved(architecture, parameter, path):
    own = parts(architecture)
    default = at(own, path)
    assert parameter.default == f"{default:g}"
    for sets in parameter.moves.values():
        ((_, value),) = sets.items()
        assert value != default
        assert type(value) is type(default)
        assert at(moved(own, path, value), path) == value
    assert at(own, path) == default


def test_every_value_makes_a_labeler_and_each_step_has_a_name_of_its_own():
    planned = moves(SETTINGS)
    assert len({move.name for move in planned}) == len(planned)
    for move in planned:
        made = parts(move.architecture)
        made["emission"] = moved(made["emission"], "input", NetworkInput()) if made["emission"] else None
        before = repr(made)
        for path, value in move.sets.items():
            made = moved(made, path, (1.0,) * 4 if value == "rarity" else value)
        features = made["task"].front_end.features
        assert all(window.after <= features.lookahead for window in features.windows)
        assert (repr(made) != before) == bool(move.sets) or move.parameter == "noise"


def test_networks_are_moved_too_and_a_unet_is_tested_on_one_fold():
    planned = moves(SETTINGS)
    for architecture, table in NETWORKS.items():
        own = [move for move in planned if move.architecture == architecture]
        assert {move.parameter for move in own} == {"", *(parameter.name for parameter in table)}
        assert folds_of(own[0], SETTINGS) == ([0] if architecture == "unet" else [0, 1])
    assert {move.architecture for move in moves(SETTINGS | {"networks": []})} == {"sparse"}


def test_a_path_leads_through_keys_fields_and_places():
    own = {"task": ECG}
    new = moved(own, "task.front_end.features.windows.1.before", 0.7)["task"]
    windows = new.front_end.features.windows
    assert [window.before for window in windows] == [0.1, 0.7, 1.6]
    assert moved(own, "task.eager", ["P"])["task"].eager == ("P",)
    assert ECG.front_end.features.windows[1].before == 0.4


def test_rare_classes_weigh_more(given):
    weights = rarity(given.training(0))
    assert len(weights) == 4
    assert weights[0] == min(weights)  # there is mostly nothing
    assert np.mean(weights) == pytest.approx(1, abs=1e-3)


@compiled
def test_a_moved_number_is_what_is_trained(run, given):
    before = _fits.trained("sparse", {}, 0, given.training(0), run)
    sets = {"training.n_atoms": 9, "task.front_end.features.knee": 0.5, "noise": []}
    after = _fits.trained("sparse", sets, 0, given.training(0), run)
    assert [len(d.atoms) for d in before.model_.dictionaries] == [12] * 5
    assert [len(d.atoms) for d in after.model_.dictionaries] == [9] * 5
    assert after.model_.task.front_end.features.knee == 0.5
    left = _fits.carry_out("sparse", {}, 0, [1.0, None], 0, run, {})
    assert set(left["scores"]) == {"s0", "s1"}
    assert set(left["lags"]) == {"1.0", "None"}


def test_networks_are_left_out_without_tensorflow(run, monkeypatch):
    monkeypatch.setattr(_fits, "missing", lambda architecture: architecture != "sparse")
    assert _fits.carry_out("tcn", {}, 0, [], 0, run, {}) is None


def made_score(rng, hits: float) -> DelineationScore:
    """Sixty subjects, ten waves a point of each."""
    sums = np.zeros((60, 2, 3, 3, 5))
    sums[..., 0] = rng.binomial(1000, hits, size=sums.shape[:-1])
    sums[..., 1] = 1000 - sums[..., 0]
    return DelineationScore(tuple(f"s{k}" for k in range(60)), sums, np.zeros((60, 2)))


def test_a_value_is_better_or_worse_only_beyond_what_seeds_change(tmp_path, rng):
    run = Run(data=tmp_path, settings=SETTINGS | {"n_resamples": 200}, seed=0, folder=tmp_path)
    own = [Move("default", "", "", {}), Move("default-seed1", "", "", {}, seed=1)]
    own += [Move(f"{name}-0", name, "1", {"training.x": 1}) for name in ("knee", "n-atoms", "dropout")]
    hits = {"default": 0.95, "default-seed1": 0.955, "knee-0": 0.98, "n-atoms-0": 0.9, "dropout-0": 0.952}
    left = {}
    for move in own:
        lines = packed(made_score(rng, hits[move.name]))
        for fold in (0, 1):
            of_fold = {name: line for name, line in lines.items() if (int(name[1:]) < 30) == (fold == 0)}
            lags = dict.fromkeys(("0.75", "1.0", "2.5", "None"), of_fold)
            left[f"{move.name}-fold{fold}"] = {"scores": of_fold, "lags": lags}
    effects = value_table(run, left, own)
    verdicts = dict(zip(effects.values["parameter"], effects.values["verdict"], strict=True))
    assert verdicts == {"knee": BETTER, "n-atoms": WORSE, "dropout": "", "lag": ""}
    assert effects.spread == pytest.approx([0.25, 0.25], abs=0.1)
    table = parameter_table(effects.values, PARAMETERS)
    assert list(table["parameter"][:2]) in (["knee", "n-atoms"], ["n-atoms", "knee"])
    assert table.set_index("parameter").loc["knee", "default"] == "0.25"


@compiled
@pytest.mark.parametrize("kind", [LinearChainCRF, SpanCRF])
def test_the_bound_holds_and_shrinks_to_nothing(given, kind):
    found = [stretch for stretch in stretches_of(given.cases[:1], ["ii"], ECG) if stretch.feasible]
    data = stacked(found, coder(found, ECG, SIZES, 0))
    first = SpanCRF(ECG.grammar, max_iter=10).fit(data.X, data.allowed, data.lengths, times=data.times)
    states = np.zeros(len(data.allowed), np.uint8)
    paths = first.predict(data.X, data.lengths, times=data.times)
    for start, stop, state in zip(paths.start, paths.stop, paths.state, strict=True):
        states[start:stop] = 1 << state
    n = len(data.times) - len(data.lengths)
    few, many = (
        kind(ECG.grammar, max_iter=n_iter, tol=1e-12).fit(data.X, states, data.lengths, times=data.times)
        for n_iter in (3, 300)
    )
    lacking = (many.objective_ - few.objective_) / n
    assert 0 < lacking <= _optimisers.gap(few, data, states)
    assert _optimisers.gap(many, data, states) < 1e-2 * lacking


def test_no_code_is_better_than_the_best_of_all_supports(rng):
    atoms = rng.normal(size=(8, 12))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    windows = rng.normal(size=(40, 12))
    dictionary = Dictionary(atoms=atoms)
    rest = windows - omp(windows, dictionary, n_nonzero=3).reconstruct(dictionary)
    best = _optimisers.exhaustive(windows, dictionary.atoms.astype(float), 3)
    greedy = (rest**2).sum(axis=1)
    assert (best <= greedy + 1e-5).all()
    assert (best < greedy - 1e-3).any()
    np.testing.assert_allclose(_optimisers.exhaustive(atoms[:3], atoms, 3), 0, atol=1e-9)


@compiled
def test_the_second_layer_under_the_last_one_is_the_emission(given):
    model = load("ecg").model_
    data = _optimisers.described(model, given.cases[:1], np.random.default_rng(0), [], 0)
    best = SpanCRF(ECG.grammar, max_iter=30).fit(data.X, data.allowed, data.lengths, times=data.times)
    before, after = (_optimisers.likelihood(of, data) for of in (model, _optimisers.with_last(model, best)))
    assert before < after < 0  # learned from these very leads
    same = _optimisers.with_last(model, best)
    n = 4 * ECG.grammar.n_states
    np.testing.assert_array_equal(same.emission.last[:, n:], model.emission.last[:, n:])
    chance = SpanCRF(ECG.grammar, max_iter=1, l2=1e9).fit(data.X, data.allowed, data.lengths, times=data.times)
    assert _optimisers.likelihood(_optimisers.with_last(model, chance), data) < before


def test_every_metric_has_a_tolerance():
    experiment = find("sensitivity")
    for name in ("default.150ms", "tcn.loss=focal.tight", "L-BFGS.span, experts'.gained", "OMP.more_pct"):
        assert any(fnmatchcase(name, pattern) for pattern in experiment.tolerance)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:The least populated class")  # so few records do not fill folds evenly
@compiled
def test_sensitivity_runs_from_its_recordings_to_its_report(data_dir, tmp_path):
    experiment = find("sensitivity")
    settings = experiment.settings_of(quick=True) | {
        "records": 4, "parameters": ["n-atoms"], "training": asdict(SIZES), "optimised": 1, "max_iter": 5,
        "starts": 1, "n_resamples": 20,
    }  # fmt: skip
    outcome = carry_out(
        experiment, data=data_dir, out=tmp_path, settings=settings, seed=0, quick=True, command="test",
        terminal=Terminal(quiet=True),
    )  # fmt: skip
    manifest, results = finished(tmp_path)
    assert {path.split("/")[0] for path in manifest["inputs"]} == {"ludb", "nstdb"}
    assert {"n-atoms=32.150ms", "lag=whole recording.tight", *experiment.headline} <= set(results["metrics"])
    assert len(outcome.left_out) == 1
    assert (tmp_path / "figures" / "sparse.png").stat().st_size > 5000
