"""Networks beside the engine: their logits around a candidate, and what they are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._examples import LeadCase
from mhealth.labeling._task import Task
from mhealth.nn import Network, NetworkStream

__all__ = ["NetworkContext", "NetworkTracker", "Reading", "Stretch", "stretches"]

_STEP = 0.016
"""Seconds between readings: twice the U-Net's step, as coarse as the TCN's."""

_NEAR = tuple(k * _STEP for k in range(-5, 6))
"""Seconds from a candidate at which the logits are read: to 80 ms, half the distance between most candidates."""

_MEANS = ((-0.15, 0.0), (0.0, 0.15), (-0.4, -0.15), (0.15, 0.4))
"""Seconds from a candidate over which the classes' probabilities are averaged: is there a wave before or after it?"""

_LARGEST = 8.0
"""Log odds that count as certain, 3000 to 1; they are read in units of half of it."""


class Reading(NamedTuple):
    """Where outputs are read around a candidate.

    Attributes
    ----------
    near : ndarray of int64, shape (n_near,)
        Samples from the candidate at which the log odds are read.
    starts, counts : ndarray of int64, shape (n_means,)
        Probabilities are averaged over so many outputs, from that of the sample so far from the candidate on.
    step : int
        Outputs from one that is averaged to the next.
    largest : float
        Log odds beyond it are cut; they are read in units of half of it.
    """

    near: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    step: int
    largest: float


@dataclass(frozen=True, kw_only=True)
class NetworkContext:
    """How a network describes a candidate: the log odds of its classes around it, their mean probabilities farther off.

    Parameters
    ----------
    network : Network
        A trained one, for the rate of the features.
    """

    network: Network

    @property
    def n_dense(self) -> int:
        """Numbers that describe a candidate."""
        return (len(_NEAR) + len(_MEANS)) * (len(self.network.classes) - 1)

    @property
    def reading(self) -> Reading:
        """Where the network's outputs are read around a candidate."""
        rate, stride = self.network.rate, self.network.layout.stride
        near = np.array([round(seconds * rate) for seconds in _NEAR])
        starts, last = np.array([[round(edge * rate) for edge in edges] for edges in _MEANS]).T
        step = max(1, round(_STEP * rate / stride))
        return Reading(near, starts, (last - starts) // (step * stride) + 1, step, _LARGEST)

    @property
    def windows(self) -> tuple[tuple[str, int, float], ...]:
        """None: the network has coded the signal."""
        return ()

    @property
    def history(self) -> float:
        """Seconds before a candidate that it looks back on, beyond what the network has seen."""
        return -min(start for start, _ in _MEANS)

    @property
    def lookahead(self) -> float:
        """Seconds after a candidate that its numbers may depend on, at least."""
        return max(stop for _, stop in _MEANS) + self.network.delay

    @property
    def late(self) -> float:
        """Seconds by which it describes a candidate of a stream later than windows and beats do.

        Zero for a network that reads whole recordings: nobody waits for it.
        """
        return self.network.delay if self.network.is_causal else 0.0

    def open(self, *, rate: float, warm_up: int) -> NetworkTracker:
        """Return a tracker at the start of a stretch; the network's inputs must be complete after `warm_up` samples."""
        assert rate == self.network.rate
        assert warm_up >= self.network.input.scale.window * rate
        return NetworkTracker(self.network, self.reading)


class NetworkTracker:
    """The logits of one stretch. State: the network's stream, and the latest outputs."""

    def __init__(self, network: Network, reading: Reading) -> None:
        self._reading = reading
        self._stride = network.layout.stride
        self._stream: NetworkStream = network.open()
        self._first = 0  # output that the first row kept belongs to
        self._odds = np.empty((0, len(network.classes) - 1), np.float32)
        self._probability = self._odds
        self.followed = 0

    def push(self, signal: NDArray[np.float32], origin: int, n_new: int, *, ended: bool) -> None:
        """Run the network as far as the signal goes."""
        from mhealth._kernels._network import weigh

        logits = self._stream.push(signal[len(signal) - n_new :])
        if ended:
            logits = np.concatenate([logits, self._stream.flush()])
        self.followed = origin + len(signal)
        drop = max(0, min(origin // self._stride - self._first, len(self._odds)))
        self._first += drop
        odds, probability = np.empty((2, len(logits), logits.shape[1] - 1), np.float32)
        weigh(logits, np.float32(self._reading.largest), odds, probability)
        self._odds = np.concatenate([self._odds[drop:], odds])
        self._probability = np.concatenate([self._probability[drop:], probability])

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
        """Read the outputs around candidates; beyond the ends of the stretch its first and last count."""
        from mhealth._kernels._network import describe

        if len(positions):
            near, starts, counts, step, _ = self._reading
            describe(
                self._odds, self._probability, self._first, self._stride, positions, near, starts, counts, step, dense
            )


class Stretch(NamedTuple):
    """A lead without missing samples, and what an expert says of each sample.

    Attributes
    ----------
    lead : ndarray of float32, shape (n_samples,)
        At the internal rate of the task.
    classes : ndarray of int8, shape (n_samples,)
        0 outside waves, else 1 + the index of the wave's label among the task's.
    known : ndarray of bool, shape (n_samples,)
        Where the expert says anything.
    """

    lead: NDArray[np.float32]
    classes: NDArray[np.int8]
    known: NDArray[np.bool_]


_UNSURE = 0.25
"""Seconds before or after a marked peak in which an edge that is not marked may lie: half the longest wave."""


def stretches(case: LeadCase, task: Task) -> Iterator[Stretch]:
    """Return what a network learns from a case: each stretch without missing samples that meets the annotated one."""
    resampler = task.front_end.segmenter.resampler.open(fs=case.fs)
    lead = np.concatenate([resampler.push(case.samples), resampler.flush()])
    ratio = float(resampler.ratio)
    classes, known = np.zeros(len(lead), np.int8), np.zeros(len(lead), bool)
    known[slice(*(int(np.ceil(point / ratio)) for point in case.annotated))] = True
    unsure = round(_UNSURE * task.front_end.rate)
    for (onset, peak, offset), label in zip(case.waves / ratio, case.labels, strict=True):
        if label not in task.labels:
            continue
        middle = int(np.nanmean([onset, peak, offset]) if np.isnan(peak) else peak)
        first, last = (middle if np.isnan(edge) else max(0, int(np.ceil(edge))) for edge in (onset, offset))
        classes[first:last] = 1 + task.labels.index(label)
        if np.isnan(onset):
            known[max(0, first - unsure) : first] = False
        if np.isnan(offset):
            known[last : last + unsure] = False
    missing = np.isnan(lead)
    cuts = np.flatnonzero(missing[1:] != missing[:-1]) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(lead)]):
        if start < stop and not missing[start] and known[start:stop].any():
            yield Stretch(lead[start:stop], classes[start:stop], known[start:stop])
