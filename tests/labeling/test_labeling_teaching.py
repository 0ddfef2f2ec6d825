"""What a labeler is sure of, as marks for another."""

import numpy as np
import pytest

from mhealth.core import Spans
from mhealth.errors import InvalidParameterError
from mhealth.labeling import as_annotation

FS = 100.0


def beats(probability, *, channel=0, start=0) -> list[tuple]:
    """QRS complexes once a second, one for each probability."""
    return [(start + 100 * k + 45, start + 100 * k + 50, start + 100 * k + 55, 0, channel, p)
            for k, p in enumerate(probability)]  # fmt: skip


def spans_of(rows, classes=("QRS", "unusable")) -> Spans:
    return Spans.from_rows(rows, fs=FS, channels=("I", "II"), classes=classes)


def test_stretches_reach_halfway_to_doubtful_waves():
    found = as_annotation(spans_of(beats([1.0] * 5 + [0.5] + [0.95] * 6)))
    assert found.annotated.tolist() == [[0, 45, 500], [0, 600, 1155]]
    assert len(found.spans) == 11
    assert 545 not in found.spans.onset


def test_short_stretches_are_left_out_with_their_waves():
    found = as_annotation(spans_of(beats([1.0, 1.0, 1.0, 0.2, *[1.0] * 5])))
    assert found.annotated.tolist() == [[0, 400, 855]]
    assert found.spans.onset.min() == 445


def test_nothing_is_known_around_unusable_stretches():
    rows = [*beats([1.0] * 5), (545, -1, 855, 1, 0, np.nan), *beats([1.0] * 6, start=900)]
    found = as_annotation(spans_of(rows))
    assert found.annotated.tolist() == [[0, 45, 500], [0, 900, 1455]]
    assert set(found.spans.label.tolist()) == {0}


def test_each_channel_is_for_itself():
    rows = [*beats([1.0] * 10), *beats([0.1] * 10, channel=1)]
    assert as_annotation(spans_of(rows)).annotated.tolist() == [[0, 45, 955]]
    assert len(as_annotation(spans_of(rows), certainty=0.05).annotated) == 2


def test_what_is_unsure_throughout_gives_no_marks():
    found = as_annotation(spans_of(beats([0.3] * 10)))
    assert len(found.annotated) == len(found.spans) == 0
    assert len(as_annotation(spans_of([])).annotated) == 0


@pytest.mark.parametrize("certainty", [-0.1, 1.5, np.nan])
def test_a_certainty_is_a_probability(certainty):
    with pytest.raises(InvalidParameterError, match="certainty"):
        as_annotation(spans_of([]), certainty=certainty)
