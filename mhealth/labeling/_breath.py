"""The breath labeler: inspirations, expirations and pauses of respiration signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mhealth.core import BREATH_PHASES, Annotation, Recording
from mhealth.errors import InvalidParameterError
from mhealth.labeling._breath_task import FARTHEST_TOP, RESPIRATION, RESPIRATION_MCU, SHORTEST_PAUSE, made_cases
from mhealth.labeling._examples import LeadCase
from mhealth.labeling._group import Row
from mhealth.labeling._labeler import Labeler, LabelStream
from mhealth.labeling._model import Model
from mhealth.labeling._polarity import Polarity, PolarityTracker
from mhealth.labeling._task import Budget
from mhealth.labeling._training import TrainingSettings

__all__ = ["BreathLabeler", "BreathStream"]

PolarityChoice = Literal["auto", "up", "down"]

_INSPIRATION, _EXPIRATION, _PAUSE = range(len(BREATH_PHASES))


class BreathLabeler(Labeler):
    """Label the phases of breathing: adaptive segmentation, sparse codes, a span CRF.

    Belt, impedance, airflow or CO2, at 10 to 1000 Hz, in any unit; channels are labelled each on its own. An
    inspiration ends at the peak of its breath; held breath of 10 s or longer is a pause, a shorter one belongs to the
    expiration before.

    Parameters
    ----------
    lag : float or None, default=8.0
        Seconds behind the newest candidate after which labels are final; None decodes whole recordings (then there is
        no stream). With what the front end needs, it is a breath at the slowest rate, 4 a minute: with 3 s nearly half
        of the simulated pauses were taken for breaths.
    polarity : {"auto", "up", "down"}, default="auto"
        Whether inspiration makes the signal rise; by default that is found from the signal, and up until 30 s of it
        say otherwise.
    n_simulated : int, default=90
        Simulated recordings of four minutes to learn from beside the given ones: rates and pauses that these lack, and
        where an inspiration starts, which experts seldom mark.
    budget : {"cortex-m3"} or None, default=None
        Learn what a microcontroller has room for, with 64 kB of flash memory and 20 kB of RAM: smaller codes.
    training : TrainingSettings, optional
        Sizes and schedule of what `fit` learns.
    random_state : int, default=0
        Seed of every draw: the same data, seed and machine give the same model.

    Attributes
    ----------
    model_ : Model
        What was learned.

    Examples
    --------
    >>> from mhealth.labeling import load
    >>> from mhealth.simulate import synthetic_respiration
    >>> recording, truth = synthetic_respiration(fs=25, duration=60, seed=0)
    >>> sorted(set(load("respiration").label(recording).to_frame().label))
    ['expiration', 'inspiration']
    """

    _tasks: ClassVar = {task.budget: task for task in (RESPIRATION, RESPIRATION_MCU)}
    _block = 600.0

    def __init__(
        self,
        *,
        lag: float | None = 8.0,
        polarity: PolarityChoice = "auto",
        n_simulated: int = 90,
        budget: Budget | None = None,
        training: TrainingSettings | None = None,
        random_state: int = 0,
    ) -> None:
        self.lag = lag
        self.polarity = polarity
        self.n_simulated = n_simulated
        self.budget = budget
        self.training = training
        self.random_state = random_state

    def _made_cases(self, rng: np.random.Generator) -> Iterator[LeadCase]:
        """Return simulated cases to learn from beside the recorded ones."""
        return made_cases(rng, self.n_simulated)

    def _stream(self, fs: float, channels: Sequence[str]) -> BreathStream:
        self._check_parameters()
        return BreathStream(self._fitted(), fs=fs, channels=channels, lag=self.lag, polarity=self.polarity)

    def score(self, recordings: Sequence[Recording], annotations: Sequence[Annotation]) -> float:
        """Return the F1 of the ends of inspiration within 0.5 s, from 0 to 1."""
        from mhealth.metrics import score_breaths

        cases = [(a, self.label(r)) for r, a in zip(recordings, annotations, strict=True)]
        return score_breaths(cases).f1(0.5) / 100

    @property
    def _settings(self) -> TrainingSettings:
        """Sizes and schedule where the user names none."""
        return TrainingSettings(
            n_atoms=32 if self.budget is None else 24,
            n_nonzero=4,
            n_first=64 if self.budget is None else 48,
            n_second=32 if self.budget is None else 24,
            n_epochs=6,
            fewest_steps=150,
            n_augmented=2,
            batch_size=2,
            learning_rate=3e-3,
        )

    def _check_parameters(self) -> None:
        if self.polarity not in get_args(PolarityChoice):
            raise InvalidParameterError(f"polarity={self.polarity!r} must be one of {get_args(PolarityChoice)}.")
        if isinstance(self.n_simulated, bool) or not isinstance(self.n_simulated, int) or self.n_simulated < 0:
            raise InvalidParameterError(f"n_simulated={self.n_simulated!r} must be an integer, 0 or more.")
        super()._check_parameters()


class BreathStream(LabelStream):
    """The labelling of breathing signals, as far as it has come; made by `BreathLabeler.open`."""

    def __init__(
        self, model: Model, *, fs: float, channels: Sequence[str], lag: float | None, polarity: PolarityChoice
    ) -> None:
        super().__init__(model, fs=fs, channels=channels, fused=False, lag=lag)
        self._given = {"up": 1, "down": -1}.get(polarity)
        self._trackers = [PolarityTracker(self.fs) for _ in self.channels]
        self._signs = np.ones(len(self.channels), np.float32)
        self._farthest = (2 * model.task.farthest_edge + FARTHEST_TOP) * self.fs
        self._last_offset = [-np.inf for _ in self.channels]  # of a phase that the next one may follow
        self._held: list[list[Row]] = [[] for _ in self.channels]

    @property
    def polarity(self) -> dict[str, Polarity]:
        """Which way each channel points, as given or as found so far."""
        if self._given is not None:
            return dict.fromkeys(self.channels, Polarity(self._given, 1.0))
        return {name: tracker.polarity for name, tracker in zip(self.channels, self._trackers, strict=True)}

    def _rows(self, signals: NDArray[np.float32], *, last: bool) -> list[Row]:
        rows = super()._rows(self._upright(signals), last=last)
        return [
            row
            for channel in range(len(self.channels))
            for row in self._phases(channel, [row for row in rows if row[4] == channel], last=last)
        ]

    def _upright(self, signals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return signals that rise with inspiration; where one turns round, a sample is missing."""
        if self._given is not None:
            return signals * np.float32(self._given)
        upright = np.empty_like(signals)
        for k, tracker in enumerate(self._trackers):
            signs = tracker.push(signals[:, k])
            turned = np.flatnonzero(np.diff(signs, prepend=self._signs[k]))
            upright[:, k] = signals[:, k] * signs
            upright[turned, k] = np.nan
            self._signs[k : k + 1] = signs[-1:] if len(signs) else self._signs[k : k + 1]
        return upright

    def _phases(self, channel: int, rows: list[Row], *, last: bool) -> list[Row]:
        """Return whole phases: pieces of one put together, and short pauses left to the expiration before."""
        done: list[Row] = []
        held = self._held[channel]
        for onset, _, offset, label, _, probability in sorted(rows):
            if label not in (_INSPIRATION, _EXPIRATION, _PAUSE):
                done.append((onset, -1, offset, label, channel, probability))
                self._last_offset[channel] = -np.inf
                continue
            # What one phase and the next say of their common edge may differ: the earlier one counts.
            if abs(onset - self._last_offset[channel]) <= self._farthest:
                onset = int(self._last_offset[channel])
                if offset <= onset:
                    continue
            self._last_offset[channel] = offset
            if held and (label == _INSPIRATION or held[-1][2] != onset):
                done += self._settled(held)
                held = []
            if label == _INSPIRATION:
                done.append((onset, offset, offset, label, channel, probability))
                continue
            row = (onset, -1, offset, label, channel, probability)
            held = [*held[:-1], _join(held[-1], row)] if held and held[-1][3] == label else [*held, row]
            if self._is_pause(held[-1]):
                done += self._settled(held[:-1])
                held = held[-1:]
        if last:
            done += self._settled(held)
            held = []
        self._held[channel] = held
        return done

    def _is_pause(self, row: Row) -> bool:
        """Whether a phase is a pause that is long enough to be one."""
        return row[3] == _PAUSE and row[2] - row[0] >= SHORTEST_PAUSE * self.fs

    def _settled(self, rows: list[Row]) -> list[Row]:
        """Leave short pauses to the expiration before; without one they go."""
        kept: list[Row] = []
        for row in rows:
            if row[3] == _EXPIRATION and kept and kept[-1][3] == _EXPIRATION:
                kept[-1] = _join(kept[-1], row)
            elif row[3] == _EXPIRATION or self._is_pause(row):
                kept.append(row)
            elif kept:
                kept[-1] = (*kept[-1][:2], row[2], *kept[-1][3:])
        return kept


def _join(first: Row, second: Row) -> Row:
    """Return one phase instead of two pieces of it; its probability is their mean over time."""
    lengths = first[2] - first[0], second[2] - second[0]
    probability = (lengths[0] * first[5] + lengths[1] * second[5]) / sum(lengths)
    return (first[0], -1, second[2], *first[3:5], probability)
