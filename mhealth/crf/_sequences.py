"""What inference works on: scores at nodes, scores of durations and transitions, stacked sequences."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.crf._grammar import Grammar
from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = [
    "Potentials",
    "SpanWeights",
    "check_allowed",
    "check_node_times",
    "check_potentials",
    "check_stacked_times",
    "check_unary",
    "over_sequences",
    "sequence_bounds",
]


class Potentials(NamedTuple):
    """Log potentials at every node, each float32 or float64 of shape (n_nodes, n_states).

    Attributes
    ----------
    inside : ndarray
        Of the interval from the node to the next one lying in a state.
    onset, offset : ndarray
        Of a span of a state starting, or stopping, at the node.
    middle : ndarray
        Of the node being the one nearest to the middle of a span of a state.
    """

    inside: NDArray[np.floating]
    onset: NDArray[np.floating]
    offset: NDArray[np.floating]
    middle: NDArray[np.floating]

    @classmethod
    def zeros(cls, n_nodes: int, n_states: int, dtype: type[np.floating] = np.float64) -> Potentials:
        """Return potentials that prefer nothing."""
        return cls(*(np.zeros((n_nodes, n_states), dtype=dtype) for _ in range(4)))


class SpanWeights(NamedTuple):
    """Log potentials of the structure.

    Attributes
    ----------
    transition : ndarray of float64, shape (n_states, n_states)
        From state [before, after]; entries that the grammar forbids are ignored.
    self_transition : ndarray of float64, shape (n_states,)
        Of a span going on beyond the longest duration of its state; used for states that continue.
    duration : ndarray of float64, shape (n_states, n_bins)
        Of a span's duration, in bins of ``longest / n_bins`` seconds.
    """

    transition: NDArray[np.float64]
    self_transition: NDArray[np.float64]
    duration: NDArray[np.float64]

    @classmethod
    def zeros(cls, grammar: Grammar) -> SpanWeights:
        """Return weights that prefer nothing."""
        n = grammar.n_states
        return cls(np.zeros((n, n)), np.zeros(n), np.zeros((n, grammar.n_bins)))

    def checked(self, grammar: Grammar) -> SpanWeights:
        """Return float64 weights of the grammar's shapes, −inf where it forbids a transition.

        Raises
        ------
        InvalidParameterError
            If a shape differs or a weight is not finite.
        """
        parts = [np.array(part, dtype=np.float64) for part in self]
        for name, part, expected in zip(self._fields, parts, SpanWeights.zeros(grammar), strict=True):
            if part.shape != expected.shape:
                raise InvalidParameterError(
                    f"weights.{name} has shape {part.shape}; expected {expected.shape} for {grammar.n_states} states."
                )
            if not np.isfinite(part).all():
                raise InvalidParameterError(f"weights.{name} is not finite; forbid transitions in the grammar instead.")
        parts[0][~grammar.allowed] = -np.inf
        return SpanWeights(*parts)


def sequence_bounds(n_nodes: int, lengths: ArrayLike, *, shortest: int) -> NDArray[np.int64]:
    """Return where each stacked sequence starts, and where the last one stops.

    Parameters
    ----------
    n_nodes : int
        Number of nodes of all sequences together.
    lengths : array_like of int, shape (n_sequences,)
        Nodes of each sequence.
    shortest : int
        Least number of nodes of a sequence.

    Raises
    ------
    InvalidSignalError
        If the lengths do not add up, or a sequence is too short.
    """
    lengths = np.asarray(lengths, dtype=np.int64).reshape(-1)
    if lengths.sum() != n_nodes:
        raise InvalidSignalError(f"lengths add up to {lengths.sum()}, but there are {n_nodes} nodes.")
    if len(lengths) and lengths.min() < shortest:
        raise InvalidSignalError(
            f"lengths holds {lengths.min()} at {int(lengths.argmin())}; a sequence needs at least {shortest} nodes."
        )
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def check_node_times(times: ArrayLike) -> NDArray[np.float64]:
    """Return increasing, finite times as float64.

    Raises
    ------
    InvalidSignalError
        If they are not 1-D, not finite or do not increase.
    """
    times = np.ascontiguousarray(times, dtype=np.float64)
    if times.ndim != 1 or not np.isfinite(times).all():
        raise InvalidSignalError(f"times of shape {times.shape} must be finite seconds of shape (n_nodes,).")
    if (np.diff(times) <= 0).any():
        node = int(np.argmax(np.diff(times) <= 0))
        raise InvalidSignalError(
            f"times go from {times[node]} to {times[node + 1]} s at node {node}; they must increase."
        )
    return times


def check_potentials(potentials: Potentials, n_nodes: int, n_states: int) -> Potentials:
    """Return contiguous potentials of one type, float64 if any of them is.

    Raises
    ------
    InvalidSignalError
        If a shape differs or a potential is not finite.
    """
    double = any(np.asarray(part).dtype == np.float64 for part in potentials)
    parts = Potentials(*(_floats(part, double=double) for part in potentials))
    for name, part in zip(Potentials._fields, parts, strict=True):
        if part.shape != (n_nodes, n_states):
            raise InvalidSignalError(
                f"potentials.{name} has shape {part.shape}; expected {(n_nodes, n_states)}: "
                "a row for each of the times and a column for each state."
            )
        if not np.isfinite(part).all():
            node = int(np.argmin(np.isfinite(part).all(axis=1)))
            raise InvalidSignalError(
                f"potentials.{name} holds {part[node].tolist()} at node {node}; expected finite numbers. "
                "Cut stretches of missing signal out before decoding."
            )
    return parts


def check_allowed(allowed: ArrayLike | None, n_nodes: int) -> NDArray[np.uint8]:
    """Return bit masks of the states that each interval may lie in; all of them if `allowed` is None.

    Raises
    ------
    InvalidSignalError
        If the shape differs.
    """
    if allowed is None:
        return np.full(n_nodes, 255, dtype=np.uint8)
    masks = np.ascontiguousarray(allowed, dtype=np.uint8)
    if masks.shape != (n_nodes,):
        raise InvalidSignalError(
            f"allowed has shape {masks.shape}; expected {(n_nodes,)}: for each node, the states of the interval "
            "that starts there (any value at the last node of a sequence)."
        )
    return masks


def check_stacked_times(times: ArrayLike, bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return times that increase within each of the stacked sequences, as float64.

    Raises
    ------
    InvalidSignalError
        If they do not.
    """
    times = np.ascontiguousarray(times, dtype=np.float64)
    steps = np.diff(times)
    steps[bounds[1:-1] - 1] = 1.0  # from one sequence to the next, time may do what it likes
    if not (steps > 0).all():
        node = int(np.argmin(steps > 0))
        raise InvalidSignalError(
            f"times go from {times[node]} to {times[node + 1]} s at node {node}; they must increase."
        )
    return times


def check_unary(unary: NDArray[np.floating], n_columns: int) -> NDArray[np.floating]:
    """Return finite unary scores as a contiguous array of float32, or float64 if they are.

    Raises
    ------
    InvalidSignalError
        If the number of columns differs or a score is not finite.
    """
    array = _floats(unary, double=np.asarray(unary).dtype == np.float64)
    if array.ndim != 2 or array.shape[1] != n_columns:
        raise InvalidSignalError(f"unary has shape {array.shape}; expected (n_nodes, {n_columns}) for this structure.")
    if not np.isfinite(array).all():
        node = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise InvalidSignalError(f"unary holds NaN or infinity at node {node}; expected finite scores.")
    return array


def _floats(array: ArrayLike, *, double: bool) -> NDArray[np.floating]:
    """Return a contiguous array of float64 or float32."""
    return np.ascontiguousarray(array, dtype=np.float64) if double else np.ascontiguousarray(array, dtype=np.float32)


def over_sequences(run: Callable[[int, int, int], None], bounds: NDArray[np.int64], n_jobs: int) -> None:
    """Call ``run(first, last, longest)`` on `n_jobs` ranges of sequences with about the same number of nodes."""
    cuts = np.searchsorted(bounds, np.linspace(0, bounds[-1], n_jobs + 1))
    cuts[0], cuts[-1] = 0, len(bounds) - 1
    longest = int(np.diff(bounds).max(initial=0))
    ranges = [(int(first), int(last), longest) for first, last in pairwise(cuts) if first < last]
    if len(ranges) < 2:
        for only in ranges:
            run(*only)
        return
    with ThreadPoolExecutor(len(ranges)) as pool:
        list(pool.map(lambda part: run(*part), ranges))
