"""The independent scorer `acceptance/score.py`, if it lies beside the recordings."""

import importlib.util
import types

import pytest

from mhealth.io import read_annotation


def load(data_dir):
    """Import the scorer. Its annotation files are read here: with `wfdb.rdann` LUDB alone takes half a minute."""
    path = data_dir.parent / "acceptance" / "score.py"
    if not path.is_file():
        pytest.xfail(f"{path} does not exist")
    spec = importlib.util.spec_from_file_location("score", path)
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    score.wfdb = types.SimpleNamespace(rdann=_rdann)
    return score


def _rdann(base, extension):
    sample, symbol = read_annotation(base, extension)
    return types.SimpleNamespace(sample=sample, symbol=symbol)
