"""Recordings on disk, and a command line that labels with `fake_labeling`."""

import sys

import fake_labeling
import numpy as np
import pytest
from typer.testing import CliRunner

from mhealth.cli import app

FS = 100


def square_wave(n_samples, period=100):
    """Return a signal that rises through 0.5 at samples 50, 50 + period, ..."""
    return (np.arange(n_samples) % period >= 50).astype(float)


@pytest.fixture
def write_csv(tmp_path):
    """Return a function that writes a recording of the named channels and returns its path."""

    def write(name, n_samples=1000, channels=("II",), folder=tmp_path):
        folder.mkdir(exist_ok=True)
        table = np.column_stack([np.arange(n_samples) / FS, *(square_wave(n_samples) for _ in channels)])
        path = folder / name
        np.savetxt(path, table, delimiter=",", header=",".join(["time", *channels]), comments="", fmt="%.6g")
        return path

    return write


@pytest.fixture
def mhealth(monkeypatch):
    """Return a function that runs a command with the fake labeler; stdout and stderr are kept apart."""
    from mhealth.cli import _selection

    monkeypatch.setitem(sys.modules, "mhealth.labeling", fake_labeling)
    _selection.load_labeler.cache_clear()

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    yield run
    _selection.load_labeler.cache_clear()
