"""Candidates in whole numbers: C and twin bit for bit, and on recordings those of the float segmenter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import Bidmc, Ludb
from mhealth.dsp import RunningScale
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.export._scale import ScaleTable
from mhealth.export._segment import SegmentTable
from mhealth.export._toolchain import HARNESS
from mhealth.segmentation import BreathSegmenter, EcgSegmenter, Segmenter

DRIVER = Path(__file__).parent / "drivers" / "segment.c"
SOURCES = [DRIVER, RUNTIME / "mh_scale.c", RUNTIME / "mh_segment.c"]
MISSING = np.iinfo(np.int32).min
SET = """typedef struct {
    const mh_scale_table_t *scale;
    const mh_segment_table_t *segment;
    mh_scale_block_t *blocks;
    mh_scale_value_t *groups;
    uint16_t *splits;
    mh_signal_t signal;
    uint32_t n_bytes;
} set_t;
"""
ECG = EcgSegmenter()
BRIEF = EcgSegmenter(running_scale=RunningScale(window=0.4, ahead=0.16, time_constant=0.3))
"""The same with a scale that is known soon, so that short leads go through all of its phases."""

TIGHT = EcgSegmenter(running_scale=RunningScale(window=1.796, block=0.004))
"""Needs a ring of 512 samples, to the last one."""

seeds = st.integers(0, 2**32 - 1)


def tables(segmenter: Segmenter) -> tuple[ScaleTable, SegmentTable]:
    return ScaleTable.of(segmenter.running_scale, rate=segmenter.rate), SegmentTable.of(segmenter)


def any_segmenter(seed: int) -> Segmenter:
    """Return a segmenter of any settings that fit each other, from hasty to slow."""
    rng = np.random.default_rng(seed)
    period = 1 / float(rng.choice([10, 100, 250, 360]))
    box, reach, arm, block, gap = rng.integers(1, [8, 12, 24, 12, 80], endpoint=True)
    ahead = max(reach, arm) + box // 2 + rng.integers(0, 6)
    scale = RunningScale(
        window=(ahead + block + rng.integers(1, 300)) * period,
        ahead=ahead * period,
        time_constant=rng.integers(1, 800) * period,
        block=block * period,
        quantile=rng.uniform(0, 0.99),
    )
    thresholds = ("prominence", "prominence_floor", "deviation", "deviation_floor", "deviation_range", "busy_range")
    highest = (0.1, 2.0, 0.05, 1.0, 0.4, 0.3)
    return Segmenter(
        rate=1 / period,
        rates=ECG.rates,
        zero_crossings=8,
        running_scale=scale,
        box=box * period,
        reach=reach * period,
        arm=arm * period,
        reference=rng.integers(1, 50) * period,
        shortest=rng.integers(1, 10) * period,
        busy_gap=rng.integers(1, gap + 1) * period,
        longest_gap=gap * period,
        **{name: rng.uniform(0, most) for name, most in zip(thresholds, highest, strict=True)},
    )


def beats(n: int) -> np.ndarray:
    """Return QRS complexes and T waves at 79 beats a minute, in units of a microvolt."""
    phase = np.arange(n) % 190
    return 1000 * np.exp(-(((phase - 90) / 3) ** 2)) + 150 * np.exp(-(((phase - 130) / 12) ** 2))


def any_lead(seed: int, n: int) -> np.ndarray:
    """Return noise, walks, steps, beats or swings between the rails: every kind of tie and overflow."""
    rng = np.random.default_rng(seed)
    samples = [
        rng.integers(-(2**15), 2**15, n),
        rng.choice([-(2**15), 2**15 - 1], n),
        np.cumsum(rng.integers(-2, 3, n)),
        np.cumsum(rng.integers(-300, 301, n)),
        np.repeat(rng.integers(-5, 6, n // 7 + 1), 7)[:n] * rng.integers(1, 6000),
        np.round(beats(n) + rng.choice([0, 3, 30]) * rng.standard_normal(n)),
    ][rng.integers(6)]
    return np.clip(samples, -(2**15), 2**15 - 1).astype(np.int16)


def write_tables(segmenters, folder: Path) -> None:
    """Write the tables of segmenters, and buffers of the very sizes that they ask for."""
    definitions, rows = [SET], []
    for k, segmenter in enumerate(segmenters):
        scale, segment = tables(segmenter)
        mask = (1 << (segment.history(scale) - 1).bit_length()) - 1
        definitions += [scale.to_c(f"scale_{k}"), segment.to_c(f"segment_{k}"), f"static int16_t ring_{k}[{mask + 1}];"]
        buffers = {**scale.buffers, **segment.buffers}
        definitions += [f"static {kind} {name}_{k}[{n}];" for name, (kind, n) in buffers.items()]
        n_bytes = " + ".join(f"sizeof {name}_{k}" for name in buffers)
        names = ", ".join(f"{name}_{k}" for name in buffers)
        rows.append(f"{{&scale_{k}, &segment_{k}, {names}, {{ring_{k}, {mask}}}, {n_bytes}}},")
    (folder / "tables.h").write_text("\n".join([*definitions, "static const set_t sets[] = {", *rows, "};\n"]))


def by_c(run, number: int, *leads, origin: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what C says of stretches: rows (scale, floor), rows (position, scale), and `decided` after every step."""
    parts = [np.int32([number, origin])]
    for lead in leads:
        parts += [lead.astype(np.int32), np.int32([MISSING])]
    rows = run(np.concatenate(parts[:-1])).reshape(-1, 3).astype(np.int64)
    return rows[rows[:, 0] == 0, 1:], rows[rows[:, 0] == 1, 1:], rows[rows[:, 0] == 2, 1]


def by_twin(segmenter: Segmenter, lead, cuts=()) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the twin says of a stretch, `decided` after every chunk."""
    scale, segment = (table.open() for table in tables(segmenter))
    found, decided = [], []
    for part in np.split(lead, cuts):
        values = scale.push(part)
        found.append((values, segment.push(part, values)))
        decided.append(segment.decided)
    values = scale.flush()
    found.append((values, segment.flush(values)))
    decided.append(segment.decided)
    columns = zip(*found, strict=True)
    measured, candidates = (np.concatenate([np.stack(part, axis=1) for part in column]) for column in columns)
    return measured, candidates, np.array(decided)


@pytest.fixture(scope="module")
def segmenters():
    return [ECG, BreathSegmenter(), BRIEF, TIGHT, *map(any_segmenter, range(16))]


@pytest.fixture(scope="module")
def run(segmenters, tmp_path_factory):
    """C for all of them, under sanitizers."""
    folder = tmp_path_factory.mktemp("segment")
    write_tables(segmenters, folder)
    include = [folder, HARNESS]
    program = compile_c([*SOURCES, HARNESS / "harness_host.c"], folder / "segment", include=include)
    return lambda numbers: run_program(program, numbers)


@pytest.mark.parametrize("number", range(20))
def test_c_finds_what_the_twin_finds(run, segmenters, number, rng):
    lengths = [0, 1, 2, 3, *rng.integers(4, 300, 4), *rng.integers(300, 3000, 8)]
    leads = [any_lead(rng.integers(2**32), n) for n in lengths]
    expected = [by_twin(segmenters[number], lead) for lead in leads]
    for origin in (0, -(1 << 12)):  # positions of 32 bits may wrap
        got = by_c(run, number, *leads, origin=origin)
        for k in range(2):
            np.testing.assert_array_equal(got[k], np.concatenate([found[k] for found in expected]))


def test_c_knows_after_every_step_before_which_sample_no_candidate_is_to_come(run):
    lead = any_lead(7, 1500)
    _, candidates, decided = by_c(run, 2, lead)
    np.testing.assert_array_equal(decided, by_twin(BRIEF, lead, np.arange(1, len(lead)))[2])
    assert decided[-1] > candidates[-1, 0]


@settings(max_examples=30)
@given(seed=seeds, n=st.integers(0, 1000), cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_any_chunking_finds_the_same(seed, n, cuts):
    lead = any_lead(seed, n)
    for places in (np.sort(np.minimum(cuts, n)), np.arange(n)):
        for got, expected in zip(by_twin(BRIEF, lead, places)[:2], by_twin(BRIEF, lead)[:2], strict=True):
            np.testing.assert_array_equal(got, expected)


@given(seed=seeds)
def test_flipping_the_sign_moves_no_candidate_by_more_than_the_scales_rounding(seed):
    lead = np.maximum(any_lead(seed, 600), -(2**15) + 1)
    one, other = by_twin(BRIEF, lead)[1], by_twin(BRIEF, -lead)[1]
    assert len(np.setxor1d(one[:, 0], other[:, 0])) <= 0.02 * len(one) + 2


def test_settings_that_would_overflow_are_refused():
    for wrong, message in (
        ({"longest_gap": 60.0}, r"longest_gap=60.0 s are 5 and 15000 samples"),
        ({"deviation": 1000.0}, r"deviation=1000.0 is more than the export can hold"),
        ({"reference": 1e7}, r"reference=10000000.0 s is more"),
    ):
        with pytest.raises(InvalidParameterError, match=message):
            SegmentTable.of(replace(ECG, **wrong))


def test_samples_after_the_end_are_refused():
    scale, segment = (table.open() for table in tables(ECG))
    values = scale.flush()
    segment.flush(values)
    with pytest.raises(StreamError, match="has ended"):
        segment.push(np.zeros(1, np.int16), values)
    with pytest.raises(StreamError, match="has ended"):
        segment.flush(values)


@pytest.fixture
def emulated(rng):
    """A noisy ECG as the driver reads it, and what the twin says of it."""
    lead = np.round(beats(2500) + 5 * rng.standard_normal(2500)).astype(np.int16)
    return np.concatenate([np.int32([0, 0]), lead.astype(np.int32)]), by_twin(ECG, lead)[:2]


def test_every_target_agrees(target, emulated, tmp_path):
    numbers, expected = emulated
    write_tables([ECG], tmp_path)
    program = target.compile(SOURCES, tmp_path / "segment", include=[tmp_path])
    rows = target.run(program, numbers).output.reshape(-1, 3)
    for kind in range(2):
        np.testing.assert_array_equal(rows[rows[:, 0] == kind, 1:], expected[kind])


def test_microcontrollers_need_little_memory_and_time(microcontroller, emulated, tmp_path):
    numbers, _ = emulated
    write_tables([ECG], tmp_path)
    program = microcontroller.compile(SOURCES, tmp_path / "segment", include=[tmp_path])
    state, buffers, stack, longest = microcontroller.run(program, numbers).results
    assert state + buffers <= 600
    assert stack <= 500
    assert longest <= 50_000  # instructions, while the first window catches up; a step has 288,000 cycles at 72 MHz
    assert sum(microcontroller.profile(program, numbers).cycles.values()) / 2500 <= 2000  # on average


def by_float(segmenter: Segmenter, lead: np.ndarray) -> np.ndarray:
    """Return the positions that the float segmenter finds."""
    stream = segmenter.open_lead()
    return np.concatenate([stream.push(lead).position, stream.flush().position])


def compared(segmenter: Segmenter, lead: np.ndarray, gain: float) -> np.ndarray:
    """Return how many candidates float and twin find, how many of float's the twin finds, how far it is from all."""
    expected = by_float(segmenter, lead)
    got = by_twin(segmenter, np.round(lead * gain).astype(np.int16))[1][:, 0]
    return np.array([len(expected), len(got), np.isin(expected, got).sum(), distances(got, expected).sum()])


def distances(got: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return how far the nearest candidate is from every mark."""
    return np.abs(got[:, None] - marks).min(axis=0)


def resampled(segmenter: Segmenter, signal: np.ndarray, fs: float) -> np.ndarray:
    stream = segmenter.resampler.open(fs=fs)
    return np.concatenate([stream.push(signal), stream.flush()])


@pytest.mark.realdata
@pytest.mark.parametrize("rounded", [True, False])
def test_candidates_in_ludb_are_those_of_the_float_segmenter(data_dir, rounded):
    """At 1000 units/mV. A unit is more than the noise of some leads: rounded to it they bend elsewhere."""
    dataset, totals = Ludb(data_dir / "ludb"), np.zeros(4)
    for name in dataset.records[::50]:
        recording, _, _ = dataset.load(name)
        for signal in recording.signals.T:
            lead = resampled(ECG, signal, recording.fs)
            totals += compared(ECG, np.round(lead * 1000) / 1000 if rounded else lead, 1000.0)
    n, n_got, n_same, distance = totals
    assert n_got == pytest.approx(n, rel=0.01)
    assert n_same / n >= (0.985 if rounded else 0.88)
    assert distance / n <= (0.05 if rounded else 0.3)  # samples of 4 ms


@pytest.mark.realdata
def test_candidates_are_as_near_the_experts_marks_as_those_of_the_float_segmenter(data_dir):
    dataset, off = Ludb(data_dir / "ludb"), []
    for name in dataset.records[24::25]:
        recording, annotation, _ = dataset.load(name)
        spans = annotation.spans
        for channel, signal in enumerate(recording.signals.T):
            lead = resampled(ECG, signal, recording.fs)
            marks = [points[(spans.channel == channel) & (points >= 0)] for points in (spans.onset, spans.offset)]
            marks = np.concatenate(marks) / recording.fs
            for found in (by_twin(ECG, np.round(lead * 1000).astype(np.int16))[1][:, 0], by_float(ECG, lead)):
                off.append(distances(found / 250.0, marks))
    ours, expected = (np.concatenate(off[k::2]).mean() for k in range(2))
    assert ours <= expected + 0.0001  # seconds


@pytest.mark.realdata
@pytest.mark.parametrize("rounded", [True, False])
def test_candidates_in_bidmc_are_those_of_the_float_segmenter(data_dir, rounded):
    dataset, breathing, totals = Bidmc(data_dir / "bidmc"), BreathSegmenter(), np.zeros(4)
    for name in dataset.records[2::10]:
        recording, _, _ = dataset.load(name)
        lead = resampled(breathing, recording.signals[:, recording.channels.index("RESP")], recording.fs)
        totals += compared(breathing, np.round(lead * 1000) / 1000 if rounded else lead, 1000.0)
    n, n_got, n_same, distance = totals
    assert n_got == pytest.approx(n, rel=0.02)
    assert n_same / n >= (0.998 if rounded else 0.95)
    assert distance / n <= (0.01 if rounded else 0.1)  # samples of 0.1 s
