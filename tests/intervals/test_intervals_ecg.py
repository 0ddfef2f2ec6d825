import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_loaders.ludb import Ludb
from mhealth.core import Spans
from mhealth.errors import AnnotationError, InvalidParameterError
from mhealth.intervals import (
    associate_waves,
    ecg_intervals,
    qtc_bazett,
    qtc_framingham,
    qtc_fridericia,
    qtc_hodges,
)
from naive_metrics import naive_beats

CLASSES = ("P", "QRS", "T", "unusable")


def spans(rows, *, fs=1000.0, channels=("II",)):
    """Spans from rows (label, onset, peak, offset[, channel position])."""
    table = [(row[1], row[2], row[3], CLASSES.index(row[0]), row[4] if len(row) > 4 else 0, 0.9) for row in rows]
    return Spans.from_rows(table, fs=fs, channels=channels, classes=CLASSES)


def beat(r_peak, *, without=(), channel=0):
    """One beat at 1000 Hz: PR 160, QRS 90, QT 400 ms."""
    waves = [
        ("P", r_peak - 200, r_peak - 150, r_peak - 100, channel),
        ("QRS", r_peak - 40, r_peak, r_peak + 50, channel),
        ("T", r_peak + 160, r_peak + 280, r_peak + 360, channel),
    ]
    return [wave for wave in waves if wave[0] not in without]


def test_intervals_are_those_of_a_published_worked_example():
    # QT 400 ms at 75 bpm: Bazett 447.21, Fridericia 430.87 ms (https://calculatorlib.com/qtc-calculator, decimals cut
    # off); by hand from the formulas of Sagie (1992) and Hodges (1983): 400 + 154 × 0.2 and 400 + 1.75 × 15.
    intervals = ecg_intervals(spans(beat(1000) + beat(1800)))
    assert intervals.rr_s[1] == 0.8
    assert intervals.heart_rate_bpm[1] == pytest.approx(75)
    assert intervals.pr_ms.tolist() == [160, 160]
    assert intervals.qrs_ms.tolist() == [90, 90]
    assert intervals.qt_ms.tolist() == [400, 400]
    assert intervals.qtc_bazett_ms[1] == pytest.approx(447.21, abs=0.01)
    assert intervals.qtc_fridericia_ms[1] == pytest.approx(430.87, abs=0.02)
    assert intervals.qtc_framingham_ms[1] == pytest.approx(430.8)
    assert intervals.qtc_hodges_ms[1] == pytest.approx(426.25)


@pytest.mark.parametrize("correct", [qtc_bazett, qtc_fridericia, qtc_framingham, qtc_hodges])
def test_every_correction_leaves_qt_alone_at_60_bpm_and_lengthens_it_above(correct):
    at_60, faster, no_qt, no_rr, impossible = correct([400, 400, np.nan, 400, 400], [1, 0.7, 1, np.nan, 0])
    assert at_60 == 400
    assert faster > 400
    assert np.isnan([no_qt, no_rr, impossible]).all()


def test_times_follow_from_the_rate():
    intervals = ecg_intervals(spans([("QRS", 90, 100, 115), ("QRS", 290, 300, 315)], fs=250.0))
    assert intervals.rr_s[1] == 0.8
    assert intervals.qrs_ms.tolist() == [100, 100]


def test_the_first_beat_has_no_rr_and_nothing_that_needs_it():
    frame = ecg_intervals(spans(beat(1000) + beat(1800))).to_frame()
    needs_rr = ["rr_s", "heart_rate_bpm", *(name for name in frame if name.startswith("qtc"))]
    assert len(needs_rr) == 6
    assert frame.loc[0, needs_rr].isna().all()
    assert frame.loc[1, needs_rr].notna().all()
    assert frame.loc[0, ["pr_ms", "qrs_ms", "qt_ms"]].notna().all()


def test_a_missing_p_gives_no_pr_and_leaves_the_rest_alone():
    frame = ecg_intervals(spans(beat(1000) + beat(1800, without="P"))).to_frame()
    assert frame.loc[1, ["p_onset", "p_peak", "p_offset", "pr_ms"]].isna().all()
    assert frame.loc[1, ["rr_s", "qrs_ms", "qt_ms", "qtc_hodges_ms"]].notna().all()
    assert frame.loc[0, "pr_ms"] == 160


def test_a_missing_point_gives_no_interval_that_needs_it():
    intervals = ecg_intervals(spans([("P", -1, 850, 900), ("QRS", 960, 1000, -1), ("T", 1160, 1280, -1)]))
    assert (intervals.p_peak[0], intervals.t_peak[0]) == (850, 1280)
    assert np.isnan([intervals.pr_ms, intervals.qrs_ms, intervals.qt_ms]).all()


def test_an_unknown_r_peak_gives_no_rr_on_either_side():
    intervals = ecg_intervals(spans([*beat(1000), ("QRS", 1760, -1, 1850), *beat(2600), *beat(3400)]))
    assert np.isnan(intervals.rr_s[:3]).all()
    assert intervals.rr_s[3] == 0.8


def test_of_two_p_waves_the_one_next_to_the_qrs_counts_and_the_other_belongs_to_no_beat():
    blocked = ("P", 1500, 1540, 1590)
    intervals = ecg_intervals(spans([*beat(1000), blocked, *beat(2000)]))
    assert intervals.p_onset.tolist() == [800, 1800]


def test_a_p_wave_belongs_to_one_of_two_qrs_in_a_row():
    intervals = ecg_intervals(spans([*beat(1000, without="T"), ("QRS", 1150, 1200, 1250), ("T", 1350, 1450, 1500)]))
    assert intervals.p_onset.tolist() == [800, -1]
    assert intervals.t_onset.tolist() == [-1, 1350]
    assert intervals.rr_s[1] == 0.2


def test_waves_too_far_from_the_qrs_belong_to_no_beat():
    far_p, far_t = ("P", 300, 340, 390), ("T", 1560, 1700, 1800)
    rows = [far_p, *beat(1000, without="PT"), far_t]
    intervals = ecg_intervals(spans(rows))
    assert (intervals.p_onset[0], intervals.t_onset[0]) == (-1, -1)
    wider = ecg_intervals(spans(rows), longest_pr=0.66, longest_qt=0.84)
    assert (wider.pr_ms[0], wider.qt_ms[0]) == (660, 840)


def test_nothing_is_measured_across_an_unusable_stretch():
    gap = ("unusable", 1500, -1, 2500)
    intervals = ecg_intervals(spans([*beat(1000), gap, *beat(3000), *beat(3900)]))
    assert np.isnan(intervals.rr_s[:2]).all()
    assert intervals.rr_s[2] == 0.9
    hidden = [("P", 800, 850, 900), ("unusable", 905, -1, 950), ("QRS", 960, 1000, 1050), ("unusable", 1055, -1, 1150)]
    intervals = ecg_intervals(spans([*hidden, ("T", 1160, 1280, 1360)]))
    assert (intervals.p_onset[0], intervals.t_onset[0]) == (-1, -1)


def test_an_unusable_stretch_of_one_channel_leaves_the_other_alone():
    rows = [*beat(1000), *beat(1900), *beat(1000, channel=1), *beat(1900, channel=1), ("unusable", 1400, -1, 1600, 1)]
    intervals = ecg_intervals(spans(rows, channels=("II", "V2")))
    assert intervals.channel.tolist() == [0, 0, 1, 1]
    assert np.isnan(intervals.rr_s).tolist() == [True, False, True, True]


def test_the_table_names_channels_and_counts_beats_in_each():
    rows = [*beat(1000), *beat(1900), *beat(1000, channel=2)]
    frame = ecg_intervals(spans(rows, channels=("ECG", "V2", "ECG"))).to_frame()
    assert frame["channel"].tolist() == ["0", "0", "2"]
    assert frame["beat"].tolist() == [0, 1, 0]
    assert frame["r_peak"].tolist() == [1000, 1900, 1000]
    assert frame["r_peak_s"].tolist() == [1, 1.9, 1]


def test_unknown_points_are_empty_in_a_file():
    text = ecg_intervals(spans(beat(1000, without="PT"))).to_frame().to_csv(index=False)
    assert text.splitlines()[1] == "II,0,,,,960,1000,1050,,,,1.0,,,,90.0,,,,,"


def test_the_summary_has_median_and_quartiles_of_what_could_be_measured():
    rows = [w for k, r_peak in enumerate((1000, 1800, 2700, 3700)) for w in beat(r_peak, without="P" if k % 2 else "")]
    summary = ecg_intervals(spans(rows, channels=("II", "V2"))).summary().set_index(["channel", "measure"])
    assert summary.loc[("II", "rr_s")].tolist() == pytest.approx([3, 0.9, 0.85, 0.95, 0.1])
    assert summary.loc[("II", "pr_ms")].tolist() == [2, 160, 160, 160, 0]
    assert summary.loc[("II", "heart_rate_bpm"), "median"] == pytest.approx(60 / 0.9)
    assert (summary.loc["V2", "n"] == 0).all()
    assert summary.loc["V2", "median"].isna().all()


@pytest.mark.parametrize("channels", [(), ("II",), ("II", "V2")])
def test_empty_spans_have_no_intervals(channels):
    intervals = ecg_intervals(Spans.empty(fs=500.0, channels=channels, classes=CLASSES))
    assert len(intervals) == len(intervals.to_frame()) == 0
    assert (intervals.summary()["n"] == 0).all()
    assert len(intervals.summary()) == 9 * len(channels)


def test_spans_without_a_qrs_or_without_some_labels_are_no_error():
    assert len(ecg_intervals(spans(beat(1000, without=("QRS",))))) == 0
    only_qrs = Spans.from_rows([(90, 100, 115, 0, 0, 0.9)], fs=250.0, channels=("II",), classes=("QRS",))
    assert ecg_intervals(only_qrs).qrs_ms.tolist() == [100]


@st.composite
def wave_rows(draw):
    """Spans in any order of labels, mostly one after the other, some overlapping."""
    rows, position = [], 0
    for _ in range(draw(st.integers(0, 25))):
        position = max(0, position + draw(st.integers(-5, 60)))
        length = draw(st.integers(1, 80))
        rows.append((draw(st.sampled_from(CLASSES)), position, -1, position + length))
        position += length
    return rows


@given(rows=wave_rows(), longest_pr=st.integers(20, 200), longest_qt=st.integers(40, 300))
def test_waves_are_associated_as_by_the_naive_search(rows, longest_pr, longest_qt):
    waves = spans(rows)
    labels = [CLASSES[code] for code in waves.label]
    beats = associate_waves(waves, 0, longest_pr=longest_pr / 1000, longest_qt=longest_qt / 1000)
    got = list(zip(beats.qrs.tolist(), beats.p.tolist(), beats.t.tolist(), beats.continues.tolist(), strict=True))
    naive = naive_beats(
        list(zip(labels, waves.onset.tolist(), waves.offset.tolist(), strict=True)),
        longest_pr=longest_pr,
        longest_qt=longest_qt,
    )
    assert got == [(q, -1 if p is None else p, -1 if t is None else t, c) for q, p, t, c in naive]


def test_a_hundred_thousand_beats_take_well_under_a_second():
    n = 100_000
    r_peak = 1000 + 800 * np.arange(n)
    columns = [np.array([w[1 + k] for w in beat(0)])[:, None] + r_peak for k in range(3)]
    waves = Spans(
        onset=columns[0].ravel(), peak=columns[1].ravel(), offset=columns[2].ravel(), label=np.repeat(np.arange(3), n),
        channel=np.zeros(3 * n, dtype=int), probability=np.ones(3 * n), fs=1000.0, channels=("II",), classes=CLASSES,
    )  # fmt: skip
    begin = time.process_time()
    intervals = ecg_intervals(waves)
    assert time.process_time() - begin < 1
    assert (intervals.rr_s[1:] == 0.8).all()
    assert (intervals.pr_ms == 160).all()
    assert (intervals.qt_ms == 400).all()


def test_what_is_asked_for_must_make_sense():
    with pytest.raises(AnnotationError, match="channel=1"):
        associate_waves(spans([]), 1)
    with pytest.raises(InvalidParameterError, match="longest_pr=0"):
        ecg_intervals(spans([]), longest_pr=0)
    with pytest.raises(InvalidParameterError, match="longest_qt=nan"):
        ecg_intervals(spans([]), longest_qt=np.nan)


@pytest.mark.realdata
def test_experts_marks_give_physiological_intervals_and_fibrillation_no_pr(data_dir):
    dataset = Ludb(data_dir / "ludb")
    names = {"Sinus rhythm": [], "Atrial fibrillation": []}
    for name in dataset.records:
        names.get(dataset.rhythm(name), []).append(name)
    bounds = {"heart_rate_bpm": (50, 110), "pr_ms": (90, 320), "qrs_ms": (50, 200), "qt_ms": (280, 520)}
    for name in names["Sinus rhythm"][:8]:
        _, annotation, _ = dataset.load(name)
        medians = ecg_intervals(annotation.spans).summary().pivot(index="channel", columns="measure", values="median")
        for measure, (low, high) in bounds.items():
            assert medians[measure].between(low, high).all(), (name, measure, medians[measure].to_dict())
    for name in names["Atrial fibrillation"][:4]:
        _, annotation, _ = dataset.load(name)
        intervals = ecg_intervals(annotation.spans)
        assert np.isnan(intervals.pr_ms).all()
        assert np.isfinite(intervals.qrs_ms).any()
