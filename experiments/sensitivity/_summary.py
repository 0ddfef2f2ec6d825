"""Which numbers matter, and which defaults are not near the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Outcome, Run
from experiments._macro import TOLERANCES, interval, macros, weights_of
from experiments.sensitivity._parameters import LAGS, NETWORKS, PARAMETERS, Move, Parameter, folds_of, moves

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mhealth.metrics import DelineationScore

__all__ = ["conclude"]

BETTER, WORSE = "better", "worse"


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return what each value changes, what chance changes, and how near optimisers come."""
    from experiments.sensitivity._optimisers import CHECKS

    fitted = [
        move
        for move in moves(run.settings)
        if all(left[f"{move.name}-fold{fold}"] for fold in folds_of(move, run.settings))
    ]
    architectures = [name for name in ("sparse", *NETWORKS) if any(move.architecture == name for move in fitted)]
    metrics: dict[str, float] = {}
    tables: dict[str, pd.DataFrame] = {}
    figures: dict[str, Figure] = {}
    for architecture in architectures:
        table = value_table(run, left, [move for move in fitted if move.architecture == architecture])
        prefix = "" if architecture == "sparse" else f"{architecture}."
        for k, tolerance in enumerate(TOLERANCES):
            metrics[f"{prefix}default.{tolerance}"] = float(table.default[k])
            metrics[f"{prefix}spread of seeds.{tolerance}"] = float(table.spread[k])
        for row in table.values.itertuples():
            for tolerance in TOLERANCES:
                name = f"{prefix}{row.parameter}={row.value}.{tolerance}"
                metrics |= {
                    f"{name}{end}": getattr(row, f"change{end.replace('.', '_')}_{tolerance}")
                    for end in ("", ".low", ".high")
                }
        for verdict in (BETTER, WORSE):
            metrics[f"{prefix}values that are {verdict}"] = int((table.values["verdict"] == verdict).sum())
        known = NETWORKS.get(architecture, PARAMETERS)
        tables |= {
            f"{architecture}-values": table.values,
            f"{architecture}-parameters": parameter_table(table.values, known),
        }
        figures[architecture] = draw(table)
    checks = check_metrics({name: left[f"optimiser-{name}"] for name in CHECKS})
    why = "their fits need TensorFlow (pip install 'mhealth[cnn]')" if run.settings["networks"] else "quick"
    lacking = [name for name in NETWORKS if name not in architectures]
    return Outcome(
        metrics=metrics | checks,
        tables=tables | {"optimisers": crf_table(left["optimiser-crf"])},
        figures=figures,
        left_out=[f"the training of {', '.join(lacking)}: {why}"] if lacking else [],
    )


class Effects(NamedTuple):
    """What moving numbers changes.

    Attributes
    ----------
    values : DataFrame
        A row a value.
    default : ndarray of float64, shape (2,)
        Macro F1 of the default, within 150 ms and tight.
    spread : ndarray of float64, shape (2,)
        Largest less smallest of it, between seeds.
    """

    values: pd.DataFrame
    default: NDArray[np.float64]
    spread: NDArray[np.float64]


def score_of(run: Run, left: Mapping[str, Any], move: Move, lag: str = "") -> DelineationScore:
    """Return the score of all tested folds, whose subjects are different ones, in their order."""
    from experiments._ludb import unpacked

    lines: dict[str, str] = {}
    for fold in folds_of(move, run.settings):
        of_fold = left[f"{move.name}-fold{fold}"]
        lines |= of_fold["lags"][lag] if lag else of_fold["scores"]
    return unpacked(lines)


def value_table(run: Run, left: Mapping[str, Any], own: list[Move]) -> Effects:
    """Return what each value changes of macro F1, and the spread of the default over seeds.

    Better is a value that gains more than seeds differ by, with an interval above zero and in every fold, at one
    tolerance, and loses no more than seeds differ by at the other; worse is one that loses so much so surely.
    """
    import pandas as pd

    defaults = [move for move in own if not move.sets]
    default = score_of(run, left, defaults[0])
    sizes = [len(left[f"{defaults[0].name}-fold{fold}"]["scores"]) for fold in folds_of(defaults[0], run.settings)]
    fold_of = np.repeat(np.arange(len(sizes)), sizes)
    folds = (fold_of == np.arange(len(sizes))[:, None]).astype(float)
    weights = weights_of(len(fold_of), n=run.settings["n_resamples"], seed=run.seed)
    usual, usual_by_fold = macros(default, weights), macros(default, folds)
    spread = np.ptp([macros(score_of(run, left, move), weights[:1])[0] for move in defaults], axis=0)

    def row(parameter: str, value: str, score: DelineationScore) -> dict[str, Any]:
        changes, by_fold = macros(score, weights) - usual, macros(score, folds) - usual_by_fold
        made: dict[str, Any] = {"parameter": parameter, "value": value}
        gains, losses = [], []
        for k, tolerance in enumerate(TOLERANCES):
            change, low, high = interval(changes[:, k])
            least, most = float(by_fold[:, k].min()), float(by_fold[:, k].max())
            made |= {
                f"change_{tolerance}": change, f"change_low_{tolerance}": low, f"change_high_{tolerance}": high,
                f"least_in_a_fold_{tolerance}": least, f"most_in_a_fold_{tolerance}": most,
            }  # fmt: skip
            gains.append(change > spread[k] and low > 0 and least > 0)
            losses.append(change < -spread[k] and high < 0 and most < 0)
        harmless = (changes[0] >= -spread).all()
        return made | {"verdict": WORSE if any(losses) else BETTER if any(gains) and harmless else ""}

    rows = [row(move.parameter, move.value, score_of(run, left, move)) for move in own if move.sets]
    if defaults[0].architecture == "sparse":
        for lag in LAGS:
            text = "whole recording" if lag is None else f"{lag:g}"
            rows.append(row("lag", text, score_of(run, left, defaults[0], str(lag))))
    return Effects(pd.DataFrame(rows), usual[0], spread)


def parameter_table(values: pd.DataFrame, parameters: Sequence[Parameter]) -> pd.DataFrame:
    """Return a row a parameter: its part, its default, the best and the worst of its values, largest effect first."""
    import pandas as pd

    known = {parameter.name: parameter for parameter in parameters}
    rows = []
    for name, own in values.groupby("parameter", sort=False):
        part, default = (known[name].part, known[name].default) if name in known else ("decoding", "1.5")
        effects = own[[f"change_{tolerance}" for tolerance in TOLERANCES]].to_numpy()
        best, worst = effects.sum(axis=1).argmax(), effects.sum(axis=1).argmin()
        rows.append(
            {
                "parameter": name,
                "part": part,
                "default": default,
                "best": own["value"].iloc[best],
                **{f"best_{t}": effects[best, k] for k, t in enumerate(TOLERANCES)},
                "worst": own["value"].iloc[worst],
                **{f"worst_{t}": effects[worst, k] for k, t in enumerate(TOLERANCES)},
                "verdicts": ", ".join(f"{row.value}: {row.verdict}" for row in own.itertuples() if row.verdict),
                "largest": np.abs(effects).max(),
            }
        )
    return pd.DataFrame(rows).sort_values("largest", ascending=False, kind="stable", ignore_index=True)


def check_metrics(checks: Mapping[str, Any]) -> dict[str, float]:
    """Return what the checks of optimisers say, as figures."""
    from experiments._ludb import unpacked

    found: dict[str, float] = {}
    for row in checks["crf"]:
        name = f"L-BFGS.{row['structure']}, {row['marks']}"
        found |= {f"{name}.gained": row["gained"], f"{name}.iterations": row["iterations"]}
        if row["gap"] is not None:
            found |= {f"{name}.gap": row["gap"], f"{name}.gap after more": row["gap_longer"]}
    for name in ("AdamW", "L-BFGS"):
        last = checks["emission"][name]
        score = macros(unpacked(last["scores"]), np.ones((1, len(last["scores"]))))[0]
        found |= {f"last layer by {name}.nats seen": last["seen"], f"last layer by {name}.nats unseen": last["unseen"]}
        found |= {f"last layer by {name}.{tolerance}": float(score[k]) for k, tolerance in enumerate(TOLERANCES)}
    found["K-SVD.planted atoms found"] = checks["dictionary"]["recovered"]
    for text, errors in checks["dictionary"]["errors"].items():
        found |= {
            f"K-SVD.error_pct.{text}": float(np.mean(errors)),
            f"K-SVD.error_pct.{text}.spread": float(np.ptp(errors)),
        }
    return found | {f"OMP.{name}": float(value) for name, value in checks["codes"].items()}


def crf_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)


def draw(effects: Effects) -> Figure:
    """Draw what each value changes, largest effects on top; grey is what seeds change."""
    from matplotlib.figure import Figure

    values, spread = effects.values, effects.spread
    changes = [f"change_{tolerance}" for tolerance in TOLERANCES]
    largest = values[changes].abs().max(axis=1).groupby(values["parameter"]).max().sort_values()
    figure = Figure(figsize=(10, 1.4 + 0.24 * len(largest)), layout="constrained")
    for k, (axes, tolerance) in enumerate(zip(figure.subplots(1, 2, sharey=True), TOLERANCES, strict=True)):
        axes.axvspan(-spread[k], spread[k], color="#dddddd", linewidth=0)
        axes.axvline(0, color="#8a9099", linewidth=0.8)
        for place, name in enumerate(largest.index):
            own = values[values["parameter"] == name]
            for j, row in enumerate(own.itertuples()):
                value, low, high = (getattr(row, f"change{end}_{tolerance}") for end in ("", "_low", "_high"))
                at = place + 0.22 * (j - (len(own) - 1) / 2)
                axes.plot([low, high], [at, at], color="#8a9099", linewidth=1)
                axes.plot(value, at, marker="o" if j else "v", color="#0072b2" if j else "#d55e00", markersize=4)
                axes.annotate(row.value, (high, at), (3, 0), textcoords="offset points", fontsize=5, va="center")
        axes.set(xlabel=f"macro F1 changed (points), {tolerance}")
        axes.tick_params(axis="y", labelsize=7)
    figure.axes[0].set_yticks(range(len(largest)), list(largest.index))
    return figure
