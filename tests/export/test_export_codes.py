"""Windows, codes and emission of exported models: C equals its twin, and the twin is near the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from data_loaders.bidmc import Bidmc
from data_loaders.ludb import Ludb
from mhealth._kernels._fixed_windows import cut_window
from mhealth.errors import InvalidParameterError
from mhealth.export._codes import Codes, CodesTable, DictionaryTable
from mhealth.export._emission import CODE_BITS, DENSE_BITS, POTENTIAL_BITS, EmissionTable, LayerTable
from mhealth.export._host import RUNTIME, SANITIZERS, compile_c, run_program
from mhealth.export._windows import WindowTable
from mhealth.labeling import load
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._features import FeatureStream, code
from mhealth.sparse import Dictionary, Window, extract_windows, omp

DRIVERS = Path(__file__).parent / "drivers"
RING = 1024


def model_of(name):
    return load(name).model_


def small_model(rng, *, n_atoms=24, n_first=48, n_second=24):
    """Return a model of the size that fits a microcontroller, with random weights."""
    model = model_of("ecg")
    dictionaries = []
    for length in model.task.front_end.features.lengths:
        smooth = gaussian_filter1d(rng.standard_normal((n_atoms, length)), 1.0, axis=1)
        dictionaries.append(Dictionary(atoms=smooth / np.linalg.norm(smooth, axis=1, keepdims=True)))
    shapes = {
        "of_dense": (12, n_first), "of_codes": (2 * n_atoms * len(dictionaries), n_first), "threshold": (n_first,),
        "second": (n_first, n_second), "second_threshold": (n_second,), "last": (n_second, 36), "bias": (36,),
    }  # fmt: skip
    arrays = {name: 0.3 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return replace(model, dictionaries=tuple(dictionaries), emission=SparseEmission(**arrays))


def build(model, folder, *flags):
    """Return the tables of a model, and the C around them compiled."""
    codes, emission = CodesTable.of(model), EmissionTable.of(model)
    n_context = sum(d.n_points for d in codes.dictionaries[len(codes.windows) :])
    sizes = {
        "LONGEST": codes.longest, "MOST_ATOMS": codes.most_atoms, "N_DICTIONARIES": len(codes.dictionaries),
        "N_NONZERO": codes.n_nonzero, "N_FIRST": len(emission.threshold), "N_SECOND": len(emission.second_threshold),
        "N_CONTEXT": n_context, "N_DENSE": len(emission.of_dense.weights), "N_STATES": emission.n_states,
    }  # fmt: skip
    lines = [f"#define {name} {value}u" for name, value in sizes.items()]
    (folder / "table.h").write_text("\n".join([*lines, codes.to_c("codes"), emission.to_c("emission")]))
    sources = [DRIVERS / "codes.c", *(RUNTIME / f"mh_{stage}.c" for stage in ("windows", "codes", "emission"))]
    return codes, emission, compile_c(sources, folder / "codes", include=[folder], flags=("-O1", *SANITIZERS, *flags))


def run_both(codes, emission, program, signal, positions, known, scales, context, dense):
    """Return what the twin and the C say of candidates, of which each is asked for when so many samples are known."""
    coder, emitter = codes.open(), emission.open()
    given, twin, n_given = [], [], 0
    for i, position in enumerate(positions):
        new = signal[n_given : known[i]]
        n_given = max(n_given, known[i])
        given += [np.column_stack([np.zeros(len(new), int), new]).ravel()]
        first = max(0, n_given - RING)
        given += [[1, position, scales[i], first], *(part[i] for part in context), dense[i]]
        at = slice(i, i + 1)
        found = coder.push(signal[:n_given], positions[at], scales[at], [part[at] for part in context], first=first)
        used = found.columns[0] >= 0
        columns, values = np.full(codes.n_codes, -1), np.zeros(codes.n_codes, int)
        columns[: used.sum()], values[: used.sum()] = found.columns[0][used], found.values[0][used]
        outputs = emitter.push(dense[at], found)
        twin.append(np.concatenate([columns, values, outputs.potentials[0], outputs.shifts[0]]))
    written = run_program(program, np.concatenate(given).astype(np.uint32).view(np.int32))
    return np.array(twin), written.reshape(len(positions), -1)


def candidates(rng, codes, emission, n_samples, count):
    """Return positions in order, how much is known at each, scales, context windows, numbers."""
    positions = np.sort(rng.integers(0, n_samples, count))
    known = np.minimum(positions + 1 + rng.integers(0, 120, count), n_samples)
    known = np.maximum.accumulate(known)
    scales = (2.0 ** rng.uniform(0, 24, count)).astype(np.int64)
    scales[: count // 20] = 1
    context = [
        rng.integers(-(2**30), 2**30 + 1, (count, d.n_points)) >> rng.integers(0, 31, (count, 1))
        for d in codes.dictionaries[len(codes.windows) :]
    ]
    dense = rng.integers(-(2**15), 2**15, (count, len(emission.of_dense.weights))) >> rng.integers(0, 8, (count, 1))
    return positions, known, scales, context, dense


@pytest.mark.parametrize("name", ["ecg", "ecg-mcu", "respiration-mcu", "tcn-int8", "odd"])
def test_the_c_computes_what_the_twin_does_of_any_signal(name, rng, tmp_path):
    is_odd = name == "odd"  # no number is a multiple of four
    model = replace(small_model(rng, n_atoms=5, n_first=7, n_second=3), n_nonzero=3) if is_odd else model_of(name)
    codes, emission, program = build(model, tmp_path, *["-DMH_NO_BUILTINS"] * is_odd)
    n, count = 3000, 150
    for signal in (
        np.cumsum(rng.integers(-200, 201, n)).clip(-(2**15), 2**15 - 1),
        rng.choice([-(2**15), 2**15 - 1], n),
        np.repeat(rng.choice([-(2**15), 2**15 - 1], n // 100), 100),
        np.full(n, 77),
    ):
        given = candidates(rng, codes, emission, n, count)
        twin, written = run_both(codes, emission, program, signal.astype(np.int16), *given)
        np.testing.assert_array_equal(written, twin)


@pytest.mark.parametrize("detrend", ["mean", "linear"])
@pytest.mark.parametrize(
    ("before", "after", "n_points"), [(0.1, 0.1, 25), (1.6, 0.4, 40), (0.0, 0.3, 4), (0.5, 0.0, 63)]
)
def test_windows_are_those_of_the_model_to_a_twentieth_of_a_unit(before, after, n_points, detrend, rng):
    signal = rng.integers(-3000, 3000, 600).astype(np.int16)
    window = Window(before=before, after=after, n_points=n_points, detrend=detrend)
    table = WindowTable.of(window, rate=250.0)
    positions = np.concatenate([[0, 1, 598, 599], rng.integers(0, 600, 50)])
    bins = np.empty((len(positions), n_points), np.int64)
    for position, row in zip(positions.tolist(), bins, strict=True):
        cut_window(
            signal.astype(np.int64), 0, position, table.start, table.widths.astype(np.int64), table.inverse_moment, row
        )
    expected = extract_windows(signal.astype(np.float64), positions, window, rate=250.0)
    np.testing.assert_allclose(bins / 256, expected, atol=0.05)  # an ADC unit is 1


def test_codes_are_those_of_the_rounded_atoms(rng):
    model = small_model(rng)
    table = CodesTable.of(model)
    signal = np.cumsum(rng.standard_normal(5000) * 60)
    signal = np.rint(signal - np.linspace(0, signal[-1], 5000)).astype(np.int16)
    positions = np.arange(500, 4800, 20)
    scales = np.full(len(positions), 200 * 256)
    context = [rng.integers(-(2**17), 2**17, (len(positions), 25)) for _ in range(2)]
    twin = table.open()
    found = twin.push(signal, positions, scales, context)
    for k, windows in enumerate(twin.windows(signal, positions, scales, context)):
        slots = slice(k * model.n_nonzero, (k + 1) * model.n_nonzero)
        columns, values = found.columns[:, slots], found.values[:, slots]
        rounded = table.dictionaries[k].restored
        first = 2 * table.dictionaries[k].n_atoms * k
        exact = omp(
            windows / 2**14, Dictionary(atoms=rounded / np.linalg.norm(rounded, axis=1, keepdims=True)), n_nonzero=5
        )
        codes = np.zeros((len(positions), 2 * table.dictionaries[k].n_atoms))
        rows, at = np.nonzero(columns >= 0)
        codes[rows, columns[rows, at] - first] = values[rows, at] / 2**CODE_BITS
        signed = codes[:, : rounded.shape[0]] - codes[:, rounded.shape[0] :]
        same = (np.sort(columns) == np.sort(_columns(exact, first))).all(axis=1)
        assert same.mean() > 0.9  # random atoms are much alike; where two fit equally well, either may be taken
        np.testing.assert_allclose(signed[same], exact.to_dense()[same], atol=0.03)
        left = np.linalg.norm(windows / 2**14 - signed @ rounded, axis=1)
        least = np.linalg.norm(windows / 2**14 - exact.to_dense() @ rounded, axis=1)
        assert left.mean() < 1.02 * least.mean()
    assert twin.saturated == 0


def _columns(codes, first):
    """Return the sign-split columns of codes, −1 where unused."""
    columns = codes.support + np.where(codes.coefficient < 0, codes.n_atoms, 0) + first
    return np.where(codes.support >= 0, columns, -1)


def described(model, signal):
    """Return what the float pipeline knows of the candidates of a signal, and the same in whole numbers."""
    lead = model.task.front_end.segmenter.open_lead()
    found = [lead.push(signal.astype(np.float32)), lead.flush()]
    positions = np.concatenate([part.position for part in found])
    scales = np.concatenate([part.running_scale for part in found])
    settings = model.task.front_end.features
    stream = FeatureStream(settings)
    stream.push(signal.astype(np.float32))
    raw = stream.flush(positions, scales)
    level = 256 * (settings.knee * scales)[:, None].astype(np.float64)
    context = [np.rint(part * level / (1 - np.abs(part))).astype(int) for part in raw.windows[len(settings.windows) :]]
    dense = np.rint(raw.dense * 2**DENSE_BITS).clip(-(2**15), 2**15 - 1).astype(int)
    return raw, (positions, np.rint(scales * 256).astype(np.int64), context, dense)


def leads_of(name, data_dir):
    """Yield the first seconds of real leads at the internal rate of a model, 1000 units per mV or breath."""
    model = model_of(name)
    is_breath = model.task.kind == "respiration"
    records = Bidmc(data_dir / "bidmc") if is_breath else Ludb(data_dir / "ludb")
    for record in records.records[5:60:25]:
        recording = records.load(record)[0]
        stream = model.task.front_end.segmenter.resampler.open(fs=recording.fs)
        for samples in recording.signals.T[: 1 if is_breath else 12 : 4]:
            lead = np.concatenate([stream.push(samples), stream.flush()])
            unit = lead.std() if is_breath else 1.0
            yield np.rint(1000 * lead / unit).clip(-(2**15), 2**15 - 1).astype(np.int16)
            stream = model.task.front_end.segmenter.resampler.open(fs=recording.fs)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "nats", "of_layers"),
    [("ecg", 0.045, 0.01), ("ecg-mcu", 0.035, 0.01), ("respiration-mcu", 0.035, 0.01), ("tcn-int8", 0.015, 0.015)],
)
def test_potentials_of_real_leads_are_near_those_of_the_model(name, nats, of_layers, data_dir):
    model = model_of(name)
    codes, emission = CodesTable.of(model), EmissionTable.of(model)
    coder, emitter, n_potentials = codes.open(), emission.open(), 4 * emission.n_states
    errors, layer_errors, shift_errors = [], [], []
    for signal in leads_of(name, data_dir):
        raw, (positions, scales, context, dense) = described(model, signal)
        features = code(raw, model.dictionaries, model.n_nonzero)
        expected = model.emission.outputs(features)
        outputs = emitter.push(dense, coder.push(signal, positions, scales, context))
        exact_codes = Codes(features.columns, np.rint(features.values * 2**CODE_BITS).astype(np.int16))
        errors.append(outputs.potentials / 2**POTENTIAL_BITS - expected[:, :n_potentials])
        layers = emitter.push(dense, exact_codes)
        layer_errors.append(layers.potentials / 2**POTENTIAL_BITS - expected[:, :n_potentials])
        samples = expected[:, n_potentials:] * model.task.shift_unit * model.task.front_end.rate
        shift_errors.append(layers.shifts - samples.clip(-emission.farthest, emission.farthest))
    assert np.sqrt(np.mean(np.concatenate(errors) ** 2)) < nats
    assert np.sqrt(np.mean(np.concatenate(layer_errors) ** 2)) < of_layers
    assert np.abs(np.concatenate(shift_errors)).max() < 1.0
    assert coder.saturated == 0
    assert not emitter.saturated.any()


@pytest.mark.realdata
def test_the_c_computes_what_the_twin_does_of_real_leads(data_dir, tmp_path):
    model = model_of("ecg-mcu")
    codes, emission, program = build(model, tmp_path)
    for signal in leads_of("ecg-mcu", data_dir):
        _, (positions, scales, context, dense) = described(model, signal)
        known = np.minimum(positions + 1 + codes.lookahead_samples, len(signal))
        twin, written = run_both(codes, emission, program, signal, positions, known, scales, context, dense)
        np.testing.assert_array_equal(written, twin)


def test_rounding_errors_are_reported_by_layer(rng):
    model = small_model(rng)
    codes, emission = CodesTable.of(model).errors(model), EmissionTable.of(model).errors(model)
    assert set(codes) == {f"dictionary {k}" for k in range(5)}
    assert set(emission) == {"of_dense", "of_codes", "second", "last"}
    for error in (*codes.values(), *emission.values()):
        assert 0 < error < 0.02  # int8: half a step of 1/127 of the largest, uniformly
    assert LayerTable.of(np.eye(4), bits=0).error(np.eye(4), bits=0) < 1e-6


def test_a_saturating_emission_is_counted(rng):
    model = small_model(rng)
    loud = replace(
        model.emission,
        second_threshold=np.full(24, 31.0, np.float32),
        bias=np.repeat(np.float32([127.0, 0.0]), [24, 12]),
    )
    emitter = EmissionTable.of(replace(model, emission=loud)).open()
    none = Codes(np.full((10, 25), -1, np.int32), np.zeros((10, 25), np.int16))
    emitter.push(np.full((10, 12), 2**15 - 1, np.int16), none)
    assert emitter.saturated[1:].all()


def test_what_does_not_fit_is_refused_by_name(rng):
    model = small_model(rng)
    long = Dictionary(atoms=np.eye(64)[:8])
    features = model.task.front_end.features
    coarse = Window(before=60.0, after=0.0, n_points=10)
    for broken, reason in (
        (replace(model, leads=("I", "II")), "leads I, II together"),
        (replace(model, n_nonzero=6), "n_nonzero=6"),
        (replace(model, dictionaries=(long,)), "64 points"),
        (with_features(model, replace(features, knee=16.0)), "knee=16.0"),
        (with_features(model, replace(features, windows=(coarse,))), "1500 samples"),
    ):
        with pytest.raises(InvalidParameterError, match=reason):
            CodesTable.of(broken)
    wide = SparseEmission(**{**model.emission.to_arrays(), "second": np.zeros((512, 24), np.float32)})
    heavy = replace(model.emission, bias=np.repeat(np.float32([200.0, 0.0]), [24, 12]))
    large = replace(model.emission, of_dense=np.full((12, 48), 200.0, np.float32))
    for emission, reason in ((wide, "512 and 24"), (heavy, "200 does not fit"), (large, "up to 200")):
        with pytest.raises(InvalidParameterError, match=reason):
            EmissionTable.of(replace(model, emission=emission))


def with_features(model, features):
    """Return a model with other settings of its features."""
    task = model.task
    return replace(model, task=replace(task, front_end=replace(task.front_end, features=features)))


def test_a_dictionary_keeps_its_atoms(rng):
    atoms = np.linalg.qr(rng.standard_normal((40, 40)))[0][:9]
    table = DictionaryTable.of(Dictionary(atoms=atoms))
    np.testing.assert_allclose(table.restored, atoms, atol=0.5 / 127 * np.abs(atoms).max() * 1.1)
    np.testing.assert_allclose(table.gram / 2**13, table.restored @ table.restored.T, atol=2.0**-13)
