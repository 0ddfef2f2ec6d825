import numpy as np
import pytest

from mhealth.core import Annotation, Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics import bootstrap_difference, score_breaths, score_second_annotator

FS = 100.0
LABELS = ("inspiration", "expiration", "pause")


def breaths(ends, *, channels=("II", "RESP"), channel=1, label=0):
    rows = [(-1, -1, end, label, channel, np.nan) for end in ends]
    return Spans.from_rows(rows, fs=FS, channels=channels, classes=LABELS)


def marked(ends, **where):
    return Annotation(spans=breaths(ends, **where), annotated=np.empty((0, 3)))


def test_ends_within_the_tolerance_are_found_and_all_others_count():
    scores = score_breaths([(marked([1000, 1400, 1800]), breaths([1050, 1499, 1700, 1990]))])
    assert scores.tolerances == (0.5, 1.0)
    assert scores.sums[0, 0].tolist() == [1, 2, 2, 500, 500**2]  # the breath at 1990 is past the marked range
    assert scores.sums[0, 1].tolist() == [3, 0, 0, 500 + 990 - 1000, 500**2 + 990**2 + 1000**2]
    assert (scores.f1(0.5), scores.f1(1.0)) == (pytest.approx(100 / 3), 100)
    assert scores.count_error == 0


def test_breaths_a_second_outside_the_marks_count_and_later_ones_do_not():
    scores = score_breaths([(marked([1000, 1400]), breaths([899, 900, 1000, 1400, 1500, 1501]))])
    assert scores.sums[0, 0, :3].tolist() == [2, 0, 2]
    assert scores.count_error == 100
    second = score_second_annotator([(marked([1000, 1400]), marked([0, 1000, 1400, 1501, 9999]))])
    assert second.sums[0, 0, :3].tolist() == [2, 0, 3]
    assert second.count_error == 150


def test_only_inspirations_of_the_marked_channel_are_compared():
    others = [breaths([1000], channel=0), breaths([1000], label=1), breaths([1000], label=2)]
    case = (marked([1000]), Spans.concat([*others, breaths([1010])]))
    assert score_breaths([case]).sums[0, 0].tolist() == [1, 0, 0, 100, 100**2]
    assert score_breaths([case], channel="resp").f1(0.5) == 100
    assert score_breaths([case], channel=1).f1(0.5) == 100
    assert score_breaths([case], channel="II").count_sums.tolist() == [[0, 0]]
    elsewhere = breaths([1000], channels=("RESP", "II"), channel=0)
    assert score_breaths([(marked([1000]), elsewhere)]).f1(0.5) == 100


def test_the_error_of_the_count_is_the_mean_over_recordings():
    few, many = [1000, 1400], list(range(1000, 5000, 400))
    cases = [(marked(few), breaths([1000])), (marked(many), breaths([*many, 4690])), (marked([]), breaths([7]))]
    assert score_breaths(cases).count_error == pytest.approx((50 + 10) / 2)
    assert np.isnan(score_breaths(cases[2:]).count_error)
    assert np.isnan(score_breaths(cases[2:]).f1(1.0))


def test_scores_add_up_by_subject_and_can_be_resampled():
    cases = [(marked([1000]), breaths([1000])), (marked([1000]), breaths([])), (marked([1000]), breaths([1000, 1090]))]
    whole = score_breaths(cases, subjects=["a", "b", "a"])
    parts = score_breaths(cases[:1], subjects=["a"]) + score_breaths(cases[1:], subjects=["b", "a"])
    assert whole.subjects == parts.subjects == ("a", "b")
    assert np.array_equal(whole.sums, parts.sums)
    assert np.array_equal(whole.count_sums, parts.count_sums)
    assert whole.reweighted(np.array([0.0, 1.0])).count_error == 100
    perfect = score_breaths([(truth, truth.spans) for truth, _ in cases], subjects=["a", "b", "a"])
    difference = bootstrap_difference(perfect, whole, lambda scores: scores.f1(0.5), n=50)
    assert difference.difference == pytest.approx(100 - 200 / 3)
    assert difference.low > 0
    with pytest.raises(InvalidParameterError, match=r"\(0\.5, 1\.0\) and \(0\.3,\)"):
        whole + score_breaths(cases, tolerances=[0.3])


def test_the_table_has_a_row_a_tolerance():
    scores = score_breaths([(marked([1000, 1400]), breaths([1010, 1475]))], tolerances=(0.5, 1))
    table = scores.to_frame().set_index("tolerance_s")
    assert table.loc[0.5].tolist() == [2, 50, 50, 50, 100, 0, 0]
    assert table.loc[1.0].tolist() == [2, 100, 100, 100, 425, 325, 0]
    assert list(table) == ["n", "sensitivity", "ppv", "f1", "mean_ms", "sd_ms", "count_error"]
    assert scores.summary("our_") == {"our_f1_0.5s": 50.0, "our_f1_1s": 100.0, "our_count_error_pct": 0.0}


@pytest.mark.parametrize("tolerances", [(), (0.5, 0.0), (-1.0,), (np.nan,), (np.inf,)])
def test_a_tolerance_that_is_none_is_refused(tolerances):
    with pytest.raises(InvalidParameterError, match="tolerances="):
        score_breaths([], tolerances=tolerances)


def test_what_cannot_be_compared_is_refused():
    both = Annotation(spans=Spans.concat([breaths([10]), breaths([20], channel=0)]), annotated=[])
    with pytest.raises(AnnotationError, match=r"\['II', 'RESP'\].*channel="):
        score_breaths([(both, breaths([]))])
    with pytest.raises(AnnotationError, match="belt"):
        score_breaths([(both, breaths([]))], channel="belt")
    with pytest.raises(AnnotationError, match="cases goes on after 1"):
        score_second_annotator([(both, both), (both, both)], channel=0, subjects=["a"])
    with pytest.raises(InvalidParameterError, match=r"tolerance=0\.3"):
        score_breaths([]).counts(0.3)
