"""Whole phases of breathing: C and twin are the same, and those of the labeler."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from mhealth.export._decoder import Event
from mhealth.export._decoder_phases import PhasesTable
from mhealth.export._host import RUNTIME, compile_c, run_program
from mhealth.labeling import load
from mhealth.labeling._breath_task import RESPIRATION

DRIVER = Path(__file__).parent / "drivers" / "decoder_phases.c"
TABLE = PhasesTable.of(RESPIRATION)
UNUSABLE = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_c([DRIVER, RUNTIME / "mh_decoder_phases.c"], tmp_path_factory.mktemp("phases") / "phases")


def some_events(rng, n, labels):
    """Events whose neighbours mostly touch, overlap or leave a gap by little."""
    events, offset = [], 50
    for _ in range(n):
        onset = offset + int(rng.choice([0, 0, 0, rng.integers(-30, 40)]))
        onset = max(onset, events[-1].onset if events else 0)
        offset = onset + int(rng.choice([rng.integers(2, 60), rng.integers(80, 150)]))
        label = int(rng.choice(labels))
        events.append(Event(label, int(rng.integers(4)), onset, onset + 1 if label == 0 else -1, offset))
    return events


def phases(events):
    twin = TABLE.open()
    done = [phase for event in events for phase in twin.push(event)]
    return done + twin.flush()


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2], [0, 1, 1, 2, 2, UNUSABLE]])
def test_the_c_pops_what_the_twin_does(program, rng, labels):
    events = some_events(rng, 2000, labels)
    words = np.array([astuple(TABLE), *events]).astype(np.int32)
    assert [Event(*row) for row in run_program(program, words).reshape(-1, 5).tolist()] == phases(events)


def test_phases_are_those_of_the_labeler(rng):
    labeler = load("respiration")
    for _ in range(50):
        # Expiration follows inspiration and pause expiration; some phases are too short to be any.
        labels = [label for _ in range(30) for label in ([0, 1, 2] if rng.random() < 0.5 else [0, 1])]
        events = [
            event._replace(label=label)
            for event, label in zip(some_events(rng, len(labels), [0]), labels, strict=True)
            if rng.random() < 0.9
        ]
        stream = labeler.open(fs=10.0, channels=("RESP",))
        rows = []
        for event in events:
            rows += stream._phases(0, [(event.onset, -1, event.offset, event.label, 0, 1.0)], last=False)
        rows += stream._phases(0, [], last=True)
        ours = [(phase.onset, phase.peak, phase.offset, phase.label) for phase in phases(events)]
        assert ours == [row[:4] for row in rows]
