"""What all tests share: the folder of real recordings, seeded randomness, hypothesis settings."""

import os
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest

DATA = Path(os.environ.get("MHEALTH_DATA") or Path(__file__).parents[2] / "shared" / "data").resolve()

# The first example of a test may compile kernels, which no deadline should count.
hypothesis.settings.register_profile("mhealth", deadline=None, print_blob=True)
hypothesis.settings.load_profile("mhealth")


def pytest_report_header() -> str:
    return f"real recordings: {DATA if DATA.is_dir() else f'none, {DATA} does not exist (set MHEALTH_DATA)'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on real recordings where there are none."""
    if DATA.is_dir():
        return
    absent = [item for item in items if item.get_closest_marker("realdata")]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if not item.get_closest_marker("realdata")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Turn the skip of a test on real recordings into a failure: where the folder exists they must run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("realdata"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although {DATA} exists: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings, in the layout of their publishers; for tests marked `realdata`."""
    return DATA


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that differ between tests and repeat between runs; the seed is shown with a failure."""
    seed = zlib.crc32(request.node.nodeid.encode())
    request.node.add_report_section("setup", "seed", f"rng = np.random.default_rng({seed})")
    return np.random.default_rng(seed)
