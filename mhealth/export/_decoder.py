"""Fixed-lag decoding in whole numbers: `mhealth.crf.SpanDecoder`, and waves from spans, as ``mh_decoder.c`` has them.

A labeler's structure is always a span CRF; there is none with a linear chain to export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.crf import SpanWeights
from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_array, c_table
from mhealth.labeling import _breath_task

if TYPE_CHECKING:
    from mhealth.labeling._task import Task

__all__ = ["DecoderTable", "DecoderTwin", "Event", "Top"]

_UNIT = 2**8
"""Scores are in 1/256 nat."""

_NO_PEAK, _OF_CHORD, _AT_OFFSET = range(3)
_CUT_AT_START, _CUT_AT_END = 1, 2
_LONGEST_WAVE = 2**13
_NONE = 255
_MOST_REACH = 127
_EVERY = 4
"""Candidates of which one asks what is certain, where there are many a second, as in an ECG, for it takes as long as
all else. Of 2460 waves of LUDB 2 are others than if each asks, and they come two candidates later on average."""
_MOST_HYPOTHESES = 8  # of a candidate: a set of them is a byte


class Event(NamedTuple):
    """A wave, in samples from the start; ``peak`` is −1 where it has none."""

    label: int
    flags: int
    onset: int
    peak: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class Top:
    """A state of which long spans end in the middle of their top, as `Task.refined` has it for slow inspirations.

    Attributes
    ----------
    state : int
    shortest, reach, box : int
        Samples of a span from which on it is so, to either side of its end that are searched, that are averaged.
    part : int
        The top is the upper ``1 / part`` of the rise.
    """

    state: int
    shortest: int
    reach: int
    box: int
    part: int


@dataclass(frozen=True, kw_only=True)
class DecoderTable:
    """Structure of a labelling, in whole numbers.

    Attributes
    ----------
    transition, self_transition, duration : tuple of int
        As in `SpanWeights`, in 1/256 nat; `IMPOSSIBLE` where the grammar forbids a transition.
    longest : tuple of int
        Samples of a span of each state.
    continues : tuple of bool
        Whether a state may last longer.
    label : tuple of int
        Label of each state, −1 where it is not reported.
    cut : tuple of int
        Where the stretch may cut a state that is reported: 1 at its start, 2 at its end, 3 at both.
    peak : tuple of int
        Peak of each state: 0 none, 1 the sample farthest from the chord, 2 its offset.
    top : Top or None
    lag : int
        Samples behind the newest candidate after which the best path is committed, at the next one that asks.
    reach : int
        Candidates that a span may cover.
    rows : int
        Candidates that are kept.
    every : int
        Candidates of which one asks what is certain by now, a power of two.
    exact : bool
        Whether second best paths are looked for where a commitment rules out the best one.
    """

    transition: tuple[tuple[int, ...], ...]
    self_transition: tuple[int, ...]
    duration: tuple[tuple[int, ...], ...]
    longest: tuple[int, ...]
    continues: tuple[bool, ...]
    label: tuple[int, ...]
    cut: tuple[int, ...]
    peak: tuple[int, ...]
    top: Top | None
    lag: int
    reach: int
    rows: int
    every: int
    exact: bool

    @classmethod
    def of(cls, task: Task, weights: SpanWeights, *, lag: float, reach: int = 24, rows: int = 64) -> DecoderTable:
        """Return the table of a task at its internal rate.

        Parameters
        ----------
        task : Task
        weights : SpanWeights
        lag : float
            Seconds behind the newest candidate after which the best path is committed: that of `SpanDecoder`.
        reach : int, default=24
            Candidates that a span may cover, at most 127; where there are more, states that continue do so earlier, and
            others stay shorter. Most 0.6 s of an ECG hold 14, and one in a hundred more than 24; with 20, LUDB and
            MIT-BIH get the same waves.
        rows : int, default=64
            Candidates that are kept, at least ``reach + 2`` and at most 255: those of the lag and the longest duration.
            Where there are more, spans are committed before the lag has passed.

        Raises
        ------
        InvalidParameterError
            If a score, duration or size does not fit into the number that C keeps it in.
        """
        from mhealth._kernels._fixed_decoder import IMPOSSIBLE

        grammar, rate = task.grammar, task.front_end.rate
        checked = weights.checked(grammar)
        longest = [round(seconds * rate) for seconds in grammar.longest]
        if not all(1 <= samples < 2**15 for samples in longest):
            raise InvalidParameterError(
                f"longest={grammar.longest!r} is {longest} samples at {rate:g} Hz; 1 to {2**15 - 1} can be exported."
            )
        safe = grammar.may_continue | grammar.allowed[:, grammar.may_continue].any(axis=1)
        if not safe.all() or not grammar.reported:
            raise InvalidParameterError(
                "the grammar must report a state, and each of its states continue or lead to one that does."
            )
        if grammar.n_states + len(grammar.continues) > _MOST_HYPOTHESES:
            raise InvalidParameterError(
                f"the grammar's {grammar.n_states} states and {len(grammar.continues)} that continue must be "
                f"{_MOST_HYPOTHESES} together at most to be exported."
            )
        if not 1 <= reach <= _MOST_REACH or not reach + 2 <= rows <= _NONE:
            raise InvalidParameterError(
                f"reach={reach!r} must be from 1 to {_MOST_REACH}, and rows={rows!r} from reach + 2 to {_NONE}."
            )
        if (max(longest) + 1) * grammar.n_bins >= 2**16 * min(longest):
            raise InvalidParameterError(
                f"longest={grammar.longest!r} differ too much for n_bins={grammar.n_bins}: fewer bins can be exported."
            )
        if not 0 <= lag * rate < 2**31:
            raise InvalidParameterError(f"lag={lag!r} must be a number of seconds, 0 or more.")
        exact = lag < max(grammar.longest)
        transition = np.where(
            grammar.allowed, _scores("transition", np.where(grammar.allowed, checked[0], 0)), IMPOSSIBLE
        )
        follows_breath = task.refined is _breath_task.refined
        peak = [_NO_PEAK if follows_breath else _OF_CHORD] * grammar.n_states
        top = None
        if follows_breath:
            state = grammar.index(_breath_task.INSPIRATION)
            peak[state] = _AT_OFFSET
            top = Top(
                state=state,
                shortest=round(_breath_task._SLOW * rate),
                reach=round(_breath_task.FARTHEST_TOP * rate),
                box=max(1, round(_breath_task._SMOOTHED * rate)),
                part=round(1 / _breath_task._TOP),
            )
        return cls(
            transition=_rows(np.where(grammar.allowed, transition, IMPOSSIBLE)),
            self_transition=tuple(_scores("self_transition", checked[1]).tolist()),
            duration=_rows(_scores("duration", checked[2])),
            longest=tuple(longest),
            continues=tuple(grammar.may_continue.tolist()),
            label=tuple(task.label_of_state.tolist()),
            cut=tuple((np.array([_CUT_AT_START, _CUT_AT_END]) @ task.may_be_cut).tolist()),
            peak=tuple(peak),
            top=top,
            lag=round(lag * rate),
            reach=reach,
            rows=rows,
            every=1 if exact else _EVERY,
            exact=exact,
        )

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.longest)

    @property
    def n_chains(self) -> int:
        """Number of states that continue."""
        return sum(self.continues)

    @property
    def n_shown(self) -> int:
        """Number of states that are reported."""
        return sum(label >= 0 for label in self.label)

    @property
    def bins_q16(self) -> tuple[int, ...]:
        """Duration bins a sample as Q16.16, rounded up: lengths that are whole bins belong to the longer one."""
        return tuple(-(-(len(self.duration[0]) << 16) // samples) for samples in self.longest)

    @property
    def memory(self) -> str:
        """Type of the memory that the C works in."""
        sizes = self.n_states, self.n_chains, self.n_shown, self.reach, self.rows, int(self.exact)
        return f"MH_DECODER_MEMORY({', '.join(map(str, sizes))})"

    def open(self, *, history: int = 1024) -> DecoderTwin:
        """Return the twin of the C stream.

        Parameters
        ----------
        history : int, default=1024
            Samples of the ring in which the C looks for peaks.
        """
        return DecoderTwin(self, history=history)

    def to_c(self, name: str) -> str:
        """Return the C definition of ``static const mh_decoder_table_t NAME`` and of what it points to."""
        table = c_table("mh_decoder_table_t", name, self.fields())
        pointer = f"    .duration = {name}_duration,\n}};"
        return c_array("int16_t", f"{name}_duration", np.array(self.duration)) + "\n" + table.replace("};", pointer)

    def fields(self) -> dict[str, ArrayLike]:
        """Return the members of the C table, but for the durations."""
        shown = [label >= 0 for label in self.label]
        top = asdict(self.top) if self.top else dict.fromkeys(("state", "shortest", "reach", "box", "part"), 0)
        return {
            "transition": self.transition,
            "self_transition": self.self_transition,
            "bins_q16": self.bins_q16,
            "longest": self.longest,
            "chain": _numbered(self.continues),
            "shown": _numbered(shown),
            "label": [max(label, 0) for label in self.label],
            "cut": self.cut,
            "peak": self.peak,
            "lag": self.lag,
            "n_states": self.n_states,
            "n_bins": len(self.duration[0]),
            "n_chains": self.n_chains,
            "n_shown": self.n_shown,
            "reach": self.reach,
            "rows": self.rows,
            "every": self.every,
            "exact": int(self.exact),
            "top_state": top["state"],
            "top_from": top["shortest"],
            "top_reach": top["reach"],
            "top_box": top["box"],
            "top_part": top["part"],
        }


class _Span(NamedTuple):
    """A committed span, its edges where their nodes show them."""

    state: int
    is_continued: bool
    flags: int
    onset: int
    offset: int


class DecoderTwin:
    """The labelling of one lead in whole numbers; made by `DecoderTable.open`."""

    def __init__(self, table: DecoderTable, *, history: int) -> None:
        from mhealth._kernels._fixed_decoder import MARKS

        n, capacity = table.n_states, 4 * table.rows
        self._table = table
        self._history = min(history, _LONGEST_WAVE)
        self._settings = (
            (n, table.reach, table.rows, table.lag, table.exact, table.every),
            np.array(table.longest, np.int64),
            np.array(table.continues),
            np.array(table.transition, np.int64),
            np.array(table.self_transition, np.int64),
            np.array(table.duration, np.int64),
            np.array(table.bins_q16, np.int64),
        )
        self._potentials, self._shifts = np.zeros((capacity, 4 * n), np.int64), np.zeros((capacity, 2 * n), np.int64)
        self._window = (
            np.zeros(capacity, np.int64),
            np.zeros(n, np.int64),
            *(np.zeros((capacity, n), np.int64) for _ in range(5)),
            np.zeros(n, np.int64),
            np.zeros((capacity, n), np.int64),
            np.zeros((capacity, 2 * n), np.bool_),
        )
        self._scratch = np.zeros(table.reach, np.int64), np.zeros(table.reach, np.int64)
        self._found = np.zeros((capacity, 4), np.int64)
        self._marks = np.zeros(MARKS, np.int64)
        self._waiting: list[_Span] = []
        self._held: _Span | None = None  # it may go on
        self._opened, self._closed = 0, -1  # −1: it goes on
        self._earliest = 0
        self._is_open = False

    @property
    def early(self) -> int:
        """Number of spans of the stretch that were committed before the lag had passed, for want of rows."""
        from mhealth._kernels._fixed_decoder import EARLY

        return int(self._marks[EARLY])

    def open(self, position: int) -> None:
        """Start a stretch of usable signal at a sample; what was not popped of the one before is lost."""
        from mhealth._kernels._fixed_decoder import open_stretch

        open_stretch(position, self._marks, self._settings, self._potentials, self._window)
        self._shifts[0] = 0
        self._waiting.clear()
        self._held = None
        self._opened, self._closed = position, -1
        self._is_open = True

    def push(self, positions: ArrayLike, potentials: ArrayLike, shifts: ArrayLike) -> None:
        """Take the next candidates of the stretch; one that does not lie after all others is left out.

        Parameters
        ----------
        positions : array_like of int, shape (n,)
            Samples.
        potentials : array_like of int16, shape (n, 4 · n_states)
            Scores of inside, onset, offset and middle, in 1/256 nat.
        shifts : array_like of int8, shape (n, 2 · n_states)
            Distance of each state's onset and offset from the candidate, in samples.
        """
        from mhealth._kernels._fixed_decoder import NEWEST, push_node

        n = self._table.n_states
        potentials = np.asarray(potentials, np.int64).reshape(-1, 4 * n)
        shifts = np.asarray(shifts, np.int64).reshape(-1, 2 * n)
        for position, potential, shift in zip(np.asarray(positions, np.int64), potentials, shifts, strict=True):
            if not self._is_open or position <= self._newest:
                continue
            self._make_room()
            self._shifts[self._marks[NEWEST] + 1] = shift
            push_node(
                position, potential, self._marks, self._settings, self._potentials, self._window, self._scratch,
                self._found,
            )  # fmt: skip
            self._collect()

    def close(self, position: int) -> None:
        """End the stretch before a sample."""
        from mhealth._kernels._fixed_decoder import NEWEST, close_stretch

        if not self._is_open:
            return
        self._make_room()
        position = max(position, self._newest + 1)
        self._shifts[self._marks[NEWEST] + 1] = 0
        close_stretch(position, self._marks, self._settings, self._potentials, self._window, self._scratch, self._found)
        self._collect()
        self._closed = position
        self._is_open = False

    def pop(self, signal: ArrayLike, newest: int | None = None) -> list[Event]:
        """Return the waves that are certain.

        Parameters
        ----------
        signal : array_like of int16, shape (n,)
            The lead from its first sample on.
        newest : int, optional
            The newest sample that the C has seen; by default the last one.
        """
        samples = np.asarray(signal)
        newest = len(samples) - 1 if newest is None else newest
        events: list[Event | None] = []
        for span in self._waiting:
            goes_on = self._held is not None and span.is_continued and span.state == self._held.state
            if self._held is not None and not goes_on:
                events.append(self._finished(self._held, samples, newest))
                self._held = None
            if self._table.label[span.state] >= 0:
                onset, flags = (self._held.onset, self._held.flags) if self._held else (span.onset, 0)
                self._held = span._replace(onset=onset, flags=flags | span.flags)
                if span.flags & _CUT_AT_END or not self._table.continues[span.state]:
                    events.append(self._finished(self._held, samples, newest))
                    self._held = None
        self._waiting.clear()
        return [event for event in events if event is not None]

    @property
    def _newest(self) -> int:
        """Position of the newest candidate."""
        from mhealth._kernels._fixed_decoder import NEWEST

        return int(self._window[0][self._marks[NEWEST]])

    def _make_room(self) -> None:
        """Drop rows that are not needed where the tables are full."""
        from mhealth._kernels._fixed_decoder import NEWEST, ROOT, drop_rows

        if self._marks[NEWEST] + 1 == len(self._shifts):
            root = int(self._marks[ROOT])
            self._shifts[: len(self._shifts) - root] = self._shifts[root:].copy()
            drop_rows(self._marks, self._potentials, self._window)

    def _collect(self) -> None:
        """Note the spans that were committed now."""
        from mhealth._kernels._fixed_decoder import CONTINUED, END, N_FOUND, START

        positions = self._window[0]
        for start, stop, state, flags in self._found[: self._marks[N_FOUND]].tolist():
            self._waiting.append(
                _Span(
                    state=state,
                    is_continued=bool(flags & CONTINUED),
                    flags=_CUT_AT_START * bool(flags & START) + _CUT_AT_END * bool(flags & END),
                    onset=int(positions[start] + self._shifts[start, 2 * state]),
                    offset=int(positions[stop] + self._shifts[stop, 2 * state + 1]),
                )
            )

    def _finished(self, span: _Span, signal: NDArray[np.signedinteger], newest: int) -> Event | None:
        """Return the event of a span, if it is one."""
        from mhealth._kernels._fixed_decoder import farthest_from_chord, middle_of_top

        table = self._table
        if span.flags & ~table.cut[span.state]:
            return None
        onset, offset = max(span.onset, self._earliest), min(span.offset, newest + 1)
        if offset - onset < 2:
            return None
        self._earliest = offset
        if onset < self._opened or -1 < self._closed < offset:
            return None
        oldest, peak = max(onset, newest + 1 - self._history), -1
        if table.peak[span.state] == _OF_CHORD and offset - oldest > 1:
            peak = oldest + int(farthest_from_chord(np.asarray(signal[oldest:offset], np.int64), 0, offset - oldest))
        top = table.top
        if top is not None and top.state == span.state and offset - onset >= top.shortest and oldest == onset:
            part = np.asarray(signal[onset : min(offset + top.reach, newest + 1)], np.int64)
            offset = onset + int(middle_of_top(part, 0, offset - onset, len(part) - 1, top.reach, top.box, top.part))
        if table.peak[span.state] == _AT_OFFSET:
            peak = offset
        return Event(label=table.label[span.state], flags=span.flags, onset=onset, peak=peak, offset=offset)


def _scores(name: str, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return log potentials in 1/256 nat."""
    scores = np.floor(values * _UNIT + 0.5).astype(np.int64)
    if np.abs(scores).max(initial=0) >= 2**15:
        raise InvalidParameterError(
            f"weights.{name} holds {values.flat[np.abs(scores).argmax()]:g} nats; exported are at most 127."
        )
    return scores


def _rows(table: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())


def _numbered(chosen: Sequence[bool]) -> list[int]:
    """Return which of the chosen ones each is, `_NONE` where it is not."""
    return [sum(chosen[:k]) if is_chosen else _NONE for k, is_chosen in enumerate(chosen)]
