"""Areas under ROC curves against the number of subjects, with intervals from resampled subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Outcome, Run
from experiments._statistics import Estimate, auroc, resampled
from experiments.outcome_codes._design import INTERVALS, LUDB_TARGETS, MITDB_TARGETS, NAMES, REPRESENTATIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Curves", "summary"]

GROUPS = {
    "mean of rhythms": ("fibrillation or flutter", "bradycardia", "extrasystoles"),
    "mean of diagnoses": ("conduction", "left ventricular hypertrophy", "ischemia", "repolarization"),
}
"""Of LUDB."""

TARGETS = {"ludb": tuple(LUDB_TARGETS), "mitdb": tuple(MITDB_TARGETS)}

COLOURS = dict(
    zip(
        REPRESENTATIONS,
        ("#000000", "#e69f00", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#0072b2"),  # of Okabe and Ito
        strict=True,
    )
)


class Curves:
    """AUROC of scores of one data set, for any weights of its subjects.

    Parameters
    ----------
    subjects : sequence of str
        Of each row.
    """

    def __init__(self, subjects: Sequence[str]) -> None:
        names, self._row = np.unique(subjects, return_inverse=True)
        self.n_subjects = len(names)

    def area(self, scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
        """Return the mean AUROC over repeats, subjects counting so often; scores of shape (n_repeats, n_rows)."""
        of_rows = weights[self._row]
        return float(np.mean([auroc(repeat, positive, of_rows) for repeat in scores]))

    def estimate(
        self,
        pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]],
        others: Sequence[NDArray[np.float64]] | None = None,
        *,
        n: int,
        seed: int,
    ) -> Estimate:
        """Return the mean AUROC over targets, less that of other scores of the same rows if given.

        Parameters
        ----------
        pairs : sequence of (scores, positive)
            Of each target.
        others : sequence of ndarray, optional
            Scores of something else, target by target.
        n, seed : int
            Draws of subjects.
        """

        def mean(weights: NDArray[np.float64]) -> float:
            areas = [self.area(scores, positive, weights) for scores, positive in pairs]
            if others is not None:
                less = [self.area(s, positive, weights) for s, (_, positive) in zip(others, pairs, strict=True)]
                areas = [area - other for area, other in zip(areas, less, strict=True)]
            known = [area for area in areas if area == area]
            return float(np.mean(known)) if known else float("nan")

        return resampled(self.n_subjects, mean, n=n, seed=seed)


def summary(run: Run, left: Mapping[str, Any], missing: Sequence[str]) -> Outcome:
    """Return what came out.

    Parameters
    ----------
    run : Run
    left : mapping
        What the steps have left.
    missing : sequence of str
        Representations that were not made.
    """
    import pandas as pd

    used = [name for name in REPRESENTATIONS if name not in missing]
    n, seed = run.settings["n_resamples"], run.seed
    rows: list[tuple[Any, ...]] = []
    left_out = ["the U-Net's inner features: TensorFlow is not installed, or not asked for."] if missing else []
    for dataset, targets in TARGETS.items():
        about, sizes = left[f"describe-{dataset}"], run.settings[f"{dataset}_sizes"]
        curves = Curves(about["subjects"])
        positive = {target: np.array(about["targets"][target], dtype=bool) for target in targets}
        scores = {
            (target, name): np.array(kept)
            for place, target in enumerate(targets)
            for name in used
            if (kept := left[f"{dataset}-{place + 1}-{name.replace(' ', '-')}"]) is not None
        }
        there = [target for target in targets if (target, INTERVALS) in scores]
        absent = [target for target in targets if target not in there]
        if absent:
            left_out.append(f"{', '.join(absent)} of {dataset}: too few subjects have it.")
        asked = {target: (target,) for target in there}
        if dataset == "ludb":
            asked |= {group: own for group, of_group in GROUPS.items() if (own := tuple(set(of_group) & set(there)))}
        for title, own in asked.items():
            for k, size in enumerate(sizes):
                base = [scores[target, INTERVALS][k] for target in own]
                for name in used:
                    pairs = [(scores[target, name][k], positive[target]) for target in own]
                    area = curves.estimate(pairs, n=n, seed=seed)
                    more = curves.estimate(pairs, base, n=n, seed=seed)
                    rows.append((dataset, title, name, "all" if size is None else str(size), *area, *more))
    rows += transfers(left, used, n=n, seed=seed)
    columns = ["data set", "target", "from", "subjects", "auroc", "low", "high", "more", "more_low", "more_high"]
    table = pd.DataFrame(rows, columns=columns)
    return Outcome(
        metrics=metrics_of(table),
        tables={"areas": table, "targets": counts(left)},
        figures={"curves": draw(table), "targets": draw_targets(table)},
        left_out=left_out,
    )


def transfers(left: Mapping[str, Any], used: Sequence[str], *, n: int, seed: int) -> list[tuple[Any, ...]]:
    """Return rows of the table for what was learned of LUDB and tested on MIT-BIH."""
    about, target = left["describe-mitdb"], "fibrillation or flutter"
    curves, positive = Curves(about["subjects"]), np.array(about["targets"][target], dtype=bool)
    scores = {name: left[f"transfer-{name.replace(' ', '-')}"] for name in used}
    if any(kept is None for kept in scores.values()) or not positive.any():
        return []
    rows = []
    base = [np.array([scores[INTERVALS]])]
    for name, kept in scores.items():
        pairs = [(np.array([kept]), positive)]
        rows.append(
            ("ludb to mitdb", target, name, "", *curves.estimate(pairs, n=n, seed=seed),
             *curves.estimate(pairs, base, n=n, seed=seed))
        )  # fmt: skip
    return rows


def metrics_of(table: pd.DataFrame) -> dict[str, float]:
    """Return the areas, and how much more they are than with intervals, by name."""
    metrics: dict[str, float] = {}
    for row in table.to_dict("records"):
        name = ".".join(part for part in (row["data set"], row["target"], row["from"], row["subjects"]) if part)
        metrics |= Estimate(row["auroc"], row["low"], row["high"]).metrics(f"auroc.{name}")
        if row["from"] != INTERVALS:
            metrics |= Estimate(row["more"], row["more_low"], row["more_high"]).metrics(f"more.{name}")
    return metrics


def counts(left: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many rows and subjects have each target."""
    import pandas as pd

    rows = []
    for dataset, targets in TARGETS.items():
        about = left[f"describe-{dataset}"]
        subject = np.array(about["subjects"])
        for target in targets:
            positive = np.array(about["targets"][target], dtype=bool)
            having = len(np.unique(subject[positive]))
            rows.append((dataset, target, int(positive.sum()), len(positive), having, len(np.unique(subject))))
    return pd.DataFrame(rows, columns=["data set", "target", "rows with", "rows", "subjects with", "subjects"])


def draw(table: pd.DataFrame) -> Figure:
    """Draw mean AUROC of LUDB's rhythms and diagnoses against the number of subjects that were learned from."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, group in zip(figure.subplots(1, 2, sharey=True), GROUPS, strict=True):
        own = table[(table["data set"] == "ludb") & (table["target"] == group)]
        sizes = list(dict.fromkeys(own["subjects"]))
        for k, name in enumerate(dict.fromkeys(own["from"])):
            rows = own[own["from"] == name]
            at = np.arange(len(rows)) + 0.06 * (k - 3)
            bars = [rows["auroc"] - rows["low"], rows["high"] - rows["auroc"]]
            axes.errorbar(
                at, rows["auroc"], yerr=bars, fmt="o-", color=COLOURS[name], label=NAMES[name], markersize=4,
                linewidth=1, elinewidth=0.7,
            )  # fmt: skip
        axes.axhline(0.5, color="#8a9099", linewidth=0.8)
        axes.set(title=f"LUDB, {group}", xlabel="subjects learned from", xticks=range(len(sizes)), xticklabels=sizes)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("AUROC, subjects not seen")
    handles, texts = figure.axes[1].get_legend_handles_labels()
    figure.legend(handles, texts, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def draw_targets(table: pd.DataFrame) -> Figure:
    """Draw the AUROC of each target, with all subjects learned from."""
    from matplotlib.figure import Figure

    shown = table[table["subjects"].isin(["all", ""]) & ~table["target"].isin(GROUPS)]
    titles = list(dict.fromkeys(zip(shown["data set"], shown["target"], strict=True)))
    figure = Figure(figsize=(8, 0.5 * len(titles) + 1.2), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(dict.fromkeys(shown["from"])):
        rows = shown[shown["from"] == name]
        at = np.array([titles.index(key) for key in zip(rows["data set"], rows["target"], strict=True)])
        bars = np.abs([rows["auroc"] - rows["low"], rows["high"] - rows["auroc"]])
        axes.errorbar(
            rows["auroc"], at + 0.1 * (k - 3), xerr=bars, fmt="o", color=COLOURS[name], label=NAMES[name], markersize=4
        )
    axes.axvline(0.5, color="#8a9099", linewidth=0.8)
    axes.set(xlabel="AUROC, subjects not seen", yticks=range(len(titles)))
    axes.set_yticklabels([f"{dataset}: {target}" for dataset, target in titles])
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
