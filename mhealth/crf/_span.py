"""Exact inference over span labellings (a semi-Markov conditional random field)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.crf._grammar import Grammar
from mhealth.crf._sequences import (
    Potentials,
    SpanWeights,
    check_allowed,
    check_potentials,
    check_stacked_times,
    over_sequences,
    sequence_bounds,
)

__all__ = ["SpanExpectations", "SpanPaths", "span_expectations", "span_viterbi"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SpanExpectations:
    """The log partition functions and their gradient: how often each score is expected to count.

    Attributes
    ----------
    log_z : ndarray of float64, shape (n_sequences,)
        Log of the summed exponentiated scores of all labellings; −inf where there is none.
    potentials : Potentials
        Expected counts at each node. ``inside`` is the occupancy: the probability that the interval from a node to
        the next lies in a state; zero at the last node of a sequence.
    weights : SpanWeights
        Expected counts of transitions, continuations and durations, summed over the sequences.
    """

    log_z: NDArray[np.float64]
    potentials: Potentials
    weights: SpanWeights

    @property
    def occupancy(self) -> NDArray[np.floating]:
        """Probability of each state in the interval that starts at each node, shape (n_nodes, n_states)."""
        return self.potentials.inside


@dataclass(frozen=True, eq=False, kw_only=True)
class SpanPaths:
    """The best labelling of each sequence, as parallel arrays over its spans; chained spans are one.

    Attributes
    ----------
    start, stop : ndarray of int64, shape (n_spans,)
        Nodes of the stacked sequences at which a span starts and stops. A span stops where the next one starts.
    state : ndarray of int64, shape (n_spans,)
        Index into the grammar's states.
    sequence : ndarray of int64, shape (n_spans,)
        Index of the sequence.
    score : ndarray of float64, shape (n_sequences,)
        Score of each labelling; −inf where there is none.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    state: NDArray[np.int64]
    sequence: NDArray[np.int64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self.start)


def span_expectations(
    potentials: Potentials,
    times: ArrayLike,
    lengths: ArrayLike,
    weights: SpanWeights,
    grammar: Grammar,
    allowed: ArrayLike | None = None,
    *,
    n_jobs: int = 1,
) -> SpanExpectations:
    """Sum over all span labellings by forward-backward.

    Parameters
    ----------
    potentials : Potentials
        Log potentials of the stacked nodes.
    times : array_like of float, shape (n_nodes,)
        Seconds, increasing within a sequence; its first and last node are the ends of a stretch.
    lengths : array_like of int, shape (n_sequences,)
        Nodes of each sequence, at least 2.
    weights : SpanWeights
        Log potentials of transitions, continuations and durations.
    grammar : Grammar
        What a labelling may look like.
    allowed : array_like of uint8, shape (n_nodes,), optional
        Bit mask of the states that the interval starting at each node may lie in; all by default. The value at the
        last node of a sequence is ignored.
    n_jobs : int, default=1
        Threads. The result does not depend on it.

    Returns
    -------
    expectations : SpanExpectations
        Counts at nodes have the type of the potentials.

    Raises
    ------
    InvalidSignalError, InvalidParameterError
        If shapes do not match, times do not increase or a potential is not finite.

    Notes
    -----
    The score of a labelling sums over its spans (start i, stop j, state y): inside at i … j − 1, onset at i, offset
    at j, middle at the node nearest in time to the centre, the duration, and the transition from the state before.
    A span at an end of its sequence is cut: no onset or offset score there, and no duration score. A state that
    continues may outlast its longest duration as a chain of maximal spans and a rest, joined by `self_transition`
    instead of offset, transition and onset, without duration scores; every labelling is counted once. The recursions
    are those of [1]_, in float64 and the log domain, in O(n_nodes × n_states × nodes of the longest span).

    References
    ----------
    .. [1] Sarawagi, Cohen (2004). Semi-Markov conditional random fields for information extraction. NIPS 17.
    """
    from mhealth._kernels import _span as kernels

    parts, times, bounds, masks = _checked(potentials, times, lengths, grammar, allowed)
    structure = _structure_arrays(weights, grammar)
    n_sequences, n_states = len(bounds) - 1, grammar.n_states
    log_z = np.empty(n_sequences)
    counts = Potentials.zeros(len(times), n_states, parts.inside.dtype.type)
    # Counts of each sequence apart, so that their sum does not depend on which thread took which sequence.
    of_structure = [np.zeros((n_sequences, *part.shape)) for part in SpanWeights.zeros(grammar)]

    def run(first: int, last: int, longest: int) -> None:
        kernels.expectations(
            *parts, times, bounds, first, last, masks, *structure,
            np.empty((7, longest, n_states)), np.empty((4, 2 * longest + 2 * n_states + 2)),
            np.empty((2, longest + n_states), dtype=np.int64), log_z, *counts, *of_structure,
        )  # fmt: skip

    over_sequences(run, bounds, n_jobs)
    return SpanExpectations(
        log_z=log_z, potentials=counts, weights=SpanWeights(*(part.sum(axis=0) for part in of_structure))
    )


def span_viterbi(
    potentials: Potentials,
    times: ArrayLike,
    lengths: ArrayLike,
    weights: SpanWeights,
    grammar: Grammar,
    allowed: ArrayLike | None = None,
    *,
    n_jobs: int = 1,
) -> SpanPaths:
    """Find the span labelling of the highest score (MAP decoding).

    Parameters
    ----------
    potentials, times, lengths, weights, grammar, allowed, n_jobs
        As in `span_expectations`.

    Returns
    -------
    paths : SpanPaths
        Spans of all sequences in order; none of a sequence without any allowed labelling.

    Raises
    ------
    InvalidSignalError, InvalidParameterError
        As in `span_expectations`.
    """
    from mhealth._kernels import _span as kernels

    parts, times, bounds, masks = _checked(potentials, times, lengths, grammar, allowed)
    *structure, duration = _structure_arrays(weights, grammar)
    n_sequences, n_states = len(bounds) - 1, grammar.n_states
    score, n_spans = np.empty(n_sequences), np.zeros(n_sequences, dtype=np.int64)
    start, stop, state = np.empty((3, len(times)), dtype=np.int64)

    def run(first: int, last: int, longest: int) -> None:
        kernels.best_paths(
            *parts, times, bounds, first, last, masks, *structure, kernels.with_untimed(duration),
            np.empty((4, longest, n_states)), np.empty((3, longest, n_states), dtype=np.int64), np.empty(longest),
            np.empty(longest, dtype=np.int64), np.empty((longest, n_states), dtype=np.int16),
            *np.empty((2, n_states), dtype=np.int64), score, start, stop, state, n_spans,
        )  # fmt: skip

    over_sequences(run, bounds, n_jobs)
    sequence = np.repeat(np.arange(n_sequences), n_spans)
    taken = bounds[sequence] + np.arange(len(sequence)) - np.repeat(np.cumsum(n_spans) - n_spans, n_spans)
    return SpanPaths(
        start=start[taken] + bounds[sequence],
        stop=stop[taken] + bounds[sequence],
        state=state[taken],
        sequence=sequence,
        score=score,
    )


def _checked(
    potentials: Potentials, times: ArrayLike, lengths: ArrayLike, grammar: Grammar, allowed: ArrayLike | None
) -> tuple[Potentials, NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]:
    """Return potentials, times, bounds of the sequences and masks, fit for the kernels."""
    n_nodes = len(np.asarray(times))
    bounds = sequence_bounds(n_nodes, lengths, shortest=2)
    return (
        check_potentials(potentials, n_nodes, grammar.n_states),
        check_stacked_times(times, bounds),
        bounds,
        check_allowed(allowed, n_nodes),
    )


def _structure_arrays(weights: SpanWeights, grammar: Grammar) -> tuple[NDArray, ...]:
    """Return what the kernels ask for: longest, continues, transition, self_transition, duration."""
    return (np.array(grammar.longest, dtype=np.float64), grammar.may_continue, *weights.checked(grammar))
