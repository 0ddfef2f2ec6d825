"""Independent labels, a linear chain and a span CRF on the same codes and folds: prints the tables of the README.

Run from the repository root: python experiments/structures/compare.py ../shared/data
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from data_loaders import Ludb
from mhealth._kernels._waves import farthest_from_chord
from mhealth.cli._evaluate import split
from mhealth.cli._training import Case
from mhealth.core import Spans
from mhealth.crf import ECG_GRAMMAR, IndependentCRF, LinearChainCRF, SpanCRF, SpanPaths, SpanStructure
from mhealth.errors import AnnotationError
from mhealth.labeling import TrainingSettings
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import Example, examples, lead_cases
from mhealth.labeling._features import RawFeatures, code
from mhealth.labeling._training import learn_dictionaries
from mhealth.metrics import BootstrapDifference, DelineationScore, bootstrap_difference, score_delineation

STRUCTURES = {"independent": IndependentCRF, "chain": LinearChainCRF, "span": SpanCRF}
"""In the order in which they are expected to get better."""

WAVES = tuple(label for _, label in ECG_GRAMMAR.reported)
TOLERANCES: tuple[Literal["150ms", "tight"], ...] = ("150ms", "tight")
SETTINGS = TrainingSettings()  # of which only the sizes of the dictionaries count here
DICTIONARY_STRETCHES = 80
"""Stretches that dictionaries are learned from: some 200 windows an atom."""


Estimator = IndependentCRF | LinearChainCRF | SpanCRF


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


def stretches_of(cases: Sequence[Case], leads: Sequence[str]) -> list[Stretch]:
    """Return what `EcgLabeler.fit` learns from, without augmented copies, of some leads."""
    found = []
    for record, case in enumerate(cases):
        lead_names = [name.lower() for name in case.recording.channels]
        for row, lead in zip(case.annotation.annotated, lead_cases(case.recording, case.annotation), strict=True):
            if lead_names[row[0]] not in leads:
                continue
            for example in examples(lead, ECG):
                found.append(
                    Stretch(
                        record=record,
                        channel=int(row[0]),
                        first=int(row[1]) - lead.annotated[0],
                        example=example,
                        feasible=is_feasible(example),
                    )
                )
    return found


def is_feasible(example: Example) -> bool:
    """Return whether some labelling into spans agrees with the marks; then one of a chain does, too."""
    structure = SpanStructure(grammar=ECG_GRAMMAR)
    unary = np.zeros((len(example.times), len(structure.kinds) * ECG_GRAMMAR.n_states), np.float32)
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


def coder(training: Sequence[Stretch], seed: int) -> Callable[[RawFeatures], scipy.sparse.csr_array]:
    """Learn dictionaries without labels; return what gives candidates their codes, signs apart, and the rhythm."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(training))[:DICTIONARY_STRETCHES]
    raw = [training[k].example.raw for k in drawn]
    dictionaries = learn_dictionaries(raw, ECG.front_end.features, SETTINGS, rng)
    n_columns = 2 * sum(dictionary.n_atoms for dictionary in dictionaries)

    def codes(windows: RawFeatures) -> scipy.sparse.csr_array:
        features = code(windows, dictionaries, SETTINGS.n_nonzero)
        rows, slots = np.nonzero(features.columns >= 0)
        entries = features.values[rows, slots], (rows, features.columns[rows, slots])
        sparse = scipy.sparse.csr_array(entries, shape=(len(features.columns), n_columns))
        return scipy.sparse.hstack([sparse, scipy.sparse.csr_array(features.dense)], format="csr")

    return codes


def waves_of(paths: SpanPaths, stretches: Sequence[Stretch], cases: Sequence[Case]) -> dict[int, Spans]:
    """Return the reported states of each record as waves; those cut by an end of their stretch are left out."""
    bounds = np.concatenate([[0], np.cumsum([len(stretch.example.times) for stretch in stretches])])
    label_of = {ECG_GRAMMAR.index(state): WAVES.index(label) for state, label in ECG_GRAMMAR.reported}
    rows: dict[int, list[tuple[int, int, int, int, int, float]]] = {s.record: [] for s in stretches}
    for start, stop, state, k in zip(paths.start, paths.stop, paths.state, paths.sequence, strict=True):
        if int(state) not in label_of or start == bounds[k] or stop == bounds[k + 1] - 1:
            continue
        stretch, recording = stretches[k], cases[stretches[k].record].recording
        edges = stretch.example.times[[start - bounds[k], stop - bounds[k]]] * recording.fs
        onset, offset = (np.floor(edges + 0.5).astype(int) + stretch.first).tolist()
        peak = int(farthest_from_chord(recording.signals[:, stretch.channel], onset, offset))
        rows[stretch.record].append((onset, peak, offset, label_of[int(state)], stretch.channel, np.nan))
    return {
        record: Spans.from_rows(
            found, fs=cases[record].recording.fs, channels=cases[record].recording.channels, classes=WAVES
        )
        for record, found in rows.items()
    }


def cross_validate(
    cases: Sequence[Case], stretches: Sequence[Stretch], options: argparse.Namespace
) -> dict[str, dict[int, Spans]]:
    """Return the out-of-fold waves of every record by each structure."""
    fold_of = split(cases, options.folds, options.seed)
    begin, found = time.monotonic(), {name: {} for name in STRUCTURES}
    for fold in range(options.folds):
        prefix = f"fold {fold + 1} of {options.folds}"
        seen = [s for s in stretches if fold_of[s.record] != fold and s.feasible]
        unseen = [s for s in stretches if fold_of[s.record] == fold]
        say(f"{prefix}: dictionaries", begin)
        codes = coder(seen, options.seed)
        training, test = stacked(seen, codes), stacked(unseen, codes)
        for name, kind in STRUCTURES.items():
            estimator = kind(l2=options.l2, max_iter=options.max_iter, n_jobs=options.jobs)

            def progress(_: str, done: int, total: int, what: str = f"{prefix}: {name}") -> None:
                if done % 20 == 0:
                    say(f"{what}, step {done} of at most {total}", begin)

            estimator.fit(training.X, training.allowed, training.lengths, times=training.times, progress=progress)
            n_intervals = len(training.times) - len(training.lengths)
            reached = f"objective {estimator.objective_ / n_intervals:.4f} an interval after {estimator.n_iter_} steps"
            say(f"{prefix}: {name}, {training.X.shape[1]} features, {n_intervals} intervals, {reached}", begin)
            found[name] |= waves_of(estimator.predict(test.X, test.lengths, times=test.times), unseen, cases)
    return found


def say(text: str, begin: float) -> None:
    print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)


def scored(cases: Sequence[Case], waves: dict[int, Spans], leads: Sequence[str]) -> DelineationScore:
    """Score the waves of one structure; records without any stretch have none."""
    pairs = []
    for record, case in enumerate(cases):
        nothing = Spans.empty(fs=case.recording.fs, channels=case.recording.channels, classes=WAVES)
        pairs.append((case.annotation, waves.get(record, nothing)))
    return score_delineation(pairs, subjects=[case.subject for case in cases], channels=leads)


def print_tables(scores: dict[str, DelineationScore], seed: int) -> None:
    """Print a row for macro and each wave at each tolerance, and where the order is not the expected one."""
    names = list(STRUCTURES)
    steps = list(pairwise(names))[::-1]
    otherwise = []
    for tolerance in TOLERANCES:
        header = [f"{better} − {worse} (95 %)" for worse, better in steps]
        print(f"\n| F1, {tolerance} | {' | '.join(names)} | {' | '.join(header)} | order |")
        print("|---" * (len(names) + len(steps) + 2) + "|")
        for row in ("macro", *WAVES):

            def figure(score: DelineationScore, row: str = row, tolerance: str = tolerance) -> float:
                return score.macro(tolerance) if row == "macro" else score.f1(row, tolerance)

            differences = [bootstrap_difference(scores[b], scores[w], figure, seed=seed) for w, b in steps]
            order = names[-1] + "".join(f" {sign(d)} {worse}" for (worse, _), d in zip(steps, differences, strict=True))
            if "≈" in order or "<" in order:
                otherwise.append(f"{row} at {tolerance}: {order}")
            cells = [f"{figure(scores[name]):.2f}" for name in names]
            cells += [f"{d.difference:+.2f} ({d.low:+.2f} to {d.high:+.2f})" for d in differences]
            print(f"| {row} | {' | '.join(cells)} | {order} |")
    false = ", ".join(f"{name} {score.false_p_per_beat:.3f}" for name, score in scores.items())
    print(f"\nFalse P waves per beat on leads without P waves: {false}.")
    expected = " > ".join(names[::-1])
    if otherwise:
        print(f"Expected {expected}. Otherwise (≈: the 95 % interval holds zero): {'; '.join(otherwise)}.")
    else:
        print(f"As expected, {expected} in every row.")


def sign(difference: BootstrapDifference) -> str:
    """Return how the better structure by expectation compares with the worse one."""
    return ">" if difference.low > 0 else "<" if difference.high < 0 else "≈"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds ludb/")
    parser.add_argument("--leads", default="ii,v2,v5,avl", help="default: %(default)s")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--records", type=int, help="use only so many records, evenly spread (default: all)")
    parser.add_argument("--max-iter", type=int, default=100, help="steps of L-BFGS (default: %(default)s)")
    parser.add_argument("--l2", type=float, default=1.0, help="weight of the penalty (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="threads of the inference (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    ludb, leads = Ludb(options.data / "ludb"), options.leads.lower().split(",")
    count = min(options.records or len(ludb.records), len(ludb.records))
    chosen = [ludb.records[k * len(ludb.records) // count] for k in range(count)]
    cases = [Case("ludb", name, *ludb.load(name), ludb.stratum(name)) for name in chosen]
    stretches = stretches_of(cases, leads)
    left_out = sum(not stretch.feasible for stretch in stretches)
    print(f"LUDB {ludb.version}, {len(cases)} records, leads {', '.join(leads)}: {len(stretches)} stretches.")
    print(f"{left_out} agree with no labelling of the grammar and are left out of training, for all structures.")
    found = cross_validate(cases, stretches, options)
    print_tables({name: scored(cases, waves, leads) for name, waves in found.items()}, options.seed)


if __name__ == "__main__":
    main()
