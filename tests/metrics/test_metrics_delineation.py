import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.core import Annotation, Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.metrics import DelineationScore, score_best_channel, score_delineation
from naive_metrics import naive_f1, naive_sums

FS = 500.0
CLASSES = ("P", "QRS", "T")
POINTS = ("onset", "peak", "offset")
TOLERANCES_MS = {
    "150ms": dict.fromkeys(CLASSES, (150, 150, 150)),
    "tight": {"P": (50, 50, 50), "QRS": (40, 40, 40), "T": (50, 50, 100)},
}


def spans(rows, *, channels=("I", "II"), classes=CLASSES, fs=FS):
    """Spans from rows (label, channel position, onset, peak, offset)."""
    table = [(on, peak, off, classes.index(label), channel, 0.5) for label, channel, on, peak, off in rows]
    return Spans.from_rows(table, fs=fs, channels=channels, classes=classes)


def annotation(rows, annotated=((0, 0, 2000), (1, 0, 2000)), **kwargs):
    return Annotation(spans=spans(rows, **kwargs), annotated=annotated)


BEAT = [("P", 0, 400, 430, 460), ("QRS", 0, 500, 520, 545), ("T", 0, 600, 680, 740)]


@st.composite
def waves(draw, *, with_peak):
    """Rows of waves in two channels; a few points are left out."""
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        peak = draw(st.integers(40, 400))
        onset, offset = peak - draw(st.integers(1, 30)), peak + draw(st.integers(1, 30))
        onset, offset = (-1 if draw(st.integers(0, 5)) == 0 else point for point in (onset, offset))
        if not with_peak and onset >= 0 and draw(st.integers(0, 5)) == 0:
            peak = -1
        rows.append((draw(st.sampled_from(CLASSES)), draw(st.integers(0, 1)), onset, peak, offset))
    return rows


stretches = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 400), st.integers(0, 200)).map(lambda r: (r[0], r[1], r[1] + r[2])),
    max_size=4,
)


@given(marked=waves(with_peak=True), found=waves(with_peak=False), annotated=stretches)
def test_sums_are_those_of_the_naive_count(marked, found, annotated):
    reference, predicted = annotation(marked, np.array(annotated).reshape(-1, 3)), spans(found)
    score = score_delineation([(reference, predicted)])
    for t, tolerances in enumerate(TOLERANCES_MS.values()):
        for w, label in enumerate(CLASSES):
            for p, point in enumerate(POINTS):
                expected = np.zeros(5)
                for channel in (0, 1):
                    of_channel = [s.select(s.channel == channel).of(label=label) for s in (reference.spans, predicted)]
                    marks = list(zip(getattr(of_channel[0], point).tolist(), of_channel[0].peak.tolist(), strict=True))
                    expected += naive_sums(
                        marks,
                        [x for x in getattr(of_channel[1], point).tolist() if x >= 0],
                        [(start, stop) for c, start, stop in annotated if c == channel],
                        tolerance_ms=tolerances[label][p],
                        fs=FS,
                    )
                assert score.sums[0, t, w, p] == pytest.approx(expected, rel=1e-12)


@given(marked=waves(with_peak=True), found=waves(with_peak=False))
def test_figures_follow_from_the_counts(marked, found):
    score = score_delineation([(annotation(marked), spans(found))])
    hits, missed, false = score.sums[0, 1, ..., :3].transpose(2, 0, 1)
    f1 = np.array(
        [[naive_f1(*counts) for counts in zip(*row, strict=True)] for row in zip(hits, missed, false, strict=True)]
    )
    assert score.counts("tight").f1 == pytest.approx(f1, nan_ok=True)
    for w, label in enumerate(CLASSES):
        assert score.f1(label, "tight") == pytest.approx((f1[w, 0] + f1[w, 2]) / 2, nan_ok=True)
    edges = [x for x in f1[:, [0, 2]].ravel() if not math.isnan(x)]
    assert score.macro("tight") == pytest.approx(np.mean(edges) if edges else math.nan, nan_ok=True)


def test_an_expert_agrees_with_himself_without_error():
    score = score_delineation([(annotation(BEAT), spans(BEAT))])
    frame = score.to_frame("tight")
    assert frame.columns.tolist() == ["label", "point", "n", "sensitivity", "ppv", "f1", "mean_ms", "sd_ms"]
    assert (frame[["sensitivity", "ppv", "f1"]] == 100).all(axis=None)
    assert (frame[["mean_ms", "sd_ms"]] == 0).all(axis=None)
    assert score.macro() == score.macro("tight") == score.f1("P") == 100


def test_errors_are_found_minus_expert_in_milliseconds():
    later = [(label, c, on + 5, peak + 5, off + 10) for label, c, on, peak, off in BEAT]
    earlier = [(label, c, on + 3000, peak + 3000, off + 2990) for label, c, on, peak, off in BEAT]
    both = BEAT + [(label, c, on + 3000, peak + 3000, off + 3000) for label, c, on, peak, off in BEAT]
    frame = score_delineation([(annotation(both), spans(later + earlier))]).to_frame().set_index(["label", "point"])
    assert frame.loc[("P", "onset"), "mean_ms"] == 5
    assert frame.loc[("T", "offset"), ["mean_ms", "sd_ms"]].tolist() == [0, 20]


def test_tight_windows_differ_by_wave_and_point():
    shifted = [(label, c, on + 24, peak + 24, off + 24) for label, c, on, peak, off in BEAT]  # 48 ms
    score = score_delineation([(annotation(BEAT), spans(shifted))])
    assert (score.f1("P", "tight"), score.f1("QRS", "tight"), score.f1("T", "tight")) == (100, 0, 100)
    shifted = [(label, c, on + 50, peak + 50, off + 50) for label, c, on, peak, off in BEAT]  # 100 ms
    score = score_delineation([(annotation(BEAT), spans(shifted))])
    assert score.counts("tight").sensitivity.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 100]]


def test_an_unmatched_wave_is_false_only_in_an_annotated_stretch_of_its_channel():
    extra = [*BEAT, ("P", 0, 1400, 1430, 1460), ("P", 1, 1400, 1430, 1460)]
    for annotated, false in (([(0, 400, 741)], 0), ([(0, 400, 1401)], 1), ([(0, 400, 1400), (1, 400, 1500)], 1)):
        score = score_delineation([(annotation(BEAT, annotated), spans(extra))])
        assert score.sums[0, 0, 0, 0, 2] == false


@pytest.mark.parametrize(
    (
        "distance",
        "false",
    ),  # in samples: excused within 150 + 150 ms = 150, with the tight window within 50 + 150 ms = 100
    [(0, [0, 0]), (100, [0, 0]), (101, [0, 1]), (150, [0, 1]), (151, [1, 1])],
)
def test_no_prediction_counts_near_a_wave_of_which_the_expert_left_that_point_out(distance, false):
    marked = annotation([("T", 0, -1, 680, 740)])
    score = score_delineation([(marked, spans([("T", 0, 680 - distance, 680, 740)]))])
    assert score.sums[0, :, 2, 0].tolist() == [[0, 0, n, 0, 0] for n in false]


def test_a_label_that_was_not_looked_for_counts_neither_way():
    beats_only = annotation([("QRS", 0, 500, 520, 545)], classes=("QRS",))
    score = score_delineation([(beats_only, spans(BEAT))])
    assert score.f1("QRS") == 100
    assert math.isnan(score.f1("P"))
    assert math.isnan(score.false_p_per_beat)
    assert score.macro() == 100


def test_false_p_waves_are_counted_where_a_channel_has_beats_but_no_p():
    without_p = [w for w in BEAT if w[0] != "P"]
    second = [("QRS", 1, 500, 520, 545), ("P", 1, 400, 430, 460)]
    case = annotation(without_p + second, [(0, 400, 800), (1, 400, 800)])
    found = spans([("P", 0, 400, 430, 460), ("P", 0, 700, 710, 720), ("P", 0, 900, 910, 920), ("P", 1, 600, 610, 620)])
    assert score_delineation([(case, found)]).without_p.tolist() == [[2, 1]]
    assert score_delineation([(case, found)]).false_p_per_beat == 2
    assert math.isnan(score_delineation([(case, found)], channels=["ii"]).false_p_per_beat)


def test_channels_are_chosen_by_name_in_any_case_or_by_position():
    marked = [*BEAT, ("QRS", 1, 900, 920, 945)]
    for channels, n in ((None, 2), (["ii"], 1), ([1], 1), (["I", 1], 2), (["ii", "v9"], 1)):
        score = score_delineation([(annotation(marked), spans(BEAT))], channels=channels)
        assert score.counts().n[1, 1] == n


def test_predicted_channels_are_assigned_by_name():
    swapped = spans([("QRS", 1, 500, 520, 545)], channels=("ii", "i"))
    assert score_delineation([(annotation(BEAT), swapped)]).f1("QRS") == 100


def test_predicted_channels_that_share_a_name_are_assigned_by_position():
    marked = annotation([("QRS", 1, 500, 520, 545)], channels=("ECG", "ECG"))
    for channels in (("ECG", "ECG"), ("0", "1")):
        assert score_delineation([(marked, spans([("QRS", 1, 500, 520, 545)], channels=channels))]).f1("QRS") == 100


def test_an_annotated_channel_without_predictions_is_missed():
    only_one = spans([], channels=("II",))
    assert score_delineation([(annotation(BEAT), only_one)]).counts().sensitivity.tolist() == [[0, 0, 0]] * 3


def test_scores_add_up_and_subjects_are_merged():
    cases = [(annotation(BEAT), spans(BEAT[:2])), (annotation(BEAT), spans(BEAT[1:])), (annotation(BEAT), spans([]))]
    whole = score_delineation(cases, subjects=["a", "b", "a"])
    assert whole.subjects == ("a", "b")
    parts = score_delineation(cases[:2], subjects=["a", "b"]) + score_delineation(cases[2:], subjects=["a"])
    assert parts.subjects == whole.subjects
    assert np.array_equal(parts.sums, whole.sums)
    assert np.array_equal(parts.without_p, whole.without_p)
    twice = score_delineation([*cases, *cases], subjects=["a", "b", "a"] * 2)
    assert np.array_equal(whole.reweighted(np.array([2.0, 2.0])).sums, twice.sums)


def test_no_cases_have_no_figures():
    score = score_delineation([])
    assert isinstance(score, DelineationScore)
    assert math.isnan(score.macro())
    assert score.to_frame()["n"].tolist() == [0] * 9


def test_the_summary_has_a_key_a_figure():
    figures = score_delineation([(annotation(BEAT), spans(BEAT[:2]))]).summary("lead II")
    assert figures["lead II.150ms.P"] == 100
    assert figures["lead II.tight.T"] == 0
    assert figures["lead II.150ms.macro"] == 66.667
    assert "false_p_per_beat" not in figures


def test_the_best_channel_is_taken_point_by_point():
    marked = annotation(BEAT)
    found = spans([("QRS", 0, 510, 519, 645), ("QRS", 1, 501, 530, 546)])
    frame = score_best_channel([(marked, found)]).to_frame().set_index(["label", "point"])
    assert frame.loc["QRS", "mean_ms"].tolist() == [2, -2, 2]
    assert frame.loc["QRS", "sensitivity"].tolist() == [100, 100, 100]
    assert frame.loc["P", "sensitivity"].tolist() == [0, 0, 0]
    assert "ppv" not in frame


def test_the_best_channel_summary_leaves_out_what_was_never_marked():
    marked = annotation([("T", 0, -1, 680, 740)])
    figures = score_best_channel([(marked, spans(BEAT))]).summary()
    assert figures == {
        "best.T.peak.se": 100, "best.T.peak.sd_ms": 0, "best.T.offset.se": 100, "best.T.offset.sd_ms": 0,
    }  # fmt: skip


@pytest.mark.parametrize("score", [score_delineation, score_best_channel])
def test_rates_must_agree(score):
    with pytest.raises(AnnotationError, match="250 Hz and their annotation at 500 Hz"):
        score([(annotation(BEAT), spans(BEAT, fs=250.0))])


def test_what_is_asked_for_must_exist():
    case = (annotation(BEAT), spans(BEAT))
    with pytest.raises(AnnotationError, match="v9"):
        score_delineation([case], channels=["v9"])
    with pytest.raises(AnnotationError, match="one string"):
        score_delineation([case], channels="II")
    with pytest.raises(AnnotationError, match="marks=2"):
        score_best_channel([case], marks=2)
    with pytest.raises(AnnotationError, match="subjects goes on after 1"):
        score_delineation([case], subjects=["a", "b"])
    with pytest.raises(AnnotationError, match="cases goes on after 1"):
        score_delineation([case, case], subjects=["a"])
    with pytest.raises(InvalidParameterError, match="150ms"):
        score_delineation([case]).macro("100ms")
    with pytest.raises(InvalidParameterError, match="label='U'"):
        score_delineation([case]).f1("U")
