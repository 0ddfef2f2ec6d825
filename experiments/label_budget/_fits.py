"""A labeler that learns from some labelled subjects, and what it reaches on those of a fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments._arms import labeler, missing
from experiments._ludb import Ground, ground, learned, of_leads, packed, scored
from experiments.label_budget._design import ARMS, Fit
from mhealth.core import Annotation, Recording, Spans, make_folder
from mhealth.crf import Potentials, span_expectations
from mhealth.labeling import EcgLabeler, as_annotation, load
from mhealth.labeling._examples import examples, lead_cases
from mhealth.labeling._features import RawFeatures, code
from mhealth.labeling._task import Task
from mhealth.labeling._training import coded, learn_dictionaries

if TYPE_CHECKING:
    from experiments._experiment import Run
    from mhealth.cli._training import Case
    from mhealth.labeling._examples import Example, LeadCase
    from mhealth.labeling._training import Progress, TrainingSet, TrainingSettings
    from mhealth.sparse import Dictionary

__all__ = ["ELSEWHERE", "carry_out", "drawn", "elsewhere", "pieces", "uncertainty"]

ELSEWHERE = "qtdb"
"""Where those that learned from everybody outside the fold are tested too, if others' recordings teach at all."""

SECONDS, EVERY = 20.0, 300.0
"""Of a long recording, pieces of so many seconds, each so many after the last."""


def carry_out(fit: Fit, run: Run, before: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return subjects and scores of a fit, and how uncertain it is of others; None where it cannot be done here."""
    arm, given = ARMS[fit.arm], ground(run)
    if missing(arm.architecture) or (arm.teacher and missing(arm.teacher)):
        return None
    subjects = chosen(fit, run, before)
    known = [case for case in given.training(fit.fold) if case.subject in subjects]
    unknown = [case for case in given.training(fit.fold) if case.subject not in subjects]
    if fit.source:
        unknown = pieces(run.cases(fit.source))
    taught: list[Case] = []
    if arm.teacher:
        taught = taught_by(teacher(fit, known, run), unknown)
    trained = train(fit, [*known, *taught], run, unlabelled=unknown if arm.dictionary else ())
    left: dict[str, Any] = {
        "subjects": subjects,
        "taught": len(taught),
        "scores": packed(scored(trained, given.tested(fit.fold))),
    }
    if fit.subjects is None and run.settings["sources"]:
        left[ELSEWHERE] = packed(scored(trained, elsewhere(run)))
    if arm.active or (fit.arm == "sparse" and fit.subjects == run.settings["start"]):  # others are chosen by it
        sure = {case.name: uncertainty(trained, case.recording) for case in unknown}
        left["uncertainty"] = {name: round(value, 5) for name, value in sure.items()}
    return left


def drawn(given: Ground, fit: Fit, seed: int) -> list[str]:
    """Return as many subjects outside the fold, drawn at random; more of them hold fewer of the same draw."""
    subjects = sorted({case.subject for case in given.training(fit.fold)})
    order = np.random.default_rng([seed, fit.draw]).permutation(subjects)
    return order[: fit.subjects].tolist()


def chosen(fit: Fit, run: Run, before: Mapping[str, Any]) -> list[str]:
    """Return the labelled subjects: drawn, or one after the other those of whom the last labeler was least sure."""
    if not ARMS[fit.arm].active:
        return drawn(ground(run), fit, run.seed)
    assert fit.subjects is not None
    fewer = max(n for n in run.settings["subjects"] if n is not None and n < fit.subjects)
    first = fewer == run.settings["start"]
    last = before[fit._replace(arm="sparse" if first else fit.arm, subjects=fewer).name]
    subject = {case.name: case.subject for case in ground(run).cases}
    doubtful = sorted(last["uncertainty"], key=last["uncertainty"].get, reverse=True)
    added = list(dict.fromkeys(subject[name] for name in doubtful))
    return last["subjects"] + added[: fit.subjects - fewer]


def train(fit: Fit, cases: Sequence[Case], run: Run, *, unlabelled: Sequence[Case] = ()) -> EcgLabeler:
    """Return the labeler of a fit, trained; its model stays in the run's folder if it may teach others."""
    n_leads = sum(len(set(case.annotation.annotated[:, 0].tolist())) for case in cases)
    new = labeler(ARMS[fit.arm].architecture, n_leads, ground(run).noise, seed=run.seed, **run.settings["training"])
    if unlabelled:
        new = WithUnlabelled(**new.get_params(deep=False))
        new.unlabelled = [case.recording for case in unlabelled]
    learned(new, cases, run)
    if fit.arm in {arm.teacher for arm in ARMS.values()}:
        make_folder(run.folder / "models")
        new.save(run.folder / "models" / f"{fit.name}.npz")
    return new


def teacher(fit: Fit, known: Sequence[Case], run: Run) -> EcgLabeler:
    """Return the teacher, which knows the same labelled subjects, all leads together; trained if it is not there."""
    own = fit._replace(arm=ARMS[fit.arm].teacher, source="")
    path = run.folder / "models" / f"{own.name}.npz"
    if not path.exists():
        train(own, known, run)
    found = load(path)
    assert isinstance(found, EcgLabeler)
    return found.set_params(leads="fused")


def pieces(cases: Sequence[Case]) -> list[Case]:
    """Return pieces of long recordings in which nobody has marked a wave: more beats of a person teach little more."""
    found = []
    for case in cases:
        fs, n, spans = case.recording.fs, case.recording.n_samples, case.annotation.spans
        marked = spans.onset[spans.onset >= 0]  # of beats only the peak is known
        for start in range(0, n - round(SECONDS * fs) + 1, round(EVERY * fs)):
            stop = start + round(SECONDS * fs)
            if not ((marked >= start) & (marked < stop)).any():
                found.append(replace(case, recording=case.recording.slice(start, stop)))
    return found


def elsewhere(run: Run) -> list[Case]:
    """Return the recordings of QTDB that are not of MIT-BIH's persons, first channel, with the expert's marks."""
    cases = [case for case in run.cases(ELSEWHERE) if case.stratum != "MIT-BIH Arrhythmia"]
    return [of_leads(case, [case.recording.channels[0].lower()]) for case in cases]


def taught_by(teacher: EcgLabeler, cases: Sequence[Case]) -> list[Case]:
    """Return recordings with what the teacher is sure of in them as marks; those in which it is sure of nothing not."""
    marked = [replace(case, annotation=as_annotation(teacher.label(case.recording))) for case in cases]
    return [case for case in marked if len(case.annotation.annotated)]


class WithUnlabelled(EcgLabeler):
    """A labeler whose dictionaries are learned from further recordings too, which need no labels."""

    unlabelled: Sequence[Recording] = ()

    def _examples(
        self,
        task: Task,
        cases: Sequence[tuple[int, LeadCase]],
        settings: TrainingSettings,
        rng: np.random.Generator,
        report: Progress,
    ) -> tuple[tuple[Dictionary, ...], TrainingSet]:
        raw = [example.raw for _, case in cases for example in examples(case, task) if example.raw is not None]
        raw += [part for recording in self.unlabelled for part, _ in described(recording, task)]
        report("dictionaries", 0, 1)
        dictionaries = learn_dictionaries(raw, task.front_end.features, settings, rng)

        def parts() -> Iterator[tuple[int, list[Example]]]:
            for copy in range(1 + settings.n_augmented):
                for done, (owner, case) in enumerate(cases):
                    shown = task.augmented(case, rng, self._recorded_noise) if copy else case
                    yield owner, list(examples(shown, task))
                    report("features", copy * len(cases) + done + 1, (1 + settings.n_augmented) * len(cases))

        return dictionaries, coded(parts(), dictionaries, settings, task)


def described(recording: Recording, task: Task) -> Iterator[tuple[RawFeatures, Any]]:
    """Yield what describes the candidates of each usable stretch of each lead, and their times; no marks are needed."""
    none = Spans.from_rows([], fs=recording.fs, channels=recording.channels, classes=task.labels)
    everywhere = [(channel, 0, recording.n_samples) for channel in range(len(recording.channels))]
    for case in lead_cases(recording, Annotation(spans=none, annotated=np.array(everywhere, np.int64))):
        for example in examples(case, task):
            assert example.raw is not None
            yield example.raw, example.times


def uncertainty(labeler: EcgLabeler, recording: Recording) -> float:
    """Return the mean entropy of the state that the CRF gives a moment of a recording, in bits, over all its leads."""
    model = labeler.model_
    grammar, n = model.task.grammar, model.task.grammar.n_states
    total = seconds = 0.0
    for raw, times in described(recording, model.task):
        scores = np.zeros((len(times), 4 * n), np.float32)
        scores[1:-1] = model.emission.outputs(code(raw, model.dictionaries, model.n_nonzero))[:, : 4 * n]
        potentials = Potentials(*(np.ascontiguousarray(part) for part in np.split(scores, 4, axis=1)))
        occupancy = span_expectations(potentials, times, [len(times)], model.weights, grammar).occupancy[:-1]
        shares = np.clip(occupancy.astype(np.float64), 1e-12, 1.0)
        total += np.diff(times) @ -(shares * np.log2(shares)).sum(axis=1)
        seconds += times[-1] - times[0]
    return float(total / seconds) if seconds else 0.0
