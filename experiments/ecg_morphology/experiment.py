"""Structures, networks and rules on the same folds of LUDB."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from experiments._arms import missing
from experiments._experiment import Experiment, Outcome, Run, Step
from experiments._spans import Rows

__all__ = ["EXPERIMENT"]

STRUCTURES = ("independent", "chain", "span")
"""Of `experiments._structures`, which is not imported for their names."""


def steps(run: Run) -> list[Step]:
    """Return a step a fold for the structures, which share their codes, and for each labeler; and one a peer."""
    folds = range(run.settings["folds"])
    return [
        *(Step(f"structures-{k + 1}", partial(structures, k)) for k in folds),
        *(
            Step(f"{arm}-{k + 1}", partial(labeler, arm, k))
            for arm in run.settings["labelers"]
            if not missing(arm)
            for k in folds
        ),
        *(Step(arm, partial(peer, arm)) for arm in run.settings["peers"] if not missing(arm)),
    ]


def structures(fold: int, run: Run, before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return waves of a fold, and time by probability, of three structures on the same codes."""
    from experiments.ecg_morphology._arms import by_structures

    return by_structures(run, fold)


def labeler(arm: str, fold: int, run: Run, before: Mapping[str, Any]) -> dict[str, Rows]:
    """Return what a labeler that learned from the other folds finds in a fold, each lead on its own."""
    from experiments.ecg_morphology._arms import by_labeler

    return by_labeler(run, arm, fold)


def peer(arm: str, run: Run, before: Mapping[str, Any]) -> dict[str, Rows]:
    """Return what a delineator by rules finds in all records."""
    from experiments.ecg_morphology._arms import by_peer

    return by_peer(run, arm)


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return scores, differences, confusion, groups and curves."""
    from experiments.ecg_morphology._summary import summary

    return summary(run, left)


EXPERIMENT = Experiment(
    name="ecg_morphology",
    question=(
        "Independent labels, a linear chain, spans, networks, rules: which finds which wave of the ECG, what is taken "
        "for what, and in whom?"
    ),
    expectation=(
        "Macro F1 within 150 ms: span 0.3 above chain, chain 2 above independent; sparse codes refined by labels 0.5 "
        "above span, the U-Net 0.5 above them, the TCN equal to them, the best rule 3 below. No differential recall: "
        "P, QRS and T are found equally often, within 3 points, by the span CRF, but not by independent labels, which "
        "lose 10 points of P. Of the time of a P wave 10 % is called nothing, less than 1 % another wave. Areas under "
        "ROC curves exceed 0.98 for every label and structure and hide what precision shows: mean precision of P is "
        "below 0.90. Everybody is worst in atrial fibrillation, with a false P wave in every second beat by rules."
    ),
    datasets=("ludb", "nstdb"),
    settings={
        "records": None,
        "leads": ["ii", "v2", "v5", "v6"],
        "folds": 5,
        "labelers": ["sparse", "tcn", "unet"],
        "peers": ["neurokit2-dwt", "neurokit2-prominence", "prominence-delineator"],
        "dictionaries": {},
        "l2": 1.0,
        "max_iter": 100,
        "training": {},
        "n_resamples": 2000,
    },
    quick={
        "records": 8,
        "leads": ["ii"],
        "folds": 2,
        "labelers": ["sparse"],
        "peers": [],
        "dictionaries": {"n_atoms": 16, "n_nonzero": 3},
        "max_iter": 25,
        "training": {"n_atoms": 16, "n_first": 32, "n_second": 16, "fewest_steps": 150, "n_augmented": 0},
        "n_resamples": 50,
    },
    steps=steps,
    conclude=conclude,
    # Networks settle elsewhere where sums are rounded otherwise; the rest loses or gains a wave or two.
    tolerance={"*unet*": 1.0, "*tcn*": 1.0, "*": 0.3},
    headline=(
        *(
            f"f1.{arm}.{tolerance}.macro"
            for arm in ("independent", "chain", "span", "sparse", "tcn", "unet", "prominence-delineator")
            for tolerance in ("150ms", "tight")
        ),
        *(f"recall.{arm}.range" for arm in ("independent", "chain", "span", "sparse", "tcn", "unet")),
        *(f"time.{arm}.{figure}.P" for arm in STRUCTURES for figure in ("roc", "precision")),
    ),
)
