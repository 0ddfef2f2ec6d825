"""The population's model, what its recordings look like to it, and how QTDB's differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments._experiment import Run
from experiments._statistics import auroc
from experiments.personalisation._design import GENERAL, TRAINED_ON, UNLABELLED
from experiments.personalisation._models import (
    Looks,
    aligned,
    candidates,
    looks,
    rescaled,
    with_own_atoms,
)
from experiments.personalisation._persons import Person, person_of
from mhealth.cli._training import Case, load_noise
from mhealth.labeling import EcgLabeler, TrainingSettings, load
from mhealth.labeling._features import RawFeatures
from mhealth.labeling._model import Model

__all__ = ["LARGEST_ODDS", "folds", "general_looks", "learn", "ludb", "model_of", "moved", "persons", "shift"]

LARGEST_ODDS = 20.0
"""Of a recording of LUDB being one of QTDB, beyond which it counts no more."""


def ludb(run: Run) -> list[Case]:
    """Return the population's recordings, with leads like those of QTDB."""
    from experiments._ludb import of_leads

    return [of_leads(case, TRAINED_ON) for case in run.cases("ludb", run.settings["ludb_records"])]


def persons(run: Run) -> dict[str, Person]:
    """Return the persons of QTDB by record."""
    cases = run.cases("qtdb", run.settings["records"])
    return run.once("persons", lambda: {case.name: person_of(case) for case in cases})


def folds(run: Run) -> dict[str, int]:
    """Return the fold of each person, by record; QTDB has one record a person."""
    names = list(persons(run))
    order = np.random.default_rng(run.seed).permutation(len(names))
    return {names[at]: place % run.settings["folds"] for place, at in enumerate(order.tolist())}


def learn(run: Run) -> dict[str, Any]:
    """Train the population's model; return what it and its recordings are."""
    from experiments._ludb import learned
    from experiments._manifest import hash_of

    cases, path = ludb(run), run.folder / f"{GENERAL}.npz"
    if run.settings["model"]:
        load(run.settings["model"]).save(path)
    else:
        training = TrainingSettings(fewest_steps=run.settings["training_steps"])
        labeler = EcgLabeler(training=training, noise=load_noise("nstdb", run.data), random_state=run.seed)
        learned(labeler, cases, run).save(path)
    model, found = model_of(run, GENERAL).model_, []
    for done, case in enumerate(cases):
        run.progress("looks of LUDB", done, len(cases))
        raw = [candidates(model, case.recording, channel) for channel in range(len(case.recording.channels))]
        found.append(looks(model, RawFeatures.concat(raw)))
    pooled = joined(found)
    return {
        "sha256": hash_of(path),
        "size": pooled.size,
        "mean": np.round(pooled.mean, 6).tolist(),
        "sd": np.round(pooled.sd, 6).tolist(),
        "active": {case.name: np.round(own.active, 5).tolist() for case, own in zip(cases, found, strict=True)},
    }


def joined(parts: Sequence[Looks]) -> Looks:
    """Return what the candidates of several recordings look like together, each recording counting as much."""
    mean = np.mean([part.mean for part in parts], axis=0)
    square = np.mean([part.sd**2 + part.mean**2 for part in parts], axis=0)
    return Looks(
        size=float(np.mean([part.size for part in parts])),
        mean=mean,
        sd=np.sqrt(np.maximum(square - mean**2, 0)),
        active=np.mean([part.active for part in parts], axis=0),
    )


def model_of(run: Run, name: str) -> EcgLabeler:
    """Return a labeler that a step has left in the run's folder."""
    return run.once(("model", name), lambda: load(str(run.folder / f"{name}.npz")))


def general_looks(before: Mapping[str, Any]) -> Looks:
    """Return what the population's recordings look like."""
    kept = before["population"]
    active = np.mean(list(kept["active"].values()), axis=0)
    return Looks(kept["size"], np.array(kept["mean"]), np.array(kept["sd"]), active)


def moved(what: str, model: Model, raw: RawFeatures, general: Looks, share: float) -> Model:
    """Return the model moved towards a person without labels."""
    if what == "scale":
        return rescaled(model, raw, general, share)
    if what == "atoms":
        return with_own_atoms(model, raw, share)
    return aligned(model, looks(model, raw), general, share)


def shift(run: Run, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far QTDB's recordings are from LUDB's, as they are and corrected, and weights of LUDB's.

    A recording is the mean of the first layer's codes over its candidates. `auroc` tells how well a logistic regression
    knows recordings of QTDB that it has not seen, `distance` is the median over codes of how far the means of the data
    sets are apart, in standard deviations between recordings.
    """
    model, general = model_of(run, GENERAL).model_, general_looks(before)
    here = np.array(list(before["population"]["active"].values()))
    there: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (GENERAL, *UNLABELLED)}
    for done, person in enumerate(persons(run).values()):
        run.progress("looks of QTDB", done, len(persons(run)))
        raw = candidates(model, person.unmarked)
        there[GENERAL].append(looks(model, raw).active)
        for name in UNLABELLED:
            new = moved(name, model, raw, general, 1.0)
            seen = candidates(new, person.unmarked) if name == "scale" else raw
            there[name].append(looks(new, seen).active)
    result: dict[str, Any] = {}
    for name, rows in there.items():
        odds, is_new = foreignness(here, np.array(rows), run.seed)
        spread = np.maximum(here.std(axis=0), 1e-9)
        result[name] = {
            "auroc": auroc(odds, is_new),
            "distance": float(np.median(np.abs(np.mean(rows, axis=0) - here.mean(axis=0)) / spread)),
        }
        if name == GENERAL:
            weights = np.clip(np.exp(odds[~is_new]), 1 / LARGEST_ODDS, LARGEST_ODDS)
    shares = weights / weights.sum()
    return {"shifts": result, "shares": shares.tolist(), "effective": float(1 / (shares**2).sum())}


def foreignness(
    here: NDArray[np.float64], there: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the log odds that each recording is from there, by a model that has not seen it, and whether it is."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, is_new = np.concatenate([here, there]), np.arange(len(here) + len(there)) >= len(here)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000))
    parts = StratifiedKFold(min(5, int(is_new.sum()), int((~is_new).sum())), shuffle=True, random_state=seed)
    return cross_val_predict(model, rows, is_new, cv=parts, method="decision_function"), is_new
