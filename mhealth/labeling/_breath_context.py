"""A candidate's place among the breaths before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BreathContext"]


@dataclass(frozen=True, kw_only=True)
class BreathContext:
    """How the turns before a candidate describe it; without settings."""

    @property
    def n_dense(self) -> int:
        """Numbers that describe the turns before, and the usual breath."""
        from mhealth._kernels._breaths import N_BREATH

        return N_BREATH

    @property
    def windows(self) -> tuple[tuple[str, int, float], ...]:
        """None: windows around the candidate show its breath."""
        return ()

    @property
    def history(self) -> float:
        """Seconds of signal; turns are remembered by themselves."""
        return 0.0

    def open(self, *, rate: float, warm_up: int) -> TurnMemory:
        """Return an empty memory."""
        return TurnMemory(rate)


class TurnMemory:
    """The turns of one stretch that are still compared with. State: times and values of at most 40 s of them."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._times, self._values = np.empty(0), np.empty(0)
        self.followed = 0

    def push(self, signal: NDArray[np.float32], origin: int, n_new: int, *, ended: bool) -> None:
        """Take note of how far the signal goes; turns come with the candidates."""
        self.followed = origin + len(signal)

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
        """Fill the numbers of the next candidates."""
        if not len(positions):
            return
        from mhealth._kernels._breaths import HORIZON, MOST, N_BEFORE, breath_context

        n_known = len(self._times)
        times = np.concatenate([self._times, positions / self._rate])
        values = np.concatenate([self._values, signal[positions - origin].astype(np.float64)])
        breath_context(times, values, scale, n_known, dense)
        usual = int(np.searchsorted(times, times[-1] - HORIZON))
        oldest = max(0, len(times) - MOST, min(len(times) - N_BEFORE, usual))
        self._times, self._values = times[oldest:], values[oldest:]
