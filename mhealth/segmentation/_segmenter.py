"""Segmenters: settings, and the streams of recordings at any rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import Candidates, check_channels, check_fs, check_signals
from mhealth.dsp import Resampler, RunningScale
from mhealth.errors import InvalidParameterError, StreamError
from mhealth.segmentation._lead import LeadCandidates, LeadSegmenterStream

__all__ = ["BendRule", "EcgSegmenter", "ExtremumRule", "Segmenter", "SegmenterStream"]


def _check_positive(settings: object) -> None:
    """Check that every number among the fields of a dataclass is positive and finite."""
    for item in fields(settings):  # type: ignore[arg-type]  # a dataclass
        value = getattr(settings, item.name)
        if isinstance(value, float | int) and not 0 < value < math.inf:
            raise InvalidParameterError(f"{item.name}={value!r} must be a positive, finite number.")


@dataclass(frozen=True, kw_only=True)
class ExtremumRule:
    """Which extrema are candidates: those of the smoothed signal that are the largest or smallest near by.

    Parameters
    ----------
    box : float
        Length of the box that smooths the signal, in seconds.
    reach : float
        An extremum exceeds all that is so near, in seconds.
    prominence_reach : float
        How near its opposite has to be, in seconds.
    threshold : float
        Smallest difference from that opposite, in units of the running scale.
    """

    box: float
    reach: float
    prominence_reach: float
    threshold: float

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_positive(self)


@dataclass(frozen=True, kw_only=True)
class BendRule:
    """Which bends are candidates: where the smoothed signal is farthest from its chord.

    Parameters
    ----------
    box : float
        Length of the box that smooths the signal, in seconds.
    arm : float
        The chord reaches so far to either side, in seconds.
    reach : float
        A bend exceeds all that are so near, in seconds.
    threshold : float
        Smallest distance from the chord, in units of the running scale.
    """

    box: float
    arm: float
    reach: float
    threshold: float

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_positive(self)


@dataclass(frozen=True, kw_only=True)
class Segmenter:
    """Adaptive segmentation of a quasi-periodic signal: the moments where it turns.

    Extrema, fine bends and coarse bends are found at their own time scales, above thresholds that follow the running
    scale of the signal. Where they are less than `separation` apart, extrema displace fine bends, and both coarse ones.
    No two neighbours are more than `longest_gap` apart, and no more than `busy_gap` where the signal moves between
    them by more than `busy_range`: a gap that is too long is split evenly.

    Parameters
    ----------
    rate : float
        The internal rate in Hz to which signals are brought.
    running_scale : RunningScale
        What amplitudes are compared with.
    extrema : ExtremumRule
    fine_bends, coarse_bends : BendRule
    separation : float
        A turn within this many seconds of one with priority is dropped.
    longest_gap, busy_gap : float
        Longest time between neighbours, in seconds: anywhere, and where the signal moves.
    busy_range : float
        Range of the smoothed signal above which it moves, in units of the running scale.

    Notes
    -----
    NaN ends a stretch: each stretch without NaN is segmented as if it were a recording of its own.
    """

    rate: float
    running_scale: RunningScale
    extrema: ExtremumRule
    fine_bends: BendRule
    coarse_bends: BendRule
    separation: float
    longest_gap: float
    busy_gap: float
    busy_range: float

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_positive(self)

    def open(self, *, fs: float, channels: Sequence[str] = ("",)) -> SegmenterStream:
        """Return a stream for signals sampled at `fs` Hz."""
        return SegmenterStream(self, fs=fs, channels=channels)

    def open_lead(self) -> LeadSegmenterStream:
        """Return a stream for one lead that already has the internal rate."""
        return LeadSegmenterStream(self)

    def segment(self, signals: ArrayLike, *, fs: float) -> Candidates:
        """Segment a recording in one go."""
        array = check_signals(signals)
        stream = self.open(fs=fs, channels=("",) * array.shape[1])
        return _concat([stream.push(array), stream.flush()])


@dataclass(frozen=True, kw_only=True)
class EcgSegmenter(Segmenter):
    """Adaptive segmentation of ECG leads."""

    rate: float = 250.0
    running_scale: RunningScale = field(default_factory=RunningScale)
    extrema: ExtremumRule = ExtremumRule(box=0.02, reach=0.024, prominence_reach=0.048, threshold=0.015)
    fine_bends: BendRule = BendRule(box=0.012, arm=0.012, reach=0.008, threshold=0.03)
    coarse_bends: BendRule = BendRule(box=0.028, arm=0.04, reach=0.02, threshold=0.015)
    separation: float = 0.012
    longest_gap: float = 0.168
    busy_gap: float = 0.056
    busy_range: float = 0.03


class SegmenterStream:
    """Candidates of simultaneous channels, as far as they have come; made by `Segmenter.open`.

    Attributes
    ----------
    position : int
        Index of the next input sample.
    """

    def __init__(self, segmenter: Segmenter, *, fs: float, channels: Sequence[str]) -> None:
        fs = check_fs(fs)
        self.channels = check_channels(channels, len(tuple(channels)))
        self.position = 0
        self._resamplers = [Resampler(rate=segmenter.rate).open(fs=fs) for _ in self.channels]
        self._leads = [segmenter.open_lead() for _ in self.channels]
        self._waiting = _concat([])
        self._ended = False

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> Candidates:
        """Take the next samples and return the candidates that are decided now in all channels.

        Parameters
        ----------
        chunk : array_like of shape (n, n_channels), or (n,) for one channel
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        candidates : Candidates
            Sorted by position (input samples), then channel; `kind` holds values of `Turn`.

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk has another number of channels, or holds anything but finite or missing samples.
        """
        if self._ended:
            raise StreamError("push() after flush(): this stream has ended. Open a new one.")
        if start is not None and start != self.position:
            raise StreamError(
                f"Chunk starts at sample {start} but the stream is at {self.position}. "
                "Push every sample once and in order (NaN where samples are missing), or flush() and open a new stream."
            )
        samples = check_signals(chunk, n_channels=len(self.channels), name="chunk")
        self.position += len(samples)
        return self._release(
            [
                lead.push(resampler.push(samples[:, k]))
                for k, (resampler, lead) in enumerate(zip(self._resamplers, self._leads, strict=True))
            ]
        )

    def flush(self) -> Candidates:
        """End the stream and return the last candidates.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        if self._ended:
            raise StreamError("flush() after flush(): this stream has ended. Open a new one.")
        self._ended = True
        ends = [
            (lead.push(resampler.flush()), lead.flush())
            for resampler, lead in zip(self._resamplers, self._leads, strict=True)
        ]
        return self._release(
            [LeadCandidates(*(np.concatenate(columns) for columns in zip(*pair, strict=True))) for pair in ends]
        )

    def _release(self, found: list[LeadCandidates]) -> Candidates:
        """Join the candidates of all channels and return those before which no channel can add any more."""
        parts = [
            Candidates(
                # The last sample at the internal rate may lie up to half an input sample after the last input.
                position=np.minimum(resampler.to_input(lead.position), self.position - 1),
                channel=np.full(len(lead.position), k),
                kind=lead.kind,
                scale=lead.scale,
                prominence=lead.prominence,
            )
            for k, (resampler, lead) in enumerate(zip(self._resamplers, found, strict=True))
        ]
        joined = _concat([self._waiting, *parts])
        order = np.lexsort((joined.channel, joined.position))
        decided = [int(r.to_input(lead.decided)) for r, lead in zip(self._resamplers, self._leads, strict=True)]
        n_final = len(order) if self._ended else int(np.sum(joined.position < min(decided)))
        self._waiting = _pick(joined, order[n_final:])
        return _pick(joined, order[:n_final])


def _pick(candidates: Candidates, index: NDArray[np.int64]) -> Candidates:
    """Return the candidates at these places."""
    return Candidates(**{item.name: getattr(candidates, item.name)[index] for item in fields(Candidates)})


def _concat(parts: list[Candidates]) -> Candidates:
    """Join candidates as they come."""
    dtypes = {"position": np.int64, "channel": np.int64, "kind": np.int8, "scale": np.float32, "prominence": np.float32}
    return Candidates(
        **{
            name: np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])
            for name, dtype in dtypes.items()
        }
    )
