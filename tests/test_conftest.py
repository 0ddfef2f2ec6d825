"""Tests on real recordings run where there are any: a skip there is a failure, elsewhere they are left out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.realdata
def test_skips():
    pytest.importorskip("no_module_of_this_name")

@pytest.mark.realdata
def test_runs(data_dir):
    assert data_dir.is_dir()

def test_draws(rng):
    assert rng.random() > 2
"""


@pytest.fixture
def run_suite(tmp_path):
    """Return a function that runs a small suite under our conftest, with the recordings in a given folder."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = realdata: x\naddopts = -p no:cacheprovider\n")

    def run(data):
        command = [sys.executable, "-m", "pytest", "-rA", str(tmp_path)]
        environment = os.environ | {"MHEALTH_DATA": str(data)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    return run


def test_a_skip_is_a_failure_where_the_recordings_are(run_suite, tmp_path):
    told = run_suite(tmp_path)
    assert "FAILED" in told
    assert "test_skips was skipped although" in told
    assert "2 failed, 1 passed" in told


def test_without_recordings_these_tests_are_left_out(run_suite, tmp_path):
    told = run_suite(tmp_path / "none")
    assert "2 deselected" in told
    assert "skipped" not in told


def test_the_seed_appears_in_the_failure_and_repeats(run_suite, tmp_path):
    first, second = (
        [line for line in run_suite(tmp_path).splitlines() if "default_rng(" in line and "=" in line] for _ in range(2)
    )
    assert first
    assert first == second
