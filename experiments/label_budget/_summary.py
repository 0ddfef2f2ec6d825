"""Accuracy by number of labelled subjects, and what each other way to learn adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Outcome, Run
from experiments._macro import TOLERANCES, by_subject, interval, macros, weights_of
from experiments._statistics import holm, signed_rank
from experiments.label_budget._design import ARMS, NAMES, Arm, fits

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mhealth.metrics import DelineationScore

__all__ = ["conclude"]

COLOURS = {"sparse": "#0072b2", "unet": "#d55e00", "tcn": "#009e73"}
"""Of Okabe and Ito, told apart by everybody; by architecture, or by what is done with few labels."""
STYLES = {
    "sparse-dictionary": ("#56b4e9", "s"),
    "sparse-active": ("#e69f00", "^"),
    "sparse-by-sparse": ("#0072b2", "v"),
    "sparse-by-unet": ("#d55e00", "D"),
    "tcn-by-unet": ("#009e73", "P"),
}


class Point(NamedTuple):
    """An arm at a number of labelled subjects: a score of all tested folds for each draw of subjects."""

    arm: str
    subjects: int | None
    draws: list[DelineationScore]

    @property
    def label(self) -> str:
        """Return the number of subjects as text."""
        return str(self.subjects or "all")

    def macros(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return macro F1, the mean over draws, shape (n, 2)."""
        return np.mean([macros(score, weights) for score in self.draws], axis=0)


def points(run: Run, left: Mapping[str, Any]) -> list[Point]:
    """Return what was reached; a point of which a fit is left out is left out."""
    from experiments._ludb import unpacked

    lines: dict[tuple[str, int | None], dict[int, dict[str, str]]] = {}
    lacking = set()
    for fit in fits(dict(run.settings)):
        if fit.source:
            continue
        key, kept = (fit.arm, fit.subjects), left[fit.name]
        if kept is None:
            lacking.add(key)
        else:
            lines.setdefault(key, {}).setdefault(fit.draw, {}).update(kept["scores"])
    return [
        Point(arm, n, [unpacked(lines[arm, n][draw]) for draw in sorted(lines[arm, n])])
        for arm, n in lines
        if (arm, n) not in lacking
    ]


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return accuracies, and gains over plain labels of as many subjects by the same architecture."""
    found = points(run, left)
    weights = weights_of(len(found[0].draws[0].subjects), n=run.settings["n_resamples"], seed=run.seed)
    budget, gains = budget_table(run, found, weights, left), gain_table(found, weights)
    metrics: dict[str, float] = {}
    for row in budget.itertuples():
        name = f"f1.{row.arm}.{row.subjects}.{row.tolerance}"
        metrics |= {name: row.macro, f"{name}.low": row.low, f"{name}.high": row.high}
    for row in gains.itertuples():
        name = f"gain.{row.arm}.{row.subjects}.{row.tolerance}"
        metrics |= {name: row.gain, f"{name}.low": row.low, f"{name}.high": row.high}
    others = elsewhere_table(run, left)
    for row in others.itertuples():
        name = f"elsewhere.{row.arm}.{row.source}.{row.tested}.{row.tolerance}"
        metrics |= {name: row.gain, f"{name}.low": row.low, f"{name}.high": row.high}
    asked = {fit.arm for fit in fits(dict(run.settings) | {"networks": True})}
    lacking = [NAMES[arm] for arm in ARMS if arm in asked - {point.arm for point in found}]
    why = "their fits need TensorFlow (pip install 'mhealth[cnn]')" if run.settings["networks"] else "quick"
    return Outcome(
        metrics=metrics,
        tables={"budget": budget, "gains": gains, **({"elsewhere": others} if len(others) else {})},
        figures={"budget": draw(budget), **({"gains": draw_gains(gains)} if len(gains) else {})},
        left_out=[f"{', '.join(lacking)}: {why}"] if lacking else [],
    )


def budget_table(run: Run, found: list[Point], weights: NDArray[np.float64], left: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row an arm, number of subjects and tolerance."""
    import pandas as pd

    largest = max(len(left[fit.name]["subjects"]) for fit in fits(dict(run.settings)) if left[fit.name] is not None)
    rows = []
    once = weights[:1]
    for point in found:
        for k, tolerance in enumerate(TOLERANCES):
            each = [float(macros(score, once)[0, k]) for score in point.draws]
            false_p = np.mean([score.false_p_per_beat for score in point.draws])
            rows.append(
                (
                    point.arm, point.label, point.subjects or largest, tolerance,
                    *interval(point.macros(weights)[:, k]), min(each), max(each), len(each), false_p,
                )
            )  # fmt: skip
    columns = ["arm", "subjects", "number", "tolerance", "macro", "low", "high", "worst_draw", "best_draw", "draws"]
    return pd.DataFrame(rows, columns=[*columns, "false_p"])


def gain_table(found: list[Point], weights: NDArray[np.float64]) -> pd.DataFrame:
    """Return what each arm adds to plain labels, paired by draw and tested subject.

    p: Wilcoxon's signed-rank test over subjects of their own macro F1, after Holm over all rows of a tolerance.
    """
    import pandas as pd

    plain = {(point.arm, point.subjects): point for point in found if ARMS[point.arm] == Arm(ARMS[point.arm][0])}
    rows, p = [], []
    for point in found:
        base = plain.get((ARMS[point.arm].architecture, point.subjects))
        if base is None or base.arm == point.arm:
            continue
        base = base._replace(draws=base.draws[: len(point.draws)])
        more = point.macros(weights) - base.macros(weights)
        own = by_subject(point.draws) - by_subject(base.draws)
        for k, tolerance in enumerate(TOLERANCES):
            rows.append((point.arm, point.label, point.subjects, tolerance, *interval(more[:, k])))
            p.append(signed_rank(own[:, k]))
    table = pd.DataFrame(rows, columns=["arm", "subjects", "number", "tolerance", "gain", "low", "high"])
    adjusted = np.full(len(table), np.nan)
    for tolerance in TOLERANCES:
        of_tolerance = np.flatnonzero(table["tolerance"] == tolerance)
        adjusted[of_tolerance] = holm([p[k] for k in of_tolerance])
    return table.assign(p=adjusted)


def elsewhere_table(run: Run, left: Mapping[str, Any]) -> pd.DataFrame:
    """Return what a U-Net's labels of other data sets add to all labels of LUDB, tested there and on QTDB."""
    import pandas as pd

    from experiments._ludb import unpacked
    from experiments.label_budget._fits import ELSEWHERE

    rows = []
    for fit in fits(dict(run.settings)):
        plain = fit._replace(arm=ARMS[fit.arm].architecture, source="").name
        if not fit.source or left[fit.name] is None or left[plain] is None:
            continue
        for tested, key in (("ludb", "scores"), ("qtdb", ELSEWHERE)):
            new, usual = (unpacked(left[name][key]) for name in (fit.name, plain))
            weights = weights_of(len(new.subjects), n=run.settings["n_resamples"], seed=run.seed)
            reached, before = macros(new, weights), macros(usual, weights)
            for k, tolerance in enumerate(TOLERANCES):
                gain = interval(reached[:, k] - before[:, k])
                rows.append((fit.arm, fit.source, left[fit.name]["taught"], tested, tolerance, before[0, k], *gain,
                             usual.false_p_per_beat, new.false_p_per_beat))  # fmt: skip
    columns = ["arm", "source", "pieces", "tested", "tolerance", "plain", "gain", "low", "high", "false_p_plain"]
    return pd.DataFrame(rows, columns=[*columns, "false_p"])


def draw(table: pd.DataFrame) -> Figure:
    """Draw macro F1 of plain labels against the number of subjects."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, tolerance in zip(figure.subplots(1, 2), TOLERANCES, strict=True):
        for arm, colour in COLOURS.items():
            rows = table[(table["arm"] == arm) & (table["tolerance"] == tolerance)]
            if len(rows):
                bars = np.abs(rows[["low", "high"]].to_numpy().T - rows["macro"].to_numpy())
                axes.errorbar(
                    rows["number"], rows["macro"], yerr=bars, fmt="o-", color=colour, label=NAMES[arm], capsize=2
                )
        axes.set(xscale="log", xlabel="labelled subjects", ylabel="macro F1 (%)", title=tolerance)
        at = sorted(table["number"].unique())
        axes.set_xticks(at, [str(n) for n in at])
        axes.minorticks_off()
    axes.legend(frameon=False)
    return figure


def draw_gains(table: pd.DataFrame) -> Figure:
    """Draw what the other ways to learn add."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    shown = [arm for arm in STYLES if (table["arm"] == arm).any()]
    for axes, tolerance in zip(figure.subplots(1, 2), TOLERANCES, strict=True):
        for place, arm in enumerate(shown):
            rows = table[(table["arm"] == arm) & (table["tolerance"] == tolerance)]
            colour, marker = STYLES[arm]
            bars = np.abs(rows[["low", "high"]].to_numpy().T - rows["gain"].to_numpy())
            at = rows["number"].to_numpy(float) * 1.04 ** (place - (len(shown) - 1) / 2)  # side by side
            axes.errorbar(at, rows["gain"], yerr=bars, fmt=marker, color=colour, label=NAMES[arm], capsize=2)
        axes.axhline(0, color="#8a9099", linewidth=0.8)
        axes.set(xscale="log", xlabel="labelled subjects", ylabel="macro F1 gained (points)", title=tolerance)
        at = sorted(table["number"].unique())
        axes.set_xticks(at, [str(int(n)) for n in at])
        axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure
