"""Three structures over the same unary scores: intervals on their own, in a chain, and in spans.

Each maps unary scores to log-likelihoods and exact gradients, so that anything differentiable may produce the scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from mhealth.crf._grammar import Grammar
from mhealth.crf._sequences import (
    Potentials,
    SpanWeights,
    check_allowed,
    check_unary,
    over_sequences,
    sequence_bounds,
)
from mhealth.crf._span import SpanPaths, span_expectations, span_viterbi
from mhealth.errors import AnnotationError, InvalidParameterError

__all__ = ["ChainStructure", "IndependentStructure", "LikelihoodGradient", "SpanStructure", "Structure", "label_runs"]


class LikelihoodGradient(NamedTuple):
    """Log-likelihoods of what is known about sequences, and their gradient.

    Attributes
    ----------
    value : ndarray of float64, shape (n_sequences,)
        Log probability of the labellings that agree with what is known.
    unary : ndarray, shape (n_nodes, n_columns)
        Gradient of the sum with respect to the unary scores.
    weights : ndarray of float64, shape (n_weights,)
        Gradient of the sum with respect to the structure's weights.
    """

    value: NDArray[np.float64]
    unary: NDArray[np.floating]
    weights: NDArray[np.float64]


class Structure(Protocol):
    """What training and decoding ask of a structure.

    Stacked sequences are described by `times` (seconds, shape (n_nodes,)) and `lengths` (nodes of each sequence); the
    first and last node of a sequence are the ends of a stretch. Row t of the unary scores has the scores of node t,
    grouped by `kinds`, and in each group a column for each state; ``inside`` scores the interval from node t to the
    next one, so the row of the last node of a sequence counts nothing.
    """

    @property
    def grammar(self) -> Grammar:
        """States and their order."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the groups of columns score."""
        ...

    @property
    def n_weights(self) -> int:
        """Number of structure weights."""
        ...

    def log_likelihood_and_gradient(
        self,
        unary: NDArray[np.floating],
        weights: NDArray[np.float64],
        times: ArrayLike,
        lengths: ArrayLike,
        allowed: ArrayLike,
        *,
        n_jobs: int = 1,
    ) -> LikelihoodGradient:
        """Return log Z(labellings that agree with `allowed`) − log Z(all), and its gradient.

        Parameters
        ----------
        unary : ndarray of shape (n_nodes, n_columns)
            Scores of the nodes.
        weights : ndarray of float64, shape (n_weights,)
            Scores of the structure.
        times, lengths : array_like
            The sequences.
        allowed : array_like of uint8, shape (n_nodes,)
            Bit mask of the states that the interval starting at each node may lie in.
        n_jobs : int, default=1
            Threads; the result does not depend on it.

        Raises
        ------
        AnnotationError
            If no labelling of a sequence agrees with `allowed`.
        """
        ...

    def map_spans(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> SpanPaths:
        """Return the best labelling of each sequence (MAP decoding)."""
        ...

    def occupancy(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> NDArray[np.floating]:
        """Return the probability of each state in each interval, shape (n_nodes, n_states)."""
        ...


@dataclass(frozen=True, kw_only=True)
class IndependentStructure:
    """Every interval on its own: multinomial logistic regression. It has no weights and ignores times and order.

    Parameters
    ----------
    grammar : Grammar
        Of which only the states count.
    """

    grammar: Grammar
    kinds: tuple[str, ...] = field(default=("inside",), init=False)

    @property
    def n_weights(self) -> int:
        """Number of structure weights."""
        return 0

    def log_likelihood_and_gradient(
        self,
        unary: NDArray[np.floating],
        weights: NDArray[np.float64],
        times: ArrayLike,
        lengths: ArrayLike,
        allowed: ArrayLike,
        *,
        n_jobs: int = 1,
    ) -> LikelihoodGradient:
        """See `Structure`."""
        unary = check_unary(unary, self.grammar.n_states)
        bounds = sequence_bounds(len(unary), lengths, shortest=2)
        masks = check_allowed(allowed, len(unary)).copy()
        masks[bounds[1:] - 1] = 255
        free = _log_softmax(unary)
        known = np.where((masks[:, None] >> np.arange(self.grammar.n_states)) & 1, free, -np.inf)
        # One state that agrees has log probability `free`, several add up.
        with np.errstate(divide="ignore"):
            log_known = logsumexp(known, axis=1)
        log_known[bounds[1:] - 1] = 0.0
        _check_feasible(np.add.reduceat(log_known, bounds[:-1]))
        gradient = np.exp(known - log_known[:, None]) - np.exp(free)
        gradient[bounds[1:] - 1] = 0.0
        return LikelihoodGradient(
            np.add.reduceat(log_known, bounds[:-1]), gradient.astype(unary.dtype, copy=False), np.zeros(0)
        )

    def map_spans(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> SpanPaths:
        """See `Structure`; neighbouring intervals of one state are one span."""
        unary = check_unary(unary, self.grammar.n_states)
        bounds = sequence_bounds(len(unary), lengths, shortest=2)
        best = unary.max(axis=1).astype(np.float64)
        best[bounds[1:] - 1] = 0.0
        return label_runs(unary.argmax(axis=1), lengths, score=np.add.reduceat(best, bounds[:-1]))

    def occupancy(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> NDArray[np.floating]:
        """See `Structure`."""
        unary = check_unary(unary, self.grammar.n_states)
        probability = np.exp(_log_softmax(unary)).astype(unary.dtype, copy=False)
        probability[sequence_bounds(len(unary), lengths, shortest=2)[1:] - 1] = 0.0
        return probability


@dataclass(frozen=True, kw_only=True)
class ChainStructure:
    """A linear chain: intervals and the transitions between neighbours. It ignores times.

    Parameters
    ----------
    grammar : Grammar
        States and their order.
    restricted : bool, default=True
        Whether only the grammar's transitions, and staying in a state, are possible.

    Notes
    -----
    The weights are those of the possible transitions, in the order of the rows of [before, after].
    """

    grammar: Grammar
    restricted: bool = True
    kinds: tuple[str, ...] = field(default=("inside",), init=False)

    @property
    def possible(self) -> NDArray[np.bool_]:
        """Which transitions have a weight, shape (n_states, n_states)."""
        n = self.grammar.n_states
        return self.grammar.allowed | np.eye(n, dtype=bool) if self.restricted else np.ones((n, n), dtype=bool)

    @property
    def n_weights(self) -> int:
        """Number of structure weights."""
        return int(self.possible.sum())

    def transition(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights as a table [before, after], −inf where impossible."""
        table = np.full(self.possible.shape, -np.inf)
        table[self.possible] = check_weights(weights, self.n_weights)
        return table

    def log_likelihood_and_gradient(
        self,
        unary: NDArray[np.floating],
        weights: NDArray[np.float64],
        times: ArrayLike,
        lengths: ArrayLike,
        allowed: ArrayLike,
        *,
        n_jobs: int = 1,
    ) -> LikelihoodGradient:
        """See `Structure`."""
        known_z, known, known_moves = self._expectations(unary, weights, lengths, allowed, n_jobs)
        _check_feasible(known_z)
        log_z, counts, moves = self._expectations(unary, weights, lengths, None, n_jobs)
        return LikelihoodGradient(known_z - log_z, known - counts, (known_moves - moves)[self.possible])

    def map_spans(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> SpanPaths:
        """See `Structure`; neighbouring intervals of one state are one span."""
        from mhealth._kernels import _chain as kernels

        unary = check_unary(unary, self.grammar.n_states)
        bounds = sequence_bounds(len(unary), lengths, shortest=2)
        score, state = np.empty(len(bounds) - 1), np.zeros(len(unary), dtype=np.int64)
        rows = (int(np.diff(bounds).max(initial=0)), self.grammar.n_states)
        kernels.best_states(
            unary, bounds, 0, len(bounds) - 1, check_allowed(None, len(unary)), self.transition(weights),
            np.empty(rows), np.empty(rows, dtype=np.int64), score, state,
        )  # fmt: skip
        return label_runs(state, lengths, score=score)

    def occupancy(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> NDArray[np.floating]:
        """See `Structure`."""
        return self._expectations(unary, weights, lengths, None, 1)[1]

    def _expectations(
        self,
        unary: NDArray[np.floating],
        weights: NDArray[np.float64],
        lengths: ArrayLike,
        allowed: ArrayLike | None,
        n_jobs: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.floating], NDArray[np.float64]]:
        """Return log Z of each sequence and the expected counts of states and of transitions."""
        from mhealth._kernels import _chain as kernels

        unary = check_unary(unary, self.grammar.n_states)
        bounds = sequence_bounds(len(unary), lengths, shortest=2)
        masks, transition = check_allowed(allowed, len(unary)), self.transition(weights)
        n, n_sequences = self.grammar.n_states, len(bounds) - 1
        log_z, counts, moves = np.empty(n_sequences), np.zeros_like(unary), np.zeros((n_sequences, n, n))

        def run(first: int, last: int, longest: int) -> None:
            kernels.expectations(
                unary, bounds, first, last, masks, transition, np.empty((longest, n)), np.empty((longest, n)),
                np.empty(n), log_z, counts, moves,
            )  # fmt: skip

        over_sequences(run, bounds, n_jobs)
        return log_z, counts, moves.sum(axis=0)


@dataclass(frozen=True, kw_only=True)
class SpanStructure:
    """Spans with durations, edges and middles; see `span_expectations` for the score.

    Parameters
    ----------
    grammar : Grammar
        States, their order and durations.

    Notes
    -----
    The weights are, one after the other: transitions that the grammar allows, in the order of the rows of
    [before, after]; continuations of the states that continue; duration bins of the first state, the second, ….
    """

    grammar: Grammar
    kinds: tuple[str, ...] = field(default=Potentials._fields, init=False)

    @property
    def n_weights(self) -> int:
        """Number of structure weights."""
        return sum(int(used.sum()) for used in self._used)

    @property
    def _used(self) -> tuple[NDArray[np.bool_], ...]:
        """Which entries of the weights are free, as tables of bool."""
        n, n_bins = self.grammar.n_states, self.grammar.n_bins
        return self.grammar.allowed, self.grammar.may_continue, np.ones((n, n_bins), dtype=bool)

    def span_weights(self, weights: NDArray[np.float64]) -> SpanWeights:
        """Return a vector of weights as tables, zero where the grammar leaves an entry without meaning."""
        vector = check_weights(weights, self.n_weights)
        tables = SpanWeights.zeros(self.grammar)
        position = 0
        for table, used in zip(tables, self._used, strict=True):
            count = int(used.sum())
            table[used] = vector[position : position + count]
            position += count
        return tables

    def vector(self, weights: SpanWeights) -> NDArray[np.float64]:
        """Return tables of weights, or of their gradient, as a vector."""
        return np.concatenate([table[used] for table, used in zip(weights, self._used, strict=True)])

    def potentials(self, unary: NDArray[np.floating]) -> Potentials:
        """Split unary scores by kind."""
        unary = check_unary(unary, len(self.kinds) * self.grammar.n_states)
        return Potentials(*np.split(unary, len(self.kinds), axis=1))

    def log_likelihood_and_gradient(
        self,
        unary: NDArray[np.floating],
        weights: NDArray[np.float64],
        times: ArrayLike,
        lengths: ArrayLike,
        allowed: ArrayLike,
        *,
        n_jobs: int = 1,
    ) -> LikelihoodGradient:
        """See `Structure`."""
        potentials, tables = self.potentials(unary), self.span_weights(weights)
        known = span_expectations(potentials, times, lengths, tables, self.grammar, allowed, n_jobs=n_jobs)
        _check_feasible(known.log_z)
        free = span_expectations(potentials, times, lengths, tables, self.grammar, n_jobs=n_jobs)
        return LikelihoodGradient(
            known.log_z - free.log_z,
            np.hstack(known.potentials) - np.hstack(free.potentials),
            self.vector(known.weights) - self.vector(free.weights),
        )

    def map_spans(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> SpanPaths:
        """See `Structure`."""
        return span_viterbi(self.potentials(unary), times, lengths, self.span_weights(weights), self.grammar)

    def occupancy(
        self, unary: NDArray[np.floating], weights: NDArray[np.float64], times: ArrayLike, lengths: ArrayLike
    ) -> NDArray[np.floating]:
        """See `Structure`."""
        tables = self.span_weights(weights)
        return span_expectations(self.potentials(unary), times, lengths, tables, self.grammar).occupancy


def label_runs(labels: ArrayLike, lengths: ArrayLike, *, score: ArrayLike | None = None) -> SpanPaths:
    """Turn a state for each interval into spans: runs of one state.

    Parameters
    ----------
    labels : array_like of int, shape (n_nodes,)
        State of the interval that starts at each node; the last node of a sequence is ignored, and so are intervals
        of a negative label.
    lengths : array_like of int, shape (n_sequences,)
        Nodes of each sequence.
    score : array_like of float, shape (n_sequences,), optional
        Score of each labelling, NaN by default.
    """
    labels = np.asarray(labels, dtype=np.int64)
    bounds = sequence_bounds(len(labels), lengths, shortest=2)
    sequence = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    ends = np.zeros(len(labels), dtype=bool)
    ends[bounds[1:] - 1] = True
    # A run starts where the label changes or a sequence starts, and stops at the next change or end.
    changed = np.ones(len(labels), dtype=bool)
    changed[1:] = (labels[1:] != labels[:-1]) | ends[:-1]
    changed[ends] = True
    edges = np.flatnonzero(changed)
    starts = edges[:-1]
    taken = ~ends[starts] & (labels[starts] >= 0)
    return SpanPaths(
        start=starts[taken],
        stop=edges[1:][taken],
        state=labels[starts][taken],
        sequence=sequence[starts][taken],
        score=np.full(len(bounds) - 1, np.nan) if score is None else np.asarray(score, dtype=np.float64),
    )


def check_weights(weights: ArrayLike, n_weights: int) -> NDArray[np.float64]:
    """Return a vector of weights of the expected length.

    Raises
    ------
    InvalidParameterError
        If the length differs.
    """
    vector = np.asarray(weights, dtype=np.float64)
    if vector.shape != (n_weights,):
        raise InvalidParameterError(f"weights has shape {vector.shape}; expected ({n_weights},) for this structure.")
    return vector


def _log_softmax(unary: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log probabilities of the columns of each row."""
    scores = unary.astype(np.float64)
    return scores - logsumexp(scores, axis=1, keepdims=True)


def _check_feasible(log_z: NDArray[np.float64]) -> None:
    """Complain of sequences whose marks contradict the grammar."""
    if (log_z == -np.inf).any():
        bad = np.flatnonzero(log_z == -np.inf)
        raise AnnotationError(
            f"no labelling of sequence {bad[0]} ({len(bad)} in all) agrees with what is allowed. Its marks ask for "
            "transitions or durations that the grammar does not have; allow more states around them."
        )
