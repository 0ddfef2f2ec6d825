"""Simultaneous leads, from samples to the nodes that they share."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._features import RawFeatures
from mhealth.labeling._lead import LeadStream, Proposal

if TYPE_CHECKING:
    from mhealth.labeling._task import Task

__all__ = ["Hearing", "NodeStream", "Nodes"]

_CLUSTER = 0.4
"""Candidates of several leads within this share of `Task.farthest_edge` are one (24 ms in an ECG); sharper waves differ
less between leads."""


class Nodes(NamedTuple):
    """Nodes that are decided now.

    Attributes
    ----------
    clusters : ndarray of int64, shape (3, n)
        First sample of each cluster at the internal rate, its node, and the sample before which it ends.
    settled : int
        No node before this sample is still to come.
    proposals : list of Proposal
        What each lead proposes now.
    """

    clusters: NDArray[np.int64]
    settled: int
    proposals: list[Proposal]


class Hearing:
    """Which leads are heard when, in samples at the internal rate.

    Nothing is known of a lead before its warm-up is over. A lead that returns is not heard for so long, lest the leads
    that are heard wait for it: they decide for it too. Where none of them goes on, an era ends, and the next one starts
    with all leads that are there.
    """

    def __init__(self, n_leads: int, warm_up: int) -> None:
        self.position = 0
        self.warm_up = warm_up
        self.since = [-1] * n_leads  # start of a lead's present stretch, −1 while its samples are missing
        self.spans: list[list[tuple[int, float]]] = [[] for _ in range(n_leads)]  # in which it is heard
        self.eras: list[tuple[int, int]] = []  # where an era ended, and the next one started
        self.starts: list[int] = []  # of eras that candidates to come may lie before
        self._ended = 0

    def is_heard(self, lead: int) -> bool:
        """Whether a lead is heard at the newest sample."""
        return bool(self.spans[lead]) and self.spans[lead][-1][1] == np.inf

    def push(self, missing: NDArray[np.bool_]) -> None:
        """Take which of the next samples are missing, shape (n, n_leads)."""
        changes = np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1
        for start, stop in pairwise([0, *changes, len(missing)]):
            if start < stop:
                self._advance(self.position + start, self.position + stop, missing[start])
        self.position += len(missing)

    def _advance(self, start: int, stop: int, missing: NDArray[np.bool_]) -> None:
        """Take samples in which the same leads are missing."""
        anyone = any(self.is_heard(lead) for lead in range(len(self.spans)))
        for lead, spans in enumerate(self.spans):
            if missing[lead]:
                self.since[lead] = -1
                if self.is_heard(lead):
                    spans[-1] = (spans[-1][0], start)
            elif self.since[lead] < 0:
                self.since[lead] = start
        present = [lead for lead, since in enumerate(self.since) if since >= 0]
        goes_on = any(self.is_heard(lead) for lead in present)
        if anyone and not goes_on:
            self._ended = start
        if present and not goes_on:
            self.eras.append((self._ended, start))
            self.starts.append(start)
        for lead in present:
            first = max(start, self.since[lead] + self.warm_up) if goes_on else start
            if not self.is_heard(lead) and first < stop:
                self.spans[lead].append((first, np.inf))

    def at(self, lead: int, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a lead is heard at each position."""
        heard = np.zeros(len(positions), bool)
        for start, stop in self.spans[lead]:
            heard |= (positions >= start) & (positions < stop)
        return heard

    def decided(self, lead: int, proposal: Proposal) -> int:
        """Return before which position no candidate of a lead that is heard is still to come."""
        return max(int(self.spans[lead][-1][0]), proposal.decided) if self.is_heard(lead) else self.position

    def forget(self, before: int) -> None:
        """Drop what concerns positions before this one only."""
        self.spans = [[span for span in spans if span[1] > before] for spans in self.spans]
        self.starts = [start for start in self.starts if start > before]


class NodeStream:
    """Candidates of one or several simultaneous leads, and their features.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz.
    n_leads : int
    task : Task

    Attributes
    ----------
    leads : list of LeadStream
    hearing : Hearing
        Which of them are heard when.
    """

    def __init__(self, *, fs: float, n_leads: int, task: Task) -> None:
        rate = task.front_end.rate
        self.leads = [LeadStream(fs=fs, front_end=task.front_end) for _ in range(n_leads)]
        self.hearing = Hearing(n_leads, round(task.front_end.features.warm_up * rate))
        self._cluster = round(_CLUSTER * round(task.farthest_edge * rate))
        self._proposed = np.empty(0, np.int64)  # candidates that wait for their cluster to be complete

    @property
    def ratio(self) -> float:
        """Input samples per sample at the internal rate."""
        return self.leads[0].ratio

    def propose(self, signals: NDArray[np.float32], *, last: bool = False) -> Nodes:
        """Take the next samples, shape (n, n_leads), the last ones if `last`; return the nodes that are decided now."""
        columns = (np.ascontiguousarray(column) for column in signals.T)
        proposals = [lead.propose(column, last=last) for lead, column in zip(self.leads, columns, strict=True)]
        return Nodes(*self._shared(proposals), proposals)

    def _shared(self, proposals: list[Proposal]) -> tuple[NDArray[np.int64], int]:
        """Return new nodes: a lead's own candidates if it is alone, else one a cluster; and up to where they are all.

        A cluster is complete once no lead can add to it.
        """
        hearing = self.hearing
        hearing.push(np.stack([proposal.missing for proposal in proposals], axis=1))
        if len(proposals) == 1:
            positions = proposals[0].positions
            return np.stack([positions, positions, positions + 1]), proposals[0].decided
        from mhealth._kernels._waves import shared_positions

        cluster = self._cluster
        decided = min(hearing.decided(k, proposal) for k, proposal in enumerate(proposals))
        heard = [proposal.positions[hearing.at(k, proposal.positions)] for k, proposal in enumerate(proposals)]
        union = np.sort(np.concatenate([self._proposed, *heard]))
        middles, firsts, closed = np.empty((3, len(union)), np.int64)
        count = 0
        # No cluster reaches from one era into the next.
        for part, end in zip(
            np.split(union, np.searchsorted(union, hearing.starts)), [*hearing.starts, np.inf], strict=True
        ):
            stop = count + shared_positions(part, cluster, middles[count:], firsts[count:])
            closed[count:stop] = np.minimum(firsts[count:stop] + cluster, end)
            count = stop
        complete = int(np.searchsorted(closed[:count], decided, side="right"))
        settled = min(int(firsts[complete]), decided) if complete < count else decided
        self._proposed = union[union >= settled] if complete < count else union[:0]
        return np.stack([firsts[:complete], middles[:complete], closed[:complete]]), settled

    def describe_own(self, nodes: Nodes) -> list[RawFeatures]:
        """Return what each lead says of its own candidates, those that are complete, where it is heard."""
        parts = []
        for k, (lead, proposal) in enumerate(zip(self.leads, nodes.proposals, strict=True)):
            own = proposal.positions[self.hearing.at(k, proposal.positions)]
            parts.append(lead.describe(own, self.hearing.decided(k, proposal)))
        self.hearing.forget(nodes.settled)
        return parts

    def describe_shared(self, nodes: Nodes) -> list[RawFeatures]:
        """Return what each lead says of the nodes, those that are complete, where it is heard."""
        middle = nodes.clusters[1]
        parts = [lead.describe(middle[self.hearing.at(k, middle)], nodes.settled) for k, lead in enumerate(self.leads)]
        self.hearing.forget(nodes.settled)
        return parts
