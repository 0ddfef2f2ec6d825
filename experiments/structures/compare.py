"""A rule, independent labels, a linear chain and a span CRF on the same breaths and folds: prints the README's table.

python -m experiments.structures.compare ../shared/data
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_loaders import Bidmc
from experiments._structures import STRUCTURES, Row, Stretch, coder, leads_of, spans_of, stacked, stretches_of, waves_of
from mhealth.cli._evaluate import split
from mhealth.cli._training import Case
from mhealth.core import Spans
from mhealth.labeling import TrainingSettings
from mhealth.labeling._breath_task import RESPIRATION
from mhealth.metrics import BootstrapDifference, BreathScores, bootstrap_difference, score_breaths

RULE = "rule"
"""What needs candidates only, see `maxima`."""

METHODS = (RULE, *STRUCTURES)
EXPECTED = (("span", "chain"), ("span", "independent"), ("span", RULE))
"""Pairs (better, worse)."""

SHARES = tuple(k / 20 for k in range(1, 20))
"""Shares of the running scale, which is the usual range of the signal, among which the rule chooses."""

SIZES = TrainingSettings(n_atoms=32, n_nonzero=4)
CHANNELS = ("resp",)


class Figure(NamedTuple):
    """A row of the table."""

    name: str
    of: Callable[[BreathScores], float]
    higher_is_better: bool = True


FIGURES = (
    Figure("F1, 0.5 s", lambda score: score.f1(0.5)),
    Figure("F1, 1 s", lambda score: score.f1(1.0)),
    Figure("error of their number", lambda score: score.count_error, higher_is_better=False),
)
"""The share of the rule is chosen by the first one."""


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


def rule_breaths(cases: Sequence[Case]) -> dict[float, dict[int, Spans]]:
    """Return the breaths that the rule finds at each share: inspirations that end at its `maxima`."""
    segmenter, label = RESPIRATION.front_end.segmenter, RESPIRATION.labels.index("inspiration")
    rows: dict[float, dict[int, list[Row]]] = {share: {k: [] for k in range(len(cases))} for share in SHARES}
    for record, case in enumerate(cases):
        for channel, first, lead in leads_of(case, CHANNELS):
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
        share: {record: spans_of(found, cases[record], RESPIRATION.labels) for record, found in of_share.items()}
        for share, of_share in rows.items()
    }


def choose_by_rule(cases: Sequence[Case], fold_of: Sequence[int]) -> dict[int, Spans]:
    """Return the breaths of every record at the share that is best for the other folds."""
    at_share, goal = rule_breaths(cases), FIGURES[0]
    chosen: dict[int, Spans] = {}
    for fold in sorted(set(fold_of)):
        seen = [record for record, own in enumerate(fold_of) if own != fold]
        goals = {share: goal.of(scored(cases, at_share[share], seen)) for share in SHARES}
        share = max(SHARES, key=goals.__getitem__)
        print(
            f"Rule for fold {fold + 1}: {share:g} of the running scale, {goal.name} {goals[share]:.2f} on the others."
        )
        chosen |= {record: at_share[share][record] for record in range(len(cases)) if fold_of[record] == fold}
    return chosen


def cross_validate(
    cases: Sequence[Case], stretches: Sequence[Stretch], fold_of: Sequence[int], options: argparse.Namespace
) -> dict[str, dict[int, Spans]]:
    """Return the out-of-fold breaths of every record by each structure."""
    begin, found = time.monotonic(), {name: {} for name in STRUCTURES}
    for fold in range(options.folds):
        prefix = f"fold {fold + 1} of {options.folds}"
        seen = [s for s in stretches if fold_of[s.record] != fold and s.feasible]
        unseen = [s for s in stretches if fold_of[s.record] == fold]
        say(f"{prefix}: dictionaries", begin)
        codes = coder(seen, RESPIRATION, SIZES, options.seed)
        training, test = stacked(seen, codes), stacked(unseen, codes)
        for name, kind in STRUCTURES.items():
            estimator = kind(RESPIRATION.grammar, l2=options.l2, max_iter=options.max_iter, n_jobs=options.jobs)
            estimator.fit(training.X, training.allowed, training.lengths, times=training.times)
            n_intervals = len(training.times) - len(training.lengths)
            reached = f"objective {estimator.objective_ / n_intervals:.4f} an interval after {estimator.n_iter_} steps"
            say(f"{prefix}: {name}, {training.X.shape[1]} features, {n_intervals} intervals, {reached}", begin)
            paths = estimator.predict(test.X, test.lengths, times=test.times)
            found[name] |= waves_of(paths, unseen, cases, RESPIRATION)
    return found


def say(text: str, begin: float) -> None:
    print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)


def scored(cases: Sequence[Case], breaths: dict[int, Spans], records: Sequence[int] | None = None) -> BreathScores:
    """Score the breaths of one method in some records, by default in all; those without any stretch have none."""
    used = range(len(cases)) if records is None else records
    labelled = [
        (cases[k].annotation, breaths[k] if k in breaths else spans_of([], cases[k], RESPIRATION.labels)) for k in used
    ]
    return score_breaths(labelled, subjects=[cases[k].subject for k in used])


def print_table(scores: dict[str, BreathScores], seed: int) -> None:
    """Print a row for each figure, with differences."""
    header = [f"{better} − {worse} (95 %)" for better, worse in EXPECTED]
    print(f"\n| ends of inspiration | {' | '.join(METHODS)} | {' | '.join(header)} | order |")
    print("|---" * (len(METHODS) + len(header) + 2) + "|")
    for figure in FIGURES:
        differences = [
            bootstrap_difference(scores[better], scores[worse], figure.of, seed=seed) for better, worse in EXPECTED
        ]
        signs = (
            f"{better} {sign(difference, figure)} {worse}"
            for (better, worse), difference in zip(EXPECTED, differences, strict=True)
        )
        cells = [f"{figure.of(scores[name]):.2f}" for name in METHODS]
        cells += [f"{d.difference:+.2f} ({d.low:+.2f} to {d.high:+.2f})" for d in differences]
        print(f"| {figure.name} | {' | '.join(cells)} | {', '.join(signs)} |")


def sign(difference: BootstrapDifference, figure: Figure) -> str:
    """Return how the first method compares with the second; ">" means better, "≈" that the interval holds zero."""
    ahead, behind = difference.low > 0, difference.high < 0
    if not figure.higher_is_better:
        ahead, behind = behind, ahead
    return ">" if ahead else "<" if behind else "≈"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds bidmc/")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--records", type=int, help="use only so many records, evenly spread (default: all)")
    parser.add_argument("--max-iter", type=int, default=100, help="steps of L-BFGS (default: %(default)s)")
    parser.add_argument("--l2", type=float, default=1.0, help="weight of the penalty (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="threads of the inference (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    cases, version = cases_of(options.data, options.records)
    fold_of = split(cases, options.folds, options.seed)
    stretches = stretches_of(cases, CHANNELS, RESPIRATION)
    left_out = sum(not stretch.feasible for stretch in stretches)
    print(f"BIDMC {version}, {len(cases)} records: {len(stretches)} stretches.")
    print(f"{left_out} agree with no labelling of the grammar and are left out of training, for all structures.")
    found = {RULE: choose_by_rule(cases, fold_of)} | cross_validate(cases, stretches, fold_of, options)
    print_table({method: scored(cases, breaths) for method, breaths in found.items()}, options.seed)


def cases_of(data: Path, count: int | None = None) -> tuple[list[Case], str]:
    """Return so many records, evenly spread, or all; and the version of the data set."""
    dataset = Bidmc(data / "bidmc")
    count = min(count or len(dataset.records), len(dataset.records))
    chosen = [dataset.records[k * len(dataset.records) // count] for k in range(count)]
    return [Case("bidmc", record, *dataset.load(record), dataset.stratum(record)) for record in chosen], dataset.version


if __name__ == "__main__":
    main()
