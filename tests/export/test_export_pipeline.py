"""A whole model in C hands out the same events as its twin, to the sample, everywhere and whatever it is fed."""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from exports import MODELS, faulty_leads, installed, sanitized, unlike, wild_lead, written

from data_loaders.bidmc import Bidmc
from data_loaders.ludb import Ludb
from mhealth.errors import InvalidParameterError
from mhealth.export import agreement, alone, budget_for, exceeded, label_in_whole_numbers, leads_of
from mhealth.export._check import _built, events_by, events_on, floating_point, measured
from mhealth.export._export import golden_leads
from mhealth.export._host import SANITIZERS, compile_c, run_program
from mhealth.export._pipeline import PipelineTable
from mhealth.export._toolchain import HARNESS
from mhealth.labeling import load
from mhealth.metrics import score_breaths, score_delineation
from mhealth.simulate import synthetic_ecg, synthetic_respiration

DRIVERS = Path(__file__).parent / "drivers"


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


def test_c_and_twin_agree_on_leads_with_every_fault(model):
    leads = faulty_leads(written(model).kind)
    assert unlike(written(model).table, leads, events_by(sanitized(model), leads)) == []


def test_c_and_twin_agree_on_what_no_lead_looks_like(model, rng):
    """Fuzzing under sanitizers for a few seconds, a lead at least."""
    until = time.monotonic() + 4
    while True:
        leads = [wild_lead(rng, 4000 if written(model).kind == "ecg" else 1500)]
        assert unlike(written(model).table, leads, events_by(sanitized(model), leads)) == []
        if time.monotonic() > until:
            break


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["ecg-mcu", "tcn-int8"])
def test_c_and_twin_agree_on_whole_records_of_ludb(name, data_dir):
    dataset = Ludb(data_dir / "ludb")
    leads = [
        lead for record in dataset.records[:3] for lead in leads_of(written(name).labeler, dataset.load(record)[0])[0]
    ]
    assert unlike(written(name).table, leads, events_by(sanitized(name), leads)) == []


@pytest.mark.realdata
def test_c_and_twin_agree_on_whole_recordings_of_bidmc(data_dir):
    name, dataset = "respiration-mcu", Bidmc(data_dir / "bidmc")
    leads = [leads_of(written(name).labeler, dataset.load(record)[0].pick([0]))[0][0] for record in dataset.records[:6]]
    assert unlike(written(name).table, leads, events_by(sanitized(name), leads)) == []


@pytest.mark.embedded
def test_c_and_twin_agree_on_aarch64(model):
    export, leads = written(model), faulty_leads(written(model).kind)
    assert unlike(export.table, leads, events_on(installed("linux"), export.folder, export.name, leads)) == []


@pytest.mark.embedded
def test_c_and_twin_agree_on_a_cortex_m3(model):
    found, load_ = emulated(model)
    assert unlike(written(model).table, leads_for(model), found) == []
    assert floating_point(installed("cortex-m3"), written(model).folder, written(model).name) == []
    assert load_.stack < 1024


@pytest.mark.embedded
def test_c_and_twin_agree_on_a_cortex_m4(model):
    export, leads = written(model), leads_for(model)[1:]
    found = events_on(installed("cortex-m4"), export.folder, export.name, leads, profile="speed")
    assert unlike(export.table, leads, found) == []


@pytest.mark.embedded
@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_to_its_budget(name):
    _, load_ = emulated(name)
    assert exceeded(budget_for("cortex-m3", "network" if name == "tcn-int8" else "sparse", "size"), load_) == []
    assert load_.worst_share < 100


def leads_for(name):
    """Return what is emulated of a model: a lead, and one with every fault."""
    parts = golden_leads(written(name).kind)
    return [parts[0], np.concatenate(parts)]


@lru_cache
def emulated(name):
    """Return the events of a model on a Cortex-M3, and what it took."""
    target, export = installed("cortex-m3"), written(name)
    return measured(target, export.folder, export.name, leads_for(name), rate=export.table.rate, profile="size")


@pytest.mark.embedded
def test_an_export_has_no_variables_of_its_own(tmp_path):
    target, export = installed("cortex-m3"), written("ecg-mcu")
    program = _built(target, "bare.c", export.folder, export.name, tmp_path, "size", ("-DWITH_MODEL",))
    objects = target.symbols(program)
    ours = [s for s in objects if s.section in "bd" and not s.file.startswith("harness") and s.name != "state"]
    assert ours == []


def test_wrong_calls_are_answered_and_leads_know_nothing_of_each_other(tmp_path, rng):
    export = written("ecg-mcu")
    program = compile_c(
        [DRIVERS / "api.c", HARNESS / "harness_host.c", *sorted((export.folder / "src").glob("*.c"))],
        tmp_path / "api", include=[export.folder / "src", HARNESS], flags=("-O1", *SANITIZERS),
    )  # fmt: skip
    lead = golden_leads("ecg")[0]
    said = run_program(program, np.stack([lead, wild_lead(rng, len(lead))], axis=1).ravel())
    ok, null, version, ended = range(4)
    assert said[:11].tolist() == [null, version, version, version, version, ok, ok, null, null, null, null]
    events, end = said[11:].tolist(), -5
    assert events[end:] == [-1, ended, ok, 255, ok]
    np.testing.assert_array_equal(np.reshape(events[:end], (-1, 3)), export.table.events(lead)[:, [0, 2, 4]])


@pytest.mark.parametrize(("model", "least"), [("ecg-mcu", 98.0), ("tcn-int8", 98.0)])
def test_waves_in_whole_numbers_are_those_of_the_model(model, least):
    recording, _ = synthetic_ecg(fs=360, duration=60, seed=3)
    labeler = alone(written(model).labeler)
    found = label_in_whole_numbers(labeler, written(model).table, recording)
    same = agreement(labeler.label(recording), found)
    assert same.n_waves > 350
    assert same.f1 > least


def test_breaths_in_whole_numbers_are_those_of_the_model():
    recording, truth = synthetic_respiration(fs=25, duration=300, seed=3)
    labeler = written("respiration-mcu").labeler
    found = label_in_whole_numbers(labeler, written("respiration-mcu").table, recording)
    assert score_breaths([(truth, found)]).f1(0.5) > score_breaths([(truth, labeler.label(recording))]).f1(0.5) - 1.0


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["ecg-mcu", "tcn-int8"])
def test_whole_numbers_cost_little_accuracy(name, data_dir):
    dataset, labeler = Ludb(data_dir / "ludb"), alone(written(name).labeler)
    before, after = [], []
    for record in dataset.records[::32]:
        recording, annotation, _ = dataset.load(record)
        before.append((annotation, labeler.label(recording)))
        after.append((annotation, label_in_whole_numbers(labeler, written(name).table, recording)))
    assert score_delineation(after).macro() > score_delineation(before).macro() - 0.3


def test_clipped_samples_are_flagged():
    table, lead = written("ecg-mcu").table, golden_leads("ecg")[0].copy()
    waves = table.events(lead)
    hit = waves[len(waves) // 2]
    lead[hit[2] + 1] = 2**16
    flagged = table.events(lead)
    touched = (flagged[:, 2] <= hit[2] + 1) & (hit[2] + 1 < flagged[:, 4])
    assert touched.any()
    np.testing.assert_array_equal((flagged[:, 1] & 4) > 0, touched)


def test_nothing_is_labelled_in_unusable_parts_and_all_of_the_lead_is_told(model, rng):
    table = written(model).table
    for lead in (*faulty_leads(written(model).kind), wild_lead(rng, 3000)):
        events = table.events(lead)
        unusable = events[events[:, 0] == len(table.labels) - 1]
        waves = events[events[:, 0] < len(table.labels) - 1]
        if written(model).kind == "ecg":  # phases are held back until they are whole
            assert (np.diff(events[:, 2]) >= 0).all()
        for start, stop in unusable[:, [2, 4]]:
            assert not ((waves[:, 2] < stop) & (waves[:, 4] > start)).any()
        assert (events[:, 4] <= len(lead)).all()
        assert (events[:, 2] < events[:, 4]).all()


def test_a_lag_of_none_is_refused():
    with pytest.raises(InvalidParameterError, match="lag=None decodes whole recordings"):
        PipelineTable.of(load("ecg-mcu").set_params(lag=None))
