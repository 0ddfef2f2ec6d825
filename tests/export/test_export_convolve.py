"""Generated int8 convolutions compute, bit for bit, what the Python twin does and LiteRT's BUILTIN_REF."""

from pathlib import Path

import numpy as np
import pytest
from litert_graphs import GOLDEN, Shape, drawn_case, drawn_shapes, n_samples_left, write_graph

from mhealth.dsp import Convolution, Convolutions, QuantizedAddition, QuantizedConvolution, quantized_multiplier
from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.export._c_tables import c_array
from mhealth.export._convolve import ConvolveTable
from mhealth.export._host import RUNTIME, SANITIZERS, compile_c, run_program
from mhealth.export._toolchain import HARNESS
from mhealth.nn import Network
from mhealth.nn._causal import to_convolutions
from mhealth.nn._flatbuffer import read_graph

DRIVER = Path(__file__).parent / "drivers" / "convolve.c"
SOURCES = [DRIVER, RUNTIME / "mh_convolve.c"]
TCN = Path(__file__).parents[1] / "data" / "tcn"

with np.load(GOLDEN) as archive:
    N_GOLDEN = sum(name.startswith("graph") for name in archive.files)
    CASES = [tuple(archive[f"{name}{k}"] for name in ("graph", "inputs", "outputs")) for k in range(N_GOLDEN)]


def write_stacks(folder, stacks) -> None:
    """Write the tables of stacks, each in both profiles, and their memory; stack k of a profile is 2 k + profile."""
    parts, rows = [], []
    for k, stack in enumerate(stacks):
        table = ConvolveTable.of(stack)
        parts.append(f"static int8_t memory{k}[{table.memory_bytes}];")
        parts.append(f"static mh_convolve_layer_t places{k}[{len(stack.layers)}];\n")
        for profile in ("size", "speed"):
            name = f"stack{k}_{profile}"
            parts.append(table.to_c(name, profile=profile))
            rows.append(f"    {{&{name}, {{memory{k}, places{k}}}}},")
    parts.append("static a_stack_t stacks[] = {\n" + "\n".join(rows) + "\n};\n")
    (folder / "stacks.h").write_text("\n".join(parts))


def compiled(folder, stacks) -> Path:
    write_stacks(folder, stacks)
    harness = HARNESS / "harness_host.c"
    # Kernels that are written out take long to optimise with sanitizers.
    return compile_c([*SOURCES, harness], folder / "stacks", include=[HARNESS, folder], flags=("-O0", *SANITIZERS))


def asked(k, profile, inputs) -> np.ndarray:
    """Return what the program is told to run inputs through a stack."""
    head = [2 * k + ("size", "speed").index(profile), len(inputs)]
    return np.concatenate([head, inputs.ravel()]).astype(np.int32)


def said_by_c(program, k, profile, inputs, n_outputs) -> np.ndarray:
    return run_program(program, asked(k, profile, inputs)).reshape(-1, n_outputs)


def stack_of(graph) -> Convolutions:
    return to_convolutions(read_graph(bytes(graph)))


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("golden"), [stack_of(graph) for graph, _, _ in CASES])


@pytest.mark.parametrize("profile", ["size", "speed"])
def test_layers_of_any_shape_compute_what_litert_does(golden, profile):
    for k, (graph, inputs, outputs) in enumerate(CASES):
        np.testing.assert_array_equal(stack_of(graph).open().push(inputs), outputs)
        np.testing.assert_array_equal(said_by_c(golden, k, profile, inputs, outputs.shape[1]), outputs)


def test_the_shapes_that_litert_was_asked_about_are_of_every_kind():
    layers = [layer for graph, _, _ in CASES for layer in stack_of(graph).layers]
    assert {layer.n_taps for layer in layers} == set(range(1, 10))
    assert {layer.stride for layer in layers} >= {1, 2, 8}
    assert {layer.dilation for layer in layers} >= {1, 2, 16}
    assert {layer.padded for layer in layers} == {True, False}
    assert {layer.rounded_once for layer in layers} == {True, False}
    assert sum(layer.addition is not None for layer in layers) >= 4
    assert {layer.weights.shape[2] % 4 for layer in layers} == {0, 1, 2, 3}


def test_other_layers_compute_what_litert_does(tmp_path, rng):
    """Drawn anew, with up to 64 numbers a moment."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'mhealth[litert]'")
    cases = [drawn_case(rng, n_layers=1 + k % 4, most_channels=(8, 64)[k % 2]) for k in range(6)]
    program = compiled(tmp_path, [stack_of(graph) for graph, _, _ in cases])
    for k, (_, inputs, outputs) in enumerate(cases):
        for profile in ("size", "speed"):
            np.testing.assert_array_equal(said_by_c(program, k, profile, inputs, outputs.shape[1]), outputs)


def random_stack(rng, shapes) -> Convolutions:
    """Return layers with weights, zero points, multipliers and bounds up to the ends of their ranges."""
    layers, zero, zeros = [], int(rng.integers(-128, 128)), []
    for shape in shapes:
        kernel = (shape.n_taps, shape.n_inputs, shape.n_outputs)
        pairs = [quantized_multiplier(factor) for factor in np.exp(rng.uniform(-12, 1, shape.n_outputs))]
        multipliers, shifts = np.array(pairs, np.int32).T
        after, low, high = int(rng.integers(-128, 128)), *np.sort(rng.choice([-128, -100, 0, 100, 127], 2, False))
        addition = None
        if shape.shortcut is not None:
            sides = rng.permutation([0.5, rng.uniform(0.001, 0.5)])  # half of the wider outputs, less of the others
            factors = [quantized_multiplier(factor) for factor in (*sides, 2.0**-19 * rng.uniform(0.01, 0.9))]
            multiplied, shifted = zip(*factors, strict=True)
            of_sum = int(rng.integers(-128, 128))
            addition = QuantizedAddition(shape.shortcut, (after, zeros[shape.shortcut], of_sum), multiplied, shifted)
        layers.append(
            QuantizedConvolution(
                weights=rng.choice([-127, 127], kernel).astype(np.int8) if rng.random() < 0.3
                else rng.integers(-127, 128, kernel).astype(np.int8),
                bias=rng.integers(-(2**20), 2**20, shape.n_outputs).astype(np.int32),
                multipliers=multipliers, shifts=shifts, zero_points=(zero, after), bounds=(int(low), int(high)),
                stride=shape.stride, dilation=shape.dilation, padded=shape.causal, rounded_once=shape.dense,
                addition=addition,
            )
        )  # fmt: skip
        zero = after if addition is None else addition.zero_points[2]
        zeros.append(zero)
    return Convolutions(layers=tuple(layers))


def test_layers_at_the_ends_of_their_ranges_compute_what_the_twin_does(tmp_path, rng):
    drawn = [drawn_shapes(rng, n_layers=1 + k % 5, most_channels=(6, 24)[k % 2]) for k in range(24)]
    stacks = [random_stack(rng, shapes) for shapes in drawn if n_samples_left(shapes, 300) > 2]
    assert len(stacks) > 12
    program = compiled(tmp_path, stacks)
    for k, stack in enumerate(stacks):
        first, last = stack.layers[0], stack.layers[-1]
        inputs = rng.integers(-128, 128, (300, first.weights.shape[1])).astype(np.int8)
        inputs[100:150] = rng.choice([-128, 127], inputs[100:150].shape)
        expected = stack.open().push(inputs)
        for profile in ("size", "speed"):
            found = said_by_c(program, k, profile, inputs, last.weights.shape[2])
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("profile", ["size", "speed"])
def test_a_network_computes_what_litert_does(tmp_path, profile):
    network = Network.from_bytes((TCN / "int8.npz").read_bytes())
    with np.load(TCN / "litert.npz") as said:
        lead, logits = said["lead"], said["int8"]
    inputs = network.input.prepare(lead, fs=network.rate)
    inputs = network.layers.inputs.encode(np.pad(inputs, ((0, network.layout.lookahead), (0, 0))))
    program = compiled(tmp_path, [network.layers])
    outputs = said_by_c(program, 0, profile, inputs, len(network.classes))
    early = network.layout.lookahead // network.layout.stride
    np.testing.assert_array_equal(network.layers.outputs.decode(outputs[early : early + len(logits)]), logits)


def test_a_second_start_forgets_the_first(golden):
    _, inputs, outputs = CASES[3]
    numbers = run_program(golden, np.concatenate([asked(3, "size", inputs), asked(3, "size", inputs)]))
    np.testing.assert_array_equal(numbers.reshape(2, *outputs.shape), np.stack([outputs, outputs]))


def test_layers_compute_the_same_on_every_target(target, tmp_path):
    chosen = [k for k, (graph, _, _) in enumerate(CASES) if len(graph) < 4000][:6]
    write_stacks(tmp_path, [stack_of(CASES[k][0]) for k in chosen])
    program = target.compile(SOURCES, tmp_path / "stacks", include=[tmp_path])
    for at, k in enumerate(chosen):
        _, inputs, outputs = CASES[k]
        for profile in ("size", "speed"):
            found = target.run(program, asked(at, profile, inputs)).output
            np.testing.assert_array_equal(found.reshape(outputs.shape), outputs)


@pytest.mark.parametrize(
    ("code", "said"),
    [(4, "DEPTHWISE_CONV_2D"), (14, "LOGISTIC"), (17, "MAX_POOL_2D"), (44, "UNIDIRECTIONAL_SEQUENCE_LSTM")],
)
def test_other_operators_are_refused_by_name(code, said, rng):
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'mhealth[litert]'")
    from litert_graphs import Writer

    writer = Writer(rng)
    first, last = (writer.tensor([1, 8, 2], scales=[0.1]) for _ in range(2))
    writer.operate(code, [first], last)
    with pytest.raises(ModelFileError, match=f"it has {said}"):
        stack_of(writer.content(first, last))


def test_layers_that_c_has_no_room_for_are_refused():
    floats = Convolution(weights=np.ones((1, 1, 1), np.float32), bias=np.zeros(1, np.float32))
    with pytest.raises(InvalidParameterError, match="layer 0 of the network is in float32; expected int8"):
        ConvolveTable.of(Convolutions(layers=(floats,)))

    def layer(**changes):
        fields = {
            "weights": np.ones((2, 2, 1), np.int8), "bias": np.zeros(1, np.int32), "zero_points": (0, 0),
            "multipliers": np.array([2**30], np.int32), "shifts": np.zeros(1, np.int32),
        }  # fmt: skip
        return Convolutions(layers=(QuantizedConvolution(**{**fields, **changes}),))

    ConvolveTable.of(layer(weights=np.ones((16, 2, 1), np.int8)))
    with pytest.raises(InvalidParameterError, match="layer 0 of 17 taps, 1 apart, from 2 to 1 numbers"):
        ConvolveTable.of(layer(weights=np.ones((17, 2, 1), np.int8)))
    ConvolveTable.of(layer(dilation=2**15 - 2))
    with pytest.raises(InvalidParameterError, match="is too large: expected at most 16 taps"):
        ConvolveTable.of(layer(dilation=2**15 - 1))
    with pytest.raises(InvalidParameterError, match=r"weights of -128; expected -127 to 127"):
        ConvolveTable.of(layer(weights=np.full((2, 2, 1), -128, np.int8)))
    with pytest.raises(InvalidParameterError, match=r"sums · 2\^shift"):
        ConvolveTable.of(layer(shifts=np.array([-31], np.int32), bias=np.array([2**30], np.int32) * -1 - 2**29))
    ConvolveTable.of(layer(bias=np.array([2**25 - 1], np.int32)))
    with pytest.raises(InvalidParameterError, match="layer 0 has a bias of 33554432, with the zero point"):
        ConvolveTable.of(layer(bias=np.array([2**25], np.int32)))


def test_inputs_that_nobody_comes_back_to_share_two_places():
    def layer(n_taps, n_inputs, n_outputs, **fields):
        return QuantizedConvolution(
            weights=np.ones((n_taps, n_inputs, n_outputs), np.int8), bias=np.zeros(n_outputs, np.int32),
            zero_points=(0, 0), multipliers=np.full(n_outputs, 2**30, np.int32),
            shifts=np.full(n_outputs, -1, np.int32), **fields,
        )  # fmt: skip

    added = QuantizedAddition(0, (0, 0, 0), (2**30, 2**30, 2**30), (0, -1, -19))
    layers = (layer(3, 2, 8), layer(1, 8, 8), layer(1, 8, 6), layer(2, 6, 8, addition=added), layer(1, 8, 3))
    # A ring of 3 inputs, the input that is added, the input of a single tap and the last output, and two rings.
    assert ConvolveTable.of(Convolutions(layers=layers)).memory_bytes == 3 * 2 + 8 + 8 + 3 + 2 * 6


def test_additions_of_another_kind_are_refused():
    fields = {
        "weights": np.ones((1, 1, 1), np.int8), "bias": np.zeros(1, np.int32), "zero_points": (0, 0),
        "multipliers": np.array([2**30], np.int32), "shifts": np.zeros(1, np.int32),
    }  # fmt: skip
    for multipliers, shifts in (((2**30, 2**30, 2**30), (-1, -1, -19)), ((2**30, 2**30, 2**30), (0, 0, 0))):
        addition = QuantizedAddition(0, (0, 0, 0), multipliers, shifts)
        stack = Convolutions(layers=(QuantizedConvolution(**fields), QuantizedConvolution(**fields, addition=addition)))
        with pytest.raises(InvalidParameterError, match=r"layer 1 adds with .* as LiteRT has it \(ADD\)"):
            ConvolveTable.of(stack)


def test_constants_keep_their_values_and_lines_their_length():
    text = c_array("int32_t", "many", [-(2**31), 2**31 - 1, *range(200)])
    assert max(map(len, text.splitlines())) <= 120
    assert "-2147483647 - 1," in text
    assert "[202]" in text


def test_a_written_graph_has_the_layers_asked_for(rng):
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'mhealth[litert]'")
    shapes = [Shape(3, 2, 5, dilation=4, causal=False), Shape(1, 5, 7, dense=True), Shape(2, 7, 7, stride=3)]
    layers = stack_of(write_graph(rng, shapes, n_samples=40)).layers
    assert [layer.weights.shape for layer in layers] == [(3, 2, 5), (1, 5, 7), (2, 7, 7)]
    assert [(x.stride, x.dilation, x.padded, x.rounded_once) for x in layers] == [
        (1, 4, False, False), (1, 1, True, True), (3, 1, True, False),
    ]  # fmt: skip
