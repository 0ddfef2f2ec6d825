import numpy as np
import pytest

from mhealth.core import Annotation, Spans
from mhealth.errors import AnnotationError

CONTEXT = {"fs": 100.0, "channels": ("ECG", "ECG", "V5"), "classes": ("P", "QRS")}


def spans_of(*rows):
    return Spans.from_rows(rows, **CONTEXT)


def test_spans_are_sorted_by_their_first_known_point():
    spans = spans_of((50, 55, 60, 1, 0, 0.5), (-1, 20, -1, 0, 0, 0.9), (-1, -1, 30, 0, 2, 0.8), (50, 55, 60, 0, 0, 0.1))
    assert spans.peak.tolist() == [20, -1, 55, 55]
    assert spans.label.tolist() == [0, 0, 0, 1]


def test_a_table_has_the_columns_of_the_csv_format():
    frame = spans_of((50, 55, 60, 1, 1, 0.5), (-1, 20, 30, 0, 2, np.nan)).to_frame()
    assert list(frame) == ["channel", "label", "onset", "peak", "offset", "onset_s", "offset_s", "probability"]
    assert frame["channel"].tolist() == ["V5", "1"]
    assert frame["label"].tolist() == ["P", "QRS"]
    assert frame["onset_s"].tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert frame["offset_s"].tolist() == [0.3, 0.6]


def test_no_spans_make_an_empty_table():
    frame = Spans.empty(fs=1.0, channels=(), classes=()).to_frame()
    assert len(frame) == 0
    assert list(frame)[:2] == ["channel", "label"]


def test_spans_are_selected_by_label_channel_and_mask():
    spans = spans_of((10, 11, 12, 0, 2, 1.0), (20, 21, 22, 1, 2, 1.0), (30, 31, 32, 1, 0, 1.0))
    assert spans.of(label="QRS").onset.tolist() == [20, 30]
    assert spans.of(label="QRS", channel="V5").onset.tolist() == [20]
    assert len(spans.of(label="T")) == 0
    assert spans.select([2, 0]).onset.tolist() == [10, 30]


def test_joined_spans_are_those_of_one_recording():
    first, second = spans_of((20, 21, 22, 1, 2, 1.0)), spans_of((10, 11, 12, 0, 2, 1.0))
    assert Spans.concat([first, second]).onset.tolist() == [10, 20]
    with pytest.raises(AnnotationError, match="differ in fs"):
        Spans.concat([first, Spans.empty(**CONTEXT | {"fs": 50.0})])
    with pytest.raises(AnnotationError, match="at least one part"):
        Spans.concat([])


def test_codes_without_text_and_columns_of_other_lengths_are_refused():
    with pytest.raises(AnnotationError, match="label holds codes 2 to 2"):
        spans_of((1, 2, 3, 2, 0, 1.0))
    with pytest.raises(AnnotationError, match="channel holds codes -1 to 0"):
        spans_of((1, 2, 3, 0, -1, 1.0), (1, 2, 3, 0, 0, 1.0))
    one = np.zeros(1, dtype=int)
    with pytest.raises(AnnotationError, match="one length"):
        Spans(onset=one, peak=one, offset=[1, 2], label=one, channel=one, probability=one, **CONTEXT)


@pytest.mark.parametrize("row", [(3, 0, 5), (-1, 0, 5), (0, 5, 4), (0, -1, 4)])
def test_annotated_stretches_are_ranges_of_a_channel(row):
    with pytest.raises(AnnotationError, match="annotated row"):
        Annotation(spans=spans_of(), annotated=[(0, 0, 10), row])
