"""Synthetic breathing as a belt or chest impedance shows it, and exactly where each breath turns."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES, UNUSABLE, Annotation, Recording, Spans, check_fs
from mhealth.errors import InvalidParameterError
from mhealth.simulate._faults import Stretches, _forget, _union

__all__ = ["RespirationKind", "random_stretches", "synthetic_respiration"]

RespirationKind = Literal["belt", "impedance"]

CLASSES = (*BREATH_PHASES, UNUSABLE)
"""Labels of the truth."""

INSPIRATION, EXPIRATION, PAUSE, DESTROYED = range(len(CLASSES))

SHORTEST = 0.21
"""Seconds that an inspiration and an expiration last at least: two fit into the shortest cycle."""

LOWEST_FS = 5.0
"""Hz; much lower, the shortest phase could lie between two samples."""

RATES = (4.0, 70.0)
"""Breaths a minute: slow breathing exercises to infants and exertion."""

FIRST_BREATH = 0.5
"""Seconds at rest within which the first breath begins."""

STEEPNESS = (1.1, 1.9)
"""How much faster expiration begins than it ends, drawn once a recording; 1 is symmetrical. Our choice."""

SIGH = 2.5
"""Depth of a sigh in ordinary breaths; usual are two to five (Li & Yackle 2017)."""

SIGH_LENGTH = 1.5
"""Length of a sigh in ordinary breaths. Our choice."""

TALK_INSPIRATION, TALK_EXPIRATION, TALK_DEPTH = (0.4, 0.8), (2.0, 7.0), (0.7, 1.7)
"""Seconds, seconds and ordinary breaths: shorter inspiration, longer expiration (Conrad & Schönle 1979). Our ranges."""

PHRASE = 1.2
"""Seconds of a phrase with the silence after it."""

VOICED, LEAK = 0.7, 0.1
"""Share of a phrase that is spoken, and share of its air that flows all along, so that the silence still falls."""

BEAT_VARIABILITY = 0.03
"""Standard deviation of the interval between heartbeats, as a share of it."""

DRIFT_BAND = (0.005, 0.05)
"""Hz; a belt that slips, a posture that changes: slower than the slowest breathing."""

MOTION, MOTION_BAND, MOTION_FADE = 3.0, (0.2, 3.0), 0.1
"""Standard deviation of a burst in mean depths, its band in Hz, and the share of it that fades in and out."""

N_SINES = 8
"""Sines that make drift or motion: unlike filtered noise, they are the same at every sampling rate."""


class Sensor(NamedTuple):
    """Name and unit of the channel, and how large the heartbeat is in it, in ordinary breaths (our choice)."""

    channel: str
    unit: str
    ripple: float


SENSORS = {"belt": Sensor("RIP", "V", 0.01), "impedance": Sensor("RESP", "Ohm", 0.1)}

RANGES = {
    "rate_variability": (0.0, 0.25, "of the cycle"),
    "inspiration_share": (0.2, 0.6, "of the cycle"),
    "share_variability": (0.0, 0.25, "of the share"),
    "depth": (0.0, 1000.0, "units of the signal"),
    "depth_variability": (0.0, 0.4, "of the depth"),
    "heart_rate": (30.0, 200.0, "beats a minute"),
    "ripple": (0.0, 1000.0, "units of the signal"),
    "drift": (0.0, 1000.0, "units of the signal"),
    "noise": (0.0, 1000.0, "units of the signal"),
}
"""Least and greatest value of parameters. Cycles, shares and depths vary by at most two standard deviations."""

Row = tuple[int, int, int, int, int, float]
"""Onset, peak, offset, label, channel and probability of a span."""


class Breath(NamedTuple):
    """Begin, end of inspiration, of expiration and of the pause after it in s; height; ends of its phrases, if any."""

    onset: float
    peak: float
    rest: float
    resumed: float
    height: float
    phrases: NDArray[np.float64]


class Pattern(NamedTuple):
    """What ordinary breaths are like; parameters as of `synthetic_respiration`."""

    rate: float | Callable[[float], float]
    rate_variability: float
    inspiration_share: float
    share_variability: float
    depth_variability: float

    def cycle(self, time: float, rng: np.random.Generator) -> tuple[float, float, float]:
        """Draw length in s, share of inspiration and height, in mean depths, of the breath that begins now."""
        rate = self.rate(time) if callable(self.rate) else self.rate
        if not RATES[0] <= rate <= RATES[1]:
            raise InvalidParameterError(
                f"rate={rate!r} at {time:.1f} s must lie between {RATES[0]:g} and {RATES[1]:g} breaths a minute."
            )
        length = 60 / rate * _varied(self.rate_variability, rng)
        share = self.inspiration_share * _varied(self.share_variability, rng)
        shortest = SHORTEST / length
        return length, min(max(share, shortest), 1 - shortest), _varied(self.depth_variability, rng)


def synthetic_respiration(
    *,
    fs: float,
    duration: float,
    rate: float | Callable[[float], float] = 15.0,
    kind: RespirationKind = "belt",
    rate_variability: float = 0.2,
    inspiration_share: float = 0.42,
    share_variability: float = 0.18,
    depth: float = 1.0,
    depth_variability: float = 0.33,
    sighs: Sequence[float] = (),
    talking: Stretches = (),
    pauses: Stretches = (),
    heart_rate: float = 70.0,
    ripple: float | None = None,
    drift: float = 0.0,
    motion: Stretches = (),
    noise: float = 0.0,
    polarity: Literal[-1, 1] = 1,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
) -> tuple[Recording, Annotation]:
    """Make breathing with known turning points.

    Inspiration is half a cosine; expiration falls faster at first, as passive lungs do, and every breath ends at the
    same level, that of a pause. Breaths vary independently of one another, by default as much as [1]_ measured in
    65 people at rest. For events at random see `random_stretches`, for faults `add_flat`, `add_saturation` and
    `add_dropout`.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz, at least 5.
    duration : float
        Length in seconds. Breaths that the end would cut are drawn, but not given.
    rate : float or function, default=15.0
        Breaths a minute without pauses and talking, from 4 to 70, or a function that returns them at a time in seconds.
    kind : {"belt", "impedance"}
        A belt (channel RIP, in V) or chest impedance (channel RESP, in Ohm), which shows the heart ten times as well.
        In both units an ordinary breath is 1 high.
    rate_variability : float, default=0.2
        Standard deviation of the cycle as a share of it, up to 0.25.
    inspiration_share : float, default=0.42
        Mean share of inspiration in the cycle, from 0.2 to 0.6 [2]_; I/E is ``share / (1 - share)``.
    share_variability : float, default=0.18
        Standard deviation of the share as a share of it, up to 0.25.
    depth : float, default=1.0
        Mean height of a breath. With 0 nothing breathes: only heartbeat, drift, motion and noise remain.
    depth_variability : float, default=0.33
        Standard deviation of the depth as a share of it, up to 0.4.
    sighs : sequence of float
        Seconds; the breath that is under way then, or else the next ordinary one, is a sigh: 2.5 times as deep as the
        mean and half as long again.
    talking : sequence of (float, float)
        Start and stop in seconds; breaths that begin there have short inspirations and long expirations in steps.
    pauses : sequence of (float, float)
        Start and stop in seconds. A pause begins with the first end of an expiration at or after `start` that has no
        pause yet, and lasts ``stop - start``.
    heart_rate : float, default=70.0
        Heartbeats a minute, from 30 to 200.
    ripple : float, optional
        Height of the heartbeat, by default 0.01 in a belt and 0.1 in an impedance.
    drift : float, default=0.0
        Standard deviation of a drift slower than 0.05 Hz.
    motion : sequence of (float, float)
        Start and stop in seconds of bursts that bury the breaths.
    noise : float, default=0.0
        Standard deviation of the white noise of the amplifier.
    polarity : {1, -1}
        With −1 everything is upside down: inspiration falls.
    limits : (float, float), optional
        Lowest and highest value that the amplifier gives; what lies beyond is held there. The truth stays as it is.
    seed : int
        Seed of everything random. Timing is the same at every sampling rate.

    Returns
    -------
    recording : Recording
        One channel.
    annotation : Annotation
        Whole breaths as `inspiration` and `expiration`, each but the first beginning where the one before ends; `pause`
        after the expiration that it follows, up to the end of the recording at most. Turning points lie on samples: at
        `onset` of an inspiration the signal is lowest, at its `peak`, which is its `offset`, highest. Motion bursts are
        `unusable`; as with faults, spans that they touch are not given, and nothing is annotated there.

    Raises
    ------
    InvalidParameterError
        If a kind or polarity is unknown, or a number or stretch out of range.

    References
    ----------
    .. [1] Tobin M. J., Mador M. J., Guenther S. M., Lodato R. F., Sackner M. A. (1988). Variability of resting
       respiratory drive and timing in healthy subjects. J. Appl. Physiol. 65, 309–317.
       https://doi.org/10.1152/jappl.1988.65.1.309
    .. [2] Tobin M. J. et al. (1983). Breathing patterns. 1. Normal subjects. Chest 84, 202–205.
       https://doi.org/10.1378/chest.84.2.202

    Examples
    --------
    >>> recording, truth = synthetic_respiration(fs=25, duration=60, pauses=[(20, 35)], seed=1)
    >>> recording.signals.shape
    (1500, 1)
    >>> pause = truth.spans.of(label="pause")
    >>> ((pause.offset - pause.onset) / recording.fs).tolist()
    [15.0]
    """
    fs = check_fs(fs, lowest=LOWEST_FS)
    if kind not in get_args(RespirationKind):
        raise InvalidParameterError(f"kind={kind!r} must be one of {get_args(RespirationKind)}.")
    sensor = SENSORS[kind]
    ripple = sensor.ripple if ripple is None else ripple
    if not 0 < duration < math.inf:
        raise InvalidParameterError(f"duration={duration!r} must be a positive number of seconds.")
    _check_numbers(
        rate_variability=rate_variability, inspiration_share=inspiration_share, share_variability=share_variability,
        depth=depth, depth_variability=depth_variability, heart_rate=heart_rate, ripple=ripple, drift=drift,
        noise=noise,
    )  # fmt: skip
    _check_times(duration, sighs, talking=talking, pauses=pauses, motion=motion)
    if polarity not in (-1, 1):
        raise InvalidParameterError(f"polarity={polarity!r} must be 1 or -1.")
    if limits is not None and not limits[0] < limits[1]:
        raise InvalidParameterError(f"limits={limits!r} must be a lower and a higher value.")

    breathing, shape, heart, slow, moving, amplifier = np.random.default_rng(seed).spawn(6)
    times = np.arange(round(duration * fs)) / fs
    signal = ripple * _heartbeat(times, duration, heart_rate, heart) + drift * _sines(times, DRIFT_BAND, slow)
    rows: list[Row] = []
    annotated = [(0, 0, len(signal))]
    if depth > 0:
        pattern = Pattern(rate, rate_variability, inspiration_share, share_variability, depth_variability)
        breaths = _breaths(duration, pattern, sighs, talking, pauses, breathing)
        rows = _draw(signal, breaths, depth, fs, shape.uniform(*STEEPNESS))
        annotated = [(0, rows[0][0], rows[-1][2])] if rows else []
    for start, stop in motion:
        inside = slice(*_samples((start, stop), fs))
        # Where nothing breathes, a burst is as large as beside ordinary breaths.
        signal[inside] += (depth or 1.0) * _burst(times[inside], start, stop, moving)
    signal += noise * amplifier.standard_normal(len(signal))
    signal *= polarity
    if limits is not None:
        np.clip(signal, *limits, out=signal)
    recording = Recording(
        signals=signal.astype(np.float32)[:, None],
        fs=fs,
        channels=(sensor.channel,),
        units=(sensor.unit,),
        name=f"breathing{seed}",
    )
    spans = Spans.from_rows(rows, fs=fs, channels=recording.channels, classes=CLASSES)
    return recording, _bury(Annotation(spans=spans, annotated=np.array(annotated)), motion)


def random_stretches(
    duration: float, *, per_hour: float, lengths: tuple[float, float] = (10.0, 60.0), seed: int = 0
) -> list[tuple[float, float]]:
    """Choose stretches at random, for pauses, talking, motion or faults; their starts may serve for sighs.

    Parameters
    ----------
    duration : float
        Seconds of the recording.
    per_hour : float
        Stretches an hour; how many there are is rounded.
    lengths : (float, float), default=(10.0, 60.0)
        Shortest and longest stretch in seconds, by default that of an apnoea; uniform between them.
    seed : int
        Seed of everything random.

    Returns
    -------
    stretches : list of (float, float)
        Start and stop in seconds, in order, without overlap and inside the recording.

    Raises
    ------
    InvalidParameterError
        If a number is out of range, or so many stretches have no room.

    Examples
    --------
    >>> len(random_stretches(1800, per_hour=12, seed=1))
    6
    """
    if not 0 < duration < math.inf:
        raise InvalidParameterError(f"duration={duration!r} must be a positive number of seconds.")
    if not 0 <= per_hour < math.inf:
        raise InvalidParameterError(f"per_hour={per_hour!r} must be 0 or a positive number.")
    if not 0 <= lengths[0] <= lengths[1] < math.inf:
        raise InvalidParameterError(f"lengths={lengths!r} must be a shortest and a longest stretch in seconds.")
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(*lengths, round(per_hour * duration / 3600))
    room = duration - drawn.sum()
    if room < 0:
        raise InvalidParameterError(
            f"per_hour={per_hour!r} makes {len(drawn)} stretches of {drawn.sum():.0f} s together, but there are only "
            f"{duration:g} s. Choose fewer or shorter ones."
        )
    starts = np.sort(rng.uniform(0, room, len(drawn))) + np.cumsum(drawn) - drawn
    stops = np.minimum(starts + drawn, duration)  # a sum may round to just above the end
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _check_numbers(**values: float) -> None:
    for name, value in values.items():
        lowest, highest, unit = RANGES[name]
        if not lowest <= value <= highest:
            raise InvalidParameterError(f"{name}={value!r} must lie between {lowest:g} and {highest:g} {unit}.")


def _check_times(duration: float, sighs: Sequence[float], **events: Stretches) -> None:
    if not all(0 <= sigh <= duration for sigh in sighs):
        raise InvalidParameterError(
            f"sighs={sighs!r} must be times in seconds inside the {duration:g} s of the recording."
        )
    for name, stretches in events.items():
        for start, stop in stretches:
            if not 0 <= start < stop <= duration:
                raise InvalidParameterError(
                    f"{name} holds ({start!r}, {stop!r}); expected ranges in seconds inside the {duration:g} s of the "
                    "recording."
                )


def _samples(seconds: Sequence[float], fs: float) -> list[int]:
    """Return the nearest samples; times that are a sample apart never fall on the same one, as with `round`."""
    return [math.floor(time * fs + 0.5) for time in seconds]


def _varied(variability: float, rng: np.random.Generator) -> float:
    """Return a factor of mean 1, within two standard deviations."""
    return 1 + variability * float(np.clip(rng.standard_normal(), -2, 2))


def _breaths(
    duration: float,
    pattern: Pattern,
    sighs: Sequence[float],
    talking: Stretches,
    pauses: Stretches,
    rng: np.random.Generator,
) -> Iterator[Breath]:
    """Draw breaths until the recording ends."""
    waiting, deep = deque(sorted(pauses)), deque(sorted(sighs))
    time = rng.uniform(0, FIRST_BREATH)
    while time < duration:
        length, share, height = pattern.cycle(time, rng)
        inspiration, expiration = length * share, length * (1 - share)
        phrases = np.empty(0)
        if any(start <= time < stop for start, stop in talking):
            inspiration, expiration = rng.uniform(*TALK_INSPIRATION), rng.uniform(*TALK_EXPIRATION)
            height = rng.uniform(*TALK_DEPTH)
            phrases = _phrases(expiration, rng)
        elif deep and deep[0] < time + length:
            deep.popleft()
            inspiration, expiration, height = SIGH_LENGTH * inspiration, SIGH_LENGTH * expiration, SIGH
        rest = resumed = time + inspiration + expiration
        if waiting and waiting[0][0] <= rest:
            start, stop = waiting.popleft()
            resumed += stop - start
        yield Breath(time, time + inspiration, rest, resumed, height, phrases)
        time = resumed


def _phrases(expiration: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where phrases begin and end, from 0 to 1, as shares of the expiration."""
    lengths = rng.uniform(0.5, 1.5, max(2, round(expiration / PHRASE)))
    return np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])


def _draw(
    signal: NDArray[np.float64], breaths: Iterable[Breath], depth: float, fs: float, steepness: float
) -> list[Row]:
    """Add the breaths to the signal in place, and return the spans of those that are whole."""
    rows: list[Row] = []
    for breath in breaths:
        onset, peak, rest, resumed = _samples(breath[:4], fs)
        rise = _smooth(np.arange(peak - onset) / (peak - onset))
        fall = _fall(np.arange(rest - peak) / (rest - peak), breath.phrases, steepness)
        seen = signal[onset:rest]
        seen += depth * breath.height * np.concatenate([rise, fall])[: len(seen)]
        if rest > len(signal):
            continue
        rows += [(onset, peak, peak, INSPIRATION, 0, np.nan), (peak, -1, rest, EXPIRATION, 0, np.nan)]
        if resumed > rest and rest < len(signal):
            rows.append((rest, -1, min(resumed, len(signal)), PAUSE, 0, np.nan))
    return rows


def _smooth(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half a cosine that rises from 0 to 1."""
    return (1 - np.cos(np.pi * u)) / 2


def _fall(u: NDArray[np.float64], phrases: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    """Return the course of an expiration from 1 to 0: in one go, or in a step for each phrase."""
    if not len(phrases):
        return _smooth((1 - u) ** steepness)
    phrase = np.searchsorted(phrases, u, side="right") - 1
    start, stop = phrases[phrase], phrases[phrase + 1]
    within = (u - start) / (stop - start)
    spoken = (1 - LEAK) * _smooth(np.minimum(within / VOICED, 1)) + LEAK * within
    return 1 - start - (stop - start) * spoken


def _heartbeat(
    times: NDArray[np.float64], duration: float, heart_rate: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a wave of height 1 for each heartbeat, quicker up than down."""
    mean = 60 / heart_rate
    first = -rng.uniform(0, mean)
    n_beats = math.ceil(duration / mean / (1 - 2 * BEAT_VARIABILITY)) + 2
    intervals = mean * (1 + BEAT_VARIABILITY * np.clip(rng.standard_normal(n_beats), -2, 2))
    beats = first + np.cumsum(intervals) - intervals[0]
    phase = 2 * np.pi * np.interp(times, beats, np.arange(len(beats)))
    return (np.sin(phase) + np.sin(2 * phase) / 2) / (1.5 * math.sqrt(3))


def _sines(times: NDArray[np.float64], band: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a sum of sines in a band in Hz, of standard deviation 1."""
    frequencies, phases = rng.uniform(*band, N_SINES), rng.uniform(0, 2 * np.pi, N_SINES)
    waves = (np.sin(2 * np.pi * f * times + phase) for f, phase in zip(frequencies, phases, strict=True))
    return sum(waves, np.zeros(len(times))) * math.sqrt(2 / N_SINES)


def _burst(times: NDArray[np.float64], start: float, stop: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the motion of one stretch, which fades in and out."""
    within = (times - start) / (stop - start)
    envelope = np.clip(np.minimum(within, 1 - within) / MOTION_FADE, 0, 1)
    return MOTION * envelope * _sines(times, MOTION_BAND, rng)


def _bury(truth: Annotation, motion: Stretches) -> Annotation:
    """Return what motion leaves of the truth, and the motion itself."""
    spans = truth.spans
    ranges = _union([(start, stop) for start, stop in (_samples(stretch, spans.fs) for stretch in motion)])
    left = _forget(truth, ranges, None)
    rows = [(start, -1, stop, DESTROYED, 0, np.nan) for start, stop in ranges]
    unusable = Spans.from_rows(rows, fs=spans.fs, channels=spans.channels, classes=CLASSES)
    return replace(left, spans=Spans.concat([left.spans, unusable]))
