"""Dictionaries used where they were not learned: errors, labels and atoms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Experiment, Outcome, Run, Step
from experiments.dictionary_transfer._design import (
    CONTROLS,
    KINDS,
    LABELLED,
    LEADS,
    LEARNS,
    NAMES,
    SIZE,
    SOURCES,
    SPARSITY,
    TESTED,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mhealth.core import Spans
    from mhealth.metrics import DelineationScore
    from mhealth.sparse import Dictionary

__all__ = ["EXPERIMENT"]


def steps(run: Run) -> list[Step]:
    """Return the steps: learn of each data set, code each with all, label each that has marks with all."""
    return [
        *(Step(f"learn-{source}", partial(learn, source)) for source in SOURCES),
        *(Step(f"errors-{target}", partial(errors, target)) for target in SOURCES),
        *(
            Step(f"labels-{target}-{source}", partial(labels, target, source))
            for target in LABELLED
            for source in (*SOURCES, *CONTROLS)
        ),
    ]


def learn(source: str, run: Run, before: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Return atoms: of both halves, of another seed, and of other sizes."""
    from experiments.dictionary_transfer._sources import windows_of
    from mhealth.sparse import learn_dictionary

    wanted = [
        ("edge", SIZE, LEARNS, 0),
        ("wave", SIZE, LEARNS, 0),
        ("wave", SIZE, TESTED, 0),
        ("wave", SIZE, LEARNS, 1),
    ]
    wanted += [("wave", size, LEARNS, 0) for size in run.settings["sizes"] if size != SIZE]
    atoms = {}
    for done, (kind, size, half, draw) in enumerate(wanted):
        windows = windows_of(run, source, half)[kind].values
        run.progress("dictionaries", done, len(wanted))
        dictionary = learn_dictionary(
            windows[windows.any(axis=1)], size, n_nonzero=SPARSITY, n_iter=run.settings["iterations"],
            rng=np.random.default_rng([run.seed, draw]),
        )  # fmt: skip
        atoms[key_of(kind, size, half, draw)] = np.round(dictionary.atoms.astype(float), 6).tolist()
    return atoms


def key_of(kind: str, size: int, half: int = LEARNS, draw: int = 0) -> str:
    return f"{kind}, {size} atoms, half {half}, draw {draw}"


def dictionary_of(
    run: Run, before: Mapping[str, Any], source: str, target: str, kind: str, size: int = SIZE
) -> Dictionary:
    """Return what was learned of a data set, or a control for the target."""
    from experiments.dictionary_transfer._sources import control, windows_of
    from mhealth.sparse import Dictionary

    if source in CONTROLS:
        rng = np.random.default_rng([run.seed, size])
        return control(source, kind, size, windows_of(run, target, LEARNS)[kind], rng)
    atoms = np.array(before[f"learn-{source}"][key_of(kind, size)])
    return Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True))


def errors(target: str, run: Run, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is left of the windows of the target's tested subjects, a row a dictionary, size and sparsity."""
    from experiments.dictionary_transfer._sources import windows_of
    from mhealth.sparse import omp

    windows = windows_of(run, target, TESTED)["wave"]
    subjects, row = np.unique(windows.subject, return_inverse=True)
    whole = np.bincount(row, (windows.values.astype(float) ** 2).sum(axis=1))
    rows = []
    for source in (*SOURCES, *CONTROLS):
        for size in run.settings["sizes"]:
            run.progress(f"coding with {source}", run.settings["sizes"].index(size), len(run.settings["sizes"]))
            dictionary = dictionary_of(run, before, source, target, "wave", size)
            for sparsity in run.settings["sparsities"]:
                rest = windows.values - omp(windows.values, dictionary, n_nonzero=sparsity).reconstruct(dictionary)
                left = np.bincount(row, (rest.astype(float) ** 2).sum(axis=1))
                rows.append(
                    {
                        "source": source, "size": size, "sparsity": sparsity, "subjects": subjects.tolist(),
                        "left": np.round(left, 4).tolist(), "whole": np.round(whole, 4).tolist(),
                    }
                )  # fmt: skip
    return rows


def labels(target: str, source: str, run: Run, before: Mapping[str, Any]) -> dict[str, list[list[int]]]:
    """Return the waves that a span CRF above codes finds in the tested subjects, by record: rows of `rows_of`."""
    import scipy.sparse

    from experiments._structures import stacked, waves_of
    from mhealth.crf import SpanCRF
    from mhealth.labeling._ecg_task import ECG
    from mhealth.labeling._features import RawFeatures
    from mhealth.sparse import omp

    dictionaries = [(place, dictionary_of(run, before, source, target, kind)) for kind, place in KINDS.items()]

    def codes(raw: RawFeatures) -> scipy.sparse.csr_array:
        parts = []
        for place, dictionary in dictionaries:
            own = omp(raw.windows[place], dictionary, n_nonzero=SPARSITY).to_dense(sign_split=True)
            parts.append(scipy.sparse.csr_array(own))
        return scipy.sparse.hstack([*parts, scipy.sparse.csr_array(raw.dense)], format="csr")

    seen = [stretch for stretch in stretches(run, target, LEARNS)[1] if stretch.feasible]
    cases, unseen = stretches(run, target, TESTED)
    training, test = stacked(seen, codes), stacked(unseen, codes)
    estimator = SpanCRF(ECG.grammar, l2=1.0, max_iter=run.settings["max_iter"], n_jobs=1)
    estimator.fit(
        training.X, training.allowed, training.lengths, times=training.times,
        progress=lambda _, done, total: run.progress("span CRF", done, total),
    )  # fmt: skip
    paths = estimator.predict(test.X, test.lengths, times=test.times)
    found = waves_of(paths, unseen, cases, ECG)
    return {cases[k].name: rows_of(spans) for k, spans in found.items()}


def stretches(run: Run, target: str, half: int) -> Any:
    """Return the labelled recordings of half the subjects, and the stretches of them that are labelled."""
    from experiments._structures import stretches_of
    from experiments.dictionary_transfer._sources import cases_of, marked_channel
    from mhealth.labeling._ecg_task import ECG

    def make() -> Any:
        cases = cases_of(run, target, half)
        if target == "ludb":
            return cases, stretches_of(cases, LEADS, ECG)
        cases = [marked_channel(case) for case in cases]
        return cases, stretches_of(cases, [case.recording.channels[0].lower() for case in cases], ECG)

    return run.once(("stretches", target, half), make)


def rows_of(spans: Spans) -> list[list[int]]:
    """Return onset, peak, offset, label, channel of each wave."""
    return np.stack([spans.onset, spans.peak, spans.offset, spans.label, spans.channel], axis=1).tolist()


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return errors, F1 lost and correlations of atoms, with intervals."""
    errors_, metrics = error_table(run, left)
    scores = label_scores(run, left)
    atoms = atom_table(run, left)
    metrics |= label_metrics(run, scores) | {
        f"atoms.{row.first} and {row.second}{end}": value
        for row in atoms.itertuples()
        for end, value in (("", row.correlation), (".low", row.low), (".high", row.high))
    }
    return Outcome(
        metrics=metrics,
        tables={"errors": errors_, "labels": label_table(scores), "atoms": atoms},
        figures={"transfer": draw(metrics), "axes": draw_axes(errors_)},
    )


def error_table(run: Run, left: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the share of energy that codes leave, and how much more than with the target's own dictionary."""
    import pandas as pd

    from experiments._statistics import resampled

    rows, metrics = [], {}
    for target in SOURCES:
        table = {(row["source"], row["size"], row["sparsity"]): row for row in left[f"errors-{target}"]}
        for (source, size, sparsity), row in table.items():
            rest, whole = np.array(row["left"]), np.array(row["whole"])
            own = np.array(table[target, size, sparsity]["left"])

            def more(weights: NDArray[np.float64], rest: NDArray = rest, own: NDArray = own) -> float:
                return float(100 * (weights @ rest / (weights @ own) - 1))

            found = resampled(len(rest), more, n=run.settings["n_resamples"], seed=run.seed)
            rows.append(
                (target, source, size, sparsity, 100 * rest.sum() / whole.sum(), found.value, found.low, found.high)
            )
            if (size, sparsity) == (SIZE, SPARSITY):
                metrics[f"error.{target} by {source}.share"] = 100 * rest.sum() / whole.sum()
                if source != target:
                    metrics |= found.metrics(f"error.{target} by {source}.more")
    columns = ["target", "source", "atoms", "nonzero", "error_pct", "more_pct", "low", "high"]
    return pd.DataFrame(rows, columns=columns), metrics


def label_scores(run: Run, left: Mapping[str, Any]) -> dict[tuple[str, str], DelineationScore]:
    """Return the scores of each target and dictionary."""
    from mhealth.core import ECG_WAVES, Spans
    from mhealth.metrics import score_delineation

    scores = {}
    for target in LABELLED:
        cases, _ = stretches(run, target, TESTED)
        for source in (*SOURCES, *CONTROLS):
            found = left[f"labels-{target}-{source}"]
            pairs = []
            for case in cases:
                rows = [(*row, np.nan) for row in found.get(case.name, [])]
                recording = case.recording
                spans = Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=ECG_WAVES)
                pairs.append((case.annotation, spans))
            scores[target, source] = score_delineation(
                pairs, subjects=[case.subject for case in cases], channels=LEADS if target == "ludb" else None
            )
    return scores


def label_metrics(run: Run, scores: Mapping[tuple[str, str], DelineationScore]) -> dict[str, float]:
    """Return macro F1 with the target's own dictionary, and what is lost with others."""
    from experiments._statistics import estimate
    from mhealth.metrics import bootstrap_difference

    metrics: dict[str, float] = {}
    n, seed = run.settings["n_resamples"], run.seed
    for (target, source), score in scores.items():
        own = scores[target, target]
        for tolerance in ("150ms", "tight"):

            def macro(of: DelineationScore, tolerance: Any = tolerance) -> float:
                return of.macro(tolerance)

            if source == target:
                metrics |= estimate(score, macro, n=n, seed=seed).metrics(f"f1.{target} by {source}.{tolerance}")
            else:
                lost = bootstrap_difference(own, score, macro, n=n, seed=seed)
                name = f"f1.{target} by {source}.lost.{tolerance}"
                metrics |= {name: lost.difference, f"{name}.low": lost.low, f"{name}.high": lost.high}
    return metrics


def label_table(scores: Mapping[tuple[str, str], DelineationScore]) -> pd.DataFrame:
    import pandas as pd

    from mhealth.core import ECG_WAVES

    rows = [
        (target, source, tolerance, score.macro(tolerance), *(score.f1(wave, tolerance) for wave in ECG_WAVES))
        for (target, source), score in scores.items()
        for tolerance in ("150ms", "tight")
    ]
    return pd.DataFrame(rows, columns=["target", "source", "tolerance", "macro", *ECG_WAVES])


def atom_table(run: Run, left: Mapping[str, Any]) -> pd.DataFrame:
    """Return mean correlations of paired atoms: of two data sets, of halves of one, of two draws, and of controls."""
    import pandas as pd

    from experiments._statistics import resampled
    from experiments.dictionary_transfer._sources import matched
    from mhealth.sparse import Dictionary

    def learned(source: str, half: int = LEARNS, draw: int = 0) -> Dictionary:
        atoms = np.array(left[f"learn-{source}"][key_of("wave", SIZE, half, draw)])
        return Dictionary(atoms=atoms / np.linalg.norm(atoms, axis=1, keepdims=True))

    pairs = [(a, b, learned(a), learned(b)) for k, a in enumerate(SOURCES) for b in SOURCES[k + 1 :]]
    pairs += [(a, f"{a}, other subjects", learned(a), learned(a, TESTED)) for a in SOURCES]
    pairs += [(a, f"{a}, other draws", learned(a), learned(a, LEARNS, 1)) for a in SOURCES]
    for control in CONTROLS:
        pairs += [(a, control, learned(a), dictionary_of(run, left, control, a, "wave")) for a in SOURCES]
    rows = []
    for first, second, one, other in pairs:
        values = matched(one, other)

        def mean(weights: NDArray[np.float64], values: NDArray = values) -> float:
            return float(weights @ values / weights.sum())

        rows.append((first, second, *resampled(len(values), mean, n=run.settings["n_resamples"], seed=run.seed)))
    return pd.DataFrame(rows, columns=["first", "second", "correlation", "low", "high"])


def draw(metrics: Mapping[str, float]) -> Figure:
    """Draw what is lost with each dictionary: errors on all data sets, F1 where waves are marked."""
    from matplotlib.figure import Figure

    colours = dict(zip(SOURCES, ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=True))  # of Okabe and Ito
    sources = (*SOURCES, *CONTROLS)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = (("error.{} by {}.more", SOURCES, "more error than with one's own (%)"),
              ("f1.{} by {}.lost.150ms", LABELLED, "macro F1 within 150 ms lost (points)"))  # fmt: skip
    for axes, (pattern, targets, title) in zip(figure.subplots(1, 2), panels, strict=True):
        for k, target in enumerate(targets):
            shown = [source for source in sources if source != target]
            names = [pattern.format(target, source) for source in shown]
            value, low, high = (np.array([metrics[f"{name}{end}"] for name in names]) for end in ("", ".low", ".high"))
            at = np.array([sources.index(source) for source in shown]) + 0.15 * (k - (len(targets) - 1) / 2)
            bars = np.abs([value - low, high - value])
            axes.errorbar(at, value, yerr=bars, fmt="o", color=colours[target], label=f"on {NAMES[target]}")
        axes.axhline(0, color="#8a9099", linewidth=0.8)
        axes.set(title=title, xticks=range(len(sources)))
        axes.set_xticklabels([NAMES[source] for source in sources], rotation=20, ha="right")
        axes.legend(frameon=False, fontsize=8)
    figure.axes[0].set_yscale("symlog", linthresh=10)
    figure.supxlabel("dictionary of", fontsize=9)
    return figure


def draw_axes(table: pd.DataFrame) -> Figure:
    """Draw the errors on LUDB against sparsity, for each size."""
    from matplotlib.figure import Figure

    sizes = sorted(table["atoms"].unique())
    figure = Figure(figsize=(3.2 * len(sizes), 3), layout="constrained")
    for axes, size in zip(figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0], sizes, strict=True):
        for source in (*SOURCES, *CONTROLS):
            own = table[(table["target"] == "ludb") & (table["atoms"] == size) & (table["source"] == source)]
            axes.plot(own["nonzero"], own["error_pct"], "o-", label=NAMES[source])
        axes.set(title=f"{size} atoms", xlabel="atoms in a code", yscale="log")
    figure.axes[0].set_ylabel("error on LUDB (%)")
    figure.axes[-1].legend(frameon=False, fontsize=7)
    return figure


EXPERIMENT = Experiment(
    name="dictionary_transfer",
    question="Are dictionaries stable across data sets: what does it cost to use one where it was not learned?",
    expectation=(
        "With 64 atoms and 5 in a code, a dictionary of another clean data set leaves less than 10 % more error than "
        "the target's own and costs less than 0.5 points of macro F1; one learned in noise leaves 20 % more. Atoms of "
        "two data sets correlate as those of two halves of one do, within 0.05. DCT and patches leave 50 % more error, "
        "but cost 1 to 2 points of F1 only."
    ),
    datasets=("ludb", "qtdb", "mitdb", "nstdb"),
    settings={
        "records": 60,
        "seconds": 30.0,
        "windows": 8000,
        "sizes": [16, 64, 128],
        "sparsities": [2, 5, 10],
        "iterations": 150,
        "max_iter": 40,
        "n_resamples": 1000,
    },
    quick={
        "records": 6,
        "seconds": 10.0,
        "windows": 2000,
        "sizes": [64],
        "sparsities": [2, 5],
        "iterations": 5,
        "max_iter": 12,
        "n_resamples": 50,
    },
    steps=steps,
    conclude=conclude,
    # Dictionaries settle in other optima where sums are rounded otherwise.
    tolerance={"error.*": 5.0, "f1.*": 0.5, "atoms.*": 0.05},
    headline=(
        *(
            f"error.{target} by {source}.more"
            for target, source in (("ludb", "qtdb"), ("ludb", "mitdb"), ("qtdb", "ludb"))
        ),
        *(
            f"f1.{target} by {source}.lost.150ms"
            for target in LABELLED
            for source in (*SOURCES, *CONTROLS)
            if source != target
        ),
        "atoms.ludb and qtdb",
        "atoms.ludb and ludb, other subjects",
        "atoms.ludb and patches",
    ),
)
