"""Decoding in whole numbers: C and twin are the same bit for bit, and find what the float stream finds."""

from pathlib import Path

import numpy as np
import pytest

from mhealth.export._decoder import DecoderTable, Event, Top
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.export._toolchain import HARNESS

DRIVER = Path(__file__).parent / "drivers" / "decoder.c"
MANY = 1000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    sources = [DRIVER, RUNTIME / "mh_decoder.c", HARNESS / "harness_host.c"]
    return compile_c(sources, tmp_path_factory.mktemp("decoder") / "decoder", include=[HARNESS])


def a_table(rng):
    """A table of any size, with scores that are often equal, usual, or as large as can be."""
    n, n_bins = int(rng.integers(1, 9)), int(rng.integers(1, 21))
    reach = int(rng.integers(1, 128))
    continues = rng.random(n) < 0.4
    continues[rng.integers(n)] = True
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
    )


def calls_of(rng, table, n_nodes, pop=MANY):
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
        elif rng.random() < 0.01:
            calls.append(("close", position))
            is_open = False
        else:
            potentials = rng.integers(-scale, scale + 1, 4 * n)
            calls.append(("push", position, potentials, rng.integers(-128, 128, 2 * n) >> rng.integers(0, 6)))
        calls.append(("pop", pop))
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
    codes = {"open": 0, "push": 1, "close": 2, "pop": 4}
    stream = [np.asarray(head, np.int64), [history]]
    for call, *given in calls:
        if call == "samples":
            stream += [np.stack([np.full(len(given[0]), 3), given[0]], axis=1).ravel()]
        else:
            stream += [[codes[call]], *map(np.atleast_1d, given)]
    return events_of(run_program(program, np.concatenate(stream).astype(np.int32)).tolist())


def events_of(words):
    """What the driver writes as events."""
    events, k = [], 0
    while k < len(words):
        if words[k]:
            events.append(Event(*words[k + 1 : k + 6]))
            k += 5
        k += 1
    return events


@pytest.mark.parametrize("case", range(60))
def test_the_c_pops_what_the_twin_does(program, rng, case):
    table = a_table(rng)
    calls = calls_of(rng, table, 400)
    history = int(2 ** rng.integers(4, 14))
    events = play(table, calls, history)
    assert run(program, numbers(table), calls, history) == events
