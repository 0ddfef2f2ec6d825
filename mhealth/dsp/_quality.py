"""Where a lead cannot be labelled: dropout, flat line, saturation, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import check_chunk, check_flush, check_fs, new_state
from mhealth.dsp._resample import HIGHEST_RATE, LOWEST_RATE
from mhealth.errors import InvalidParameterError

__all__ = ["QualityStream", "Reason", "SignalQuality", "UnusableSpans", "unusable_spans"]


class Reason(IntEnum):
    """Code of a sample: usable, or why it is not."""

    USABLE = 0
    DROPOUT = 1
    FLAT = 2
    SATURATED = 3
    NOISE = 4


LOOK = 0.5
"""Seconds of signal after a sample that its code may depend on; also the shortest flat line."""

EXTREMES = 8.0
"""Seconds of a bucket of extremes; the running range covers the present and the last one."""

RAIL_ZONE = 1 / 400
"""What counts as sitting at an extreme, as a share of the running range: one step of an 8-bit converter."""

RAIL_TIME = 0.1
"""A jump to the rail would cross the whole running range within these seconds; a T wave does not."""

ANALYSIS_RATE = 125.0
"""Noise is judged on averages of samples at about this rate in Hz."""

BLOCK = 0.04
"""Seconds over which energy is summed: half a QRS complex."""

PEAK_BAND = (6.0, 30.0)
"""Band in Hz in which QRS complexes stand out."""

FLOOR_BAND = (20.0, 40.0)
"""Band in Hz of the noise floor: P and T waves, fibrillation and mains hum lie outside."""

FLOOR_WINDOW = 3.0
"""Seconds whose quiet share is the noise floor; holds two beats at 40 a minute."""

QUIET_SHARE = 0.3
"""Share of the blocks that is quiet between the waves of any rhythm."""

PEAK_MEMORY = 8
"""Seconds that the largest deflection is remembered: pauses are quiet, not noisy."""

WARM_UP = 2.0
"""Seconds of signal before noise and rails are judged at all: the start may lie between two beats."""

SHORTEST_NOISE = 1.0
"""Shortest stretch of noise in seconds, so that the code does not flicker."""

_STATE = np.dtype(
    [
        *[(name, np.int64) for name in (
            "look", "box", "block", "bucket", "peak_blocks", "warm_up", "range_known", "shortest_noise",
            "position", "slot", "n_rail", "run", "longest", "longest_before",
            "is_flat", "constant_until", "constant_code",
            "bucket_left", "at_extreme", "jumped", "box_left", "block_left", "skip", "restart",
            "floor_slot", "n_floors", "peak_slot", "peak_left", "noisy", "hold",
        )],
        *[(name, np.float64) for name in (
            "rail_zone", "rail_step", "enter", "leave", "quiet_share",
            "last", "high", "low", "high_before", "low_before", "total", "offset",
        )],
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SignalQuality:
    """Say for every sample of a lead whether it can be labelled, and if not, why.

    *Dropout* is NaN. *Flat* is one value for half a second or longer, counted from its first sample; where the signal
    often stands still between waves (coarse steps), for twice as long as it did in the 8 to 16 s before. *Saturated* is
    a flat line at the running extreme, or a second of which more than half is spent at the running extremes, reached in
    jumps. *Noise* is a stretch whose quiet moments are too loud beside its largest deflection for beats to stand out:
    the 30 % quantile over 3 s of the energy between 20 and 40 Hz, divided by the largest energy of 8 s between 6 and
    30 Hz, both over 40 ms. An ECG is quiet between its waves; white and pink noise are not. Noise and saturation are
    judged from the third second on.

    Parameters
    ----------
    enter : float, default=0.03
        Ratio of floor to peak energy above which noise begins. See Notes for its origin.
    leave : float, default=0.01
        Ratio below which noise ends; at most `enter`.

    Notes
    -----
    Nothing depends on the unit or polarity: codes are the same, to the bit, when the signal is scaled by a power of two
    or flipped. A sample's code is final at most 0.5 s after it. State: one second of flags and 150 numbers.

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

    def __post_init__(self) -> None:
        """Check the thresholds."""
        if not 0 < self.leave <= self.enter < math.inf:
            raise InvalidParameterError(
                f"leave={self.leave!r}, enter={self.enter!r} must be positive ratios with leave <= enter; "
                "noise begins above the one and ends below the other."
            )

    def open(self, *, fs: float) -> QualityStream:
        """Return a stream for one lead sampled at `fs` Hz, from 100 to 2000."""
        return QualityStream(self, fs=fs)

    def codes(self, lead: ArrayLike, *, fs: float) -> NDArray[np.uint8]:
        """Judge one lead in one go: open, push, flush.

        Parameters
        ----------
        lead : array_like of shape (n_samples,)
            Samples in any unit; NaN is missing data.
        fs : float
            Sampling rate in Hz, from 100 to 2000.

        Returns
        -------
        codes : ndarray of uint8, shape (n_samples,)
            Values of `Reason`.
        """
        stream = self.open(fs=fs)
        return np.concatenate([stream.push(lead), stream.flush()])


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
        from scipy.signal import butter

        fs = check_fs(fs, lowest=LOWEST_RATE, highest=HIGHEST_RATE)
        look = int(LOOK * fs)
        box = math.floor(fs / ANALYSIS_RATE + 0.5) or 1
        block = box * round(BLOCK * fs / box)
        values = {
            "look": look,
            "box": box,
            "box_left": box,
            "block": block,
            "block_left": block,
            "bucket": round(EXTREMES * fs),
            "bucket_left": round(EXTREMES * fs),
            "peak_blocks": round(fs / block),
            "warm_up": round(WARM_UP * fs / block),
            "range_known": round(WARM_UP * fs),
            "shortest_noise": round(SHORTEST_NOISE * fs),
            "restart": 1,
            "rail_zone": RAIL_ZONE,
            "rail_step": 1 / (RAIL_TIME * fs),
            "enter": quality.enter,
            "leave": quality.leave,
            "quiet_share": QUIET_SHARE,
            "last": math.nan,
            "high": -math.inf,
            "high_before": -math.inf,
            "low": math.inf,
            "low_before": math.inf,
        }
        bands = (PEAK_BAND, FLOOR_BAND)
        self._sections = np.stack([butter(2, band, "bandpass", fs=fs / box, output="sos") for band in bands])
        self._state = new_state(_STATE, **values)
        self._memory = np.zeros((len(bands), self._sections.shape[1], 2))
        self._energy = np.zeros(len(bands))
        self._flags = np.zeros(2 * look + 1, dtype=np.uint8)
        self._floors = np.zeros(round(FLOOR_WINDOW * fs / block))
        self._peaks = np.zeros(PEAK_MEMORY)
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
        from mhealth._kernels._quality import decide

        lead = check_chunk(chunk, n_channels=1, start=start, position=self.position, ended=self._ended)[:, 0]
        samples = np.ascontiguousarray(lead)
        codes = np.empty(len(samples), dtype=np.uint8)
        n_codes = decide(
            samples, self._state[0], self._flags, self._sections, self._memory, self._energy,
            self._floors, self._peaks, codes,
        )  # fmt: skip
        self.position += len(samples)
        return codes[:n_codes]

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
