"""The ECG labeler: P waves, QRS complexes and T waves of one or several leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from mhealth.core import Annotation, Recording, Spans, check_channels, check_chunk, check_flush, check_fs
from mhealth.crf import SpanStructure
from mhealth.dsp import HIGHEST_RATE, LOWEST_RATE
from mhealth.errors import AnnotationError, InvalidParameterError, InvalidSignalError, NotFittedError
from mhealth.labeling._augment import augmented
from mhealth.labeling._calibration import IDENTITY, calibrate
from mhealth.labeling._examples import Example, examples, lead_cases
from mhealth.labeling._front_end import FrontEnd
from mhealth.labeling._group import ECG_CLASSES, GroupStream
from mhealth.labeling._model import EcgModel
from mhealth.labeling._training import (
    Progress,
    TrainingSet,
    TrainingSettings,
    coded,
    learn_dictionaries,
    train_emission,
)
from mhealth.sparse import Dictionary

__all__ = ["EcgLabeler", "EcgStream"]

_BLOCK = 60.0
"""Seconds taken at a time from a recording in memory; changes no result, only bounds the memory."""

_HELD_OUT = 0.2
"""Share of the subjects that the probabilities are calibrated on, by a model that has not seen them."""


class EcgLabeler(BaseEstimator):
    """Label the waves of an ECG: adaptive segmentation, sparse codes, a span CRF.

    Parameters
    ----------
    leads : {"fused", "independent"}, default="fused"
        Whether simultaneous leads decide together which waves there are, or each on its own.
    lag : float or None, default=1.5
        Seconds behind the newest candidate after which labels are final; None decodes whole recordings (then there is
        no stream).
    training : TrainingSettings, optional
        Sizes and schedule of what `fit` learns.
    noise : sequence of Recording, optional
        Recorded noise that is mixed into augmented copies of the training data.
    random_state : int, default=0
        Seed of every draw: the same data, seed and machine give the same model.

    Attributes
    ----------
    model_ : EcgModel
        What was learned.

    Examples
    --------
    >>> from mhealth.labeling import load
    >>> from mhealth.simulate import synthetic_ecg
    >>> recording, truth = synthetic_ecg(fs=250, duration=10, seed=0)
    >>> sorted(set(load("ecg").label(recording).to_frame().label))
    ['P', 'QRS', 'T']
    """

    def __init__(
        self,
        *,
        leads: Literal["fused", "independent"] = "fused",
        lag: float | None = 1.5,
        training: TrainingSettings | None = None,
        noise: Sequence[Recording] | None = None,
        random_state: int = 0,
    ) -> None:
        self.leads = leads
        self.lag = lag
        self.training = training
        self.noise = noise
        self.random_state = random_state

    def fit(
        self,
        recordings: Sequence[Recording],
        annotations: Sequence[Annotation],
        groups: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> EcgLabeler:
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
        self : EcgLabeler

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
        report = progress or (lambda stage, done, total: None)
        settings, front_end = self.training or TrainingSettings(), FrontEnd()
        rng = np.random.default_rng(self.random_state)
        dictionaries, data = self._examples(recordings, annotations, settings, front_end, rng, report)

        def train(sequences: NDArray[np.int64], calibration: NDArray[np.float64], stage: str) -> EcgModel:
            emission, weights = train_emission(
                data, sequences, 2 * sum(d.n_atoms for d in dictionaries), EcgModel.grammar, settings,
                rng=np.random.default_rng(self.random_state), progress=lambda done, steps: report(stage, done, steps),
            )  # fmt: skip
            return EcgModel(
                emission=emission,
                weights=SpanStructure(grammar=EcgModel.grammar).span_weights(weights),
                dictionaries=dictionaries,
                n_nonzero=settings.n_nonzero,
                calibration=calibration,
                front_end=front_end,
            )

        calibration = IDENTITY
        held_out = self._held_out(subjects)
        if held_out.any() and not held_out[data.recording].all():
            first = train(np.flatnonzero(~held_out[data.recording]), calibration, "codes and CRF of four fifths")
            cases = [(recordings[k], annotations[k]) for k in np.flatnonzero(held_out).tolist()]
            calibration = calibrate(
                first, cases, lag=self.lag, progress=lambda done, total: report("calibrating on a fifth", done, total)
            )
        self.model_ = train(np.arange(len(data)), calibration, "codes and CRF")
        return self

    def _held_out(self, subjects: list[str]) -> NDArray[np.bool_]:
        """Choose the recordings of a fifth of the subjects; none where there are fewer than five."""
        names = sorted(set(subjects))
        count = int(_HELD_OUT * len(names))
        chosen = np.random.default_rng(self.random_state).permutation(names)[:count]
        return np.isin(subjects, chosen)

    def _examples(
        self,
        recordings: Sequence[Recording],
        annotations: Sequence[Annotation],
        settings: TrainingSettings,
        front_end: FrontEnd,
        rng: np.random.Generator,
        report: Progress,
    ) -> tuple[tuple[Dictionary, ...], TrainingSet]:
        """Learn the dictionaries without labels, and code the annotated leads and their augmented copies."""
        cases = [
            (k, case)
            for k, (recording, annotation) in enumerate(zip(recordings, annotations, strict=True))
            for case in lead_cases(recording, annotation)
        ]
        noise = [(r.signals[:, k], r.fs) for r in self.noise or () for k in range(r.signals.shape[1])]
        n_parts = (1 + settings.n_augmented) * len(cases)
        originals = []
        for k, (_, case) in enumerate(cases):
            originals.append(list(examples(case, front_end, EcgModel.grammar)))
            report("features", k + 1, n_parts)
        raw = [example.raw for part in originals for example in part if example.raw is not None]
        dictionaries = learn_dictionaries(raw, front_end.features, settings, rng)

        def parts() -> Iterator[tuple[int, list[Example]]]:
            for k in range(n_parts):
                owner, case = cases[k % len(cases)]
                if k < len(cases):
                    part, originals[k] = originals[k], []
                else:
                    part = list(examples(augmented(case, rng, noise), front_end, EcgModel.grammar))
                yield owner, part
                report("features", max(k + 1, len(cases)), n_parts)

        return dictionaries, coded(parts(), dictionaries, settings, EcgModel.grammar)

    def label(self, recording: Recording) -> Spans:
        """Label every channel of a recording: open, push, flush.

        Parameters
        ----------
        recording : Recording
            ECG leads, in any unit and polarity; `Recording.pick` chooses among channels.

        Returns
        -------
        spans : Spans
            Classes P, QRS, T and unusable, in the recording's own samples.

        Raises
        ------
        InvalidSignalError
            If the recording has no samples or no channel.
        InvalidParameterError
            If its rate is outside 100 to 2000 Hz.
        """
        if not recording.n_samples or not recording.channels:
            raise InvalidSignalError(
                f"recording {recording.name!r} has {recording.n_samples} samples, {len(recording.channels)} channels; "
                "expected at least one of each."
            )
        stream = self._stream(recording.fs, recording.channels)
        block = max(1, int(_BLOCK * recording.fs))
        parts = [stream.push(recording.signals[k : k + block]) for k in range(0, recording.n_samples, block)]
        return Spans.concat([*parts, stream.flush()])

    def open(self, *, fs: float, channels: Sequence[str]) -> EcgStream:
        """Return a stream for simultaneous leads.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz, from 100 to 2000.
        channels : sequence of str
            One name for each lead.

        Raises
        ------
        InvalidParameterError
            If `fs` is out of range, or `lag` is None: whole-recording decoding cannot stream.
        """
        if self.lag is None:
            raise InvalidParameterError(
                "lag=None decodes whole recordings and cannot stream; set lag=1.5, or use label()."
            )
        return self._stream(fs, channels)

    def _stream(self, fs: float, channels: Sequence[str]) -> EcgStream:
        self._check_parameters()
        return EcgStream(self._fitted(), fs=fs, channels=channels, fused=self.leads == "fused", lag=self.lag)

    def score(self, recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> float:
        """Return the macro F1 of the six boundaries within 150 ms, from 0 to 1."""
        from mhealth.metrics import score_delineation

        cases = [(a, self.label(r)) for r, a in zip(recordings, annotations, strict=True)]
        return score_delineation(cases).macro() / 100

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

    def _fitted(self) -> EcgModel:
        if not hasattr(self, "model_"):
            raise NotFittedError(
                "This EcgLabeler has learned nothing yet; call fit(), or load('ecg') for the shipped one."
            )
        return self.model_

    def _check_parameters(self) -> None:
        if self.leads not in ("fused", "independent"):
            raise InvalidParameterError(f"leads={self.leads!r} must be 'fused' or 'independent'.")
        if self.lag is not None and not 0 < self.lag < np.inf:
            raise InvalidParameterError(f"lag={self.lag!r} must be a positive number of seconds, or None.")


class EcgStream:
    """The labelling of simultaneous leads, as far as it has come; made by `EcgLabeler.open`.

    Attributes
    ----------
    position : int
        Index of the next input sample.

    Notes
    -----
    A wave is returned once, at most 2 s after its end. State: about 13 s of signal and 4 s of candidates a lead.
    """

    def __init__(self, model: EcgModel, *, fs: float, channels: Sequence[str], fused: bool, lag: float | None) -> None:
        self.fs = check_fs(fs, lowest=LOWEST_RATE, highest=HIGHEST_RATE)
        self.channels = check_channels(channels, len(tuple(channels)))
        if not self.channels:
            raise InvalidSignalError("channels=() is empty; a stream needs at least one lead.")
        self.position = 0
        n = len(self.channels)
        members = [list(range(n))] if fused else [[k] for k in range(n)]
        self._groups = [(m, GroupStream(model, fs=self.fs, n_leads=len(m), lag=lag)) for m in members]
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
        return self._take(signals, last=False)

    def flush(self) -> Spans:
        """End the recording; return the remaining spans."""
        check_flush(ended=self._ended)
        self._ended = True
        return self._take(np.empty((0, len(self.channels)), np.float32), last=True)

    def _take(self, signals: NDArray[np.float32], *, last: bool) -> Spans:
        rows = [
            (onset, peak, offset, label, members[lead], probability)
            for members, group in self._groups
            for onset, peak, offset, label, lead, probability in group.push(signals[:, members], last=last)
        ]
        return Spans.from_rows(rows, fs=self.fs, channels=self.channels, classes=ECG_CLASSES)
