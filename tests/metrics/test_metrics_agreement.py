import math

import numpy as np
import pytest

from mhealth.core import Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics import sample_agreement


def spans(rows, *, channels=("I",), classes=("P", "QRS", "T", "unusable"), fs=250.0):
    """Spans from rows (label, onset, offset, channel position)."""
    table = [(on, -1, off, classes.index(label), channel, np.nan) for label, on, off, channel in rows]
    return Spans.from_rows(table, fs=fs, channels=channels, classes=classes)


def test_samples_agree_where_both_say_the_same_or_nothing():
    first = spans([("P", 10, 20, 0), ("QRS", 30, 40, 0)])
    second = spans([("P", 12, 20, 0), ("T", 30, 35, 0)])
    assert sample_agreement(first, first, 100) == 1
    assert sample_agreement(first, second, 100) == pytest.approx(1 - (2 + 10) / 100)
    assert sample_agreement(second, first, 100) == sample_agreement(first, second, 100)


def test_channels_and_classes_are_compared_by_name():
    first = spans([("P", 10, 20, 0), ("T", 10, 20, 1)], channels=("I", "II"))
    second = spans([("P", 10, 20, 1), ("T", 10, 20, 0)], channels=("II", "I"), classes=("T", "P"))
    assert sample_agreement(first, second, 50) == 1


def test_nothing_has_no_agreement():
    assert math.isnan(sample_agreement(spans([]), spans([]), 0))


def test_labelings_of_different_recordings_are_refused():
    with pytest.raises(AnnotationError, match="one recording"):
        sample_agreement(spans([]), spans([], channels=("II",)), 10)
    with pytest.raises(AnnotationError, match="one recording"):
        sample_agreement(spans([]), spans([], fs=500.0), 10)
    with pytest.raises(AnnotationError, match="without onset or offset"):
        sample_agreement(spans([("P", -1, 20, 0)]), spans([]), 50)
    with pytest.raises(InvalidParameterError, match="n_samples=15"):
        sample_agreement(spans([("P", 10, 20, 0)]), spans([]), 15)
