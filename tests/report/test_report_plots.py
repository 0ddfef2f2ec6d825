"""Plots show what they are given: the right colours at the right places, and no global state."""

import sys

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from mhealth.core import Candidates, Recording, Spans
from mhealth.errors import InvalidParameterError, UnwritableOutputError
from mhealth.intervals import ecg_intervals
from mhealth.metrics import reliability
from mhealth.report import (
    plot_candidates,
    plot_dictionary,
    plot_intervals,
    plot_labels,
    plot_reliability,
    plot_weights,
    save_figure,
)
from mhealth.report._style import COLOURS
from mhealth.sparse import Dictionary

FS = 100.0


@pytest.fixture
def recording(rng):
    signals = rng.normal(size=(3000, 2))
    signals[500:600] = np.nan
    return Recording(signals=signals, fs=FS, channels=("II", "V5"), units=("mV", "uV"), name="r")


@pytest.fixture
def spans():
    rows = [(100, 110, 120, 0, 0, 0.9), (140, 150, 160, 1, 0, 0.9), (200, 220, 250, 2, 1, 0.8)]
    rows += [(500, -1, 600, 3, k, np.nan) for k in (0, 1)]
    return Spans.from_rows(rows, fs=FS, channels=("II", "V5"), classes=("P", "QRS", "T", "unusable"))


def coloured(ax):
    """Return for each colour the seconds that are drawn in it."""
    drawn = {}
    for line in ax.lines:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        drawn[line.get_color()] = x[np.isfinite(y)]
    return drawn


def test_waves_are_drawn_in_their_colour_from_onset_to_offset(recording, spans):
    first, second = plot_labels(recording, spans).axes
    assert COLOURS["T"] not in coloured(first)
    assert COLOURS["P"] not in coloured(second)
    for label, (onset, offset), ax in (("P", (100, 120), first), ("QRS", (140, 160), first), ("T", (200, 250), second)):
        seconds = coloured(ax)[COLOURS[label]]
        assert seconds.min() == onset / FS
        assert seconds.max() == offset / FS


def test_unusable_stretches_are_hatched(recording, spans):
    for ax in plot_labels(recording, spans).axes:
        hatched = [c for c in ax.collections if c.get_hatch()]
        assert len(hatched) == 1
        outline = hatched[0].get_paths()[0].vertices
        np.testing.assert_allclose([outline[:, 0].min(), outline[:, 0].max()], [5, 6])


def test_an_excerpt_is_drawn_at_its_own_time(recording, spans):
    excerpt = recording.slice(100, 400)
    (first, _) = plot_labels(excerpt, spans, first_sample=100).axes
    assert coloured(first)[COLOURS["QRS"]].min() == 1.4
    assert first.get_xlim()[0] == 1.0


def test_waves_outside_the_window_are_left_out(recording, spans):
    first, second = plot_labels(recording, spans, start=1.3, stop=1.9).axes
    assert COLOURS["P"] not in coloured(first)
    assert COLOURS["QRS"] in coloured(first)
    assert COLOURS["T"] not in coloured(second)


def test_channels_of_one_name_are_told_apart_by_position(rng):
    recording = Recording(signals=rng.normal(size=(300, 2)), fs=FS, channels=("ECG", "ECG"))
    spans = Spans.from_rows([(10, 15, 20, 0, 1, 0.9)], fs=FS, channels=("ECG", "ECG"), classes=("P",))
    first, second = plot_labels(recording, spans).axes
    assert COLOURS["P"] not in coloured(first)
    assert COLOURS["P"] in coloured(second)
    assert first.get_ylabel() == "0"


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (40, None)])
def test_a_window_outside_the_recording_is_refused(recording, spans, start, stop):
    with pytest.raises(InvalidParameterError, match="within the 30 s"):
        plot_labels(recording, spans, start=start, stop=stop)


def test_spans_of_another_rate_are_refused(recording, spans):
    other = Spans.empty(fs=50, channels=spans.channels, classes=spans.classes)
    with pytest.raises(InvalidParameterError, match="50 Hz"):
        plot_labels(recording, other)


def test_candidates_are_drawn_where_they_are(recording):
    candidates = Candidates(
        position=np.array([10, 50, 1500]),
        channel=np.array([0, 1, 0]),
        kind=np.array([0, 1, 0], dtype=np.int8),
        scale=np.ones(3, dtype=np.float32),
        prominence=np.ones(3, dtype=np.float32),
    )
    for ax, position, channel in zip(plot_candidates(recording, candidates).axes, (10, 50), (0, 1), strict=True):
        (dots,) = [c for c in ax.collections if isinstance(c, PathCollection)]
        np.testing.assert_allclose(dots.get_offsets(), [[position / FS, recording.signals[position, channel]]])


@pytest.fixture
def dictionary(rng):
    atoms = rng.normal(size=(10, 20))
    return Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True), before=0.1, after=0.1, name="beat")


def test_every_atom_is_drawn_the_most_used_first(dictionary):
    usage = np.arange(10)
    axes = plot_dictionary(dictionary, usage=usage, n_columns=4).axes
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), dictionary.atoms[9])
    assert sum(bool(ax.lines) for ax in axes) == 10


def test_weights_show_the_atoms_that_matter_most(dictionary):
    weights = np.zeros((2, 10))
    weights[0, 3], weights[1, 7] = 2.0, -1.5
    axes = plot_weights(dictionary, weights, ["P", "T"], n_atoms=3).axes
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), dictionary.atoms[3])
    np.testing.assert_array_equal(axes[3].lines[0].get_ydata(), dictionary.atoms[7])
    assert [axes[0].get_title(), axes[3].get_title()] == ["+2.00", "-1.50"]
    assert axes[0].lines[0].get_color() != axes[3].lines[0].get_color()


def test_weights_and_usage_of_another_shape_are_refused(dictionary):
    with pytest.raises(InvalidParameterError, match=r"expected \(2, 10\)"):
        plot_weights(dictionary, np.zeros((2, 9)), ["P", "T"])
    with pytest.raises(InvalidParameterError, match=r"expected \(10,\)"):
        plot_dictionary(dictionary, usage=[1.0])


def test_reliability_is_drawn_against_the_diagonal(rng):
    probability = rng.random(500)
    diagram = reliability(probability, rng.random(500) < probability)
    top = plot_reliability({"P": diagram, "T": diagram}).axes[0]
    np.testing.assert_allclose(top.lines[1].get_xdata(), diagram.stated)
    np.testing.assert_allclose(top.lines[1].get_ydata(), diagram.observed)


def beats(n_beats, period=80):
    rows = [(period * k, period * k + 4, period * k + 8, 0, 0, 0.9) for k in range(1, n_beats + 1)]
    return Spans.from_rows(rows, fs=FS, channels=("II",), classes=("QRS",))


def test_trends_leave_gaps_where_an_interval_is_missing():
    rate, pr, qrs, _ = plot_intervals(ecg_intervals(beats(10))).axes
    np.testing.assert_allclose(rate.lines[0].get_ydata()[1:], 75)
    assert np.isnan(pr.lines[0].get_ydata()).all()
    np.testing.assert_allclose(qrs.lines[0].get_ydata(), 80)


def test_long_trends_get_a_running_median():
    rate = plot_intervals(ecg_intervals(beats(2000))).axes[0]
    dots, median = rate.lines
    assert len(dots.get_xdata()) == 2000
    np.testing.assert_allclose(median.get_ydata(), 75)


def test_no_beats_give_an_empty_trend():
    plot_intervals(ecg_intervals(beats(0)))


def test_an_unknown_channel_is_refused():
    with pytest.raises(InvalidParameterError, match="'V9'"):
        plot_intervals(ecg_intervals(beats(3)), channel="V9")


def test_plots_are_saved_whole_and_leave_pyplot_alone(recording, spans, tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    path = tmp_path / "new" / "ecg.png"
    save_figure(plot_labels(recording, spans), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(path.parent.iterdir()) == [path]
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_an_unwritable_file_is_named(recording, spans, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutputError, match=r"file/x\.png cannot be written"):
        save_figure(plot_labels(recording, spans), tmp_path / "file" / "x.png")
