import math
from itertools import pairwise

import numpy as np
import pytest

import naive_crf
from mhealth.crf import (
    ECG_GRAMMAR,
    ChainStructure,
    IndependentStructure,
    SpanStructure,
    SpanWeights,
    label_runs,
    span_expectations,
)
from mhealth.errors import AnnotationError, InvalidParameterError, InvalidSignalError

STRUCTURES = [
    IndependentStructure(grammar=ECG_GRAMMAR),
    ChainStructure(grammar=ECG_GRAMMAR),
    ChainStructure(grammar=ECG_GRAMMAR, restricted=False),
    SpanStructure(grammar=ECG_GRAMMAR),
]
NAMES = ["independent", "chain", "free chain", "span"]
LENGTHS = [18, 2, 20]


def a_problem(rng, structure):
    n_nodes = sum(LENGTHS)
    times = np.cumsum(rng.uniform(0.02, 0.09, size=n_nodes))
    unary = rng.normal(size=(n_nodes, len(structure.kinds) * ECG_GRAMMAR.n_states))
    weights = rng.normal(size=structure.n_weights)
    allowed = np.full(n_nodes, ECG_GRAMMAR.mask(), dtype=np.uint8)
    allowed[3:6] = ECG_GRAMMAR.mask("QRS")
    allowed[6:8] = ECG_GRAMMAR.mask("ST", "T")
    allowed[25:27] = ECG_GRAMMAR.mask("P", "TP")
    allowed[np.cumsum(LENGTHS) - 1] = 0  # the last node of a sequence has no interval
    return unary, weights, times, allowed


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_the_gradient_of_the_log_likelihood_is_exact(rng, structure):
    unary, weights, times, allowed = a_problem(rng, structure)

    def value():
        return structure.log_likelihood_and_gradient(unary, weights, times, LENGTHS, allowed).value.sum()

    found = structure.log_likelihood_and_gradient(unary, weights, times, LENGTHS, allowed, n_jobs=2)
    assert (found.value <= 1e-12).all()
    for table, gradient in ((unary, found.unary), (weights, found.weights)):
        for flat in rng.choice(table.size, size=min(table.size, 25), replace=False):
            at = np.unravel_index(flat, table.shape)
            kept, step = table[at], 1e-5
            table[at] = kept + step
            above = value()
            table[at] = kept - step
            below = value()
            table[at] = kept
            assert gradient[at] == pytest.approx((above - below) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_probabilities_sum_to_one_and_the_best_labelling_tiles_the_sequences(rng, structure):
    unary, weights, times, _ = a_problem(rng, structure)
    occupancy = structure.occupancy(unary, weights, times, LENGTHS)
    ends = np.cumsum(LENGTHS) - 1
    np.testing.assert_allclose(np.delete(occupancy.sum(axis=1), ends), 1.0, rtol=1e-9)
    assert (occupancy[ends] == 0).all()
    spans = structure.map_spans(unary, weights, times, LENGTHS)
    for s, (first, last) in enumerate(zip([0, 18, 20], ends, strict=True)):
        mine = spans.sequence == s
        assert spans.start[mine][0] == first
        assert spans.stop[mine][-1] == last
        np.testing.assert_array_equal(spans.start[mine][1:], spans.stop[mine][:-1])


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_a_fully_allowed_sequence_teaches_nothing(rng, structure):
    unary, weights, times, allowed = a_problem(rng, structure)
    found = structure.log_likelihood_and_gradient(unary, weights, times, LENGTHS, np.full_like(allowed, 255))
    for part in found:
        np.testing.assert_allclose(part, 0.0, atol=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_marks_that_no_labelling_fits_are_refused_with_the_sequence(rng, structure):
    unary, weights, times, allowed = a_problem(rng, structure)
    allowed[25] = 0
    with pytest.raises(AnnotationError, match="sequence 2"):
        structure.log_likelihood_and_gradient(unary, weights, times, LENGTHS, allowed)


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_scores_and_weights_of_another_shape_are_refused(rng, structure):
    unary, weights, times, _ = a_problem(rng, structure)
    with pytest.raises(InvalidSignalError, match="unary has shape"):
        structure.map_spans(unary[:, :5], weights, times, LENGTHS)
    with pytest.raises(InvalidSignalError, match="node 7"):
        structure.map_spans(np.where(np.arange(40)[:, None] == 7, np.nan, unary), weights, times, LENGTHS)
    if structure.n_weights:
        with pytest.raises(InvalidParameterError, match="weights has shape"):
            structure.map_spans(unary, weights[1:], times, LENGTHS)


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_chain_is_that_of_enumerating_all_state_sequences(rng, restricted, masked):
    structure = ChainStructure(grammar=ECG_GRAMMAR, restricted=restricted)
    unary = rng.normal(size=(6, 6))
    weights = rng.normal(size=structure.n_weights)
    transition = structure.transition(weights)
    # Masks that leave something possible under the grammar, and the ignored last node.
    allowed = np.array([0b101011, 0b111011, 0b001111, 255, 0b110101, 0], dtype=np.uint8) if masked else None
    log_z, counts, best, states = naive_crf.chain_sums(unary[:-1], transition, allowed)
    everything, _, _, _ = naive_crf.chain_sums(unary[:-1], transition)
    if masked:
        found = structure.log_likelihood_and_gradient(unary, weights, None, [6], allowed)
        assert found.value[0] == pytest.approx(log_z - everything, rel=1e-9)
        return
    occupancy = structure.occupancy(unary, weights, None, [6])
    for t in range(5):
        for y in range(6):
            assert occupancy[t, y] == pytest.approx(counts["unary", t, y], abs=1e-12)
    spans = structure.map_spans(unary, weights, None, [6])
    assert spans.score[0] == pytest.approx(best, rel=1e-9)
    assert np.repeat(spans.state, spans.stop - spans.start).tolist() == list(states)
    gradient = structure.log_likelihood_and_gradient(unary, weights, None, [6], [1 << y for y in states] + [0])
    moves = np.zeros((6, 6))
    for p, q in pairwise(states):
        moves[p, q] += 1
    expected = np.array([[counts["transition", p, q] for q in range(6)] for p in range(6)])
    np.testing.assert_allclose(gradient.weights, (moves - expected)[structure.possible], atol=1e-12)


def test_weights_of_the_span_structure_survive_the_way_to_a_vector_and_back(rng):
    structure = SpanStructure(grammar=ECG_GRAMMAR)
    vector = rng.normal(size=structure.n_weights)
    np.testing.assert_array_equal(structure.vector(structure.span_weights(vector)), vector)
    assert structure.n_weights == 15 + 1 + 6 * 20


def test_the_span_structure_splits_its_columns_by_kind(rng):
    structure = SpanStructure(grammar=ECG_GRAMMAR)
    unary = rng.normal(size=(30, 24))
    parts = structure.potentials(unary)
    np.testing.assert_array_equal(parts.offset, unary[:, 12:18])
    times = np.cumsum(rng.uniform(0.02, 0.09, size=30))
    weights = np.zeros(structure.n_weights)
    expected = span_expectations(parts, times, [30], SpanWeights.zeros(ECG_GRAMMAR), ECG_GRAMMAR).occupancy
    np.testing.assert_array_equal(structure.occupancy(unary, weights, times, [30]), expected)


def test_runs_of_labels_become_spans_that_never_cross_sequences():
    spans = label_runs([1, 1, 2, 9, 2, 2, -1, 9, 3, 9], [4, 4, 2])
    assert list(zip(spans.start, spans.stop, spans.state, spans.sequence, strict=True)) == [
        (0, 2, 1, 0), (2, 3, 2, 0), (4, 6, 2, 1), (8, 9, 3, 2),
    ]  # fmt: skip
    assert all(math.isnan(score) for score in spans.score)
