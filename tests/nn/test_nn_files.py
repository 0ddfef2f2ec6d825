"""What needs neither TensorFlow nor LiteRT: layouts, files, and what is said where either is missing."""

import io
import subprocess
import sys

import numpy as np
import pytest

from mhealth.errors import InvalidParameterError, MissingExtraError, ModelFileError
from mhealth.nn import Layout, Network, NetworkInput, load_keras, tcn, unet

LAYOUT = Layout(stride=4, before=100, after=20, alignment=8, lookahead=16)


def network(**changes) -> Network:
    return Network(**{"name": "tcn", "graph": b"no graph", "layout": LAYOUT, "block": 256, **changes})


def test_blocks_overlap_by_what_an_output_depends_on():
    found = network()
    assert found.lead_in == 104  # the least multiple of 8 from 100 on
    # the last output of a hop starts 4 samples before its end, and looks 20 ahead: 135 is the most, 128 on the grid
    assert found.hop == 128
    assert found.lead_in + 135 - 4 + 20 == found.block - 1


def test_a_block_that_is_too_short_is_refused_with_the_least_length():
    with pytest.raises(InvalidParameterError, match="block=100 samples must be a multiple of 8, at least") as caught:
        network(block=100)
    least = int(str(caught.value).split("at least ")[1].split(":")[0])
    assert network(block=least).hop >= LAYOUT.alignment
    with pytest.raises(InvalidParameterError):
        network(block=least - LAYOUT.alignment)


@pytest.mark.parametrize("change", [{"stride": 0}, {"alignment": 6}, {"lookahead": 3}])
def test_a_layout_that_cannot_be_is_refused(change):
    with pytest.raises(InvalidParameterError, match="stride"):
        Layout(**{**vars(LAYOUT), **change})


def test_a_network_survives_its_file_with_all_settings():
    kept = network(input=NetworkInput(cutoff=0.7, knee=0.2), classes=("background", "P", "QRS", "T", "U"))
    assert vars(Network.from_bytes(kept.to_bytes())) == vars(kept)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", network().to_bytes()[:-40]])
def test_damaged_files_are_refused(content):
    with pytest.raises(ModelFileError):
        Network.from_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        {"about": np.array("{}")},
        {"about": np.array("[]")},
        {"about": np.array('{"name": 1')},
        {"graph": np.zeros(3)},
    ],
)
def test_files_of_something_else_are_refused(change):
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{**network().to_arrays(), **change})
    with pytest.raises(ModelFileError, match="incomplete or inconsistent"):
        Network.from_bytes(buffer.getvalue())


def test_files_with_pickles_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, about=np.array([{}], dtype=object), graph=np.zeros(1, np.uint8))
    with pytest.raises(ModelFileError, match="pickle"):
        Network.from_bytes(buffer.getvalue())


@pytest.mark.parametrize("build", [unet, tcn])
def test_without_tensorflow_its_extra_is_named(monkeypatch, build):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mhealth\[cnn\]'"):
        build(256)


def test_without_litert_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mhealth\[litert\]'"):
        network().logits(np.zeros(10))


def test_a_file_that_is_no_keras_file_is_refused_without_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "network.keras").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match=r"no \.keras file"):
        load_keras(tmp_path / "network.keras")


def test_importing_the_package_imports_neither():
    code = "import sys, mhealth.nn; print(*({'tensorflow', 'keras', 'ai_edge_litert', 'numba'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
