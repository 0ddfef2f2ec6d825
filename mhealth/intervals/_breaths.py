"""What every breath is like, and how it differs from the breaths around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES, Recording, Spans, channel_keys
from mhealth.errors import InvalidParameterError
from mhealth.intervals._intervals import ecg_intervals
from mhealth.intervals._minutes import MINUTE, minutes_of
from mhealth.intervals._stretches import extent, usable_between
from mhealth.intervals._summary import summarise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SHORTEST_PAUSE", "Breaths", "breath_intervals"]

INSPIRATION, EXPIRATION, PAUSE = BREATH_PHASES

SHORTEST_PAUSE = 10.0
"""Seconds without breath that make an apnoea (Berry et al. 2012, https://doi.org/10.5664/jcsm.2172)."""

POINTS = ("onset", "peak", "offset")
COMPARED = (
    "inspiration_s", "expiration_s", "cycle_s", "ie_ratio",
    "stretch", "inspiratory_velocity", "expiratory_velocity", "minute_ventilation",
)  # fmt: skip
MEASURES = (*COMPARED, "breath_rate_bpm", "rsa_ms")
COMPARISONS = ("minus_before", "minus_after", "over_neighbours")

_Usable = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
_COLUMNS = {
    **dict.fromkeys(("channel", *POINTS), np.int64),
    "continues": np.bool_,
    **dict.fromkeys(("rise", "stretch"), np.float64),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Breaths:
    """Parallel arrays, one entry a breath, channel after channel and in order of time.

    What cannot be measured is missing, never zero: a breath without an expiration has no I/E ratio.

    Parameters
    ----------
    channel : ndarray of int64, shape (n_breaths,)
        Index into `channels`.
    onset, peak, offset : ndarray of int64, shape (n_breaths,)
        Samples where inspiration begins, where it ends, and the first one after the expiration; −1 where unknown.
    continues : ndarray of bool, shape (n_breaths,)
        Whether breathing went on from the breath before: no pause, nothing unusable. False for a channel's first.
    rise : ndarray of float64, shape (n_breaths,)
        Signal at the peak minus signal at the onset, in the unit of the channel.
    stretch : ndarray of float64, shape (n_breaths,)
        Signal at the peak minus signal at the offset (the trough after it), in the unit of the channel. Both are
        positive where inspiration raises the signal and negative where it lowers it.
    rsa_ms : ndarray of float64, shape (n_breaths,)
        Respiratory sinus arrhythmia: largest minus smallest of the inter-beat intervals that end in the breath, in ms.
    pauses : Spans
        The labelled pauses.
    fs : float
        Sampling rate in Hz.
    channels, units : tuple of str
        Texts of the channels and their units, ``""`` where unknown.
    """

    channel: NDArray[np.int64]
    onset: NDArray[np.int64]
    peak: NDArray[np.int64]
    offset: NDArray[np.int64]
    continues: NDArray[np.bool_]
    rise: NDArray[np.float64]
    stretch: NDArray[np.float64]
    rsa_ms: NDArray[np.float64]
    pauses: Spans
    fs: float
    channels: tuple[str, ...]
    units: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of breaths."""
        return len(self.channel)

    @property
    def breathing_channels(self) -> tuple[int, ...]:
        """Positions of the channels that have breaths or pauses."""
        return tuple(np.union1d(self.channel, self.pauses.channel).tolist())

    @property
    def inspiration_s(self) -> NDArray[np.float64]:
        """Onset to peak, in s."""
        return self._between(self.onset, self.peak)

    @property
    def expiration_s(self) -> NDArray[np.float64]:
        """Peak to offset, in s."""
        return self._between(self.peak, self.offset)

    @property
    def cycle_s(self) -> NDArray[np.float64]:
        """Onset to offset, in s; a pause after the breath is no part of it."""
        return self._between(self.onset, self.offset)

    @property
    def breath_rate_bpm(self) -> NDArray[np.float64]:
        """Breaths per minute at the pace of this breath: 60 s / cycle."""
        return MINUTE / self.cycle_s

    @property
    def ie_ratio(self) -> NDArray[np.float64]:
        """Duration of inspiration over duration of expiration."""
        return self.inspiration_s / self.expiration_s

    @property
    def inspiratory_velocity(self) -> NDArray[np.float64]:
        """Rise over duration of inspiration, in units per s."""
        return self.rise / self.inspiration_s

    @property
    def expiratory_velocity(self) -> NDArray[np.float64]:
        """Stretch over duration of expiration, in units per s."""
        return self.stretch / self.expiration_s

    @property
    def minute_ventilation(self) -> NDArray[np.float64]:
        """Size of the stretch times the breath rate, in units per minute: what would be litres, were it calibrated."""
        return np.abs(self.stretch) * self.breath_rate_bpm

    def minus_before(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each breath's value minus that of the breath before, NaN where breathing was interrupted."""
        return values - self._neighbour(values, -1)

    def minus_after(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each breath's value minus that of the breath after, NaN where breathing was interrupted."""
        return values - self._neighbour(values, 1)

    def over_neighbours(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each value over the mean of the two before and two after, NaN unless all five breaths connect."""
        mean = np.mean([self._neighbour(values, step) for step in (-2, -1, 1, 2)], axis=0)
        return values / np.where(mean == 0, np.nan, mean)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row a breath.

        Returns
        -------
        frame : pandas.DataFrame
            Columns channel, unit (of the signal), breath (from 0 in each channel); onset, peak, offset in samples
            (nullable integers, ``<NA>`` where unknown) and onset_s, peak_s, offset_s; inspiration_s, expiration_s,
            cycle_s, ie_ratio, stretch (unit), inspiratory_velocity and expiratory_velocity (unit/s),
            minute_ventilation (unit/min), breath_rate_bpm (1/min), rsa_ms; then of each but the last two …_minus_before
            and …_minus_after (in its own unit) and …_over_neighbours (a plain number). NaN where they cannot be
            measured. Channels that share a name are given by position.
        """
        import pandas as pd

        first = np.searchsorted(self.channel, np.arange(len(self.channels)))
        points = {name: getattr(self, name) for name in POINTS}
        return pd.DataFrame(
            {
                "channel": np.array(channel_keys(self.channels), dtype=object)[self.channel],
                "unit": np.array(self.units, dtype=object)[self.channel],
                "breath": np.arange(len(self)) - first[self.channel],
                **{name: pd.arrays.IntegerArray(at.copy(), at < 0) for name, at in points.items()},
                **{f"{name}_s": self._seconds(at) for name, at in points.items()},
                **self._measures(),
            }
        )

    def summary(self) -> pd.DataFrame:
        """Return what is typical of each channel.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each channel that has breaths or pauses and each measure: channel, measure (inspiration_s, …,
            rsa_ms), n (breaths in which it could be measured), median, q1, q3, iqr (interquartile range), NaN where
            n is 0.
        """
        keys = channel_keys(self.channels)
        measures = {name: getattr(self, name) for name in MEASURES}
        return summarise(measures, self.channel, {code: keys[code] for code in self.breathing_channels})

    def per_minute(self) -> pd.DataFrame:
        """Return what is typical of each minute of each channel that has breaths or pauses.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each minute, counted from sample 0 to the last breath or pause: channel, minute, n_breaths (peaks
            in it), pause_s (time in labelled pauses), covered_s (time in whole breaths and pauses), rate_bpm (breaths
            over covered time, by the share of each breath that lies in the minute: 0 in a minute of pause, NaN where
            nothing is covered), rate_sd_bpm (standard deviation of the breath rates, NaN below two breaths), then
            …_q1, …_median and …_q3 of each measure of `to_frame`, over the breaths that peak in the minute.
        """
        import pandas as pd

        measures = pd.DataFrame(self._measures())
        keys = np.array(channel_keys(self.channels), dtype=object)
        tables = []
        for channel in self.breathing_channels or (-1,):  # of no channel the table has no rows
            own, pauses = self.channel == channel, self.pauses.select(self.pauses.channel == channel)
            onset, peak, offset = (self._seconds(getattr(self, name)[own]) for name in POINTS)
            pause_onset, pause_offset = (at / self.fs for at in extent(pauses))
            table = minutes_of((onset, offset), (pause_onset, pause_offset), peak, measures[own])
            table.insert(0, "channel", keys[np.full(len(table), channel)])
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _measures(self) -> dict[str, NDArray[np.float64]]:
        """Return every measure and every comparison by its name."""
        measures = {name: getattr(self, name) for name in MEASURES}
        compared = {f"{name}_{how}": getattr(self, how)(measures[name]) for name in COMPARED for how in COMPARISONS}
        return measures | compared

    def _seconds(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return samples as times in s, NaN where unknown."""
        return np.where(at >= 0, at / self.fs, np.nan)

    def _between(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time between two points in s, NaN where either is unknown or none lies between."""
        return np.where((start >= 0) & (stop > start), (stop - start) / self.fs, np.nan)

    def _neighbour(self, values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        """Return for each breath the value of the breath `step` breaths later, NaN where that does not connect."""
        shifted = np.array(values, dtype=np.float64)
        for _ in range(abs(step)):
            if step < 0:
                shifted = np.where(self.continues, np.roll(shifted, 1), np.nan)
            else:
                shifted = np.roll(np.where(self.continues, shifted, np.nan), -1)
        return shifted


def breath_intervals(
    spans: Spans,
    recording: Recording | None = None,
    *,
    qrs: Spans | None = None,
    shortest_pause: float = SHORTEST_PAUSE,
) -> Breaths:
    """Measure every breath, each channel on its own.

    Parameters
    ----------
    spans : Spans
        Labels inspiration, expiration, pause and `mhealth.core.UNUSABLE`; others are ignored. Every inspiration is a
        breath; the expiration that follows it belongs to it, unless another phase or an interruption lies between.
    recording : Recording, optional
        The recording that was labelled. Without it there are times, but no stretch, velocity and ventilation.
    qrs : Spans, optional
        QRS complexes on the same clock, at any rate, for the respiratory sinus arrhythmia; by default those among
        `spans`. Of several leads the one with most beats counts.
    shortest_pause : float, default=10.0
        Seconds between two phases, labelled as pause or not, from which on breathing counts as interrupted; see
        `SHORTEST_PAUSE`.

    Returns
    -------
    breaths : Breaths

    Raises
    ------
    InvalidParameterError
        If `shortest_pause` is not positive, or the recording has another rate or lacks a channel that breathes.

    Notes
    -----
    Durations, I/E ratio and stretch are those of mPuff [1]_ and cStress [2]_, the comparisons with the breaths before
    and after and with the mean of the four around it those of puffMarker [3]_, the velocities those of rConverse [4]_.
    Departures: a neighbour that is missing or beyond an interruption gives NaN, where published code takes zero, or
    the mean of fewer neighbours; stretch and velocities keep the sign of the signal's polarity; minute ventilation is
    the size of the stretch times the rate, where cStress adds up areas below inspirations, since what a belt or an
    impedance follows is volume, not flow.

    Values are the samples at the points, unfiltered. Respiratory sinus arrhythmia is taken from peak to valley [5]_:
    over the intervals between R peaks that end within the breath, and missing if there are fewer than two or one of
    them is unknown. Ectopic beats are not removed.

    References
    ----------
    .. [1] Ali, Hossain, Hovsepian, Rahman, Plarre, Kumar (2012). mPuff: automated detection of cigarette smoking
       puffs from respiration measurements. IPSN, 269-280. https://doi.org/10.1145/2185677.2185741
    .. [2] Hovsepian, al'Absi, Ertin, Kamarck, Nakajima, Kumar (2015). cStress: towards a gold standard for continuous
       stress assessment in the mobile environment. UbiComp, 493-504. https://doi.org/10.1145/2750858.2807526
    .. [3] Saleheen, Ali, Hossain, Sarker, Chatterjee, Marlin, Ertin, al'Absi, Kumar (2015). puffMarker: a multi-sensor
       approach for pinpointing the timing of first lapse in smoking cessation. UbiComp, 999-1010.
       https://doi.org/10.1145/2750858.2806897
    .. [4] Bari, Adams, Rahman, Parsons, Buder, Kumar (2018). rConverse: moment by moment conversation detection using
       a mobile respiration sensor. Proc. ACM IMWUT 2(1), 2. https://doi.org/10.1145/3191734
    .. [5] Grossman, van Beek, Wientjes (1990). A comparison of three quantification methods for estimation of
       respiratory sinus arrhythmia. Psychophysiology 27(6), 702-714.
       https://doi.org/10.1111/j.1469-8986.1990.tb03198.x

    Examples
    --------
    >>> from mhealth.core import Spans
    >>> rows = [(0, 10, 10, 0, 0, 0.9), (10, -1, 30, 1, 0, 0.9)]
    >>> spans = Spans.from_rows(rows, fs=10, channels=("RESP",), classes=("inspiration", "expiration"))
    >>> breaths = breath_intervals(spans)
    >>> breaths.cycle_s.tolist(), breaths.ie_ratio.tolist()
    ([3.0], [0.5])
    """
    if not shortest_pause > 0:
        raise InvalidParameterError(f"shortest_pause={shortest_pause!r} must be a positive number of seconds.")
    if recording is not None and recording.fs != spans.fs:
        raise InvalidParameterError(
            f"spans are at {spans.fs:g} Hz but the recording is at {recording.fs:g} Hz; pass the one that was labelled."
        )
    phases = spans.select(_is_one_of(spans, BREATH_PHASES))
    units = [""] * len(spans.channels)
    parts = []
    for channel in np.unique(phases.channel).tolist():
        own = phases.select(phases.channel == channel)
        usable = usable_between(spans, channel)
        points = _locate(own, usable, shortest_pause * spans.fs)
        signal = None
        if recording is not None:
            column = _column(spans, channel, recording)
            signal, units[channel] = recording.signals[:, column], recording.units[column]
        at_onset, at_peak, at_offset = (_values(signal, points[name], usable) for name in POINTS)
        values = {"rise": at_peak - at_onset, "stretch": at_peak - at_offset}
        parts.append({"channel": np.full(len(at_peak), channel), **points, **values})
    columns = {
        name: np.concatenate([np.empty(0, dtype=kind), *(part[name] for part in parts)])
        for name, kind in _COLUMNS.items()
    }
    r_peak_s, ibi_ms = _heartbeats(spans if qrs is None else qrs)
    onset, offset = columns["onset"], columns["offset"]
    first, last = (np.searchsorted(r_peak_s, at / spans.fs) for at in (onset, offset))
    first = np.where((onset >= 0) & (offset > onset), first, last)
    return Breaths(
        **columns,
        rsa_ms=_largest_minus_smallest(ibi_ms, first, last),
        pauses=phases.select(_is_one_of(phases, (PAUSE,))),
        fs=spans.fs,
        channels=spans.channels,
        units=tuple(units),
    )


def _is_one_of(spans: Spans, labels: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which spans have one of these labels."""
    return np.isin(spans.label, [code for code, text in enumerate(spans.classes) if text in labels])


def _locate(phases: Spans, usable: _Usable, within: float) -> dict[str, NDArray]:
    """Return the points of the breaths of one channel, and whether each is less than `within` from the one before."""
    begin, end = extent(phases)

    def connect(start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.bool_]:
        return usable(start, stop) & (stop - start < within)

    breath = np.flatnonzero(_is_one_of(phases, (INSPIRATION,)))
    after = np.minimum(breath + 1, len(phases) - 1)  # at the end the inspiration itself, which is no expiration
    has_expiration = _is_one_of(phases, (EXPIRATION,))[after] & connect(end[breath], begin[after])
    last = np.where(has_expiration, end[after], end[breath])
    return {
        "onset": phases.onset[breath],
        "peak": np.where(phases.peak[breath] >= 0, phases.peak[breath], phases.offset[breath]),
        "offset": np.where(has_expiration, phases.offset[after], -1),
        "continues": np.append(False, connect(last[:-1], begin[breath[1:]]))[: len(breath)],
    }


def _column(spans: Spans, channel: int, recording: Recording) -> int:
    """Return the column of the recording that a channel of the spans is."""
    key = channel_keys(spans.channels)[channel]
    if key not in recording.keys:
        raise InvalidParameterError(
            f"the recording has no channel {key!r}, in which there are breaths; it holds {recording.keys}. "
            "Pass the recording that was labelled."
        )
    return recording.keys.index(key)


def _values(signal: NDArray[np.float32] | None, at: NDArray[np.int64], usable: _Usable) -> NDArray[np.float64]:
    """Return the signal at some samples, NaN where they are unknown, outside or unusable."""
    values = np.full(len(at), np.nan)
    if signal is not None:
        known = (at >= 0) & (at < len(signal)) & usable(at, at + 1)
        values[known] = signal[at[known]]
    return values


def _heartbeats(qrs: Spans) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times of the R peaks of the lead with most beats, in s, and the intervals that end there, in ms."""
    beats = ecg_intervals(qrs)
    if not len(beats):
        return np.empty(0), np.empty(0)
    of_lead = (beats.channel == np.bincount(beats.channel).argmax()) & (beats.r_peak >= 0)
    return beats.r_peak[of_lead] / beats.fs, 1000 * beats.rr_s[of_lead]


def _largest_minus_smallest(
    values: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return largest minus smallest of the values `first` to before `last`, NaN for fewer than two."""
    found = np.full(len(first), np.nan)
    enough = last - first >= 2
    ranges = np.stack([first, last], axis=1)[enough].ravel()
    padded = np.append(values, np.nan)  # so that a range may end where the values do
    found[enough] = np.maximum.reduceat(padded, ranges)[::2] - np.minimum.reduceat(padded, ranges)[::2]
    return found
