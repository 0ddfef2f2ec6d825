"""Which states a labelling is made of, in which order, and how long each may last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError

__all__ = ["BREATH_GRAMMAR", "ECG_GRAMMAR", "Grammar"]

_MOST_STATES = 8  # a set of states is one byte: a bit for each


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """States, their order and their durations.

    Parameters
    ----------
    states : tuple of str
        At most eight; a state's index is its bit in the masks of `allowed` states.
    transitions : tuple of (str, str)
        Pairs (before, after) of states that may follow each other.
    reported : tuple of (str, str)
        Pairs (state, label text) of the states that users see.
    longest : tuple of float
        Longest duration of a span of each state, in seconds.
    continues : tuple of str
        States that may last longer, as a chain of spans of which all but the last are as long as can be.
    n_bins : int, default=20
        Duration bins of a state, uniform over its longest duration; 20 resolve 15 to 30 ms for the ECG, about
        the distance between candidates.

    Raises
    ------
    InvalidParameterError
        If the parts contradict each other.
    """

    states: tuple[str, ...]
    transitions: tuple[tuple[str, str], ...]
    reported: tuple[tuple[str, str], ...]
    longest: tuple[float, ...]
    continues: tuple[str, ...] = ()
    n_bins: int = 20

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if not 1 <= len(self.states) <= _MOST_STATES or len(set(self.states)) != len(self.states):
            raise InvalidParameterError(f"states={self.states!r} must be 1 to {_MOST_STATES} different names.")
        pairs = {name for pair in self.transitions for name in pair}
        for part, names in (
            ("transitions", pairs),
            ("reported", {state for state, _ in self.reported}),
            ("continues", set(self.continues)),
        ):
            if unknown := sorted(names - set(self.states)):
                raise InvalidParameterError(f"{part} names {unknown}, which are not among the states {self.states}.")
        if loops := [before for before, after in self.transitions if before == after]:
            raise InvalidParameterError(
                f"transitions lead from {loops} to itself; list a state that may last longer under `continues`."
            )
        if len(self.longest) != len(self.states) or not all(0 < seconds < np.inf for seconds in self.longest):
            raise InvalidParameterError(
                f"longest={self.longest!r} must hold a positive number of seconds for each of {self.states}."
            )
        if self.n_bins < 1:
            raise InvalidParameterError(f"n_bins={self.n_bins} must be at least 1.")

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether a state may follow another, shape (n_states, n_states) as [before, after]."""
        table = np.zeros((self.n_states, self.n_states), dtype=bool)
        for before, after in self.transitions:
            table[self.index(before), self.index(after)] = True
        return table

    @cached_property
    def may_continue(self) -> NDArray[np.bool_]:
        """Whether a state may outlast its longest duration, shape (n_states,)."""
        return np.array([state in self.continues for state in self.states])

    def index(self, state: str) -> int:
        """Return the index of a state.

        Raises
        ------
        InvalidParameterError
            If there is no such state.
        """
        if state not in self.states:
            raise InvalidParameterError(f"state={state!r} is none of {self.states}.")
        return self.states.index(state)

    def mask(self, *states: str) -> int:
        """Return the bit mask of these states; of all states if none is named."""
        return sum(1 << self.index(state) for state in states or self.states)


ECG_GRAMMAR = Grammar(
    states=("TP", "P", "PQ", "QRS", "ST", "T"),
    # The ring of a heartbeat, then what LUDB's experts marked besides: no P wave, no PQ or ST between waves within
    # 20 ms of each other (230 QRS), a blocked P wave, beats without T, P on the end of T, two QRS in a row (41 times).
    transitions=(
        ("TP", "P"),
        ("P", "PQ"),
        ("PQ", "QRS"),
        ("QRS", "ST"),
        ("ST", "T"),
        ("T", "TP"),
        ("TP", "QRS"),
        ("P", "QRS"),
        ("P", "TP"),
        ("PQ", "TP"),
        ("QRS", "T"),
        ("QRS", "TP"),
        ("ST", "TP"),
        ("T", "P"),
        ("T", "QRS"),
    ),
    reported=(("P", "P"), ("QRS", "QRS"), ("T", "T")),
    # Just above the longest that the experts of LUDB and QTDB bracketed: P 0.30 s, PQ 0.36, QRS 0.26, ST 0.35, T 0.44.
    # TP goes on for as long as it likes; how long beyond 0.6 s tells nothing of where it is.
    longest=(0.6, 0.32, 0.38, 0.3, 0.4, 0.5),
    continues=("TP",),
)
"""The waves of a heartbeat and the stretches between them."""

BREATH_GRAMMAR = Grammar(
    states=("inspiration", "expiration", "pause"),
    # An inspiration is always breathed out again; breath is held with empty lungs, as in every apnoea.
    transitions=(
        ("inspiration", "expiration"),
        ("expiration", "inspiration"),
        ("expiration", "pause"),
        ("pause", "inspiration"),
    ),
    reported=(("inspiration", "inspiration"), ("expiration", "expiration"), ("pause", "pause")),
    # At 4 breaths a minute a breath takes 15 s, up to half of it the inspiration. What lasts longer goes on, without
    # its length telling anything more.
    longest=(8.0, 10.0, 10.0),
    continues=("expiration", "pause"),
)
"""The phases of a breath."""
