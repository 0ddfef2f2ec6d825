"""Networks in Keras and in LiteRT; only where TensorFlow is installed (the extra `cnn`)."""

import json
import zipfile

import numpy as np
import pytest
from network_cases import lead

from mhealth.errors import InvalidParameterError, ModelFileError
from mhealth.nn import Network, NetworkInput, count_macs, layout_of, load_keras, save_keras, tcn, to_network, unet
from mhealth.nn._flatbuffer import read_graph
from mhealth.nn._interpreter import Interpreter

tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'mhealth[cnn]'")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install 'mhealth[litert]'")

# Keras hands its variables to NumPy 2 in a way that is going to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SMALL = {"unet": {"widths": (4, 6, 8), "dilations": (2,)}, "tcn": {"width": 4, "dilations": (1, 2, 4, 8)}}
BUILD = {"unet": unet, "tcn": tcn}
LOOKAHEAD = {"unet": 0, "tcn": 40}


def small(name: str, n_samples: int = 512):
    return BUILD[name](n_samples, **SMALL[name], seed=3)


@pytest.fixture(scope="module", params=["unet", "tcn"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def network(name) -> Network:
    return to_network(small(name), block=512, lookahead=LOOKAHEAD[name])


@pytest.fixture(scope="module")
def whole(name) -> Network:
    return to_network(small(name), block=1024, lookahead=LOOKAHEAD[name])


def quantised(name: str, block: int) -> Network:
    """Return a network whose ranges are the same for any block: what sets them lies among zeros."""
    blocks = np.zeros((4, block, 3), np.float32)
    for seed in range(len(blocks)):
        blocks[seed, block // 2 - 100 : block // 2 + 100] = NetworkInput().prepare(lead(200, seed), fs=250.0)
    return to_network(small(name), block=block, lookahead=LOOKAHEAD[name], representative=blocks)


@pytest.fixture(scope="module")
def in_int8(name) -> Network:
    return quantised(name, 512)


def in_chunks(network: Network, samples: np.ndarray, cuts: list[int]) -> np.ndarray:
    stream = network.open()
    return np.concatenate([*(stream.push(part) for part in np.split(samples, cuts)), stream.flush()])


def test_the_full_networks_keep_their_budgets():
    large, small = unet(2560), tcn(2560)
    assert large.count_params() <= 300_000
    assert layout_of(large).stride == 2
    assert small.count_params() <= 20_000
    assert count_macs(small) <= 3_000
    assert layout_of(small, lookahead=76).stride == 4
    assert layout_of(small, lookahead=76).after == 76 <= 0.5 * 250


def test_macs_are_counted_as_by_hand():
    network = tcn(64, width=2, dilations=(1,))
    # 12 x 3 x 2, then 3 x 2 x 2, 2 x 2, and 2 x 4, once every 4 samples
    assert count_macs(network) == (72 + 12 + 4 + 8) / 4


def test_an_output_depends_on_the_samples_that_the_layout_says(name):
    network = small(name)
    layout = layout_of(network)
    network.set_weights([np.abs(weight) for weight in network.get_weights()])  # so that nothing is cut off
    inputs = tensorflow.Variable(np.ones((1, 512, 3), np.float32))
    first, last = 0, 0
    start = 320 // layout.stride
    for j in range(start, start + layout.alignment // layout.stride):
        with tensorflow.GradientTape() as tape:
            value = tensorflow.reduce_sum(network(inputs)[0, j])
        seen = np.flatnonzero(np.abs(tape.gradient(value, inputs)[0]).sum(axis=1))
        first, last = min(first, seen[0] - j * layout.stride), max(last, seen[-1] - j * layout.stride)
    assert (-first, last) == (layout.before, layout.after)


def test_a_layer_of_unknown_layout_is_named():
    layers = tensorflow.keras.layers
    inputs = layers.Input((64, 3))
    pooled = tensorflow.keras.Model(inputs, layers.MaxPooling1D(2, name="pool")(inputs))
    with pytest.raises(InvalidParameterError, match="'pool' is a MaxPooling1D"):
        layout_of(pooled)


def test_where_inputs_are_zero_so_are_activations(name):
    network = small(name)
    before_logits = tensorflow.keras.Model(network.input, network.layers[-1].input)
    assert not np.any(before_logits(np.zeros((1, 512, 3), np.float32)))


def test_a_converted_network_says_what_keras_says(name, network):
    samples = lead(700)
    margin = 640  # of zeros on either side, more than an output depends on
    inputs = np.zeros((1, 2048, 3), np.float32)
    inputs[0, margin : margin + 700] = network.input.prepare(samples, fs=250.0)
    keras = small(name, 2048)
    stride = network.layout.stride
    first = (margin + network.layout.lookahead) // stride
    np.testing.assert_allclose(network.logits(samples), keras(inputs)[0][first : first + 700 // stride], atol=1e-5)


@pytest.mark.parametrize("cuts", [[], [0, 0, 1, 2, 3], [511, 512, 513, 1800], list(range(7, 2000, 13))])
def test_a_stream_of_any_chunks_gives_what_the_whole_lead_gives(network, in_int8, cuts):
    samples = lead(2000)
    for graph in (network, in_int8):
        np.testing.assert_array_equal(in_chunks(graph, samples, cuts), graph.logits(samples))


def test_the_length_of_blocks_leaves_no_trace(network, whole):
    samples = lead(3000)
    # Equal but for the order of float32 sums within a kernel.
    np.testing.assert_allclose(network.logits(samples), whole.logits(samples), atol=1e-5)


def reference(network: Network, samples: np.ndarray) -> np.ndarray:
    """Return what LiteRT's reference kernels say of a lead that fits into the block, zeros behind it."""
    layout = network.layout
    inputs = np.zeros((network.block, 3), np.float32)
    inputs[: len(samples)] = network.input.prepare(samples, fs=250.0)
    late = layout.lookahead // layout.stride
    return Interpreter(network.graph, kernels="reference").run(inputs)[late : late + -(-len(samples) // layout.stride)]


@pytest.mark.parametrize("seed", range(4))
def test_a_causal_network_in_int8_says_what_the_whole_graph_says_to_the_bit(seed):
    network = tcn(1280, width=5 + 3 * seed, dilations=(1, 2, 4, 8, 16, 32)[: 2 + seed], seed=seed)
    bias = np.random.default_rng(seed).normal(size=4)
    network.set_weights([*network.get_weights()[:-1], bias])
    blocks = np.stack([NetworkInput().prepare(lead(1280, k), fs=250.0) for k in range(3)])
    converted = to_network(network, block=1280, lookahead=40, representative=blocks)
    # As large as the inputs get, and beyond the ranges that were seen.
    for samples in (lead(1200, 77), 3 * np.sign(lead(1200, 78)), np.random.default_rng(seed).normal(size=1200)):
        np.testing.assert_array_equal(converted.logits(samples), reference(converted, samples))


def test_a_causal_network_in_float_says_what_the_whole_graph_says():
    network = to_network(small("tcn", 1280), block=1280, lookahead=40)
    np.testing.assert_allclose(network.logits(lead(1200)), reference(network, lead(1200)), rtol=0, atol=1e-5)


def test_a_graph_is_read_as_by_the_official_reader(network, in_int8):
    from ai_edge_litert import schema_py_generated as schema

    for graph in (network.graph, in_int8.graph):
        ours, theirs = read_graph(graph), schema.ModelT.InitFromPackedBuf(graph)
        (subgraph,) = theirs.subgraphs
        assert len(ours.tensors) == len(subgraph.tensors)
        for own, other in zip(ours.tensors, subgraph.tensors, strict=True):
            assert own.shape == tuple(other.shape)
            data = theirs.buffers[other.buffer].data
            assert (own.values is None) == (data is None)
            assert own.values is None or own.values.tobytes() == bytes(data)
            scales = other.quantization.scale if other.quantization is not None else None
            assert own.scales.tolist() == ([] if scales is None else scales.tolist())
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        for own, other in zip(ours.operators, subgraph.operators, strict=True):
            assert own.name == names[theirs.operatorCodes[other.opcodeIndex].builtinCode]
            assert own.inputs == tuple(other.inputs)
            assert own.outputs == tuple(other.outputs)
            if own.name == "CONV_2D":
                options = other.builtinOptions
                assert own.options == {
                    "padding": options.padding, "stride_width": options.strideW, "stride_height": options.strideH,
                    "activation": options.fusedActivationFunction, "dilation_width": options.dilationWFactor,
                    "dilation_height": options.dilationHFactor,
                }  # fmt: skip


def test_a_graph_that_is_not_causal_has_no_layers_to_stream():
    network = to_network(small("unet"), block=512)
    with pytest.raises(ModelFileError, match="cannot run sample by sample"):
        _ = network.layers


def test_the_length_of_blocks_leaves_no_trace_to_the_bit_in_int8(name, in_int8):
    samples = lead(3000)
    np.testing.assert_array_equal(in_int8.logits(samples), quantised(name, 1024).logits(samples))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 100, 511, 512, 513])
def test_every_sample_of_a_lead_of_any_length_has_an_output(network, n):
    logits = network.logits(lead(n))
    assert logits.shape == (-(-n // network.layout.stride), 4)
    assert np.isfinite(logits).all()


def test_an_empty_lead_has_none(network):
    assert network.logits([]).shape == (0, 4)


def test_logits_are_complete_after_the_delay_that_is_stated(network):
    stream = network.open()
    n = 0
    for k, sample in enumerate(lead(2500)):
        n += len(stream.push([sample]))
        if k > 600:
            assert n * network.layout.stride / 250 >= (k + 1) / 250 - network.delay - 1 / 250


def test_a_network_survives_its_file(network):
    again = Network.from_bytes(network.to_bytes())
    assert again.__getstate__() == network.__getstate__()
    np.testing.assert_array_equal(again.logits(lead(600)), network.logits(lead(600)))


def test_a_graph_of_other_blocks_is_refused(network):
    arrays = network.to_arrays()
    about = json.loads(str(arrays["about"]))
    arrays["about"] = np.array(json.dumps({**about, "block": 1024}))
    with pytest.raises(ModelFileError, match="shapes"):
        Network.from_arrays(arrays).open()


def test_a_damaged_graph_is_refused(network):
    arrays = network.to_arrays()
    arrays["graph"] = arrays["graph"][:100]
    with pytest.raises(ModelFileError, match="graph"):
        Network.from_arrays(arrays).open()


def test_int8_is_close_to_float(name, network):
    blocks = np.stack([NetworkInput().prepare(lead(512, seed), fs=250.0) for seed in range(8)])
    in_int8 = to_network(small(name), block=512, lookahead=LOOKAHEAD[name], representative=blocks)
    samples = lead(1500, seed=9)
    exact, found = network.logits(samples), in_int8.logits(samples)
    # 8 bits in each of some ten layers of four channels; a wrong scale would give an error as large as the logits.
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.2 * exact.std()


def test_representative_inputs_must_fill_blocks(name):
    with pytest.raises(InvalidParameterError, match=r"representative has shape \(2, 100, 3\)"):
        to_network(small(name), block=512, representative=np.zeros((2, 100, 3), np.float32))


def test_the_graph_has_only_what_a_microcontroller_runs(network):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=network.graph)
    interpreter.allocate_tensors()
    found = {details["op_name"] for details in interpreter._get_ops_details()} - {"DELEGATE"}
    assert found <= {"CONV_2D", "ADD", "RESHAPE", "PAD", "EXPAND_DIMS", "CONCATENATION"}


def test_a_keras_file_is_read_as_it_was_written(name, tmp_path):
    network = small(name)
    save_keras(network, tmp_path / "network.keras")
    again = load_keras(tmp_path / "network.keras")
    for ours, theirs in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [file.name for file in tmp_path.iterdir()] == ["network.keras"]


def test_a_keras_file_with_a_lambda_layer_is_refused(tmp_path):
    layers = tensorflow.keras.layers
    inputs = layers.Input((8, 3))
    tensorflow.keras.Model(inputs, layers.Lambda(lambda x: x)(inputs)).save(tmp_path / "bad.keras")
    with pytest.raises(ModelFileError, match="Lambda"):
        load_keras(tmp_path / "bad.keras")


def test_a_keras_file_with_a_class_of_somebody_elses_is_refused(tmp_path):
    save_keras(small("tcn"), tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for entry in good.namelist():
            content = good.read(entry)
            bad.writestr(entry, content.replace(b'"keras.layers"', b'"evil.layers"'))
    with pytest.raises(ModelFileError, match=r"evil\.Conv1D"):
        load_keras(tmp_path / "bad.keras")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"not a zip"])
def test_a_damaged_keras_file_is_refused(tmp_path, content):
    (tmp_path / "network.keras").write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        load_keras(tmp_path / "network.keras")


def test_a_keras_file_must_be_called_so(tmp_path):
    with pytest.raises(InvalidParameterError, match=r"\.keras"):
        save_keras(small("tcn"), tmp_path / "network.h5")
