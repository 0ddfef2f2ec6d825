"""Whole phases of breathing from what the decoder says, as ``mh_decoder_phases.c`` puts them together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mhealth.core import BREATH_PHASES
from mhealth.export._c_tables import c_table
from mhealth.export._decoder import Event
from mhealth.labeling._breath_task import FARTHEST_TOP, SHORTEST_PAUSE

if TYPE_CHECKING:
    from mhealth.labeling._task import Task

__all__ = ["PhasesTable", "PhasesTwin"]

_HELD = 4
"""Phases that wait for an inspiration; a fifth one sends them off. Expiration and pause take turns, so they are two."""


@dataclass(frozen=True, kw_only=True)
class PhasesTable:
    """What phases are, in samples.

    Attributes
    ----------
    farthest : int
        By which two phases may differ in their common edge.
    shortest_pause : int
        From which on held breath is a pause.
    inspiration, expiration, pause : int
        Labels.
    """

    farthest: int
    shortest_pause: int
    inspiration: int
    expiration: int
    pause: int

    @classmethod
    def of(cls, task: Task) -> PhasesTable:
        """Return the table of a task of breathing."""
        rate = task.front_end.rate
        inspiration, expiration, pause = (task.labels.index(phase) for phase in BREATH_PHASES)
        return cls(
            farthest=round((2 * task.farthest_edge + FARTHEST_TOP) * rate),
            shortest_pause=round(SHORTEST_PAUSE * rate),
            inspiration=inspiration,
            expiration=expiration,
            pause=pause,
        )

    def open(self) -> PhasesTwin:
        """Return the twin of the C stream."""
        return PhasesTwin(self)

    def to_c(self, name: str) -> str:
        """Return the definition of the table, a ``mh_phases_table_t``, as C source."""
        return c_table("mh_phases_table_t", name, asdict(self))


class PhasesTwin:
    """The phases of one signal; made by `PhasesTable.open`."""

    def __init__(self, table: PhasesTable) -> None:
        self._table = table
        self._held: list[Event] = []
        self._last_offset: int | None = None  # of a phase that the next one may follow

    def push(self, event: Event) -> list[Event]:
        """Take the next event, and return those that are certain now."""
        table = self._table
        if event.label not in (table.inspiration, table.expiration, table.pause):
            self._last_offset = None
            return [event]
        if self._last_offset is not None and abs(event.onset - self._last_offset) <= table.farthest:
            event = event._replace(onset=self._last_offset)
            if event.offset <= event.onset:
                return []
        self._last_offset = event.offset
        done: list[Event] = []
        inspires = event.label == table.inspiration
        if self._held and (inspires or self._held[-1].offset != event.onset):
            done += self.flush()
        if inspires:
            return [*done, event._replace(peak=event.offset)]
        if self._held and self._held[-1].label == event.label:
            self._held[-1] = _joined(self._held[-1], event)
        else:
            if len(self._held) == _HELD:
                done += self.flush()
            self._held.append(event._replace(peak=-1))
        if self._is_long_pause(self._held[-1]):
            last = self._held.pop()
            done += self.flush()
            self._held = [last]
        return done

    def flush(self) -> list[Event]:
        """Return what is held: short pauses belong to the phase before; without one they go."""
        kept: list[Event] = []
        for event in self._held:
            expires = event.label == self._table.expiration
            if kept and expires and kept[-1].label == self._table.expiration:
                kept[-1] = _joined(kept[-1], event)
            elif expires or self._is_long_pause(event):
                kept.append(event)
            elif kept:
                kept[-1] = _joined(kept[-1], event)
        self._held = []
        return kept

    def _is_long_pause(self, event: Event) -> bool:
        return event.label == self._table.pause and event.offset - event.onset >= self._table.shortest_pause


def _joined(first: Event, second: Event) -> Event:
    """Return one phase instead of two."""
    return first._replace(offset=second.offset, flags=first.flags | second.flags)
