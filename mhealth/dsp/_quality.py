"""Where a lead cannot be labelled: dropout, flat line, saturation, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_chunk, check_flush, new_state
from mhealth.dsp._rates import BREATH_RATES, ECG_RATES, RateRange
from mhealth.errors import InvalidParameterError

__all__ = ["BreathQuality", "QualityStream", "Reason", "SignalQuality", "UnusableSpans", "unusable_spans"]

Band = tuple[float, float]
"""Lowest and highest frequency in Hz."""


class Reason(IntEnum):
    """Code of a sample: usable, or why it is not."""

    USABLE = 0
    DROPOUT = 1
    FLAT = 2
    SATURATED = 3
    NOISE = 4


_RATIOS = ("rail_zone", "fewest_steps", "enter", "leave", "quiet_share", "peak_rank")
_STATE = np.dtype(
    [
        *[(name, np.int64) for name in (
            "look", "still", "box", "block", "bucket", "peak_blocks", "warm_up", "range_known", "shortest_noise",
            "position", "n_heard", "slot", "n_rail", "run", "longest", "longest_before",
            "is_flat", "flat_is_off", "constant_until", "constant_code",
            "bucket_left", "at_extreme", "jumped", "box_left", "block_left", "skip", "restart",
            "floor_slot", "n_floors", "peak_slot", "n_peaks", "peak_left", "noisy", "hold",
        )],
        *[(name, np.float64) for name in (
            *_RATIOS, "rail_step", "last", "step", "high", "low", "high_before", "low_before", "total", "offset",
        )],
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SignalQuality:
    """Say for every sample of a lead whether it can be labelled, and if not, why.

    *Dropout* is NaN. *Flat* is one value for `still` seconds or longer; where the signal often stands still between
    waves (coarse steps), for twice as long as it did in the 8 to 16 s before (one to two times `extremes`). *Saturated*
    is a flat line at the running extreme, or a time of 2 · `look` of which more than half is spent at the running
    extremes, reached in jumps. *Noise* is a stretch whose quiet moments are too loud beside its largest deflection for
    beats to stand out: the 30 % quantile (`quiet_share`) over 3 s of the energy between 20 and 40 Hz, divided by the
    largest energy of 8 s between 6 and 30 Hz, both over 40 ms. An ECG is quiet between its waves; white and pink noise
    are not. Noise and saturation are judged from the third second on.

    The defaults are those for ECG; `BreathQuality` has those for respiration.

    Parameters
    ----------
    enter : float, default=0.03
        Ratio of floor to peak energy above which noise begins. See Notes for its origin.
    leave : float, default=0.01
        Ratio below which noise ends; at most `enter`.
    rates : RateRange, default=ECG_RATES
        Sampling rates that leads may have.
    look : float, default=0.5
        Seconds of signal after a sample that its code may depend on.
    still : float, default=0.5
        Shortest flat line in seconds; only its last `look` seconds are coded in hindsight.
    flat_is_off : bool, default=True
        A line that has been flat for so long tells of a lead that is off, so that what was before it tells nothing of
        what comes after it.
    fewest_steps : float, default=0.0
        A signal that has moved by no more than so many steps of its converter is flat too. The step is the smallest
        change that was seen. 0: not judged, as an ECG may be quiet for long.
    extremes : float, default=8.0
        Seconds of a bucket of extremes; the running range covers the present and the last one.
    rail_zone : float, default=1/400
        What counts as sitting at an extreme, as a share of the running range: one step of an 8-bit converter.
    rail_time : float, default=0.1
        A jump to the rail would cross the whole running range within these seconds; a T wave does not. 0: none would.
    analysis_rate : float, default=125.0
        Noise is judged on averages of samples at about this rate in Hz.
    block : float, default=0.04
        Seconds over which energy is summed: half a QRS complex.
    peak_band : (float, float), default=(6.0, 30.0)
        Band in Hz in which QRS complexes stand out.
    floor_band : (float, float), default=(20.0, 40.0)
        Band in Hz of the noise floor: P and T waves, fibrillation and mains hum lie outside.
    floor_window : float, default=3.0
        Seconds whose quiet share is the noise floor; holds two beats at 40 a minute.
    quiet_share : float, default=0.3
        Share of the blocks that is quiet between the waves of any rhythm.
    peak_bucket : float, default=1.0
        Seconds of which the largest deflection is kept.
    peak_buckets : int, default=8
        How many of them are remembered: pauses are quiet, not noisy.
    peak_rank : float, default=1.0
        Share of the remembered deflections that the one taken exceeds; 1 takes the largest.
    warm_up : float, default=2.0
        Seconds of signal before noise and rails are judged at all: the start may lie between two beats.
    shortest_noise : float, default=1.0
        Shortest stretch of noise in seconds, so that the code does not flicker.

    Notes
    -----
    Nothing depends on the unit or polarity: codes are the same, to the bit, when the signal is scaled by a power of two
    or flipped. A sample's code is final at most `look` seconds after it. State: 2 · `look` seconds of flags and 150
    numbers.

    Origin of the thresholds: at beats that experts marked in LUDB and QTDB the ratio stays below 0.01; ten minutes of
    pink noise, whatever the rate, exceed 0.03 within two seconds and do not fall below 0.01. In MIT-BIH 0.09 % of the
    beats fall in noise, nearly all in a second channel buried in muscle noise (203, 106, 104, 200). Electrode motion
    (NSTDB `em`) imitates beats and is not told apart.

    References
    ----------
    The method is our own. It follows the observation behind the kurtosis index of Li Q., Mark R. G., Clifford G. D.
    (2008), Physiol. Meas. 29, 15, https://doi.org/10.1088/0967-3334/29/1/002, that an ECG is mostly quiet and noise is
    not, with a quantile and a maximum in place of moments, and separate bands so that VF and flutter are not noise.
    """

    enter: float = 0.03
    leave: float = 0.01
    rates: RateRange = ECG_RATES
    look: float = 0.5
    still: float = 0.5
    flat_is_off: bool = True
    fewest_steps: float = 0.0
    extremes: float = 8.0
    rail_zone: float = 1 / 400
    rail_time: float = 0.1
    analysis_rate: float = 125.0
    block: float = 0.04
    peak_band: Band = (6.0, 30.0)
    floor_band: Band = (20.0, 40.0)
    floor_window: float = 3.0
    quiet_share: float = 0.3
    peak_bucket: float = 1.0
    peak_buckets: int = 8
    peak_rank: float = 1.0
    warm_up: float = 2.0
    shortest_noise: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 < self.leave <= self.enter < math.inf:
            raise InvalidParameterError(
                f"leave={self.leave!r}, enter={self.enter!r} must be positive ratios with leave <= enter; "
                "noise begins above the one and ends below the other."
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise InvalidParameterError(f"{item.name}={value!r} must be a finite number, at least 0.")
        for name in ("quiet_share", "peak_rank", "rail_zone"):
            if not getattr(self, name) <= 1:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} must be a share, from 0 to 1.")
        if not self.look <= self.still:
            raise InvalidParameterError(f"still={self.still!r} must be at least look={self.look!r} seconds.")
        period = 1 / self.rates.lowest
        for name in ("look", "extremes", "block", "floor_window", "peak_bucket"):
            if not getattr(self, name) >= period:
                raise InvalidParameterError(
                    f"{name}={getattr(self, name)!r} must last a sample at least: {period:g} s at "
                    f"{self.rates.lowest:g} Hz, the lowest rate."
                )

    def counts(self, *, fs: float) -> dict[str, int]:
        """Return the durations in samples at `fs` Hz, within `rates`; and those of noise in blocks of samples.

        Parameters
        ----------
        fs : float
            Sampling rate in Hz.
        """
        fs = self.rates.check(fs)
        box = math.floor(fs / self.analysis_rate + 0.5) or 1
        block = box * max(1, round(self.block * fs / box))
        return {
            "look": int(self.look * fs),
            "still": int(self.still * fs),
            "bucket": round(self.extremes * fs),
            "range_known": round(self.warm_up * fs),
            "shortest_noise": round(self.shortest_noise * fs),
            "box": box,
            "block": block,
            "peak_blocks": round(self.peak_bucket * fs / block),
            "warm_up": round(self.warm_up * fs / block),
            "floor_blocks": round(self.floor_window * fs / block),
        }

    def sections(self, *, fs: float) -> NDArray[np.float64]:
        """Return the filters of `peak_band` and `floor_band`, in second-order sections of shape (2, 2, 6).

        Parameters
        ----------
        fs : float
            Sampling rate in Hz of the lead; the filters run on averages of its samples, see `analysis_rate`.
        """
        return _sections(fs / self.counts(fs=fs)["box"], (self.peak_band, self.floor_band))

    def open(self, *, fs: float) -> QualityStream:
        """Return a stream for one lead sampled at `fs` Hz, within `rates`."""
        return QualityStream(self, fs=fs)

    def codes(self, lead: ArrayLike, *, fs: float) -> NDArray[np.uint8]:
        """Judge one lead in one go: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            Samples in any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz, within `rates`.

        Returns
        -------
        codes : ndarray of uint8, shape (n_samples,)
            Values of `Reason`.
        """
        stream = self.open(fs=fs)
        return np.concatenate([stream.push(lead), stream.flush()])


@dataclass(frozen=True, kw_only=True)
class BreathQuality(SignalQuality):
    """Say for every sample of a respiration signal (belt, impedance, airflow, CO2) whether it can be labelled.

    The rules are those of `SignalQuality`, on the time scale of breathing. Three things differ.

    *A pause is not a flat line.* In an apnoea the breaths are gone, but the sensor still sees the heart, or its own
    noise: the value changes. Flat is what does not: exactly one value for 8 s, longer than a clipped or coarsely
    quantised signal stands still between two breaths, or for twice as long as it stood still in the last 60 to 120 s.
    A signal that has never moved, or in the last 60 to 120 s only between neighbouring steps of its converter, is flat
    from the first sample on: nobody has seen it breathe. Thus an apnoea of up to 60 s after breathing is never flat
    while anything moves. One in which nothing does for 8 s, as where a CO2 monitor reports an exact zero, cannot be
    told from a sensor that is off.

    *A clipped signal is usable*, for its breaths can still be counted: in BIDMC, recording 35 lies at its rails for
    89 % of the time, and both annotators marked its breaths. Saturated is only what stays at a rail, like a flat line.

    *Noise and motion* are judged by what lies beyond breathing and the heart's fundamental: the quiet moments of 4 s
    between 2 and 3.5 Hz, beside the upper fifth of the deflections of the last 96 s between 0.05 and 1.2 Hz. The memory
    keeps breaths in view throughout an apnoea; its rank, in place of the largest, keeps the motion before from hiding
    the motion now. A signal that holds heartbeats or noise, but has shown no breath in it, is noise.

    Parameters
    ----------
    enter, leave : float, default=0.05 and 0.02
        See Notes.
    rates : RateRange, default=BREATH_RATES
    look : float, default=2.0
        The delay: half an ordinary breath.
    still : float, default=8.0
        The longest time for which a BIDMC recording repeats one value is 2.6 s; half a breath at 4 a minute is 7.5 s.
    flat_is_off : bool, default=False
        It may be an apnoea too, after which the same breath goes on.
    fewest_steps : float, default=2.5
        Flicker between three neighbouring values, and half a step for decimals that were rounded.
    extremes : float, default=60.0
    rail_zone : float, default=1/400
    rail_time : float, default=0.0
        No jumps are looked for: CO2 falls to its zero as fast as a loose contact jumps to its rail.
    analysis_rate : float, default=10.0
    block : float, default=0.4
    peak_band : (float, float), default=(0.05, 1.2)
        From 3 to 72 breaths a minute.
    floor_band : (float, float), default=(2.0, 3.5)
        Above the breaths, below what every supported rate can show.
    floor_window : float, default=4.0
    quiet_share : float, default=0.3
    peak_bucket, peak_buckets : float and int, default=4.0 and 24
    peak_rank : float, default=0.8
    warm_up : float, default=4.0
    shortest_noise : float, default=2.0

    Notes
    -----
    Origin of the thresholds: in the 40 BIDMC recordings, and in simulated belts and impedances of 4 to 70 breaths a
    minute, the ratio stays below 0.031; in simulated motion that has lasted for 3 s it exceeds 0.05 for at least 90 %,
    and 0.02 for all of the time. White noise with a standard deviation of 0.8 breaths, at 25 Hz, is at the limit. Pink
    noise, and motion slower than 1.2 Hz, imitate breathing and are not told apart.
    """

    enter: float = 0.05
    leave: float = 0.02
    rates: RateRange = BREATH_RATES
    look: float = 2.0
    still: float = 8.0
    flat_is_off: bool = False
    fewest_steps: float = 2.5
    extremes: float = 60.0
    rail_time: float = 0.0
    analysis_rate: float = 10.0
    block: float = 0.4
    peak_band: Band = (0.05, 1.2)
    floor_band: Band = (2.0, 3.5)
    floor_window: float = 4.0
    peak_bucket: float = 4.0
    peak_buckets: int = 24
    peak_rank: float = 0.8
    warm_up: float = 4.0
    shortest_noise: float = 2.0


class Judgement(NamedTuple):
    """What is known of the quality of a lead after some samples.

    Attributes
    ----------
    codes : ndarray of uint8
        Values of `Reason` that are final now, for the samples after those judged before.
    off : ndarray of bool
        At which of the samples taken the lead is off, which is known at once; see `SignalQuality.flat_is_off`.
    """

    codes: NDArray[np.uint8]
    off: NDArray[np.bool_]


class QualityStream:
    """The judgement of one lead, as far as it has come; made by `SignalQuality.open`.

    Attributes
    ----------
    delay : float
        Seconds after a sample at which its code is final.
    position : int
        Index of the next input sample.
    """

    def __init__(self, quality: SignalQuality, *, fs: float) -> None:
        counts = quality.counts(fs=fs)
        look, n_floors = counts["look"], counts.pop("floor_blocks")
        values = {
            **counts,
            "box_left": counts["box"],
            "block_left": counts["block"],
            "bucket_left": counts["bucket"],
            "restart": 1,
            "rail_step": 1 / (quality.rail_time * fs) if quality.rail_time else math.inf,
            **{name: getattr(quality, name) for name in _RATIOS},
            "flat_is_off": quality.flat_is_off,
            "last": math.nan,
            "high": -math.inf,
            "high_before": -math.inf,
            "low": math.inf,
            "low_before": math.inf,
        }
        self._sections = quality.sections(fs=fs)
        self._state = new_state(_STATE, **values)
        self._memory = np.zeros((*self._sections.shape[:2], 2))
        self._energy = np.zeros(len(self._memory))
        self._flags = np.zeros(2 * look + 1, dtype=np.uint8)
        self._floors = np.zeros(n_floors)
        self._peaks = np.zeros(quality.peak_buckets)
        self._ended = False
        self.delay = look / fs
        self.position = 0

    def push(self, chunk: ArrayLike, *, start: int | None = None) -> NDArray[np.uint8]:
        """Take the next samples and return the codes that are final now.

        Parameters
        ----------
        chunk : array_like of shape (n,)
            Samples in any unit; NaN is missing data. May be empty.
        start : int, optional
            Index of the first sample of the chunk, checked against `position`.

        Returns
        -------
        codes : ndarray of uint8, shape (m,)
            Values of `Reason` for the m samples after those judged before.

        Raises
        ------
        StreamError
            If the chunk does not continue the stream, or the stream has ended.
        InvalidSignalError
            If the chunk is not one lead of finite or missing samples.
        """
        return self.judge(chunk, start=start).codes

    def judge(self, chunk: ArrayLike, *, start: int | None = None) -> Judgement:
        """Take the next samples; return the codes that are final now, and at which of the samples the lead is off.

        Parameters
        ----------
        chunk, start
            As of `push`.

        Raises
        ------
        StreamError, InvalidSignalError
            As `push`.
        """
        from mhealth._kernels._quality import decide

        lead = check_chunk(chunk, n_channels=1, start=start, position=self.position, ended=self._ended)[:, 0]
        samples = np.ascontiguousarray(lead)
        codes = np.empty(len(samples), dtype=np.uint8)
        off = np.empty(len(samples), dtype=bool)
        n_codes = decide(
            samples, self._state[0], self._flags, self._sections, self._memory, self._energy,
            self._floors, self._peaks, off, codes,
        )  # fmt: skip
        self.position += len(samples)
        return Judgement(codes[:n_codes], off)

    def flush(self) -> NDArray[np.uint8]:
        """End the stream and return the codes of the last samples, judged by what there is.

        Raises
        ------
        StreamError
            If the stream has ended already.
        """
        from mhealth._kernels._quality import drain

        check_flush(ended=self._ended)
        self._ended = True
        codes = np.empty(len(self._flags), dtype=np.uint8)
        return codes[: drain(self._state[0], self._flags, codes)]


@lru_cache(maxsize=16)
def _sections(fs: float, bands: tuple[Band, ...]) -> NDArray[np.float64]:
    """Return a Butterworth band-pass a band, as second-order sections; designing them takes a millisecond."""
    from scipy.signal import butter

    sections = np.stack([butter(2, band, "bandpass", fs=fs, output="sos") for band in bands])
    sections.flags.writeable = False
    return sections


class UnusableSpans(NamedTuple):
    """Parallel arrays, one entry a stretch of one reason; `stop` is the first sample after it."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    reason: NDArray[np.uint8]


def unusable_spans(codes: ArrayLike) -> UnusableSpans:
    """Return the stretches of samples that share a code other than usable.

    Parameters
    ----------
    codes : array_like of int, shape (n_samples,)
        Values of `Reason`.

    Returns
    -------
    spans : UnusableSpans
        In order of time; two stretches touch where the reason changes.
    """
    codes = np.asarray(codes, dtype=np.uint8)
    edges = np.flatnonzero(np.diff(codes, prepend=Reason.USABLE, append=Reason.USABLE))
    start, stop = edges[:-1], edges[1:]
    unusable = codes[start] != Reason.USABLE
    return UnusableSpans(start[unusable], stop[unusable], codes[start][unusable])
