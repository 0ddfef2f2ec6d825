"""Decoding in whole numbers: C and twin are the same bit for bit, and find what the float stream finds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_loaders.bidmc import Bidmc
from data_loaders.ludb import Ludb
from mhealth.crf import BREATH_GRAMMAR, ECG_GRAMMAR, CommittedSpans, Potentials, SpanDecoder, SpanWeights
from mhealth.errors import InvalidParameterError
from mhealth.export._decoder import DecoderTable, Event, Top
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.export._toolchain import HARNESS
from mhealth.labeling import load
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._group import GroupStream

DRIVER = Path(__file__).parent / "drivers" / "decoder.c"
MANY = 1000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sources = [DRIVER, RUNTIME / "mh_decoder.c", HARNESS / "harness_host.c"]
    return compile_c(sources, tmp_path_factory.mktemp("decoder") / "decoder", include=[HARNESS])


def a_table(rng):
    """A table of any size, with scores that are often equal, usual, or as large as can be."""
    n, n_bins = int(rng.integers(1, 8)), int(rng.integers(1, 21))
    reach = int(rng.integers(1, 128))
    continues = rng.random(n) < 0.4
    continues[rng.integers(n)] = True
    continues[np.flatnonzero(continues)[8 - n :]] = False
    allowed = rng.random((n, n)) < 0.6
    allowed[:, np.argmax(continues)] = True
    np.fill_diagonal(allowed, val=False)
    scale = rng.choice([2, 200, 32767])
    shown = rng.random(n) < 0.7
    shown[rng.integers(n)] = True
    scores = [rng.integers(-scale, scale + 1, size) for size in ((n, n), n, (n, n_bins))]
    return DecoderTable(
        transition=tuple(map(tuple, np.where(allowed, scores[0], -(2**15)).tolist())),
        self_transition=tuple(scores[1].tolist()),
        duration=tuple(map(tuple, scores[2].tolist())),
        longest=tuple(rng.integers(1, 400, n).tolist()),
        continues=tuple(continues.tolist()),
        label=tuple(np.where(shown, rng.integers(0, 5, n), -1).tolist()),
        cut=tuple(rng.integers(0, 4, n).tolist()),
        peak=tuple(rng.integers(0, 3, n).tolist()),
        top=Top(state=int(rng.integers(n)), shortest=20, reach=9, box=int(rng.integers(1, 5)), part=20)
        if rng.random() < 0.5
        else None,
        lag=int(rng.integers(0, 600)),
        reach=reach,
        rows=int(rng.integers(reach + 2, 256)),
        every=int(rng.choice([1, 2, 4])),
        exact=bool(rng.random() < 0.5),
    )


def calls_of(rng, table, n_nodes, closing):
    """Nodes in stretches, with bursts and long gaps, and the samples that come meanwhile, as `play` takes them."""
    n, position, calls, n_samples = table.n_states, 0, [], 0
    scale = rng.choice([1, 300, 32767])
    is_open = False
    for _ in range(n_nodes):
        position += int(rng.choice([1, rng.integers(1, 20), rng.integers(1, 400)], p=[0.2, 0.79, 0.01]))
        position += 70_000 if rng.random() < 0.002 else 0
        arrival = position + int(rng.integers(0, 300))
        if arrival > n_samples:
            samples = rng.integers(-(2**15), 2**15, arrival - n_samples) >> rng.integers(0, 12)
            calls.append(("samples", samples))
            n_samples = arrival
        if not is_open:
            calls += [("pop", MANY), ("open", position)]
            is_open = True
        elif rng.random() < closing:
            calls.append(("close", position))
            is_open = False
        else:
            potentials = rng.integers(-scale, scale + 1, 4 * n)
            calls.append(("push", position, potentials, rng.integers(-128, 128, 2 * n) >> rng.integers(0, 6)))
        calls.append(("pop", MANY))
    return [*calls, *([("close", position + 1)] if is_open else []), ("pop", MANY)]


def play(table, calls, history=1024):
    """The events that the twin pops."""
    twin, samples, events = table.open(history=history), np.empty(0, np.int64), []
    for call, *given in calls:
        if call == "samples":
            samples = np.concatenate([samples, *given])
        elif call == "pop":
            events += twin.pop(samples)
        else:
            getattr(twin, call)(*([[part] for part in given] if call == "push" else given))
    return events


def numbers(table):
    """A table as the driver reads it."""
    parts = []
    for value in table.fields().values():
        array = np.array(value, np.int64)
        parts.append(np.pad(array, [(0, 8 - size) for size in array.shape]).ravel() if array.ndim else [array])
    return np.concatenate([*parts, np.array(table.duration).ravel()])


def run(program, head, calls, history=1024):
    """The events that the C pops."""
    return events_of(run_program(program, np.concatenate([head, words(calls, history)]).astype(np.int32)).tolist())


def words(calls, history=1024):
    """Calls as the driver reads them."""
    codes = {"open": 0, "push": 1, "close": 2, "pop": 4}
    stream = [np.array([history])]
    for call, *given in calls:
        if call == "samples":
            stream += [np.stack([np.full(len(given[0]), 3), given[0]], axis=1).ravel()]
        else:
            stream += [[codes[call]], *map(np.atleast_1d, given)]
    return np.concatenate(stream).astype(np.int32)


def events_of(words):
    """What the driver writes as events."""
    events, k = [], 0
    while k < len(words):
        if words[k]:
            events.append(Event(*words[k + 1 : k + 6]))
            k += 5
        k += 1
    return events


@pytest.mark.parametrize("case", range(24))
def test_the_c_pops_what_the_twin_does(program, rng, case):
    table = a_table(rng)
    calls = calls_of(rng, table, 400, closing=rng.choice([0.0, 0.01]))
    history = int(2 ** rng.integers(4, 14))
    assert run(program, numbers(table), calls, history) == play(table, calls, history)


def some_weights(rng, grammar):
    n = grammar.n_states
    return SpanWeights(rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=(n, grammar.n_bins)))


def some_nodes(rng, table, n_nodes, gap=10):
    """Positions, potentials and shifts of candidates `gap` samples apart on average, with a long gap now and then."""
    steps = rng.integers(1, 2 * gap, n_nodes)
    steps[rng.random(n_nodes) < 0.01] += max(table.longest)
    potentials = rng.normal(scale=400.0, size=(n_nodes, 4 * table.n_states)).astype(np.int64)
    return np.cumsum(steps), potentials, rng.integers(-3, 4, (n_nodes, 2 * table.n_states))


def with_samples(rng, positions, potentials, shifts, delay=40):
    """Calls as a pipeline makes them: each candidate some time after its sample, a pop after every sample."""
    calls, n_samples = [("open", 0)], 0
    for position, potential, shift in zip(positions, potentials, shifts, strict=True):
        for sample in rng.integers(-2000, 2000, position + delay - n_samples):
            calls += [("samples", np.array([sample])), ("pop", 1)]
        n_samples = position + delay
        calls.append(("push", position, potential, shift))
    calls.append(("close", positions[-1] + 10))
    return [*calls, *[("pop", 1)] * 100]


@pytest.mark.parametrize("task", [ECG, RESPIRATION], ids=lambda task: task.kind)
def test_waves_popped_one_a_sample_are_those_that_are_popped_at_once(program, rng, task):
    table = DecoderTable.of(task, some_weights(rng, task.grammar), lag=1.0)
    positions, potentials, shifts = some_nodes(rng, table, 300)
    calls = with_samples(rng, positions, potentials, shifts)
    at_once = [call for call in calls if call[0] != "pop"] + [("pop", MANY)]
    # No more than the rows hold can wait.
    assert len(events := run(program, numbers(table), calls, 8192)) > 50
    assert events == play(table, at_once, 8192)


def test_where_nobody_pops_the_latest_waves_are_kept(program, rng):
    table = DecoderTable.of(ECG, some_weights(rng, ECG_GRAMMAR), lag=1.0)
    calls = [call for call in with_samples(rng, *some_nodes(rng, table, 600)) if call[0] != "pop"] + [("pop", MANY)]
    kept, everything = run(program, numbers(table), calls, 8192), play(table, calls, 8192)
    assert 3 < len(kept) <= table.rows
    assert kept[1:] == everything[1 - len(kept) :]  # the first one may have started earlier than those before it ended


def potentials_of(nodes):
    return Potentials(*np.split(nodes / 256, 4, axis=1))


def spans_of(rng, lag, rows, reach, n_nodes=2000):
    """Spans that the twin commits, and those of the float stream, at a rate at which both have the same durations."""
    grammar = replace(ECG_GRAMMAR, longest=(160.0, 80.0, 100.0, 80.0, 100.0, 120.0))
    weights = SpanWeights(*(np.floor(256 * part) / 256 for part in some_weights(rng, grammar)))
    table = replace(
        DecoderTable.of(ECG, weights, lag=0.1, reach=reach, rows=rows),
        longest=tuple(map(int, grammar.longest)), lag=lag, label=(0,) * 6, cut=(3,) * 6, peak=(0,) * 6,
    )  # fmt: skip
    positions, potentials, shifts = some_nodes(rng, table, n_nodes)
    potentials[0] = 0
    twin = table.open(history=8192)
    twin.open(positions[0])
    twin.push(positions[1:], potentials[1:], 0 * shifts[1:])
    twin.close(end := positions[-1] + 10)
    events = twin.pop(np.zeros(end), end)
    stream = SpanDecoder(grammar=grammar, weights=weights, lag=lag).open()
    parts = [stream.push(positions.astype(float), potentials_of(potentials)), stream.close_stretch(float(end))]
    spans = CommittedSpans.concat(parts).merged()
    ours = {(event.onset, event.offset) for event in events}
    floats = zip(spans.start_time.tolist(), spans.stop_time.tolist(), strict=True)
    return ours, {(start, stop) for start, stop in floats if stop - start >= 2}, twin.early


def test_with_room_for_the_stretch_the_spans_are_those_of_the_float_stream(rng):
    ours, floats, _ = spans_of(rng, lag=10**6, reach=100, rows=255, n_nodes=200)
    assert len(floats) > 40
    assert ours == floats


def test_with_a_lag_nearly_all_spans_are_those_of_the_float_stream(rng):
    ours, floats, early = spans_of(rng, lag=280, reach=40, rows=90)
    assert early == 0
    assert ours == floats


def test_where_candidates_are_dense_spans_are_committed_early_and_stay_whole(rng):
    ours, floats, early = spans_of(rng, lag=600, reach=24, rows=40)
    assert early > 100
    assert len(ours & floats) > 0.95 * len(floats)
    onsets, offsets = np.array(sorted(ours)).T
    assert (onsets[1:] >= offsets[:-1]).all()


def constant(table, state, n_nodes):
    """Nodes that all say the same state."""
    potentials = np.zeros((n_nodes, 4 * table.n_states), np.int64)
    potentials[:, state] = 2000
    return potentials


def test_a_state_that_goes_on_is_one_wave(rng):
    table = DecoderTable.of(RESPIRATION, some_weights(rng, BREATH_GRAMMAR), lag=5.0)
    expiration = BREATH_GRAMMAR.index("expiration")
    twin = table.open()
    twin.open(0)
    twin.push(np.arange(1, 401) * 5, constant(table, expiration, 400), np.zeros((400, 6)))
    assert twin.pop(np.zeros(2000)) == []
    twin.close(2100)
    assert twin.pop(np.zeros(2100)) == [Event(label=expiration, flags=3, onset=0, peak=-1, offset=2100)]


@pytest.mark.parametrize(("task", "n_events"), [(ECG, 0), (RESPIRATION, 1)], ids=["ecg", "respiration"])
def test_waves_that_ends_of_the_stretch_cut_are_dropped_where_the_task_says_so(rng, task, n_events):
    table = DecoderTable.of(task, SpanWeights.zeros(task.grammar), lag=1.0)
    state = 1  # P, expiration
    twin = table.open()
    twin.open(100)
    twin.push(np.arange(1, 4) * 10 + 100, constant(table, state, 3), np.zeros((3, 2 * table.n_states)))
    twin.close(150)
    label = task.label_of_state[state]
    assert sum(event.label == label for event in twin.pop(np.zeros(200))) == n_events


def test_waves_that_reach_into_unusable_signal_are_dropped(rng):
    table = DecoderTable.of(RESPIRATION, SpanWeights.zeros(BREATH_GRAMMAR), lag=1.0)
    for shift, n_events in ((0, 1), (20, 0)):
        twin = table.open()
        twin.open(100)
        twin.push(np.arange(1, 4) * 10 + 100, constant(table, 1, 3), np.zeros((3, 6)))
        twin.push([140], constant(table, 0, 1), np.full((1, 6), shift))
        twin.close(150)
        events = twin.pop(np.zeros(200))
        assert sum(event.label == 1 for event in events) == n_events


def test_the_end_of_a_slow_inspiration_is_that_of_the_labeler(program, rng):
    for _ in range(25):
        n, fs = int(rng.integers(25, 80)), RESPIRATION.front_end.rate
        rise = 2000 * np.sin(np.linspace(-1.5, rng.uniform(1.2, 2.5), n + 40)) + rng.normal(scale=30, size=n + 40)
        signal = rise.astype(np.int64)
        waves = np.array([[3, n, n]])
        RESPIRATION.refined(signal.astype(np.float32), 0, fs, np.array([0]), waves)
        table = DecoderTable.of(RESPIRATION, SpanWeights.zeros(BREATH_GRAMMAR), lag=1.0)
        calls = [
            ("samples", signal), ("open", 0), ("push", 3, constant(table, 1, 1)[0] // 2, np.zeros(6, np.int64)),
            ("push", n, constant(table, 1, 1)[0], np.zeros(6, np.int64)), ("close", n + 40), ("pop", MANY),
        ]  # fmt: skip
        calls[2][2][0] = 8000
        events = run(program, numbers(table), calls)
        inspiration = next(event for event in events if event.label == 0)
        assert inspiration.offset == inspiration.peak == waves[0, 2]
        assert events == play(table, calls)


def test_a_structure_that_does_not_fit_is_refused(rng):
    weights = SpanWeights.zeros(ECG_GRAMMAR)
    for changed in ({"reach": 128}, {"reach": 20, "rows": 21}, {"rows": 256}, {"lag": -1.0}):
        with pytest.raises(InvalidParameterError, match=next(reversed(changed))):
            DecoderTable.of(ECG, weights, **{"lag": 1.0, **changed})
    with pytest.raises(InvalidParameterError, match="duration"):
        DecoderTable.of(ECG, weights._replace(duration=weights.duration + 200.0), lag=1.0)


@pytest.mark.parametrize("task", [ECG, RESPIRATION], ids=lambda task: task.kind)
def test_every_target_pops_what_the_twin_does(target, rng, task, tmp_path):
    table = DecoderTable.of(task, some_weights(rng, task.grammar), lag=1.0)
    (tmp_path / "table.h").write_text(f"{table.to_c('table')}\nstatic {table.memory} memory;\n")
    program = target.compile(
        [DRIVER, RUNTIME / "mh_decoder.c"], tmp_path / "program", include=[tmp_path], flags=("-Os", '-DTABLE="table.h"')
    )
    calls = with_samples(rng, *some_nodes(rng, table, 300))
    emulation = target.run(program, words(calls))
    assert events_of(emulation.output.tolist()) == play(table, calls)
    if target.machine:
        _, _, worst, worst_pop, stack = emulation.results
        assert worst < 40_000  # instructions
        assert worst_pop < 10_000
        assert stack < 600
        memory = sum(s.size for s in target.symbols(program) if s.name in ("memory", "state"))
        assert memory < 3000


class Tap:
    """The decoder of a stream, and what it was given, in whole numbers."""

    def __init__(self, stream, task):
        self.stream, self.decoder, self.calls = stream, stream._decoder, []
        self.rate, self.unit = task.front_end.rate, task.shift_unit * task.front_end.rate
        self.farthest = round(task.farthest_edge * self.rate)
        self.is_open = False

    def push(self, times, potentials):
        shifts = self.stream._leads[0].node_outputs[-len(times) :, 4 * potentials.inside.shape[1] :]
        shifts = np.clip(np.floor(shifts * self.unit + 0.5), -self.farthest, self.farthest)
        scores = np.floor(np.concatenate(potentials, axis=1) * 256 + 0.5)
        for time, score, shift in zip(times, scores.astype(int), shifts.astype(int), strict=True):
            position = round(time * self.rate)
            self.calls.append(("push", position, score, shift) if self.is_open else ("open", position))
            self.calls.append(("pop", MANY))
            self.is_open = True
        return self.decoder.push(times, potentials)

    def close_stretch(self, time):
        self.calls += [("close", round(time * self.rate)), ("pop", MANY)]
        self.is_open = False
        return self.decoder.close_stretch(time)


def events_and_rows(model, recording, channel, lag):
    """Events of the twin, and those of the labeler in floating point, of one lead at the internal rate."""
    task = model.task
    resampler = task.front_end.segmenter.resampler.open(fs=recording.fs)
    signal = np.concatenate([resampler.push(recording.signals[:, channel]), resampler.flush()])
    signal = np.clip(np.floor(signal * 1000 + 0.5), -32768, 32767)
    stream = GroupStream(model, fs=task.front_end.rate, n_leads=1, lag=lag)
    stream._decoder = tap = Tap(stream, task)
    rows = stream.push(signal.astype(np.float32)[:, None]) + stream.push(np.empty((0, 1), np.float32), last=True)
    lag -= task.front_end.segmenter.longest_gap + 2 * task.farthest_edge
    table = DecoderTable.of(task, model.weights, lag=lag)
    return table, [("samples", signal.astype(np.int64)), *tap.calls], [row[:4] for row in rows]


@pytest.mark.realdata
def test_waves_of_real_leads_are_those_of_the_labeler(program, data_dir):
    model, n_same, n_rows = load("ecg").model_, 0, 0
    for name, channel in (("1", 1), ("50", 6), ("100", 9), ("150", 2)):
        recording, _, _ = Ludb(data_dir / "ludb").load(name)
        table, calls, rows = events_and_rows(model, recording, channel, lag=1.5)
        events = play(table, calls, 8192)
        assert events == run(program, numbers(table), calls, 8192)
        found = {(event.onset, event.peak, event.offset, event.label) for event in events}
        n_same += len(found & {row for row in rows if row[3] < len(model.task.labels)})
        n_rows += len(rows)
        assert len(found) == pytest.approx(len(rows), abs=1)
    assert n_same > 0.96 * n_rows


@pytest.mark.realdata
def test_breaths_of_real_signals_are_those_of_the_labeler(program, data_dir):
    model, n_same, n_rows = load("respiration").model_, 0, 0
    for name in ("bidmc_01", "bidmc_19", "bidmc_42"):
        recording, _, _ = Bidmc(data_dir / "bidmc").load(name)
        table, calls, rows = events_and_rows(model, recording, 0, lag=8.0)
        events = play(table, calls, 8192)
        assert events == run(program, numbers(table), calls, 8192)
        ours = np.array([event.offset for event in events if event.label == 0])
        theirs = np.array([row[2] for row in rows if row[3] == 0])
        n_same += sum(np.abs(ours - end).min() <= 1 for end in theirs)
        n_rows += len(theirs)
        assert len(ours) == pytest.approx(len(theirs), rel=0.03)
    assert n_same > 0.96 * n_rows
