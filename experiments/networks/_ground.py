"""What the experiments have in common: LUDB by folds, labelers that learn from some of it, figures that are kept."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mhealth.cli._evaluate import split
from mhealth.cli._terminal import Terminal
from mhealth.cli._training import Case, fit, load_cases, load_noise
from mhealth.core import Annotation, Recording, replacing
from mhealth.labeling import EcgLabeler, NetworkEmission
from mhealth.labeling._network_emission import SCHEDULE
from mhealth.metrics import score_delineation
from mhealth.nn import NetworkTraining

__all__ = ["ARCHITECTURES", "Ground", "arguments", "kept", "labeler", "of_leads", "score", "trained"]

ARCHITECTURES = ("sparse", "unet", "tcn")

_STEPS = {"unet": 1500, "tcn": 3000}
"""Steps of a network's training here: half as many as on all leads of LUDB, so that an experiment ends in an hour."""

_BATCH = 32


@dataclass(frozen=True)
class Ground:
    """LUDB by folds, and noise to mix into copies.

    Attributes
    ----------
    cases : list of Case
    fold : list of int
        Of each case; those of `mhealth evaluate`.
    noise : list of Recording
    """

    cases: list[Case]
    fold: list[int]
    noise: list[Recording]

    @classmethod
    def read(cls, data: Path, terminal: Terminal, *, leads: Sequence[str] = ()) -> Ground:
        """Read the recordings, with all leads or some."""
        _, cases = load_cases("ludb", data, None, terminal)
        fold = split(cases, 5, 0)
        noise = load_noise("nstdb", data)
        assert noise is not None
        return cls([of_leads(case, leads) for case in cases] if leads else cases, fold, noise)

    def training(self, fold: int, n_subjects: int | None = None) -> list[Case]:
        """Return the cases outside a fold; of so many subjects, drawn with a fixed seed, each draw in the next."""
        cases = [case for case, k in zip(self.cases, self.fold, strict=True) if k != fold]
        subjects = np.random.default_rng(0).permutation(sorted({case.subject for case in cases}))
        chosen = set(subjects[:n_subjects].tolist())
        return [case for case in cases if case.subject in chosen]

    def tested(self, fold: int) -> list[Case]:
        """Return the cases of a fold."""
        return [case for case, k in zip(self.cases, self.fold, strict=True) if k == fold]


def of_leads(case: Case, leads: Sequence[str]) -> Case:
    """Return a case with some of its leads."""
    names = [name.lower() for name in case.recording.channels]
    columns = [names.index(lead) for lead in leads]
    place = {column: k for k, column in enumerate(columns)}
    spans, rows = case.annotation.spans, case.annotation.annotated
    spans = spans.select(np.isin(spans.channel, columns))
    rows = rows[np.isin(rows[:, 0], columns)].copy()
    rows[:, 0] = [place[column] for column in rows[:, 0].tolist()]
    recording = case.recording.pick(columns)
    channel = np.array([place[column] for column in spans.channel.tolist()], np.int64)
    spans = replace(spans, channel=channel, channels=recording.channels)
    return replace(case, recording=recording, annotation=Annotation(spans=spans, annotated=rows))


def labeler(architecture: str, noise: Sequence[Recording], n_leads: int, **changes: Any) -> EcgLabeler:
    """Return an untrained labeler; a network takes the same number of steps however many leads it learns from.

    Parameters
    ----------
    architecture : {"sparse", "unet", "tcn"}
    noise : sequence of Recording
    n_leads : int
        Annotated leads that it will learn from.
    **changes
        Settings of `NetworkEmission` and `NetworkTraining` other than the defaults.
    """
    if architecture == "sparse":
        return EcgLabeler(leads="independent", noise=noise, random_state=0)
    n_passes = -(-_STEPS[architecture] // max(1, round(0.8 * n_leads / _BATCH)))
    of_emission = {name: changes.pop(name) for name in ("n_augmented", "input", "wearing") if name in changes}
    schedule = {"n_passes": n_passes, "patience": -(-n_passes // 3), "batch_size": _BATCH}
    training = NetworkTraining(**(SCHEDULE[architecture] | schedule | changes))
    emission = NetworkEmission(architecture=architecture, training=training, **of_emission)
    return EcgLabeler(leads="independent", emission=emission, noise=noise, random_state=0)


def trained(architecture: str, cases: Sequence[Case], noise: Sequence[Recording], **changes: Any) -> EcgLabeler:
    """Return a labeler that has learned from cases."""
    n_leads = sum(len(set(case.annotation.annotated[:, 0].tolist())) for case in cases)
    new = labeler(architecture, noise, n_leads, **changes)
    fit(new, cases, Terminal(quiet=False))
    return new


def score(labels: Callable[[Recording], Any], cases: Sequence[Case]) -> dict[str, float]:
    """Return the figures of all leads of some cases, in per cent."""
    found = [(case.annotation, labels(case.recording)) for case in cases]
    return score_delineation(found, subjects=[case.subject for case in cases]).summary("ludb")


def kept(out: Path, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that a finished run has left in a folder, or do the work and leave them there."""
    path = out / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    begin = time.process_time()
    figures = work() | {"cpu_s": round(time.process_time() - begin)}
    out.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all experiments take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="folder with ludb/, nstdb/, ...")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the figures of finished runs")
    parser.add_argument("--fold", type=int, default=0, help="fold of LUDB that is tested (default: 0)")
    return parser
