import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhealth.crf import (
    ECG_GRAMMAR,
    CommittedSpans,
    Grammar,
    Potentials,
    SpanDecoder,
    SpanWeights,
    span_expectations,
    span_viterbi,
)
from mhealth.errors import InvalidParameterError, InvalidSignalError, StreamError

FIELDS = ("start", "stop", "start_time", "stop_time", "state", "continued", "occupancy")


def some_nodes(rng, n_nodes, scale=1.0, rate=20.0):
    """Nodes of stretches about ten seconds long, with a long gap between candidates now and then."""
    gaps = rng.exponential(1 / rate, size=n_nodes) + 0.005
    gaps[rng.random(n_nodes) < 0.01] += 1.5
    times = np.cumsum(gaps)
    potentials = Potentials(*(scale * rng.normal(size=(4, n_nodes, ECG_GRAMMAR.n_states))))
    # Quiet stretches, in which TP chains over seconds.
    for start in range(150, n_nodes, 400):
        potentials.inside[start : start + 60, 0] += 4.0
    return times, potentials


def a_decoder(rng, lag):
    n = ECG_GRAMMAR.n_states
    weights = SpanWeights(rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=(n, ECG_GRAMMAR.n_bins)))
    return SpanDecoder(grammar=ECG_GRAMMAR, weights=weights, lag=lag)


def rows(potentials, start, stop):
    return Potentials(*(part[start:stop] for part in potentials))


def decode(stream, times, potentials, ends, cuts):
    """Push the nodes cut into chunks; nodes in `ends` end a stretch."""
    found = [stream.push([], Potentials.zeros(0, ECG_GRAMMAR.n_states))]
    cuts = sorted({0, len(times), *cuts, *ends, *(end + 1 for end in ends)})
    for start, stop in pairwise(cuts):
        if start in ends:
            found.append(stream.close_stretch(times[start]))
        else:
            found.append(stream.push(times[start:stop], rows(potentials, start, stop)))
    return CommittedSpans.concat(found)


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_with_a_lag_longer_than_the_stretch_the_stream_is_viterbi(rng, scale):
    times, potentials = some_nodes(rng, 900, scale)
    decoder = a_decoder(rng, lag=1e6)
    ends = [299, 301, 899]
    lengths = np.diff([0, 300, 302, 900])
    found = decode(decoder.open(), times, potentials, ends, [])
    assert found.continued.any()
    merged = found.merged()
    path = span_viterbi(potentials, times, lengths, decoder.weights, ECG_GRAMMAR)
    for name in ("start", "stop", "state"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(path, name))
    np.testing.assert_array_equal(merged.start_time, times[path.start])
    np.testing.assert_array_equal(merged.stop_time, times[path.stop])


def test_probabilities_are_those_of_forward_backward_on_the_nodes_seen_so_far(rng):
    times, potentials = some_nodes(rng, 500)
    potentials.inside[:40, 0] += 4.0  # a stretch may start with a TP that outlasts its longest duration
    decoder = a_decoder(rng, lag=0.8)
    stream = decoder.open()
    n_checked = 0
    for node in range(len(times)):
        found = stream.push(times[node : node + 1], rows(potentials, node, node + 1))
        if not len(found):
            continue
        seen = span_expectations(
            rows(potentials, 0, node + 1), times[: node + 1], [node + 1], decoder.weights, ECG_GRAMMAR
        )
        for k in range(len(found)):
            covered = slice(found.start[k], found.stop[k])
            np.testing.assert_allclose(
                found.occupancy[found.first_interval[k] : found.first_interval[k + 1]],
                seen.occupancy[covered, found.state[k]],
                atol=1e-9,
            )
            n_checked += 1
    assert n_checked > 50


@pytest.mark.parametrize("lag", [0.0, 0.4, 1.5])
def test_spans_tile_the_stretches_obey_the_grammar_and_come_within_the_lag(rng, lag):
    times, potentials = some_nodes(rng, 1500, 2.0)
    decoder = a_decoder(rng, lag)
    stream = decoder.open()
    spans = []
    for node in range(len(times) - 1):
        found = stream.push(times[node : node + 1], rows(potentials, node, node + 1))
        reported = np.isin(found.state, [ECG_GRAMMAR.index(state) for state, _ in ECG_GRAMMAR.reported])
        if node:
            # One node before, the best path may still have run through a span across the end of this one.
            assert (found.stop_time[reported] > times[node - 1] - lag - max(ECG_GRAMMAR.longest)).all()
        spans.append(found)
    spans.append(stream.close_stretch(times[-1]))
    found = CommittedSpans.concat(spans)
    assert found.start[0] == 0
    assert found.stop[-1] == len(times) - 1
    np.testing.assert_array_equal(found.start[1:], found.stop[:-1])
    np.testing.assert_array_equal(found.start_time, times[found.start])
    same = found.state[1:] == found.state[:-1]
    np.testing.assert_array_equal(same, found.continued[1:])
    assert ECG_GRAMMAR.allowed[found.state[:-1], found.state[1:]][~same].all()
    assert stream.position == len(times)
    assert ((found.occupancy >= 0) & (found.occupancy <= 1)).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 700), max_size=30),
    ends=st.sets(st.integers(1, 697), max_size=3),
    lag=st.sampled_from([0.0, 0.5, 1.5]),
    copied_at=st.integers(0, 700),
)
def test_any_chunking_and_a_pickle_midway_give_the_same_bits(seed, cuts, ends, lag, copied_at):
    rng = np.random.default_rng(seed)
    times, potentials = some_nodes(rng, 700)
    ends = [*sorted(end for end in ends if end - 1 not in ends), 699]
    decoder = a_decoder(rng, lag)
    whole = decode(decoder.open(), times, potentials, ends, [])
    stream = decoder.open()
    first = decode(stream, times[:copied_at], rows(potentials, 0, copied_at), [e for e in ends if e < copied_at], cuts)
    stream = pickle.loads(pickle.dumps(stream))
    rest = [e - copied_at for e in ends if e >= copied_at]
    cuts = [cut - copied_at for cut in cuts if cut > copied_at]
    second = decode(stream, times[copied_at:], rows(potentials, copied_at, None), rest, cuts)
    again = CommittedSpans.concat([first, second])
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(again, name), err_msg=name)


def test_the_window_stays_small_over_a_long_stretch_and_in_a_state_that_never_ends(rng):
    times, potentials = some_nodes(rng, 6000)
    potentials.inside[2000:, 0] += 50.0
    stream = a_decoder(rng, lag=1.5).open()
    for node in range(6000):
        found = stream.push(times[node : node + 1], rows(potentials, node, node + 1))
    assert len(pickle.dumps(stream)) < 500_000
    assert found.start_time.size == 0 or times[-1] - found.stop_time[-1] < 4.0


def test_a_long_tp_does_not_hold_back_the_wave_before_it(rng):
    times = np.arange(0, 10, 0.05)
    inside = np.zeros((len(times), 6))
    inside[:20, ECG_GRAMMAR.index("T")] = 5.0
    inside[20:, ECG_GRAMMAR.index("TP")] = 5.0
    weights = SpanWeights.zeros(ECG_GRAMMAR)
    stream = SpanDecoder(grammar=ECG_GRAMMAR, weights=weights, lag=1.5).open()
    nothing = np.zeros_like(inside)
    for node in range(len(times)):
        found = stream.push(times[[node]], rows(Potentials(inside, nothing, nothing, nothing), node, node + 1))
        if ECG_GRAMMAR.index("T") in found.state:
            break
    assert found.stop_time[0] <= 1.0 + 1e-9
    assert times[node] <= 1.0 + 1.5 + 0.051


def a_stream(lag=1.0):
    return SpanDecoder(grammar=ECG_GRAMMAR, weights=SpanWeights.zeros(ECG_GRAMMAR), lag=lag).open()


def test_chunks_that_do_not_continue_the_stream_are_refused():
    stream = a_stream()
    with pytest.raises(StreamError, match="no node yet"):
        stream.close_stretch(1.0)
    stream.push([0.0, 0.1], Potentials.zeros(2, 6))
    for times in ([0.1], [0.05]):
        with pytest.raises(StreamError, match="does not lie after"):
            stream.push(times, Potentials.zeros(1, 6))
    with pytest.raises(StreamError, match="does not lie after"):
        stream.close_stretch(0.1)
    with pytest.raises(InvalidSignalError, match="must increase"):
        stream.push([0.3, 0.2], Potentials.zeros(2, 6))
    with pytest.raises(InvalidSignalError, match="expected \\(1, 6\\)"):
        stream.push([0.3], Potentials.zeros(2, 6))
    assert len(stream.push([], Potentials.zeros(0, 6))) == 0
    assert stream.close_stretch(0.2).stop[-1] == 2
    assert stream.position == 3


def test_a_grammar_that_a_gap_could_leave_without_labelling_is_refused():
    grammar = Grammar(
        states=("a", "b", "c"), transitions=(("a", "b"), ("b", "c"), ("c", "a")), reported=(), longest=(1.0, 1.0, 1.0),
        continues=("c",),
    )  # fmt: skip
    with pytest.raises(InvalidParameterError, match=r"\['a'\] neither continue"):
        SpanDecoder(grammar=grammar, weights=SpanWeights.zeros(grammar))
    with pytest.raises(InvalidParameterError, match="lag=-1"):
        SpanDecoder(grammar=ECG_GRAMMAR, weights=SpanWeights.zeros(ECG_GRAMMAR), lag=-1)
