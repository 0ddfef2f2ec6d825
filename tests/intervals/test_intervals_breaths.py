"""Breaths whose durations, heights and heartbeats are known, measured."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import breath_intervals

FS = 10.0
CLASSES = ("inspiration", "expiration", "pause", "unusable", "QRS")
COMPARED = (
    "inspiration_s", "expiration_s", "cycle_s", "ie_ratio",
    "stretch", "inspiratory_velocity", "expiratory_velocity", "minute_ventilation",
)  # fmt: skip


def spans(rows, *, fs=FS, channels=("RESP",)):
    """Spans from rows (label, onset, peak, offset[, channel position])."""
    table = [(row[1], row[2], row[3], CLASSES.index(row[0]), row[4] if len(row) > 4 else 0, 0.9) for row in rows]
    return Spans.from_rows(table, fs=fs, channels=channels, classes=CLASSES)


def triangles(*breaths, start=0, channel=0):
    """Rows and signal of breaths (samples up, samples down, height) in a row; the trough is at zero."""
    rows, corners, heights = [], [start], [0.0]
    for up, down, height in breaths:
        onset, peak, offset = corners[-1], corners[-1] + up, corners[-1] + up + down
        rows += [("inspiration", onset, peak, peak, channel), ("expiration", peak, -1, offset, channel)]
        corners += [peak, offset]
        heights += [height, 0.0]
    return rows, np.interp(np.arange(corners[-1] + 1), corners, heights)


def recorded(signal, *, channels=("RESP",), unit="V"):
    return Recording(signals=signal, fs=FS, channels=channels, units=(unit,) * len(channels))


def heartbeats(*r_peaks, fs=1000.0):
    rows = [("QRS", r - 40, r, r + 50) for r in r_peaks]
    return spans(rows, fs=fs, channels=("II",))


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # the signal is float32


def test_a_triangle_wave_has_the_features_that_it_was_drawn_with():
    rows, signal = triangles((20, 30, 4.0), (20, 30, 4.0))
    breaths = breath_intervals(spans(rows), recorded(signal))
    assert (breaths.onset.tolist(), breaths.peak.tolist(), breaths.offset.tolist()) == ([0, 50], [20, 70], [50, 100])
    assert breaths.inspiration_s.tolist() == [2, 2]
    assert breaths.expiration_s.tolist() == [3, 3]
    assert breaths.cycle_s.tolist() == [5, 5]
    assert breaths.breath_rate_bpm.tolist() == [12, 12]
    same(breaths.ie_ratio, [2 / 3, 2 / 3])
    same(breaths.stretch, [4, 4])
    same(breaths.inspiratory_velocity, [2, 2])
    same(breaths.expiratory_velocity, [4 / 3, 4 / 3])
    same(breaths.minute_ventilation, [48, 48])
    assert np.isnan(breaths.rsa_ms).all()


def test_on_a_slope_the_velocities_count_from_the_trough_before_and_the_trough_after():
    rows, signal = triangles((20, 30, 4.0))
    breaths = breath_intervals(spans(rows), recorded(signal + 0.1 * np.arange(len(signal))))  # 1 a second upwards
    same(breaths.stretch, [4 - 3])
    same(breaths.inspiratory_velocity, [(4 + 2) / 2])
    same(breaths.expiratory_velocity, [(4 - 3) / 3])


def test_a_signal_that_falls_with_inspiration_has_a_negative_stretch_and_the_same_ventilation():
    rows, signal = triangles((20, 30, 4.0))
    up, down = (breath_intervals(spans(rows), recorded(sign * signal)) for sign in (1, -1))
    for name in ("stretch", "inspiratory_velocity", "expiratory_velocity"):
        assert (getattr(up, name) > 0).all()
        same(getattr(down, name), -getattr(up, name))
    same(down.minute_ventilation, up.minute_ventilation)


FIVE = ((20, 30, 1.0), (20, 30, 2.0), (30, 30, 6.0), (20, 40, 3.0), (20, 30, 2.0))


def test_neighbours_are_compared_by_hand_computed_differences_and_ratios():
    rows, signal = triangles(*FIVE)
    frame = breath_intervals(spans(rows), recorded(signal)).to_frame()
    same(frame["stretch_minus_before"], [np.nan, 1, 4, -3, -1])
    same(frame["stretch_minus_after"], [-1, -4, 3, 1, np.nan])
    same(frame["stretch_over_neighbours"], [np.nan, np.nan, 6 / 2, np.nan, np.nan])  # (1 + 2 + 3 + 2) / 4 = 2
    same(frame["cycle_s_minus_before"], [np.nan, 0, 1, 0, -1])
    same(frame["cycle_s_over_neighbours"], [np.nan, np.nan, 6 / 5.25, np.nan, np.nan])
    same(frame["expiration_s_minus_after"], [0, 0, -1, 1, np.nan])


@pytest.mark.parametrize(
    "between",
    [("pause", 110, -1, 220), ("unusable", 110, -1, 120), None],
    ids=["pause", "unusable", "eleven seconds without a label"],
)
def test_an_interruption_leaves_no_neighbour_on_either_side(between):
    before, _ = triangles(*FIVE[:2])
    after, _ = triangles(*FIVE, start=120 if between and between[0] == "unusable" else 220)
    breaths = breath_intervals(spans([*before, *after, *([between] if between else [])]))
    assert breaths.continues.tolist() == [False, True, False, True, True, True, True]
    frame = breaths.to_frame()
    assert frame["cycle_s_minus_before"].isna().tolist() == [True, False, True, False, False, False, False]
    assert frame["cycle_s_minus_after"].isna().tolist() == [False, True, False, False, False, False, True]
    assert frame["cycle_s_over_neighbours"].notna().tolist() == [False] * 4 + [True] + [False] * 2
    assert frame["cycle_s"].notna().all()


def test_a_pause_shorter_than_an_apnoea_does_not_interrupt_and_what_counts_can_be_chosen():
    before, _ = triangles(*FIVE[:2])
    after, _ = triangles(*FIVE[:2], start=100 + 99)
    rows = [*before, ("pause", 100, -1, 199), *after]
    breaths = breath_intervals(spans(rows))
    assert breaths.continues.tolist() == [False, True, True, True]
    assert breaths.cycle_s[1] == 5  # the pause is no part of the cycle
    assert breath_intervals(spans(rows), shortest_pause=5).continues.tolist() == [False, True, False, True]
    with pytest.raises(InvalidParameterError, match="shortest_pause=0"):
        breath_intervals(spans(rows), shortest_pause=0)


def test_without_a_recording_there_are_times_and_nothing_else():
    rows, _ = triangles(*FIVE)
    frame = breath_intervals(spans(rows)).to_frame()
    assert frame[["inspiration_s", "cycle_s", "ie_ratio", "breath_rate_bpm"]].notna().all(axis=None)
    assert frame[[name for name in frame if "stretch" in name or "velocity" in name]].isna().all(axis=None)
    assert frame["minute_ventilation"].isna().all()
    assert set(frame["unit"]) == {""}


def test_one_breath_has_durations_and_no_neighbours():
    rows, signal = triangles((20, 30, 4.0))
    breaths = breath_intervals(spans(rows), recorded(signal))
    frame = breaths.to_frame()
    assert frame.loc[0, list(COMPARED)].notna().all()
    assert (
        frame[[f"{name}_{how}" for name in COMPARED for how in ("minus_before", "minus_after")]].isna().all(axis=None)
    )
    (minute,) = breaths.per_minute().to_dict("records")
    assert (minute["n_breaths"], minute["covered_s"], minute["rate_bpm"]) == (1, 5, 12)
    assert np.isnan(minute["rate_sd_bpm"])


@pytest.mark.parametrize("channels", [(), ("RESP",), ("RESP", "II")])
def test_no_breath_gives_empty_tables_with_all_columns(channels):
    breaths = breath_intervals(Spans.empty(fs=FS, channels=channels, classes=CLASSES))
    rows, _ = triangles(*FIVE)
    some = breath_intervals(spans(rows))
    assert len(breaths) == len(breaths.to_frame()) == len(breaths.per_minute()) == len(breaths.summary()) == 0
    for table in ("to_frame", "per_minute", "summary"):
        assert list(getattr(breaths, table)()) == list(getattr(some, table)())


def test_an_inspiration_without_expiration_is_a_breath_without_a_cycle():
    rows, signal = triangles(*FIVE[:2])
    breaths = breath_intervals(spans(rows[:-1]), recorded(signal))
    assert breaths.offset.tolist() == [50, -1]
    assert breaths.inspiration_s.tolist() == [2, 2]
    for name in ("expiration_s", "cycle_s", "ie_ratio", "stretch", "expiratory_velocity", "minute_ventilation"):
        assert np.isnan(getattr(breaths, name)).tolist() == [False, True], name
    same(breaths.inspiratory_velocity, [0.5, 1])


def test_an_expiration_beyond_a_pause_or_an_unusable_stretch_belongs_to_no_breath():
    for label in ("pause", "unusable"):
        rows = [("inspiration", 0, 20, 20), (label, 20, -1, 40), ("expiration", 40, -1, 70)]
        assert breath_intervals(spans(rows)).offset.tolist() == [-1]
    assert len(breath_intervals(spans([("expiration", 40, -1, 70)]))) == 0


def test_marks_of_the_end_of_inspiration_give_peaks_that_follow_each_other():
    breaths = breath_intervals(spans([("inspiration", -1, -1, at) for at in (30, 70, 120, 300)]))
    assert breaths.peak.tolist() == [30, 70, 120, 300]
    assert breaths.continues.tolist() == [False, True, True, False]
    assert np.isnan(breaths.cycle_s).all()
    assert breaths.per_minute()["n_breaths"].tolist() == [4]


def test_samples_that_are_missing_or_outside_give_no_stretch():
    rows, signal = triangles(*FIVE)
    signal[70] = np.nan  # the second peak
    breaths = breath_intervals(spans(rows), recorded(signal[:-1]))  # the last trough is cut off
    assert np.isnan(breaths.stretch).tolist() == [False, True, False, False, True]
    assert np.isnan(breaths.inspiratory_velocity).tolist() == [False, True, False, False, False]


def test_a_trough_in_an_unusable_stretch_gives_no_stretch():
    rows, signal = triangles(*FIVE[:2])
    labelled = spans([*rows, ("unusable", 100, -1, 101)])
    assert np.isnan(breath_intervals(labelled, recorded(signal)).stretch).tolist() == [False, True]


def test_each_channel_is_measured_in_its_own_signal_and_unit():
    rib_rows, rib = triangles(*FIVE)
    abdomen_rows, abdomen = triangles(*FIVE[:2], channel=2)
    signals = np.zeros((len(rib), 3))
    signals[:, 0], signals[: len(abdomen), 2] = rib, 10 * abdomen
    recording = Recording(signals=signals, fs=FS, channels=("RESP", "II", "RESP"), units=("V", "mV", "ohm"))
    breaths = breath_intervals(spans([*rib_rows, *abdomen_rows], channels=recording.channels), recording)
    frame = breaths.to_frame()
    assert frame["channel"].tolist() == ["0"] * 5 + ["2"] * 2
    assert frame["unit"].tolist() == ["V"] * 5 + ["ohm"] * 2
    assert frame["breath"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    same(breaths.stretch, [1, 2, 6, 3, 2, 10, 20])
    assert np.isnan(frame["stretch_minus_before"][5])
    assert breaths.breathing_channels == (0, 2)
    assert set(breaths.summary()["channel"]) == {"0", "2"}


def test_a_recording_that_is_not_the_labelled_one_is_refused():
    rows, signal = triangles(*FIVE)
    with pytest.raises(InvalidParameterError, match="holds \\('ABD',\\)"):
        breath_intervals(spans(rows), recorded(signal, channels=("ABD",)))
    with pytest.raises(InvalidParameterError, match="25 Hz"):
        breath_intervals(spans(rows), Recording(signals=signal, fs=25, channels=("RESP",)))


def test_the_table_has_points_in_samples_and_seconds_with_unknown_ones_empty():
    rows, _ = triangles((20, 30, 1.0))
    text = breath_intervals(spans(rows[:1])).to_frame().iloc[:, :13].to_csv(index=False)
    assert text.splitlines() == [
        "channel,unit,breath,onset,peak,offset,onset_s,peak_s,offset_s,inspiration_s,expiration_s,cycle_s,ie_ratio",
        "RESP,,0,0,20,,0.0,2.0,,2.0,,,",
    ]


def test_the_summary_has_median_and_quartiles_of_what_could_be_measured():
    rows, signal = triangles(*FIVE)
    summary = breath_intervals(spans(rows), recorded(signal)).summary().set_index("measure")
    assert summary.loc["stretch", ["n", "median", "q1", "q3", "iqr"]].tolist() == pytest.approx([5, 2, 2, 3, 1])
    assert summary.loc["rsa_ms", "n"] == 0
    assert np.isnan(summary.loc["rsa_ms", "median"])


# minutes


def test_a_minute_counts_breaths_by_their_peaks_and_paces_them_by_their_share():
    rows, _ = triangles(*[(10, 15, 1.0)] * 22, (20, 60, 1.0), (40, 40, 1.0))  # 55 s at 24, then two of 8 s, to 71 s
    first, second = breath_intervals(spans(rows)).per_minute().to_dict("records")
    assert (first["n_breaths"], second["n_breaths"]) == (23, 1)
    assert (first["covered_s"], second["covered_s"]) == (60, 11)
    assert first["rate_bpm"] == pytest.approx(22 + 5 / 8)
    assert second["rate_bpm"] == pytest.approx(7.5)
    assert first["rate_sd_bpm"] == pytest.approx(np.std([24] * 22 + [7.5], ddof=1))
    assert (first["cycle_s_median"], second["cycle_s_median"]) == (2.5, 8)


def test_quartiles_of_a_minute_are_those_of_its_breaths():
    rows, signal = triangles(*FIVE)
    (minute,) = breath_intervals(spans(rows), recorded(signal)).per_minute().to_dict("records")
    assert [minute[f"stretch_{q}"] for q in ("q1", "median", "q3")] == pytest.approx([2, 2, 3])
    assert [minute[f"cycle_s_minus_before_{q}"] for q in ("q1", "median", "q3")] == pytest.approx([-0.25, 0, 0.25])
    assert minute["stretch_over_neighbours_median"] == pytest.approx(3)
    assert np.isnan(minute["rsa_ms_median"])


def test_time_in_a_pause_counts_as_time_without_breath():
    rows, _ = triangles(*[(20, 30, 1.0)] * 6)
    (minute,) = breath_intervals(spans([*rows, ("pause", 300, -1, 600)])).per_minute().to_dict("records")
    assert (minute["pause_s"], minute["covered_s"]) == (30, 60)
    assert minute["rate_bpm"] == pytest.approx(6)


def test_a_recording_that_is_one_long_pause_has_a_rate_of_zero():
    breaths = breath_intervals(spans([("pause", 0, -1, 1500)]))
    assert len(breaths) == 0
    minutes = breaths.per_minute()
    assert minutes["channel"].tolist() == ["RESP"] * 3
    assert minutes["rate_bpm"].tolist() == [0, 0, 0]
    assert minutes["pause_s"].tolist() == [60, 60, 30]


def test_time_that_is_unusable_tells_nothing_of_the_rate():
    early, _ = triangles(*[(20, 30, 1.0)] * 6)
    late, _ = triangles(*[(20, 30, 1.0)] * 6, start=1200)
    minutes = breath_intervals(spans([*early, ("unusable", 300, -1, 1200), *late])).per_minute()
    same(minutes["rate_bpm"], [12, np.nan, 12])
    assert minutes["covered_s"].tolist() == [30, 0, 30]
    assert minutes["n_breaths"].tolist() == [6, 0, 6]
    assert np.isnan(minutes["cycle_s_median"][1])


# respiratory sinus arrhythmia


def test_sinus_arrhythmia_is_largest_minus_smallest_of_the_intervals_that_end_in_the_breath():
    rows, _ = triangles((20, 30, 1.0), (20, 30, 1.0), start=5)  # from 0.5 to 5.5 s, and to 10.5 s
    beats = heartbeats(400, 1200, 2100, 3200, 4200, 5250, 6200, 7200)  # 800, 900, 1100, 1000, 1050 ms; 950, 1000 ms
    same(breath_intervals(spans(rows), qrs=beats).rsa_ms, [300, 50])


def test_a_breath_with_the_first_beat_of_all_has_no_sinus_arrhythmia_because_an_interval_is_unknown():
    rows, _ = triangles((20, 30, 1.0), (20, 30, 1.0))
    found = breath_intervals(spans(rows), qrs=heartbeats(400, 1200, 2100, 3200, 4200, 5250, 6200)).rsa_ms
    same(found, [np.nan, 100])


def test_fewer_than_two_intervals_or_an_unknown_one_give_no_sinus_arrhythmia():
    rows, _ = triangles((20, 30, 1.0), start=10)
    assert np.isnan(breath_intervals(spans(rows), qrs=heartbeats(500, 900, 1700)).rsa_ms[0])
    lost = spans(
        [("QRS", r - 40, r, r + 50) for r in (500, 1200, 2000, 4000, 4900)] + [("unusable", 2500, -1, 3000)],
        fs=1000.0,
        channels=("II",),
    )
    assert np.isnan(breath_intervals(spans(rows), qrs=lost).rsa_ms[0])
    no_offset = breath_intervals(spans(rows[:1]), qrs=heartbeats(500, 1200, 2000, 2900))
    assert np.isnan(no_offset.rsa_ms[0])


def test_r_peaks_beside_the_breaths_are_found_and_the_lead_with_most_beats_counts():
    rows, _ = triangles((20, 30, 1.0), start=10)
    one_lead = [("QRS", s - 1, s, s + 1, 1) for s in (5, 15, 25, 36, 45)]
    other_lead = [("QRS", s - 1, s, s + 1, 2) for s in (5, 40)]
    breaths = breath_intervals(spans([*rows, *one_lead, *other_lead], channels=("RESP", "II", "V5")))
    same(breaths.rsa_ms, [200])


# properties

lengths = st.integers(min_value=2, max_value=80)
heights = st.floats(min_value=0.1, max_value=10).map(lambda x: float(np.float32(x)))
cases = st.lists(st.tuples(lengths, lengths, heights), min_size=1, max_size=12)


@given(cases, st.sampled_from([-8.0, -1.0, 0.25, 2.0, 1024.0]))
def test_scaling_the_signal_scales_stretch_and_velocities_and_nothing_else(breaths, factor):
    rows, signal = triangles(*breaths)
    one, other = (breath_intervals(spans(rows), recorded(k * signal)).to_frame() for k in (1, factor))
    for name in one.select_dtypes("float"):
        expected = one[name].to_numpy()
        if not name.endswith("over_neighbours"):
            expected = expected * (factor if "stretch" in name or "velocity" in name else 1)
            expected = expected * (abs(factor) if "ventilation" in name else 1)
        np.testing.assert_array_equal(other[name], expected, err_msg=name)  # powers of two are exact


@given(cases, st.integers(min_value=0, max_value=2000))
def test_a_shift_in_time_changes_no_measure(breaths, shift):
    (rows, signal), (later_rows, _) = triangles(*breaths), triangles(*breaths, start=shift)
    late = np.concatenate([np.full(shift, 7.0), signal])
    one, other = breath_intervals(spans(rows), recorded(signal)), breath_intervals(spans(later_rows), recorded(late))
    assert (other.onset - one.onset == shift).all()
    measures = one.to_frame().columns[9:]
    np.testing.assert_array_equal(one.to_frame()[measures], other.to_frame()[measures])


@given(cases, st.floats(min_value=0, max_value=600))
def test_what_the_minutes_count_adds_up_to_the_breaths_and_the_time(breaths, start):
    rows, _ = triangles(*breaths, start=round(FS * start))
    found = breath_intervals(spans(rows))
    minutes = found.per_minute()
    assert minutes["n_breaths"].sum() == len(found)
    assert minutes["covered_s"].sum() == pytest.approx(found.cycle_s.sum())
    assert (minutes["rate_bpm"] * minutes["covered_s"]).sum() / 60 == pytest.approx(len(found))


@given(cases)
def test_comparisons_agree_with_a_naive_loop(breaths):
    rows, signal = triangles(*breaths)
    found = breath_intervals(spans(rows), recorded(signal))
    values, n = found.stretch, len(found)
    for k in range(n):
        around = [values[j] if 0 <= j < n else np.nan for j in (k - 2, k - 1, k + 1, k + 2)]
        same(found.minus_before(values)[k], values[k] - around[1])
        same(found.minus_after(values)[k], values[k] - around[2])
        same(found.over_neighbours(values)[k], values[k] / np.mean(around))


def test_a_hundred_thousand_breaths_take_well_under_two_seconds():
    n = 100_000
    onset = 40 * np.arange(n)
    labelled = Spans(
        onset=np.append(onset, onset + 15), peak=np.append(onset + 15, np.full(n, -1)),
        offset=np.append(onset + 15, onset + 40), label=np.repeat([0, 1], n), channel=np.zeros(2 * n, dtype=int),
        probability=np.ones(2 * n), fs=FS, channels=("RESP",), classes=CLASSES,
    )  # fmt: skip
    recording = recorded(np.tile(np.arange(40.0), n + 1))
    begin = time.process_time()
    breaths = breath_intervals(labelled, recording)
    frame, minutes = breaths.to_frame(), breaths.per_minute()
    assert time.process_time() - begin < 2
    same(frame["stretch_over_neighbours"][2 : n - 2], 1)
    same(minutes["rate_bpm"], 15)
