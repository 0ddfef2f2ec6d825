"""The shipped model on recorded breathing: accuracy floors on a few recordings.

The shipped model has seen these recordings; the floors tell that it and the path to it are intact. The README's figures
are out of fold.
"""

from dataclasses import replace

import numpy as np
import pytest

from data_loaders.bidmc import Bidmc
from mhealth.core import Spans
from mhealth.labeling import load
from mhealth.metrics import score_breaths

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def bidmc(data_dir):
    """Three recordings: every fifteenth."""
    data = Bidmc(data_dir / "bidmc")
    return [data.load(name) for name in data.records[::15]]


def labelled(cases, **params) -> list[Spans]:
    return [load("respiration").set_params(**params).label(recording) for recording, _, _ in cases]


def test_the_breaths_of_three_recordings_are_found(bidmc):
    scores = score_breaths([(truth, spans) for (_, truth, _), spans in zip(bidmc, labelled(bidmc), strict=True)])
    assert scores.f1(0.5) > 95.5
    assert scores.f1(1.0) > 98
    assert scores.count_error < 3


def test_upside_down_they_are_the_same_once_the_polarity_is_given(bidmc):
    upright = labelled(bidmc, polarity="up")
    inverted = labelled([(replace(r, signals=-r.signals), t, s) for r, t, s in bidmc], polarity="down")
    for first, second in zip(upright, inverted, strict=True):
        assert np.array_equal(first.onset, second.onset)
        assert np.array_equal(first.label, second.label)


def test_no_pauses_are_invented(bidmc):
    """BIDMC's people breathe throughout these recordings, by both annotators."""
    marks = [np.diff(truth.spans.offset) / r.fs for r, truth, _ in bidmc]
    assert max(gaps.max() for gaps in marks) < 15
    pauses = sum((spans.label == spans.classes.index("pause")).sum() for spans in labelled(bidmc))
    assert pauses <= 1
