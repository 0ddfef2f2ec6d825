"""Rhythm and diagnosis from sparse codes, from intervals and from a network's inner features, by few subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Experiment, Outcome, Run, Step
from experiments.outcome_codes._design import (
    ALL,
    BAG,
    BEATS,
    INTERVALS,
    LEADS,
    LUDB_TARGETS,
    MITDB_TARGETS,
    NETWORK,
    NGRAMS,
    REFINED,
    REPRESENTATIONS,
)

if TYPE_CHECKING:
    from experiments.outcome_codes._describe import Describer
    from experiments.outcome_codes._learning import Part
    from mhealth.cli._training import Case

__all__ = ["EXPERIMENT"]

SECONDS = 10.0
"""Length of the windows of MIT-BIH, as LUDB's recordings are."""

FEWEST = 4
"""Subjects with a target, and without, where it is tried."""

TRANSFER = "fibrillation or flutter"
"""The target that both data sets have."""


def steps(run: Run) -> list[Step]:
    """Return the steps: what is learned of QTDB, descriptions, and a step for each target and description."""
    left_out = () if with_network(run) else (NETWORK,)
    used = [name for name in REPRESENTATIONS if name not in left_out]
    return [
        Step("labeler", make_labeler),
        *([Step("network", make_network)] if with_network(run) else []),
        Step("describe-ludb", partial(describe, "ludb")),
        Step("describe-mitdb", partial(describe, "mitdb")),
        *(
            Step(f"{dataset}-{place + 1}-{name.replace(' ', '-')}", partial(learn, dataset, target, name))
            for dataset, targets in (("ludb", LUDB_TARGETS), ("mitdb", MITDB_TARGETS))
            for place, target in enumerate(targets)
            for name in used
        ),
        *(Step(f"transfer-{name.replace(' ', '-')}", partial(transfer, name)) for name in used),
    ]


def with_network(run: Run) -> bool:
    """Return whether a network is trained."""
    return bool(run.settings["network_passes"]) and find_spec("tensorflow") is not None


def source(run: Run) -> list[Case]:
    """Return the recordings that descriptions are learned from: QTDB without excerpts of MIT-BIH, first channel."""
    from experiments.dictionary_transfer._sources import marked_channel

    cases = run.cases("qtdb", run.settings["source_records"])
    return [marked_channel(case) for case in cases if not case.subject.startswith("mitdb")]


def make_labeler(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Train a labeler on QTDB, and learn dictionaries of beats and of an alphabet."""
    from experiments._ludb import learned
    from experiments._manifest import hash_of
    from experiments.drug_effect._windows import N_NONZERO, beat_windows
    from experiments.personalisation._models import WAVE, candidates
    from mhealth.cli._training import load_noise
    from mhealth.labeling import EcgLabeler, TrainingSettings, load
    from mhealth.sparse import learn_dictionary

    cases, path = source(run), run.folder / "labeler.npz"
    if run.settings["model"]:
        load(run.settings["model"]).save(path)
    else:
        training = TrainingSettings(fewest_steps=run.settings["training_steps"])
        labeler = EcgLabeler(training=training, noise=load_noise("nstdb", run.data), random_state=run.seed)
        learned(labeler, cases, run).save(path)
    model, beats, waves = load(str(path)).model_, [], []
    for done, case in enumerate(cases):
        run.progress("windows of QTDB", done, len(cases))
        qrs = case.annotation.spans.of(label="QRS").peak
        beats.append(beat_windows(case.recording, 0, qrs[qrs >= 0]))
        middle = case.recording.n_samples // 2
        excerpt = case.recording.pick([0]).slice(middle, middle + round(60 * case.recording.fs))
        waves.append(candidates(model, excerpt).windows[WAVE])
    rng, windows = np.random.default_rng(run.seed), np.concatenate(waves)
    atoms = {
        "beats": learn_dictionary(np.concatenate(beats), run.settings["n_atoms"], n_nonzero=N_NONZERO, rng=rng),
        "symbols": learn_dictionary(windows[windows.any(axis=1)], run.settings["n_symbols"], n_nonzero=1, rng=rng),
    }
    kept = {name: dictionary.atoms.astype(float).tolist() for name, dictionary in atoms.items()}
    return {"sha256": hash_of(path), "atoms": kept}


def make_network(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Train a U-Net on the same recordings."""
    from experiments._ludb import learned
    from experiments._manifest import hash_of
    from mhealth.cli._training import load_noise
    from mhealth.labeling import EcgLabeler, NetworkEmission, TrainingSettings
    from mhealth.nn import NetworkTraining

    cases, path = source(run), run.folder / "unet.keras"
    passes = run.settings["network_passes"]
    emission = NetworkEmission(
        architecture="unet",
        keep=path,
        n_augmented=6,
        training=NetworkTraining(n_passes=passes, patience=passes, seed=run.seed),
    )
    # Of the CRF above it nothing is used here.
    training = TrainingSettings(n_first=16, n_second=8, n_epochs=1, fewest_steps=1, n_augmented=0)
    labeler = EcgLabeler(
        emission=emission, training=training, noise=load_noise("nstdb", run.data), random_state=run.seed
    )
    learned(labeler, cases, run)
    return {"sha256": hash_of(path)}


def describer(run: Run, before: Mapping[str, Any]) -> Describer:
    """Return what the first steps have learned."""
    from experiments.outcome_codes._describe import Describer, Inner
    from mhealth.labeling import load
    from mhealth.sparse import Dictionary

    def make() -> Describer:
        atoms = before["labeler"]["atoms"]
        return Describer(
            labeler=load(str(run.folder / "labeler.npz")),
            symbols=Dictionary(atoms=atoms["symbols"]),
            beats=Dictionary(atoms=atoms["beats"]),
            inner=Inner(run.folder / "unet.keras") if with_network(run) else None,
        )

    return run.once("describer", make)


def describe(dataset: str, run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Describe recordings or windows of a data set, lead by lead; return whose they are and which targets they have."""
    from experiments._manifest import hash_of
    from experiments.outcome_codes._targets import ludb_targets, mitdb_targets, rhythms, windows_of_one_rhythm

    tools, cases = describer(run, before), run.cases(dataset, run.settings[f"{dataset}_records"])
    subjects, notes = [], []
    found: dict[str, list[NDArray[np.float64]]] = {}

    def add(parts: Sequence[Mapping[str, NDArray[np.float64]]]) -> None:
        """Keep the descriptions of leads of a row."""
        for name in parts[0]:
            found.setdefault(name, []).append(np.stack([part[name] for part in parts]))

    for done, case in enumerate(cases):
        run.progress(f"describing {dataset}", done, len(cases))
        if dataset == "ludb":
            names = [name.lower() for name in case.recording.channels]
            add([tools.describe(case.recording.pick([names.index(lead)])) for lead in LEADS])
            subjects.append(case.subject)
            continue
        length = round(SECONDS * case.recording.fs)
        starts, of_record = rhythms(run.dataset("mitdb").path(case.name))  # type: ignore[attr-defined]
        places, names = windows_of_one_rhythm(
            starts, of_record, case.recording.n_samples, length, run.settings["windows"]
        )
        first = case.recording.pick([0])
        for place, name in zip(places, names, strict=True):
            add([tools.describe(first.slice(place, place + length))])
            subjects.append(case.subject)
            notes.append(name)
    path = run.folder / f"{dataset}.npz"
    np.savez_compressed(path, **{name: np.array(rows, np.float32) for name, rows in found.items()})
    names = [case.name for case in cases]
    targets = ludb_targets(run.data / "ludb", names) if dataset == "ludb" else mitdb_targets(notes)
    kept = {target: positive.tolist() for target, positive in targets.items()}
    return {"sha256": hash_of(path), "subjects": subjects, "targets": kept}


def rows_of(dataset: str, name: str, run: Run, *, lead: int | None = None) -> list[Part]:
    """Return the parts of a representation, of all leads side by side or of one."""
    from experiments.outcome_codes._learning import Part

    def read() -> dict[str, NDArray[np.float64]]:
        with np.load(run.folder / f"{dataset}.npz", allow_pickle=False) as file:
            return {key: file[key].astype(float) for key in file.files}

    found = run.once(("descriptions", dataset), read)
    chosen = [found[part] if lead is None else found[part][:, [lead]] for part in REPRESENTATIONS[name]]
    return [
        Part(values.reshape(len(values), -1), alike=part != INTERVALS)
        for part, values in zip(REPRESENTATIONS[name], chosen, strict=True)
    ]


def learn(dataset: str, target: str, name: str, run: Run, before: Mapping[str, Any]) -> Any:
    """Return the log odds of all rows by models that learned from so many other subjects; None if too few have it."""
    from experiments.outcome_codes._learning import curve

    about = before[f"describe-{dataset}"]
    positive, subject = np.array(about["targets"][target], dtype=bool), np.array(about["subjects"])
    if not enough(positive, subject):
        return None
    scores = curve(
        rows_of(dataset, name, run), positive, subject, run.settings[f"{dataset}_sizes"],
        folds=run.settings["folds"], repeats=run.settings["repeats"], seed=run.seed,
    )  # fmt: skip
    return np.round(scores, 4).tolist()


def enough(positive: NDArray[np.bool_], subject: NDArray[np.str_]) -> bool:
    """Return whether there are subjects enough with a target and without."""
    having = np.unique(subject[positive])
    return min(len(having), len(np.setdiff1d(subject, having))) >= FEWEST


def transfer(name: str, run: Run, before: Mapping[str, Any]) -> Any:
    """Return the log odds of fibrillation in windows of MIT-BIH by a model of LUDB's lead II, or None."""
    from experiments.outcome_codes._learning import transferred

    about = before["describe-ludb"]
    positive, subject = np.array(about["targets"][TRANSFER], dtype=bool), np.array(about["subjects"])
    if not enough(positive, subject):
        return None
    there = rows_of("mitdb", name, run)
    odds = transferred(rows_of("ludb", name, run, lead=LEADS.index("ii")), positive, subject, there)
    return np.round(odds, 4).tolist()


def conclude(run: Run, left: Mapping[str, Any]) -> Outcome:
    """Return AUROC of each target and representation against the number of subjects."""
    from experiments.outcome_codes._summary import summary

    return summary(run, left, [] if with_network(run) else [NETWORK])


EXPERIMENT = Experiment(
    name="outcome_codes",
    question=(
        "Do sequences of sparse codes tell a far-off target, rhythm or diagnosis, better than hand-made intervals and "
        "than a network's inner features, when few subjects teach it?"
    ),
    expectation=(
        "Rhythm from intervals: fibrillation 0.95 or more in both data sets, bradycardia 1.0; codes 0.05 to 0.1 behind "
        "with 20 subjects. Diagnoses (conduction, hypertrophy, ischemia, repolarization) from intervals 0.60 to 0.75; "
        "codes of beats ahead by 0.05 with all subjects and level with 20 or fewer, since they have twenty times as "
        "many columns. The U-Net's features and the codes refined by wave labels are within 0.03 of each other and "
        "between the two. N-grams are no better than the bag of atoms. From LUDB to MIT-BIH fibrillation keeps 0.9 by "
        "intervals and 0.75 by codes."
    ),
    datasets=("ludb", "qtdb", "mitdb", "nstdb"),
    settings={
        "model": None,
        "training_steps": 500,
        "source_records": None,
        "network_passes": 300,
        "n_atoms": 64,
        "n_symbols": 16,
        "ludb_records": None,
        "ludb_sizes": [10, 20, 40, 80, None],
        "mitdb_records": None,
        "mitdb_sizes": [8, 16, None],
        "windows": 24,
        "folds": 5,
        "repeats": 5,
        "n_resamples": 1000,
    },
    quick={
        "model": "ecg",
        "source_records": 4,
        "network_passes": 0,
        "n_atoms": 16,
        "n_symbols": 6,
        "ludb_records": 60,
        "ludb_sizes": [10, None],
        "mitdb_records": None,
        "mitdb_sizes": [None],
        "windows": 3,
        "folds": 3,
        "repeats": 1,
        "n_resamples": 50,
    },
    steps=steps,
    conclude=conclude,
    # Trained networks differ between machines; another rounding moves an edge or the chosen penalty now and then.
    tolerance={f"*{NETWORK}*": 0.05, "*": 0.02},
    headline=(
        *(f"auroc.ludb.mean of diagnoses.{name}.{size}" for size in ("20", "all") for name in REPRESENTATIONS),
        *(f"auroc.ludb.mean of rhythms.{name}.{size}" for size in ("20", "all") for name in (INTERVALS, BEATS, BAG)),
        *(f"auroc.mitdb.{TRANSFER}.{name}.all" for name in (INTERVALS, BEATS, NGRAMS, REFINED, ALL)),
        *(f"auroc.ludb to mitdb.{TRANSFER}.{name}" for name in (INTERVALS, BEATS, NGRAMS, REFINED, ALL)),
    ),
)
