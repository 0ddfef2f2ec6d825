"""Labelers for a microcontroller: what they look back on, and what their files say."""

import json

import numpy as np
import pytest
from breath_cases import breathing, tiny_breath_labeler
from labeling_cases import ecg, rows, tiny_labeler

from mhealth.errors import InvalidParameterError
from mhealth.labeling import EcgLabeler, NetworkEmission, load
from mhealth.labeling._ecg_task import ECG, ECG_MCU
from mhealth.labeling._features import FeatureStream
from mhealth.metrics import score_breaths, score_delineation

KEPT = 1024
"""Samples that a microcontroller keeps of an ECG: 4.1 s at 250 Hz."""


@pytest.fixture(scope="module")
def small():
    return tiny_labeler(budget="cortex-m3")


def described(task, signal):
    """Return the features of candidates every 40 ms of a stretch at 250 Hz."""
    stream = FeatureStream(task.front_end.features)
    stream.push(signal)
    positions = np.arange(5, len(signal) - 110, 10)
    return stream.flush(positions, np.full(len(positions), 0.2, np.float32))


@pytest.mark.parametrize("task", [ECG, ECG_MCU], ids=["computer", "microcontroller"])
def test_only_a_microcontroller_forgets_what_it_cannot_keep(task, rng):
    signal = ecg(1, leads=("II",))[0].signals[:, 0]
    changed, first = signal.copy(), 4 * KEPT
    # So little that its beats stay where they are.
    changed[: first - KEPT] += rng.uniform(-1e-3, 1e-3, first - KEPT).astype(np.float32)
    before, after = described(task, signal), described(task, changed)
    late = before.positions + 100 >= first  # candidates are described 0.4 s after their sample
    same = [np.array_equal(a[late], b[late]) for a, b in zip(before.windows, after.windows, strict=True)]
    same.append(np.array_equal(before.dense[late], after.dense[late]))
    assert all(same) == (task is ECG_MCU)
    assert all(same[:3])  # windows around the candidate


def test_a_saved_model_keeps_to_its_budget(small, tmp_path):
    small.save(tmp_path / "small.npz")
    again = load(tmp_path / "small.npz")
    assert again.get_params()["budget"] == "cortex-m3"
    assert again.model_.task is ECG_MCU
    recording, _ = ecg(7)
    assert rows(again.label(recording)) == rows(small.label(recording))
    assert json.loads((tmp_path / "small.json").read_text())["kind"] == "mhealth ecg labeler for cortex-m3"


def test_so_does_one_of_breathing(tmp_path):
    small = tiny_breath_labeler(budget="cortex-m3")
    small.save(tmp_path / "small.npz")
    again = load(tmp_path / "small.npz")
    assert again.get_params()["budget"] == "cortex-m3"
    recording, _ = breathing(20)
    assert rows(again.label(recording)) == rows(small.label(recording))
    assert json.loads((tmp_path / "small.json").read_text())["kind"] == "mhealth respiration labeler for cortex-m3"


@pytest.mark.parametrize("bad", [{"leads": "early"}, {"emission": NetworkEmission(architecture="tcn")}])
def test_a_budget_is_for_sparse_codes_of_single_leads(bad):
    with pytest.raises(InvalidParameterError, match="budget='cortex-m3' sizes the sparse codes of single leads"):
        EcgLabeler(budget="cortex-m3", **bad).fit([], [])


def table_bytes(model):
    """Return the flash memory that a model's tables take: int8, but half a Gram matrix and the CRF in int16."""
    emission, weights = model.emission, model.weights
    atoms = sum(dictionary.atoms.size for dictionary in model.dictionaries)
    gram = sum(dictionary.n_atoms * (dictionary.n_atoms + 1) for dictionary in model.dictionaries)
    layers = emission.of_dense.size + emission.of_codes.size + emission.second.size + emission.last.size
    biases = 4 * (emission.threshold.size + emission.second_threshold.size + emission.bias.size)
    return atoms + gram + layers + biases + 2 * sum(part.size for part in weights)


@pytest.mark.parametrize(("name", "most"), [("ecg-mcu", 16_000), ("respiration-mcu", 14_000)])
def test_the_tables_of_a_shipped_model_leave_room_for_the_program(name, most):
    """Of 40,000 bytes of flash memory the program takes half."""
    model = load(name).model_
    assert model.task.budget == "cortex-m3"
    assert table_bytes(model) < most
    assert table_bytes(load(name.removesuffix("-mcu")).model_) > 1.5 * table_bytes(model)


def test_the_shipped_models_find_what_was_simulated():
    recording, truth = ecg(11, fs=500.0, duration=40.0)
    assert score_delineation([(truth, load("ecg-mcu").label(recording))]).macro() > 95
    recording, truth = breathing(20)
    assert score_breaths([(truth, load("respiration-mcu").label(recording))]).f1(0.5) > 95
