"""Drug-like episodes made in real recordings: what tells them from exercise, and how small a change is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Experiment, Outcome, Run, Step
from experiments.drug_effect._design import CHECKED, DETECTORS, STEPS, Change, episodes, minutes, single_steps

if TYPE_CHECKING:
    from experiments.drug_effect._warp import Beats, Warp
    from mhealth.cli._training import Case
    from mhealth.core import Spans
    from mhealth.labeling import EcgLabeler
    from mhealth.sparse import Dictionary

__all__ = ["EXPERIMENT"]

AUTOMATIC = "pu0"
"""QTDB's automatic marks of every beat: not of our labeler, so that what is changed does not hang on what measures."""

TRAINED_ON = ("ii", "iii", "v1", "v2", "v4", "v5")
"""Leads of LUDB like those of QTDB."""


def steps(run: Run) -> list[Step]:
    """Return the steps: the labeler, the warp on LUDB, and QTDB in parts."""
    n_parts = run.settings["parts"]
    return [
        Step("labeler", make_labeler),
        Step("ludb", measure_warp),
        *(
            Step(f"{name}-{k + 1}", partial(part, name, k, n_parts))
            for name in ("episodes", *STEPS)
            for k in range(n_parts)
        ),
    ]


def make_labeler(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Train a labeler on LUDB without the fold that the warp is measured on, and learn a dictionary of its beats."""
    from experiments._ludb import learned
    from experiments._manifest import hash_of
    from mhealth.cli._training import load_noise
    from mhealth.labeling import EcgLabeler, TrainingSettings, load

    if run.settings["model"]:
        load(run.settings["model"]).save(run.folder / "labeler.npz")
    else:
        seen, _ = ludb(run)
        training = TrainingSettings(fewest_steps=run.settings["training_steps"])
        labeler = EcgLabeler(training=training, noise=load_noise("nstdb", run.data), random_state=run.seed)
        learned(labeler, seen, run).save(run.folder / "labeler.npz")
    return {"sha256": hash_of(run.folder / "labeler.npz"), "atoms": beat_atoms(run).tolist()}


def ludb(run: Run) -> tuple[list[Case], list[Case]]:
    """Return LUDB with the leads like QTDB's: four folds to learn from, one to measure."""
    from experiments._ludb import of_leads
    from mhealth.cli._evaluate import split

    cases = [of_leads(case, TRAINED_ON) for case in run.cases("ludb", run.settings["ludb_records"])]
    fold = split(cases, 5, run.seed)
    seen = [case for case, k in zip(cases, fold, strict=True) if k]
    return seen, [case for case, k in zip(cases, fold, strict=True) if not k]


def beat_atoms(run: Run) -> NDArray[np.float32]:
    """Return the atoms of the beats that experts marked in the training part of LUDB."""
    from experiments.drug_effect._windows import N_NONZERO, beat_windows
    from mhealth.sparse import learn_dictionary

    windows = []
    for case in ludb(run)[0]:
        qrs = case.annotation.spans.of(label="QRS")
        for channel in range(len(case.recording.channels)):
            windows.append(beat_windows(case.recording, channel, qrs.peak[(qrs.channel == channel) & (qrs.peak >= 0)]))
    rng = np.random.default_rng(run.seed)
    return learn_dictionary(np.concatenate(windows), run.settings["n_atoms"], n_nonzero=N_NONZERO, rng=rng).atoms


def tools(run: Run, before: Mapping[str, Any]) -> tuple[EcgLabeler, Dictionary]:
    """Return labeler and dictionary of the first step."""
    from mhealth.labeling import load
    from mhealth.sparse import Dictionary

    def make() -> tuple[EcgLabeler, Dictionary]:
        return load(str(run.folder / "labeler.npz")), Dictionary(atoms=before["labeler"]["atoms"])

    return run.once("tools", make)


def measure_warp(run: Run, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return true and measured changes of QT and QRS, a row a record, lead and change: medians over beats, in ms.

    The truth are the experts' marks of the lead, carried through the map of time that lead II's marks give.
    """
    from experiments.drug_effect._warp import SLOPE, beats_of, warped, warping

    labeler, _ = tools(run, before)
    rows = []
    _, cases = ludb(run)
    for k, case in enumerate(cases):
        run.progress("warping LUDB", k, len(cases))
        spans = case.annotation.spans
        landmarks = beats_of(spans, 0)
        if len(landmarks.qrs_onset) < 4:
            continue
        original = None
        for change in CHECKED:
            warp = warping(landmarks, minutes([change]), slope=SLOPE[0])
            found = labeler.label(warped(case.recording, warp))
            expert = [beats_of(spans, channel) for channel in range(len(spans.channels))]
            new = [in_beats(found, channel, warp, beats) for channel, beats in enumerate(expert)]
            original = original or new
            for channel, beats in enumerate(expert):
                for name, stop in (("qt", beats.t_offset), ("qrs", beats.qrs_offset)):
                    inside = (beats.qrs_onset > warp.before[0]) & (stop < warp.before[-1])
                    length = warp.forward(stop) - warp.forward(beats.qrs_onset) - (stop - beats.qrs_onset)
                    rows.append(
                        {
                            "record": case.name, "channel": channel, "of": name, "rate": change.rate,
                            "qt": 1000 * change.qt, "qrs": 1000 * change.qrs,
                            "true": median_ms(length[inside]),
                            "measured": median_ms((new[channel][name] - original[channel][name])[inside]),
                        }
                    )  # fmt: skip
    return rows


def in_beats(found: Spans, channel: int, warp: Warp, beats: Beats) -> dict[str, NDArray[np.float64]]:
    """Return QT and QRS as labelled (s) of the beats that an expert marked, NaN where there is none within 0.1 s."""
    from experiments.drug_effect._warp import beats_of

    own = beats_of(found, channel)
    if not len(own.qrs_onset):
        return dict.fromkeys(("qt", "qrs"), np.full(len(beats.qrs_onset), np.nan))
    places = warp.forward(beats.qrs_onset)
    nearest = np.abs(places[:, None] - own.qrs_onset).argmin(axis=1)
    close = np.abs(places - own.qrs_onset[nearest]) < 0.1
    lengths = {"qt": own.qt, "qrs": own.qrs_offset - own.qrs_onset}
    return {name: np.where(close, length[nearest], np.nan) for name, length in lengths.items()}


def median_ms(seconds: NDArray[np.float64]) -> float:
    known = seconds[np.isfinite(seconds)]
    return 1000 * float(np.median(known)) if len(known) else float("nan")


def part(name: str, k: int, n_parts: int, run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a part of the records of QTDB shows minute by minute, once changed."""
    cases = run.cases("qtdb", run.settings["records"])
    chosen = range(0, len(cases), 1 if name == "episodes" else run.settings["every"])[k::n_parts]
    found = {}
    for done, row in enumerate(chosen):
        run.progress(f"{name} in QTDB", done, len(chosen))
        rng = np.random.default_rng([run.seed, row])
        changes = episodes(rng) if name == "episodes" else single_steps(name, rng)
        found[cases[row].name] = minute_by_minute(run, before, cases[row], changes)
    return found


def minute_by_minute(
    run: Run, before: Mapping[str, Any], case: Case, changes: Sequence[tuple[str, Change]]
) -> dict[str, Any]:
    """Return what a recording of QTDB shows once its minutes are changed."""
    from experiments.drug_effect._design import N_CALIBRATION
    from experiments.drug_effect._warp import as_expert, beats_of, qt_rr_slope, warped, warping
    from experiments.drug_effect._windows import by_stretching, measured, of_marks
    from mhealth.io import read_bracket_annotation

    labeler, dictionary = tools(run, before)
    recording, dataset = case.recording, run.dataset("qtdb")
    path = dataset.path(case.name)  # type: ignore[attr-defined]
    marks = read_bracket_annotation(path, AUTOMATIC, fs=recording.fs, channels=recording.channels)
    expert = beats_of(case.annotation.spans, 0)
    landmarks = as_expert(beats_of(marks, 0), expert)
    slope = qt_rr_slope(landmarks)
    warp = warping(landmarks, minutes([change for _, change in changes]), slope=slope)
    new = warped(recording, warp)
    n_minutes = min(len(changes), int(new.duration // 60))
    labels = labeler.label(new)
    shown = measured(new, labels, dictionary, n_minutes)
    onset = warp.forward(expert.qrs_onset)
    asked = np.array([changes[min(int(at // 60), len(changes) - 1)][1].qt for at in onset])
    rr, new_rr = expert.rr, np.append(np.diff(onset), np.nan)
    consecutive = rr < 1.5 * np.nanmedian(rr) if len(rr) > 1 else np.zeros(len(rr), bool)
    change = warp.forward(expert.t_offset) - onset - expert.qt - slope * (new_rr - rr)
    return {
        "subject": case.subject,
        "stratum": case.stratum,
        "kinds": [kind for kind, _ in changes[:n_minutes]],
        "rate": [change.rate for _, change in changes[:n_minutes]],
        "qt": [change.qt for _, change in changes[:n_minutes]],
        "qrs": [change.qrs for _, change in changes[:n_minutes]],
        "slope": slope,
        "room": float(warp.has_room.mean()),
        "with_t": float(np.isfinite(landmarks.t_offset).mean()),
        "truth_off_ms": median_ms((change - asked)[consecutive]),
        "intervals": np.round(shown.intervals, 3).tolist(),
        "codes": np.round(shown.codes, 4).tolist(),
        "stretched": np.round(by_stretching(new, labels, n_minutes, 60.0 * N_CALIBRATION), 3).tolist(),
        "marks": np.round(of_marks(landmarks, warp, n_minutes), 3).tolist(),
    }


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return areas under ROC curves, false alarms, smallest changes, and how true the warp is."""
    from experiments.drug_effect._summary import summary

    of = {name: {key: row for step, rows in left.items() if step.startswith(f"{name}-") for key, row in rows.items()}
          for name in ("episodes", *STEPS)}  # fmt: skip
    return summary(run, of, left["ludb"])


EXPERIMENT = Experiment(
    name="drug_effect",
    question=(
        "Does the shape of the heartbeat tell a drug that lengthens QRS and QT from exercise where the heart rate does "
        "not, and how small a change of QT and QRS is measured in a minute?"
    ),
    expectation=(
        "Between subjects, relative to two minutes of rest: heart rate 0.60 to 0.70 over rest and exercise; intervals "
        "0.95 or more; sparse codes between the two, since what lengthening does to a code depends on the shape of "
        "the beat, but ahead of heart rate. Within subjects codes come up to intervals. 20 ms of QT and 8 ms of QRS "
        "are found in 95 % of minutes at 5 % false alarms."
    ),
    datasets=("ludb", "qtdb", "nstdb"),
    settings={
        "model": None,
        "training_steps": 500,
        "ludb_records": None,
        "records": None,
        "every": 2,
        "parts": 6,
        "n_atoms": 64,
        "n_resamples": 1000,
    },
    quick={"model": "ecg", "ludb_records": 12, "records": 5, "every": 3, "parts": 1, "n_atoms": 16, "n_resamples": 50},
    steps=steps,
    conclude=conclude,
    # Another rounding moves an edge by a sample now and then, in a hundredth of the beats of a minute.
    tolerance={"*auroc*": 0.01, "*_ms*": 1.0, "*": 0.02},
    headline=(
        *(
            f"auroc.{way}.{detector}.{against}"
            for way in ("knowing rest", "knowing rest and exercise", "within")
            for detector in DETECTORS
            for against in ("all", "exercise")
        ),
        "smallest QT change by qt_ms",
        "smallest QT change by stretched beats_ms",
        "smallest QT change by stretched beats without ST change and sudden death_ms",
        "smallest QT change by marks_ms",
        "smallest QRS change by qrs_ms",
        "smallest QRS change by stretched beats_ms",
        "ludb.share of the QT change measured",
        "ludb.share of the QRS change measured",
    ),
)
