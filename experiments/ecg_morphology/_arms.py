"""What each arm finds in the records that it was not trained on."""

from __future__ import annotations

from typing import Any

from experiments._arms import labeler
from experiments._experiment import Run
from experiments._ludb import ground, learned
from experiments._peers import delineate
from experiments._spans import Rows, as_rows
from experiments._structures import STRUCTURES, coder, stacked, stretches_of, waves_of
from experiments.ecg_morphology._curves import histograms
from mhealth.labeling import TrainingSettings
from mhealth.labeling._ecg_task import ECG

__all__ = ["by_labeler", "by_peer", "by_structures"]


def by_structures(run: Run, fold: int) -> dict[str, dict[str, Any]]:
    """Return waves of a fold, and time by probability, of three structures on the same codes.

    Dictionaries and weights are learned from the other folds. A stretch whose marks agree with no labelling of the
    grammar is left out of training, for all three, and tested on like any other.
    """
    given, settings = ground(run), run.settings
    stretches = run.once("stretches", lambda: stretches_of(given.cases, settings["leads"], ECG))
    seen = [stretch for stretch in stretches if given.fold[stretch.record] != fold and stretch.feasible]
    unseen = [stretch for stretch in stretches if given.fold[stretch.record] == fold]
    codes = coder(seen, ECG, TrainingSettings(**settings["dictionaries"]), run.seed)
    training, test = stacked(seen, codes), stacked(unseen, codes)
    left = {}
    for name, kind in STRUCTURES.items():
        estimator = kind(ECG.grammar, l2=settings["l2"], max_iter=settings["max_iter"])
        estimator.fit(
            training.X, training.allowed, training.lengths, times=training.times,
            progress=lambda _, done, total, name=name: run.progress(name, done, total),
        )  # fmt: skip
        paths = estimator.predict(test.X, test.lengths, times=test.times)
        occupancy = estimator.predict_marginals(test.X, test.lengths, times=test.times)
        found = waves_of(paths, unseen, given.cases, ECG, occupancy)
        left[name] = {
            "waves": {given.cases[record].name: as_rows(spans) for record, spans in found.items()},
            "time": histograms(occupancy, test.allowed, test.times, test.lengths, ECG),
            "iterations": estimator.n_iter_,
        }
    return left


def by_labeler(run: Run, arm: str, fold: int) -> dict[str, Rows]:
    """Return what a labeler that learned from the other folds finds in a fold, each lead on its own."""
    given = ground(run)
    cases = given.training(fold)
    n_leads = len(cases) * len(run.settings["leads"])
    trained = learned(labeler(arm, n_leads, given.noise, seed=run.seed, **run.settings["training"]), cases, run)
    return {case.name: as_rows(trained.label(case.recording)) for case in given.tested(fold)}


def by_peer(run: Run, arm: str) -> dict[str, Rows]:
    """Return what a delineator by rules finds in all records."""
    cases = ground(run).cases
    found = delineate(arm, [case.recording for case in cases], run.progress)
    return {case.name: as_rows(spans) for case, spans in zip(cases, found, strict=True)}
