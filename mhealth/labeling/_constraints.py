"""What an expert's marks say about the states between candidates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._task import Task

__all__ = ["LeadMarks", "Targets", "constrain"]


class LeadMarks(NamedTuple):
    """Marks of one lead, in seconds from the start of its stretch; NaN where a point is not marked.

    Attributes
    ----------
    waves : ndarray of float64, shape (n_waves, 3)
        Onset, peak, offset, sorted by the first known one.
    states : ndarray of int64, shape (n_waves,)
        The grammar's state of each wave.
    annotated : ndarray of float64, shape (n_stretches, 2)
        Start and stop of the stretches in which every wave is marked.
    """

    waves: NDArray[np.float64]
    states: NDArray[np.int64]
    annotated: NDArray[np.float64]


class Targets(NamedTuple):
    """What to train one sequence of nodes towards.

    Attributes
    ----------
    allowed : ndarray of uint8, shape (n_nodes,)
        States that agree with the marks, for the interval that starts at each node.
    edge_node, edge_kind : ndarray of int64, shape (n_edges,)
        Nodes near marked edges, and which edge: 2 · state for an onset, 2 · state + 1 for an offset.
    edge_shift : ndarray of float32, shape (n_edges,)
        Seconds from the node to the mark.
    """

    allowed: NDArray[np.uint8]
    edge_node: NDArray[np.int64]
    edge_kind: NDArray[np.int64]
    edge_shift: NDArray[np.float32]


def constrain(times: NDArray[np.float64], marks: LeadMarks, task: Task) -> Targets:
    """Translate marks into the states that each interval may lie in.

    Outside the annotated stretches everything is allowed. Inside, a wave holds the intervals between its edges, each
    snapped to the nearest node; a wave of which an edge is missing holds the interval of its peak, and may reach
    to its neighbours on that side. Between waves lies what their names imply, `Task.between`. Two edges on one node
    drop the state between them. A node learns where a marked edge lies that is no farther than `Task.farthest_edge`.

    Parameters
    ----------
    times : ndarray of float64, shape (n_nodes,)
        Seconds, first and last being the ends of the stretch.
    marks : LeadMarks
    task : Task
    """
    grammar = task.grammar
    everything = grammar.mask()
    gaps = grammar.mask(*task.gaps)
    centres = np.append((times[:-1] + times[1:]) / 2, np.inf)
    allowed = np.full(len(times), everything, dtype=np.uint8)
    for start, stop in marks.annotated:
        allowed[(centres >= start) & (centres < stop)] = gaps

    def snap(second: float) -> int:
        right = int(np.clip(np.searchsorted(times, second), 1, len(times) - 1))
        return right - int(second - times[right - 1] <= times[right] - second)

    def near(second: float, kind: int) -> list[tuple[int, int, float]]:
        first, last = np.searchsorted(times, [second - task.farthest_edge, second + task.farthest_edge])
        return [(node, kind, second - times[node]) for node in range(first, last)]

    edges: list[tuple[int, int, float]] = []
    wave_nodes: list[tuple[int, int, int, bool, bool]] = []
    for (onset, peak, offset), state in zip(marks.waves, marks.states, strict=True):
        known = np.array([onset, peak, offset])
        centre = peak if np.isfinite(peak) else np.nanmean(known)
        held = int(np.clip(np.searchsorted(times, centre, side="right") - 1, 0, len(times) - 2))
        start, stop = held, held + 1
        if np.isfinite(onset):
            start = min(snap(onset), held)
            edges += near(onset, 2 * state)
        if np.isfinite(offset):
            stop = max(snap(offset), held + 1)
            edges += near(offset, 2 * state + 1)
        wave_nodes.append((start, stop, int(state), bool(np.isfinite(onset)), bool(np.isfinite(offset))))

    for k, (_, stop, state, _, has_offset) in enumerate(wave_nodes):
        if k + 1 == len(wave_nodes):
            continue
        following = wave_nodes[k + 1]
        between = slice(stop, following[0])
        inside = allowed[between]
        pause = times[following[0]] - times[stop] if following[0] > stop else 0.0
        names = task.between(grammar.states[state], grammar.states[following[2]], pause)
        mask = grammar.mask(*names) if names else 0
        if not has_offset:
            mask |= 1 << state
        if not following[3]:
            mask |= 1 << following[2]
        inside[inside != everything] = mask
    for k, (start, stop, state, has_onset, has_offset) in enumerate(wave_nodes):
        if k == 0 and not has_onset:
            allowed[:start][allowed[:start] == gaps] |= 1 << state
        if k + 1 == len(wave_nodes) and not has_offset:
            allowed[stop:][allowed[stop:] == gaps] |= 1 << state
    for start, stop, state, _, _ in wave_nodes:
        allowed[start:stop] = 1 << state
    nodes, kinds, shifts = zip(*edges, strict=True) if edges else ((), (), ())
    return Targets(
        allowed=allowed,
        edge_node=np.array(nodes, dtype=np.int64),
        edge_kind=np.array(kinds, dtype=np.int64),
        edge_shift=np.array(shifts, dtype=np.float32),
    )
