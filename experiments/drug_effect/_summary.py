"""From what minutes show to figures, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments._experiment import Outcome, Run
from experiments._statistics import Estimate, auroc, estimate_mean, resampled
from experiments.drug_effect._design import DETECTORS, DRUG, EXERCISE, N_CALIBRATION, REST, STRETCHED
from experiments.drug_effect._detect import Windows, areas, between, within
from experiments.drug_effect._reference import REFERENCES, mean_known, windows_of
from experiments.drug_effect._windows import INTERVALS, LENGTHS
from mhealth.intervals import qtc_framingham

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["smallest_change", "summary"]

SENSITIVITY, FALSE_ALARMS = 0.95, 0.05
"""A change is measured if this share of minutes with it is told from minutes without, of which this share is called."""

AT_SENSITIVITY = 0.9
"""Sensitivity at which the false alarms of detectors are compared."""

# Of Okabe and Ito, told apart by everybody.
COLOURS = dict(zip(DETECTORS, ("#d55e00", "#0072b2", "#009e73", "#000000", "#cc79a7"), strict=True))
LINES = {"qt": "QT", "qrs": "QRS"}

MARKS = "marks"
"""The marks that the change was made with, as a measure: its false alarms are what the heart changes of itself."""

MEASURES = {"qt": ("qt", "qtc", STRETCHED, MARKS), "qrs": ("qrs", STRETCHED, MARKS)}
"""Of each change; by stretching and marks QT is corrected for the heart rate (Framingham)."""

CHANGING = ("sudden death", "European ST-T", "MIT-BIH ST Change")
"""Sources of QTDB whose hearts change QT of themselves within minutes."""

MEASURE_COLOURS = {"qt": "#0072b2", "qtc": "#56b4e9", "qrs": "#0072b2", STRETCHED: COLOURS[STRETCHED], MARKS: "#8a9099"}

STEADY = "without ST change and sudden death"

Records = Mapping[str, Mapping[str, Any]]
"""What `minute_by_minute` gives, by record."""


def summary(run: Run, of: Mapping[str, Records], ludb: Sequence[Mapping[str, Any]]) -> Outcome:
    """Return areas, false alarms, smallest changes, and how true the warp is."""
    n, seed = run.settings["n_resamples"], run.seed
    metrics: dict[str, float] = {}
    windows = {reference: windows_of(of["episodes"], reference) for reference in REFERENCES}
    best = windows[REFERENCES[-1]]
    scores = {}
    for detector in DETECTORS:
        known = {reference: own for reference, own in windows.items() if detector in own.features}
        found = {reference: between(own, detector) for reference, own in known.items()}
        ways = [(f"knowing {reference}", own, True) for reference, own in found.items()]
        ways.append(("within", within(next(iter(known.values())), detector), False))
        for way, own, pooled in ways:
            for name, against in (("all", (REST, EXERCISE)), ("exercise", (EXERCISE,)), ("rest", (REST,))):
                area = areas(best, own, against, pooled=pooled, n=n, seed=seed)
                metrics |= area.metrics(f"auroc.{way}.{detector}.{name}")
        scores[detector] = found[REFERENCES[-1]]
        for kind, share in false_alarms(best, scores[detector]).items():
            metrics[f"false alarms.{detector}.{kind}"] = share
        for stratum in sorted({row["stratum"] for row in of["episodes"].values()}):
            chosen = np.isin(
                best.subject, [row["subject"] for row in of["episodes"].values() if row["stratum"] == stratum]
            )
            metrics[f"auroc of {stratum}.{detector}"] = auroc(scores[detector][chosen], best.is_drug[chosen])
    curves = []
    for name, label in LINES.items():
        for measure in MEASURES[name]:
            sizes, minutes = single_changes(of[name], name, measure)
            steady = minutes[~minutes["stratum"].isin(CHANGING)]
            for who, own in (("", minutes), (f" {STEADY}", steady)):
                if len(own):
                    found = smallest_change(sizes, own, n=n, seed=seed)
                    metrics |= found.metrics(f"smallest {label} change by {measure}{who}_ms")
                    curves += sensitivities(sizes, own, measure, label, who.strip() or "everybody")
    warp = pd.DataFrame(ludb)
    if len(warp):
        metrics |= truth_of(warp, n, seed)
    episodes = of["episodes"].values()
    metrics |= {
        "truth.QT by expert beats off_ms": float(np.nanmedian(numbers(row["truth_off_ms"] for row in episodes))),
        "truth.beats with room": float(np.mean([row["room"] for row in episodes])),
        "truth.QT-RR slope": float(np.median([row["slope"] for row in episodes])),
        "truth.minutes tested": float(len(best.kind)),
    }
    return Outcome(
        metrics=metrics,
        tables={
            "minutes": minutes_table(of["episodes"], scores),
            "sensitivity": pd.DataFrame(curves),
            "ludb": warp,
            "areas": areas_table(metrics),
        },
        figures={
            "detectors": draw_detectors(best, scores, metrics),
            "smallest_change": draw_sensitivities(pd.DataFrame(curves)),
            "one_recording": draw_recording(of["episodes"], best, scores),
        },
    )


def numbers(values: Any) -> NDArray[np.float64]:
    """Return values as numbers, None as NaN."""
    return np.array(list(values), dtype=float)


def false_alarms(windows: Windows, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return the share of minutes of rest and exercise that are called where `AT_SENSITIVITY` of drug minutes are."""
    threshold = np.quantile(scores[windows.is_drug], 1 - AT_SENSITIVITY)
    return {kind: float(np.mean(scores[windows.kind == kind] >= threshold)) for kind in (REST, EXERCISE)}


def single_changes(records: Records, name: str, measure: str) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Return the sizes of changes (ms), and a table of minutes: subject, source, size, measured less calibration."""
    rows = []
    for row in records.values():
        values = measured_by(row, name, measure)
        at_rest = mean_known(values[:N_CALIBRATION, None])[0]
        rows += [
            (row["subject"], row["stratum"], round(1000 * size, 3), value - at_rest)
            for size, value in zip(row[name][N_CALIBRATION:], values[N_CALIBRATION:], strict=True)
        ]
    minutes = pd.DataFrame(rows, columns=["subject", "stratum", "size", "measured"]).fillna({"measured": 0.0})
    return np.unique(minutes["size"]), minutes


def measured_by(row: Mapping[str, Any], name: str, measure: str) -> NDArray[np.float64]:
    """Return what a measure says of QT or QRS in each minute of a recording, in ms."""
    if measure in (STRETCHED, MARKS):
        lengths = np.array(row["stretched" if measure == STRETCHED else "marks"], dtype=float)
        values = lengths[:, LENGTHS.index(f"{name}_ms")]
        return qtc_framingham(values, lengths[:, LENGTHS.index("rr_ms")] / 1000) if name == "qt" else values
    return mean_known(np.array(row["intervals"], dtype=float)[:, :, INTERVALS.index(f"{measure}_ms")].T)


def smallest_change(sizes: NDArray[np.float64], minutes: pd.DataFrame, *, n: int, seed: int) -> Estimate:
    """Return the change (ms) that is told from none in 95 % of minutes at 5 % false alarms, infinite if none is.

    Between the sizes that were tried the sensitivity is taken to rise linearly.
    """
    names, row = np.unique(minutes["subject"], return_inverse=True)
    size, measured = minutes["size"].to_numpy(), minutes["measured"].to_numpy()

    def of_weights(weights: NDArray[np.float64]) -> float:
        weight = weights[row]
        threshold = weighted_quantile(measured[size == 0], weight[size == 0], 1 - FALSE_ALARMS)
        shares = [np.average(measured[size == s] > threshold, weights=weight[size == s]) for s in sizes]
        enough = np.flatnonzero(np.array(shares) >= SENSITIVITY)
        if not len(enough):
            return np.inf
        k = int(enough[0])
        return float(np.interp(SENSITIVITY, shares[k - 1 : k + 1], sizes[k - 1 : k + 1])) if k else float(sizes[0])

    return resampled(len(names), of_weights, n=n, seed=seed)


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Return the smallest value that at least this share of the weight does not exceed."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) >= share * weights.sum() - 1e-9
    return float(values[order][int(np.argmax(reached))])


def sensitivities(
    sizes: NDArray[np.float64], minutes: pd.DataFrame, measure: str, label: str, who: str
) -> list[dict[str, Any]]:
    """Return a row for each size of change: how many minutes are told from none, and what is measured."""
    none = minutes[minutes["size"] == 0].measured.to_numpy()
    threshold = weighted_quantile(none, np.ones(len(none)), 1 - FALSE_ALARMS)
    rows = []
    for size in sizes:
        measured = minutes[minutes["size"] == size].measured.to_numpy()
        rows.append(
            {
                "change of": label, "measured by": measure, "in": who, "change_ms": size, "minutes": len(measured),
                "threshold_ms": threshold, "sensitivity": float(np.mean(measured > threshold)),
                "median_ms": float(np.median(measured)), "sd_ms": float(np.std(measured)),
            }
        )  # fmt: skip
    return rows


def truth_of(warp: pd.DataFrame, n: int, seed: int) -> dict[str, float]:
    """Return how much of a true change in LUDB is measured, and how far single leads of records scatter."""
    metrics: dict[str, float] = {}
    for name, label in LINES.items():
        other = "qrs" if name == "qt" else "qt"
        own = warp[(warp["of"] == name) & (warp["rate"] == 0) & (warp[other] == 0) & (warp[name] > 0)]
        known = own.dropna(subset=["true", "measured"])
        share = estimate_mean(known.measured / known.true, known.record, n=n, seed=seed)
        metrics |= share.metrics(f"ludb.share of the {label} change measured")
        metrics[f"ludb.{label} sd_ms"] = float(np.std(known.measured - known.true))
    return metrics


def minutes_table(records: Records, scores: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Return a row for each tested minute: what was done to it, what is measured, what detectors say."""
    rows = []
    for name, row in records.items():
        for k in range(N_CALIBRATION, len(row["kinds"])):
            rows.append((name, row["subject"], k, row["kinds"][k], row["rate"][k]))
    table = pd.DataFrame(rows, columns=["record", "subject", "minute", "kind", "rate_rise"])
    rest = windows_of(records, "rest").features["intervals"]
    for k, interval in enumerate(INTERVALS):
        table[f"{interval}, less rest"] = rest[:, k]
    for detector, values in scores.items():
        table[f"log odds by {detector}"] = values
    return table


def areas_table(metrics: Mapping[str, float]) -> pd.DataFrame:
    """Return the areas under ROC curves with their intervals."""
    rows = []
    for name, value in metrics.items():
        if name.startswith("auroc.") and not name.endswith((".low", ".high")):
            _, way, detector, against = name.split(".")
            rows.append((way, detector, against, value, metrics[f"{name}.low"], metrics[f"{name}.high"]))
    return pd.DataFrame(rows, columns=["trained and tested", "detector", "against", "auroc", "low", "high"])


def draw_detectors(windows: Windows, scores: Mapping[str, NDArray[np.float64]], metrics: Mapping[str, float]) -> Figure:
    """Draw ROC curves between subjects, and the false alarms at rest and in exercise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    curve, bars = figure.subplots(1, 2)
    for k, (detector, values) in enumerate(scores.items()):
        thresholds = np.sort(values)[::-1]
        shares = [
            [np.mean(values[part][:, None] >= thresholds, axis=0)] for part in (~windows.is_drug, windows.is_drug)
        ]
        area = metrics[f"auroc.knowing {REFERENCES[-1]}.{detector}.all"]
        curve.plot(shares[0][0], shares[1][0], color=COLOURS[detector], label=f"{detector}, {area:.3f}")
        alarms = [100 * metrics[f"false alarms.{detector}.{kind}"] for kind in (REST, EXERCISE)]
        bars.bar(np.arange(2) + 0.16 * (k - 2), alarms, 0.15, color=COLOURS[detector], label=detector)
    curve.plot([0, 1], [0, 1], ":", color="#8a9099")
    curve.set(xlabel="rest and exercise called drug", ylabel="drug found", title="between subjects, AUROC")
    curve.legend(frameon=False, fontsize=8)
    bars.set(xticks=range(2), xticklabels=["rest", "exercise"], ylabel="minutes called drug (%)")
    bars.set_title(f"false alarms at {AT_SENSITIVITY:.0%} sensitivity")
    return figure


def draw_sensitivities(curves: pd.DataFrame) -> Figure:
    """Draw how many minutes with a change are told from those without."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, label in zip(figure.subplots(1, 2, sharey=True), LINES.values(), strict=True):
        for (measure, who), own in curves[curves["change of"] == label].groupby(["measured by", "in"]):
            if who == "everybody" or measure == STRETCHED:
                style = {"color": MEASURE_COLOURS[measure], "ls": "-" if who == "everybody" else "--"}
                name = f"by {measure}" + ("" if who == "everybody" else f", {who}")
                axes.plot(own["change_ms"], 100 * own["sensitivity"], "o", label=name, **style)
        axes.axhline(100 * SENSITIVITY, color="#8a9099", linestyle=":")
        axes.set(xlabel=f"{label} longer by (ms)", title=f"minutes in which longer {label} is found")
        axes.legend(frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("% at 5 % false alarms")
    return figure


def draw_recording(records: Records, windows: Windows, scores: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw what detectors say of the minutes of one recording: the one whose area by intervals is the median."""
    from matplotlib.figure import Figure

    row_of = np.repeat(np.arange(len(records)), [len(row["kinds"]) - N_CALIBRATION for row in records.values()])
    own = [auroc(scores["intervals"][row_of == k], windows.is_drug[row_of == k]) for k in range(len(records))]
    chosen = int(np.argsort(own, kind="stable")[len(own) // 2])
    here, name = row_of == chosen, list(records)[chosen]
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    at = np.arange(here.sum()) + N_CALIBRATION + 0.5
    for detector, values in scores.items():
        axes.plot(at, values[here], "o-", color=COLOURS[detector], label=detector)
    for k, kind in zip(at, windows.kind[here], strict=True):
        axes.axvspan(
            k - 0.5, k + 0.5, color={DRUG: "#cc79a7", EXERCISE: "#f0e442"}.get(kind, "#ffffff"), alpha=0.3, lw=0
        )
    axes.set(xlabel="minute", ylabel="log odds of drug", title=f"{name}: drug (purple), exercise (yellow), rest")
    axes.legend(frameon=False, fontsize=8, ncols=3)
    return figure
