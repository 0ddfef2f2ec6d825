"""What describes a candidate of breathing, and what tells its polarity, against their slow twins."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from breath_cases import breathing
from scipy.stats import skew

sys.path.insert(0, str(Path(__file__).parents[1] / "naive"))
from mhealth._kernels import _breaths
from mhealth.labeling import _polarity
from mhealth.labeling._breath_context import BreathContext
from mhealth.labeling._polarity import PolarityTracker
from naive_labeling import naive_breath_context, naive_polarity_odds


@pytest.fixture(params=["breaths", "ripple", "crowd", "rare"])
def turns(request, rng):
    """Times and values of turns: regular, with heartbeats on them, more than are looked at, or a minute apart."""
    n = 400
    gaps = {"breaths": (1.0, 3.0), "ripple": (0.2, 0.8), "crowd": (0.1, 0.3), "rare": (10.0, 60.0)}[request.param]
    values = np.where(np.arange(n) % 2, 1.0, -1.0) * rng.uniform(0.5, 1.5, n)
    if request.param == "ripple":
        values = np.sin(np.arange(n) / 3) + 0.1 * values
    values[50:60] = values[50]  # nothing moves
    return np.cumsum(rng.uniform(*gaps, n)), values


def test_the_context_of_a_breath_is_that_of_the_definition(turns, rng):
    times, values = turns
    scale = rng.uniform(0.2, 2.0, len(times)).astype(np.float32)
    scale[7] = 0.0
    got = np.empty((len(times), _breaths.N_BREATH), np.float32)
    _breaths.breath_context(times, values, scale, 0, got)
    for k in range(len(times)):
        expected = naive_breath_context(times, values, k, float(scale[k]))
        np.testing.assert_allclose(got[k], expected, rtol=1e-5, atol=1e-6, err_msg=str(k))


def test_a_memory_of_turns_forgets_only_what_no_longer_counts(turns, rng):
    """Turns that come a few at a time are described as if all were known, and few of them are kept."""
    times, values = turns
    rate = 10.0
    positions = np.round(times * rate).astype(np.int64)
    signal = np.zeros(positions[-1] + 1, np.float32)
    signal[positions] = values
    scale = rng.uniform(0.2, 2.0, len(times)).astype(np.float32)
    whole, pieces = np.empty((2, len(times), _breaths.N_BREATH), np.float32)
    context = BreathContext()
    context.open(rate=rate, warm_up=0).describe(signal, 0, positions, positions, scale, [], whole)
    memory = context.open(rate=rate, warm_up=0)
    cuts = np.sort(rng.integers(0, len(times), 60))
    for part, out in zip(np.split(np.arange(len(times)), cuts), np.split(pieces, cuts), strict=True):
        memory.describe(signal, 0, positions[part], positions[part], scale[part], [], out)
        assert len(memory._times) <= _breaths.MOST
    np.testing.assert_array_equal(pieces, whole)


@pytest.fixture
def belt():
    """Nine minutes at 10 Hz, first upright, then upside down; gaps of a second and of most of a minute."""
    up = breathing(1, fs=10.0, duration=300.0)[0].signals[:, 0]
    lead = np.concatenate([up, -up[:2400]])
    lead[400:410] = lead[1500:1950] = np.nan
    return lead


def test_the_odds_of_the_polarity_are_those_of_the_definition(belt):
    block = round(_polarity._BLOCK * 10.0)
    expected = naive_polarity_odds(belt, block, _polarity._REMEMBERED, _polarity._PRIOR, _polarity._WEIGHT)
    tracker = PolarityTracker(10.0)
    for k, odds in enumerate(expected):
        tracker.push(belt[k * block : (k + 1) * block])
        sign, certainty = tracker.polarity
        assert sign == (1 if odds > 0 else -1)
        assert certainty == pytest.approx(1 / (1 + math.exp(-sign * odds)), rel=1e-9)


def test_the_skewness_of_a_block_is_that_of_scipy(rng):
    samples = (1e4 + rng.gamma(4.0, size=300)).astype(np.float32)
    tracker = PolarityTracker(10.0)
    tracker.push(samples)
    assert tracker._evidence == pytest.approx([skew(samples.astype(float))], rel=1e-6)


def test_the_polarity_does_not_depend_on_the_chunks(belt, rng):
    whole, pieces = PolarityTracker(10.0), PolarityTracker(10.0)
    signs = whole.push(belt)
    parts = [pieces.push(part) for part in np.split(belt, np.sort(rng.integers(0, len(belt), 200)))]
    np.testing.assert_array_equal(np.concatenate(parts), signs)
    assert pieces.polarity == whole.polarity
    np.testing.assert_array_equal(pieces._sums, whole._sums)


@pytest.mark.parametrize("factor", [2.0**-20, 1024.0])
def test_the_unit_does_not_matter_for_the_polarity(belt, factor):
    one, other = PolarityTracker(10.0), PolarityTracker(10.0)
    np.testing.assert_array_equal(one.push(belt), other.push(belt * np.float32(factor)))
    assert one.polarity == other.polarity


@pytest.mark.parametrize("kind", ["belt", "impedance"])
def test_a_signal_upside_down_is_found_out(kind):
    for seed in range(4):
        lead = breathing(seed, duration=400.0, kind=kind)[0].signals[:, 0]
        up, down = PolarityTracker(25.0), PolarityTracker(25.0)
        up.push(lead)
        down.push(-lead)
        assert up.polarity.sign == 1
        assert down.polarity.sign == -1
        assert 0.5 < down.polarity.certainty < up.polarity.certainty  # nearly all signals are upright


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_nothing_is_said_of_a_signal_that_says_nothing(value):
    tracker = PolarityTracker(10.0)
    before = tracker.polarity
    assert (tracker.push(np.full(2000, value, np.float32)) == 1).all()
    assert tracker.polarity == before
