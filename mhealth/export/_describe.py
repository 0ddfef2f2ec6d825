"""What describes the candidates of an exported model: context, codes and emission, joined for the twin and for C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.export._beats import BeatsTable
from mhealth.export._breaths import BreathsTable
from mhealth.export._budget import Profile
from mhealth.export._codes import Codes, CodesTable
from mhealth.export._decoder import Event
from mhealth.export._decoder_phases import PhasesTable
from mhealth.export._emission import EmissionTable, Outputs
from mhealth.export._network import NetworkTable
from mhealth.labeling._beat_context import BeatContext
from mhealth.labeling._breath_context import BreathContext
from mhealth.labeling._network import NetworkContext

if TYPE_CHECKING:
    from mhealth.labeling._model import Model

__all__ = ["BeatDescriber", "BreathDescriber", "Describer", "Layout", "NetworkDescriber", "describer_of"]


class Layout(NamedTuple):
    """How a describer lies in C.

    Attributes
    ----------
    template : str
        The file with its code.
    includes : tuple of str
        Headers that its state needs.
    tables : str
        Definitions of its constant tables.
    members : tuple of (type, name, length)
        Of its state; a length of 0 is a single one.
    values : dict of str to int
        Further numbers of the template.
    callbacks : dict of str to str
        Functions of the template, by the member of ``mh_describer_t`` that they are.
    begin : str
        Statements that start a lead.
    reads_scale : bool
        Whether the running scale at a candidate is needed to describe it.
    is_fast : bool
        Whether the time that stages take is worth flash: not beside a network that takes ten times as much.
    """

    template: str
    includes: tuple[str, ...]
    tables: str
    members: tuple[tuple[str, str, int], ...]
    values: dict[str, int]
    callbacks: dict[str, str]
    begin: str = ""
    reads_scale: bool = True
    is_fast: bool = True


class Describer(Protocol):
    """Tables of what describes candidates."""

    @property
    def history(self) -> int:
        """Samples before a candidate that it looks back on."""

    @property
    def is_gated(self) -> bool:
        """Whether what it says of a candidate changes with the samples that are there: then it waits for its limit."""

    @property
    def delay(self) -> int:
        """Samples after a candidate's own before which it cannot be described, beyond the delay of the scale."""

    @property
    def hurry(self) -> int:
        """How many times as much a step does once a stretch has ended, within the time to the next sample."""

    def outputs(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        limits: NDArray[np.int64],
        scales: NDArray[np.int64],
        running_scale: NDArray[np.int64],
    ) -> Outputs:
        """Return potentials and shifts of the candidates of a whole stretch.

        Parameters
        ----------
        signal : ndarray of int16, shape (n_samples,)
        positions : ndarray of int64, shape (n,)
        limits : ndarray of int64, shape (n,)
            Last sample that each may know of.
        scales : ndarray of int64, shape (n,)
            Running scale at each, in 1/256 ADC units.
        running_scale : ndarray of int64, shape (n_samples,)
            The same at each sample.
        """

    def settled(self, events: list[Event]) -> list[Event]:
        """Return what is handed out of the events of a lead."""

    def layout(self, name: str) -> Layout:
        """Return how it lies in C."""


def describer_of(model: Model, *, ring: int, profile: Profile) -> Describer:
    """Return the describer of a model.

    Parameters
    ----------
    model : Model
    ring : int
        Samples that the signal's ring holds.
    profile : {"size", "speed"}

    Raises
    ------
    InvalidParameterError
        If the model cannot be exported.
    """
    context = model.task.front_end.features.context
    if isinstance(context, BeatContext):
        return BeatDescriber.of(model, ring=ring)
    if isinstance(context, BreathContext):
        return BreathDescriber.of(model)
    if isinstance(context, NetworkContext):
        return NetworkDescriber.of(model, profile=profile)
    raise InvalidParameterError(f"A model with {type(context).__name__} cannot be exported.")


@dataclass(frozen=True, eq=False, kw_only=True)
class BeatDescriber:
    """Sparse codes of windows and of the average beat, and the rhythm.

    Parameters
    ----------
    beats : BeatsTable
    codes : CodesTable
    emission : EmissionTable
    """

    beats: BeatsTable
    codes: CodesTable
    emission: EmissionTable

    @classmethod
    def of(cls, model: Model, *, ring: int) -> BeatDescriber:
        """Return the describer of a model with heartbeats as context."""
        features = model.task.front_end.features
        assert isinstance(features.context, BeatContext)
        warm_up = round(features.warm_up * features.rate)
        return cls(
            beats=BeatsTable.of(features.context, warm_up=warm_up, history_samples=ring),
            codes=CodesTable.of(model),
            emission=EmissionTable.of(model),
        )

    @property
    def history(self) -> int:
        """Samples before a candidate that it looks back on."""
        return max(self.beats.horizon + self.beats.half, self.codes.history_samples)

    is_gated = True
    delay = 0
    hurry = 4

    def outputs(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        limits: NDArray[np.int64],
        scales: NDArray[np.int64],
        running_scale: NDArray[np.int64],
    ) -> Outputs:
        """Return potentials and shifts of the candidates of a whole stretch."""
        beats = self.beats.open()
        beats.push(signal)
        beats.end()
        newest = np.minimum(self.beats.ready_at(limits), len(signal) - 1)
        described = beats.describe(positions, limits, newest, scales)
        codes = self.codes.open().push(signal, positions, scales, [described.before, described.after])
        return self.emission.open().push(described.rhythm, codes)

    def settled(self, events: list[Event]) -> list[Event]:
        """Return what is handed out of the events of a lead: these."""
        return events

    def layout(self, name: str) -> Layout:
        """Return how it lies in C."""
        tables = [
            self.beats.to_c(f"{name}_beats"), self.codes.to_c(f"{name}_codes"), self.emission.to_c(f"{name}_emission"),
        ]  # fmt: skip
        members = (
            ("mh_beats_state_t", "beats", 0),
            ("int32_t", "average", 2 * self.beats.n_points),
            ("int16_t", "dense", len(self.emission.of_dense.weights)),
            *coder_members(self.codes, self.emission),
        )
        return Layout(
            template="beats.c",
            includes=("mh_beats.h", "mh_codes.h", "mh_emission.h"),
            tables="\n".join(tables),
            members=members,
            values={"n_points": self.beats.n_points},
            callbacks={"open": "open_stretch", "take": "take", "close": "close_stretch", "ready": "ready"},
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BreathDescriber:
    """Sparse codes of windows, and the turns before; events become whole phases.

    Parameters
    ----------
    breaths : BreathsTable
    codes : CodesTable
    emission : EmissionTable
    phases : PhasesTable
    """

    breaths: BreathsTable
    codes: CodesTable
    emission: EmissionTable
    phases: PhasesTable

    @classmethod
    def of(cls, model: Model) -> BreathDescriber:
        """Return the describer of a model with breaths as context."""
        rate = model.task.front_end.rate
        return cls(
            breaths=BreathsTable.of(rate=rate),
            codes=CodesTable.of(model),
            emission=EmissionTable.of(model),
            phases=PhasesTable.of(model.task),
        )

    @property
    def history(self) -> int:
        """Samples before a candidate that it looks back on: turns are remembered by themselves."""
        return self.codes.history_samples

    is_gated = True
    delay = 0
    hurry = 4

    def outputs(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        limits: NDArray[np.int64],
        scales: NDArray[np.int64],
        running_scale: NDArray[np.int64],
    ) -> Outputs:
        """Return potentials and shifts of the candidates of a whole stretch."""
        dense = self.breaths.open().describe(positions, signal[positions], scales)
        return self.emission.open().push(dense, self.codes.open().push(signal, positions, scales))

    def settled(self, events: list[Event]) -> list[Event]:
        """Return what is handed out of the events of a lead: whole phases."""
        stream = self.phases.open()
        return [*(phase for event in events for phase in stream.push(event)), *stream.flush()]

    def layout(self, name: str) -> Layout:
        """Return how it lies in C."""
        tables = [
            self.breaths.to_c(f"{name}_breaths"),
            self.phases.to_c(f"{name}_phases"),
            self.codes.to_c(f"{name}_codes"),
            self.emission.to_c(f"{name}_emission"),
        ]
        members = (
            ("mh_breaths_state_t", "breaths", 0),
            ("mh_phases_state_t", "phases", 0),
            ("int16_t", "turn_values", self.breaths.n_turns),
            ("uint16_t", "turn_positions", self.breaths.n_turns),
            ("int16_t", "dense", len(self.emission.of_dense.weights)),
            *coder_members(self.codes, self.emission),
        )
        return Layout(
            template="breaths.c",
            includes=("mh_breaths.h", "mh_codes.h", "mh_decoder_phases.h", "mh_emission.h"),
            tables="\n".join(tables),
            members=members,
            values={},
            callbacks={"open": "open_stretch", "settle": "settle", "settled": "settled"},
            begin="    mh_phases_init(&state->phases);\n",
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkDescriber:
    """What a causal int8 network says around candidates.

    Parameters
    ----------
    network : NetworkTable
    emission : EmissionTable
    profile : {"size", "speed"}
        Whether its layers share one kernel, or have their own.
    """

    network: NetworkTable
    emission: EmissionTable
    profile: Profile

    is_gated = False
    hurry = 2

    @classmethod
    def of(cls, model: Model, *, profile: Profile) -> NetworkDescriber:
        """Return the describer of a model with a network as context."""
        context = model.task.front_end.features.context
        assert isinstance(context, NetworkContext)
        return cls(network=NetworkTable.of(context), emission=EmissionTable.of(model), profile=profile)

    @property
    def history(self) -> int:
        """Samples before a candidate that it looks back on: the network keeps its own."""
        return 0

    @property
    def delay(self) -> int:
        """Samples after a candidate's own before which it cannot be described, beyond the delay of the scale."""
        return self.network.delay_samples + self.network.stride

    def outputs(
        self,
        signal: NDArray[np.int16],
        positions: NDArray[np.int64],
        limits: NDArray[np.int64],
        scales: NDArray[np.int64],
        running_scale: NDArray[np.int64],
    ) -> Outputs:
        """Return potentials and shifts of the candidates of a whole stretch."""
        network = self.network.open()
        network.push(signal, running_scale)
        network.drain()
        return self.emission.open().push(network.describe(positions), no_codes(len(positions)))

    def settled(self, events: list[Event]) -> list[Event]:
        """Return what is handed out of the events of a lead: these."""
        return events

    def layout(self, name: str) -> Layout:
        """Return how it lies in C."""
        tables = [self.network.to_c(f"{name}_network", profile=self.profile), self.emission.to_c(f"{name}_emission")]
        sizes = self.network.sizes
        members = (
            ("mh_network_state_t", "network", 0),
            ("mh_convolve_layer_t", "network_layers", sizes["layers"]),
            ("int8_t", "network_memory", sizes["memory"]),
            ("int8_t", "network_logits", sizes["logits"]),
            ("uint8_t", "network_is_drained", 0),
            ("int16_t", "dense", self.network.n_dense),
            ("mh_code_t", "hidden_first", len(self.emission.threshold)),
            ("mh_code_t", "hidden_second", len(self.emission.second_threshold)),
        )
        return Layout(
            template="network.c",
            includes=("mh_network.h", "mh_emission.h"),
            tables="\n".join(tables),
            members=members,
            values={},
            callbacks={"open": "open_stretch", "measure": "measure", "drain": "drain", "ready": "ready"},
            reads_scale=False,
            is_fast=self.profile == "speed",
        )


def coder_members(codes: CodesTable, emission: EmissionTable) -> Sequence[tuple[str, str, int]]:
    """Return the members of a state that codes and emission work in."""
    return (
        ("int32_t", "work", max(codes.longest, codes.most_atoms + -codes.most_atoms % 4)),
        ("int16_t", "window", codes.longest),
        ("mh_code_t", "found", max(1, codes.n_codes)),
        ("mh_code_t", "hidden_first", len(emission.threshold)),
        ("mh_code_t", "hidden_second", len(emission.second_threshold)),
    )


def no_codes(count: int) -> Codes:
    """Return the codes of candidates that have no windows."""
    return Codes(np.empty((count, 0), np.int32), np.empty((count, 0), np.int16))
