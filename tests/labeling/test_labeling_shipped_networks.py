"""The shipped networks find the waves of a simulated ECG, without TensorFlow."""

import importlib.util
import subprocess
import sys

import pytest
from labeling_cases import ecg

from mhealth.labeling import load
from mhealth.metrics import score_delineation

NAMES = ("unet", "unet-int8", "tcn", "tcn-int8")
HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_finds_simulated_waves(name):
    if name.startswith("unet") and not HAS_LITERT:
        pytest.skip("a U-Net runs on LiteRT (extra litert)")
    recording, truth = ecg(11, fs=500.0, duration=40.0)
    assert score_delineation([(truth, load(name).label(recording))]).macro() > 95


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_is_listed_with_all_its_numbers(name):
    assert load(name).emission.network.n_parameters > 12_000
    assert load(name).emission.network.name == name.removesuffix("-int8")


def test_labelling_above_a_network_imports_no_tensorflow():
    code = (
        "import sys, numpy as np; from mhealth import Recording, load; "
        "load('tcn').label(Recording(signals=np.zeros((2000, 1)), fs=250, channels=('II',))); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules or 'ai_edge_litert' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
