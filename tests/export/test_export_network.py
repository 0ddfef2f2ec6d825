"""A network in whole numbers beside the segmenter: the C computes what the twin does, that nearly what floats do."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from data_loaders.ludb import Ludb
from mhealth._kernels._fixed_network import network_probabilities
from mhealth._kernels._network import describe, weigh
from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.export._network import SPARE, NetworkTable
from mhealth.export._toolchain import HARNESS
from mhealth.labeling import load
from mhealth.labeling._network import NetworkContext
from mhealth.nn import Layout, Network

DRIVER = Path(__file__).parent / "drivers" / "network.c"
SOURCES = [DRIVER, RUNTIME / "mh_network.c", RUNTIME / "mh_convolve.c"]
NETWORK = Network.from_bytes((Path(__file__).parents[1] / "data" / "tcn" / "int8.npz").read_bytes())
CONTEXT = NetworkContext(network=NETWORK)
TABLE = NetworkTable.of(CONTEXT)
UNITS = 1000
"""ADC units of a millivolt."""


def write_table(folder, table, profile="size") -> None:
    """Write what the driver includes: the table, and a state with its memory."""
    sizes = table.sizes
    lines = [
        '#include "mh_network.h"\n',
        table.to_c("table", profile=profile),
        f"static int8_t memory[{sizes['memory']}];",
        f"static mh_convolve_layer_t layers[{sizes['layers']}];",
        f"static int8_t logits[{sizes['logits']}];",
        "static mh_network_state_t network = {.layers = {memory, layers}, .logits = logits};\n",
    ]
    (folder / "network_table.h").write_text("\n".join(lines))


def compiled(folder) -> Path:
    return compile_c([*SOURCES, HARNESS / "harness_host.c"], folder / "network", include=[HARNESS, folder])


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    write_table(folder, TABLE)
    return compiled(folder)


def lead_like_an_ecg(rng, n) -> np.ndarray:
    """Return samples in ADC units: spikes, bumps, drift and noise."""
    t = np.arange(n)
    phase = (t + rng.integers(200)) % 200
    waves = np.exp(-(((phase - 100) / 3) ** 2)) + 0.3 * np.exp(-(((phase - 150) / 12) ** 2))
    noisy = waves + 0.2 * np.sin(t / 300) + 0.02 * rng.standard_normal(n)
    return np.clip(np.round(UNITS * noisy), -(2**15), 2**15 - 1).astype(np.int64)


def scales_of(samples) -> np.ndarray:
    """Return the running scale at each sample, Q24.8, at least 1."""
    scale = RunningScale().measure(samples.astype(np.float32), fs=NETWORK.rate).scale
    return np.maximum(1, np.round(256 * scale)).astype(np.int64)


def said_by_twin(samples, scales, candidates, table=TABLE) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of all outputs, and what describes candidates."""
    twin = table.open()
    twin.push(samples, scales)
    twin.drain()
    return twin.logits, twin.describe(candidates)


def parsed(numbers) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and descriptions that the driver wrote."""
    found, at = {-1: [], -2: []}, 0
    sizes = {-1: TABLE.n_classes + 1, -2: TABLE.n_dense}
    while at < len(numbers):
        kind = int(numbers[at])
        found[kind].append(numbers[at + 1 : at + 1 + sizes[kind]])
        at += 1 + sizes[kind]
    outputs, descriptions = (np.array(rows).reshape(-1, sizes[kind]) for kind, rows in found.items())
    return outputs, descriptions


def assert_same(run, samples, scales, late=0, table=TABLE) -> None:
    """Compare what a program says with the twin; each candidate is described so many outputs after it could be."""
    candidates = np.arange(len(samples) % 5, len(samples), 5)
    body = np.stack([samples, scales], axis=1).ravel()
    numbers = np.concatenate([[len(candidates), late], candidates, [len(samples)], body]).astype(np.int32)
    outputs, descriptions = parsed(run(numbers))
    expected, described = said_by_twin(samples, scales, candidates, table)
    np.testing.assert_array_equal(outputs, expected)
    np.testing.assert_array_equal(descriptions, described)


@pytest.mark.parametrize("late", [0, SPARE])
def test_the_c_computes_what_the_twin_does(program, rng, late):
    samples = lead_like_an_ecg(rng, 2000)
    assert_same(lambda numbers: run_program(program, numbers), samples, scales_of(samples), late)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 77, 200])
def test_the_c_computes_what_the_twin_does_on_short_stretches(program, rng, n):
    samples = lead_like_an_ecg(rng, n)
    assert_same(lambda numbers: run_program(program, numbers), samples, scales_of(samples))


def test_the_c_computes_what_the_twin_does_on_extremes(program, rng):
    extremes = rng.choice([-(2**15), -1, 0, 1, 2**15 - 1], 900)
    scales = rng.choice([1, 2, 300, 2**24 - 1, 2**25 - 1], 900)
    assert_same(lambda numbers: run_program(program, numbers), extremes, scales)
    assert_same(lambda numbers: run_program(program, numbers), np.repeat(extremes[:3], 300), scales)
    assert_same(lambda numbers: run_program(program, numbers), rng.integers(-(2**15), 2**15, 900), scales)


def test_every_target_computes_what_the_twin_does(target, tmp_path, rng):
    write_table(tmp_path, TABLE)
    program = target.compile(SOURCES, tmp_path / "network", include=[tmp_path])
    samples = lead_like_an_ecg(rng, 400)
    assert_same(lambda numbers: target.run(program, numbers).output, samples, scales_of(samples))


def test_chunks_do_not_matter_to_the_twin(rng):
    samples = lead_like_an_ecg(rng, 700)
    scales = scales_of(samples)
    twin = TABLE.open()
    for part in np.split(np.arange(700), [0, 1, 2, 333, 334, 600]):
        twin.push(samples[part], scales[part])
    twin.drain()
    expected, described = said_by_twin(samples, scales, np.arange(0, 700, 3))
    np.testing.assert_array_equal(twin.logits, expected)
    np.testing.assert_array_equal(twin.describe(np.arange(0, 700, 3)), described)


def test_a_candidate_is_known_once_what_describes_it_changes_no_more(rng):
    samples = lead_like_an_ecg(rng, 900)
    scales = scales_of(samples)
    twin, candidate = TABLE.open(), 402
    known = np.zeros(900, bool)
    for n in range(900):
        twin.push(samples[n : n + 1], scales[n : n + 1])
        known[n] = twin.knows(candidate)
        if known[n] and not known[n - 1]:
            described = twin.describe([candidate])
    assert candidate + TABLE.delay_samples - TABLE.stride < np.argmax(known) <= candidate + TABLE.delay_samples
    np.testing.assert_array_equal(twin.describe([candidate]), described)


def float_inputs(samples, network=NETWORK) -> np.ndarray:
    inputs = network.input.prepare(samples.astype(np.float32) / UNITS, fs=network.rate)
    return network.layers.inputs.encode(inputs)


def fixed_inputs(samples, table=TABLE) -> np.ndarray:
    seen = []
    twin = table.open()
    advance = twin._advance
    twin._advance = lambda inputs: (seen.append(inputs), advance(inputs))
    twin.push(samples, scales_of(samples))
    return np.concatenate(seen)


@pytest.mark.parametrize("gain", [0.05, 1, 10])
def test_inputs_are_those_of_floats_but_for_rounding(rng, gain):
    samples = np.round(gain * lead_like_an_ecg(rng, 5000)).astype(np.int64)
    found, expected = fixed_inputs(samples).astype(int), float_inputs(samples).astype(int)
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.99


def test_probabilities_are_off_by_half_a_part_of_255_and_little_more(rng):
    scale = NETWORK.layers.outputs.scale
    logits = np.concatenate([rng.integers(-128, 128, (3000, 4)), rng.integers(0, 20, (3000, 4))])
    found = np.empty((len(logits), 3), np.uint8)
    network_probabilities(logits, TABLE.exponentials, found)
    exact = np.exp(scale * (logits - logits.max(axis=1, keepdims=True)))
    exact = exact[:, 1:] / exact.sum(axis=1, keepdims=True)
    # Each of four exponentials is off by half of 2^-15 of the largest one; the quotient is rounded to a part of 255.
    assert np.abs(found / 255 - exact).max() <= 0.5 / 255 + (1 + 4) * 2.0**-16


def described_by_floats(logits, positions, context=CONTEXT) -> np.ndarray:
    """Return what logits, float32, say around candidates as the labeler reads them."""
    near, starts, counts, step, largest = context.reading
    odds, probability = np.empty((2, len(logits), logits.shape[1] - 1), np.float32)
    weigh(logits, np.float32(largest), odds, probability)
    dense = np.empty((len(positions), context.n_dense), np.float32)
    describe(odds, probability, 0, context.network.layout.stride, positions, near, starts, counts, step, dense)
    return dense


def test_the_same_logits_say_the_same_as_to_floats_but_for_rounding(rng):
    samples = lead_like_an_ecg(rng, 3000)
    positions = np.arange(0, 3000, 7)
    outputs, dense = said_by_twin(samples, scales_of(samples), positions)
    expected = described_by_floats(NETWORK.layers.outputs.decode(outputs[:, :4].astype(np.int8)), positions)
    errors = np.abs(dense / 2**11 - expected)
    n_near = len(TABLE.reading.near) * TABLE.n_classes
    assert errors[:, :n_near].max() < 2**-11  # log odds and what lies between them, each rounded to 2^-11
    assert errors[:, n_near:].max() < 0.5 / 255 + 5 * 2.0**-16 + 2**-12  # see above; the mean is rounded to 2^-11


@pytest.mark.realdata
@pytest.mark.parametrize("profile", ["size", "speed"])
def test_the_c_computes_what_the_twin_does_on_leads_of_people(data_dir, tmp_path, profile):
    table = NetworkTable.of(load("tcn-int8").model_.task.front_end.features.context)
    write_table(tmp_path, table, profile)
    program = compiled(tmp_path)
    for recording, _, _ in islice(Ludb(data_dir / "ludb"), 2):
        samples = np.round(UNITS * recording.signals[::2, 1]).astype(np.int64)
        assert_same(lambda numbers: run_program(program, numbers), samples, scales_of(samples), table=table)


@pytest.mark.realdata
def test_leads_of_people_are_described_nearly_as_by_floats(data_dir):
    """Inputs that are off by one in 600 shift logits by a fifth of their unit on average: 0.02 of log odds."""
    context = load("tcn-int8").model_.task.front_end.features.context
    table, network = NetworkTable.of(context), context.network
    ends = network.layers.outputs
    recording, _, _ = next(iter(Ludb(data_dir / "ludb")))
    for channel in (1, 6):
        samples = np.round(UNITS * recording.signals[::2, channel]).astype(np.int64)
        positions = np.arange(3, len(samples), 9)
        outputs, dense = said_by_twin(samples, scales_of(samples), positions, table)
        logits = network.logits((samples / UNITS).astype(np.float32))
        assert (fixed_inputs(samples, table) == float_inputs(samples, network)).mean() > 0.997
        assert np.abs(outputs[:, :4] - ends.zero_point - logits / ends.scale).mean() < 0.5
        errors = np.abs(dense / 2**11 - described_by_floats(logits, positions, context))
        assert errors.mean() < 0.01
        assert np.quantile(errors, 0.99) < 0.1


def test_what_c_cannot_run_is_refused():
    layout = Layout(stride=2, before=0, after=8, alignment=2)
    whole = Network(name="unet", graph=b"", layout=layout, block=64)
    with pytest.raises(InvalidParameterError, match="network='unet' reads whole recordings; expected a causal one"):
        NetworkTable.of(NetworkContext(network=whole))
    floats = Network.from_bytes((Path(__file__).parents[1] / "data" / "tcn" / "float.npz").read_bytes())
    with pytest.raises(InvalidParameterError, match="is in float32; expected int8"):
        NetworkTable.of(NetworkContext(network=floats))
    many = replace(NETWORK, classes=tuple("abcdefghij"))
    with pytest.raises(InvalidParameterError, match="has 9 classes beside a; expected at most 8"):
        NetworkTable.of(NetworkContext(network=many))
