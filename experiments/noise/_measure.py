"""What is found in disturbed recordings: as labelled, without the label `unusable`, and where one heeds it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from experiments._arms import labeler
from experiments._experiment import Run
from experiments._ludb import ground, learned, packed
from experiments._manifest import hash_of
from experiments._peers import delineate
from experiments.noise._disturb import Disturbed, conditions, disturbed, halves, repeated
from mhealth.core import ECG_WAVES, UNUSABLE, Annotation, Recording, Spans, make_folder
from mhealth.dsp import SignalQuality
from mhealth.labeling import EcgLabeler, load
from mhealth.labeling._ecg_task import ECG
from mhealth.metrics import score_delineation
from mhealth.simulate import add_dropout

__all__ = ["SECONDS", "WAYS", "find", "train"]

WAYS = ("shown", "ignored", "heeded")
"""Labels as they are, so that a wave in an unusable stretch is missed; labels without quality control; labels as they
are, scored only where the signal was called usable."""

SECONDS = ("annotated", "unusable", "lost", "false_shown", "false_ignored")
"""Of each subject: seconds of leads that are scored, called unusable among them, and lost; waves found in the lost."""

_BLIND = SignalQuality(enter=1e9, leave=1e9, still=1e6, rail_time=0.0)
"""Sees what is missing, and no flat line, rail or noise."""


class _Found(NamedTuple):
    """Labels of one recording: with quality control, without, and what the control calls unusable."""

    shown: Spans
    ignored: Spans
    unusable: Spans


def train(run: Run, arm: str, fold: int) -> dict[str, Any]:
    """Let a labeler learn from the other folds, with the first half of the noise; keep it in the run's folder."""
    given = ground(run)
    cases, noise = given.training(fold), halves(given.noise, second=False)
    n_leads = len(cases) * len(run.settings["leads"])
    trained = learned(labeler(arm, n_leads, noise, seed=run.seed, **run.settings["training"]), cases, run)
    path = _path(run, arm, fold)
    make_folder(path.parent)
    trained.save(path)
    return {"sha256": hash_of(path), "subjects": sorted({case.subject for case in cases})}


def _path(run: Run, arm: str, fold: int) -> Any:
    return run.folder / "models" / f"{arm}-{fold + 1}.npz"


def find(run: Run, arm: str, fold: int) -> dict[str, dict[str, Any]]:
    """Return the scores of an arm in a fold under all conditions, by condition and subject.

    Parameters
    ----------
    run : Run
    arm : str
        A labeler that `train` has left, or a peer.
    fold : int
    """
    given = ground(run)
    noise = halves(given.noise, second=True)
    cases = [repeated(case) for case in given.tested(fold)]
    plan = conditions(run.settings["levels"])
    finder, fused = _finders(run, arm, fold)
    left: dict[str, dict[str, Any]] = {}
    for k, (_, group) in enumerate(groupby(plan, key=lambda condition: condition.kind)):
        of_kind = list(group)
        run.progress(of_kind[0].kind, len(left), len(plan))
        made = [
            # The same draws at every level: other ratios are the same noise, louder.
            [disturbed(case, condition, noise, np.random.default_rng([run.seed, fold, k, row]))
             for row, case in enumerate(cases)]
            for condition in of_kind
        ]  # fmt: skip
        found = finder([one.recording for of_level in made for one in of_level])
        for condition, of_level in zip(of_kind, made, strict=True):
            own, found = found[: len(cases)], found[len(cases) :]
            left[condition.name] = _scored(cases, of_level, own)
            if fused is not None:
                labels = [(one.annotation, fused(one.recording)) for one in of_level]
                left[condition.name]["fused"] = packed(
                    score_delineation(labels, subjects=[case.subject for case in cases])
                )
    return left


def _finders(
    run: Run, arm: str, fold: int
) -> tuple[Callable[[Sequence[Recording]], list[_Found]], Callable[[Recording], Spans] | None]:
    """Return what labels each lead on its own in three ways, and what labels leads together."""
    if arm in run.settings["peers"]:
        return lambda recordings: _by_peer(arm, recordings, run), None
    alone, together = (load(str(_path(run, arm, fold))) for _ in range(2))
    assert isinstance(alone, EcgLabeler)
    assert isinstance(together, EcgLabeler)
    alone.set_params(leads="independent")
    together.set_params(leads="fused")
    blind = _without_quality(alone)
    return lambda recordings: [_by_labeler(alone, blind, recording) for recording in recordings], together.label


def _without_quality(labeler_: EcgLabeler) -> EcgLabeler:
    """Return a labeler that labels whatever is not missing."""
    blind = copy.copy(labeler_)
    model = labeler_.model_
    front_end = replace(model.task.front_end, quality=_BLIND)
    blind.model_ = replace(model, task=replace(model.task, front_end=front_end))
    return blind


def _by_labeler(labeler_: EcgLabeler, blind: EcgLabeler, recording: Recording) -> _Found:
    shown = labeler_.label(recording)
    unusable = shown.of(label=UNUSABLE)
    # Nothing but what is missing was called unusable: both see the same.
    judged = any(np.isfinite(recording.signals[a:b, c]).any() for c, a, b in _rows(unusable))
    return _Found(shown, blind.label(recording) if judged else shown, unusable)


def _by_peer(arm: str, recordings: Sequence[Recording], run: Run) -> list[_Found]:
    """Peers know nothing unusable; what our quality control calls so is taken out of what they find."""
    found = []
    for recording, waves in zip(recordings, delineate(arm, recordings, run.progress), strict=True):
        rows = []
        for channel, lead in enumerate(recording.signals.T):
            edges = np.flatnonzero(np.diff(ECG.front_end.quality.codes(lead, fs=recording.fs) > 0, prepend=0, append=0))
            rows += [(start, -1, stop, 0, channel, np.nan) for start, stop in edges.reshape(-1, 2).tolist()]
        unusable = Spans.from_rows(rows, fs=recording.fs, channels=recording.channels, classes=(UNUSABLE,))
        inside = np.zeros(len(waves), dtype=bool)
        for channel, start, stop in _rows(unusable):
            inside |= (waves.channel == channel) & (waves.peak >= start) & (waves.peak < stop)
        found.append(_Found(waves.select(~inside), waves, unusable))
    return found


def _rows(spans: Spans) -> list[tuple[int, int, int]]:
    """Return channel, onset and offset of spans."""
    return list(zip(spans.channel.tolist(), spans.onset.tolist(), spans.offset.tolist(), strict=True))


def _scored(cases: Sequence[Any], made: Sequence[Disturbed], found: Sequence[_Found]) -> dict[str, Any]:
    """Return the scores of one condition."""
    subjects = [case.subject for case in cases]
    heeded = [_usable(one, own.unusable) for one, own in zip(made, found, strict=True)]
    ways = {
        "shown": [(one.annotation, own.shown) for one, own in zip(made, found, strict=True)],
        "ignored": [(one.annotation, own.ignored) for one, own in zip(made, found, strict=True)],
        "heeded": [(marks, own.shown) for marks, own in zip(heeded, found, strict=True)],
    }
    left: dict[str, Any] = {way: packed(score_delineation(ways[way], subjects=subjects)) for way in WAYS}
    seconds: dict[str, list[float]] = {}
    for subject, one, own, usable in zip(subjects, made, found, heeded, strict=True):
        fs = one.recording.fs
        whole, kept = (float(np.diff(marks.annotated[:, 1:]).sum()) for marks in (one.annotation, usable))
        lost = sum(stop - start for _, start, stop in one.faults) / fs
        false = [_inside(waves, one.faults) for waves in (own.shown, own.ignored)]
        before = seconds.get(subject, [0.0] * len(SECONDS))
        now = [whole / fs, (whole - kept) / fs, lost, *false]
        seconds[subject] = [round(a + b, 3) for a, b in zip(before, now, strict=True)]
    return left | {"seconds": seconds}


def _usable(one: Disturbed, unusable: Spans) -> Annotation:
    """Return the marks without those in what is called unusable."""
    marks = one.annotation
    fs, end = one.recording.fs, one.recording.duration
    for channel in range(len(one.recording.channels)):
        own = [(start / fs, min(stop / fs, end)) for c, start, stop in _rows(unusable) if c == channel]
        if own:
            marks = add_dropout(one.recording, marks, own, channel=channel)[1]
    return marks


def _inside(spans: Spans, faults: Sequence[tuple[int, int, int]]) -> int:
    """Return how many waves have their peak in a stretch that is lost."""
    waves = spans.select(np.isin(spans.label, [k for k, name in enumerate(spans.classes) if name in ECG_WAVES]))
    return sum(
        int(np.count_nonzero((waves.channel == c) & (waves.peak >= start) & (waves.peak < stop)))
        for c, start, stop in faults
    )
