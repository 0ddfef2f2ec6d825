"""How eagerly waves are called: a bonus that finds most of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mhealth.core import Annotation, Recording
from mhealth.crf import Potentials, SpanPaths, SpanWeights, span_viterbi
from mhealth.labeling._emission import SparseEmission
from mhealth.labeling._features import Features
from mhealth.labeling._group import label_groups
from mhealth.labeling._model import Model
from mhealth.labeling._task import Task
from mhealth.labeling._training import TrainingSet

__all__ = ["choose_bonuses", "choose_joint", "with_bonuses"]

_GRID = np.arange(0.0, 6.5, 0.5)
"""Bonuses that are tried, as log odds: from nothing to 400 to 1."""

_JOINT_GRID = np.linspace(0.0, -0.6, 7)
"""What is tried for each doubling of the number of leads beyond two: up to −1.6 for twelve, 1 to 5."""


def with_bonuses(emission: SparseEmission, bonuses: NDArray[np.float32]) -> SparseEmission:
    """Return an emission that adds a bonus for each state to the score of every onset."""
    bias = emission.bias.copy()
    n = emission.n_states
    bias[n : 2 * n] += bonuses
    return replace(emission, bias=bias)


def choose_bonuses(
    emission: SparseEmission, weights: SpanWeights, data: TrainingSet, sequences: NDArray[np.int64], task: Task
) -> NDArray[np.float32]:
    """Return the bonus of each state with which the best labelling finds the marked waves best, shape (n_states,).

    The single best labelling calls too few waves: where a wave could lie in many ways, each of them is less likely than
    the one way in which there is none, though together they are more likely. Each of the task's eager states gets the
    largest bonus whose F1 of presence, in sequences that the emission was not trained on, lies no more than its
    standard error below the best one (Breiman et al. 1984): recordings to come are noisier than those that experts
    chose to mark. Of bonuses with the same F1 it is the smallest.
    """
    nodes = [_potentials(emission, data, k) for k in sequences]
    lengths = np.array([len(part[0]) for part in nodes])
    potentials = Potentials(*(np.concatenate(parts) for parts in zip(*nodes, strict=True)))
    times = np.concatenate([data.times[k] for k in sequences])
    allowed = np.concatenate([data.targets[k].allowed for k in sequences])
    grammar = task.grammar
    bonuses = np.zeros(grammar.n_states, np.float32)
    for state in task.eager:
        y = grammar.index(state)
        scores = np.empty(len(_GRID))
        for k, bonus in enumerate(_GRID):
            bonuses[y] = bonus
            raised = potentials._replace(onset=potentials.onset + bonuses)
            paths = span_viterbi(raised, times, lengths, weights, grammar)
            scores[k], n_marked = _presence(paths, allowed, len(times), y)
        best = scores.max()
        error = np.sqrt(best * (1 - best) / max(1, n_marked))
        chosen = scores[np.flatnonzero(scores >= best - error)[-1]]
        bonuses[y] = _GRID[int(np.argmax(scores == chosen))]
    return bonuses


def choose_joint(
    model: Model,
    cases: list[tuple[Recording, Annotation]],
    *,
    lag: float | None,
    progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Return `Model.joint` of a model from recordings that it has not seen, shape (n_states,).

    Leads decide by the mean of their potentials, in which one that shows something clearly outvotes several that show
    nothing; the more of them, the likelier there is such a one. Each of the task's doubtful states gets the value with
    the best F1 of presence in all leads that were marked together; zero is taken among equals, and where no recording
    has two leads or the model knows leads together only.
    """
    from mhealth.metrics import WaveOutcomes, wave_outcomes

    task, joint = model.task, np.zeros(model.task.grammar.n_states, np.float32)
    marked = [sorted({int(channel) for channel in annotation.annotated[:, 0]}) for _, annotation in cases]
    several = [k for k, channels in enumerate(marked) if len(channels) > 1 and not model.leads]
    for state in task.doubtful if several else ():
        y, scores = task.grammar.index(state), np.empty(len(_JOINT_GRID))
        for k, value in enumerate(_JOINT_GRID):
            joint[y] = value
            raised, outcomes = replace(model, joint=joint.copy()), []
            for case in several:
                recording, annotation = cases[case]
                spans = label_groups(raised, recording, [marked[case]], lag)
                label = task.labels[task.label_of_state[y]]
                outcomes.append(
                    wave_outcomes(
                        annotation, spans, label, channels=marked[case], point=task.point, tolerance=task.tolerance
                    )
                )
            joined = WaveOutcomes.concat(outcomes)
            scores[k] = 2 * joined.correct.sum() / max(1, len(joined.correct) + joined.n_marked)
            progress(k + 1, len(_JOINT_GRID))
        joint[y] = _JOINT_GRID[int(np.argmax(scores))]
    return joint


def _potentials(emission: SparseEmission, data: TrainingSet, k: int) -> tuple[NDArray[np.float32], ...]:
    """Return what the emission says at the nodes of a sequence, zeros at its ends."""
    rows = slice(data.first_row[k], data.first_row[k + 1])
    features = Features(np.arange(rows.stop - rows.start), data.dense[rows], data.columns[rows], data.values[rows])
    n = emission.n_states
    out = np.zeros((len(data.times[k]), 4 * n), np.float32)
    out[1:-1] = emission.outputs(features)[:, : 4 * n]
    return tuple(np.ascontiguousarray(out[:, j * n : (j + 1) * n]) for j in range(4))


def _presence(paths: SpanPaths, allowed: NDArray[np.uint8], n_nodes: int, y: int) -> tuple[float, int]:
    """Return the F1 of waves of state y that overlap a marked one, and the number of marked ones."""
    found = np.zeros(n_nodes, bool)
    for start, stop in zip(paths.start[paths.state == y], paths.stop[paths.state == y], strict=True):
        found[start:stop] = True
    marked, possible = allowed == 1 << y, (allowed >> y & 1).astype(bool)
    hit = _runs_with(marked, found)
    right = _runs_with(found, possible)
    missed, false = int((~hit).sum()), int((~right).sum())
    return 2 * int(hit.sum()) / max(1, 2 * int(hit.sum()) + missed + false), len(hit)


def _runs_with(runs: NDArray[np.bool_], what: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each run of True in `runs` whether `what` is True somewhere in it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], runs.astype(np.int8), [0]])))
    counts = np.concatenate([[0], np.cumsum(what)])
    return counts[edges[1::2]] > counts[edges[::2]]
