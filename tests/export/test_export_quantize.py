"""A network of floating point becomes one of whole numbers with recordings alone; each layer's loss is told."""

from dataclasses import replace

import numpy as np
import pytest
from exports import unlike, written

from mhealth.core import Recording
from mhealth.errors import InvalidSignalError
from mhealth.export import export_model, load_source, quantized
from mhealth.export._check import events_on_host
from mhealth.export._export import golden_leads
from mhealth.export._quantize import layer_errors, network_of
from mhealth.labeling import load
from mhealth.simulate import synthetic_ecg


@pytest.fixture(scope="module")
def recording():
    """A minute of two leads."""
    return synthetic_ecg(fs=250, duration=60, seed=4, leads=("I", "II"))[0]


def test_each_layer_loses_little(recording):
    original, network = network_of(load("tcn")), network_of(load("tcn-int8"))
    errors = layer_errors(original, network, golden_leads("ecg"))
    assert [(e.n_taps, e.n_inputs, e.n_outputs) for e in errors] == [x.weights.shape for x in network.layers.layers]
    assert 0 < max(e.error for e in errors) < 5


def test_a_layer_that_is_wrong_is_seen_from_there_on():
    original, network = network_of(load("tcn")), network_of(load("tcn-int8"))
    layers = list(original.layers.layers)
    layers[2] = replace(layers[2], weights=-layers[2].weights)
    other = replace(original)
    other.__dict__["layers"] = replace(original.layers, layers=tuple(layers))
    errors = [e.error for e in layer_errors(other, network, golden_leads("ecg"))]
    assert max(errors[:2]) < 5
    assert min(errors[2:]) > 10


def test_what_needs_no_ranges_stays_as_it_is(recording):
    for name in ("ecg-mcu", "tcn-int8", "unet"):
        source = load_source(name, target="linux")
        assert quantized(source, [recording]) is source
    source = load_source("tcn", target="linux")
    assert quantized(source, []) is source


def test_recordings_that_are_flat_or_short_give_no_ranges(recording):
    source = load_source("tcn", target="linux")
    flat = Recording(signals=np.zeros((20000, 1), np.float32), fs=250.0, channels=("II",), units=("mV",))
    with pytest.raises(InvalidSignalError, match="none of 1 recordings has a channel that moves"):
        quantized(source, [flat])
    with pytest.raises(InvalidSignalError, match=r"calibration: 20 s of leads that move; expected 30 s at least"):
        quantized(source, [recording.slice(0, 2500)])


def test_a_network_is_converted_with_recordings_alone(recording, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'mhealth[cnn]'")
    source = quantized(load_source("tcn", target="linux"), [recording])
    export = export_model(source, tmp_path / "out", target="linux", calibration=[recording])
    assert 0 < max(layer["error"] for layer in export.manifest["layers"]) < 5
    leads = golden_leads("ecg")
    assert unlike(export.table, leads, events_on_host(export.folder, export.name, leads)) == []
    logits = [network_of(labeler).logits(recording.signals[:, 0]) for labeler in (source.original, source.labeler)]
    assert np.mean(logits[0].argmax(axis=1) == logits[1].argmax(axis=1)) > 0.98


def test_the_manifest_tells_of_layers_where_they_are_known_in_float_too(tmp_path):
    export = export_model(load_source("tcn-int8", target="linux"), tmp_path / "out", target="linux")
    assert len(export.manifest["layers"]) == len(network_of(written("tcn-int8").labeler).layers.layers)
