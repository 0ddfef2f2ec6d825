"""The labeling engine: training, whole recordings, streams; what is labelled comes with the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from mhealth.core import Annotation, Recording, Spans, check_channels, check_chunk, check_flush
from mhealth.crf import SpanStructure
from mhealth.errors import AnnotationError, InvalidParameterError, InvalidSignalError, NotFittedError
from mhealth.labeling._augment import Noise
from mhealth.labeling._calibration import calibrate, identity
from mhealth.labeling._channels import shared_leads
from mhealth.labeling._examples import Example, LeadCase, examples, joint_cases, lead_cases
from mhealth.labeling._group import GroupStream, Row
from mhealth.labeling._model import Model
from mhealth.labeling._presence import choose_bonuses, choose_joint, with_bonuses
from mhealth.labeling._task import Budget, Task
from mhealth.labeling._training import (
    Progress,
    TrainingSet,
    TrainingSettings,
    coded,
    learn_dictionaries,
    train_emission,
)
from mhealth.sparse import Dictionary

__all__ = ["LabelStream", "Labeler"]

_HELD_OUT = 0.2
"""Share of the subjects that the probabilities are calibrated on, by a model that has not seen them."""

_MADE = -1
"""Owner of a simulated case, which is never held out."""


class Labeler(BaseEstimator):
    """What the labelers of all kinds of signals share; a subclass names its task and its parameters."""

    _tasks: ClassVar[Mapping[Budget | None, Task]]  # by the budget that each keeps to
    _block: ClassVar[float]  # seconds taken at a time from a recording in memory; changes no result, bounds the memory

    lag: float | None
    budget: Budget | None
    training: TrainingSettings | None
    random_state: int
    model_: Model

    def fit(
        self,
        recordings: Sequence[Recording],
        annotations: Sequence[Annotation],
        groups: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from expert marks.

        Parameters
        ----------
        recordings : sequence of Recording
        annotations : sequence of Annotation
            Marks of each recording; channels without annotated stretches are ignored.
        groups : sequence of str, optional
            Subject of each recording; each recording its own by default.
        progress : callable, optional
            Called as ``progress(stage, done, total)``.

        Returns
        -------
        self

        Raises
        ------
        AnnotationError
            If there is nothing to learn from, or the sequences differ in length.
        """
        self._check_parameters()
        subjects = [str(k) for k in range(len(recordings))] if groups is None else [str(group) for group in groups]
        if not len(recordings) == len(annotations) == len(subjects):
            raise AnnotationError(
                f"fit got {len(recordings)} recordings, {len(annotations)} annotations and {len(subjects)} groups; "
                "expected as many of each."
            )
        # One thread in the linear algebra: sums split over several would depend on how many there are.
        with threadpool_limits(1):
            self.model_ = self._learned(
                recordings, annotations, subjects, progress or (lambda stage, done, total: None)
            )
        return self

    def adapted(
        self,
        recordings: Sequence[Recording],
        annotations: Sequence[Annotation],
        *,
        strength: float = 30.0,
        progress: Progress | None = None,
    ) -> Self:
        """Return a labeler that has learned a few marks more, of one person for example; this one stays as it is.

        What the candidates look like is coded as before. How codes and durations speak for labels moves towards the
        marks, and the fewer there are, the less: a few heartbeats or breaths are enough to begin with.

        Parameters
        ----------
        recordings : sequence of Recording
        annotations : sequence of Annotation
            Marks of each recording; channels without annotated stretches are ignored.
        strength : float, default=30.0
            How strongly weights are held where they are, the inverse variance of a normal prior around them; marks of
            thousands of heartbeats overrule any.
        progress : callable, optional
            Called as ``progress(stage, done, total)``.

        Returns
        -------
        labeler : EcgLabeler or BreathLabeler
            Probabilities keep the calibration of this one.

        Raises
        ------
        NotFittedError
            If this labeler has learned nothing yet.
        AnnotationError
            If there is nothing to learn from, or the sequences differ in length.
        InvalidParameterError
            If `strength` is not positive and finite.
        """
        from mhealth.labeling._adaptation import adapt

        model = self._fitted()
        if not 0 < strength < np.inf:
            raise InvalidParameterError(f"strength={strength!r} must be a positive, finite number.")
        if len(recordings) != len(annotations):
            raise AnnotationError(
                f"adapted got {len(recordings)} recordings, {len(annotations)} annotations; expected as many of each."
            )
        sizes = TrainingSettings(n_nonzero=model.n_nonzero)
        parts = (
            (k, list(examples(case, model.task)))
            for k, (recording, annotation) in enumerate(zip(recordings, annotations, strict=True))
            for case in self._cases(recording, annotation, model.leads)
        )
        with threadpool_limits(1):
            data = coded(parts, model.dictionaries, sizes, model.task)
            new = copy(self)
            new.model_ = adapt(model, data, strength=strength, progress=progress or (lambda stage, done, total: None))
        return new

    def _cases(self, recording: Recording, annotation: Annotation, leads: Sequence[str]) -> Iterator[LeadCase]:
        """Cut a recording into its annotated stretches: of each lead, or of those that are described together."""
        found = joint_cases(recording, annotation, leads, self._task) if leads else lead_cases(recording, annotation)
        return map(self._task.completed, found)

    @property
    def _task(self) -> Task:
        """What is labelled, within the budget."""
        return self._tasks[self.budget]

    def _learned(
        self, recordings: Sequence[Recording], annotations: Sequence[Annotation], subjects: list[str], report: Progress
    ) -> Model:
        """Return what the recordings teach."""
        settings = self.training or self._settings
        rng = np.random.default_rng(self.random_state)
        held_out = self._held_out(subjects)
        leads = shared_leads(recordings, annotations) if self._early else ()
        cases = [
            (k, case)
            for k, (recording, annotation) in enumerate(zip(recordings, annotations, strict=True))
            for case in self._cases(recording, annotation, leads)
        ]
        cases += [(_MADE, case) for case in self._made_cases(rng)]
        task = self._prepared([(case, owner != _MADE and bool(held_out[owner])) for owner, case in cases], report)
        dictionaries, data = self._examples(task, cases, settings, rng, report)

        def train(sequences: NDArray[np.int64], stage: str) -> Model:
            emission, weights = train_emission(
                data, sequences, 2 * sum(d.n_atoms for d in dictionaries), task.grammar, settings,
                rng=np.random.default_rng(self.random_state), progress=lambda done, steps: report(stage, done, steps),
            )  # fmt: skip
            return Model(
                task=task,
                emission=emission,
                weights=SpanStructure(grammar=task.grammar).span_weights(weights),
                dictionaries=dictionaries,
                n_nonzero=settings.n_nonzero,
                calibration=identity(len(task.labels)),
                joint=np.zeros(task.grammar.n_states, np.float32),
                leads=leads,
            )

        bonuses = joint = np.zeros(task.grammar.n_states, np.float32)
        calibration = identity(len(task.labels))
        unseen = held_out[data.recording] & (data.recording != _MADE)
        if unseen.any() and not unseen.all():
            first = train(np.flatnonzero(~unseen), "codes and CRF of four fifths")
            bonuses = choose_bonuses(first.emission, first.weights, data, np.flatnonzero(unseen), task)
            marked = [(recordings[k], annotations[k]) for k in np.flatnonzero(held_out).tolist()]
            first = replace(first, emission=with_bonuses(first.emission, bonuses))
            joint = choose_joint(
                first, marked, lag=self.lag,
                progress=lambda done, total: report("weighing leads together on a fifth", done, total),
            )  # fmt: skip
            calibration = calibrate(
                replace(first, joint=joint), marked, lag=self.lag,
                progress=lambda done, total: report("calibrating on a fifth", done, total),
            )  # fmt: skip
        model = train(np.arange(len(data)), "codes and CRF")
        emission = with_bonuses(model.emission, bonuses)
        return replace(model, emission=emission, calibration=calibration, joint=joint)

    def _held_out(self, subjects: list[str]) -> NDArray[np.bool_]:
        """Choose the recordings of a fifth of the subjects; none where there are fewer than five."""
        names = sorted(set(subjects))
        count = int(_HELD_OUT * len(names))
        chosen = np.random.default_rng(self.random_state).permutation(names)[:count]
        return np.isin(subjects, chosen)

    def _prepared(self, cases: Sequence[tuple[LeadCase, bool]], report: Progress) -> Task:
        """Return the task, with all that describes candidates learned, from cases and whether each is held out."""
        return self._task

    def _examples(
        self,
        task: Task,
        cases: Sequence[tuple[int, LeadCase]],
        settings: TrainingSettings,
        rng: np.random.Generator,
        report: Progress,
    ) -> tuple[tuple[Dictionary, ...], TrainingSet]:
        """Learn the dictionaries without labels, and code the annotated leads and their augmented copies."""
        noise = self._recorded_noise
        n_parts = (1 + settings.n_augmented) * len(cases)
        originals = []
        for k, (_, case) in enumerate(cases):
            originals.append(list(examples(case, task)))
            report("features", k + 1, n_parts)
        raw = [example.raw for part in originals for example in part if example.raw is not None]
        dictionaries = learn_dictionaries(raw, task.front_end.features, settings, rng)

        def parts() -> Iterator[tuple[int, list[Example]]]:
            for k in range(n_parts):
                owner, case = cases[k % len(cases)]
                if k < len(cases):
                    part, originals[k] = originals[k], []
                else:
                    part = list(examples(task.augmented(case, rng, noise), task))
                yield owner, part
                report("features", max(k + 1, len(cases)), n_parts)

        return dictionaries, coded(parts(), dictionaries, settings, task)

    @property
    def _settings(self) -> TrainingSettings:
        """Sizes and schedule where the user names none."""
        return TrainingSettings()

    @property
    def _noise(self) -> Sequence[Recording]:
        """Recorded noise to mix into altered copies."""
        return ()

    @property
    def _recorded_noise(self) -> Noise:
        """The same, channel by channel."""
        return [(r.signals[:, k], r.fs) for r in self._noise for k in range(r.signals.shape[1])]

    def _made_cases(self, rng: np.random.Generator) -> Iterator[LeadCase]:
        """Return simulated cases to learn from beside the recorded ones."""
        return iter(())

    def label(self, recording: Recording) -> Spans:
        """Label every channel of a recording: open, push, flush.

        Parameters
        ----------
        recording : Recording
            In any unit; `Recording.pick` chooses among channels.

        Returns
        -------
        spans : Spans
            In the recording's own samples, unusable stretches among them.

        Raises
        ------
        InvalidSignalError
            If the recording has no samples or no channel, or lacks a lead that the model needs.
        InvalidParameterError
            If its rate is out of range.
        """
        if not recording.n_samples or not recording.channels:
            raise InvalidSignalError(
                f"recording {recording.name!r} has {recording.n_samples} samples, {len(recording.channels)} channels; "
                "expected at least one of each."
            )
        stream = self.open_recorded(fs=recording.fs, channels=recording.channels)
        block = max(1, int(self._block * recording.fs))
        parts = [stream.push(recording.signals[k : k + block]) for k in range(0, recording.n_samples, block)]
        return Spans.concat([*parts, stream.flush()])

    def open(self, *, fs: float, channels: Sequence[str]) -> LabelStream:
        """Return a stream for simultaneous channels.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz.
        channels : sequence of str
            One name for each channel.

        Raises
        ------
        InvalidParameterError
            If `fs` is out of range, or the labeler cannot stream: `lag` is None, or its network reads whole recordings.
        InvalidSignalError
            If a lead that the model needs is missing.
        """
        self._check_live()
        return self._stream(fs, channels)

    def open_recorded(self, *, fs: float, channels: Sequence[str]) -> LabelStream:
        """Return a stream for a recording that is read piece by piece, in bounded memory.

        As `open`, but for every labeler: spans may come as late as it wants, since the signal is there already.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz.
        channels : sequence of str
            One name for each channel.

        Raises
        ------
        InvalidParameterError
            If `fs` is out of range.
        InvalidSignalError
            If a lead that the model needs is missing.

        Notes
        -----
        With `lag` None memory grows with the recording, which is decoded at its end.
        """
        return self._stream(fs, channels)

    def _check_live(self) -> None:
        """Check that labels come soon after their signal."""
        if self.lag is None:
            raise InvalidParameterError(
                "lag=None decodes whole recordings and cannot stream; give seconds, or use label()."
            )

    def _stream(self, fs: float, channels: Sequence[str]) -> LabelStream:
        self._check_parameters()
        return LabelStream(self._fitted(), fs=fs, channels=channels, fused=self._fused, lag=self.lag)

    def save(self, path: str | Path, *, training: Sequence[dict[str, str]] = (), **about: Any) -> None:
        """Write the model to `path` (``.npz``) and its manifest beside it (``.json``).

        Parameters
        ----------
        path : path-like
            File to write; replaced as a whole or not at all.
        training : sequence of dict
            What it was trained on: dataset, record, subject and sha256 of each record.
        **about
            Further entries of the manifest, such as scores, licence or provenance.

        Raises
        ------
        UnwritableOutputError
            If the file cannot be written.
        """
        from mhealth.labeling._files import save_model

        save_model(self._fitted(), Path(path), seed=self.random_state, training=list(training), about=about)

    def _fitted(self) -> Model:
        if not hasattr(self, "model_"):
            raise NotFittedError(
                f"This {type(self).__name__} has learned nothing yet; call fit(), or load('{self._tasks[None].kind}') "
                "for the shipped one."
            )
        return self.model_

    @property
    def _fused(self) -> bool:
        """Whether simultaneous channels decide together."""
        return False

    @property
    def _early(self) -> bool:
        """Whether simultaneous channels are described side by side."""
        return False

    def _check_parameters(self) -> None:
        if self.budget not in list(self._tasks):
            raise InvalidParameterError(f"budget={self.budget!r} must be one of {list(self._tasks)}.")
        if self.lag is not None and not 0 < self.lag < np.inf:
            raise InvalidParameterError(f"lag={self.lag!r} must be a positive number of seconds, or None.")


class LabelStream:
    """The labelling of simultaneous channels, as far as it has come; made by `Labeler.open`.

    Attributes
    ----------
    position : int
        Index of the next input sample.

    Notes
    -----
    Each span is returned once; how long after its end is said at the labeler.
    """

    def __init__(self, model: Model, *, fs: float, channels: Sequence[str], fused: bool, lag: float | None) -> None:
        self.fs = model.task.rates.check(fs)
        self.channels = check_channels(channels, len(tuple(channels)))
        if not self.channels:
            raise InvalidSignalError("channels=() is empty; a stream needs at least one channel.")
        self._classes = model.task.classes
        self.position = 0
        groups = model.groups(self.channels, fused=fused)
        self._groups = [(m, GroupStream(model, fs=self.fs, n_leads=len(m), lag=lag)) for m in groups]
        self._ended = False

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> Spans:
        """Take the next samples; return the spans that can no longer change.

        Parameters
        ----------
        chunk : array_like of shape (n, n_channels), or (n,) for one channel
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the chunk's first sample, checked against `position`.

        Returns
        -------
        spans : Spans

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk has another number of channels or infinite samples.
        """
        signals = check_chunk(
            chunk, n_channels=len(self.channels), start=start, position=self.position, ended=self._ended
        )
        self.position += len(signals)
        return self._spans(self._rows(signals, last=False))

    def flush(self) -> Spans:
        """End the recording; return the remaining spans."""
        check_flush(ended=self._ended)
        self._ended = True
        return self._spans(self._rows(np.empty((0, len(self.channels)), np.float32), last=True))

    def _rows(self, signals: NDArray[np.float32], *, last: bool) -> list[Row]:
        """Return what is certain now."""
        return [
            (onset, peak, offset, label, members[lead], probability)
            for members, group in self._groups
            for onset, peak, offset, label, lead, probability in group.push(signals[:, members], last=last)
        ]

    def _spans(self, rows: list[Row]) -> Spans:
        return Spans.from_rows(rows, fs=self.fs, channels=self.channels, classes=self._classes)
