import math

import numpy as np
import pytest

import naive_crf
from mhealth.crf import (
    ECG_GRAMMAR,
    Grammar,
    Potentials,
    SpanWeights,
    span_expectations,
    span_viterbi,
)
from mhealth.errors import InvalidParameterError, InvalidSignalError

# Exact in the last digits: sums of some thousand terms in float64.
RTOL = 1e-9


def a_grammar(rng):
    """Three states in a random order, of which one or two continue, short enough that chains occur."""
    states = ("a", "b", "c")
    pairs = [(p, q) for p in states for q in states if p != q]
    kept = [pair for pair in pairs if rng.random() < 0.7] or pairs
    return Grammar(
        states=states,
        transitions=tuple(kept),
        reported=(("a", "A"),),
        longest=tuple(rng.choice([0.25, 0.375, 0.5, 1.0], size=3)),
        continues=tuple(rng.choice(states, size=rng.integers(1, 3), replace=False)),
        n_bins=int(rng.integers(1, 6)),
    )


def as_dict(grammar):
    return {
        "n_states": grammar.n_states,
        "transitions": {(grammar.index(p), grammar.index(q)) for p, q in grammar.transitions},
        "longest": grammar.longest,
        "continues": {grammar.index(s) for s in grammar.continues},
        "n_bins": grammar.n_bins,
    }


def a_sequence(rng, n_nodes, grammar, scale=1.5):
    """Times on a grid of 1/16 s, so that ties of the middle and of bin edges occur and are exact."""
    times = np.cumsum(rng.integers(1, 5, size=n_nodes)) / 16
    potentials = Potentials(*(rng.normal(scale=scale, size=(4, n_nodes, grammar.n_states))))
    return potentials, times


def some_weights(rng, grammar):
    n = grammar.n_states
    return SpanWeights(rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=(n, grammar.n_bins)))


def some_masks(rng, n_nodes, grammar):
    return rng.integers(0, 1 << grammar.n_states, size=n_nodes).astype(np.uint8) | rng.choice([0, 7], size=n_nodes)


def scores_of(potentials, weights):
    return {**potentials._asdict(), **weights._asdict()}


def as_table(expected, shapes):
    tables = {name: np.zeros(shape) for name, shape in shapes.items()}
    for name, value in expected.items():
        tables[name[0]][name[1:]] = value
    return tables


CASES = [(seed, masked) for seed in range(30) for masked in (False, True)]


@pytest.mark.parametrize(("seed", "masked"), CASES)
def test_sums_counts_and_best_path_are_those_of_enumerating_all_labellings(seed, masked):
    rng = np.random.default_rng(seed)
    grammar = a_grammar(rng)
    potentials, times = a_sequence(rng, int(rng.integers(2, 8)), grammar)
    weights = some_weights(rng, grammar)
    allowed = some_masks(rng, len(times), grammar).astype(np.uint8) if masked else None
    log_z, counts, best, spans = naive_crf.span_sums(scores_of(potentials, weights), times, as_dict(grammar), allowed)

    got = span_expectations(potentials, times, [len(times)], weights, grammar, allowed)
    path = span_viterbi(potentials, times, [len(times)], weights, grammar, allowed)
    np.testing.assert_allclose(got.log_z, [log_z], rtol=RTOL)
    scores = scores_of(got.potentials, got.weights)
    for name, table in as_table(counts, {name: np.shape(part) for name, part in scores.items()}).items():
        np.testing.assert_allclose(scores[name], table, rtol=RTOL, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(path.score, [best], rtol=RTOL)
    assert list(zip(path.start, path.stop, path.state, strict=True)) == spans


def test_the_cases_hold_chains_cuts_and_impossible_masks():
    kinds = set()
    for seed, masked in CASES:
        rng = np.random.default_rng(seed)
        grammar = a_grammar(rng)
        potentials, times = a_sequence(rng, int(rng.integers(2, 8)), grammar)
        weights = some_weights(rng, grammar)
        allowed = some_masks(rng, len(times), grammar).astype(np.uint8) if masked else None
        log_z, counts, _, _ = naive_crf.span_sums(scores_of(potentials, weights), times, as_dict(grammar), allowed)
        kinds |= {name[0] for name in counts}
        kinds |= {"nothing"} if log_z == -math.inf else set()
    assert kinds == {*Potentials._fields, *SpanWeights._fields, "nothing"}


def finite_difference(function, table, at, step=1e-5):
    kept = table[at]
    table[at] = kept + step
    above = function()
    table[at] = kept - step
    below = function()
    table[at] = kept
    return (above - below) / (2 * step)


@pytest.mark.parametrize("masked", [False, True])
def test_counts_are_the_gradient_of_log_z(rng, masked):
    grammar = ECG_GRAMMAR
    n_nodes = 60
    times = np.cumsum(rng.uniform(0.01, 0.09, size=n_nodes))
    lengths = [25, 35]
    potentials = Potentials(*rng.normal(size=(4, n_nodes, grammar.n_states)))
    weights = some_weights(rng, grammar)
    allowed = np.full(n_nodes, grammar.mask(), dtype=np.uint8)
    if masked:
        allowed[8:14] = grammar.mask("TP")
        allowed[40:43] = grammar.mask("QRS", "ST")

    def log_z():
        return span_expectations(potentials, times, lengths, weights, grammar, allowed).log_z.sum()

    got = span_expectations(potentials, times, lengths, weights, grammar, allowed)
    for kind, counts in zip((*potentials, *weights), (*got.potentials, *got.weights), strict=True):
        for flat in rng.choice(kind.size, size=6):
            at = np.unravel_index(flat, kind.shape)
            if kind is weights.transition and not grammar.allowed[at]:
                assert counts[at] == 0
                continue
            assert counts[at] == pytest.approx(finite_difference(log_z, kind, at), abs=1e-6)


def long_sequence(rng, n_nodes=2000, dtype=np.float64):
    times = np.cumsum(rng.uniform(0.01, 0.09, size=n_nodes))
    potentials = Potentials(*rng.normal(size=(4, n_nodes, ECG_GRAMMAR.n_states)).astype(dtype))
    return potentials, times, some_weights(rng, ECG_GRAMMAR)


def test_occupancy_sums_to_one_in_every_interval_and_map_scores_at_most_log_z(rng):
    potentials, times, weights = long_sequence(rng)
    lengths = [700, 2, 1298]
    got = span_expectations(potentials, times, lengths, weights, ECG_GRAMMAR)
    last = np.cumsum(lengths) - 1
    np.testing.assert_allclose(np.delete(got.occupancy.sum(axis=1), last), 1.0, rtol=1e-9)
    assert (got.occupancy[last] == 0).all()
    path = span_viterbi(potentials, times, lengths, weights, ECG_GRAMMAR)
    assert (path.score <= got.log_z).all()
    assert (np.diff(path.start)[np.diff(path.sequence) == 0] > 0).all()
    assert (path.start[1:][np.diff(path.sequence) == 0] == path.stop[:-1][np.diff(path.sequence) == 0]).all()


def test_threads_and_stacking_change_no_bit(rng):
    potentials, times, weights = long_sequence(rng, dtype=np.float32)
    lengths = [400, 100, 1000, 2, 498]
    one = span_expectations(potentials, times, lengths, weights, ECG_GRAMMAR)
    three = span_expectations(potentials, times, lengths, weights, ECG_GRAMMAR, n_jobs=3)
    for a, b in zip(
        (one.log_z, *one.potentials, *one.weights), (three.log_z, *three.potentials, *three.weights), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    alone = span_expectations(
        Potentials(*(p[500:1500] for p in potentials)), times[500:1500], [1000], weights, ECG_GRAMMAR
    )
    assert alone.log_z[0] == one.log_z[2]
    np.testing.assert_array_equal(alone.potentials.middle, one.potentials.middle[500:1500])
    assert one.potentials.onset.dtype == np.float32


def test_large_potentials_neither_overflow_nor_vanish(rng):
    potentials, times, weights = long_sequence(rng, n_nodes=300)
    potentials = Potentials(*(400 * part for part in potentials))
    got = span_expectations(potentials, times, [300], weights, ECG_GRAMMAR)
    path = span_viterbi(potentials, times, [300], weights, ECG_GRAMMAR)
    assert got.log_z[0] == pytest.approx(path.score[0], rel=1e-6)
    np.testing.assert_allclose(got.occupancy[:-1].sum(axis=1), 1.0, rtol=1e-6)


def test_a_sequence_that_no_labelling_fits_has_log_z_minus_infinity_and_no_counts(rng):
    potentials, times, weights = long_sequence(rng, n_nodes=20)
    allowed = np.zeros(20, dtype=np.uint8)
    got = span_expectations(potentials, times, [20], weights, ECG_GRAMMAR, allowed)
    path = span_viterbi(potentials, times, [20], weights, ECG_GRAMMAR, allowed)
    assert got.log_z[0] == path.score[0] == -math.inf
    assert not any(part.any() for part in (*got.potentials, *got.weights))
    assert len(path) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.zeros(20)}, "must increase"),
        ({"lengths": [19]}, "add up to 19"),
        ({"lengths": [19, 1]}, "at least 2"),
        ({"potentials": Potentials.zeros(20, 5)}, "expected \\(20, 6\\)"),
        ({"allowed": np.zeros(3)}, "expected \\(20,\\)"),
        ({"potentials": Potentials(*np.full((4, 20, 6), np.nan))}, "holds .nan"),
    ],
)
def test_input_that_does_not_fit_together_is_refused(change, message):
    arguments = {
        "potentials": Potentials.zeros(20, 6),
        "times": np.arange(20.0),
        "lengths": [20],
        "weights": SpanWeights.zeros(ECG_GRAMMAR),
        "grammar": ECG_GRAMMAR,
        "allowed": None,
    }
    for function in (span_expectations, span_viterbi):
        with pytest.raises(InvalidSignalError, match=message):
            function(**{**arguments, **change})


def test_weights_of_another_grammar_are_refused():
    weights = SpanWeights.zeros(ECG_GRAMMAR)._replace(duration=np.zeros((6, 3)))
    with pytest.raises(InvalidParameterError, match=r"weights.duration has shape \(6, 3\)"):
        span_expectations(Potentials.zeros(4, 6), np.arange(4.0), [4], weights, ECG_GRAMMAR)
