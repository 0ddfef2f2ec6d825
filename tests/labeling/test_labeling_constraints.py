"""Marks become sets of allowed states: cases worked out by hand."""

import numpy as np
import pytest

from mhealth.crf import ECG_GRAMMAR, SpanStructure
from mhealth.labeling._constraints import LeadMarks, constrain
from mhealth.labeling._ecg_task import ECG

NAN = np.nan
TIMES = np.arange(21) / 10
EVERYTHING = frozenset(ECG_GRAMMAR.states)
GAPS = frozenset({"TP", "PQ", "ST"})


def allowed(*waves, annotated=((0.0, 2.0),), times=TIMES):
    """Return the allowed states of each interval; waves are (label, onset, peak, offset)."""
    marks = LeadMarks(
        np.array([wave[1:] for wave in waves], dtype=float).reshape(-1, 3),
        np.array([ECG_GRAMMAR.index(wave[0]) for wave in waves], dtype=np.int64),
        np.array(annotated, dtype=float).reshape(-1, 2),
    )
    targets = constrain(times, marks, ECG)
    return [
        frozenset(s for k, s in enumerate(ECG_GRAMMAR.states) if mask >> k & 1) for mask in targets.allowed[:-1]
    ], targets


def states(*runs):
    """Write a list of sets as (states, how often)."""
    return [frozenset(names) if isinstance(names, tuple) else names for names, count in runs for _ in range(count)]


def test_a_whole_beat_fixes_every_interval_from_its_first_wave_to_its_last():
    found, _ = allowed(("P", 0.2, 0.3, 0.4), ("QRS", 0.5, 0.6, 0.7), ("T", 0.9, 1.0, 1.2))
    assert found == states((GAPS, 2), (("P",), 2), (("PQ",), 1), (("QRS",), 2), (("ST",), 2), (("T",), 3), (GAPS, 8))


def test_marks_snap_to_the_nearest_candidate():
    found, _ = allowed(("QRS", 0.53, 0.61, 0.68))
    assert found[4:8] == states((GAPS, 1), (("QRS",), 2), (GAPS, 1))


def test_where_nothing_is_annotated_everything_is_allowed():
    found, _ = allowed(("QRS", 1.0, 1.1, 1.2), annotated=((0.8, 1.4),))
    assert found == states((EVERYTHING, 8), (GAPS, 2), (("QRS",), 2), (GAPS, 2), (EVERYTHING, 6))
    found, _ = allowed(annotated=())
    assert found == states((EVERYTHING, 20))


def test_a_stretch_between_waves_that_nobody_annotated_stays_open():
    found, _ = allowed(("QRS", 0.2, 0.3, 0.4), ("QRS", 1.2, 1.3, 1.4), annotated=((0.0, 0.6), (1.0, 2.0)))
    assert found[4:12] == states((("TP",), 2), (EVERYTHING, 4), (("TP",), 2))


def test_a_wave_without_its_onset_may_reach_back_to_the_one_before():
    found, _ = allowed(("QRS", 0.2, 0.3, 0.4), ("T", NAN, 0.75, 0.9))
    assert found[2:9] == states((("QRS",), 2), (("ST", "T"), 3), (("T",), 2))


def test_a_wave_without_its_offset_may_reach_on_to_the_next():
    found, _ = allowed(("P", 0.2, 0.25, NAN), ("QRS", 0.5, 0.6, 0.7))
    assert found[2:7] == states((("P",), 1), (("P", "PQ"), 2), (("QRS",), 2))


def test_first_and_last_waves_without_an_edge_are_open_outwards():
    found, _ = allowed(("P", NAN, 0.5, 0.6), ("QRS", 0.7, 0.8, NAN))
    assert found == states((("P", *GAPS), 5), (("P",), 1), (("PQ",), 1), (("QRS",), 2), (("QRS", *GAPS), 11))


def test_a_wave_of_which_only_the_peak_is_known_holds_its_interval():
    found, _ = allowed(("QRS", NAN, 1.05, NAN), annotated=((0.8, 1.4),))
    assert found[10] == {"QRS"}
    assert found[9] == found[11] == {"QRS", *GAPS}
    assert found[7] == found[14] == EVERYTHING


def test_two_edges_on_one_candidate_drop_the_state_between_them():
    found, _ = allowed(("P", 0.2, 0.3, 0.42), ("QRS", 0.44, 0.5, 0.6))
    assert found[2:6] == states((("P",), 2), (("QRS",), 2))


def test_a_wave_between_two_candidates_keeps_one_interval():
    found, _ = allowed(("P", 0.31, 0.33, 0.34), ("QRS", 0.5, 0.6, 0.7))
    assert found[3] == {"P"}
    assert found[4] == {"PQ"}


@pytest.mark.parametrize(
    ("first", "second", "pause", "between"),
    [
        ("P", "QRS", 0.1, {"PQ"}),
        ("P", "QRS", 0.5, {"TP"}),  # a blocked P wave
        ("QRS", "T", 0.1, {"ST"}),
        ("QRS", "T", 0.5, GAPS),
        ("T", "P", 0.3, {"TP"}),
        ("T", "QRS", 0.3, {"TP"}),
        ("QRS", "QRS", 0.3, {"TP"}),
        ("QRS", "P", 0.3, {"TP"}),
        ("P", "P", 0.3, {"TP"}),
    ],
)
def test_the_names_of_two_waves_say_what_lies_between(first, second, pause, between):
    start = 0.4 + pause
    found, _ = allowed((first, 0.2, 0.3, 0.4), (second, start, start + 0.1, start + 0.2))
    assert set(found[4 : round(start * 10)]) == {frozenset(between)}


def test_shifts_are_measured_from_every_candidate_nearby():
    times = np.arange(41) / 20
    _, targets = allowed(("QRS", 0.512, NAN, 0.583), times=times)
    qrs = ECG_GRAMMAR.index("QRS")
    found = {
        (int(n), int(k)): s for n, k, s in zip(targets.edge_node, targets.edge_kind, targets.edge_shift, strict=True)
    }
    expected = {
        (node, 2 * qrs + side): mark - times[node]
        for side, mark in enumerate((0.512, 0.583))
        for node in range(41)
        if abs(mark - times[node]) < ECG.farthest_edge
    }
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6)


def test_beats_with_some_edges_missing_leave_a_labelling(rng):
    """The likelihood of marks that no labelling agrees with would be minus infinity."""
    structure = SpanStructure(grammar=ECG_GRAMMAR)
    for _ in range(30):
        times = np.arange(201) * 0.04 + np.r_[0, rng.uniform(-0.015, 0.015, 199), 0]
        waves, t = [], rng.uniform(0.1, 0.5)
        while t < 6.5:
            for label, lead_in, length in (("P", 0.0, 0.1), ("QRS", 0.08, 0.09), ("T", 0.12, 0.2)):
                onset = t + lead_in
                t = onset + length
                marks = [onset, onset + length / 2, t]
                if rng.random() < 0.3:
                    marks[rng.choice([0, 2])] = NAN
                if label != "P" or rng.random() < 0.7:
                    waves.append((label, *marks))
            t += rng.uniform(0.15, 0.6)
        _, targets = allowed(*waves, annotated=((0.0, rng.uniform(4, 8)),), times=times)
        unary = np.zeros((len(times), 4 * ECG_GRAMMAR.n_states), np.float32)
        found = structure.log_likelihood_and_gradient(
            unary, np.zeros(structure.n_weights), times, [len(times)], targets.allowed
        )
        assert np.isfinite(found.value).all()
        assert found.value.sum() < 0
