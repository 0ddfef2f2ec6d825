"""What the waves of all arms say: scores, differences, confusion, groups, curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from experiments._arms import NAMES, missing
from experiments._experiment import Outcome, Run
from experiments._ludb import ground
from experiments._spans import from_rows
from experiments._statistics import Estimate, estimate, holm, signed_rank
from experiments._structures import STRUCTURES
from experiments.ecg_morphology import _figures
from experiments.ecg_morphology._confusion import EXPERT, FOUND, Confusion, confusion
from experiments.ecg_morphology._curves import Curve, curve, of_waves
from experiments.ecg_morphology._groups import groups
from mhealth.core import ECG_WAVES, Annotation, Spans
from mhealth.metrics import DelineationScore, WaveOutcomes, bootstrap_difference, score_delineation, wave_outcomes

__all__ = ["summary"]

TOLERANCES = ("150ms", "tight")
_EDGES = [0, 2]
"""Onset and offset among the points that are scored."""

_FULL = ("sparse", "tcn", "unet", "neurokit2-dwt", "neurokit2-prominence", "prominence-delineator")
"""Arms of a full run beside the structures."""

Pairs = dict[str, list[tuple[Annotation, Spans]]]
"""Marks and waves of every record, by arm."""


def summary(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return all figures of a run; see `experiment` for what its steps leave."""
    cases = ground(run).cases
    subjects = [case.subject for case in cases]
    pairs: Pairs = {
        arm: [(case.annotation, from_rows(rows.get(case.name, []), case.recording)) for case in cases]
        for arm, rows in _waves(run, left).items()
    }
    scores = {arm: score_delineation(own, subjects=subjects) for arm, own in pairs.items()}
    confused = {arm: confusion(own, subjects) for arm, own in pairs.items()}
    curves = _curves(run, left)
    outcomes = {
        arm: {
            label: WaveOutcomes.concat(wave_outcomes(marks, spans, label) for marks, spans in own)
            for label in ECG_WAVES
        }
        for arm, own in pairs.items()
    }
    of_scores, score_table = _scores(run, scores)
    of_time = _time_recalls(run, confused)
    of_pairs, pair_table = _differences(run, scores)
    of_curves = _areas(curves, outcomes)
    group_table = _by_group(run, pairs)
    absent = [arm for arm in (*_FULL, *run.settings["labelers"], *run.settings["peers"]) if arm not in pairs]
    return Outcome(
        metrics=of_scores | of_time | of_pairs | of_curves,
        tables={
            "scores": score_table,
            "differences": pair_table,
            "groups": group_table,
            "confusion": _confusion_table(confused),
        },
        figures={
            "scores": _figures.scores(of_scores, list(pairs)),
            "recall": _figures.recalls(of_scores, of_time, list(pairs)),
            "curves": _figures.curves(curves, outcomes),
            "confusion": _figures.confusion({arm: own.shares for arm, own in confused.items()}),
            "groups": _figures.groups(group_table),
        },
        left_out=[f"{NAMES[arm]}: {missing(arm) or 'not asked for'}." for arm in dict.fromkeys(absent)],
    )


def _waves(run: Run, left: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of each arm by record, from all folds."""
    found: dict[str, dict[str, Any]] = {}
    for k in range(run.settings["folds"]):
        for structure in STRUCTURES:
            found.setdefault(structure, {}).update(left[f"structures-{k + 1}"][structure]["waves"])
        for arm in run.settings["labelers"]:
            if f"{arm}-{k + 1}" in left:
                found.setdefault(arm, {}).update(left[f"{arm}-{k + 1}"])
    return found | {arm: left[arm] for arm in run.settings["peers"] if arm in left}


def _curves(run: Run, left: Mapping[str, Any]) -> dict[str, dict[str, Curve]]:
    """Return the curves of time, by structure and label."""
    folds = [left[f"structures-{k + 1}"] for k in range(run.settings["folds"])]
    return {
        structure: {label: curve([fold[structure]["time"][label] for fold in folds]) for label in ECG_WAVES}
        for structure in STRUCTURES
    }


def _recall(score: DelineationScore, label: str) -> float:
    """Return the share of an expert's onsets and offsets that are found within 150 ms, in per cent."""
    return float(score.counts().sensitivity[ECG_WAVES.index(label), _EDGES].mean())


def _precision(score: DelineationScore, label: str) -> float:
    """Return the share of the found onsets and offsets that an expert marked within 150 ms, in per cent."""
    return float(score.counts().ppv[ECG_WAVES.index(label), _EDGES].mean())


def _range(score: DelineationScore) -> float:
    """Return how far apart the recalls of the labels are."""
    return float(np.ptp([_recall(score, label) for label in ECG_WAVES]))


def _scores(run: Run, scores: Mapping[str, DelineationScore]) -> tuple[dict[str, float], pd.DataFrame]:
    """Return F1, recall, precision and false P waves with intervals."""
    figures: dict[str, Callable[[DelineationScore], float]] = {
        **{
            f"{tolerance}.{label}": partial(_f1, label=label, tolerance=tolerance)
            for tolerance in TOLERANCES
            for label in ("macro", *ECG_WAVES)
        },
        **{f"recall.{label}": partial(_recall, label=label) for label in ECG_WAVES},
        "recall.range": _range,
        **{f"precision.{label}": partial(_precision, label=label) for label in ECG_WAVES},
        "false_p": lambda score: score.false_p_per_beat,
    }
    metrics: dict[str, float] = {}
    rows = []
    for arm, score in scores.items():
        for figure, of in figures.items():
            found = _estimate(run, score, of)
            kind, _, label = figure.partition(".")
            names = {kind: f"{kind}.{arm}.{label}" for kind in ("recall", "precision")} | {"false_p": f"false_p.{arm}"}
            name = names.get(kind, f"f1.{arm}.{figure}")
            metrics |= found.metrics(name)
            rows.append((arm, figure, *found))
    return metrics, pd.DataFrame(rows, columns=["arm", "figure", "value", "low", "high"])


def _estimate(run: Run, score: Any, of: Callable[[Any], float]) -> Estimate:
    return estimate(score, of, n=run.settings["n_resamples"], seed=run.seed)


def _f1(score: DelineationScore, label: str, tolerance: Any) -> float:
    return score.macro(tolerance) if label == "macro" else score.f1(label, tolerance)


def _time_recalls(run: Run, confused: Mapping[str, Confusion]) -> dict[str, float]:
    """Return the share of the expert's time in each label that gets the same label."""
    metrics: dict[str, float] = {}
    for arm, own in confused.items():
        for label in EXPERT:
            metrics |= _estimate(run, own, lambda table, label=label: table.recall(label)).metrics(
                f"time_recall.{arm}.{label}"
            )
    return metrics


def _differences(run: Run, scores: Mapping[str, DelineationScore]) -> tuple[dict[str, float], pd.DataFrame]:
    """Return the difference of macro F1 of each two arms, and tests of it that are paired by subject.

    Intervals are of draws of subjects; p is that of Wilcoxon's signed-rank test over the subjects' own macro F1, as it
    is and by Holm for all pairs at one tolerance.
    """
    metrics: dict[str, float] = {}
    rows = []
    for tolerance in TOLERANCES:
        macro = partial(_f1, label="macro", tolerance=tolerance)
        alone = {
            arm: np.array([macro(score.reweighted(one)) for one in np.eye(len(score.subjects))])
            for arm, score in scores.items()
        }
        compared = []
        for first, second in combinations(scores, 2):
            found = bootstrap_difference(
                scores[second], scores[first], macro, n=run.settings["n_resamples"], seed=run.seed
            )
            own = alone[second] - alone[first]
            compared.append((second, first, found, int((own > 0).sum()), int((own < 0).sum()), signed_rank(own)))
        for (*pair, found, better, worse, p), adjusted in zip(compared, holm([p for *_, p in compared]), strict=True):
            rows.append((tolerance, *pair, found.difference, found.low, found.high, better, worse, p, adjusted))
            name = f"difference.{tolerance}.{pair[0]} - {pair[1]}"
            metrics |= Estimate(found.difference, found.low, found.high).metrics(name)
    columns = [
        "tolerance", "first", "second", "difference", "low", "high", "better_in", "worse_in", "p", "p_holm",
    ]  # fmt: skip
    return metrics, pd.DataFrame(rows, columns=columns)


def _areas(
    curves: Mapping[str, Mapping[str, Curve]], outcomes: Mapping[str, Mapping[str, WaveOutcomes]]
) -> dict[str, float]:
    """Return areas under ROC curves and mean precisions, of time and of waves."""
    metrics: dict[str, float] = {}
    for arm, of_label in curves.items():
        for label, own in of_label.items():
            metrics[f"time.{arm}.roc.{label}"] = own.area
            metrics[f"time.{arm}.precision.{label}"] = own.average_precision
    for arm, found in outcomes.items():
        for label, of in found.items():
            *_, precision = of_waves(of)
            if np.isfinite(precision):
                metrics[f"waves.{arm}.precision.{label}"] = precision
    return metrics


def _by_group(run: Run, pairs: Pairs) -> pd.DataFrame:
    """Return scores of the records of each rhythm and diagnosis."""
    cases = ground(run).cases
    place = {case.name: k for k, case in enumerate(cases)}
    rows = []
    for group, records in groups(run.data / "ludb").items():
        used = [place[name] for name in records if name in place]
        if not used:
            continue
        for arm, own in pairs.items():
            score = score_delineation([own[k] for k in used], subjects=[cases[k].subject for k in used])
            macro = _estimate(run, score, lambda of: of.macro())
            rows.append(
                (
                    group, arm, len(used), *macro, score.macro("tight"),
                    *(_recall(score, label) for label in ECG_WAVES), score.false_p_per_beat,
                )
            )  # fmt: skip
    columns = [
        "group", "arm", "n_records", "macro", "low", "high", "macro_tight",
        *(f"recall_{label}" for label in ECG_WAVES), "false_p_per_beat",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _confusion_table(confused: Mapping[str, Confusion]) -> pd.DataFrame:
    rows = [
        (arm, expert, found, own.shares[i, j])
        for arm, own in confused.items()
        for i, expert in enumerate(EXPERT)
        for j, found in enumerate(FOUND)
    ]
    return pd.DataFrame(rows, columns=["arm", "expert", "found", "share_pct"])
