"""Labelers that are trained once."""

import pytest
from breath_cases import tiny_breath_labeler
from labeling_cases import tiny_labeler

from mhealth.labeling import BreathLabeler, EcgLabeler


@pytest.fixture(scope="session")
def labeler() -> EcgLabeler:
    """A small labeler that knows simulated leads; no test may change it."""
    return tiny_labeler()


@pytest.fixture(scope="session")
def breather() -> BreathLabeler:
    """A small labeler that knows simulated breathing; no test may change it."""
    return tiny_breath_labeler()
