"""What the labeler knows about a candidate: windows around it, their sparse codes, the beats it lies among."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.sparse import Dictionary, Window

__all__ = ["RATE", "Features", "FeatureSettings", "FeatureStream", "RawFeatures"]

RATE = 250.0
"""Hz of the signal that candidates and windows are taken from; QTDB's own rate, half of LUDB's."""

LOOKAHEAD = 100
"""Samples (0.4 s) after a candidate that its features may depend on; with filter delays 0.5 s of the 2 s budget."""

WARM_UP = 484
"""Candidates at the start of a stretch may know of its first 1.94 s: the labels of a wave have 2 s to come out."""

_HISTORY = 3200
"""Samples kept: the 10 s of the average beat, half a window, and the second that candidates may be late."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Which windows describe a candidate.

    Parameters
    ----------
    windows : tuple of Window
        Stretches around the candidate: the wave's edge, the wave with its neighbours, the last two beats.
    average_half, average_width : int
        Half length and bin width of the average beat's windows, in samples at 250 Hz.
    knee : float
        Windows are compressed as x / (|x| + knee · running scale): half way where x is `knee` of the scale.
    """

    windows: tuple[Window, ...] = (
        Window(before=0.1, after=0.1, n_points=25),
        Window(before=0.4, after=0.4, n_points=40, detrend="linear"),
        Window(before=1.6, after=0.4, n_points=40, detrend="linear"),
    )
    average_half: int = 25
    average_width: int = 2
    knee: float = 0.25

    @property
    def average_seconds(self) -> float:
        """Half length of the average beat's windows in seconds."""
        return self.average_half / RATE

    @property
    def lengths(self) -> tuple[int, ...]:
        """Points of each coded window: the windows, then the average beat before and after."""
        average = 2 * self.average_half // self.average_width
        return (*(window.n_points for window in self.windows), average, average)


class RawFeatures(NamedTuple):
    """Candidates that are complete, before coding.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        Samples at 250 Hz from the start of the stretch.
    windows : tuple of ndarray of float32, each (n, n_points)
        Compressed windows, dimensionless.
    rhythm : ndarray of float32, shape (n, n_rhythm)
    """

    positions: NDArray[np.int64]
    windows: tuple[NDArray[np.float32], ...]
    rhythm: NDArray[np.float32]


class Features(NamedTuple):
    """Coded candidates.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
    dense : ndarray of float32, shape (n, n_rhythm)
        The rhythm.
    columns : ndarray of int32, shape (n, n_nonzero)
        Columns of the sign-split codes of all windows side by side; −1 where unused.
    values : ndarray of float32, shape (n, n_nonzero)
        Magnitude of each coefficient.
    """

    positions: NDArray[np.int64]
    dense: NDArray[np.float32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


def code(raw: RawFeatures, dictionaries: tuple[Dictionary, ...], n_nonzero: int) -> Features:
    """Code the windows of candidates over their dictionaries, signs apart."""
    from mhealth.sparse import omp

    columns, values, first = [], [], 0
    for windows, dictionary in zip(raw.windows, dictionaries, strict=True):
        codes = omp(windows, dictionary, n_nonzero=n_nonzero)
        column = codes.support.astype(np.int32)
        column[codes.coefficient < 0] += dictionary.n_atoms
        column[codes.support < 0] = -1
        column[codes.support >= 0] += first
        columns.append(column)
        values.append(np.abs(codes.coefficient))
        first += 2 * dictionary.n_atoms
    return Features(
        positions=raw.positions,
        dense=raw.rhythm,
        columns=np.concatenate(columns, axis=1),
        values=np.concatenate(values, axis=1),
    )


@dataclass
class FeatureStream:
    """Features of one stretch of one lead without missing samples.

    Parameters
    ----------
    settings : FeatureSettings
        Which windows to cut.

    Notes
    -----
    State: `_HISTORY` samples and as many slopes and energies, the pending candidates of 0.4 s and the beats of the
    last 10 s. Every result depends on the samples of the stretch only, however they are cut into chunks.
    """

    settings: FeatureSettings
    n_samples: int = 0
    _origin: int = 0
    _signal: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    _slope: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _energy: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _known: tuple[int, int] = (0, 0)  # slopes and energies known
    _tracked: int = 0
    _floats: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _integers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    _beats: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, 0), np.int64))
    _positions: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _scale: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def pending(self) -> int:
        """The first candidate that is not complete, −1 if there is none."""
        return int(self._positions[0]) if len(self._positions) else -1

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples."""
        drop = max(0, min(self._tracked, int(self._positions.min(initial=self.n_samples))) - _HISTORY - self._origin)
        self._origin += drop
        grown = np.empty(len(samples))
        self._signal = np.concatenate([self._signal[drop:], samples])
        self._slope = np.concatenate([self._slope[drop:], grown])
        self._energy = np.concatenate([self._energy[drop:], grown])
        self._known = (self._known[0] - drop, self._known[1] - drop)
        self._beats = self._beats[:, np.searchsorted(self._beats[0], self._origin) :]
        self.n_samples += len(samples)
        self._track()

    def describe(self, positions: NDArray[np.int64], scale: NDArray[np.float32]) -> RawFeatures:
        """Take candidates, at most a second after their samples; return all that are complete now."""
        self._positions = np.concatenate([self._positions, positions])
        self._scale = np.concatenate([self._scale, scale])
        limits = np.maximum(self._positions + LOOKAHEAD, WARM_UP)
        return self._take(int(np.searchsorted(limits, self.n_samples)), limits)

    def flush(self, positions: NDArray[np.int64], scale: NDArray[np.float32]) -> RawFeatures:
        """Take the last candidates of the stretch; return all that are left."""
        self._positions = np.concatenate([self._positions, positions])
        self._scale = np.concatenate([self._scale, scale])
        self._track(ended=True)
        limits = np.minimum(np.maximum(self._positions + LOOKAHEAD, WARM_UP), self.n_samples - 1)
        return self._take(len(self._positions), limits)

    def _track(self, *, ended: bool = False) -> None:
        """Look for beats as far as the signal goes."""
        from mhealth._kernels import _beats as kernels

        self._known = kernels.slope_energy(self._signal, self._slope, self._energy, *self._known)
        if self._tracked == 0:
            if self.n_samples <= WARM_UP and not ended:
                return
            first = min(self._known[1], WARM_UP + 1 - kernels.DELAY)  # what is known at the earliest, in any chunks
            self._floats[kernels.LEVEL] = self._energy[:first].max(initial=0.0)
        stop = self._origin + self._known[1]
        found = np.empty((2, self._beats.shape[1] + (stop - self._tracked) // kernels.DOMINANCE + 1), np.int64)
        found[:, : self._beats.shape[1]] = self._beats
        count = kernels.track_beats(
            self._slope, self._energy, self._origin, self._tracked - self._origin, self._known[1],
            self._floats, self._integers, found[0], found[1], self._beats.shape[1],
        )  # fmt: skip
        self._beats = found[:, :count]
        self._tracked = stop

    def _take(self, count: int, limits: NDArray[np.int64]) -> RawFeatures:
        """Describe the first `count` pending candidates and forget them."""
        from mhealth._kernels import _beats as kernels
        from mhealth._kernels._emission import compress
        from mhealth._kernels._windows import cut_windows

        positions, scale = self._positions[:count], self._scale[:count]
        settings = self.settings
        windows = [np.empty((count, n_points), np.float32) for n_points in settings.lengths]
        rhythm = np.empty((count, kernels.N_RHYTHM), np.float32)
        for window, out in zip(settings.windows, windows, strict=False):
            edges = window.edges(rate=RATE)
            centre = int(np.searchsorted(edges, 0, side="right")) - 1
            linear = window.detrend == "linear"
            cut_windows(self._signal, positions - self._origin, edges, min(centre, window.n_points - 1), linear, out)
        kernels.beat_context(
            self._signal, self._origin, positions, limits[:count], scale, self._beats[0], self._beats[1],
            self._beats.shape[1], settings.average_half, settings.average_width, windows[-2], windows[-1], rhythm,
        )  # fmt: skip
        for out in windows:
            compress(out, scale, np.float32(settings.knee))
        self._positions, self._scale = self._positions[count:], self._scale[count:]
        return RawFeatures(positions=positions, windows=tuple(windows), rhythm=rhythm)
