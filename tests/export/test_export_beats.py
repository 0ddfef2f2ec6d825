"""Heartbeats in whole numbers: C computes what the twin does, and the twin sees what the float stage sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_loaders.ludb import Ludb
from data_loaders.qtdb import Qtdb
from mhealth.errors import InvalidParameterError
from mhealth.export._beats import BeatsTable
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.labeling._beat_context import BeatContext
from mhealth.labeling._ecg_task import ECG
from mhealth.simulate import synthetic_ecg

DRIVER = Path(__file__).parent / "drivers" / "beats.c"
WARM_UP, LOOKAHEAD = 484, 100
CONTEXT = BeatContext(horizon=2.5, n_beats=4)
CONTEXTS = {
    "four beats": CONTEXT,
    "eight beats": BeatContext(),
    "coarse": BeatContext(average_half=20, average_width=5),
}


@pytest.fixture(scope="module", params=CONTEXTS)
def stage(request, tmp_path_factory):
    """A table, and the C program that runs it."""
    table, folder = BeatsTable.of(CONTEXTS[request.param], warm_up=WARM_UP), tmp_path_factory.mktemp("beats")
    lines = '#include "mh_beats.h"', f"#define HISTORY {table.history_samples}", table.to_c("table")
    (folder / "table.h").write_text("\n".join(lines))
    return table, compile_c([DRIVER, RUNTIME / "mh_beats.c"], folder / "beats", include=[folder])


def adc(lead, fs, gain=1000.0):
    """Return a lead at 250 Hz as a converter of 16 bits gives it."""
    stream = ECG.front_end.segmenter.resampler.open(fs=fs)
    resampled = np.concatenate([stream.push(np.asarray(lead, np.float32)), stream.flush()])
    return np.rint(resampled * gain).clip(-(2**15), 2**15 - 1).astype(np.int16)


def candidates(rng, table, n_samples, n=200):
    """Return positions, limits, samples after which they are described, and scales, some after the end."""
    position = np.sort(rng.integers(0, n_samples, n))
    limit = np.maximum(position + LOOKAHEAD, table.warm_up)
    late = rng.integers(0, 60, n) * (rng.random(n) < 0.2)
    after = np.maximum.accumulate(table.ready_at(limit) + late)
    after[limit >= n_samples] = n_samples
    return np.stack(
        [position, np.minimum(limit, n_samples - 1), np.minimum(after, n_samples), rng.integers(1, 2**24, n)]
    )


def as_numbers(said):
    """Return descriptions as the driver writes them."""
    return np.concatenate([np.ones((len(said.rhythm), 1)), said.before, said.after, said.rhythm], axis=1)


def twin_says(table, samples, asked, cuts=()):
    twin = table.open()
    for part in np.split(samples, cuts):
        twin.push(part)
    before = asked[:, asked[2] < len(samples)]
    after = asked[:, asked[2] >= len(samples)]
    said = [twin.describe(*before)]
    twin.end()
    said.append(twin.describe(after[0], after[1], np.full(after.shape[1], len(samples) - 1), after[3]))
    return np.concatenate([as_numbers(part) for part in said])


def c_says(program, samples, asked):
    numbers = np.concatenate([[len(samples), asked.shape[1]], samples, asked.T.ravel()])
    return run_program(program, numbers.astype(np.int32)).reshape(asked.shape[1], -1)


def test_the_c_says_what_the_twin_says(stage, rng):
    table, program = stage
    recording, _ = synthetic_ecg(fs=250.0, duration=40.0, leads=("II",), seed=3)
    beats = adc(recording.signals[:, 0], 250.0)
    signals = {
        "beats": beats,
        "faint": beats // 200,
        "pause": np.concatenate([beats, np.zeros(3000, np.int16), beats // 3]),
        "random": rng.integers(-(2**15), 2**15, 6000),
        "rails": rng.choice([-(2**15), 2**15 - 1], 6000),
        "slow rails": np.where(np.arange(6000) // 40 % 2, 2**15 - 1, -(2**15)),
        "silence": np.zeros(2000),
        **{f"{n} samples": rng.integers(-100, 100, n) for n in (1, 14, 15, 16, 100, 484, 485, 486, 520)},
    }
    for name, samples in signals.items():
        samples = np.asarray(samples, np.int16)
        asked = candidates(rng, table, len(samples))
        np.testing.assert_array_equal(
            c_says(program, samples, asked), twin_says(table, samples, asked), err_msg=f"{name}: {table}"
        )


def test_any_chunking_finds_the_same_beats(rng):
    table = BeatsTable.of(CONTEXT, warm_up=WARM_UP)
    samples = np.cumsum(rng.integers(-9, 10, 5000)).astype(np.int16)
    asked = candidates(rng, table, len(samples))
    whole = twin_says(table, samples, asked)
    np.testing.assert_array_equal(twin_says(table, samples, asked, cuts=[1, 1, 470, 484, 486, 3000]), whole)


def float_says(context, samples, position, limit, scale):
    """Return the windows and the rhythm of the float stage, on the same ADC units."""
    tracker, signal = context.open(rate=250.0, warm_up=WARM_UP), samples.astype(np.float32)
    tracker.push(signal, 0, len(signal), ended=False)
    tracker.push(signal, 0, 0, ended=True)
    (_, n_points, _), _ = context.windows
    windows = [np.empty((len(position), n_points), np.float32) for _ in range(2)]
    rhythm = np.empty((len(position), context.n_dense), np.float32)
    tracker.describe(signal, 0, position, limit, scale.astype(np.float32), windows, rhythm)
    return windows, rhythm


def assert_same_view(context, samples):
    """Compare twin and float stage at the candidates of a stretch."""
    segmenter = ECG.front_end.segmenter.open_lead()
    found = [segmenter.push(samples.astype(np.float32)), segmenter.flush()]
    position = np.concatenate([part.position for part in found])
    scale = np.concatenate([part.running_scale for part in found]).clip(1, None)
    limit = np.maximum(position + LOOKAHEAD, WARM_UP)
    inside = limit < len(samples)
    position, scale, limit = position[inside], scale[inside], limit[inside]
    windows, rhythm = float_says(context, samples, position, limit, scale)
    table = BeatsTable.of(context, warm_up=WARM_UP)
    twin = table.open()
    twin.push(samples)
    said = twin.describe(position, limit, table.ready_at(limit), np.rint(scale * 256))
    # Half a unit of each format, and what averages of rounded numbers add.
    np.testing.assert_allclose(said.rhythm / 2048, rhythm, rtol=0, atol=0.003)
    for got, expected in zip((said.before, said.after), windows, strict=True):
        np.testing.assert_allclose(got / 256, expected, rtol=0, atol=0.02)
    return twin.landmarks


def test_beats_are_where_the_float_stage_finds_them():
    recording, truth = synthetic_ecg(fs=250.0, duration=120.0, leads=("II",), seed=5)
    landmarks = assert_same_view(CONTEXT, adc(recording.signals[:, 0], 250.0, gain=200.0))
    peaks = truth.spans.peak[truth.spans.label == truth.spans.classes.index("QRS")]
    distance = np.abs(landmarks[:, None] - peaks).min(axis=0)[2:-2]
    assert np.mean(distance <= 15) > 0.98


def test_noise_looks_as_it_does_to_the_float_stage(rng):
    assert_same_view(CONTEXT, np.rint(rng.standard_normal(20_000) * 300).astype(np.int16))
    assert_same_view(CONTEXT, np.rint(rng.standard_normal(20_000) * 3).astype(np.int16))


def test_a_short_ring_forgets_beats_but_not_the_rhythm():
    recording, _ = synthetic_ecg(fs=250.0, duration=60.0, leads=("II",), seed=5)
    samples = adc(recording.signals[:, 0], 250.0)
    position = np.arange(3000, 14_000, 37)
    limit, scale = position + LOOKAHEAD, np.full(len(position), 2**18)
    said = []
    for history in (1024, 4096):
        twin = BeatsTable.of(BeatContext(), warm_up=WARM_UP, history_samples=history).open()
        twin.push(samples)
        said.append(twin.describe(position, limit, limit, scale).rhythm)
    np.testing.assert_array_equal(said[0][:, :9], said[1][:, :9])
    assert (said[0][:, 10] <= said[1][:, 10]).all()
    assert said[0][:, 10].max() < 2048 == said[1][:, 10].max()


def test_settings_that_the_numbers_cannot_hold_are_refused():
    for context, name in (
        (replace(CONTEXT, n_beats=17), "n_beats is 17"),
        (replace(CONTEXT, average_half=100), "average_half is 100"),
        (replace(CONTEXT, horizon=300.0), "horizon in samples is 75000"),
    ):
        with pytest.raises(InvalidParameterError, match=name):
            BeatsTable.of(context, warm_up=WARM_UP)
    with pytest.raises(InvalidParameterError, match="warm-up are gone through is 514"):
        BeatsTable.of(CONTEXT, warm_up=WARM_UP, history_samples=512)


@pytest.mark.realdata
def test_recorded_beats_are_those_of_the_float_stage(data_dir):
    ludb, qtdb = Ludb(data_dir / "ludb"), Qtdb(data_dir / "qtdb")
    for name in ludb.records[::20]:
        recording, _, _ = ludb.load(name)
        for lead in recording.signals.T[::3]:
            assert_same_view(CONTEXT, adc(lead, recording.fs))
    for name in qtdb.records[::20]:
        recording, _, _ = qtdb.load(name)
        assert_same_view(CONTEXT, adc(recording.signals[:50_000, 0], recording.fs))


@pytest.mark.realdata
@pytest.mark.parametrize("stage", ["four beats"], indirect=True)
def test_on_recordings_the_c_says_what_the_twin_says(stage, data_dir, rng):
    table, program = stage
    data = Ludb(data_dir / "ludb")
    for name in data.records[::30]:
        recording, _, _ = data.load(name)
        for lead in recording.signals.T:
            samples = adc(lead, recording.fs)
            asked = candidates(rng, table, len(samples))
            np.testing.assert_array_equal(c_says(program, samples, asked), twin_says(table, samples, asked))
