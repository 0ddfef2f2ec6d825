"""Heartbeats in whole numbers: `mhealth.labeling`'s beat context as ``runtime/mh_beats.c`` computes it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import new_state
from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_table
from mhealth.export._windows import MOST_POINTS
from mhealth.labeling._beat_context import BeatContext

__all__ = ["BeatDescriptions", "BeatsTable", "BeatsTwin"]

_STATE = np.dtype(
    [(name, np.int64) for name in (
        "warm_up", "n_found", "followed", "energy", "best", "best_at", "last_beat", "level_q8", "is_warm",
    )]
)  # fmt: skip


class BeatDescriptions(NamedTuple):
    """What beats say of candidates.

    Attributes
    ----------
    before, after : ndarray of int32, shape (n, n_points)
        Average beat at the candidate's distance before the next beat, and after the last one, in 1/256 ADC units,
        without its mean; zeros where there is none.
    rhythm : ndarray of int16, shape (n, 12)
        Q4.11.
    """

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    rhythm: NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class BeatsTable:
    """Settings of the beat context, in samples at 250 Hz.

    Attributes
    ----------
    warm_up : int
        Samples of a stretch that tell how strong its beats are, before any is looked for.
    horizon : int
        How far back beats count.
    n_beats : int
        Beats that are averaged at most.
    half, width : int
        Length of the averaged window to either side, and of its bins.
    history_samples : int
        Size of the signal's ring: beats whose window has left it do not count. Of `horizon` + `half` samples and twice
        what candidates look ahead, none has.
    """

    warm_up: int
    horizon: int
    n_beats: int
    half: int
    width: int
    history_samples: int = 1024

    @classmethod
    def of(cls, context: BeatContext, *, warm_up: int, history_samples: int = 1024) -> BeatsTable:
        """Return the table of a context.

        Parameters
        ----------
        context : BeatContext
        warm_up : int
            Samples of a stretch that its first candidates may know of.
        history_samples : int
            Size of the signal's ring.

        Raises
        ------
        InvalidParameterError
            If the C has no room for the settings.
        """
        from mhealth._kernels._fixed_beats import KEPT

        table = cls(
            warm_up=warm_up,
            horizon=round(context.horizon * 250.0),
            n_beats=context.n_beats,
            half=context.average_half,
            width=context.average_width,
            history_samples=history_samples,
        )
        most_beats = min(KEPT, 255 // table.width)
        room = history_samples - 32 - table.half
        for name, value, highest in (
            ("n_beats", table.n_beats, most_beats),
            ("average_half", table.half, min(127, MOST_POINTS * table.width // 2)),
            ("horizon in samples", table.horizon, 2**16 - 1),
            ("warm_up", warm_up, 2**16 - 1),
            ("The sample by which those of the warm-up are gone through", int(table.ready_at(warm_up)), room),
        ):
            if not 1 <= value <= highest:
                raise InvalidParameterError(
                    f"{name} is {value}; beats can be exported with 1 to {highest}. Train with another BeatContext or "
                    f"warm-up, or export with history_samples above {history_samples}."
                )
        return table

    @property
    def n_points(self) -> int:
        """Points of each window."""
        return 2 * self.half // self.width

    def ready_at(self, limits: ArrayLike) -> NDArray[np.int64]:
        """Return the sample at which ``mh_beats_ready`` first holds for each limit, if the stretch does not end before.

        Parameters
        ----------
        limits : array_like of int
            Last samples that candidates may know of.
        """
        from mhealth._kernels._fixed_beats import DELAY, PACE

        limits = np.asarray(limits, np.int64)
        return np.maximum(limits, self.warm_up + -((DELAY - 1 - limits) // PACE))

    def open(self) -> BeatsTwin:
        """Return the twin of the C state, at the start of a stretch."""
        return BeatsTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table, a ``mh_beats_table_t``, as C source."""
        fields = asdict(self)
        del fields["history_samples"]  # the ring knows
        return c_table("mh_beats_table_t", name, fields)


class BeatsTwin:
    """The beats of one stretch in whole numbers; made by `BeatsTable.open`. Keeps the stretch, unlike C."""

    def __init__(self, table: BeatsTable) -> None:
        self._table = table
        self._state = new_state(_STATE, warm_up=table.warm_up)
        self._signal = np.empty(0, np.int64)
        self._beats = np.empty((3, 0), np.int64)
        self._ended = False

    def push(self, samples: ArrayLike) -> None:
        """Take the next samples, of 16 bits."""
        n_before = len(self._signal)
        self._signal = np.concatenate([self._signal, np.asarray(samples, np.int64)])
        self._follow(n_before, ended=False)

    def end(self) -> None:
        """End the stretch, which has a sample at least."""
        self._follow(len(self._signal), ended=True)
        self._ended = True

    def _follow(self, first: int, *, ended: bool) -> None:
        from mhealth._kernels._fixed_beats import follow

        state, n_found = self._state[0], self._beats.shape[1]
        most = math.ceil(len(self._signal) / 16) + 1  # by the distance of landmarks
        beats = np.empty((3, max(most, n_found)), np.int64)
        beats[:, :n_found] = self._beats
        follow(self._signal, first, len(self._signal), ended, state, beats)
        self._beats = np.ascontiguousarray(beats[:, : state.n_found])

    @property
    def landmarks(self) -> NDArray[np.int64]:
        """The moment of steepest change of each beat so far."""
        return self._beats[0]

    def describe(
        self, positions: ArrayLike, limits: ArrayLike, newest: ArrayLike, scale_q8: ArrayLike
    ) -> BeatDescriptions:
        """Describe candidates, each as C does when sample `newest` was the last to come.

        Parameters
        ----------
        positions : array_like of int, shape (n,)
        limits : array_like of int, shape (n,)
            The last sample that each may know of, at most `newest`.
        newest : array_like of int, shape (n,)
            From `BeatsTable.ready_at` on; after the end of the stretch, its last sample.
        scale_q8 : array_like of int, shape (n,)
            Running scale at each, Q24.8 ADC units.
        """
        from mhealth._kernels._fixed_beats import N_RHYTHM, describe

        table = self._table
        given = (np.atleast_1d(np.asarray(each, np.int64)) for each in (positions, limits, newest, scale_q8))
        at, may_know, latest, scale = given
        before, after = np.empty((2, len(at), table.n_points), np.int64)
        rhythm = np.empty((len(at), N_RHYTHM), np.int64)
        describe(
            self._signal, at, may_know, latest, self._ended, scale, self._beats, table.n_beats, table.horizon,
            table.half, table.width, table.history_samples, before, after, rhythm,
        )  # fmt: skip
        return BeatDescriptions(before.astype(np.int32), after.astype(np.int32), rhythm.astype(np.int16))
