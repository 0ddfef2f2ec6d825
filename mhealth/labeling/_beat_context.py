"""A candidate's place among the heartbeats around it: the average beat, and their rhythm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BeatContext"]


@dataclass(frozen=True, kw_only=True)
class BeatContext:
    """How heartbeats describe a candidate.

    Parameters
    ----------
    average_half, average_width : int
        Half length and bin width of the average beat's windows, in samples at 250 Hz.
    horizon : float
        Seconds; beats farther back count no longer, which bounds the memory of a stream.
    n_beats : int
        Beats in the running average, and in the rhythm: of eight, noise falls to a third, and a change of rhythm is
        forgotten in about 6 s.
    """

    average_half: int = 25
    average_width: int = 2
    horizon: float = 10.0
    n_beats: int = 8

    @property
    def n_dense(self) -> int:
        """Numbers that describe the rhythm."""
        from mhealth._kernels._beats import N_RHYTHM

        return N_RHYTHM

    @property
    def windows(self) -> tuple[tuple[str, int, float], ...]:
        """The average beat at the candidate's distance before the next beat, and after the last one."""
        points, seconds = 2 * self.average_half // self.average_width, self.average_half / 250.0
        return ("average_before", points, seconds), ("average_after", points, seconds)

    @property
    def history(self) -> float:
        """Seconds of beats that are averaged."""
        return self.horizon

    def open(self, *, rate: float, warm_up: int) -> BeatTracker:
        """Return a tracker at the start of a stretch; the rate must be 250 Hz, which the kernels count in."""
        assert rate == 250.0
        return BeatTracker(self, warm_up)


class BeatTracker:
    """Landmarks of the beats of one stretch. State: slopes and energies of the samples kept, the beats among them."""

    def __init__(self, settings: BeatContext, warm_up: int) -> None:
        self._settings, self._warm_up = settings, warm_up
        self._origin = 0
        self._slope, self._energy = np.empty(0), np.empty(0)
        self._known = (0, 0)  # slopes and energies known
        self.followed = 0
        self._floats, self._integers = np.zeros(2), np.zeros(2, np.int64)
        self._beats = np.empty((2, 0), np.int64)

    def push(self, signal: NDArray[np.float32], origin: int, n_new: int, *, ended: bool) -> None:
        """Look for beats as far as the signal goes."""
        from mhealth._kernels import _beats as kernels

        drop, grown = origin - self._origin, np.empty(n_new)
        self._origin = origin
        self._slope = np.concatenate([self._slope[drop:], grown])
        self._energy = np.concatenate([self._energy[drop:], grown])
        self._beats = self._beats[:, np.searchsorted(self._beats[0], origin) :]
        known = self._known[0] - drop, self._known[1] - drop
        self._known = kernels.slope_energy(signal, self._slope, self._energy, *known)
        if self.followed == 0:
            if origin + len(signal) <= self._warm_up and not ended:
                return
            first = min(
                self._known[1], self._warm_up + 1 - kernels.DELAY
            )  # what is known at the earliest, in any chunks
            self._floats[kernels.LEVEL] = self._energy[:first].max(initial=0.0)
        stop = origin + self._known[1]
        found = np.empty((2, self._beats.shape[1] + (stop - self.followed) // kernels.DOMINANCE + 1), np.int64)
        found[:, : self._beats.shape[1]] = self._beats
        count = kernels.track_beats(
            self._slope, self._energy, origin, self.followed - origin, self._known[1],
            self._floats, self._integers, found[0], found[1], self._beats.shape[1],
        )  # fmt: skip
        self._beats = found[:, :count]
        self.followed = stop

    def describe(
        self,
        signal: NDArray[np.float32],
        origin: int,
        positions: NDArray[np.int64],
        limits: NDArray[np.int64],
        scale: NDArray[np.float32],
        windows: list[NDArray[np.float32]],
        dense: NDArray[np.float32],
    ) -> None:
        """Fill the windows of the average beat, and the rhythm."""
        from mhealth._kernels._beats import beat_context

        settings = self._settings
        beat_context(
            signal, origin, positions, limits, scale, self._beats[0], self._beats[1], self._beats.shape[1],
            settings.average_half, settings.average_width, settings.n_beats, round(settings.horizon * 250.0),
            *windows, dense,
        )  # fmt: skip
