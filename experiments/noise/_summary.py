"""F1, false waves and what quality control prevents, from the scores of all arms and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments._arms import NAMES, missing
from experiments._experiment import Outcome, Run
from experiments._ludb import unpacked
from experiments._statistics import Estimate, estimate, resampled
from experiments.noise import _figures
from experiments.noise._disturb import conditions
from experiments.noise._measure import SECONDS, WAYS
from mhealth.core import ECG_WAVES
from mhealth.metrics import DelineationScore, bootstrap_difference

__all__ = ["summary"]

_PEAK = 1
"""Peak among the points that are scored."""

_EDGES = [0, 2]
"""Onset and offset among them."""

_SMALLEST_LOSS = 1.0
"""Points of macro F1 below which no share of a loss is given."""

_FULL = ("sparse", "tcn", "unet", "unet-hard", "neurokit2-dwt", "neurokit2-prominence")
"""Arms of a full run."""

Of = dict[tuple[str, str], DelineationScore]
"""Scores by arm and condition."""


def summary(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return all figures of a run; see `experiments.noise._measure.find` for what its steps leave."""
    asked = (*run.settings["labelers"], *run.settings["peers"])
    arms = [arm for arm in asked if f"test-{arm}-1" in left]
    folds = [f"{k + 1}" for k in range(run.settings["tested"])]
    names = [condition.name for condition in conditions(run.settings["levels"])]
    of: dict[str, Of] = {way: {} for way in (*WAYS, "fused")}
    seconds: dict[tuple[str, str], NDArray[np.float64]] = {}
    for arm in arms:
        for name in names:
            parts = [left[f"test-{arm}-{fold}"][name] for fold in folds]
            for way in of:
                if way in parts[0]:
                    of[way][arm, name] = unpacked({k: line for part in parts for k, line in part[way].items()})
            seconds[arm, name] = np.array([row for part in parts for row in part["seconds"].values()])
    metrics = _scores(run, of) | _losses(run, of["shown"]) | _prevented(run, of) | _false(run, of, seconds)
    table = _table(of, seconds, metrics)
    absent = [arm for arm in (*_FULL, *asked) if arm not in arms]
    return Outcome(
        metrics=metrics,
        tables={"conditions": table},
        figures={
            "f1": _figures.against_levels(metrics, "f1", arms, run.settings["levels"], "macro F1 within 150 ms (%)"),
            "unusable": _figures.ways(metrics, arms, run.settings["levels"]),
            "false": _figures.against_levels(
                metrics, "false", arms, run.settings["levels"], "false waves a minute and lead"
            ),
            "nothing": _figures.nothing(metrics, arms, names),
        },
        left_out=[f"{NAMES[arm]}: {missing(arm) or 'not asked for'}." for arm in dict.fromkeys(absent)],
    )


def _has_marks(name: str) -> bool:
    return not name.endswith("alone")


def _estimate(run: Run, score: DelineationScore) -> Estimate:
    return estimate(score, lambda own: own.macro(), n=run.settings["n_resamples"], seed=run.seed)


def _scores(run: Run, of: Mapping[str, Of]) -> dict[str, float]:
    """Return macro F1 of each arm, condition and way."""
    called = {"shown": "f1", "ignored": "ignored", "heeded": "heeded", "fused": "f1_fused"}
    metrics: dict[str, float] = {}
    for way, scores in of.items():
        for (arm, name), score in scores.items():
            if _has_marks(name):
                metrics |= _estimate(run, score).metrics(f"{called[way]}.{arm}.{name}")
    return metrics


def _losses(run: Run, shown: Of) -> dict[str, float]:
    """Return what each condition costs each arm, paired by subject."""
    metrics: dict[str, float] = {}
    for (arm, name), score in shown.items():
        if name != "clean" and _has_marks(name):
            lost = bootstrap_difference(
                shown[arm, "clean"], score, lambda own: own.macro(), n=run.settings["n_resamples"], seed=run.seed
            )
            metrics |= Estimate(lost.difference, lost.low, lost.high).metrics(f"lost.{arm}.{name}")
    return metrics


def _prevented(run: Run, of: Mapping[str, Of]) -> dict[str, float]:
    """Return how much of the loss without quality control is not there where one heeds it, in per cent."""
    metrics: dict[str, float] = {}
    for (arm, name), ignored in of["ignored"].items():
        if name == "clean" or not _has_marks(name):
            continue
        clean, heeded = of["shown"][arm, "clean"], of["heeded"][arm, name]
        if clean.macro() - ignored.macro() < _SMALLEST_LOSS:
            continue

        def share(
            weights: NDArray[np.float64], clean: Any = clean, ignored: Any = ignored, heeded: Any = heeded
        ) -> float:
            best, worst, now = (score.reweighted(weights).macro() for score in (clean, ignored, heeded))
            return 100 * (now - worst) / (best - worst) if best - worst >= _SMALLEST_LOSS else float("nan")

        found = resampled(len(clean.subjects), share, n=run.settings["n_resamples"], seed=run.seed)
        metrics |= found.metrics(f"prevented.{arm}.{name}")
    return metrics


def _false(run: Run, of: Mapping[str, Of], seconds: Mapping[tuple[str, str], NDArray[np.float64]]) -> dict[str, float]:
    """Return false waves a minute and lead: where experts marked all, and in what is lost; and the time given up."""
    metrics: dict[str, float] = {}
    for (arm, name), table in seconds.items():
        column = {what: table[:, k] for k, what in enumerate(SECONDS)}
        for way, called in (("shown", "false"), ("ignored", "false_ignored")):
            counts = of[way][arm, name].sums[:, 0, :, _PEAK, 2].sum(axis=1)
            metrics |= _rate(run, counts, column["annotated"]).metrics(f"{called}.{arm}.{name}")
            if column["lost"].any():
                metrics |= _rate(run, column[f"false_{way}"], column["lost"]).metrics(f"{called}_in_lost.{arm}.{name}")
        metrics[f"unusable.{arm}.{name}"] = float(100 * column["unusable"].sum() / column["annotated"].sum())
    return metrics


def _rate(run: Run, counts: NDArray[np.float64], seconds: NDArray[np.float64]) -> Estimate:
    """Return events a minute."""

    def rate(weights: NDArray[np.float64]) -> float:
        time = weights @ seconds
        return float(60 * (weights @ counts) / time) if time else float("nan")

    return resampled(len(counts), rate, n=run.settings["n_resamples"], seed=run.seed)


def _table(
    of: Mapping[str, Of], seconds: Mapping[tuple[str, str], NDArray[np.float64]], metrics: Mapping[str, float]
) -> pd.DataFrame:
    """Return a row for each arm and condition."""
    rows = []
    for arm, name in seconds:
        row: dict[str, Any] = {"arm": arm, "condition": name}
        for way in ("f1", "f1_fused", "ignored", "heeded", "lost", "prevented", "false", "false_ignored"):
            row[way] = metrics.get(f"{way}.{arm}.{name}", np.nan)
        row["false_in_lost"] = metrics.get(f"false_in_lost.{arm}.{name}", np.nan)
        row["unusable_pct"] = metrics[f"unusable.{arm}.{name}"]
        counts = of["shown"][arm, name].counts()
        for k, label in enumerate(ECG_WAVES):
            row[f"recall_{label}"] = counts.sensitivity[k, _EDGES].mean()
            row[f"precision_{label}"] = counts.ppv[k, _EDGES].mean()
        rows.append(row)
    return pd.DataFrame(rows)
