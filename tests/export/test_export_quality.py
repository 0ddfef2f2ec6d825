"""Signal quality in whole numbers: C computes what the twin does, and the twin says what the float stage says."""

from pathlib import Path

import numpy as np
import pytest

from data_loaders.bidmc import Bidmc
from mhealth._kernels._fixed_quality import MISSING, NONE, short
from mhealth.dsp import BreathQuality, Reason, SignalQuality
from mhealth.errors import InvalidParameterError
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.export._quality import QualityTable
from mhealth.io import read_recording
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.labeling._ecg_task import ECG
from mhealth.simulate import add_noise, synthetic_ecg, synthetic_respiration

DRIVER = Path(__file__).parent / "drivers" / "quality.c"
QUALITIES = {"ecg": (SignalQuality(), 250.0), "breaths": (BreathQuality(), 10.0), "fast": (SignalQuality(), 360.0)}


@pytest.fixture(scope="module", params=QUALITIES)
def stage(request, tmp_path_factory):
    """A quality, its rate, its table and the C program that runs it."""
    quality, fs = QUALITIES[request.param]
    table, folder = QualityTable.of(quality, fs=fs), tmp_path_factory.mktemp(request.param)
    (folder / "table.h").write_text('#include "mh_quality.h"\n' + table.to_c("table"))
    return quality, fs, table, compile_c([DRIVER, RUNTIME / "mh_quality.c"], folder / "quality", include=[folder])


def adc(lead, gain=1000.0):
    """Return a lead as a converter of 16 bits gives it."""
    units = np.rint(np.nan_to_num(lead) * gain).clip(-(2**15), 2**15 - 1)
    return np.where(np.isnan(lead), MISSING, units).astype(np.int64)


def twin_codes(table, samples):
    """Return what the twin says of each sample."""
    twin = table.open()
    codes = np.concatenate([twin.push(samples), twin.flush()])
    assert (codes[: table.look] == NONE).all()
    return codes[codes != NONE]


def float_codes(quality, samples, fs):
    return quality.codes(np.where(samples == MISSING, np.nan, samples).astype(np.float32), fs=fs)


def unruly(rng, n):
    """Return signals that no sensor gives, and some that one does."""
    lengths = rng.choice([1, 2, 20, 60, 120, 400], n, p=[0.8, 0.1, 0.04, 0.02, 0.02, 0.02])
    runs = np.repeat(rng.integers(-100, 100, n), lengths)[:n]
    gappy = runs.copy()
    gappy[rng.integers(0, n, n // 500)] = MISSING
    calm = np.rint(1000 * np.sin(np.arange(n) / 7)).astype(np.int64)
    bursts = calm + np.rint(rng.standard_normal(n) * 2000 * (np.arange(n) // 1500 % 2)).astype(np.int64)
    return {
        "none": np.empty(0, np.int64),
        "one": np.array([7]),
        "short": np.arange(60),
        "random": rng.integers(-(2**15), 2**15, n),
        "rails": rng.choice([-(2**15), 2**15 - 1], n),
        "squares": np.where(np.arange(n) // 5 % 2, 2**15 - 1, -(2**15)),
        "slow squares": np.where(np.arange(n) // 300 % 2, 500, -500),
        "silence": np.zeros(n, np.int64),
        "missing": np.full(n, MISSING),
        "runs": runs,
        "gaps": gappy,
        "flicker": rng.integers(0, 3, n),
        "bursts": bursts,
    }


def test_the_c_says_what_the_twin_says_and_both_what_the_float_stage_does(stage, rng):
    quality, fs, table, program = stage
    for name, samples in unruly(rng, 7000).items():
        twin = table.open()
        codes = np.concatenate([twin.push(samples), twin.flush()])
        np.testing.assert_array_equal(run_program(program, samples.astype(np.int32)), codes, err_msg=name)
        codes, expected = codes[codes != NONE], float_codes(quality, samples, fs)
        assert len(codes) == len(samples)
        assert (codes == expected).mean() >= 0.99 if len(samples) else not len(codes), name


def test_in_a_million_samples_c_and_twin_do_not_part(stage, rng):
    """Counters stop and rings wrap, among flat, railed and missing stretches."""
    _, _, table, program = stage
    n = 1_000_000
    samples = rng.integers(-50, 50, n)
    for _ in range(60):
        start, length = rng.integers(0, n), int(rng.exponential(n / 100))
        samples[start : start + length] = rng.choice([MISSING, 0, 2**15 - 1, -(2**15)])
    twin = table.open()
    codes = np.concatenate([twin.push(samples), twin.flush()])
    assert set(np.unique(codes)) >= {Reason.DROPOUT, Reason.FLAT, Reason.SATURATED}
    np.testing.assert_array_equal(run_program(program, samples.astype(np.int32)), codes)


def test_any_chunking_gives_the_same_codes(rng):
    table, samples = QualityTable.of(SignalQuality(), fs=250.0), unruly(rng, 5000)["gaps"]
    twin = table.open()
    parts = [twin.push(part) for part in np.split(samples, [1, 1, 700, 4000])]
    codes = np.concatenate([*parts, twin.flush()])
    np.testing.assert_array_equal(codes[codes != NONE], twin_codes(table, samples))


@pytest.mark.parametrize(("snr_db", "lowest", "highest"), [(20.0, 0.0, 0.0), (-10.0, 0.0, 1.0), (-20.0, 0.9, 1.0)])
def test_noise_is_told_at_the_same_moments_as_by_the_float_stage(snr_db, lowest, highest):
    recording, _ = synthetic_ecg(fs=250.0, duration=120.0, leads=("II",), seed=3)
    samples = adc(add_noise(recording, "white", snr_db=snr_db).signals[:, 0], 200.0)
    got = twin_codes(QualityTable.of(SignalQuality(), fs=250.0), samples)
    assert (got == float_codes(SignalQuality(), samples, 250.0)).mean() > 0.995
    assert lowest <= (got == Reason.NOISE).mean() <= highest


@pytest.mark.parametrize("gain", [20.0, 1000.0])
def test_breathing_is_usable_at_any_gain(gain):
    recording, _ = synthetic_respiration(fs=10.0, duration=600.0, rate=15.0, seed=1)
    samples = adc(recording.signals[:, 0], gain)
    got = twin_codes(QualityTable.of(BreathQuality(), fs=10.0), samples)
    assert (got == float_codes(BreathQuality(), samples, 10.0)).mean() > 0.995


def test_short_floating_numbers_keep_order_and_three_digits(rng):
    numbers = np.unique(np.exp(rng.uniform(0, np.log(2.0**63), 2000)).astype(np.int64))
    codes = np.array([short(int(number)) for number in numbers])
    assert (np.diff(codes) >= 0).all()
    assert codes.max() < 2**16
    assert (np.diff(numbers)[np.diff(codes) == 0] <= numbers[1:][np.diff(codes) == 0] / 1024).all()


def test_settings_that_the_numbers_cannot_hold_are_refused():
    with pytest.raises(InvalidParameterError, match="enter=131072"):
        QualityTable.of(SignalQuality(enter=2.0), fs=250.0)
    with pytest.raises(InvalidParameterError, match="n_floors=300"):
        QualityTable.of(SignalQuality(floor_window=12.0), fs=250.0)
    with pytest.raises(InvalidParameterError, match="31 averages"):
        QualityTable.of(SignalQuality(analysis_rate=250.0, block=0.2), fs=250.0)


@pytest.mark.realdata
@pytest.mark.parametrize("stage", ["ecg"], indirect=True)
@pytest.mark.parametrize("name", ["ludb/data/1", "ludb/data/138", "qtdb/sele0116", "nstdb/118e00", "nstdb/ma"])
def test_recorded_ecg_is_judged_as_by_the_float_stage(stage, data_dir, name):
    """They differ where the ratio of energies passes its threshold: there one is a block of 40 ms earlier."""
    quality, fs, table, program = stage
    recording = read_recording(data_dir / name, units="mV" if name == "nstdb/ma" else None)
    for lead in recording.signals.T[:2]:
        stream = ECG.front_end.segmenter.resampler.open(fs=recording.fs)
        samples = adc(np.concatenate([stream.push(lead), stream.flush()]))[:60_000]
        twin = table.open()
        codes = np.concatenate([twin.push(samples), twin.flush()])
        np.testing.assert_array_equal(run_program(program, samples.astype(np.int32)), codes)
        assert (codes[codes != NONE] == float_codes(quality, samples, fs)).mean() >= 0.998


@pytest.mark.realdata
def test_recorded_breathing_is_judged_as_by_the_float_stage(data_dir):
    data, table = Bidmc(data_dir / "bidmc"), QualityTable.of(BreathQuality(), fs=10.0)
    for name in data.records[::8]:
        recording, _, _ = data.load(name)
        stream = RESPIRATION.front_end.segmenter.resampler.open(fs=recording.fs)
        samples = adc(np.concatenate([stream.push(recording.signals[:, 0]), stream.flush()]))
        np.testing.assert_array_equal(twin_codes(table, samples), float_codes(BreathQuality(), samples, 10.0))
