import numpy as np
import pytest

from mhealth.core import Annotation, Spans
from mhealth.errors import AnnotationError
from mhealth.metrics import score_qrs


def beats(peaks, *, channels=("MLII", "V5"), channel=0):
    rows = [(-1, peak, -1, 0, channel, np.nan) for peak in peaks]
    return Spans.from_rows(rows, fs=360.0, channels=channels, classes=("QRS",))


def marked(peaks):
    return Annotation(spans=beats(peaks), annotated=np.empty((0, 3)))


def test_peaks_within_the_tolerance_are_found_and_all_others_count():
    score = score_qrs([(marked([1000, 2000, 3000]), beats([1054, 2055, 3000, 4000]))])
    assert score.counts().sensitivity == pytest.approx(200 / 3)
    assert score.counts().ppv == 50
    assert score.summary() == {"qrs.se": 66.667, "qrs.ppv": 50.0, "qrs.f1": 57.143}
    assert score.counts().mean_ms == 75


def test_excluded_stretches_reach_from_first_to_last_sample_and_hold_nothing():
    case = (marked([999, 1000, 2000, 2001]), beats([1500]))
    assert score_qrs([case], excluded=[[(1000, 2000)]]).sums[0, :3].tolist() == [0, 2, 0]
    assert score_qrs([case]).sums[0, :3].tolist() == [0, 4, 1]
    with pytest.raises(AnnotationError, match="cases goes on after 1"):
        score_qrs([case, case], excluded=[[(0, 10)]])


def test_the_channel_is_chosen_by_name_or_position():
    case = (Annotation(spans=beats([1000], channel=1), annotated=[]), beats([1000], channel=1))
    assert score_qrs([case]).counts().n == 0
    assert score_qrs([case], channel="v5").counts().f1 == 100
    assert score_qrs([case], channel=1).counts().f1 == 100
    with pytest.raises(AnnotationError, match="MLII"):
        score_qrs([case], channel="V1")


def test_scores_add_up_by_subject():
    cases = [(marked([1000]), beats([1000])), (marked([1000]), beats([])), (marked([1000]), beats([1000, 2000]))]
    whole = score_qrs(cases, subjects=["a", "b", "a"])
    parts = score_qrs(cases[:1], subjects=["a"]) + score_qrs(cases[1:], subjects=["b", "a"])
    assert whole.subjects == parts.subjects == ("a", "b")
    assert np.array_equal(whole.sums, parts.sums)
    assert whole.reweighted(np.array([0.0, 1.0])).counts().sensitivity == 0
