"""LUDB by folds, some of its leads, each on its own; what experiments that train on it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from experiments._experiment import Run
    from mhealth.cli._training import Case
    from mhealth.core import Recording, Spans
    from mhealth.labeling import EcgLabeler
    from mhealth.metrics import DelineationScore

__all__ = ["LEADS", "Ground", "ground", "learned", "of_leads", "packed", "scored", "unpacked"]

LEADS = ("ii", "v2", "v5", "v6")
"""One lead of the limbs and three of the chest: a third of the time of all twelve."""


@dataclass(frozen=True)
class Ground:
    """Cases by folds, and noise to mix into copies of them.

    Attributes
    ----------
    cases : list of Case
    fold : list of int
        Of each case: subjects stay together, and folds hold the same share of each rhythm.
    noise : list of Recording
    """

    cases: list[Case]
    fold: list[int]
    noise: list[Recording]

    def training(self, fold: int) -> list[Case]:
        """Return the cases outside a fold."""
        return [case for case, k in zip(self.cases, self.fold, strict=True) if k != fold]

    def tested(self, fold: int) -> list[Case]:
        """Return the cases of a fold."""
        return [case for case, k in zip(self.cases, self.fold, strict=True) if k == fold]


def ground(run: Run) -> Ground:
    """Return what the settings `records`, `leads` and `folds` choose; it is read once."""

    def make() -> Ground:
        from mhealth.cli._evaluate import split
        from mhealth.cli._training import load_noise

        cases = [of_leads(case, run.settings["leads"]) for case in run.cases("ludb", run.settings["records"])]
        noise = load_noise("nstdb", run.data)
        assert noise is not None
        return Ground(cases, split(cases, run.settings["folds"], run.seed), noise)

    return run.once("ground", make)


def of_leads(case: Case, leads: Sequence[str]) -> Case:
    """Return a case with some of its leads."""
    from mhealth.core import Annotation

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


def learned(labeler: EcgLabeler, cases: Sequence[Case], run: Run) -> EcgLabeler:
    """Let a labeler learn from cases; return it."""
    return labeler.fit(
        [case.recording for case in cases],
        [case.annotation for case in cases],
        groups=[case.subject for case in cases],
        progress=run.progress,
    )


def scored(labeler: EcgLabeler, cases: Sequence[Case]) -> DelineationScore:
    """Return how well a labeler does on cases."""
    from mhealth.metrics import score_delineation

    found: list[tuple[Any, Spans]] = [(case.annotation, labeler.label(case.recording)) for case in cases]
    return score_delineation(found, subjects=[case.subject for case in cases])


def packed(score: DelineationScore) -> dict[str, str]:
    """Return a score as a line a subject, errors in ms left out; see `unpacked`.

    First P waves and beats of leads without P waves; then what matched, was missed and was false: for both tolerances,
    each wave, and its onset, peak and offset.
    """
    rows = np.concatenate([score.without_p, score.sums[..., :3].reshape(len(score.subjects), -1)], axis=1)
    return {
        str(subject): " ".join(f"{count:.0f}" for count in row)
        for subject, row in zip(score.subjects, rows, strict=True)
    }


def unpacked(lines: Mapping[str, str]) -> DelineationScore:
    """Return the score that `packed` has written; its errors in ms are NaN."""
    from mhealth.metrics import DelineationScore

    rows = np.array([line.split() for line in lines.values()], dtype=np.float64)
    sums = np.full((len(rows), 2, 3, 3, 5), np.nan)
    sums[..., :3] = rows[:, 2:].reshape(len(rows), 2, 3, 3, 3)
    return DelineationScore(tuple(lines), sums, rows[:, :2])
