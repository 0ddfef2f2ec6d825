"""What the labeler knows about a candidate: windows around it, their sparse codes, its place among what repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mhealth.sparse import Dictionary, Window

__all__ = [
    "Context",
    "ContextStream",
    "FeatureSettings",
    "FeatureStream",
    "Features",
    "RawFeatures",
    "code",
    "side_by_side",
]

_LATE = 1.0
"""Seconds after its sample within which a candidate is asked for, but for those of the first `warm_up` seconds."""


class Context(Protocol):
    """Settings of what describes a candidate's place among the beats or breaths of its stretch."""

    @property
    def n_dense(self) -> int:
        """Numbers that it adds to a candidate, uncoded."""

    @property
    def windows(self) -> tuple[tuple[str, int, float], ...]:
        """Windows that it adds: name, points, seconds to either side."""

    @property
    def history(self) -> float:
        """Seconds of signal before a candidate that it looks back on."""

    def open(self, *, rate: float, warm_up: int) -> ContextStream:
        """Return a stream at the start of a stretch; candidates may know of its first `warm_up` samples."""


class ContextStream(Protocol):
    """What a stretch has shown of its beats or breaths."""

    @property
    def followed(self) -> int:
        """Samples that it needs no longer, but for candidates that are to be described."""

    def push(self, signal: NDArray[np.float32], origin: int, n_new: int, *, ended: bool) -> None:
        """Take the buffer of the latest samples, which starts at sample `origin`; the last `n_new` are new."""

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
        """Fill windows and numbers of the next candidates, none of which may know of samples beyond its limit."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Which windows describe a candidate.

    Parameters
    ----------
    rate : float
        Hz of the signal that candidates and windows are taken from.
    windows : tuple of Window
        Stretches around the candidate.
    knee : float
        Windows are compressed as x / (|x| + knee · running scale): half way where x is `knee` of the scale.
    lookahead : float
        Seconds after a candidate that its features may depend on.
    warm_up : float
        Candidates at the start of a stretch may know of so many seconds of it.
    context : Context
        Its place among the beats or breaths of the stretch.
    """

    rate: float
    windows: tuple[Window, ...]
    knee: float
    lookahead: float
    warm_up: float
    context: Context

    @property
    def lengths(self) -> tuple[int, ...]:
        """Points of each coded window: the windows, then those of the context."""
        return (*(window.n_points for window in self.windows), *(n for _, n, _ in self.context.windows))

    @property
    def history(self) -> int:
        """Samples before the first candidate to come that a stream keeps."""
        longest = max([self.context.history, *(window.before for window in self.windows)])
        widest = max((window.before + window.after for window in self.windows), default=0.0)
        return round((longest + widest / 2 + max(_LATE, self.warm_up)) * self.rate)


class RawFeatures(NamedTuple):
    """Candidates that are complete, before coding.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        Samples at the internal rate from the start of the stretch.
    windows : tuple of ndarray of float32, each (n, n_points)
        Compressed windows, dimensionless.
    dense : ndarray of float32, shape (n, n_dense)
        From the context.
    """

    positions: NDArray[np.int64]
    windows: tuple[NDArray[np.float32], ...]
    dense: NDArray[np.float32]

    @classmethod
    def empty(cls, settings: FeatureSettings) -> Self:
        """Return no candidates."""
        windows = tuple(np.empty((0, n_points), np.float32) for n_points in settings.lengths)
        return cls(np.empty(0, np.int64), windows, np.empty((0, settings.context.n_dense), np.float32))

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Return the candidates of all parts, one after the other."""
        positions, windows, dense = zip(*parts, strict=True)
        joined = tuple(np.concatenate(columns) for columns in zip(*windows, strict=True))
        return cls(np.concatenate(positions), joined, np.concatenate(dense))

    def select(self, rows: NDArray) -> Self:
        """Return the candidates that a boolean mask or an index array picks."""
        return type(self)(self.positions[rows], tuple(part[rows] for part in self.windows), self.dense[rows])


class Features(NamedTuple):
    """Coded candidates.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
    dense : ndarray of float32, shape (n, n_dense)
        From the context, as they are.
    columns : ndarray of int32, shape (n, n_nonzero)
        Columns of the sign-split codes of all windows side by side; −1 where unused.
    values : ndarray of float32, shape (n, n_nonzero)
        Magnitude of each coefficient.
    """

    positions: NDArray[np.int64]
    dense: NDArray[np.float32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


def side_by_side(
    parts: Sequence[RawFeatures], nodes: NDArray[np.int64], usable: NDArray[np.bool_]
) -> tuple[RawFeatures, NDArray[np.bool_]]:
    """Join what simultaneous leads show at nodes, zeros where one shows nothing: no codes come of these.

    Parameters
    ----------
    parts : sequence of RawFeatures
        Of each lead, at the nodes where it is heard, in order.
    nodes : ndarray of int64, shape (n,)
        Increasing.
    usable : ndarray of bool, shape (n_leads, n)
        Where the leads are usable.

    Returns
    -------
    joined : RawFeatures
        Windows and numbers of the first lead, then those of the second, and so on.
    present : ndarray of bool, shape (n_leads, n)
        At which nodes each lead is heard and usable.
    """
    present = usable & np.array([np.isin(nodes, part.positions) for part in parts])

    def spread(part: RawFeatures, there: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros((len(nodes), values.shape[1]), np.float32)
        out[there] = values[np.searchsorted(part.positions, nodes[there])]
        return out

    pairs = list(zip(parts, present, strict=True))
    windows = tuple(spread(part, there, window) for part, there in pairs for window in part.windows)
    dense = np.concatenate([spread(part, there, part.dense) for part, there in pairs], axis=1)
    return RawFeatures(nodes, windows, dense), present


def code(raw: RawFeatures, dictionaries: tuple[Dictionary, ...], n_nonzero: int) -> Features:
    """Code the windows of candidates over their dictionaries, signs apart."""
    from mhealth.sparse import omp

    columns, values, first = (
        [np.empty((len(raw.positions), 0), np.int32)],
        [np.empty((len(raw.positions), 0), np.float32)],
        0,
    )
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
        dense=raw.dense,
        columns=np.concatenate(columns, axis=1),
        values=np.concatenate(values, axis=1),
    )


class FeatureStream:
    """Features of one stretch of one lead without missing samples.

    Parameters
    ----------
    settings : FeatureSettings
        Which windows to cut.

    Notes
    -----
    State: the samples that windows and context look back on, the candidates that wait for those they look ahead to, and
    the state of the context. Every result depends on the samples of the stretch only, however they are cut into chunks.
    """

    def __init__(self, settings: FeatureSettings) -> None:
        self._settings = settings
        self._lookahead, self._warm_up = (
            round(settings.lookahead * settings.rate),
            round(settings.warm_up * settings.rate),
        )
        self._context = settings.context.open(rate=settings.rate, warm_up=self._warm_up)
        self.n_samples = 0
        self._origin = 0
        self._signal = np.empty(0, np.float32)
        self._positions = np.empty(0, np.int64)
        self._scale = np.empty(0, np.float32)

    @property
    def pending(self) -> int:
        """The first candidate that is not complete, −1 if there is none."""
        return int(self._positions[0]) if len(self._positions) else -1

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples."""
        oldest = min(self._context.followed, int(self._positions.min(initial=self.n_samples)))
        drop = max(0, oldest - self._settings.history - self._origin)
        self._origin += drop
        self._signal = np.concatenate([self._signal[drop:], samples])
        self.n_samples += len(samples)
        self._context.push(self._signal, self._origin, len(samples), ended=False)

    def describe(self, positions: NDArray[np.int64], scale: NDArray[np.float32]) -> RawFeatures:
        """Take candidates, at most a second after their samples; return all that are complete now."""
        self._positions = np.concatenate([self._positions, positions])
        self._scale = np.concatenate([self._scale, scale])
        limits = np.maximum(self._positions + self._lookahead, self._warm_up)
        return self._take(int(np.searchsorted(limits, self.n_samples)), limits)

    def flush(self, positions: NDArray[np.int64], scale: NDArray[np.float32]) -> RawFeatures:
        """Take the last candidates of the stretch; return all that are left."""
        self._positions = np.concatenate([self._positions, positions])
        self._scale = np.concatenate([self._scale, scale])
        self._context.push(self._signal, self._origin, 0, ended=True)
        limits = np.minimum(np.maximum(self._positions + self._lookahead, self._warm_up), self.n_samples - 1)
        return self._take(len(self._positions), limits)

    def _take(self, count: int, limits: NDArray[np.int64]) -> RawFeatures:
        """Describe the first `count` pending candidates and forget them."""
        from mhealth._kernels._emission import compress
        from mhealth._kernels._windows import cut_windows

        positions, scale = self._positions[:count], self._scale[:count]
        settings = self._settings
        windows = [np.empty((count, n_points), np.float32) for n_points in settings.lengths]
        for window, out in zip(settings.windows, windows, strict=False):
            edges = window.edges(rate=settings.rate)
            centre = int(np.searchsorted(edges, 0, side="right")) - 1
            linear = window.detrend == "linear"
            cut_windows(self._signal, positions - self._origin, edges, min(centre, window.n_points - 1), linear, out)
        dense = np.empty((count, settings.context.n_dense), np.float32)
        own = windows[len(settings.windows) :]
        self._context.describe(self._signal, self._origin, positions, limits[:count], scale, own, dense)
        for out in windows:
            compress(out, scale, np.float32(settings.knee))
        self._positions, self._scale = self._positions[count:], self._scale[count:]
        return RawFeatures(positions=positions, windows=tuple(windows), dense=dense)
