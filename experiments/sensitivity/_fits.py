"""The default model with some of its numbers moved, trained and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments._arms import labeler, missing
from experiments._ludb import ground, learned, packed, scored
from mhealth.labeling import EcgLabeler, TrainingSettings
from mhealth.labeling._ecg_task import ECG
from mhealth.labeling._examples import lead_cases
from mhealth.labeling._network import stretches
from mhealth.labeling._task import Task
from mhealth.nn import NetworkInput

if TYPE_CHECKING:
    from experiments._experiment import Run
    from mhealth.cli._training import Case

__all__ = ["OtherTask", "carry_out", "moved", "rarity", "trained"]


class OtherTask(EcgLabeler):
    """A labeler of waves whose task has other numbers."""

    task: Task = ECG

    @property
    def _task(self) -> Task:
        return self.task


def carry_out(
    architecture: str,
    sets: Mapping[str, Any],
    seed: int,
    lags: Sequence[float | None],
    fold: int,
    run: Run,
    before: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Return scores on a fold with some numbers moved, and with other lags; None where it cannot be trained here."""
    if missing(architecture):
        return None
    given = ground(run)
    new, tested = trained(architecture, sets, run.seed + seed, given.training(fold), run), given.tested(fold)
    left = {"scores": packed(scored(new, tested))}
    by_lag = {str(lag): packed(scored(new.set_params(lag=lag), tested)) for lag in lags}
    return left | ({"lags": by_lag} if lags else {})


def trained(architecture: str, sets: Mapping[str, Any], seed: int, cases: Sequence[Case], run: Run) -> EcgLabeler:
    """Return a trained labeler with some numbers moved, `sets` by path; see `moved`.

    The roots of paths are ``training``, ``emission`` and ``task``; ``noise`` is what is mixed into copies.
    """
    n_leads = sum(len(set(case.annotation.annotated[:, 0].tolist())) for case in cases)
    usual = labeler(architecture, n_leads, ground(run).noise, seed=seed, **run.settings["training"])
    parts: dict[str, Any] = {"training": usual.training, "emission": usual.emission, "task": ECG, "noise": usual.noise}
    if architecture == "sparse":
        parts["training"] = usual.training or TrainingSettings()
    else:
        parts["emission"] = replace(parts["emission"], input=NetworkInput())
    for path, value in sets.items():
        parts = moved(parts, path, rarity(cases) if value == "rarity" else value)
    new = OtherTask(**usual.get_params(deep=False) | {name: parts[name] for name in parts if name != "task"})
    new.task = parts["task"]
    return learned(new, cases, run)


def moved(of: Any, path: str, value: Any) -> Any:
    """Return a copy with the number at a path replaced: fields, keys and places joined by dots.

    Lists become tuples, which settings have.
    """
    head, _, rest = path.partition(".")
    if isinstance(of, dict):
        return of | {head: moved(of[head], rest, value) if rest else value}
    if isinstance(of, tuple):
        place = int(head)
        return (*of[:place], moved(of[place], rest, value), *of[place + 1 :])
    inner = moved(getattr(of, head), rest, value) if rest else value
    return replace(of, **{head: tuple(inner) if isinstance(inner, list) else inner})


def rarity(cases: Sequence[Case]) -> tuple[float, ...]:
    """Return the square root of one over the share of each class, divided by their mean: rarer classes count more."""
    counts = np.zeros(1 + len(ECG.labels))
    for case in cases:
        for lead in lead_cases(case.recording, case.annotation):
            for stretch in stretches(lead, ECG):
                counts += np.bincount(stretch.classes[stretch.known], minlength=len(counts))
    weights = np.sqrt(counts.sum() / counts)
    return tuple((weights / weights.mean()).round(3).tolist())
