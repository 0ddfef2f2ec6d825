"""Independent labels, a linear chain and a span CRF on the same codes: from recordings to waves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mhealth._kernels._waves import farthest_from_chord
from mhealth.cli._training import Case
from mhealth.core import Spans
from mhealth.crf import Grammar, IndependentCRF, LinearChainCRF, SpanCRF, SpanPaths, SpanStructure
from mhealth.errors import AnnotationError
from mhealth.labeling import TrainingSettings
from mhealth.labeling._examples import Example, LeadCase, examples, lead_cases
from mhealth.labeling._features import RawFeatures, code
from mhealth.labeling._task import Task
from mhealth.labeling._training import learn_dictionaries

__all__ = ["STRUCTURES", "Stacked", "Stretch", "coder", "leads_of", "spans_of", "stacked", "stretches_of", "waves_of"]

STRUCTURES = {"independent": IndependentCRF, "chain": LinearChainCRF, "span": SpanCRF}
"""In the order in which they are expected to get better."""

DICTIONARY_STRETCHES = 80
"""Stretches that dictionaries are learned from, if there are so many: 200 to 600 windows an atom."""

Row = tuple[int, int, int, int, int, float]
"""Of `Spans.from_rows`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stretch:
    """Nodes of one usable stretch of one lead, a sequence to estimators.

    Parameters
    ----------
    record : int
        Index of its case.
    channel : int
        Column of the recording.
    first : int
        Sample of the recording at which the times of the nodes are zero.
    example : Example
        Times, features and targets.
    feasible : bool
        Whether a labelling of the grammar agrees with the marks; if not, the stretch is tested on only.
    """

    record: int
    channel: int
    first: int
    example: Example
    feasible: bool


def leads_of(case: Case, leads: Sequence[str]) -> Iterator[tuple[int, int, LeadCase]]:
    """Yield channel, first sample and signal with marks of some leads."""
    lead_names = [name.lower() for name in case.recording.channels]
    for row, lead in zip(case.annotation.annotated, lead_cases(case.recording, case.annotation), strict=True):
        if lead_names[row[0]] in leads:
            yield int(row[0]), int(row[1]) - lead.annotated[0], lead


def stretches_of(cases: Sequence[Case], leads: Sequence[str], task: Task) -> list[Stretch]:
    """Return what the labeler's `fit` learns from, without augmented copies and simulated cases, of some leads."""
    return [
        Stretch(
            record=record,
            channel=channel,
            first=first,
            example=example,
            feasible=_is_feasible(example, task.grammar),
        )
        for record, case in enumerate(cases)
        for channel, first, lead in leads_of(case, leads)
        for example in examples(task.completed(lead), task)
    ]


def _is_feasible(example: Example, grammar: Grammar) -> bool:
    """Return whether some labelling into spans agrees with the marks; then one of a chain does, too."""
    structure = SpanStructure(grammar=grammar)
    unary = np.zeros((len(example.times), len(structure.kinds) * grammar.n_states), np.float32)
    weights = np.zeros(structure.n_weights)
    try:
        structure.log_likelihood_and_gradient(unary, weights, example.times, [len(unary)], example.targets.allowed)
    except AnnotationError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Stacked:
    """Stretches one after the other, as estimators take them."""

    X: scipy.sparse.csr_array
    allowed: NDArray[np.uint8]
    times: NDArray[np.float64]
    lengths: list[int]


def stacked(stretches: Sequence[Stretch], codes: Callable[[RawFeatures], scipy.sparse.csr_array]) -> Stacked:
    """Stack stretches; the ends of each, where no candidate is, have no features."""
    of_stretch = [stretch.example for stretch in stretches]
    lengths = [len(example.times) for example in of_stretch]
    is_candidate = np.ones(sum(lengths), dtype=bool)
    ends = np.cumsum(lengths)
    is_candidate[ends - 1] = is_candidate[ends - lengths] = False
    rows = codes(_joined([example.raw for example in of_stretch]))
    counts = np.zeros(len(is_candidate), dtype=np.int64)
    counts[is_candidate] = np.diff(rows.indptr)
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return Stacked(
        X=scipy.sparse.csr_array((rows.data, rows.indices, pointers), shape=(len(counts), rows.shape[1])),
        allowed=np.concatenate([example.targets.allowed for example in of_stretch]),
        times=np.concatenate([example.times for example in of_stretch]),
        lengths=lengths,
    )


def _joined(raw: Sequence[RawFeatures]) -> RawFeatures:
    """Return the candidates of all stretches as one."""
    return RawFeatures(
        positions=np.concatenate([part.positions for part in raw]),
        windows=tuple(np.concatenate(kind) for kind in zip(*(part.windows for part in raw), strict=True)),
        dense=np.concatenate([part.dense for part in raw]),
    )


def coder(
    training: Sequence[Stretch], task: Task, sizes: TrainingSettings, seed: int
) -> Callable[[RawFeatures], scipy.sparse.csr_array]:
    """Learn dictionaries without labels; return what gives candidates their codes, signs apart, and the rhythm.

    Parameters
    ----------
    training : sequence of Stretch
    task : Task
    sizes : TrainingSettings
        Of which only the sizes of the dictionaries count here.
    seed : int
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(training))[:DICTIONARY_STRETCHES]
    raw = [training[k].example.raw for k in drawn]
    dictionaries = learn_dictionaries(raw, task.front_end.features, sizes, rng)
    n_columns = 2 * sum(dictionary.n_atoms for dictionary in dictionaries)

    def codes(windows: RawFeatures) -> scipy.sparse.csr_array:
        features = code(windows, dictionaries, sizes.n_nonzero)
        rows, slots = np.nonzero(features.columns >= 0)
        entries = features.values[rows, slots], (rows, features.columns[rows, slots])
        sparse = scipy.sparse.csr_array(entries, shape=(len(features.columns), n_columns))
        return scipy.sparse.hstack([sparse, scipy.sparse.csr_array(features.dense)], format="csr")

    return codes


def waves_of(
    paths: SpanPaths,
    stretches: Sequence[Stretch],
    cases: Sequence[Case],
    task: Task,
    occupancy: NDArray[np.float32] | None = None,
) -> dict[int, Spans]:
    """Return the reported states of each record as waves; those cut by an end of their stretch as the task says.

    Parameters
    ----------
    paths : SpanPaths
        Of the stacked stretches.
    stretches : sequence of Stretch
    cases : sequence of Case
    task : Task
    occupancy : ndarray of float32, shape (n_nodes, n_states), optional
        Probability of each state in each interval; a wave's is that of its state at its peak, or in its middle.
    """
    bounds = np.concatenate([[0], np.cumsum([len(stretch.example.times) for stretch in stretches])])
    rows: dict[int, list[Row]] = {s.record: [] for s in stretches}
    for start, stop, state, k in zip(paths.start, paths.stop, paths.state, paths.sequence, strict=True):
        label = int(task.label_of_state[state])
        cut = np.array([start == bounds[k], stop == bounds[k + 1] - 1])
        if label < 0 or (cut & ~task.may_be_cut[:, state]).any():
            continue
        stretch, recording = stretches[k], cases[stretches[k].record].recording
        times = stretch.example.times[start - bounds[k] : stop - bounds[k] + 1]
        onset, offset = (np.floor(times[[0, -1]] * recording.fs + 0.5).astype(int) + stretch.first).tolist()
        samples = recording.signals[:, stretch.channel]
        peak = int(farthest_from_chord(samples, onset, offset)) if task.point == "peak" else -1
        probability = np.nan
        if occupancy is not None:
            centre = (peak - stretch.first) / recording.fs if peak >= 0 else times[[0, -1]].mean()
            inside = min(max(int(np.searchsorted(times, centre, side="right")) - 1, 0), len(times) - 2)
            probability = float(occupancy[start + inside, state])
        rows[stretch.record].append((onset, peak, offset, label, stretch.channel, probability))
    return {record: spans_of(found, cases[record], task.labels) for record, found in rows.items()}


def spans_of(rows: Sequence[Row], case: Case, classes: tuple[str, ...]) -> Spans:
    """Return rows as spans of a case's recording."""
    return Spans.from_rows(rows, fs=case.recording.fs, channels=case.recording.channels, classes=classes)
