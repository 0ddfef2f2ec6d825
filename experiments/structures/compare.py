"""Independent labels, a linear chain and a span CRF on the same codes and folds: prints the tables of the README.

Run from the repository root: python experiments/structures/compare.py ../shared/data [ludb | bidmc]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from data_loaders import Bidmc, Ludb
from mhealth._kernels._waves import farthest_from_chord
from mhealth.cli._evaluate import split
from mhealth.cli._training import Case
from mhealth.core import Annotation, Spans
from mhealth.crf import Grammar, IndependentCRF, LinearChainCRF, SpanCRF, SpanPaths, SpanStructure
from mhealth.errors import AnnotationError
from mhealth.labeling import TrainingSettings
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import Example, LeadCase, examples, lead_cases
from mhealth.labeling._features import RawFeatures, code
from mhealth.labeling._task import Task
from mhealth.labeling._training import learn_dictionaries
from mhealth.metrics import (
    BootstrapDifference,
    BreathScores,
    DelineationScore,
    bootstrap_difference,
    score_breaths,
    score_delineation,
)

STRUCTURES = {"independent": IndependentCRF, "chain": LinearChainCRF, "span": SpanCRF}
"""In the order in which they are expected to get better."""

RULE = "rule"
"""What needs candidates only, see `maxima`."""

SHARES = tuple(k / 20 for k in range(1, 20))
"""Shares of the running scale, which is the usual range of the signal, among which the rule chooses."""

DICTIONARY_STRETCHES = 80
"""Stretches that dictionaries are learned from, if there are so many: 200 to 600 windows an atom."""


Score = DelineationScore | BreathScores
Labelled = Sequence[tuple[Annotation, Spans]]
Row = tuple[int, int, int, int, int, float]
"""Of `Spans.from_rows`."""


@dataclass(frozen=True)
class Figure:
    """A row of a table."""

    name: str
    of: Callable[[Any], float]
    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """On what structures are compared.

    Parameters
    ----------
    loader : type
        Data set, in the folder of its name.
    task : Task
        What is labelled in it.
    leads : str
        Channels that are used, separated by commas.
    sizes : TrainingSettings
        Of which only the sizes of the dictionaries count here.
    with_rule : bool
        Whether the rule is compared too.
    expected : tuple of (str, str)
        Pairs (better, worse) of methods.
    score : callable
        ``score(labelled, subjects, leads)``.
    tables : dict of str to list of Figure
        Title, and the rows. The share of the rule is chosen by the first one.
    asides : list of Figure
        What is told beside the tables.
    """

    loader: type[Ludb] | type[Bidmc]
    task: Task
    leads: str
    sizes: TrainingSettings
    with_rule: bool
    expected: tuple[tuple[str, str], ...]
    score: Callable[[Labelled, Sequence[str], Sequence[str]], Score]
    tables: dict[str, list[Figure]]
    asides: list[Figure]

    @property
    def methods(self) -> list[str]:
        """What is compared, in the order of the columns."""
        return [RULE, *STRUCTURES] if self.with_rule else [*STRUCTURES]


WAVES = Comparison(
    loader=Ludb,
    task=ECG,
    leads="ii,v2,v5,avl",
    sizes=TrainingSettings(),
    with_rule=False,
    expected=(("span", "chain"), ("chain", "independent")),
    score=lambda labelled, subjects, leads: score_delineation(labelled, subjects=subjects, channels=leads),
    tables={
        f"F1, {tolerance}": [
            Figure("macro", lambda score, tolerance=tolerance: score.macro(tolerance)),
            *(Figure(w, lambda score, w=w, tolerance=tolerance: score.f1(w, tolerance)) for w in ECG.labels),
        ]
        for tolerance in ("150ms", "tight")
    },
    asides=[Figure("False P waves per beat on leads without P waves", lambda score: score.false_p_per_beat)],
)

BREATHS = Comparison(
    loader=Bidmc,
    task=RESPIRATION,
    leads="resp",
    sizes=TrainingSettings(n_atoms=32, n_nonzero=4),
    with_rule=True,
    expected=(("span", "chain"), ("span", "independent"), ("span", RULE)),
    score=lambda labelled, subjects, leads: score_breaths(labelled, subjects=subjects),
    tables={
        "ends of inspiration": [
            Figure("F1, 0.5 s", lambda score: score.f1(0.5)),
            Figure("F1, 1 s", lambda score: score.f1(1.0)),
            Figure("error of their number", lambda score: score.count_error, higher_is_better=False),
        ]
    },
    asides=[],
)

COMPARISONS = {comparison.loader.database: comparison for comparison in (WAVES, BREATHS)}


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
            feasible=is_feasible(example, task.grammar),
        )
        for record, case in enumerate(cases)
        for channel, first, lead in leads_of(case, leads)
        for example in examples(task.completed(lead), task)
    ]


def is_feasible(example: Example, grammar: Grammar) -> bool:
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
    rows = codes(joined([example.raw for example in of_stretch]))
    counts = np.zeros(len(is_candidate), dtype=np.int64)
    counts[is_candidate] = np.diff(rows.indptr)
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return Stacked(
        X=scipy.sparse.csr_array((rows.data, rows.indices, pointers), shape=(len(counts), rows.shape[1])),
        allowed=np.concatenate([example.targets.allowed for example in of_stretch]),
        times=np.concatenate([example.times for example in of_stretch]),
        lengths=lengths,
    )


def joined(raw: Sequence[RawFeatures]) -> RawFeatures:
    """Return the candidates of all stretches as one."""
    return RawFeatures(
        positions=np.concatenate([part.positions for part in raw]),
        windows=tuple(np.concatenate(kind) for kind in zip(*(part.windows for part in raw), strict=True)),
        dense=np.concatenate([part.dense for part in raw]),
    )


def coder(
    training: Sequence[Stretch], comparison: Comparison, seed: int
) -> Callable[[RawFeatures], scipy.sparse.csr_array]:
    """Learn dictionaries without labels; return what gives candidates their codes, signs apart, and the rhythm."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(training))[:DICTIONARY_STRETCHES]
    raw = [training[k].example.raw for k in drawn]
    dictionaries = learn_dictionaries(raw, comparison.task.front_end.features, comparison.sizes, rng)
    n_columns = 2 * sum(dictionary.n_atoms for dictionary in dictionaries)

    def codes(windows: RawFeatures) -> scipy.sparse.csr_array:
        features = code(windows, dictionaries, comparison.sizes.n_nonzero)
        rows, slots = np.nonzero(features.columns >= 0)
        entries = features.values[rows, slots], (rows, features.columns[rows, slots])
        sparse = scipy.sparse.csr_array(entries, shape=(len(features.columns), n_columns))
        return scipy.sparse.hstack([sparse, scipy.sparse.csr_array(features.dense)], format="csr")

    return codes


def waves_of(paths: SpanPaths, stretches: Sequence[Stretch], cases: Sequence[Case], task: Task) -> dict[int, Spans]:
    """Return the reported states of each record as waves; those cut by an end of their stretch as the task says."""
    bounds = np.concatenate([[0], np.cumsum([len(stretch.example.times) for stretch in stretches])])
    rows: dict[int, list[Row]] = {s.record: [] for s in stretches}
    for start, stop, state, k in zip(paths.start, paths.stop, paths.state, paths.sequence, strict=True):
        label = int(task.label_of_state[state])
        cut = np.array([start == bounds[k], stop == bounds[k + 1] - 1])
        if label < 0 or (cut & ~task.may_be_cut[:, state]).any():
            continue
        stretch, recording = stretches[k], cases[stretches[k].record].recording
        edges = stretch.example.times[[start - bounds[k], stop - bounds[k]]] * recording.fs
        onset, offset = (np.floor(edges + 0.5).astype(int) + stretch.first).tolist()
        samples = recording.signals[:, stretch.channel]
        peak = int(farthest_from_chord(samples, onset, offset)) if task.point == "peak" else -1
        rows[stretch.record].append((onset, peak, offset, label, stretch.channel, np.nan))
    return {record: spans_of(found, cases[record], task) for record, found in rows.items()}


def spans_of(rows: Sequence[Row], case: Case, task: Task) -> Spans:
    return Spans.from_rows(rows, fs=case.recording.fs, channels=case.recording.channels, classes=task.labels)


def maxima(heights: NDArray[np.float64], thresholds: NDArray[np.float64]) -> list[int]:
    """Return the candidates at which a signal turns down, after a rise and before a fall of some size.

    Parameters
    ----------
    heights : ndarray of float64, shape (n_candidates,)
        Signal at each candidate.
    thresholds : ndarray of float64, shape (n_candidates,)
        How far a maximum exceeds the lowest candidate since the maximum before, and some candidate up to the next one.
    """
    found = []
    low, top = np.inf, -1
    for k, height in enumerate(heights):
        if top < 0:
            low = min(low, height)
            top = k if height - low > thresholds[k] else -1
        elif height > heights[top]:
            top = k
        elif heights[top] - height > thresholds[top]:
            found.append(top)
            low, top = height, -1
    return found


def rule_breaths(cases: Sequence[Case], leads: Sequence[str]) -> dict[float, dict[int, Spans]]:
    """Return the breaths that the rule finds at each share: inspirations that end at its `maxima`."""
    segmenter, label = RESPIRATION.front_end.segmenter, RESPIRATION.labels.index("inspiration")
    rows: dict[float, dict[int, list[Row]]] = {share: {k: [] for k in range(len(cases))} for share in SHARES}
    for record, case in enumerate(cases):
        for channel, first, lead in leads_of(case, leads):
            resampler, stream = segmenter.resampler.open(fs=lead.fs), segmenter.open_lead()
            signal = np.concatenate([resampler.push(lead.samples), resampler.flush()])
            found = [stream.push(signal), stream.flush()]
            positions = np.concatenate([part.position for part in found])
            scale = np.concatenate([part.running_scale for part in found])
            offsets = np.floor(positions * float(resampler.ratio) + 0.5).astype(int) + first
            for share in SHARES:
                at = maxima(signal[positions], share * scale)
                rows[share][record] += [(-1, -1, offset, label, channel, np.nan) for offset in offsets[at].tolist()]
    return {
        share: {record: spans_of(found, cases[record], RESPIRATION) for record, found in of_share.items()}
        for share, of_share in rows.items()
    }


def choose_by_rule(
    cases: Sequence[Case], fold_of: Sequence[int], leads: Sequence[str], comparison: Comparison
) -> dict[int, Spans]:
    """Return the breaths of every record at the share that is best for the other folds."""
    at_share = rule_breaths(cases, leads)
    goal = next(iter(comparison.tables.values()))[0]
    chosen: dict[int, Spans] = {}
    for fold in sorted(set(fold_of)):
        seen = [record for record, own in enumerate(fold_of) if own != fold]
        goals = {share: goal.of(scored(comparison, cases, at_share[share], leads, seen)) for share in SHARES}
        share = max(SHARES, key=goals.__getitem__)
        print(
            f"Rule for fold {fold + 1}: {share:g} of the running scale, {goal.name} {goals[share]:.2f} on the others."
        )
        chosen |= {record: at_share[share][record] for record in range(len(cases)) if fold_of[record] == fold}
    return chosen


def cross_validate(
    comparison: Comparison,
    cases: Sequence[Case],
    stretches: Sequence[Stretch],
    fold_of: Sequence[int],
    options: argparse.Namespace,
) -> dict[str, dict[int, Spans]]:
    """Return the out-of-fold waves of every record by each structure."""
    begin, found = time.monotonic(), {name: {} for name in STRUCTURES}
    grammar = comparison.task.grammar
    for fold in range(options.folds):
        prefix = f"fold {fold + 1} of {options.folds}"
        seen = [s for s in stretches if fold_of[s.record] != fold and s.feasible]
        unseen = [s for s in stretches if fold_of[s.record] == fold]
        say(f"{prefix}: dictionaries", begin)
        codes = coder(seen, comparison, options.seed)
        training, test = stacked(seen, codes), stacked(unseen, codes)
        for name, kind in STRUCTURES.items():
            estimator = kind(grammar, l2=options.l2, max_iter=options.max_iter, n_jobs=options.jobs)

            def progress(_: str, done: int, total: int, what: str = f"{prefix}: {name}") -> None:
                if done % 20 == 0:
                    say(f"{what}, step {done} of at most {total}", begin)

            estimator.fit(training.X, training.allowed, training.lengths, times=training.times, progress=progress)
            n_intervals = len(training.times) - len(training.lengths)
            reached = f"objective {estimator.objective_ / n_intervals:.4f} an interval after {estimator.n_iter_} steps"
            say(f"{prefix}: {name}, {training.X.shape[1]} features, {n_intervals} intervals, {reached}", begin)
            paths = estimator.predict(test.X, test.lengths, times=test.times)
            found[name] |= waves_of(paths, unseen, cases, comparison.task)
    return found


def say(text: str, begin: float) -> None:
    print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)


def scored(
    comparison: Comparison,
    cases: Sequence[Case],
    waves: dict[int, Spans],
    leads: Sequence[str],
    records: Sequence[int] | None = None,
) -> Score:
    """Score the waves of one method in some records, by default in all; those without any stretch have none."""
    used = range(len(cases)) if records is None else records
    labelled = [(cases[k].annotation, waves.get(k, spans_of([], cases[k], comparison.task))) for k in used]
    return comparison.score(labelled, [cases[k].subject for k in used], leads)


def print_tables(comparison: Comparison, scores: dict[str, Score], seed: int) -> None:
    """Print a row for each figure, and where the order is not the expected one."""
    methods, otherwise = comparison.methods, []
    for title, figures in comparison.tables.items():
        header = [f"{better} − {worse} (95 %)" for better, worse in comparison.expected]
        print(f"\n| {title} | {' | '.join(methods)} | {' | '.join(header)} | order |")
        print("|---" * (len(methods) + len(header) + 2) + "|")
        for figure in figures:
            differences = [
                bootstrap_difference(scores[better], scores[worse], figure.of, seed=seed)
                for better, worse in comparison.expected
            ]
            signs = [sign(difference, figure) for difference in differences]
            order = in_words(comparison.expected, signs)
            if set(signs) != {">"}:
                otherwise.append(f"{figure.name} ({title}): {order}")
            cells = [f"{figure.of(scores[name]):.2f}" for name in methods]
            cells += [f"{d.difference:+.2f} ({d.low:+.2f} to {d.high:+.2f})" for d in differences]
            print(f"| {figure.name} | {' | '.join(cells)} | {order} |")
    for figure in comparison.asides:
        print(f"\n{figure.name}: {', '.join(f'{name} {figure.of(scores[name]):.3f}' for name in methods)}.")
    expected = in_words(comparison.expected, [">"] * len(comparison.expected))
    if otherwise:
        print(f"\nExpected {expected}. Otherwise (≈: the 95 % interval holds zero): {'; '.join(otherwise)}.")
    else:
        print(f"\nAs expected, {expected} in every row.")


def sign(difference: BootstrapDifference, figure: Figure) -> str:
    """Return how the better method by expectation compares with the worse one; ">" means better."""
    ahead, behind = difference.low > 0, difference.high < 0
    if not figure.higher_is_better:
        ahead, behind = behind, ahead
    return ">" if ahead else "<" if behind else "≈"


def in_words(pairs: Sequence[tuple[str, str]], signs: Sequence[str]) -> str:
    """Return pairs and the signs between them, those that continue each other as one chain."""
    text, last = "", None
    for (first, second), between in zip(pairs, signs, strict=True):
        text += f" {between} {second}" if first == last else f"{', ' if text else ''}{first} {between} {second}"
        last = second
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds the folders of the data sets")
    parser.add_argument("dataset", nargs="?", choices=COMPARISONS, default="ludb", help="default: %(default)s")
    leads_help = ", ".join(f"{comparison.leads} of {name}" for name, comparison in COMPARISONS.items())
    parser.add_argument("--leads", help=f"default: {leads_help}")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--records", type=int, help="use only so many records, evenly spread (default: all)")
    parser.add_argument("--max-iter", type=int, default=100, help="steps of L-BFGS (default: %(default)s)")
    parser.add_argument("--l2", type=float, default=1.0, help="weight of the penalty (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="threads of the inference (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    comparison = COMPARISONS[options.dataset]
    leads = (options.leads or comparison.leads).lower().split(",")
    cases, version = cases_of(comparison, options.data, options.records)
    fold_of = split(cases, options.folds, options.seed)
    stretches = stretches_of(cases, leads, comparison.task)
    left_out = sum(not stretch.feasible for stretch in stretches)
    name = options.dataset.upper()
    print(f"{name} {version}, {len(cases)} records, leads {', '.join(leads)}: {len(stretches)} stretches.")
    print(f"{left_out} agree with no labelling of the grammar and are left out of training, for all structures.")
    found = {RULE: choose_by_rule(cases, fold_of, leads, comparison)} if comparison.with_rule else {}
    found |= cross_validate(comparison, cases, stretches, fold_of, options)
    scores = {method: scored(comparison, cases, waves, leads) for method, waves in found.items()}
    print_tables(comparison, scores, options.seed)


def cases_of(comparison: Comparison, data: Path, count: int | None = None) -> tuple[list[Case], str]:
    """Return so many records of a data set, evenly spread, or all; and its version."""
    name = comparison.loader.database
    dataset = comparison.loader(data / name)
    count = min(count or len(dataset.records), len(dataset.records))
    chosen = [dataset.records[k * len(dataset.records) // count] for k in range(count)]
    return [Case(name, record, *dataset.load(record), dataset.stratum(record)) for record in chosen], dataset.version


if __name__ == "__main__":
    main()
