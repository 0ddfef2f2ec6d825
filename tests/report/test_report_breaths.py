"""Plots and the report show breathing where it was found: phases, pauses, rate, and heartbeats beside it."""

import re

import numpy as np
import pytest

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import breath_intervals, ecg_intervals
from mhealth.report import html_report, plot_breath_trends, plot_breaths
from mhealth.report._style import COLOURS

FS = 10.0
CLASSES = ("inspiration", "expiration", "pause", "unusable", "QRS")
TROUGHS = (*range(0, 200, 40), *range(320, 600, 40), *range(640, 800, 40))  # pause from 200, unusable from 600


def labelled(channels=("RESP",)):
    """Breaths of 4 s (1.5 s in) in the first channel, and heartbeats every 0.8 s in the second, if there is one."""
    rows = [row for t in TROUGHS for row in ((t, t + 15, t + 15, 0, 0, 0.9), (t + 15, -1, t + 40, 1, 0, 0.9))]
    rows += [(200, -1, 320, 2, 0, 0.9), (600, -1, 640, 3, 0, np.nan)]
    if len(channels) > 1:
        rows += [(t - 1, t, t + 1, 4, 1, 0.9) for t in range(8, 800, 8)]
    return Spans.from_rows(rows, fs=FS, channels=channels, classes=CLASSES)


def recorded(channels=("RESP",), name="night"):
    seconds = np.arange(801) / FS
    columns = [np.sin(2 * np.pi * seconds / 4), *(np.zeros(801) for _ in channels[1:])]
    return Recording(
        signals=np.column_stack(columns), fs=FS, channels=channels, units=("ohm", "mV")[: len(channels)], name=name
    )


def case(channels=("RESP",)):
    recording, spans = recorded(channels), labelled(channels)
    return recording, spans, breath_intervals(spans, recording)


def ranges(ax, colour):
    """Return the (start, stop) that are shaded in a colour, or hatched."""
    found = []
    for shaded in ax.collections:
        look = "hatched" if shaded.get_hatch() else tuple(np.round(shaded.get_facecolor()[0][:3], 3))
        wanted = colour if colour == "hatched" else tuple(round(int(colour[k : k + 2], 16) / 255, 3) for k in (1, 3, 5))
        if look == wanted:
            found += [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in shaded.get_paths()]
    return np.array(found)


def test_phases_pauses_and_unusable_stretches_are_drawn_where_they_are():
    recording, spans, breaths = case()
    signal, rate, ratio = plot_breaths(recording, spans, breaths).axes
    troughs = np.array([t for t in TROUGHS if t < 600]) / FS
    np.testing.assert_allclose(ranges(signal, COLOURS["inspiration"]), np.stack([troughs, troughs + 1.5], axis=1))
    np.testing.assert_allclose(ranges(signal, COLOURS["expiration"]), np.stack([troughs + 1.5, troughs + 4], axis=1))
    for ax in (signal, rate, ratio):
        np.testing.assert_allclose(ranges(ax, COLOURS["pause"]), [(20, 32)])
        assert len(ranges(ax, "hatched")) == 0  # begins when the first minute ends
    assert signal.get_xlim() == (0, 60)
    assert len({COLOURS[label] for label in CLASSES[:3]}) == 3


def test_rate_and_ratio_are_drawn_at_the_peaks_and_break_where_breathing_was_interrupted():
    recording, spans, breaths = case()
    _, rate, ratio = plot_breaths(recording, spans, breaths, start=10, stop=80).axes
    for ax, value in ((rate, 15), (ratio, 0.6)):
        (line,) = ax.lines
        x, y = line.get_xdata(), line.get_ydata()
        np.testing.assert_allclose(x[np.isfinite(y)], [(t + 15) / FS for t in TROUGHS if t + 15 >= 100])
        np.testing.assert_allclose(y[np.isfinite(y)], value)
        np.testing.assert_allclose(x[np.isnan(y)], [33.5, 65.5])  # before the breaths after the two interruptions
        np.testing.assert_allclose(ranges(ax, "hatched"), [(60, 64)])


def test_an_excerpt_is_drawn_at_its_own_time():
    recording, spans, breaths = case()
    signal, rate, _ = plot_breaths(recording.slice(320, 600), spans, breaths, first_sample=320).axes
    assert signal.get_xlim() == (32, 60)
    assert rate.lines[0].get_xdata().min() == 33.5
    assert len(ranges(signal, COLOURS["inspiration"])) == 7


def test_motion_does_not_flatten_the_breaths():
    recording, spans, breaths = case()
    loud = recording.signals.copy()
    loud[600:640] = 100
    loud = Recording(signals=loud, fs=FS, channels=("RESP",))
    signal = plot_breaths(loud, spans, breaths, stop=80).axes[0]
    assert signal.get_ylim()[1] < 2


def test_only_channels_that_breathe_are_drawn():
    recording, spans, breaths = case(("RESP", "II"))
    labels = [ax.get_ylabel() for ax in plot_breaths(recording, spans, breaths).axes]
    assert labels == ["RESP\n(ohm)", "breath rate\n(1/min)", "I/E"]
    with pytest.raises(InvalidParameterError, match="none of the channels"):
        plot_breaths(recording.pick([1]), spans, breaths)


def test_experts_marks_without_an_onset_are_drawn_where_they_are():
    spans = Spans.from_rows([(-1, -1, 155, 0, 0, np.nan)], fs=FS, channels=("RESP",), classes=CLASSES)
    signal = plot_breaths(recorded(), spans, breath_intervals(spans)).axes[0]
    np.testing.assert_allclose(ranges(signal, COLOURS["inspiration"]), [(15.5, 15.6)])


def test_trends_leave_out_what_no_breath_has():
    _, spans, breaths = case()
    titles = [ax.get_ylabel() for ax in plot_breath_trends(breaths, spans=spans).axes]
    assert titles == ["breath rate\n(1/min)", "I/E", "stretch\n(ohm)"]
    assert len(plot_breath_trends(breath_intervals(spans)).axes) == 2
    beside = case(("RESP", "II"))[2]
    figure = plot_breath_trends(beside, spans=labelled(("RESP", "II")))
    assert figure.axes[-1].get_ylabel() == "RSA\n(ms)"
    assert figure.get_suptitle() == "channel RESP"
    np.testing.assert_allclose(ranges(figure.axes[0], "hatched"), [(60, 64)])
    np.testing.assert_allclose(ranges(figure.axes[0], COLOURS["pause"]), [(20, 32)])
    with pytest.raises(InvalidParameterError, match="'ABD'"):
        plot_breath_trends(breaths, channel="ABD")


def test_no_breath_gives_an_empty_trend():
    none = Spans.empty(fs=FS, channels=("RESP",), classes=CLASSES)
    assert len(plot_breath_trends(breath_intervals(none), spans=none).axes) == 2


def text_of(path):
    document = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", document))


def test_a_report_of_breathing_alone_tells_nothing_of_the_heart(tmp_path):
    recording, spans, breaths = case()
    html_report(recording, spans, None, tmp_path / "r.html", breaths=breaths, model="respiration")
    text = text_of(tmp_path / "r.html")
    assert "Breath rate 15 1/min, median" in text
    assert "I/E ratio 0.60 median" in text
    assert "RESP Stretch ohm 15 " in text  # the breath before the unusable stretch has no trough
    assert "RESP 16 16 1 0 5.0 %" in text  # inspirations, expirations, pauses, QRS, and 4 of 80 s
    assert "1:00.0 1:04.0 4.00" in text
    for word in ("Heart", "QTc", "waves"):
        assert word not in text


def test_a_report_of_both_keeps_the_channels_apart(tmp_path):
    recording, spans, breaths = case(("RESP", "II"))
    html_report(recording, spans, ecg_intervals(spans), tmp_path / "r.html", breaths=breaths)
    text = text_of(tmp_path / "r.html")
    assert text.index("Signal and waves") < text.index("Signal and breaths")
    assert "Heart rate 75 1/min" in text
    assert "II RR s 98 0.80" in text
    assert "RESP RR" not in text
    assert "II Cycle" not in text
    assert "RESP Respiratory sinus arrhythmia ms" in text


def test_a_report_without_a_breath_says_so(tmp_path):
    none = Spans.empty(fs=FS, channels=("RESP",), classes=CLASSES)
    html_report(recorded(name=""), none, None, tmp_path / "r.html", breaths=breath_intervals(none))
    text = text_of(tmp_path / "r.html")
    assert "No breath was found." in text
    assert text.startswith(" Respiration ")


class OnDisk:
    """A long recording that counts what is read of it."""

    name, fs, channels = "night", FS, ("RESP",)
    duration = 24 * 3600.0
    read = 0

    def slice(self, start, stop):
        self.read += stop - start
        return Recording(signals=np.zeros((stop - start, 1)), fs=FS, channels=("RESP",))


def test_a_day_is_not_read_to_report_it(tmp_path):
    onset = 40 * np.arange(21_000)
    rows = np.stack([onset, onset + 15, onset + 15, 0 * onset, 0 * onset, 0 * onset + 1], axis=1)
    spans = Spans.from_rows(rows.tolist(), fs=FS, channels=("RESP",), classes=CLASSES)
    recording = OnDisk()
    html_report(recording, spans, None, tmp_path / "r.html", breaths=breath_intervals(spans))
    assert 0 < recording.read <= 4 * 60 * FS
    assert (tmp_path / "r.html").stat().st_size < 2_000_000
