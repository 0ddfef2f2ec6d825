"""Windows, codes and emission of exported models: C equals its twin, and the twin is near the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mhealth.export._codes import CodesTable
from mhealth.export._emission import EmissionTable
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.labeling import load
from mhealth.labeling._emission import SparseEmission
from mhealth.sparse import Dictionary

DRIVERS = Path(__file__).parent / "drivers"
RING = 1024


def model_of(name):
    return load(name).model_


def small_model(rng, *, n_atoms=24, n_first=48, n_second=24):
    """Return a model of the size that fits a microcontroller, with random weights."""
    model = model_of("ecg")
    dictionaries = []
    for length in model.task.front_end.features.lengths:
        smooth = np.cumsum(rng.standard_normal((n_atoms, length)), axis=1)
        dictionaries.append(Dictionary(atoms=smooth / np.linalg.norm(smooth, axis=1, keepdims=True)))
    shapes = {
        "of_dense": (12, n_first), "of_codes": (2 * n_atoms * len(dictionaries), n_first), "threshold": (n_first,),
        "second": (n_first, n_second), "second_threshold": (n_second,), "last": (n_second, 36), "bias": (36,),
    }  # fmt: skip
    arrays = {name: 0.3 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return replace(model, dictionaries=tuple(dictionaries), emission=SparseEmission(**arrays))


def build(model, folder):
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
    return codes, emission, compile_c(sources, folder / "codes", include=[folder])


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
        rng.integers(-(2**15), 2**15, (count, d.n_points)) >> rng.integers(0, 16, (count, 1))
        for d in codes.dictionaries[len(codes.windows) :]
    ]
    dense = rng.integers(-(2**15), 2**15, (count, len(emission.of_dense.weights))) >> rng.integers(0, 8, (count, 1))
    return positions, known, scales, context, dense


@pytest.mark.parametrize("name", ["ecg", "respiration", "tcn-int8", "small", "odd"])
def test_the_c_computes_what_the_twin_does_of_any_signal(name, rng, tmp_path):
    model = (
        small_model(rng) if name == "small" else small_model(rng, n_atoms=5, n_first=7, n_second=6) if name == "odd"
        else model_of(name)
    )  # fmt: skip
    codes, emission, program = build(model, tmp_path)
    n, count = 3000, 150
    for signal in (
        np.cumsum(rng.integers(-200, 201, n)).clip(-(2**15), 2**15 - 1),
        rng.choice([-(2**15), 2**15 - 1], n),
        np.full(n, 77),
    ):
        given = candidates(rng, codes, emission, n, count)
        twin, written = run_both(codes, emission, program, signal.astype(np.int16), *given)
        np.testing.assert_array_equal(written, twin)
