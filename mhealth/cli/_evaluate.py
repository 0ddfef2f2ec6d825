"""`mhealth evaluate`: how well labels agree with experts, on records that were not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from mhealth.cli._datasets import second_annotations
from mhealth.cli._options import Budget, Channels, Data, Emission, Noise, Records, Seed, split_channels
from mhealth.cli._selection import CALLED, Kind, kind_of, load_labeler, look
from mhealth.cli._terminal import (
    Bar,
    Debug,
    Quiet,
    Terminal,
    announce_compilation,
    examples,
    print_table,
    reports_errors,
    write_table,
)
from mhealth.cli._training import Case, fit, kind_of_marks, load_cases, load_noise, untrained
from mhealth.core import ECG_WAVES, Annotation, Recording, Spans, make_folder, write_file
from mhealth.errors import InvalidParameterError

if TYPE_CHECKING:
    import pandas as pd

    from mhealth.cli._datasets import Dataset
    from mhealth.labeling import BreathLabeler, EcgLabeler
    from mhealth.metrics import BreathScores, DelineationScore, Reliability

__all__ = ["EPILOG", "Figures", "evaluate", "figures_of"]

EPILOG = examples(
    ("mhealth evaluate ludb --data /data/ludb --out results/", "5 folds by subject, leads alone and fused"),
    ("mhealth evaluate bidmc --data /data/bidmc --out results/", "breaths, and how far two people agree on them"),
    ("mhealth evaluate qtdb --data /data/qtdb --model my.npz --out results/", "a model, on all records"),
    ("mhealth evaluate qtdb --also ludb --data /data --out results/", "QTDB by subject, learning from LUDB too"),
    ("mhealth evaluate my_records/ --folds 10 --leads fused --out results/", "your own recordings and marks"),
)

WHO = {"": "found", "human_": "human"}
"""Whose breaths were compared with the first annotator's, by the prefix of the figures: ours, or a second person's."""

HEADINGS = {"sensitivity": "Se"}
"""Shorter names of columns on a terminal, into which a table should fit."""

TOLERANCES: tuple[Literal["150ms", "tight"], ...] = ("150ms", "tight")


@dataclass(frozen=True, eq=False)
class Figures:
    """Scores of one way of labeling.

    Parameters
    ----------
    summary : dict of str to float
        Under the names that result tables use, such as ``"all leads.150ms.macro"``.
    tables : dict of str to DataFrame
        By the name of the file that each goes to.
    reliability : dict of str to Reliability
        Calibration by label.
    """

    summary: dict[str, float]
    tables: dict[str, pd.DataFrame]
    reliability: dict[str, Reliability]


@reports_errors
def evaluate(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Registered data set (ludb, qtdb, bidmc, ...), or a folder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for predictions, tables and plots.")],
    data: Data = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="Evaluate this model instead of cross-validating.", show_default=False),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET", help="Let every fold learn from this data set too (may be repeated).", show_default=False
        ),
    ] = None,
    folds: Annotated[int, typer.Option(metavar="N", help="Folds of the cross-validation.", min=2)] = 5,
    leads: Annotated[
        Literal["fused", "independent", "both"],
        typer.Option(help="Whether ECG leads decide together which waves exist, or each on its own."),
    ] = "both",
    channels: Channels = None,
    records: Records = None,
    noise: Noise = None,
    emission: Emission = "sparse",
    budget: Budget = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare labels with those of experts.

    Without --model, a labeler is trained and tested by cross-validation: folds are split by subject and hold the
    same share of each group of records (such as rhythms). With --also, each fold learns from the records of further
    data sets too, but for those of subjects that it is tested on. With --model, that model is tested on all records;
    leave out those that it was trained on.

    Points are matched one-to-one, nearest first. Waves within 150 ms (ANSI/AAMI EC57), and once more within tight
    windows: P 50, QRS 40, T onset and peak 50, T offset 100 ms. Breaths, by the end of inspiration, within 0.5 and 1 s,
    beside a second person's marks where the data set has them. False positives count where the expert marked all.

    DIR gets, for fused and independent leads: predictions/RECORD.csv, tables of scores, and for waves a plot of the
    calibration; figures.json holds all figures. Channels that breathe are always labelled independently.
    """
    terminal = Terminal(quiet=quiet)
    make_folder(out)
    source, cases = load_cases(dataset, data, records, terminal)
    announce_compilation(terminal)
    kind = kind_of_marks(cases)
    variants: tuple[str, ...] = ("independent", "fused") if leads == "both" else (leads,)
    if kind == "respiration":
        variants = ("independent",)
    if model is not None:
        if also:
            raise InvalidParameterError(
                f"--also {' '.join(also)}: --model {model} is trained already. Give one of them."
            )
        labeler = load_labeler(model)
        if kind_of(labeler) != kind:
            raise InvalidParameterError(
                f"--model {model} labels {CALLED[kind_of(labeler)]}, but the marks of {dataset} are of {CALLED[kind]}."
            )
        if getattr(labeler, "leads", None) == "early":  # it knows its leads together only
            variants = ("early",)
        found = _label_all(labeler, kind, cases, variants, terminal)
    else:

        def new_labeler() -> EcgLabeler | BreathLabeler:
            return untrained(kind, noise=noise_records, seed=seed, emission=emission, budget=budget)

        noise_records = load_noise(noise, data)
        others = [case for name in also or () for case in load_cases(name, data, None, terminal)[1]]
        kind_of_marks([*cases, *others])
        found = _cross_validate(cases, others, kind, folds, variants, seed, new_labeler, out, terminal)

    wanted = split_channels(channels) or None
    summary = {}
    for variant in variants:
        predictions = [found[variant, case.name] for case in cases]
        _write_predictions(cases, predictions, out / variant / "predictions")
        figures = figures_of(source, cases, predictions, wanted)
        _write_figures(figures, out / variant)
        _print_figures(
            figures, f"{dataset}, {len(cases)} records, {'leads' if kind == 'ecg' else 'channels'} {variant}"
        )
        summary[variant] = figures.summary
    write_file(out / "figures.json", (json.dumps(summary, indent=1) + "\n").encode())
    terminal.say(f"predictions, tables and plots -> {out}")


def _cross_validate(
    cases: Sequence[Case],
    others: Sequence[Case],
    kind: Kind,
    n_folds: int,
    variants: Sequence[str],
    seed: int,
    new_labeler: Callable[[], EcgLabeler | BreathLabeler],
    out: Path,
    terminal: Terminal,
) -> dict[tuple[str, str], Spans]:
    """Return the spans of every record by a labeler that was trained on other subjects, of `others` too."""
    import pandas as pd

    fold_of = split(cases, n_folds, seed)
    rows = [(case.name, case.subject, case.stratum, fold) for case, fold in zip(cases, fold_of, strict=True)]
    write_table(pd.DataFrame(rows, columns=["record", "subject", "stratum", "fold"]), out / "folds.csv")
    found: dict[tuple[str, str], Spans] = {}
    for fold in range(n_folds):
        prefix = f"fold {fold + 1} of {n_folds}: "
        labeler = new_labeler()
        tested = [case for case, k in zip(cases, fold_of, strict=True) if k == fold]
        known = {case.subject for case in tested}
        fit(labeler, [case for case in (*cases, *others) if case.subject not in known], terminal, prefix=prefix)
        found |= _label_all(labeler, kind, tested, variants, terminal, prefix=prefix)
    return found


def split(cases: Sequence[Case], n_folds: int, seed: int) -> list[int]:
    """Return the fold of each record: subjects stay together, and folds hold the same share of each stratum.

    Raises
    ------
    InvalidParameterError
        If there are fewer subjects than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = [case.subject for case in cases]
    if len(set(subjects)) < n_folds:
        raise InvalidParameterError(f"--folds {n_folds} needs as many subjects; there are {len(set(subjects))}.")
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    fold_of = np.empty(len(cases), dtype=int)
    for fold, (_, tested) in enumerate(folds.split(subjects, [case.stratum for case in cases], subjects)):
        fold_of[tested] = fold
    return fold_of.tolist()


def _label_all(
    labeler: EcgLabeler | BreathLabeler,
    kind: Kind,
    cases: Sequence[Case],
    variants: Sequence[str],
    terminal: Terminal,
    *,
    prefix: str = "",
) -> dict[tuple[str, str], Spans]:
    """Return the spans of every record in each variant."""
    found = {}
    with Bar(terminal, unit="records") as bar:
        for variant in variants:
            if kind == "ecg":
                labeler.set_params(leads=variant)
            for k, case in enumerate(cases):
                bar.update(f"{prefix}labeling, channels {variant}", k, len(cases))
                found[variant, case.name] = labeler.label(_shown_as(kind, case.recording))
    return found


def _shown_as(kind: Kind, recording: Recording) -> Recording:
    """Return the channels that look like a kind, or all if none does: the data set says that they are annotated."""
    pairs = zip(recording.channels, recording.units, strict=True)
    columns = [column for column, (name, unit) in enumerate(pairs) if look(name, unit) == kind]
    return recording.pick(columns) if columns else recording


def figures_of(
    dataset: Dataset, cases: Sequence[Case], predictions: Sequence[Spans], channels: Sequence[str] | None
) -> Figures:
    """Score predictions by what the data set's marks allow.

    Parameters
    ----------
    dataset : Dataset
        Where the cases come from.
    cases : sequence of Case
        What experts marked.
    predictions : sequence of Spans
        What was found, one a case.
    channels : sequence of str, optional
        Channels to score; by default all.

    Returns
    -------
    figures : Figures
        Where breaths are marked, of the ends of inspiration; where only beats are marked, of QRS peaks; where one set
        of marks holds for all channels, of the first channel and of the better one at each mark; else of every channel
        on its own.
    """
    if kind_of_marks(cases) == "respiration":
        return _breath_figures(dataset, cases, predictions, channels)
    marked = [case.annotation for case in cases]
    if all(_marks_beats_only(annotation) for annotation in marked):
        return _beat_figures(dataset, cases, predictions, channels)
    if all(_shares_marks(annotation) for annotation in marked):
        return _shared_figures(cases, predictions, channels)
    return _delineation_figures("all leads" if channels is None else ",".join(channels), cases, predictions, channels)


def _marks_beats_only(annotation: Annotation) -> bool:
    return bool((annotation.spans.onset < 0).all() and (annotation.spans.offset < 0).all())


def _shares_marks(annotation: Annotation) -> bool:
    """Return whether all of several channels have the same marks."""
    spans = annotation.spans
    if len(spans.channels) < 2:
        return False
    of_channel = [spans.select(spans.channel == k) for k in range(len(spans.channels))]
    return all(
        np.array_equal(getattr(part, name), getattr(of_channel[0], name))
        for part in of_channel
        for name in ("onset", "peak", "offset", "label")
    )


def _pairs(cases: Sequence[Case], predictions: Sequence[Spans]) -> list[tuple[Annotation, Spans]]:
    return [(case.annotation, spans) for case, spans in zip(cases, predictions, strict=True)]


def _breath_figures(
    dataset: Dataset, cases: Sequence[Case], predictions: Sequence[Spans], channels: Sequence[str] | None
) -> Figures:
    """Score the ends of inspiration, and beside them those of the data set's second annotator."""
    import pandas as pd

    from mhealth.metrics import score_breaths, score_second_annotator

    channel = channels[0] if channels else None
    names = [case.name for case in cases]
    scores = {"": score_breaths(_pairs(cases, predictions), channel=channel, subjects=names)}
    second = second_annotations(dataset, {case.name: case.recording for case in cases})
    if second is not None:
        pairs = ((case.annotation, marks) for case, marks in zip(cases, second, strict=True))
        scores["human_"] = score_second_annotator(pairs, channel=channel, subjects=names)
    whole = pd.concat([score.to_frame().assign(who=WHO[key]) for key, score in scores.items()])
    whole.insert(0, "who", whole.pop("who"))
    records = _by_record(scores[""])
    if second is not None:
        records = records.join(_by_record(scores["human_"])[["f1_0.5s", "count_error_pct"]].add_prefix("human_"))
    tables = {"breaths": whole, "records": records.rename_axis("record").reset_index()}
    summary = {name: value for key, score in scores.items() for name, value in score.summary(key).items()}
    return Figures(summary, tables, {})


def _by_record(score: BreathScores) -> pd.DataFrame:
    """Return a table with a row a record: the figures of the narrowest match, F1 of the others, error of the count."""
    import pandas as pd

    rows = {}
    for name, alone in zip(score.subjects, np.eye(len(score.subjects)), strict=True):
        own = score.reweighted(alone)
        counts = own.counts(own.tolerances[0])
        figures = {"n": int(counts.n), "sensitivity": float(counts.sensitivity), "ppv": float(counts.ppv)}
        f1 = {f"f1_{tolerance:g}s": own.f1(tolerance) for tolerance in own.tolerances}
        rows[name] = {**figures, **f1, "count_error_pct": own.count_error}
    return pd.DataFrame.from_dict(rows, orient="index")


def _beat_figures(
    dataset: Dataset, cases: Sequence[Case], predictions: Sequence[Spans], channels: Sequence[str] | None
) -> Figures:
    import pandas as pd

    from mhealth.metrics import score_qrs

    flutter: Callable[[str], list[tuple[int, int]]] = getattr(dataset, "flutter", lambda name: [])
    pairs = _pairs(cases, predictions)
    excluded = [flutter(case.name) for case in cases]
    channel = channels[0] if channels else 0
    rows = []
    for case, pair, episodes in zip(cases, pairs, excluded, strict=True):
        counts = score_qrs([pair], channel=channel, excluded=[episodes]).counts()
        rows.append((case.name, int(counts.n), float(counts.sensitivity), float(counts.ppv), float(counts.f1)))
    score = score_qrs(pairs, channel=channel, excluded=excluded, subjects=[case.subject for case in cases])
    table = pd.DataFrame(rows, columns=["record", "n", "sensitivity", "ppv", "f1"])
    return Figures(score.summary(), {"qrs": table}, {})


def _shared_figures(cases: Sequence[Case], predictions: Sequence[Spans], channels: Sequence[str] | None) -> Figures:
    from mhealth.metrics import score_best_channel

    first = _delineation_figures("ch0", cases, predictions, channels or [0])
    best = score_best_channel(_pairs(cases, predictions), subjects=[case.subject for case in cases])
    return Figures(first.summary | best.summary(), first.tables | {"best-channel": best.to_frame()}, first.reliability)


def _delineation_figures(
    name: str, cases: Sequence[Case], predictions: Sequence[Spans], channels: Sequence[str | int] | None
) -> Figures:
    from mhealth.metrics import WaveOutcomes, reliability, score_delineation, wave_outcomes

    pairs = _pairs(cases, predictions)
    subjects = [case.subject for case in cases]
    score = score_delineation(pairs, subjects=subjects, channels=channels)
    tables = {f"points-{tolerance}": score.to_frame(tolerance) for tolerance in TOLERANCES}
    if channels is None:
        tables["channels"] = _comparison("channel", _by_channel(pairs, subjects))
    strata = sorted({case.stratum for case in cases})
    if len(strata) > 1:
        tables["groups"] = _comparison("group", _by_stratum(strata, cases, pairs, channels))
    calibration = {}
    for label in ECG_WAVES:
        outcomes = WaveOutcomes.concat(wave_outcomes(a, spans, label, channels=channels) for a, spans in pairs)
        known = np.isfinite(outcomes.probability)
        calibration[label] = reliability(outcomes.probability[known], outcomes.correct[known])
    errors = {f"{name}.calibration.{label}": round(diagram.error, 4) for label, diagram in calibration.items()}
    return Figures(score.summary(name) | errors, tables, calibration)


def _by_channel(
    pairs: Sequence[tuple[Annotation, Spans]], subjects: Sequence[str]
) -> Iterator[tuple[str, DelineationScore]]:
    from mhealth.metrics import score_delineation

    names = dict.fromkeys(name for annotation, _ in pairs for name in annotation.spans.channels)
    for name in names:
        having = [(pair, s) for pair, s in zip(pairs, subjects, strict=True) if name in pair[0].spans.channels]
        yield name, score_delineation([p for p, _ in having], subjects=[s for _, s in having], channels=[name])


def _by_stratum(
    strata: Sequence[str],
    cases: Sequence[Case],
    pairs: Sequence[tuple[Annotation, Spans]],
    channels: Sequence[str | int] | None,
) -> Iterator[tuple[str, DelineationScore]]:
    from mhealth.metrics import score_delineation

    for stratum in strata:
        inside = [pair for case, pair in zip(cases, pairs, strict=True) if case.stratum == stratum]
        yield f"{stratum} ({len(inside)})", score_delineation(inside, channels=channels)


def _comparison(kind: str, scores: Iterator[tuple[str, DelineationScore]]) -> pd.DataFrame:
    """Return a table with a row a score: macro and F1 of each wave."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            kind: name,
            **{f"macro {tolerance}": score.macro(tolerance) for tolerance in TOLERANCES},
            **{label: score.f1(label) for label in ECG_WAVES},
            "false P per beat": score.false_p_per_beat,
        }
        for name, score in scores
    ]
    return pd.DataFrame(rows)


def _write_predictions(cases: Sequence[Case], predictions: Sequence[Spans], folder: Path) -> None:
    from mhealth.io import write_spans

    make_folder(folder)
    for case, spans in zip(cases, predictions, strict=True):
        write_spans(spans, folder / f"{case.name}.csv")


def _write_figures(figures: Figures, folder: Path) -> None:
    import pandas as pd

    from mhealth.report import plot_reliability, save_figure

    for name, table in figures.tables.items():
        write_table(table, folder / f"{name}.csv")
    if figures.reliability:
        frames = [diagram.to_frame().assign(label=label) for label, diagram in figures.reliability.items()]
        write_table(pd.concat(frames), folder / "calibration.csv")
        save_figure(plot_reliability(figures.reliability), folder / "calibration.png")


def _print_figures(figures: Figures, title: str) -> None:
    for name, table in figures.tables.items():
        columns = [HEADINGS.get(column, column).replace("_", "\n") for column in table.columns]
        print_table(f"{title}: {name}", columns, table.values.tolist())
    print_table(f"{title}: figures", ["figure", "value"], [[k, f"{v:g}"] for k, v in figures.summary.items()])
