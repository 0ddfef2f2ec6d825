"""One lead, from samples to what each candidate looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.labeling._features import FeatureStream, RawFeatures
from mhealth.labeling._front_end import FrontEnd

__all__ = ["LeadStream", "Proposal"]


class Proposal(NamedTuple):
    """What the samples so far have shown of a lead's candidates.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        The lead's own candidates that are decided now, in samples at the internal rate.
    decided : int
        No candidate before this sample is still to come.
    missing : ndarray of bool
        Whether each sample at the internal rate that came now is missing.
    """

    positions: NDArray[np.int64]
    decided: int
    missing: NDArray[np.bool_]


@dataclass
class _Stretch:
    """A stretch without missing samples, `stop` being None while it goes on."""

    features: FeatureStream
    start: int
    stop: int | None = None


class LeadStream:
    """Candidates and features of one lead.

    The lead proposes its own candidates; it describes those that the caller then asks for: its own where it is alone,
    those of all leads together where it is not.

    Parameters
    ----------
    fs : float
        Sampling rate in Hz.
    front_end : FrontEnd

    Attributes
    ----------
    codes : ndarray of uint8
        Quality of the input samples from `codes_start` on; the caller drops what it has used.
    described : int
        No features of a candidate before this sample at the internal rate are still to come.
    """

    def __init__(self, *, fs: float, front_end: FrontEnd) -> None:
        self._resampler = front_end.segmenter.resampler.open(fs=fs)
        self._quality = front_end.quality.open(fs=fs)
        self._segmenter = front_end.segmenter.open_lead()
        self._settings = front_end.features
        self._n_samples = 0  # at the internal rate
        self._stretches: list[_Stretch] = []
        self._own = np.empty(0, np.int64)  # own candidates, and the running scale at each
        self._scale = np.empty(0, np.float32)
        self.codes = np.empty(0, np.uint8)
        self.codes_start = 0
        self.described = 0

    @property
    def ratio(self) -> float:
        """Input samples per sample at the internal rate."""
        return float(self._resampler.ratio)

    def propose(self, samples: NDArray[np.float32], *, last: bool = False) -> Proposal:
        """Take the next input samples, the last ones of the lead if `last`."""
        codes, off = self._quality.judge(samples)
        # A lead that is off is missing: what is remembered of it would not fit what comes when it is on again.
        resampled = self._resampler.push(np.where(off, np.float32(np.nan), samples))
        if last:
            resampled = np.concatenate([resampled, self._resampler.flush()])
            codes = np.concatenate([codes, self._quality.flush()])
        self.codes = np.concatenate([self.codes, codes])
        found = [self._segmenter.push(resampled)]
        if last:
            found.append(self._segmenter.flush())
        positions = np.concatenate([part.position for part in found])
        self._own = np.concatenate([self._own, positions])
        self._scale = np.concatenate([self._scale, *(part.running_scale for part in found)])
        self._extend(resampled)
        going = self._stretches[-1] if self._stretches and self._stretches[-1].stop is None else None
        if last and going is not None:
            going.stop = self._n_samples
            going = None
        # While samples are missing, nothing is to come; in a stretch, the segmenter knows.
        decided = self._n_samples if going is None else max(going.start, self._segmenter.decided)
        return Proposal(positions=positions, decided=decided, missing=np.isnan(resampled))

    def _extend(self, resampled: NDArray[np.float32]) -> None:
        """Hand samples to their stretches."""
        missing = np.isnan(resampled)
        cuts = np.flatnonzero(missing[1:] != missing[:-1]) + 1
        for part in np.split(np.arange(len(resampled)), cuts):
            if not len(part):
                continue
            first = self._n_samples + int(part[0])
            going = bool(self._stretches) and self._stretches[-1].stop is None
            if missing[part[0]]:
                if going:
                    self._stretches[-1].stop = first
                continue
            if not going:
                self._stretches.append(_Stretch(FeatureStream(self._settings), first))
            self._stretches[-1].features.push(resampled[part])
        self._n_samples += len(resampled)

    def describe(self, positions: NDArray[np.int64], decided: int) -> RawFeatures:
        """Take candidates, all those before `decided`; return those that are complete, in order.

        Candidates among missing samples are left out.
        """
        parts, done = [], 0
        for stretch in self._stretches:
            stop = np.inf if stretch.stop is None else stretch.stop
            mine = positions[(positions >= stretch.start) & (positions < stop)]
            scale = self._scale_at(mine, stretch.start, stop)
            if decided >= stop:
                raw = stretch.features.flush(mine - stretch.start, scale)
                done += 1
            else:
                raw = stretch.features.describe(mine - stretch.start, scale)
            parts.append(raw._replace(positions=raw.positions + stretch.start))
        del self._stretches[:done]
        self.described = min(
            [decided, *(s.features.pending + s.start for s in self._stretches if s.features.pending >= 0)]
        )
        keep = max(0, int(np.searchsorted(self._own, decided)) - 1)
        self._own, self._scale = self._own[keep:], self._scale[keep:]
        return RawFeatures.concat(parts or [RawFeatures.empty(self._settings)])

    def _scale_at(self, positions: NDArray[np.int64], start: int, stop: float) -> NDArray[np.float32]:
        """Return the running scale of the last own candidate up to each position, of the stretch's first before it.

        A stretch may be too short for a candidate of its own: then that of the last one before counts, or zero.
        """
        first, last = np.searchsorted(self._own, [start, stop])
        at = np.searchsorted(self._own, positions, side="right") - 1
        if first < last:
            at = np.clip(at, first, None)
        return np.append(self._scale, np.float32(0.0))[at]

    def drop_codes(self, before: int) -> None:
        """Forget the quality of input samples before index `before`."""
        self.codes = self.codes[max(0, before - self.codes_start) :]
        self.codes_start = max(self.codes_start, before)
