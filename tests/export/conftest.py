"""Tests that need other machines' compilers and emulators: left out where these are missing, unless they must run."""

import os

import pytest
from exports import installed

from mhealth.export._toolchain import TARGETS

MUST = bool(os.environ.get("MHEALTH_EMBEDDED"))
"""Set by `make test-embedded`: a stage that could not run is a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Turn the skip of a stage of the proof into a failure where it must run."""
    report = yield
    if MUST and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("embedded"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} did not run: {report.longrepr}"
    return report


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.embedded) for name in TARGETS])
def target(request):
    """A machine that exports are made for, of which compiler and emulator are installed."""
    return installed(request.param)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.embedded) for name in TARGETS if TARGETS[name].machine])
def microcontroller(request):
    """One of them that is a microcontroller."""
    return installed(request.param)
