"""Labels in whole numbers beside those of the model that they come from, on recordings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import BREATH_PHASES, UNUSABLE, Recording, Spans
from mhealth.errors import InvalidSignalError
from mhealth.export._pipeline import MISSING, PipelineTable
from mhealth.labeling._features import code
from mhealth.labeling._lead import LeadStream

if TYPE_CHECKING:
    from mhealth.labeling import BreathLabeler, EcgLabeler

__all__ = [
    "Accuracy",
    "Agreement",
    "StageErrors",
    "agreement",
    "alone",
    "converted",
    "label_in_whole_numbers",
    "leads_of",
    "stage_errors",
]

_FILLED = 4096.0
"""Units that a lead moves through: those of a converter with 12 bits."""

_NEAR, _NEAR_BREATHS = 0.04, 0.5
"""Seconds within which edges of a wave, or breath, count as the same: the narrowest windows that experts' marks get."""


def converted(lead: ArrayLike, *, units: float = _FILLED) -> NDArray[np.int32]:
    """Return a lead as a converter gives it whose range it fills.

    Parameters
    ----------
    lead : array_like of shape (n,)
        NaN is missing.
    units : float
        Of the converter, between the 0.1 % and the 99.9 % quantile of the lead; all 16 bits are there for what lies
        beyond.

    Raises
    ------
    InvalidSignalError
        If the lead has no samples, or never moves.
    """
    values = np.asarray(lead, np.float64)
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, [0.001, 0.999]) if len(known) else (0.0, 0.0)
    if not high > low:
        what = "never moves" if len(known) else "has no samples"
        raise InvalidSignalError(f"lead {what}; expected a signal of some minutes. Leave this recording out.")
    adc = np.full(len(values), MISSING, np.int32)
    adc[~np.isnan(values)] = np.clip(np.rint((known - (low + high) / 2) * (units / (high - low))), -(2**15), 2**15 - 1)
    return adc


def leads_of(labeler: EcgLabeler | BreathLabeler, recording: Recording) -> tuple[list[NDArray[np.int32]], float]:
    """Return the leads of a recording at the model's internal rate as a converter gives them.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
    recording : Recording

    Returns
    -------
    leads : list of ndarray of int32
        Those that move; others are empty.
    ratio : float
        Samples of the recording for each of theirs.
    """
    resampler = labeler._fitted().task.front_end.segmenter.resampler
    leads, ratio = [], 1.0
    for lead in recording.signals.T:
        stream = resampler.open(fs=recording.fs)
        samples = np.concatenate([stream.push(np.ascontiguousarray(lead)), stream.flush()])
        ratio = float(stream.ratio)
        try:
            leads.append(converted(samples))
        except InvalidSignalError:
            leads.append(np.empty(0, np.int32))
    return leads, ratio


def label_in_whole_numbers(labeler: EcgLabeler | BreathLabeler, table: PipelineTable, recording: Recording) -> Spans:
    """Return what the exported C finds in a recording, each channel alone.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
    table : PipelineTable
        Made from it.
    recording : Recording

    Returns
    -------
    spans : Spans
        In the recording's own samples; probabilities are not exported, and NaN.
    """
    leads, ratio = leads_of(labeler, recording)
    rows = [
        (round(onset * ratio), round(peak * ratio) if peak < 2**32 - 1 else -1, round(offset * ratio), label, k, np.nan)
        for k, lead in enumerate(leads)
        for label, _, onset, peak, offset in table.events(lead).tolist()
    ]
    return Spans.from_rows(sorted(rows), fs=recording.fs, channels=recording.channels, classes=table.labels)


def alone(labeler: EcgLabeler | BreathLabeler) -> EcgLabeler | BreathLabeler:
    """Return the labeler with each channel on its own, as the export has it.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
        It stays as it is.
    """
    from sklearn.base import clone

    single = clone(labeler)
    single.model_ = labeler._fitted()
    if "leads" in single.get_params():
        single.set_params(leads="independent")
    return single


class Agreement(NamedTuple):
    """How far labels in whole numbers are those of the model.

    Attributes
    ----------
    n_waves : int
        Of the model.
    f1 : float
        Of waves that both have, in per cent.
    """

    n_waves: int
    f1: float


def agreement(model: Spans, exported: Spans, *, near: float | None = None) -> Agreement:
    """Compare the waves of one recording.

    Parameters
    ----------
    model, exported : Spans
        Of the same recording.
    near : float, optional
        Seconds within which both edges must agree; by default 40 ms, and 0.5 s where there are breaths.
    """
    if near is None:
        near = _NEAR_BREATHS if not set(BREATH_PHASES).isdisjoint(model.classes) else _NEAR
    reach = near * model.fs
    keys = [_by_channel_and_label(spans) for spans in (model, exported)]
    both = 0
    for key, waves in keys[0].items():
        others = iter(sorted(keys[1].get(key, [])))
        other = next(others, None)
        for onset, offset in sorted(waves):
            while other is not None and other[0] < onset - reach:
                other = next(others, None)
            if other is not None and abs(other[0] - onset) <= reach and abs(other[1] - offset) <= reach:
                both += 1
                other = next(others, None)
    n_model, n_exported = (sum(map(len, found.values())) for found in keys)
    return Agreement(n_model, 200.0 * both / (n_model + n_exported) if n_model + n_exported else 100.0)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What whole numbers cost on annotated recordings, each channel alone.

    Parameters
    ----------
    data : str
        The recordings, in words.
    figure : str
        What `points` and `whole` are, in per cent.
    points : dict of str to float
        Of models in floating point, by their names; the exported one is among them.
    original : str
        That of them which whole numbers stand for: the exported one, or what an int8 network was converted from.
    whole : float
        Of whole numbers.
    shared : float
        How far the exported model and whole numbers find the same waves, as `Agreement.f1`.
    """

    data: str
    figure: str
    points: dict[str, float]
    original: str
    whole: float
    shared: float

    @property
    def lost(self) -> float:
        """Points that whole numbers cost."""
        return self.points[self.original] - self.whole

    def as_dict(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return {**vars(self), "lost": self.lost}


class StageErrors(NamedTuple):
    """How far the stages in whole numbers are from those of the model.

    Attributes
    ----------
    n_candidates : int
        Of the model.
    shared : float
        Per cent of them that whole numbers propose too, to the sample.
    potentials : float
        Root mean square of the differences of log potentials at those, in nats.
    shifts : float
        Root mean square of the differences of where edges lie, in samples.
    """

    n_candidates: int
    shared: float
    potentials: float
    shifts: float


def stage_errors(
    labeler: EcgLabeler | BreathLabeler, table: PipelineTable, leads: Iterable[NDArray[np.int32]]
) -> StageErrors:
    """Compare the stages on leads at the internal rate, as far as these have no missing samples.

    Parameters
    ----------
    labeler : EcgLabeler or BreathLabeler
    table : PipelineTable
        Made from it.
    leads : iterable of ndarray of int32
        In ADC units.
    """
    model = labeler._fitted()
    task = model.task
    n_candidates, n_shared = 0, 0
    squares = np.zeros(2)
    n_potentials = 4 * table.decoder.n_states
    for lead in leads:
        gone = np.flatnonzero(lead == MISSING)
        signal = np.clip(lead[: gone[0] if len(gone) else None], -(2**15), 2**15 - 1).astype(np.int16)
        if not len(signal):
            continue
        stream = LeadStream(fs=table.rate, front_end=task.front_end)
        proposal = stream.propose(signal.astype(np.float32), last=True)
        raw = stream.describe(proposal.positions, proposal.decided)
        wanted = model.emission.outputs(code(raw, model.dictionaries, model.n_nonzero)).astype(np.float64)
        positions, outputs = table.candidates(signal)
        _, ours, theirs = np.intersect1d(positions, raw.positions, return_indices=True)
        n_candidates += len(raw.positions)
        n_shared += len(ours)
        shift = np.clip(wanted[theirs, n_potentials:] * task.shift_unit, -task.farthest_edge, task.farthest_edge)
        squares += (
            np.mean((outputs.potentials[ours] / 256 - wanted[theirs, :n_potentials]) ** 2, axis=1).sum(),
            np.mean((outputs.shifts[ours] - shift * table.rate) ** 2, axis=1).sum(),
        )
    rms = np.sqrt(squares / max(n_shared, 1))
    return StageErrors(n_candidates, 100.0 * n_shared / max(n_candidates, 1), float(rms[0]), float(rms[1]))


def _by_channel_and_label(spans: Spans) -> dict[tuple[int, str], list[tuple[int, int]]]:
    """Return the edges of the waves of each channel and label."""
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    columns = (spans.onset, spans.offset, spans.label, spans.channel)
    for onset, offset, label, channel in zip(*(column.tolist() for column in columns), strict=True):
        if spans.classes[label] != UNUSABLE:
            found.setdefault((channel, spans.classes[label]), []).append((onset, offset))
    return found
