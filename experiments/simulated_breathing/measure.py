"""Breaths and pauses found in simulated belts: prints the tables of the README.

Run from the repository root: python experiments/simulated_breathing/measure.py [--model respiration] [--belts 12]
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from mhealth.core import Spans
from mhealth.labeling import BreathLabeler, load
from mhealth.metrics import score_breaths
from mhealth.simulate import random_stretches, synthetic_respiration

FS = 25.0
RATES = ((4, 6), (6, 10), (10, 20), (20, 35), (35, 50), (50, 70))
SECONDS, SECONDS_WITH_PAUSES = 240.0, 600.0
PAUSES_PER_HOUR = 20
WEARS = {"clean": {}, "worn": {"noise": 0.02, "drift": 0.2}, "worn badly": {"noise": 0.05, "drift": 0.5}}
"""White noise, and drift slower than 0.05 Hz: standard deviations as shares of a breath."""


class Pauses(NamedTuple):
    """What became of pauses of 10 to 60 s: how many there were, were found, and were made up, and the hours."""

    n_true: int
    found: int
    false: int
    hours: float


def overlaps(span: tuple[int, int], others: Spans) -> int:
    """Return the samples that a span shares with the best of others."""
    shared = np.minimum(span[1], others.offset) - np.maximum(span[0], others.onset)
    return int(shared.max(initial=0))


def breaths(labeler: BreathLabeler, rates: tuple[float, float], n_belts: int, **wear: float) -> tuple[float, float]:
    """Return F1 at 0.5 s and the error of the number of breaths, in per cent, of belts with rates in a range."""
    cases = []
    for seed in range(n_belts):
        rate = float(np.random.default_rng(900 + seed).uniform(*rates))
        belt, truth = synthetic_respiration(fs=FS, duration=SECONDS, rate=rate, seed=1000 + seed, **wear)
        cases.append((truth, labeler.label(belt)))
    scores = score_breaths(cases)
    return scores.f1(0.5), scores.count_error


def pauses(labeler: BreathLabeler, n_belts: int, **wear: float) -> Pauses:
    """Count pauses, of which half or more was called one, and called ones that meet none."""
    n_true = found = false = 0
    for seed in range(n_belts):
        stretches = random_stretches(SECONDS_WITH_PAUSES, per_hour=PAUSES_PER_HOUR, seed=seed)
        rate = float(np.random.default_rng(50 + seed).uniform(6, 30))
        belt, truth = synthetic_respiration(
            fs=FS, duration=SECONDS_WITH_PAUSES, rate=rate, seed=2000 + seed, pauses=stretches, **wear
        )
        true, called = truth.spans.of(label="pause"), labeler.label(belt).of(label="pause")
        for onset, offset in zip(true.onset.tolist(), true.offset.tolist(), strict=True):
            n_true += 1
            found += overlaps((onset, offset), called) >= (offset - onset) / 2
        edges = zip(called.onset.tolist(), called.offset.tolist(), strict=True)
        false += sum(overlaps(span, true) <= 0 for span in edges)
    return Pauses(n_true, found, false, n_belts * SECONDS_WITH_PAUSES / 3600)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="respiration", help="name of a shipped model, or the path of one")
    parser.add_argument("--belts", type=int, default=40, help="simulated belts of four minutes for each range of rates")
    options = parser.parse_args(arguments)
    labeler = load(options.model)
    print(f"| breaths a minute | {' | '.join(f'{name}: F1 at 0.5 s, error of their number' for name in WEARS)} |")
    print("|---" * (1 + len(WEARS)) + "|")
    for rates in RATES:
        cells = [breaths(labeler, rates, options.belts, **wear) for wear in WEARS.values()]
        print(f"| {rates[0]} to {rates[1]} | {' | '.join(f'{f1:.1f}, {error:.1f} %' for f1, error in cells)} |")
    print("\n| pauses of 10 to 60 s | found | false an hour |\n|---|---|---|")
    for name, wear in WEARS.items():
        count = pauses(labeler, 2 * options.belts, **wear)
        share = f"{count.found} of {count.n_true}, {100 * count.found / max(1, count.n_true):.1f} %"
        print(f"| {name} | {share} | {count.false / count.hours:.2f} |")


if __name__ == "__main__":
    main()
