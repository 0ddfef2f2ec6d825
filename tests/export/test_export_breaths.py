"""The breaths before a candidate in whole numbers: C computes what the twin does, and the twin what the float does."""

from pathlib import Path

import numpy as np
import pytest

from data_loaders.bidmc import Bidmc
from mhealth.errors import InvalidParameterError
from mhealth.export._breaths import BreathsTable
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.labeling._breath_context import BreathContext
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.simulate import synthetic_respiration

DRIVER = Path(__file__).parent / "drivers" / "breaths.c"


@pytest.fixture(scope="module", params=[128, 8])
def stage(request, tmp_path_factory):
    """A table, and the C program that runs it."""
    table, folder = BreathsTable.of(rate=10.0, n_turns=request.param), tmp_path_factory.mktemp("breaths")
    (folder / "table.h").write_text('#include "mh_breaths.h"\n' + table.to_c("table"))
    return table, compile_c([DRIVER, RUNTIME / "mh_breaths.c"], folder / "breaths", include=[folder])


def turns(signal, fs, gain):
    """Return position, value and scale of the candidates of a signal as a converter of 16 bits gives it."""
    stream = RESPIRATION.front_end.segmenter.resampler.open(fs=fs)
    resampled = np.concatenate([stream.push(np.asarray(signal, np.float32)), stream.flush()])
    samples = np.rint(resampled * gain).clip(-(2**15), 2**15 - 1)
    segmenter = RESPIRATION.front_end.segmenter.open_lead()
    found = [segmenter.push(samples.astype(np.float32)), segmenter.flush()]
    position = np.concatenate([part.position for part in found])
    scale = np.concatenate([part.running_scale for part in found])
    return np.stack([position, samples[position], np.rint(scale * 256).clip(1, None)]).astype(np.int64)


def invented(rng, n):
    """Return candidates that no segmenter proposes, and some that one might."""
    steady = np.arange(n) * 20
    waves = np.rint(1000 * np.sin(np.arange(n))).astype(np.int64)
    return {
        "any": (np.cumsum(rng.integers(1, 60, n)), rng.integers(-(2**15), 2**15, n), rng.integers(1, 2**24, n)),
        "rails": (steady, rng.choice([-(2**15), 2**15 - 1], n), np.full(n, 1)),
        "equal": (steady, np.zeros(n, np.int64), np.full(n, 1)),
        "dense": (np.arange(n), waves, np.full(n, 2000 * 256)),
        "slow": (np.arange(n) * 3000, waves, np.full(n, 2000 * 256)),
        "one": (np.array([0]), np.array([5]), np.array([7])),
    }


def test_the_c_says_what_the_twin_says(stage, rng):
    table, program = stage
    breathing, _ = synthetic_respiration(fs=25.0, duration=900.0, rate=15.0, seed=4)
    signals = {**invented(rng, 400), "breaths": turns(breathing.signals[:, 0], 25.0, 500.0)}
    for name, (position, value, scale) in signals.items():
        got = run_program(program, np.stack([position, value, scale], axis=1).ravel().astype(np.int32)).reshape(-1, 20)
        np.testing.assert_array_equal(got, table.open().describe(position, value, scale), err_msg=name)


def test_candidates_may_come_in_any_portions(rng):
    table = BreathsTable.of(rate=10.0)
    whole = np.stack(invented(rng, 400)["any"])
    twin = table.open()
    parts = [twin.describe(*part) for part in np.split(whole, [0, 1, 2, 150, 399], axis=1)]
    np.testing.assert_array_equal(np.concatenate(parts), table.open().describe(*whole))


def assert_same_view(candidates, share):
    """Compare twin and float stage, which may differ where a turn is 40 s away to the last binary digit of a float."""
    position, value, scale = candidates
    signal = np.zeros(position[-1] + 1, np.float32)
    signal[position] = value
    expected = np.empty((len(position), 20), np.float32)
    unit = (scale / 256).astype(np.float32)
    BreathContext().open(rate=10.0, warm_up=40).describe(signal, 0, position, position, unit, [], expected)
    got = BreathsTable.of(rate=10.0).open().describe(position, value, scale) / 2048
    # Half a unit of Q4.11, a little more where the scale lost digits.
    assert (np.abs(got - expected) <= 0.002).all(axis=1).mean() >= share


@pytest.mark.parametrize("rate", [5.0, 15.0, 40.0])
def test_breaths_look_as_they_do_to_the_float_stage(rate):
    breathing, _ = synthetic_respiration(fs=25.0, duration=900.0, rate=rate, ripple=0.2, seed=4)
    assert_same_view(turns(breathing.signals[:, 0], 25.0, 500.0), share=0.99)


def test_what_the_table_cannot_hold_is_refused():
    with pytest.raises(InvalidParameterError, match="n_turns=100"):
        BreathsTable.of(rate=10.0, n_turns=100)
    with pytest.raises(InvalidParameterError, match=r"rate=12\.5"):
        BreathsTable.of(rate=12.5)


@pytest.mark.realdata
def test_recorded_breathing_looks_as_it_does_to_the_float_stage(stage, data_dir):
    table, program = stage
    data = Bidmc(data_dir / "bidmc")
    for name in data.records[::8]:
        recording, _, _ = data.load(name)
        candidates = turns(recording.signals[:, 0], recording.fs, 2000.0)
        got = run_program(program, candidates.T.ravel().astype(np.int32)).reshape(-1, 20)
        np.testing.assert_array_equal(got, table.open().describe(*candidates))
        assert_same_view(candidates, share=0.99)
