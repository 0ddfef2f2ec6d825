"""The running scale in whole numbers is the running scale, whatever the unit, to less than a unit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.export._scale import ScaleTable, ScaleValues

FS = 100.0
SHORT = RunningScale(window=0.4, ahead=0.06, block=0.05, time_constant=0.2)
AT_ONCE = replace(ScaleTable.of(SHORT, rate=FS), burst=1000)
"""As the float scale does it: all values of the first window in one step."""

seeds = st.integers(0, 2**32 - 1)


def lead(seed: int, n: int) -> np.ndarray:
    """Return a walk of any step size, with ties."""
    rng = np.random.default_rng(seed)
    step = int(rng.choice([1, 3, 50, 3000]))
    return np.clip(np.cumsum(rng.integers(-step, step + 1, n)), -(2**15), 2**15 - 1).astype(np.int16)


def pushed(twin, parts) -> ScaleValues:
    values = [twin.push(part) for part in parts] + [twin.flush()]
    return ScaleValues(*(np.concatenate(columns) for columns in zip(*values, strict=True)))


@given(seed=seeds, n=st.integers(0, 300))
def test_it_is_the_float_scale_to_less_than_a_unit(seed, n):
    samples = lead(seed, n)
    got, expected = pushed(AT_ONCE.open(), [samples]), SHORT.measure(samples.astype(np.float32), fs=FS)
    # Each of the two extremes is rounded by up to a third of a unit, the result to 1/256.
    np.testing.assert_allclose(got.scale / 256, np.maximum(expected.scale, 1 / 256), rtol=0, atol=2 / 3 + 2 / 256)
    np.testing.assert_allclose(got.floor / 256, np.minimum(expected.floor, 65535 / 3), rtol=0, atol=1 / 256)


@given(seed=seeds, n=st.integers(0, 300), cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_chunking_gives_the_same_values(seed, n, cuts):
    table, samples = ScaleTable.of(SHORT, rate=FS), lead(seed, n)
    whole = pushed(table.open(), [samples])
    for places in (np.sort(np.minimum(cuts, n)).astype(int), np.arange(n)):
        np.testing.assert_array_equal(pushed(table.open(), np.split(samples, places)), whole)


def test_the_first_window_comes_out_a_burst_at_a_time():
    table = ScaleTable.of(SHORT, rate=FS)
    twin, samples = table.open(), lead(1, 100)
    counts = np.array([len(twin.push(samples[k : k + 1]).scale) for k in range(100)])
    assert not counts[:40].any()
    assert counts.max() == table.burst == 8
    assert counts[-1] == 1
    assert counts.sum() == 100 - table.ahead
    assert len(twin.flush().scale) == table.ahead


def test_the_whole_range_of_the_samples_fits():
    for low, high in ((-(2**15), 2**15 - 1), (0, 2**15 - 1), (-(2**15), 0)):
        steps = np.repeat(np.tile(np.array([low, high], np.int16), 40), 17)
        values = pushed(AT_ONCE.open(), [steps])
        assert abs(values.scale[-1] / 256 - (high - low)) <= 1
        spikes = np.tile(np.array([low, high], np.int16), 200)
        assert pushed(AT_ONCE.open(), [spikes]).floor[-1] / 256 == pytest.approx((high - low) / 3, abs=1)
    assert pushed(AT_ONCE.open(), [np.zeros(100, np.int16)]).scale.tolist() == [1] * 100


def test_the_table_of_the_default_is_what_c_compiles():
    members = "weight = 2145338, .quantile = 22938, .window = 480, .ahead = 40, .block = 10, .n_blocks = 48, .burst = 8"
    got = ScaleTable.of(RunningScale(), rate=250.0).to_c("scale")
    assert " ".join(got.split()) == f"static const mh_scale_table_t scale = {{ .{members}, }};"


def test_a_window_beyond_the_counters_and_samples_after_the_end_are_refused():
    with pytest.raises(InvalidParameterError, match=r"window=200.0 s is 50000 samples at 250 Hz.*at most 32768"):
        ScaleTable.of(RunningScale(window=200.0), rate=250.0)
    twin = AT_ONCE.open()
    twin.flush()
    with pytest.raises(StreamError, match="has ended"):
        twin.push(np.zeros(1, np.int16))
    with pytest.raises(StreamError, match="has ended"):
        twin.flush()
