"""One record on disk: which of its channels are labelled, and how they stream through a labeler."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mhealth.core import channel_keys
from mhealth.errors import InvalidSignalError

if TYPE_CHECKING:
    from mhealth.core import Recording, Spans
    from mhealth.io import RecordingInfo
    from mhealth.labeling import EcgLabeler

__all__ = ["Job", "Selection", "label_blocks", "load_labeler", "select"]

BLOCK = 60.0
"""Seconds that are read and labelled at a time: 240 kB a channel at 1000 Hz, and overheads below one per cent."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One record to label, and how. Picklable, since workers get it; the fields are the options of `mhealth label`."""

    record: str
    out: Path | None = None
    format: Literal["csv", "parquet", "wfdb"] | None = None
    report: Path | None = None
    model: str = "ecg"
    leads: str | None = None
    channels: tuple[str, ...] | None = None
    fs: float | None = None
    units: str | None = None
    start: float = 0.0
    stop: float | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The channels of a recording file that are labelled.

    Parameters
    ----------
    job : Job
        What to label.
    info : RecordingInfo
        Header of those channels.
    columns : list of str or int
        How to ask `mhealth.io` for them.
    channels : tuple of str
        What results call them: their names, or positions in the file where names repeat.
    """

    job: Job
    info: RecordingInfo
    columns: list[str | int]
    channels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the record."""
        return self.info.name

    @property
    def fs(self) -> float:
        """Sampling rate in Hz."""
        return self.info.fs

    @property
    def duration(self) -> float | None:
        """Length of the file in seconds, None where only reading it would tell."""
        return self.info.duration

    @property
    def first(self) -> int:
        """First sample to label."""
        return round(self.job.start * self.fs)

    @property
    def seconds(self) -> float | None:
        """How much there is to label, None where only reading the file would tell."""
        end = self.duration
        if end is None:
            return None
        return (end if self.job.stop is None else min(end, self.job.stop)) - self.job.start

    def blocks(self) -> Iterator[Recording]:
        """Yield the samples to label, block by block."""
        from mhealth import io

        pieces = io.blocks(self.job.record, BLOCK, start=self.job.start, stop=self.job.stop, **self._reading)
        return (replace(piece, channels=self.channels) for piece in pieces)

    def slice(self, start: int, stop: int) -> Recording:
        """Return samples `start` to `stop` of the file."""
        from mhealth import io

        excerpt = io.read_recording(self.job.record, start=start / self.fs, stop=stop / self.fs, **self._reading)
        return replace(excerpt, channels=self.channels)

    @property
    def _reading(self) -> dict[str, Any]:
        return {"channels": self.columns, "fs": self.job.fs, "units": self.job.units}


def select(job: Job) -> Selection:
    """Open a record and choose its channels: the wanted ones, else all that look like an ECG.

    Raises
    ------
    InvalidSignalError
        If none is wanted and none looks like an ECG.
    """
    from mhealth.io import open_recording
    from mhealth.labeling import is_ecg_channel

    whole = open_recording(job.record, fs=job.fs, units=job.units)
    described = list(zip(whole.channels, whole.units, strict=True))
    columns: list[str | int] = list(job.channels or ())
    if job.channels is None:
        columns = [position for position, (name, unit) in enumerate(described) if is_ecg_channel(name, unit)]
    if not columns:
        listed = ", ".join(f"{name!r} ({unit or 'no unit'})" for name, unit in described)
        raise InvalidSignalError(
            f"{job.record} has no channel that looks like an ECG; it holds {listed}. "
            "Name what to label with --channels."
        )
    info = open_recording(job.record, channels=columns, fs=job.fs, units=job.units)
    named = zip(columns, info.channels, strict=True)
    keys = channel_keys(whole.channels)  # channels that share a name were asked for by position
    channels = tuple(name if name in keys else str(column).strip() for column, name in named)
    return Selection(job=job, info=info, columns=columns, channels=channels)


@functools.lru_cache(maxsize=1)
def load_labeler(model: str, leads: str | None) -> EcgLabeler:
    """Return the labeler of a shipped model or a model file, kept for the next record."""
    from mhealth.labeling import load

    labeler = load(model)
    if leads is not None:
        labeler.set_params(leads=leads)
    return labeler


def label_blocks(
    selection: Selection, labeler: EcgLabeler, on_block: Callable[[float, float | None], None]
) -> Iterator[Spans]:
    """Yield the spans of a record as soon as they can no longer change, in samples of the whole file.

    Parameters
    ----------
    selection : Selection
        What to label.
    labeler : EcgLabeler
        What labels it; its stream keeps memory bounded.
    on_block : callable
        Called before each block with the seconds done and those in all (None: unknown).
    """
    stream = labeler.open(fs=selection.fs, channels=selection.channels)
    done = 0
    for block in selection.blocks():
        on_block(done / selection.fs, selection.seconds)
        yield _shifted(stream.push(block.signals), selection.first)
        done += block.n_samples
    yield _shifted(stream.flush(), selection.first)
    on_block(done / selection.fs, done / selection.fs)


def _shifted(spans: Spans, by: int) -> Spans:
    """Return spans in samples of the whole file; −1, an undefined point, stays."""
    if not by:
        return spans
    points = {name: getattr(spans, name) for name in ("onset", "peak", "offset")}
    return replace(spans, **{name: point + by * (point >= 0) for name, point in points.items()})
