"""What is labelled in which kind of signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.core import UNUSABLE
from mhealth.crf import Grammar
from mhealth.dsp import RateRange
from mhealth.labeling._front_end import FrontEnd

if TYPE_CHECKING:
    from mhealth.labeling._augment import Noise
    from mhealth.labeling._examples import LeadCase

__all__ = ["Budget", "Task"]

Budget = Literal["cortex-m3"]
"""Device whose memory and time a task's settings keep to."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """What the one labeling engine needs to know of a kind of signal.

    Parameters
    ----------
    kind : str
        Its name, as in ``mhealth label --as KIND``.
    grammar : Grammar
        States, and which are reported as which label.
    rates : RateRange
        Sampling rates that show what is to be labelled.
    front_end : FrontEnd
    farthest_edge : float
        Seconds by which an edge of a wave may lie off its candidate, and off the joint edge of all leads.
    shift_unit : float
        Seconds in which an edge's distance from its candidate is learned: the usual one.
    gaps : tuple of str
        States that an annotated stretch without marks may be in.
    between : callable
        ``between(before, after, seconds)``: the states that may lie between two marked ones so far apart.
    eager, doubtful : tuple of str
        States of which more are called than the best labelling has (`choose_bonuses`), and fewer than that of several
        leads together has (`choose_joint`).
    cut : dict of str to tuple
        States that are reported although the start ("start") or the end ("end") of their stretch cuts them: what has no
        onset or offset is mostly not worth reporting.
    refined : callable
        ``refined(raw, raw_start, fs, states, waves)``: puts edges in `waves`, shape (n, 3), right by the signal of
        their lead, which starts at sample `raw_start`.
    point, tolerance : str, float
        The point of a wave that is compared with an expert's, and the seconds within which they agree.
    completed : callable
        Returns a case with what its marks and its signal together say of further edges.
    augmented : callable
        Returns an altered copy of a case.
    budget : {"cortex-m3"} or None
        Device that the front end is cut down for; None for computers.
    """

    kind: str
    grammar: Grammar
    rates: RateRange
    front_end: FrontEnd
    farthest_edge: float
    shift_unit: float
    gaps: tuple[str, ...]
    between: Callable[[str, str, float], tuple[str, ...]]
    eager: tuple[str, ...]
    doubtful: tuple[str, ...]
    cut: dict[str, tuple[str, ...]]
    refined: Callable[[NDArray[np.float32], int, float, NDArray[np.int64], NDArray[np.int64]], None]
    point: str
    tolerance: float
    completed: Callable[[LeadCase], LeadCase]
    augmented: Callable[[LeadCase, np.random.Generator, Noise], LeadCase]
    budget: Budget | None = None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels of what is reported."""
        return tuple(label for _, label in self.grammar.reported)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Labels of what is reported, and of what cannot be used."""
        return (*self.labels, UNUSABLE)

    @cached_property
    def may_be_cut(self) -> NDArray[np.bool_]:
        """Whether each state is reported though it is cut at its start, at its end; shape (2, n_states)."""
        return np.array([np.isin(self.grammar.states, self.cut[side]) for side in ("start", "end")])

    @cached_property
    def label_of_state(self) -> NDArray[np.int64]:
        """Index of the label of each state, −1 where it is not reported."""
        reported = dict(self.grammar.reported)
        return np.array([self.labels.index(reported[s]) if s in reported else -1 for s in self.grammar.states])
