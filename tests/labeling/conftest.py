"""Labelers that are trained once."""

import pytest
from labeling_cases import tiny_labeler

from mhealth.labeling import EcgLabeler


@pytest.fixture(scope="session")
def labeler() -> EcgLabeler:
    """A small labeler that knows simulated leads; no test may change it."""
    return tiny_labeler()
