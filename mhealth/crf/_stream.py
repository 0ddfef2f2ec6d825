"""Decode spans while the nodes arrive, with a fixed lag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.crf._grammar import Grammar
from mhealth.crf._sequences import Potentials, SpanWeights, check_node_times, check_potentials
from mhealth.errors import InvalidParameterError, StreamError

__all__ = ["CommittedSpans", "SpanDecodeStream", "SpanDecoder"]

_BLOCK = 256  # nodes taken at a time; bounds the window's memory, changes no result
_ROOM = 32  # nodes for which room is made at least, so that single nodes need not make it each time
_SPANS = 8  # tables grow by so many spans that stop at a node


@dataclass(frozen=True, eq=False, kw_only=True)
class CommittedSpans:
    """Spans that can no longer change, in order, as parallel arrays.

    Attributes
    ----------
    start, stop : ndarray of int64, shape (n_spans,)
        Nodes, counted from the opening of the stream, ends of stretches included.
    start_time, stop_time : ndarray of float64, shape (n_spans,)
        Their times in seconds.
    state : ndarray of int64, shape (n_spans,)
        Index into the grammar's states.
    continued : ndarray of bool, shape (n_spans,)
        Whether the span continues the one before it, of the same state: a state that lasts longer than its longest
        duration is handed over in pieces, so that the stream's memory is bounded.
    occupancy : ndarray of float64, shape (n_intervals,)
        Probability of the span's state in each interval between neighbouring nodes that it covers, given all nodes
        up to the moment at which it was handed over; those of span k are
        ``occupancy[first_interval[k] : first_interval[k + 1]]``.
    first_interval : ndarray of int64, shape (n_spans + 1,)
        Where the intervals of each span start.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    start_time: NDArray[np.float64]
    stop_time: NDArray[np.float64]
    state: NDArray[np.int64]
    continued: NDArray[np.bool_]
    occupancy: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self.start)

    @property
    def first_interval(self) -> NDArray[np.int64]:
        """Where the intervals of each span start in `occupancy`, shape (n_spans + 1,)."""
        return np.concatenate([[0], np.cumsum(self.stop - self.start)]).astype(np.int64)

    @classmethod
    def concat(cls, parts: list[CommittedSpans]) -> CommittedSpans:
        """Join what a stream has handed over, in order; `parts` must not be empty."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})

    def merged(self) -> CommittedSpans:
        """Return the spans with those that were handed over in pieces put together."""
        first = np.flatnonzero(~self.continued)
        last = np.append(first[1:], len(self)) - 1 if len(first) else first
        return CommittedSpans(
            start=self.start[first],
            stop=self.stop[last],
            start_time=self.start_time[first],
            stop_time=self.stop_time[last],
            state=self.state[first],
            continued=np.zeros(len(first), dtype=bool),
            occupancy=self.occupancy,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class SpanDecoder:
    """Fixed-lag MAP decoding of spans.

    Parameters
    ----------
    grammar : Grammar
        Every state must continue, or be followed by one that does: otherwise a gap between nodes could leave a stream
        without any labelling after it has committed itself.
    weights : SpanWeights
        Log potentials of transitions, continuations and durations.
    lag : float, default=1.5
        Seconds behind the newest node after which the best path is committed; about two heartbeats at rest, as far as
        a later node can still change what a wave was taken for.

    Raises
    ------
    InvalidParameterError
        If the lag is negative or not finite, or weights or grammar do not fit.

    Notes
    -----
    At every node, spans are committed that all hypotheses share which may cover the newest interval. Of the best path,
    as if the stretch ended here, those spans are committed that ended `lag` ago; from then on only labellings that
    agree with what was committed take part. A span that the grammar reports is handed over once it has ended `lag` ago,
    with all that is committed by then; others go with it, or at most the longest duration of all states later. Nothing
    depends on how nodes are grouped. Probabilities are those of all labellings, not only of those that agree with what
    was committed.

    Memory: the nodes of the last lag and twice the longest duration, about 1 kB each, and room for those of the last
    chunk, up to 256; a pickled stream holds the former only.
    """

    grammar: Grammar
    weights: SpanWeights
    lag: float = 1.5

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not (math.isfinite(self.lag) and self.lag >= 0):
            raise InvalidParameterError(f"lag={self.lag!r} must be a finite number of seconds, 0 or more.")
        safe = self.grammar.may_continue | self.grammar.allowed[:, self.grammar.may_continue].any(axis=1)
        if not safe.all():
            stuck = [state for state, ok in zip(self.grammar.states, safe, strict=True) if not ok]
            raise InvalidParameterError(f"states {stuck} neither continue nor lead to a state that does.")
        self.weights.checked(self.grammar)

    def open(self) -> SpanDecodeStream:
        """Return a stream at its first node."""
        return SpanDecodeStream(self)


class SpanDecodeStream:
    """What the nodes so far have shown; made by `SpanDecoder.open`.

    Attributes
    ----------
    position : int
        Number of nodes taken so far, ends of stretches included.
    """

    def __init__(self, decoder: SpanDecoder) -> None:
        self.position = 0
        grammar = decoder.grammar
        self._lag = float(decoder.lag)
        self._reported = np.isin(grammar.states, [state for state, _ in grammar.reported])
        weights = decoder.weights.checked(grammar)
        longest = np.array(grammar.longest, dtype=np.float64)
        from mhealth._kernels._span import with_untimed

        timed = weights._replace(duration=with_untimed(weights.duration))
        self._structure = (longest, grammar.may_continue, *timed)
        self._odds = (longest, grammar.may_continue, *(np.exp(part) for part in timed))
        self._window = _Window(grammar.n_states, grammar.n_bins)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state in tables that are no longer than it needs."""
        self._window.fit(1, self._cap)
        return self.__dict__

    @property
    def _cap(self) -> float:
        """The longest duration in seconds."""
        return float(self._structure[0].max())

    def push(self, times: ArrayLike, potentials: Potentials) -> CommittedSpans:
        """Take the next nodes of the stretch; the first of a stretch is its virtual start.

        Parameters
        ----------
        times : array_like of float, shape (n_nodes,)
            Seconds, increasing.
        potentials : Potentials
            Log potentials of these nodes, each of shape (n_nodes, n_states).

        Returns
        -------
        spans : CommittedSpans
            Those that can be handed over now.

        Raises
        ------
        StreamError
            If the times do not continue the stretch.
        InvalidSignalError
            If shapes do not match, times do not increase or a potential is not finite.
        """
        times, parts = self._checked(times, potentials)
        found = []
        for start in range(0, max(1, len(times)), _BLOCK):  # once for no nodes at all, too
            block = slice(start, start + _BLOCK)
            found.append(self._advance(times[block], Potentials(*(part[block] for part in parts)), last=False))
        return CommittedSpans.concat(found)

    def close_stretch(self, time: float) -> CommittedSpans:
        """End the stretch at `time` seconds, its virtual end; the next node starts another one.

        Returns
        -------
        spans : CommittedSpans
            All that have not been handed over yet.

        Raises
        ------
        StreamError
            If no node of the stretch has come yet, or `time` does not lie after the last one.
        """
        if self._window.n_rows == 0:
            raise StreamError(f"close_stretch({time!r}): the stretch has no node yet; push its start first.")
        times, parts = self._checked([time], Potentials.zeros(1, self._window.n_states))
        spans = self._advance(times, parts, last=True)
        self._window = _Window(self._window.n_states, self._window.n_bins)
        return spans

    def _checked(self, times: ArrayLike, potentials: Potentials) -> tuple[NDArray[np.float64], Potentials]:
        """Return times and potentials as arrays that continue the stretch."""
        times = check_node_times(times)
        parts = check_potentials(potentials, len(times), self._window.n_states)
        if len(times) and self._window.n_rows and times[0] <= self._window.newest_time:
            raise StreamError(
                f"times[0]={times[0]} s does not lie after the last node at {self._window.newest_time} s. "
                "Close the stretch before time starts anew."
            )
        return times, parts

    def _advance(self, times: NDArray[np.float64], potentials: Potentials, *, last: bool) -> CommittedSpans:
        """Take at most one block of nodes."""
        from mhealth._kernels import _span_stream as kernels

        window = self._window
        first_node = self.position + len(times) - window.append(times, potentials, self._cap)
        self.position += len(times)
        capacity = len(window.times)
        out, occupancy = np.empty((capacity, 4), dtype=np.int64), np.empty(capacity)
        window.marks[kernels.N_OUT] = window.marks[kernels.N_INTERVALS] = 0
        tables = tuple(window.floats)
        kernels.advance(
            window.n_rows, last, self._lag, self._reported, window.marks, self._structure, self._odds, window.times,
            tables[0], tables[1:4], tables[4:7], window.spans, tables[7:10], tables[10:14], tuple(window.arcs),
            tables[14:], window.kept, window.waiting, *window.paths, *window.scratch, out, occupancy,
        )  # fmt: skip
        start, stop, state, continued = out[: window.marks[kernels.N_OUT]].T.copy()
        return CommittedSpans(
            start=start + first_node,
            stop=stop + first_node,
            start_time=window.times[start],
            stop_time=window.times[stop],
            state=state,
            continued=continued.astype(bool),
            occupancy=occupancy[: window.marks[kernels.N_INTERVALS]].copy(),
        )


class _Window:
    """The rows of the lattice that a stretch still needs, and room for the next nodes."""

    def __init__(self, n_states: int, n_bins: int) -> None:
        self.n_states, self.n_bins = n_states, n_bins
        self.n_rows = 0
        self.marks = np.array([0, 0, 0, -1, 0, 0, 0], dtype=np.int64)
        self._allocate(_ROOM, _SPANS)

    def _allocate(self, capacity: int, n_spans: int) -> None:
        """Make zeroed tables of `capacity` rows, at each of which up to `n_spans` spans stop."""
        n = self.n_states
        self.times = np.zeros(capacity)
        # Potentials (4) and factors (3) of the nodes, sums (3), best paths (4), sums ahead (2); rows of best arcs.
        self.floats, self.arcs = np.zeros((16, capacity, n)), np.zeros((3, capacity, n), dtype=np.int32)
        self.spans = (
            np.zeros((capacity, n_spans), dtype=np.int32),
            np.zeros((capacity, n_spans, n), dtype=np.min_scalar_type(self.n_bins)),
            np.zeros((capacity, n), dtype=np.int32),
        )
        self.kept = np.zeros((capacity, 2 * n), dtype=np.bool_)
        self.waiting = np.zeros((capacity, 4), dtype=np.int64)
        self.paths = np.zeros((2, capacity, 2), dtype=np.int64)
        self.scratch = np.zeros(n), np.zeros(n, dtype=np.bool_), np.zeros(n_spans)

    @property
    def newest_time(self) -> float:
        """Time of the newest node in seconds; the window must not be empty."""
        return float(self.times[self.n_rows - 1])

    def append(self, times: NDArray[np.float64], potentials: Potentials, cap: float) -> int:
        """Add nodes, dropping or making rows where there is no room; return the number of rows."""
        if self.n_rows + len(times) > len(self.times):
            self.fit(max(len(times), _ROOM), cap)
        first, self.n_rows = self.n_rows, self.n_rows + len(times)
        rows = slice(first, self.n_rows)
        self.times[rows] = times
        self.floats[:4, rows] = potentials
        # One more than spans of at most `cap`, lest rounding decides.
        known = self.times[: self.n_rows]
        n_spans = np.arange(first, self.n_rows) - np.searchsorted(known, known[rows] - cap) + 1
        if n_spans.max(initial=0) > self.spans[0].shape[1]:
            self._resize(0, len(self.times), int(n_spans.max()))
        return self.n_rows

    def fit(self, room: int, cap: float) -> None:
        """Keep only the rows from one longest span before the first span not handed over, and room for further ones."""
        from mhealth._kernels._span_stream import FILLED, FIRST, N_WAITING, ROOT_ROW

        oldest = int(self.waiting[0, 0] if self.marks[N_WAITING] else self.marks[ROOT_ROW])
        # One row more than spans of at most `cap` can reach, lest rounding decides.
        drop = max(0, int(np.searchsorted(self.times[:oldest], self.times[oldest] - cap)) - 1)
        self._resize(drop, self.n_rows - drop + room, int(self.spans[2][drop : self.n_rows].max(initial=0)))
        # Tables that hold rows count them from the first one kept.
        rows = self.arcs[1:, : self.n_rows]
        np.maximum(rows - 2 * drop, -1, out=rows)
        self.waiting[: self.marks[N_WAITING], :2] -= drop
        self.marks[[ROOT_ROW, FILLED]] -= drop
        if drop:
            self.marks[FIRST] = -1

    def _resize(self, drop: int, capacity: int, n_spans: int) -> None:
        """Move all rows but the first `drop` to tables of another size, `n_spans` rounded up."""
        kept, n_waiting = slice(drop, self.n_rows), min(len(self.waiting), capacity)
        n_spans = -(-n_spans // _SPANS) * _SPANS
        self.n_rows -= drop
        old = self.times, self.waiting, self.floats, self.arcs, *self.spans
        if (capacity, n_spans) != self.spans[0].shape:
            self._allocate(capacity, n_spans)
        times, waiting, floats, rows, back, bins, counts = old
        self.times[: self.n_rows] = times[kept]
        self.waiting[:n_waiting] = waiting[:n_waiting]
        self.floats[:, : self.n_rows] = floats[:, kept]
        self.arcs[:, : self.n_rows] = rows[:, kept]
        width = min(n_spans, back.shape[1])
        self.spans[0][: self.n_rows, :width] = back[kept, :width]
        self.spans[1][: self.n_rows, :width] = bins[kept, :width]
        self.spans[2][: self.n_rows] = counts[kept]
