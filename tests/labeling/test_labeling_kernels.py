"""Compiled loops against their slow twins, and the gradient of training against differences."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labeling_cases import LEADS, TINY, ecg

sys.path.insert(0, str(Path(__file__).parents[1] / "naive"))
from mhealth._kernels import _beats, _emission, _waves
from mhealth.crf import ECG_GRAMMAR
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._examples import examples, lead_cases
from mhealth.labeling._features import Features
from mhealth.labeling._training import _Trainer, coded, learn_dictionaries
from naive_labeling import (
    naive_beats,
    naive_clusters,
    naive_context,
    naive_outputs,
    naive_slope_energy,
    naive_wave,
)

ROOT = Path(__file__).parents[2]


def beats_of(signal, level):
    """Run the kernels over a whole stretch."""
    slope, energy = np.zeros(len(signal)), np.zeros(len(signal))
    n_slope, n_energy = _beats.slope_energy(signal, slope, energy, 0, 0)
    floats, integers = np.array([level, 0.0]), np.zeros(2, np.int64)
    found = np.zeros((2, len(signal) // _beats.DOMINANCE + 1), np.int64)
    count = _beats.track_beats(slope, energy, 0, 0, n_energy, floats, integers, *found, 0)
    return slope[:n_slope], energy[:n_energy], found[:, :count].copy()


@pytest.fixture(params=["steady", "pauses", "wild"])
def stretch(request, rng):
    signal = ecg(4, duration=30.0, leads=("II",))[0].signals[:, 0].copy()
    if request.param == "pauses":
        signal[2000:4500] = signal[2000:4500] * 0.01
        signal[4500:] *= 0.2
    elif request.param == "wild":
        signal = (rng.standard_normal(len(signal)).cumsum() * rng.choice([0.1, 1, 3], len(signal))).astype(np.float32)
    return signal


@pytest.mark.parametrize("level", [0.0, 5.0, 60.0])
def test_beats_are_those_of_the_definition(stretch, level):
    slope, energy, (beats, confirmed) = beats_of(stretch, level)
    naive_slope, naive_energy = naive_slope_energy(stretch)
    np.testing.assert_allclose(slope, naive_slope, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(energy, naive_energy, rtol=1e-9, atol=1e-9)
    expected, expected_confirmed = naive_beats(slope, energy, level)
    assert len(expected) > 10
    assert beats.tolist() == expected
    assert confirmed.tolist() == expected_confirmed


def test_waves_that_counted_as_beats_in_a_pause_do_not_go_on_counting():
    period, n_beats = 250, 60
    energy = np.full(n_beats * period, 0.01)
    for size, at in ((0.3, 90), (1.0, 125), (0.3, 200)):  # P, QRS, T
        energy[at::period] = size
    floats, integers = np.array([0.1, 0.0]), np.zeros(2, np.int64)  # as it is after a long pause
    found = np.zeros((2, len(energy) // _beats.DOMINANCE + 1), np.int64)
    count = _beats.track_beats(energy, energy, 0, 0, len(energy) - 15, floats, integers, *found, 0)
    beats = found[0, :count]
    assert (beats[:3] % period).tolist() == [90, 125, 200]
    assert set(beats[beats > 20 * period] % period) == {125}


@pytest.mark.parametrize(("most", "horizon"), [(8, 2500), (3, 2500), (8, 500)])
def test_the_context_of_a_candidate_is_that_of_the_definition(stretch, rng, most, horizon):
    _, _, (beats, confirmed) = beats_of(stretch, 1.0)
    positions = np.sort(rng.choice(len(stretch) - 700, 80, replace=False)).astype(np.int64)
    limits = np.maximum(positions + 100, 484)
    scale = rng.uniform(0.1, 1.0, len(positions)).astype(np.float32)
    half, width = 25, 2
    before, after = np.empty((2, len(positions), 2 * half // width), np.float32)
    rhythm = np.empty((len(positions), _beats.N_RHYTHM), np.float32)
    _beats.beat_context(
        stretch, 0, positions, limits, scale, beats, confirmed, len(beats), half, width, most, horizon, before, after,
        rhythm,
    )  # fmt: skip
    assert before.any()
    assert after.any()
    size = np.abs(stretch).max()
    for k, t in enumerate(positions):
        expected = naive_context(stretch, t, limits[k], scale[k], beats, confirmed, half, width, most, horizon)
        # Sums of up to 400 float32 numbers.
        np.testing.assert_allclose(before[k], expected[0], atol=2e-5 * size)
        np.testing.assert_allclose(after[k], expected[1], atol=2e-5 * size)
        np.testing.assert_allclose(rhythm[k], expected[2], atol=2e-4)


def test_outputs_are_plain_matrix_products(rng):
    n, n_dense, n_columns, n_first, n_second = 50, 12, 40, 21, 10
    shapes = (n_dense, n_first), (n_columns, n_first), n_first, (n_first, n_second), n_second, (n_second, 36), 36
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    emission = SparseEmission(**dict(zip(SparseEmission.__dataclass_fields__, arrays, strict=True)))
    features = Features(
        positions=np.arange(n),
        dense=rng.standard_normal((n, n_dense)).astype(np.float32),
        columns=rng.integers(-1, n_columns, (n, 7)).astype(np.int32),
        values=rng.uniform(0, 1, (n, 7)).astype(np.float32),
    )
    features.columns[3] = -1
    out = emission.outputs(features)
    expected = naive_outputs(features.dense, features.columns, features.values, arrays)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)
    for k in range(n):  # to the bit, whichever others are in the call
        alone = emission.outputs(Features(*(part[k : k + 1] for part in features)))
        np.testing.assert_array_equal(alone[0], out[k])


def test_windows_are_compressed_alike_in_any_unit(rng):
    windows = rng.standard_normal((5, 8)).astype(np.float32)
    windows[2] = 0
    scale = np.array([1, 0.5, 0, 3, 1e-6], np.float32)
    small, large = windows.copy(), windows * np.float32(1024)
    _emission.compress(small, scale, np.float32(0.25))
    _emission.compress(large, scale * np.float32(1024), np.float32(0.25))
    np.testing.assert_array_equal(small, large)
    with np.errstate(invalid="ignore"):
        expected = windows / (np.abs(windows) + 0.25 * scale[:, None])
    np.testing.assert_allclose(small, np.nan_to_num(expected), rtol=1e-6)
    mirrored = -windows
    _emission.compress(mirrored, scale, np.float32(0.25))
    np.testing.assert_array_equal(mirrored, -small)


def test_clusters_are_those_of_the_definition(rng):
    for _ in range(50):
        positions = np.sort(rng.integers(0, 300, rng.integers(0, 90)))
        middles, firsts = np.empty((2, len(positions)), np.int64)
        count = _waves.shared_positions(positions, 6, middles, firsts)
        expected = naive_clusters(positions.tolist(), 6)
        assert (middles[:count].tolist(), firsts[:count].tolist()) == expected


def test_peaks_lie_farthest_from_the_chord(rng):
    signal = rng.standard_normal(300).astype(np.float32)
    for _ in range(50):
        onset, offset = np.sort(rng.choice(300, 2, replace=False))
        if offset - onset > 1:
            assert _waves.farthest_from_chord(signal, onset, offset) == naive_wave(signal, onset, offset)


def located(times, shift, *, fs=100.0, n=300, present=None, earliest=0, waves=((3, 6, 1),), longest=0.06):
    """Run `locate_waves` over a sine; waves are (start, stop, state)."""
    starts, stops, states = np.array(waves, dtype=np.int64).T.copy()
    lengths = stops - starts
    out, probability = np.empty((len(starts), 3), np.int64), np.empty(len(starts))
    occupancy = np.arange(1, lengths.sum() + 1) / 100
    signal = np.sin(np.arange(n) / 5).astype(np.float32)
    end = _waves.locate_waves(
        starts, stops, states, occupancy, np.concatenate([[0], np.cumsum(lengths)[:-1]]), shift.astype(np.float32),
        np.ones(len(times), bool) if present is None else present, times, 0.02, longest, signal, 0, fs, earliest,
        out, probability,
    )  # fmt: skip
    return out.tolist(), probability.tolist(), end, signal


def test_edges_lie_where_nodes_and_shifts_say():
    times = np.arange(12) * 0.1
    shift = np.zeros((12, 4))
    shift[3, 2], shift[6, 3] = 1.0, -2.0
    ((onset, peak, offset),), (probability,), end, signal = located(times, shift)
    assert (onset, offset, end) == (32, 56, 56)
    assert peak == naive_wave(signal, 32, 56)
    assert probability == [0.01, 0.02, 0.03][min(int(peak / 10) - 3, 2)]
    shift[3, 2], shift[6, 3] = -50.0, 50.0  # no farther than 60 ms
    ((onset, _, offset),), _, _, _ = located(times, shift)
    assert (onset, offset) == (24, 66)


def test_waves_do_not_overlap_and_stay_inside_the_samples():
    times = np.arange(12) * 0.1
    shift = np.zeros((12, 4))
    shift[6, 3], shift[6, 0] = 2.0, -2.0
    first, second = located(times, shift, waves=((3, 6, 1), (6, 8, 0)))[0]
    assert first[2] == second[0] == 64
    assert located(times, shift, earliest=45)[0][0][0] == 45
    assert located(times, shift, earliest=63)[0][0][0] == -1
    assert located(times, shift, n=50)[0][0][2] == 50
    assert located(times, shift, n=31)[0][0][0] == -1


def test_a_lead_that_says_nothing_at_an_edge_lacks_the_wave():
    times, shift = np.arange(12) * 0.1, np.zeros((12, 4))
    for node in (3, 6):
        present = np.ones(12, bool)
        present[node] = False
        rows, probability, end, _ = located(times, shift, present=present)
        assert (rows[0][0], probability[0], end) == (-1, 0.0, 0)


@pytest.fixture(scope="module")
def training_set():
    parts = [
        list(examples(case, ECG)) for seed in range(2) for case in lead_cases(*ecg(seed, duration=8.0, leads=("II",)))
    ]
    rng = np.random.default_rng(0)
    dictionaries = learn_dictionaries([e.raw for part in parts for e in part], ECG.front_end.features, TINY, rng)
    return coded(enumerate(parts), dictionaries, TINY, ECG), 2 * sum(d.n_atoms for d in dictionaries)


def test_the_gradient_of_training_is_the_slope_of_the_loss(training_set, rng):
    data, n_columns = training_set
    trainer = _Trainer(data, n_columns, ECG_GRAMMAR, replace(TINY, dropout=0.0, shift_weight=0.5), rng)
    for parameter in trainer.parameters.values():  # away from zero, where all is symmetric
        parameter += 0.1 * rng.standard_normal(parameter.shape)
    everything = np.arange(len(data))
    _, gradient = trainer.loss_and_gradient(everything)
    for name, parameter in trainer.parameters.items():
        size = np.linalg.norm(gradient[name])
        assert size > 0, name
        # Along the gradient, where float32 outputs still resolve the difference.
        step = 2e-3 / size * gradient[name]
        kept = parameter.copy()
        parameter += step
        above, _ = trainer.loss_and_gradient(everything)
        parameter[...] = kept - step
        below, _ = trainer.loss_and_gradient(everything)
        parameter[...] = kept
        assert (above - below) / 4e-3 == pytest.approx(size, rel=0.02), name


def test_a_batch_weighs_every_candidate_alike(training_set, rng):
    data, n_columns = training_set
    trainer = _Trainer(data, n_columns, ECG_GRAMMAR, replace(TINY, dropout=0.0), rng)
    sizes = np.diff(data.first_row)
    both, gradient = trainer.loss_and_gradient(np.arange(2))
    alone = [trainer.loss_and_gradient(np.array([k])) for k in range(2)]
    assert both == pytest.approx(sum(n * loss for n, (loss, _) in zip(sizes, alone, strict=True)) / sizes[:2].sum())
    expected = sum(n * g["last"] for n, (_, g) in zip(sizes, alone, strict=True)) / sizes[:2].sum()
    np.testing.assert_allclose(gradient["last"], expected, rtol=1e-3, atol=1e-6)


def test_training_and_labelling_compute_the_same_outputs(training_set, rng):
    """Training multiplies matrices, labelling goes candidate by candidate."""
    data, n_columns = training_set
    emission = _Trainer(data, n_columns, ECG_GRAMMAR, TINY, rng).emission
    features = Features(np.arange(len(data.dense)), data.dense, data.columns, data.values)
    expected = naive_outputs(data.dense, data.columns, data.values, emission.to_arrays().values())
    np.testing.assert_allclose(emission.outputs(features), expected, rtol=1e-3, atol=1e-4)


def test_labelling_works_without_the_compiler(labeler, tmp_path):
    """Coverage and debuggers see inside the loops then; the labels are the same."""
    recording, _ = ecg(2, duration=2.0, leads=LEADS[:2])
    labeler.save(tmp_path / "tiny.npz")
    np.save(tmp_path / "signals.npy", recording.signals)
    script = (
        "import numpy as np; from mhealth.core import Recording; from mhealth.labeling import load; "
        f"signals = np.load({str(tmp_path / 'signals.npy')!r}); "
        "spans = load({!r}).label(Recording(signals=signals, fs=250, channels=('I', 'II'))); "
        "print(spans.onset.tolist(), spans.offset.tolist(), spans.label.tolist())"
    ).replace("{!r}", repr(str(tmp_path / "tiny.npz")))
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, cwd=ROOT, check=True,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    spans = labeler.label(recording)
    assert len(spans) > 4
    expected = f"{spans.onset.tolist()} {spans.offset.tolist()} {spans.label.tolist()}"
    assert done.stdout.strip() == expected
