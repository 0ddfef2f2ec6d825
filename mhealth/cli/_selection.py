"""One record on disk: which of its channels are labelled as what, and how they stream through labelers."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.core import UNUSABLE, Spans, channel_keys
from mhealth.errors import InvalidParameterError, InvalidSignalError

if TYPE_CHECKING:
    from mhealth.core import Recording
    from mhealth.intervals import Breaths, Intervals
    from mhealth.io import RecordingInfo
    from mhealth.labeling import BreathLabeler, EcgLabeler

__all__ = [
    "CALLED",
    "Job",
    "Kind",
    "Labeling",
    "Part",
    "Selection",
    "at_rate",
    "joined",
    "kind_of",
    "load_labeler",
    "look",
    "measured",
    "select",
    "sought_kind",
]

Kind = Literal["ecg", "respiration"]
"""What a channel shows. The shipped model of a kind has its name."""

CALLED: dict[Kind | None, str] = {"ecg": "an ECG", "respiration": "respiration", None: "an ECG or respiration"}

BLOCK = 60.0
"""Seconds that are read and labelled at a time: 240 kB a channel at 1000 Hz, and overheads below one per cent."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One record to label, and how. Picklable, since workers get it; the fields are the options of `mhealth label`."""

    record: str
    out: Path | None = None
    format: Literal["csv", "parquet", "wfdb"] | None = None
    report: Path | None = None
    model: str | None = None
    as_kind: Kind | None = None
    leads: str | None = None
    polarity: str | None = None
    channels: tuple[str, ...] | None = None
    fs: float | None = None
    units: str | None = None
    start: float = 0.0
    stop: float | None = None


class Part(NamedTuple):
    """Channels of one kind and one rate (Hz), which one stream labels, by their positions among those selected."""

    kind: Kind
    fs: float
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The channels of a recording file that are labelled.

    Where their rates differ, samples count at the highest of them.

    Parameters
    ----------
    job : Job
        What to label.
    info : RecordingInfo
        Header of those channels.
    columns : tuple of str or int
        How to ask `mhealth.io` for them.
    channels : tuple of str
        What results call them: their names, or positions in the file where names repeat.
    parts : tuple of Part
        Who labels which of them.
    """

    job: Job
    info: RecordingInfo
    columns: tuple[str | int, ...]
    channels: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """Name of the record."""
        return self.info.name

    @property
    def fs(self) -> float:
        """Sampling rate in Hz."""
        return max(self.info.rates)

    @property
    def duration(self) -> float | None:
        """Length of the file in seconds, None where only reading it would tell."""
        return self.info.duration

    @property
    def seconds(self) -> float | None:
        """How much there is to label, None where only reading the file would tell."""
        end = self.duration
        if end is None:
            return None
        return (end if self.job.stop is None else min(end, self.job.stop)) - self.job.start

    @property
    def rows(self) -> dict[Kind, list[int]]:
        """Positions of the channels of each kind that there is."""
        kinds = dict.fromkeys(part.kind for part in self.parts)
        return {kind: [row for part in self.parts if part.kind == kind for row in part.rows] for kind in kinds}

    @property
    def models(self) -> str:
        """Which models label, in words."""
        return self.job.model or ", ".join(self.rows)

    @property
    def choice(self) -> str:
        """Which channels are labelled as what, and by which model, in words."""
        return "; ".join(
            f"{', '.join(self.channels[row] for row in rows)} as {CALLED[kind]} by the model {self.job.model or kind}"
            for kind, rows in self.rows.items()
        )

    def blocks(self) -> Iterator[list[NDArray[np.float32]]]:
        """Yield the samples to label, an array for each part, block by block."""
        from mhealth import io

        pieces_of = [
            io.blocks(self.job.record, BLOCK, start=self.job.start, stop=self.job.stop, **self._reading(rows))
            for rows in self._rows_by_rate
        ]
        for pieces in zip_longest(*pieces_of):  # one rate may end a block earlier than another
            signal = self._by_row([None if piece is None else piece.signals for piece in pieces])
            yield [np.stack([signal[row] for row in part.rows], axis=1) for part in self.parts]

    def slice(self, start: int, stop: int) -> Recording:
        """Return samples `start` to `stop` of the file; those of slower channels are repeated."""
        from mhealth import io

        excerpts = [
            io.read_recording(self.job.record, start=start / self.fs, stop=stop / self.fs, **self._reading(rows))
            for rows in self._rows_by_rate
        ]
        fastest = max(excerpts, key=lambda excerpt: excerpt.fs)
        n_samples = fastest.n_samples
        signal = self._by_row([at_rate(excerpt, self.fs, n_samples).signals for excerpt in excerpts])
        signals = np.stack([signal[row] for row in range(len(self.channels))], axis=1)
        return replace(fastest, signals=signals, channels=self.channels, units=self.info.units)

    @property
    def _rows_by_rate(self) -> list[list[int]]:
        """Positions of the channels, rate by rate: files are read so."""
        rates = self.info.rates
        return [[row for row, rate in enumerate(rates) if rate == fs] for fs in dict.fromkeys(rates)]

    def _by_row(self, signals: Sequence[NDArray[np.float32] | None]) -> dict[int, NDArray[np.float32]]:
        """Return each channel's samples from those of each rate; None stands for none."""
        none = np.empty(0, np.float32)
        return {
            row: none if of_rate is None else of_rate[:, column]
            for rows, of_rate in zip(self._rows_by_rate, signals, strict=True)
            for column, row in enumerate(rows)
        }

    def _reading(self, rows: Sequence[int]) -> dict[str, Any]:
        return {"channels": [self.columns[row] for row in rows], "fs": self.job.fs, "units": self.job.units}


def select(job: Job) -> Selection:
    """Open a record and choose its channels: the wanted ones, else all that look like what can be labelled.

    Raises
    ------
    InvalidSignalError
        If it is not clear what to label, or as what.
    InvalidParameterError
        If the rate of every channel is out of range.

    Warns
    -----
    UserWarning
        If the rate of some channels is out of range; they are left out.
    """
    from mhealth.io import open_recording

    whole = open_recording(job.record, fs=job.fs, units=job.units)
    columns: list[str | int] = list(job.channels or range(len(whole.channels)))
    info = open_recording(job.record, channels=columns, fs=job.fs, units=job.units)
    kinds = _kinds(job, info)
    refused = _out_of_range(info, kinds)
    kept = [row for row, kind in enumerate(kinds) if kind and row not in refused]
    for reason in dict.fromkeys(refused.values()):
        names = ", ".join(info.channels[row] for row in refused if refused[row] == reason)
        if not kept:
            raise InvalidParameterError(f"{job.record}: {names} cannot be labelled {reason}")
        warnings.warn(f"left out: {names} cannot be labelled {reason}", stacklevel=2)
    chosen = info.pick(kept)
    keys = channel_keys(whole.channels)  # channels that share a name were asked for by position
    named = zip((columns[row] for row in kept), chosen.channels, strict=True)
    return Selection(
        job=job,
        info=chosen,
        columns=tuple(columns[row] for row in kept),
        channels=tuple(name if name in keys else str(column).strip() for column, name in named),
        parts=_parts([kinds[row] for row in kept], chosen.rates),
    )


def _parts(kinds: Sequence[Kind | None], rates: Sequence[float]) -> tuple[Part, ...]:
    """Put channels of one kind and rate together."""
    groups: dict[tuple[Kind, float], list[int]] = {}
    for row, (kind, rate) in enumerate(zip(kinds, rates, strict=True)):
        if kind is not None:
            groups.setdefault((kind, rate), []).append(row)
    return tuple(Part(kind, fs, tuple(rows)) for (kind, fs), rows in groups.items())


def sought_kind(job: Job) -> Kind | None:
    """Return the one kind of signal that the user asks for by kind or model, None for whatever a record holds.

    Raises
    ------
    InvalidParameterError
        If kind and model contradict each other.
    ModelFileError
        If there is no such model.
    """
    if job.model is None:
        return job.as_kind
    kind = kind_of(load_labeler(job.model, job.leads, job.polarity))
    if job.as_kind not in (None, kind):
        raise InvalidParameterError(
            f"--as {job.as_kind} contradicts --model {job.model}, which labels {CALLED[kind]}; leave one of them out."
        )
    return kind


def _kinds(job: Job, info: RecordingInfo) -> list[Kind | None]:
    """Return as what to label each channel, None for not at all."""
    sought = sought_kind(job)
    described = list(zip(info.channels, info.units, strict=True))
    looks = [look(name, unit) for name, unit in described]
    if sought is None:
        unclear = [pair for pair, seen in zip(described, looks, strict=True) if seen is None]
        if job.channels and unclear:
            raise InvalidSignalError(
                f"{job.record}: {_listed(unclear)} looks like neither an ECG nor respiration. "
                "Say what to label it as with --as ecg or --as respiration."
            )
    elif job.channels or (job.as_kind and sought not in looks):
        looks = [sought] * len(looks)
    else:
        looks = [sought if seen == sought else None for seen in looks]
    if not any(looks):
        raise InvalidSignalError(
            f"{job.record} has no channel that looks like {CALLED[sought]}; it holds {_listed(described)}. "
            "Name what to label with --channels, and say what it is with --as ecg or --as respiration."
        )
    return looks


def look(name: str, unit: str) -> Kind | None:
    """Return what a channel shows by its name and unit, None if neither tells."""
    from mhealth.labeling import is_ecg_channel, is_respiration_channel

    if is_ecg_channel(name, unit):
        return "ecg"
    return "respiration" if is_respiration_channel(name, unit) else None


def _listed(described: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name!r} ({unit or 'no unit'})" for name, unit in described)


def _out_of_range(info: RecordingInfo, kinds: Sequence[Kind | None]) -> dict[int, str]:
    """Return the channels whose rate their labeler does not take, each with the reason."""
    from mhealth.dsp import BREATH_RATES, ECG_RATES

    ranges = {"ecg": ECG_RATES, "respiration": BREATH_RATES}
    refused = {}
    for row, kind in enumerate(kinds):
        try:
            if kind is not None:
                ranges[kind].check(info.rates[row])
        except InvalidParameterError as error:
            refused[row] = f"as {CALLED[kind]}: {error}"
    return refused


@functools.lru_cache(maxsize=2)
def load_labeler(model: str, leads: str | None = None, polarity: str | None = None) -> EcgLabeler | BreathLabeler:
    """Return the labeler of a shipped model or a model file, kept for the next record.

    Parameters
    ----------
    model : str
        Name or path.
    leads, polarity : str, optional
        Parameters of the ECG labeler and of the breath labeler, the other one has no use for.
    """
    from mhealth.labeling import load

    labeler: EcgLabeler | BreathLabeler = load(model)
    name, value = ("leads", leads) if kind_of(labeler) == "ecg" else ("polarity", polarity)
    if value is not None:
        labeler.set_params(**{name: value})
    return labeler


def kind_of(labeler: EcgLabeler | BreathLabeler) -> Kind:
    """Return what a labeler labels."""
    from mhealth.labeling import EcgLabeler

    return "ecg" if isinstance(labeler, EcgLabeler) else "respiration"


class Labeling:
    """The labelling of one record: streams, which keep memory bounded, for the channels of each kind.

    Parameters
    ----------
    selection : Selection
        What to label.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        job = selection.job
        self._streams = [
            load_labeler(job.model or part.kind, job.leads, job.polarity).open_recorded(
                fs=part.fs, channels=tuple(selection.channels[row] for row in part.rows)
            )
            for part in selection.parts
        ]

    @property
    def polarity(self) -> dict[str, tuple[int, float]]:
        """Which way each breathing channel points so far: 1 if it rises with inspiration, else −1; and how certain."""
        found: dict[str, tuple[int, float]] = {}
        for stream in self._streams:
            found |= getattr(stream, "polarity", {})  # a stream of ECG leads has none
        return found

    def spans(self, on_block: Callable[[float, float | None], None] = lambda done, total: None) -> Iterator[Spans]:
        """Yield the spans of the record as soon as they can no longer change, in samples of the whole file.

        Parameters
        ----------
        on_block : callable
            Called before each block with the seconds done and those in all (None: unknown).
        """
        selection = self._selection
        fs, done = selection.parts[0].fs, 0
        for block in selection.blocks():
            on_block(done / fs, selection.seconds)
            yield self._joined([stream.push(part) for stream, part in zip(self._streams, block, strict=True)])
            done += len(block[0])
        yield self._joined([stream.flush() for stream in self._streams])
        on_block(done / fs, done / fs)

    def _joined(self, parts: Sequence[Spans]) -> Spans:
        start, fs = self._selection.job.start, self._selection.fs
        return joined([_of_file(part, start, fs) for part in parts], self._selection.channels)


def joined(parts: Sequence[Spans], channels: tuple[str, ...]) -> Spans:
    """Join what labelers found in different channels of one recording.

    Parameters
    ----------
    parts : sequence of Spans
        At one rate; channels and classes may differ.
    channels : tuple of str
        All channels of the recording.
    """
    classes = tuple(dict.fromkeys(text for part in parts for text in part.classes if text != UNUSABLE))
    classes = (*classes, UNUSABLE)

    def codes(texts: tuple[str, ...], all_texts: tuple[str, ...], values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([all_texts.index(text) for text in texts], dtype=np.int64)[values]

    return Spans.concat(
        replace(
            part,
            channel=codes(part.channels, channels, part.channel),
            label=codes(part.classes, classes, part.label),
            channels=channels,
            classes=classes,
        )
        for part in parts
    )


def _of_file(spans: Spans, start: float, fs: float) -> Spans:
    """Return spans that count from second `start` in samples of the whole file at `fs`; −1, undefined, stays."""
    first, ratio = round(start * spans.fs), fs / spans.fs

    def moved(point: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(point < 0, point, np.rint((point + first) * ratio)).astype(np.int64)

    return replace(spans, onset=moved(spans.onset), peak=moved(spans.peak), offset=moved(spans.offset), fs=fs)


def at_rate(recording: Recording, fs: float, n_samples: int | None = None) -> Recording:
    """Return a recording at a higher rate (Hz), on which labels of several channels count: samples are repeated.

    Parameters
    ----------
    recording : Recording
    fs : float
    n_samples : int, optional
        Length of the result; by default as long as the recording lasts.
    """
    n_samples = round(recording.duration * fs) if n_samples is None else n_samples
    at = (np.arange(n_samples) * recording.fs // fs).astype(np.int64)
    return replace(recording, signals=recording.signals[np.minimum(at, recording.n_samples - 1)], fs=fs, gaps=())


def measured(spans: Spans, kinds: Container[Kind]) -> tuple[Intervals | None, Breaths | None]:
    """Return what heartbeats and breaths are like, None for what was not labelled."""
    from mhealth.intervals import breath_intervals, ecg_intervals

    return (
        ecg_intervals(spans) if "ecg" in kinds else None,
        breath_intervals(spans) if "respiration" in kinds else None,
    )
