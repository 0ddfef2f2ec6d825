"""Segmenters: settings, and the streams of recordings at any rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import Candidates, check_channels, check_chunk, check_flush, check_fs, check_signals
from mhealth.dsp import BREATH_RATES, ECG_RATES, RateRange, Resampler, RunningScale
from mhealth.errors import InvalidParameterError
from mhealth.segmentation._lead import LeadCandidates, LeadSegmenterStream

__all__ = ["BreathSegmenter", "EcgSegmenter", "Segmenter", "SegmenterStream", "quasi_periodic_segmenter"]

_TIMES = ("box", "reach", "arm", "reference", "shortest", "busy_gap", "longest_gap")
"""Settings of a segmenter that are in seconds."""

SHORTEST_BREATH = 60 / 70
"""Seconds of the shortest period that `BreathSegmenter` is made for: 70 breaths a minute."""


@dataclass(frozen=True, kw_only=True)
class Segmenter:
    """Adaptive segmentation of a quasi-periodic signal: the moments where it turns.

    First the extrema of the signal, smoothed by a box, that stand out from their surroundings. Then the bends: a gap
    between two neighbours is split where the signal is farthest from the chord between them, if that is far enough,
    and so are its parts [1]_. "Enough" follows the amplitude of the waves and the noise between them (the running scale
    and floor), the range of the signal in the gap, and its length: √(`reference` / length) times the largest of
    `deviation` · scale, `deviation_floor` · floor, `deviation_range` · range. Last, what remains longer than `busy_gap`
    although the signal moves in it by more than `busy_range` is split evenly; and nowhere are two neighbours more than
    `longest_gap` apart.

    Parameters
    ----------
    rate : float
        The internal rate in Hz to which signals are brought.
    rates : RateRange
        Sampling rates that the signals may have.
    zero_crossings : int
        How sharply what the internal rate cannot show is cut off, see `mhealth.dsp.Resampler`.
    running_scale : RunningScale
        What amplitudes are compared with; its `ahead` must cover `arm`, `reach` and the box.
    box : float
        Length of the box that smooths the signal, in seconds.
    reach : float
        An extremum exceeds all that is so near to it, in seconds.
    arm : float
        How far it looks to either side for the bottom that it stands out from, in seconds.
    prominence : float
        How far it stands out at least on either side, in units of the running scale.
    prominence_floor : float
        The same in units of the floor; the larger counts.
    deviation, deviation_floor, deviation_range : float
        See above; in units of the running scale, of the floor, and of the range of the signal in the gap.
    reference : float
        The length in seconds of a gap in which a bend has to deviate by just that; a longer gap needs less.
    shortest : float
        A bend is at least so far from the neighbours between which it splits, in seconds.
    busy_gap, longest_gap : float
        Longest time between neighbours, in seconds: where the signal moves, and anywhere.
    busy_range : float
        Range of the smoothed signal above which it moves, in units of the running scale.

    Notes
    -----
    A stretch is a run of samples without NaN. Each is segmented as if it were a recording of its own; its first and
    last sample are held beyond its edges. The middle of a plateau is an extremum; of equal extrema and of equally far
    bends the first counts.

    A candidate is decided at most `longest_gap` + `running_scale.ahead` seconds after its sample, later only at the
    start of a stretch, where the running scale is not known before. Every candidate's cost and the state are bounded:
    rings of (`longest_gap` + 2 · `arm`) seconds, the state of the running scale and as many samples as it holds back.
    Positions and kinds do not change when the signal is scaled by a power of two, to the bit; flipping its sign
    mirrors the kinds.

    References
    ----------
    .. [1] Douglas D. H., Peucker T. K. (1973). Algorithms for the reduction of the number of points required to
       represent a digitized line or its caricature. Cartographica 10, 112–122. Departs from it in applying it between
       extrema, in thresholds that follow the signal, and in bends that keep a distance from their neighbours.
    """

    rate: float
    rates: RateRange
    zero_crossings: int
    running_scale: RunningScale
    box: float
    reach: float
    arm: float
    prominence: float
    prominence_floor: float
    deviation: float
    deviation_floor: float
    deviation_range: float
    reference: float
    shortest: float
    busy_gap: float
    longest_gap: float
    busy_range: float

    def __post_init__(self) -> None:
        """Check the settings."""
        period = 1 / check_fs(self.rate)
        for name in _TIMES:
            value = getattr(self, name)
            if not period <= value < math.inf:
                raise InvalidParameterError(
                    f"{name}={value!r} must be a finite number of seconds, at least one sample at the internal rate "
                    f"({period:g} s)."
                )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float) and not 0 <= value < math.inf:
                raise InvalidParameterError(f"{item.name}={value!r} must be a finite number, at least 0.")
        reach, arm, box = (round(seconds * self.rate) for seconds in (self.reach, self.arm, self.box))
        needed = max(reach, arm) + box // 2
        if round(self.running_scale.ahead * self.rate) < needed:
            raise InvalidParameterError(
                f"running_scale.ahead={self.running_scale.ahead!r} must cover the surroundings of an extremum, "
                f"{needed / self.rate:g} s (reach or arm, and half the box)."
            )

    @property
    def resampler(self) -> Resampler:
        """What brings signals to the internal rate."""
        return Resampler(rate=self.rate, zero_crossings=self.zero_crossings, rates=self.rates)

    def open(self, *, fs: float, channels: Sequence[str] = ("",)) -> SegmenterStream:
        """Return a stream for simultaneous signals.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz, within `rates`.
        channels : sequence of str
            Their names, one for each column of the chunks to come.

        Raises
        ------
        InvalidParameterError
            If the rate is out of range.
        """
        return SegmenterStream(self, fs=fs, channels=channels)

    def stretched(self, factor: float) -> Segmenter:
        """Return the segmenter that does the same to a signal that runs slower by `factor`.

        Parameters
        ----------
        factor : float
            By which times are multiplied and rates divided.
        """
        if not 0 < factor < math.inf:
            raise InvalidParameterError(f"factor={factor!r} must be a positive, finite number.")
        values = {item.name: getattr(self, item.name) for item in fields(Segmenter)}
        for name in _TIMES:
            values[name] *= factor
        values["rate"] /= factor
        values["rates"] = RateRange(self.rates.lowest / factor, self.rates.highest / factor)
        times = ("window", "ahead", "time_constant", "block")
        values["running_scale"] = replace(
            self.running_scale, **{name: getattr(self.running_scale, name) * factor for name in times}
        )
        return Segmenter(**values)

    def open_lead(self) -> LeadSegmenterStream:
        """Return a stream for one lead that already has the internal rate."""
        return LeadSegmenterStream(self)

    def segment(self, signals: ArrayLike, *, fs: float) -> Candidates:
        """Segment simultaneous signals in one go: open, push, flush.

        Parameters
        ----------
        signals : array_like of shape (n_samples, n_channels) or (n_samples,)
            In any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz, within `rates`.

        Returns
        -------
        candidates : Candidates
            Sorted by position (input samples), then channel; `kind` holds values of `Turn`.
        """
        array = check_signals(signals)
        stream = self.open(fs=fs, channels=("",) * array.shape[1])
        return _concat([stream.push(array), stream.flush()])


@dataclass(frozen=True, kw_only=True)
class EcgSegmenter(Segmenter):
    """Adaptive segmentation of ECG leads, at any rate from 100 to 2000 Hz, in any unit and polarity.

    About 25 candidates a second; on LUDB the nearest is 3 ms from an expert's peak and 7 ms from an expert's onset or
    offset, on average. The method and its settings are described at `Segmenter`. Their defaults were tuned on a random
    half of the records of LUDB and QTDB for these distances, not for any label: see `experiments/candidates`.

    Parameters
    ----------
    rate : float, default=250.0
        In Hz: what QTDB was recorded at, and enough for the edges of a QRS complex.
    rates : RateRange, default=ECG_RATES
    zero_crossings : int, default=8
        Delays by 40 ms where the rate is changed from 500 Hz.
    running_scale : RunningScale
        Its window holds a beat at least.
    box : float, default=0.02
        One period of 50 Hz mains, which it removes; most of 60 Hz.
    reach, arm : float, default=0.04 and 0.08
        Tuned; about half a QRS complex, and from the peak of a P wave to beyond its edge.
    prominence, prominence_floor : float, default=0.01 and 1.5
        Tuned.
    deviation, deviation_floor, deviation_range : float, default=0.005, 0.6 and 0.14
        Tuned, for a `reference` of 0.08, which is by definition.
    reference : float, default=0.08
    shortest : float, default=0.012
        Tuned; three samples.
    busy_gap, longest_gap : float, default=0.06 and 0.24
        Tuned; the latter and the running scale's `ahead` make up the delay of 0.4 s.
    busy_range : float, default=0.03
        Tuned.

    Examples
    --------
    >>> import numpy as np
    >>> from mhealth.segmentation import EcgSegmenter
    >>> lead = np.zeros(1000)
    >>> lead[500:511] = 1.0
    >>> candidates = EcgSegmenter().segment(lead, fs=250.0)
    >>> 505 in candidates.position
    True
    """

    rate: float = 250.0
    rates: RateRange = ECG_RATES
    zero_crossings: int = 8
    running_scale: RunningScale = field(default_factory=RunningScale)
    box: float = 0.02
    reach: float = 0.04
    arm: float = 0.08
    prominence: float = 0.01
    prominence_floor: float = 1.5
    deviation: float = 0.005
    deviation_floor: float = 0.6
    deviation_range: float = 0.14
    reference: float = 0.08
    shortest: float = 0.012
    busy_gap: float = 0.06
    longest_gap: float = 0.24
    busy_range: float = 0.03


@dataclass(frozen=True, kw_only=True)
class BreathSegmenter(Segmenter):
    """Adaptive segmentation of respiration: belt, impedance, airflow or CO2, from 4 to 70 breaths a minute.

    Any rate from 10 to 1000 Hz, any unit and polarity. About 1.3 candidates a second; in BIDMC the nearest is 0.08 s
    from an annotator's end of an inspiration on average. The method and its settings are described at `Segmenter`.
    Their defaults were tuned on a random half of the BIDMC recordings and on simulated breathing for these distances,
    not for any label: see `experiments/candidates`. Breaths and heartbeats are told apart by what learns from the
    candidates, not here: as many breaths a minute as an athlete's heart beats have candidates of their own.

    Parameters
    ----------
    rate : float, default=10.0
        In Hz: eight samples a breath at 70 a minute, and the heart's fundamental still unchanged.
    rates : RateRange, default=BREATH_RATES
    zero_crossings : int, default=10
        What lies below 3.1 Hz passes, what would fold is stopped; delays by 1.25 s where the rate is changed.
    running_scale : RunningScale
        Its window of 8 s holds one flank at least of a breath at 4 a minute; its time constant of 20 s keeps breaths in
        view during a pause, so that noise and heartbeats stay small beside them.
    box : float, default=0.3
        Tuned; it leaves 80 % of the fastest breath.
    reach, arm : float, default=0.1 and 1.0
        Tuned; one sample, and from the peak of an ordinary breath to beyond its flank.
    prominence, prominence_floor : float, default=0.03 and 0.5
        Tuned.
    deviation, deviation_floor, deviation_range : float, default=0.02, 0.5 and 0.3
        Tuned, for a `reference` of 1.0, which is by definition.
    reference : float, default=1.0
    shortest : float, default=0.8
        Tuned; the fastest breaths have extrema only.
    busy_gap, longest_gap : float, default=1.8 and 1.8
        Tuned; the latter and the running scale's `ahead` make up a delay of 2.9 s. No difference is made between a
        pause and a slow breath.
    busy_range : float, default=0.2
        Without effect as long as both gaps are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from mhealth.segmentation import BreathSegmenter
    >>> belt = np.sin(np.arange(1500) / 25 * 2 * np.pi / 4)  # a breath in four seconds
    >>> candidates = BreathSegmenter().segment(belt, fs=25.0)
    >>> 425 in candidates.position
    True
    """

    rate: float = 10.0
    rates: RateRange = BREATH_RATES
    zero_crossings: int = 10
    running_scale: RunningScale = field(
        default_factory=lambda: RunningScale(window=8.0, ahead=1.1, time_constant=20.0, block=0.4)
    )
    box: float = 0.3
    reach: float = 0.1
    arm: float = 1.0
    prominence: float = 0.03
    prominence_floor: float = 0.5
    deviation: float = 0.02
    deviation_floor: float = 0.5
    deviation_range: float = 0.3
    reference: float = 1.0
    shortest: float = 0.8
    busy_gap: float = 1.8
    longest_gap: float = 1.8
    busy_range: float = 0.2


def quasi_periodic_segmenter(*, shortest_period: float) -> Segmenter:
    """Return a segmenter for any signal that repeats: pulse waves, steps, strokes.

    The settings are those for breathing, which spans a range of 1 to 18 in its periods, on another time scale.

    Parameters
    ----------
    shortest_period : float
        Of the signal, in seconds. Periods may be up to 18 times as long.

    Returns
    -------
    segmenter : Segmenter
        Its internal rate is 8.6 samples in `shortest_period`; it takes signals sampled from once to a hundred times
        as fast.

    Examples
    --------
    >>> quasi_periodic_segmenter(shortest_period=0.3).rate  # a pulse wave, up to 200 beats a minute
    28.57...
    """
    if not 0 < shortest_period < math.inf:
        raise InvalidParameterError(f"shortest_period={shortest_period!r} must be a positive number of seconds.")
    return BreathSegmenter().stretched(shortest_period / SHORTEST_BREATH)


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
        self._resamplers = [segmenter.resampler.open(fs=fs) for _ in self.channels]
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
        samples = check_chunk(
            chunk, n_channels=len(self.channels), start=start, position=self.position, ended=self._ended
        )
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
        check_flush(ended=self._ended)
        self._ended = True
        ends = [
            (lead.push(resampler.flush()), lead.flush())
            for resampler, lead in zip(self._resamplers, self._leads, strict=True)
        ]
        return self._release(
            [LeadCandidates(*(np.concatenate([a, b]) for a, b in zip(*pair, strict=True))) for pair in ends]
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
