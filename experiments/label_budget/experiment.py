"""Accuracy against the number of labelled subjects, with and without the recordings of the others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from experiments._experiment import Experiment, Outcome, Run, Step
from experiments._ludb import LEADS

__all__ = ["EXPERIMENT"]

DECIDES = ("records", "leads", "folds", "training")
"""Settings that decide what a fit leaves, beside what its name says."""


def steps(run: Run) -> list[Step]:
    """Return a step a fit."""
    from experiments.label_budget._design import ARMS, Fit, fits
    from experiments.label_budget._fits import carry_out

    settings = dict(run.settings)

    def decides(fit: Fit) -> dict[str, Any]:
        arm = ARMS[fit.arm]
        active, everybody = ("subjects", "start") if arm.active else (), ("sources",) if fit.subjects is None else ()
        names = (*DECIDES, *active, *everybody)  # active choice goes from one number to the next
        return {"of": arm._asdict() | fit._asdict()} | {name: settings[name] for name in names}

    return [Step(fit.name, partial(carry_out, fit), decides(fit)) for fit in fits(settings)]


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return accuracies and gains."""
    from experiments.label_budget import _summary

    return _summary.conclude(run, left)


EXPERIMENT = Experiment(
    name="label_budget",
    question=(
        "How many people must an expert label, and do recordings without labels, taught labels or a choice of whom to "
        "label next make it fewer?"
    ),
    expectation=(
        "One draw of subjects with 5 or more was measured before: networks are ahead of sparse codes from 5 subjects "
        "on. So they are with 1 and 2, by more. A dictionary of all recordings gains 1 point with 1 and 2 subjects and "
        "nothing from 10 on, since codes are refined by labels. A U-Net's labels of the other recordings bring sparse "
        "codes half of the way to it with 5 and 10 subjects; their own labels bring nothing. The least certain "
        "subjects first gain 0.5 points with 10 and 20: rare rhythms come earlier."
    ),
    datasets=("ludb", "nstdb", "qtdb", "mitdb"),
    settings={
        "records": None,
        "leads": list(LEADS),
        "folds": 5,
        "tested": [0, 1],
        "subjects": [1, 2, 5, 10, 20, 40, None],
        "start": 5,
        "draws": 3,
        "network_draws": 1,
        "networks": True,
        "sources": ["mitdb", "qtdb"],
        "training": {},
        "n_resamples": 1000,
    },
    quick={
        "records": 16,
        "leads": ["ii", "v5"],
        "folds": 4,
        "tested": [0],
        "subjects": [1, 3, 6, None],
        "start": 3,
        "draws": 1,
        "networks": False,
        "sources": [],
        "training": {
            "n_atoms": 24,
            "n_first": 32,
            "n_second": 16,
            "fewest_steps": 120,
            "n_augmented": 0,
            "batch_size": 8,
        },
        "n_resamples": 100,
    },
    steps=steps,
    conclude=conclude,
    # Of networks another rounding, let alone another processor, makes another network: two seeds differ by 0.5 points.
    tolerance={"*unet*": 1.0, "*tcn*": 1.0, "*": 0.5},
    headline=(
        *(f"f1.{arm}.{n}.150ms" for arm in ("sparse", "unet", "tcn") for n in (1, 5, 20, "all")),
        *(f"gain.sparse-dictionary.{n}.150ms" for n in (1, 5, 20)),
        *(f"gain.{arm}.{n}.150ms" for arm in ("sparse-active", "sparse-by-sparse", "sparse-by-unet") for n in (10, 20)),
        *(
            f"elsewhere.{arm}.{source}.{tested}.150ms"
            for arm in ("sparse-by-unet", "tcn-by-unet")
            for source in ("mitdb", "qtdb")
            for tested in ("ludb", "qtdb")
        ),
    ),
)
