"""Breaths found out of fold beside the marks of two people, a rule, and NeuroKit2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments._experiment import Experiment, Outcome, Run, Step
from experiments._statistics import estimate
from mhealth.core import BREATH_PHASES, Annotation, Spans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mhealth.cli._training import Case
    from mhealth.metrics import BreathScores

__all__ = ["EXPERIMENT"]

CHANNEL = "RESP"
MODEL, SECOND = "model", "other annotator"
FIGURES: dict[str, Callable[[BreathScores], float]] = {
    "f1_0.5s": lambda score: score.f1(0.5),
    "f1_1s": lambda score: score.f1(1.0),
    "count_error": lambda score: score.count_error,
}
"""In per cent."""

Ends = dict[str, list[int]]
"""Samples at which inspirations end, by record."""


def steps(run: Run) -> list[Step]:
    """Return a step a fold, in which a model learns from the others, and one a rule."""
    from experiments.breathing._rules import finders

    folds = [Step(f"fold-{k + 1}", partial(fold, k)) for k in range(run.settings["folds"])]
    rules = [Step(name.lower().replace(" ", "-"), partial(by_rule, name)) for name in finders()]
    return folds + rules


def fold(k: int, run: Run, before: Mapping[str, Any]) -> Ends:
    """Return what a model that learned from the other folds finds in this one."""
    from mhealth.cli._evaluate import split
    from mhealth.labeling import BreathLabeler, TrainingSettings

    cases = run.cases("bidmc", run.settings["records"])
    fold_of = split(cases, run.settings["folds"], run.seed)
    seen = [case for case, own in zip(cases, fold_of, strict=True) if own != k]
    sizes = run.settings["training"]
    labeler = BreathLabeler(
        n_simulated=run.settings["n_simulated"],
        training=TrainingSettings(**sizes) if sizes else None,
        random_state=run.seed,
    )
    labeler.fit(
        [case.recording for case in seen],
        [case.annotation for case in seen],
        groups=[case.subject for case in seen],
        progress=run.progress,
    )
    ends: Ends = {}
    for case, own in zip(cases, fold_of, strict=True):
        if own == k:
            spans = labeler.label(case.recording.pick([case.recording.channels.index(CHANNEL)]))
            ends[case.name] = spans.of(label=BREATH_PHASES[0]).offset.tolist()
    return ends


def by_rule(name: str, run: Run, before: Mapping[str, Any]) -> Ends:
    """Return what a rule finds in all recordings."""
    from experiments.breathing._rules import finders

    find, ends = finders()[name], {}
    for case in run.cases("bidmc", run.settings["records"]):
        signal = case.recording.signals[:, case.recording.channels.index(CHANNEL)].astype(np.float64)
        known = np.flatnonzero(np.isfinite(signal))
        filled = np.interp(np.arange(len(signal)), known, signal[known])
        ends[case.name] = find(filled, case.recording.fs).tolist()
    return ends


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Compare everything with the marks of both annotators."""
    from data_loaders import Bidmc
    from experiments.breathing._rules import NEUROKIT, finders
    from mhealth.metrics import bootstrap_difference

    cases = run.cases("bidmc", run.settings["records"])
    found: dict[str, Ends] = {
        MODEL: {
            name: ends for step, of_fold in left.items() if step.startswith("fold-") for name, ends in of_fold.items()
        }
    }
    found |= {name: left[name.lower().replace(" ", "-")] for name in finders()}
    other = Bidmc(run.data / "bidmc", annotator=2)
    marks = {1: [case.annotation for case in cases], 2: [other.annotation(case.name, case.recording) for case in cases]}
    scores = scored(cases, found, marks)

    metrics: dict[str, float] = {}
    for (who, annotator), score in scores.items():
        for figure, of in FIGURES.items():
            name = f"annotator {annotator}.{who}.{figure}"
            metrics |= estimate(score, of, n=run.settings["n_resamples"], seed=run.seed).metrics(name)
    for (who, annotator), score in scores.items():
        if who != MODEL:
            for figure, of in FIGURES.items():
                name = f"annotator {annotator}.{MODEL} - {who}.{figure}"
                difference = bootstrap_difference(
                    scores[MODEL, annotator], score, of, n=run.settings["n_resamples"], seed=run.seed
                )
                metrics |= {
                    name: difference.difference,
                    f"{name}.low": difference.low,
                    f"{name}.high": difference.high,
                }
    absent = [name for name in NEUROKIT if name not in found]
    return Outcome(
        metrics=metrics,
        tables={"scores": table(scores), "subjects": by_subject(scores)},
        figures={"agreement": drawn(metrics, [*found, SECOND])},
        left_out=[f"{', '.join(absent)}: neurokit2 is not installed (`make bench` sets up .venv/bench)."]
        if absent
        else [],
    )


def scored(
    cases: list[Case], found: dict[str, Ends], marks: dict[int, list[Annotation]]
) -> dict[tuple[str, int], BreathScores]:
    """Return the scores of everything found, and of the other annotator, against each annotator."""
    from mhealth.metrics import score_breaths, score_second_annotator

    subjects = [case.subject for case in cases]
    scores = {}
    for annotator, marked in marks.items():
        for who, ends in found.items():
            spans = [spans_of(ends[case.name], case) for case in cases]
            scores[who, annotator] = score_breaths(zip(marked, spans, strict=True), subjects=subjects)
        pairs = zip(marked, marks[3 - annotator], strict=True)
        scores[SECOND, annotator] = score_second_annotator(pairs, subjects=subjects)
    return scores


def spans_of(ends: list[int], case: Case) -> Spans:
    """Return inspirations of which the end is known, in the channel that is marked."""
    channel = case.recording.channels.index(CHANNEL)
    return Spans.from_rows(
        [(-1, -1, end, 0, channel, np.nan) for end in ends],
        fs=case.recording.fs,
        channels=case.recording.channels,
        classes=BREATH_PHASES[:1],
    )


def table(scores: dict[tuple[str, int], BreathScores]) -> Any:
    """Return a row for each finder, annotator and tolerance."""
    import pandas as pd

    parts = [score.to_frame().assign(finder=who, annotator=annotator) for (who, annotator), score in scores.items()]
    whole = pd.concat(parts)
    return whole[["finder", "annotator", *(name for name in whole.columns if name not in ("finder", "annotator"))]]


def by_subject(scores: dict[tuple[str, int], BreathScores]) -> Any:
    """Return F1 within 0.5 s of each subject, a column a finder, against annotator 1."""
    import pandas as pd

    of_first = {who: score for (who, annotator), score in scores.items() if annotator == 1}
    frame = pd.DataFrame({"subject": [str(subject) for subject in of_first[MODEL].subjects]})
    for who, score in of_first.items():
        frame[who] = [score.reweighted(alone).f1(0.5) for alone in np.eye(len(frame))]
    return frame


def drawn(metrics: dict[str, float], finders: list[str]) -> Figure:
    """Draw F1 within 0.5 s and the error of the number of breaths with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.5 * len(finders) + 1.4), layout="constrained")
    panels = {"f1_0.5s": "F1 of the ends of inspiration within 0.5 s (%)", "count_error": "error of their number (%)"}
    for axes, (name, title) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        for annotator, colour in ((1, "#0072b2"), (2, "#d55e00")):  # of Okabe and Ito, told apart by everybody
            keys = [f"annotator {annotator}.{who}.{name}" for who in finders]
            value, low, high = (np.array([metrics[f"{key}{end}"] for key in keys]) for end in ("", ".low", ".high"))
            at = np.arange(len(finders)) + 0.15 * (2 * annotator - 3)
            axes.errorbar(
                value, at, xerr=[value - low, high - value], fmt="o", color=colour, label=f"annotator {annotator}"
            )
        axes.set(title=title, yticks=range(len(finders)), yticklabels=finders)
        axes.title.set_fontsize(10)
        axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=8)
    return figure


SMALL = {
    "n_atoms": 12, "n_nonzero": 3, "n_first": 16, "n_second": 8, "n_epochs": 1, "fewest_steps": 40, "n_augmented": 0,
    "batch_size": 2, "learning_rate": 3e-3,
}  # fmt: skip
"""Sizes that learn something within seconds."""

EXPERIMENT = Experiment(
    name="breathing",
    question="Do breaths found out of fold agree with people as well as people agree with each other?",
    expectation=(
        "The model is as good as the other annotator within 0.5 s (the interval of the difference holds zero), and "
        "ahead of the moving average and of NeuroKit2 by 5 points or more. Annotator 2 agrees with it as annotator 1 "
        "does, although it learned from annotator 1 only."
    ),
    datasets=("bidmc",),
    settings={"folds": 5, "records": None, "n_simulated": 90, "training": None, "n_resamples": 1000},
    quick={"folds": 2, "records": 6, "n_simulated": 2, "training": SMALL, "n_resamples": 100},
    steps=steps,
    conclude=conclude,
    # Other processors round sums differently, which moves an edge now and then: a breath or two of 5000.
    tolerance={"*": 0.3},
    headline=tuple(
        f"annotator {annotator}.{who}.f1_0.5s"
        for annotator in (1, 2)
        for who in (MODEL, SECOND, "moving average", "NeuroKit2 biosppy", "NeuroKit2 khodadad2018")
    ),
)
