"""Causal networks sample by sample, without TensorFlow and LiteRT: what LiteRT says is in tests/data/tcn."""

import contextlib
import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import chunkings, cut

from mhealth.dsp import Convolution, QuantizedConvolution
from mhealth.errors import ModelFileError
from mhealth.nn import Network
from mhealth.nn._causal import to_convolutions
from mhealth.nn._flatbuffer import Graph, read_graph

FOLDER = Path(__file__).parents[1] / "data" / "tcn"
NETWORKS = {name: Network.from_bytes((FOLDER / f"{name}.npz").read_bytes()) for name in ("float", "int8")}
with np.load(FOLDER / "litert.npz") as archive:
    SAID = {name: archive[name] for name in archive.files}
LEAD = SAID["lead"]


@pytest.fixture(autouse=True)
def no_litert(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)


@pytest.fixture(params=["float", "int8"])
def network(request) -> Network:
    return NETWORKS[request.param]


def test_logits_in_float_are_those_of_litert():
    # A sum of 60 products, in another order than LiteRT's, over 16 layers.
    np.testing.assert_allclose(NETWORKS["float"].logits(LEAD), SAID["float"], rtol=0, atol=1e-5)


def test_logits_in_int8_are_those_of_litert_to_the_bit():
    np.testing.assert_array_equal(NETWORKS["int8"].logits(LEAD), SAID["int8"])


def test_int8_is_close_to_float():
    assert np.abs(SAID["float"] - SAID["int8"]).mean() < 0.1 * SAID["float"].std()


@given(cuts=chunkings(len(LEAD)))
@settings(max_examples=15)
@pytest.mark.parametrize("name", list(NETWORKS))
def test_any_chunking_gives_the_same_to_the_bit(name, cuts):
    stream = NETWORKS[name].open()
    parts = [stream.push(part) for part in cut(LEAD, cuts)]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), NETWORKS[name].logits(LEAD))


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 75, 76, 77, 500])
def test_every_sample_of_a_lead_of_any_length_has_an_output(network, n):
    logits = network.logits(LEAD[:n])
    assert logits.shape == (-(-n // network.layout.stride), 4)
    assert np.isfinite(logits).all()


def test_logits_are_complete_after_the_delay_that_is_stated(network):
    assert network.delay == pytest.approx(0.464)  # 76 samples, and the 0.16 s of the running scale
    stream, n = network.open(), 0
    for k, sample in enumerate(LEAD):
        n += len(stream.push([sample]))
        if k > 600:
            # Sample k lies `delay` after the last one that has its logits.
            assert n * network.layout.stride > k - network.delay * network.rate - 1
    assert k > 600


def test_nothing_is_known_before_it_can_be(network):
    """A network that looked ahead farther than it says would change its logits with what comes later."""
    changed = LEAD.copy()
    changed[800:] += 1.0
    last = (800 - network.layout.lookahead - 1 - round(0.16 * 250)) // network.layout.stride - 1
    np.testing.assert_array_equal(network.logits(changed)[:last], network.logits(LEAD)[:last])
    assert (network.logits(changed)[last + 1 :] != network.logits(LEAD)[last + 1 :]).any()


def test_a_stream_pickles_in_the_middle_and_is_small(network):
    stream = network.open()
    first = stream.push(LEAD[:777])
    pickled = pickle.dumps(stream._stream._held)
    assert len(pickled) < (30_000 if network is NETWORKS["float"] else 8_000)  # what a microcontroller keeps
    stream = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(
        np.concatenate([first, stream.push(LEAD[777:]), stream.flush()]), network.logits(LEAD)
    )


def test_layers_are_listed_as_the_network_has_them():
    for name, kind in (("float", Convolution), ("int8", QuantizedConvolution)):
        layers = NETWORKS[name].layers
        assert [type(layer) for layer in layers.layers] == [kind] * 16
        assert [layer.n_taps for layer in layers.layers] == [12, *[3, 1] * 7, 1]
        assert [layer.dilation for layer in layers.layers if layer.n_taps == 3] == [1, 2, 4, 8, 16, 32, 64]
        assert [layer.shortcut for layer in layers.layers[::2]] == [None, *range(0, 14, 2)]
        assert [layer.shortcut for layer in layers.layers[1::2]] == [None] * 8
        assert layers.stride == 4
    assert NETWORKS["float"].layers.inputs is None
    assert NETWORKS["int8"].layers.inputs.scale > 0
    n_weights = sum(layer.weights.size for layer in layers.layers) + layers.layers[-1].bias.size
    assert n_weights == NETWORKS["int8"].n_parameters


def test_a_graph_that_is_another_than_the_network_says_is_refused(network):
    arrays = network.to_arrays()
    about = json.loads(str(arrays["about"]))
    for change, said in (
        ({"block": 640}, "shapes"),
        ({"classes": ["background", "P"]}, "shapes"),
        ({"layout": {**about["layout"], "before": 900}}, "looks back 951 samples; its layout says 4 and 900"),
    ):
        with pytest.raises(ModelFileError, match=said):
            Network.from_arrays({**arrays, "about": np.array(json.dumps({**about, **change}))})


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + bytes(100)])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_graph(content)


@given(data=st.data())
@settings(max_examples=150)
def test_a_damaged_graph_is_read_or_refused(data):
    """Whatever a file holds, reading it ends, and fails with our error if it fails."""
    content = bytearray(NETWORKS["int8"].graph)
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    # Tables lie at both ends, weights between.
    places = st.one_of(st.integers(0, len(content)), st.integers(max(0, len(content) - 4000), len(content)))
    for at in data.draw(st.lists(places, max_size=6)):
        content[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
    with contextlib.suppress(ModelFileError):
        to_convolutions(read_graph(bytes(content)))


def changed(graph: Graph, what: str, **changes) -> Graph:
    """Return a graph whose last operator of a name is another."""
    at = max(k for k, operator in enumerate(graph.operators) if operator.name == what)
    operator = graph.operators[at]
    changes["options"] = {**operator.options, **changes.get("options", {})}
    operators = (*graph.operators[:at], operator._replace(**changes), *graph.operators[at + 1 :])
    return replace(graph, operators=operators)


@pytest.mark.parametrize(
    ("operator", "changes", "said"),
    [
        ("ADD", {"name": "operator 17"}, "it has operator 17"),
        ("ADD", {"options": {"activation": 1}}, "ADD has activation 1"),
        ("ADD", {"inputs": (0, 0)}, "ADD takes other tensors"),
        ("ADD", {"inputs": (1, 1)}, "not computed before"),
        ("CONV_2D", {"options": {"activation": 3}}, "CONV_2D has activation 3"),
        ("CONV_2D", {"inputs": (0,)}, "index out of range"),
        ("PAD", {"inputs": (0, 0)}, "fixed"),
        ("PAD", {"outputs": (0,)}, "PAD"),
        ("RESHAPE", {"inputs": (0,)}, "moves numbers"),
    ],
)
def test_a_graph_that_cannot_run_sample_by_sample_is_refused(network, operator, changes, said):
    graph = read_graph(network.graph)
    if changes.get("inputs") == (1, 1):  # what one network computes at 1, the other knows
        changes = {"inputs": (len(graph.tensors) - 1, len(graph.tensors) - 1)}
    with pytest.raises(ModelFileError, match=said):
        to_convolutions(changed(graph, operator, **changes))


def test_convolutions_that_look_ahead_are_refused(network):
    graph = read_graph(network.graph)
    pads = [operator for operator in graph.operators if operator.name == "PAD"]
    ahead = list(graph.tensors)
    at = pads[1].inputs[1]
    ahead[at] = ahead[at]._replace(values=np.array([[0, 0], [1, 1], [0, 0]]))
    with pytest.raises(ModelFileError, match="is not causal"):
        to_convolutions(replace(graph, tensors=tuple(ahead)))
    ahead[at] = ahead[at]._replace(values=np.array([[0, 0], [1, 0], [0, 0]]))
    with pytest.raises(ModelFileError, match="behind 1 zeros is not causal"):
        to_convolutions(replace(graph, tensors=tuple(ahead)))
