from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.errors import InvalidParameterError, InvalidSignalError
from mhealth.sparse import Window, extract_windows

RATE = 250.0
windows = st.builds(
    Window,
    before=st.sampled_from([0.0, 0.02, 0.05]),
    after=st.sampled_from([0.024, 0.06]),
    n_points=st.integers(3, 6),
    detrend=st.sampled_from(["mean", "linear"]),
)


@st.composite
def signals(draw, missing=True):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    signal = rng.standard_normal(draw(st.integers(1, 60))).astype(np.float32)
    if missing:
        signal[rng.random(signal.size) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))] = np.nan
    return signal


def naive_window(signal, position, window):
    """The definition, bin by bin, in float64."""
    edges = window.edges(rate=RATE)
    bins = []
    for start, stop in pairwise(edges):
        inside = [float(signal[i]) for i in range(position + start, position + stop) if 0 <= i < len(signal)]
        valid = [value for value in inside if not np.isnan(value)]
        bins.append(np.mean(valid) if valid else np.nan)
    points = np.arange(len(bins))
    known = points[~np.isnan(bins)]
    if known.size == 0:
        return np.zeros(len(bins))
    centre = next(b for b in points if edges[b] <= 0 < edges[b + 1])
    origin = min(known, key=lambda b: (abs(b - centre), b))
    filled = []
    for b in points:
        towards_centre = known[(known >= min(b, origin)) & (known <= max(b, origin))]
        filled.append(bins[min(towards_centre, key=lambda k: abs(k - b))])
    degree = {"mean": 0, "linear": 1}[window.detrend]
    return filled - np.polyval(np.polyfit(points, filled, degree), points)


@given(signal=signals(), window=windows)
def test_windows_follow_their_definition(signal, window):
    got = extract_windows(signal, np.arange(signal.size), window, rate=RATE)
    expected = [naive_window(signal, position, window) for position in range(signal.size)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)  # float32 against float64, values around 1


@given(signal=signals(), window=windows, exponent=st.integers(-60, 60), sign=st.sampled_from([-1.0, 1.0]))
def test_powers_of_two_and_signs_pass_through_exactly(signal, window, exponent, sign):
    factor = np.float32(sign * 2.0**exponent)
    positions = np.arange(signal.size)
    plain = extract_windows(signal, positions, window, rate=RATE)
    scaled = extract_windows(factor * signal, positions, window, rate=RATE)
    assert np.array_equal(scaled, factor * plain)


@given(signal=signals(), window=windows, padding=st.integers(1, 40))
def test_a_window_depends_on_the_samples_under_it_only(signal, window, padding):
    missing = np.full(padding, np.nan, dtype=np.float32)
    padded = np.concatenate([missing, signal, missing])
    positions = np.arange(signal.size)
    alone = [extract_windows(signal, [position], window, rate=RATE)[0] for position in positions]
    together = extract_windows(padded, positions + padding, window, rate=RATE)
    assert np.array_equal(alone, together)


@given(signal=signals(missing=False), window=windows, offset=st.floats(-100, 100, width=32))
def test_an_offset_of_the_signal_leaves_no_trace(signal, window, offset):
    positions = np.arange(signal.size)
    plain = extract_windows(signal, positions, window, rate=RATE)
    shifted = extract_windows(signal + np.float32(offset), positions, window, rate=RATE)
    np.testing.assert_allclose(shifted, plain, rtol=0, atol=1e-4)  # float32 keeps 1e-5 of values around 100


def test_a_straight_line_is_gone_with_linear_detrending_only():
    line = np.arange(100.0)
    by_mean, by_line = (
        extract_windows(line, [50], Window(before=0.08, after=0.08, n_points=8, detrend=detrend), rate=RATE)[0]
        for detrend in ("mean", "linear")
    )
    assert by_mean.tolist() == [-17.5, -12.5, -7.5, -2.5, 2.5, 7.5, 12.5, 17.5]
    assert not by_line.any()


def test_beyond_the_end_of_the_signal_the_last_bin_goes_on():
    step = Window(before=0.008, after=0.008, n_points=4)
    assert extract_windows([0.0, 0.0, 0.0, 4.0], [3], step, rate=RATE).tolist() == [[-2.0, -2.0, 2.0, 2.0]]


def test_no_positions_give_no_windows():
    assert extract_windows(np.zeros(5), [], Window(before=0.1, after=0.1, n_points=5), rate=RATE).shape == (0, 5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"before": -0.1}, r"before=-0\.1"),
        ({"after": np.nan}, "after=nan"),
        ({"before": 0, "after": 0}, "both 0"),
        ({"n_points": 1}, "n_points=1 must be an integer, 2 or more"),
        ({"n_points": 2, "detrend": "linear"}, "n_points=2 must be an integer, 3 or more"),
        ({"n_points": 4.5}, r"n_points=4\.5 must be an integer"),
        ({"detrend": "cubic"}, "detrend='cubic' must be one of"),
    ],
)
def test_impossible_windows_are_refused(fields, message):
    with pytest.raises(InvalidParameterError, match=message):
        Window(**{"before": 0.1, "after": 0.1, "n_points": 10} | fields)


def test_bins_without_samples_are_refused_with_the_largest_number_that_works():
    with pytest.raises(InvalidParameterError, match="use at most 50 points"):
        Window(before=0.1, after=0.1, n_points=51).edges(rate=RATE)


@pytest.mark.parametrize(
    ("signal", "positions", "message"),
    [
        (np.zeros((5, 2)), [1], "Pass one channel"),
        (np.zeros(5), [5], "position 5 is outside the signal; expected 0 to 4"),
        (np.zeros(5), [-1], "position -1"),
        (np.zeros(5), [1.0], "expected integers"),
        (np.array([0.0, np.inf]), [1], "infinite"),
    ],
)
def test_what_cannot_be_cut_is_refused(signal, positions, message):
    with pytest.raises(InvalidSignalError, match=message):
        extract_windows(signal, positions, Window(before=0.1, after=0.1, n_points=5), rate=RATE)
