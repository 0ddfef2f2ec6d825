"""How QRS and QT change from minute to minute, told by a mean beat that is stretched."""

from dataclasses import replace

import numpy as np
import pytest

from mhealth.core import Recording, Spans
from mhealth.errors import InvalidParameterError
from mhealth.intervals import interval_trend

FS, RR = 250, 0.8
QRS, QT = 0.1, 0.4


def beat(at, qrs, qt):
    """A channel's beat at times from QRS onset: two waves of QRS and one T, stretched to their lengths."""
    u = at / qrs
    v = (at - qrs) / (qt - qrs)
    spike = np.where((u > 0) & (u < 1), np.sin(np.pi * u) ** 2 * (np.sin(2 * np.pi * u) + 0.6), 0.0)
    return spike + np.where((v > 0) & (v < 1), 0.25 * np.sin(np.pi * np.clip(v, 0, 1) ** 1.5) ** 2, 0.0)


def made(minutes, *, gains=(1.0, -0.5), noise=0.005, marked=(QRS, QT)):
    """A recording whose minutes have QRS and QT as given, and labels that know nothing of it: they say `marked`."""
    rng = np.random.default_rng(0)
    n = round(60 * FS * len(minutes))
    seconds = np.arange(n) / FS
    signals = noise * rng.standard_normal((n, len(gains))) + 0.1 * np.sin(2 * np.pi * 0.2 * seconds)[:, None]
    rows = []
    for onset in np.arange(0.5, n / FS - 1.1, RR) + rng.uniform(0, 1 / FS):
        qrs, qt = minutes[int((onset + 0.03) // 60)]
        near = slice(int(onset * FS), int((onset + 0.8) * FS))
        shape = beat(seconds[near] - onset, qrs, qt)
        signals[near] += shape[:, None] * gains
        peak = near.start + int(np.argmax(shape))
        ends = (marked[0], marked[1])
        for channel in range(len(gains)):
            start, stop, t_stop = (round((onset + at) * FS) for at in (0, *ends))
            rows += [(start, peak, stop, 1, channel, 0.9), (stop + 5, stop + 30, t_stop, 2, channel, 0.9)]
    names = tuple("abcdef"[: len(gains)])
    recording = Recording(signals=signals, fs=FS, channels=names, units=("mV",) * len(gains))
    return recording, Spans.from_rows(sorted(rows), fs=FS, channels=names, classes=("P", "QRS", "T"))


MINUTES = [(QRS, QT), (QRS, QT), (QRS, QT + 0.02), (QRS + 0.008, QT), (QRS + 0.004, QT - 0.06)]


def test_changes_are_told_that_labels_do_not_show():
    trend = interval_trend(*made(MINUTES), reference=(0, 120))
    np.testing.assert_allclose(trend.qt_ms - trend.qt_ms[0], [0, 0, 20, 0, -60], atol=1.0)
    np.testing.assert_allclose(trend.qrs_ms - trend.qrs_ms[0], [0, 0, 0, 8, 4], atol=1.0)
    np.testing.assert_allclose(trend.qt_ms[0], 1000 * QT, atol=4.0)
    np.testing.assert_allclose(trend.rr_s, RR, atol=1e-3)
    np.testing.assert_array_equal(trend.start_s, 60.0 * np.arange(5))
    assert (trend.n_beats >= 73).all()
    assert (trend.match > 0.97).all()
    frame = trend.to_frame()
    assert list(frame) == ["start_s", "n_beats", "rr_s", "qrs_ms", "qt_ms", "match", "qtc_framingham_ms"]
    np.testing.assert_allclose(frame.qtc_framingham_ms, trend.qt_ms + 154 * (1 - RR), atol=0.2)


def test_amplitude_and_baseline_and_channels_without_t_do_not_matter():
    recording, labels = made(MINUTES, gains=(1.0, 0.0), noise=0.01)
    later = np.arange(recording.n_samples) > 120 * FS
    louder = replace(recording, signals=np.where(later[:, None], 3 * recording.signals + 2, recording.signals))
    trend = interval_trend(louder, labels, reference=(0, 120))
    np.testing.assert_allclose(trend.qt_ms - trend.qt_ms[0], [0, 0, 20, 0, -60], atol=2.0)


def test_what_cannot_be_measured_is_missing():
    recording, labels = made(MINUTES)
    signals = recording.signals.copy()
    signals[: 50 * FS, 0] = np.nan  # the other channel still tells
    signals[125 * FS : 178 * FS] = np.nan
    trend = interval_trend(replace(recording, signals=signals), labels, reference=(0, 60))
    assert np.isfinite(trend.qt_ms).tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(trend.qt_ms[[1, 3, 4]] - trend.qt_ms[0], [0, 0, -60], atol=2.0)

    few = labels.select(labels.onset > 65 * FS)
    trend = interval_trend(recording, few, reference=(0, 60))
    assert np.isnan(trend.qt_ms).all()
    assert np.isfinite(trend.rr_s).tolist() == [False, True, True, True, True]

    none = interval_trend(recording, labels.select(labels.onset < 0), reference=(0, 60), window=30)
    assert len(none.qt_ms) == 10
    assert none.n_beats.tolist() == [0] * 10


def test_the_channel_with_most_beats_is_counted():
    recording, labels = made(MINUTES)
    fewer = labels.select((labels.channel == 0) | (labels.onset > 30 * FS))
    assert interval_trend(recording, fewer, reference=(60, 120)).n_beats[0] >= 73


@pytest.mark.parametrize(
    ("reference", "window", "told"),
    [
        ((0, 400), 60, r"reference=\(0, 400\) .* 300 s"),
        ((-1, 60), 60, "reference"),
        ((60, 60), 60, "reference"),
        ((0, 60), 0, "window=0"),
        ((0, 60), np.nan, "window=nan"),
    ],
)
def test_a_reference_or_window_that_is_none_is_named(reference, window, told):
    with pytest.raises(InvalidParameterError, match=told):
        interval_trend(*made(MINUTES), reference=reference, window=window)


def test_labels_of_another_recording_are_refused():
    recording, labels = made(MINUTES)
    with pytest.raises(InvalidParameterError, match=r"labels are of a, b at 250 Hz; expected .*, a at 250 Hz"):
        interval_trend(recording.pick([0]), labels, reference=(0, 60))
    with pytest.raises(InvalidParameterError, match="at 360 Hz"):
        interval_trend(recording, replace(labels, fs=360), reference=(0, 60))
