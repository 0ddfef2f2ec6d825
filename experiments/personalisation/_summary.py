"""Scores of all persons, settings chosen by the others, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments._experiment import Outcome, Run
from experiments._statistics import estimate
from experiments.personalisation._design import (
    GENERAL,
    NAMES,
    OTHERS,
    OWN,
    OWN_WEIGHTS,
    SHRUNK,
    SHRUNK_TWICE,
    UNLABELLED,
    WEIGHTED,
    Trial,
    trials,
)
from mhealth.metrics import DelineationScore, bootstrap_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["chosen", "summary"]

TOLERANCES = ("150ms", "tight")
PAIRS = ((SHRUNK, OWN_WEIGHTS), (SHRUNK, OWN), (SHRUNK_TWICE, SHRUNK), (SHRUNK_TWICE, OTHERS))
"""Arms that are compared with each other beside the population."""

COLOURS = {SHRUNK: "#0072b2", SHRUNK_TWICE: "#009e73", OWN_WEIGHTS: "#e69f00", OWN: "#d55e00"}  # of Okabe and Ito


def summary(run: Run, rows: Mapping[str, Any], shift: Mapping[str, Any]) -> Outcome:
    """Return what came out.

    Parameters
    ----------
    run : Run
    rows : mapping
        Of each record: subject, fold, n_beats, scores by trial.
    shift : mapping
        What `shift` has left.
    """
    import pandas as pd

    scores, settings = chosen(rows, trials(tuple(run.settings["counts"])))
    metrics: dict[str, float] = {}
    table = []
    n, seed = run.settings["n_resamples"], run.seed
    for (arm, count), score in scores.items():
        for tolerance in TOLERANCES:

            def macro(of: DelineationScore, tolerance: Any = tolerance) -> float:
                return of.macro(tolerance)

            found = estimate(score, macro, n=n, seed=seed)
            metrics |= found.metrics(f"f1.{arm}.{count}.{tolerance}")
            row = [arm, count, tolerance, *found, *(score.f1(wave, tolerance) for wave in ("P", "QRS", "T"))]
            gain = bootstrap_difference(score, scores[GENERAL, 0], macro, n=n, seed=seed)
            if arm != GENERAL:
                metrics |= named(f"gain.{arm}.{count}.{tolerance}", gain)
            table.append([*row, *gain])
            for first, second in PAIRS:
                other = scores.get((second, 0 if second == OTHERS else count))
                if arm == first and other is not None:
                    metrics |= named(
                        f"more.{first} than {second}.{count}.{tolerance}",
                        bootstrap_difference(score, other, macro, n=n, seed=seed),
                    )
    for name, row in shift["shifts"].items():
        metrics |= {f"shift.{what}.{name}": value for what, value in row.items()}
    metrics["shift.effective share of LUDB"] = shift["effective"] / len(shift["shares"])
    columns = ["arm", "beats", "tolerance", "macro", "low", "high", "P", "QRS", "T",
               "gain", "gain_low", "gain_high", "gain_p"]  # fmt: skip
    chosen_settings = [(arm, count, fold, value) for (arm, count, fold), value in settings.items()]
    return Outcome(
        metrics=metrics,
        tables={
            "scores": pd.DataFrame(table, columns=columns),
            "edges": edges(scores, max(run.settings["counts"])),
            "persons": by_person(rows, scores, max(run.settings["counts"])),
            "settings": pd.DataFrame(chosen_settings, columns=["arm", "beats", "fold", "setting"]),
        },
        figures={
            "beats": draw(metrics, run.settings["counts"]),
            "persons": draw_persons(by_person(rows, scores, max(run.settings["counts"]))),
        },
    )


def named(name: str, found: Any) -> dict[str, float]:
    """Return a difference with its interval under the names that results use."""
    return {name: found.difference, f"{name}.low": found.low, f"{name}.high": found.high}


def chosen(
    rows: Mapping[str, Any], tried: list[Trial]
) -> tuple[dict[tuple[str, int], DelineationScore], dict[tuple[str, int, int], float]]:
    """Return the score of each arm and number of beats, and the setting of each fold.

    A person counts with the setting that is best, by the mean of macro F1 within 150 ms and in tight windows, for the
    persons of the other folds.
    """
    names = list(rows)
    fold = np.array([rows[name]["fold"] for name in names])
    scores, settings = {}, {}
    for arm, count in dict.fromkeys((trial.arm, trial.count) for trial in tried):
        own = [trial for trial in tried if (trial.arm, trial.count) == (arm, count)]
        of_trial = {trial.setting: joined(rows, names, trial) for trial in own}
        taken = np.empty(len(names))
        for k in np.unique(fold):
            elsewhere = (fold != k).astype(float) if (fold != k).any() else np.ones(len(names))
            best = max(of_trial, key=lambda setting: level(of_trial[setting].reweighted(elsewhere)))
            settings[arm, count, int(k) + 1] = best
            taken[fold == k] = best
        parts = [of_trial[setting] for setting in taken]
        scores[arm, count] = DelineationScore(
            subjects=tuple(rows[name]["subject"] for name in names),
            sums=np.stack([part.sums[k] for k, part in enumerate(parts)]),
            without_p=np.stack([part.without_p[k] for k, part in enumerate(parts)]),
        )
    return scores, settings


def joined(rows: Mapping[str, Any], names: list[str], trial: Trial) -> DelineationScore:
    """Return the score of a trial over all persons."""
    kept = [rows[name]["scores"][trial.key] for name in names]
    return DelineationScore(
        subjects=tuple(rows[name]["subject"] for name in names),
        sums=np.array([row["sums"] for row in kept], dtype=float),
        without_p=np.array([row["without_p"] for row in kept], dtype=float),
    )


def level(score: DelineationScore) -> float:
    return sum(score.macro(tolerance) for tolerance in ("150ms", "tight")) / 2


def edges(scores: Mapping[tuple[str, int], DelineationScore], count: int) -> pd.DataFrame:
    """Return errors of matched points: what is a habit of marking, and what is scatter."""
    import pandas as pd

    wanted = [(GENERAL, 0), (WEIGHTED, 0), (OTHERS, 0), (SHRUNK, count), (SHRUNK_TWICE, count), (OWN, count)]
    parts = [
        scores[key].to_frame()[["label", "point", "n", "mean_ms", "sd_ms"]].assign(arm=key[0], beats=key[1])
        for key in wanted
    ]
    return pd.concat(parts)[["arm", "beats", "label", "point", "n", "mean_ms", "sd_ms"]]


def by_person(rows: Mapping[str, Any], scores: Mapping[tuple[str, int], DelineationScore], count: int) -> pd.DataFrame:
    """Return macro F1 in tight windows of each person."""
    import pandas as pd

    frame = pd.DataFrame({"record": list(rows), "beats": [row["n_beats"] for row in rows.values()]})
    for arm, beats in ((GENERAL, 0), (OTHERS, 0), (SHRUNK, count), (OWN_WEIGHTS, count), (OWN, count)):
        score = scores[arm, beats]
        frame[arm] = [score.reweighted(alone).macro("tight") for alone in np.eye(len(frame))]
    return frame


def draw(metrics: Mapping[str, float], counts: list[int]) -> Figure:
    """Draw macro F1 against the number of labelled beats, and what is reached without any."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    flat = {GENERAL: ("#000000", "-"), OTHERS: ("#009e73", "--"), UNLABELLED[2]: ("#8a9099", ":")}
    for axes, tolerance in zip(figure.subplots(1, 2), TOLERANCES, strict=True):
        for arm, (colour, dashes) in flat.items():
            axes.axhline(metrics[f"f1.{arm}.0.{tolerance}"], color=colour, linestyle=dashes, label=NAMES[arm])
        for k, (arm, colour) in enumerate(COLOURS.items()):
            keys = [f"f1.{arm}.{count}.{tolerance}" for count in counts]
            value, low, high = (np.array([metrics[f"{key}{end}"] for key in keys]) for end in ("", ".low", ".high"))
            at = np.array(counts) * 1.03 ** (k - 1.5)
            axes.errorbar(at, value, yerr=[value - low, high - value], fmt="o-", color=colour, label=NAMES[arm])
        axes.set(
            xscale="log", xlabel="labelled beats of the person", ylabel="macro F1 (%)",
            title="within 150 ms" if tolerance == "150ms" else "in tight windows",
        )  # fmt: skip
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.grid(axis="y", alpha=0.3)
    handles, texts = figure.axes[1].get_legend_handles_labels()
    figure.legend(handles, texts, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def draw_persons(table: pd.DataFrame) -> Figure:
    """Draw what labels of their own bring to each person."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    for arm in (SHRUNK, OWN):
        axes.scatter(table[GENERAL], table[arm], s=14, color=COLOURS[arm], alpha=0.7, label=NAMES[arm])
    low = float(np.nanmin(table[[GENERAL, SHRUNK, OWN]].to_numpy())) - 2
    axes.plot([low, 100], [low, 100], color="#8a9099", linewidth=0.8)
    axes.set(xlabel="population: macro F1 in tight windows (%)", ylabel="with the person's labels (%)")
    axes.legend(frameon=False, fontsize=8)
    return figure
