"""A whole labeler in whole numbers: its tables, the twin of ``runtime/mh_pipeline.c``, and the C around them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.core import UNUSABLE
from mhealth.errors import InvalidParameterError
from mhealth.export._budget import Profile
from mhealth.export._decoder import DecoderTable, Event
from mhealth.export._describe import Describer, describer_of
from mhealth.export._emission import Outputs
from mhealth.export._folder import filled
from mhealth.export._quality import QualityTable
from mhealth.export._scale import ScaleTable
from mhealth.export._segment import SegmentTable
from mhealth.labeling import _group

if TYPE_CHECKING:
    from mhealth.labeling import BreathLabeler, EcgLabeler

__all__ = ["MISSING", "PipelineTable"]

MISSING = -(2**31)
"""A sample that is not there."""

_CLIPPED = 4

_BURST = 2
"""Values of the scale that come out at most a sample while those of the first window catch up: with two of them come
about as many candidates as are described."""

_A_SECOND = 200
"""Candidates that are described a second at most, if they come faster than one a sample: far more than there are."""

_ROWS = 40
"""Candidates that the decoder keeps: those of the lag and the longest duration, but for the densest noise. All events
of 20 leads of LUDB and 4 of NSTDB at 0 and -6 dB are as with 80; with 32 some are others."""

_LONGEST_GAP = 255
"""Samples between candidates that a byte holds."""

_RINGS = (256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True, eq=False, kw_only=True)
class PipelineTable:
    """Everything of a labeler of one lead, in whole numbers.

    Parameters
    ----------
    rate : float
        Samples a second.
    labels : tuple of str
        Of events, the last one of what cannot be used.
    quality, scale, segment, describer, decoder
        Tables of the stages.
    history : int
        Samples that the signal's ring holds.
    lookahead : int
        Samples after a candidate that its description may depend on.
    warm_up : int
        Samples of a stretch that its first candidates may know of.
    resume : int
        Samples from the one that ended a stretch to the next stretch at the earliest.
    n_queue : int
        Candidates that may wait.
    n_of_gap : int
        Of them that one gap may hold.
    n_a_step : int
        Candidates that are described in a step at most.
    """

    rate: float
    labels: tuple[str, ...]
    quality: QualityTable
    scale: ScaleTable
    segment: SegmentTable
    describer: Describer
    decoder: DecoderTable
    history: int
    lookahead: int
    warm_up: int
    resume: int
    n_queue: int
    n_of_gap: int
    n_a_step: int

    @classmethod
    def of(cls, labeler: EcgLabeler | BreathLabeler, *, profile: Profile = "size") -> PipelineTable:
        """Return the table of a labeler.

        Parameters
        ----------
        labeler : EcgLabeler or BreathLabeler
            Fitted.
        profile : {"size", "speed"}
            Whether the layers of a network share one kernel, or have their own.

        Raises
        ------
        InvalidParameterError
            If a part of the labeler cannot be exported.
        """
        model = labeler._fitted()
        task = model.task
        front_end, rate = task.front_end, task.front_end.rate
        if labeler.lag is None:
            raise InvalidParameterError("lag=None decodes whole recordings, which no stream can. Set lag to seconds.")
        quality = QualityTable.of(front_end.quality, fs=rate)
        scale = replace(ScaleTable.of(front_end.segmenter.running_scale, rate=rate), burst=_BURST)
        segment = SegmentTable.of(front_end.segmenter)
        if segment.longest_gap > _LONGEST_GAP:
            raise InvalidParameterError(
                f"Candidates are up to {segment.longest_gap} samples apart; exported ones at most {_LONGEST_GAP}."
            )
        decoder = DecoderTable.of(task, model.weights, lag=max(0.0, labeler.lag - _group._slack(task)), rows=_ROWS)
        features = front_end.features
        # Candidates are no denser than extrema and splits can be, and wait until they may be described.
        density = min(1.0, 2 / (segment.reach + 1) + 1 / segment.shortest)
        n_of_gap = segment.longest_gap // segment.shortest + 1
        n_a_step = max(1, round(_A_SECOND / rate))
        for history in _RINGS:
            try:
                describer = describer_of(model, ring=history, profile=profile)
            except InvalidParameterError:
                if history == _RINGS[-1]:
                    raise
                continue
            gates = (features.lookahead, features.warm_up) if describer.is_gated else (0.0, 0.0)
            lookahead, warm_up = (round(seconds * rate) for seconds in gates)
            wait = max(quality.look, lookahead, describer.delay + scale.ahead)
            late = math.ceil(density * max(wait - scale.ahead, 0))
            # One is described for each wave that is handed out; many may come at once.
            behind = math.ceil((_BURST * density - 1) * scale.window) + decoder.rows // 2
            n_queue = late + behind + n_of_gap
            # What a stretch leaves undone: candidates, scales and what a network still holds.
            left = n_queue + math.ceil(density * scale.window) + (scale.window + describer.delay) // 4
            resume = quality.look + math.ceil(left / describer.hurry) + decoder.rows
            # A wave is handed out when the candidate that makes it certain has been described, and stays so long.
            waves = decoder.lag + decoder.every * segment.longest_gap + max(decoder.longest)
            needed = max(
                describer.history + wait + n_queue, waves + max(wait + n_queue, resume), segment.history(scale)
            )
            if needed <= history:
                break
        else:
            raise InvalidParameterError(
                f"The model looks back on {needed} samples; exported ones have a ring of {_RINGS[-1]}. Train with "
                "mhealth train --budget cortex-m3."
            )
        return cls(
            rate=rate,
            labels=(*task.labels, UNUSABLE),
            quality=quality,
            scale=scale,
            segment=segment,
            describer=describer,
            decoder=decoder,
            history=history,
            lookahead=lookahead,
            warm_up=warm_up,
            resume=resume,
            n_queue=n_queue,
            n_of_gap=n_of_gap,
            n_a_step=n_a_step,
        )

    def events(self, samples: ArrayLike) -> NDArray[np.int64]:
        """Return what the C hands out of a whole lead, in order.

        Parameters
        ----------
        samples : array_like of int, shape (n,)
            ADC units, or `MISSING`.

        Returns
        -------
        events : ndarray of int64, shape (n_events, 5)
            Label, flags, onset, peak (2^32 − 1: none), offset.
        """
        given = np.asarray(samples, np.int64)
        missing = given == MISSING
        fitting = np.clip(given, -(2**15), 2**15 - 1)
        clipped = (fitting != given) & ~missing
        codes, off = self._judged(np.where(missing, MISSING, fitting))
        n_clipped = np.concatenate([[0], np.cumsum(clipped)])

        def flagged(event: Event) -> Event:
            is_clipped = n_clipped[min(event.offset, len(given))] > n_clipped[event.onset]
            return event._replace(flags=event.flags | _CLIPPED * bool(is_clipped))

        events: list[Event] = []
        last = 0
        for start, stop in self._stretches(missing | off):
            stretch = np.ascontiguousarray(fitting[start:stop], np.int16)
            for begin, end, waves in self._waves(stretch, codes[start:stop] == 0):
                if last < start + begin:
                    events.append(flagged(Event(len(self.labels) - 1, 0, last, -1, start + begin)))
                last = start + end
                events += [
                    flagged(
                        Event(
                            w.label, w.flags, start + w.onset, start + w.peak if w.peak >= 0 else -1, start + w.offset
                        )
                    )
                    for w in waves
                ]
        if last < len(given):
            events.append(flagged(Event(len(self.labels) - 1, 0, last, -1, len(given))))
        found = np.array(self.describer.settled(events), np.int64).reshape(-1, 5)
        found[:, 3] %= 2**32
        return found

    def candidates(self, signal: NDArray[np.int16]) -> tuple[NDArray[np.int64], Outputs]:
        """Return the candidates of a stretch without missing samples, and what the emission says of each."""
        scale, segment = self.scale.open(), self.segment.open()
        pushed, rest = scale.push(signal), scale.flush()
        found = segment.push(signal, pushed), segment.flush(rest)
        positions, scales = (np.concatenate(part) for part in zip(*found, strict=True))
        limits = np.minimum(np.maximum(positions + self.lookahead, self.warm_up), len(signal) - 1)
        running_scale = np.concatenate([pushed.scale, rest.scale])
        return positions, self.describer.outputs(signal, positions, limits, scales, running_scale)

    def _judged(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the quality of each sample, and at which of them the lead is off."""
        stream = self.quality.open()
        codes, off = stream.judge(samples)
        return np.concatenate([codes[self.quality.look :], stream.flush()])[: len(samples)], off

    def _stretches(self, missing: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Yield the stretches in which nothing is missing, each `resume` samples after the end of the one before."""
        start = 0
        while True:
            there = np.flatnonzero(~missing[start:])
            if not len(there):
                return
            start += int(there[0])
            gone = np.flatnonzero(missing[start:])
            stop = start + int(gone[0]) if len(gone) else len(missing)
            yield start, stop
            start = stop + self.resume
            if start >= len(missing):
                return

    def _waves(self, signal: NDArray[np.int16], usable: NDArray[np.bool_]) -> Iterator[tuple[int, int, list[Event]]]:
        """Yield the usable parts of a stretch, and the waves of each."""
        positions, outputs = self.candidates(signal)
        decoder = self.decoder.open(history=self.history)
        # Waves come out once it is known that their candidates are usable, when that many further samples are there.
        newest, look = len(signal) - 1, self.quality.look
        edges = np.flatnonzero(np.diff(usable, prepend=False, append=False)).tolist()
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            decoder.open(begin)
            waves: list[Event] = []
            for k in range(*np.searchsorted(positions, [begin + 1, end])):
                decoder.push(positions[k : k + 1], outputs.potentials[k : k + 1], outputs.shifts[k : k + 1])
                waves += decoder.pop(signal, min(newest, int(positions[k]) + look))
            decoder.close(end)
            waves += decoder.pop(signal, min(newest, end + look))
            yield begin, end, waves

    def to_c(self, name: str, about: Mapping[str, object]) -> dict[str, str]:
        """Return the model's C: its header and its code, by file name.

        Parameters
        ----------
        name : str
            What its functions and files are called.
        about : mapping
            ``title`` and ``banner``, which say what it is and what made it.
        """
        layout = self.describer.layout(name)
        table, n_states = self.decoder, self.decoder.n_states
        members = (
            ("uint8_t", "quality_flags", (2 * self.quality.look + 4) // 4),
            ("uint16_t", "quality_floors", self.quality.n_floors),
            ("uint16_t", "quality_peaks", self.quality.n_peaks),
            *((kind, f"scale_{member}", length) for member, (kind, length) in self.scale.buffers.items()),
            *((kind, f"segment_{member}", length) for member, (kind, length) in self.segment.buffers.items()),
            (table.memory, "decoder", 0),
            ("uint8_t", "gaps", self.n_queue),
            *((("uint32_t", "scales", self.n_queue),) if layout.reads_scale else ()),
            *layout.members,
            ("int16_t", "samples", self.history),
            ("int16_t", "potentials", 4 * n_states),
            ("uint8_t", "bad", self.history // 8),
            ("uint8_t", "clipped", self.history // 8),
            ("int8_t", "shifts", 2 * n_states),
        )
        upper = name.upper()
        values = {
            **about,
            **layout.values,
            "name": name,
            "NAME": upper,
            "rate": f"{self.rate:g}",
            "includes": "\n".join(f'#include "{header}"' for header in ("mh_pipeline.h", *layout.includes)),
            "labels": "\n".join(f"#define {upper}_{label.upper()} {k}" for k, label in enumerate(self.labels)),
            "n_labels": len(self.labels),
            "label_texts": ", ".join(f'"{label}"' for label in self.labels),
            "members": "\n".join(
                f"    {kind} {member}{f'[{length}]' if length else ''};" for kind, member, length in members
            ),
            "lookahead": self.lookahead,
            "warm_up": self.warm_up,
            "resume": self.resume,
            "n_queue": self.n_queue,
            "n_of_gap": self.n_of_gap,
            "n_a_step": self.n_a_step,
            "hurry": self.describer.hurry,
            "callbacks": "\n".join(
                f"    .{member} = {function},"
                for member, function in {**layout.callbacks, "describe": "describe"}.items()
            ),
            "begin": layout.begin,
            "scales": "state->scales" if layout.reads_scale else "NULL",
            "history": self.history,
        }
        tables = [
            self.quality.to_c(f"{name}_quality"),
            self.scale.to_c(f"{name}_scale"),
            self.segment.to_c(f"{name}_segment"),
            self.decoder.to_c(f"{name}_decoder"),
        ]
        values["tables"] = "\n".join([*tables, layout.tables])
        values["pipeline"] = filled("pipeline.c", values)
        needed = {
            "SPEED": layout.is_fast,
            "SECOND_BEST": table.exact,
            "TOPS": table.top is not None,
            "SETTLING": "settle" in layout.callbacks,
            "CODES": "mh_codes.h" in layout.includes,
        }
        parts = "".join(f"#define MH_WITH_{part} {int(is_needed)}\n" for part, is_needed in needed.items())
        return {
            f"{name}.h": filled("model.h", values),
            f"{name}.c": filled(layout.template, values),
            "mh_model.h": f"/* {about['banner']}\n   Parts of the runtime that it needs: see mh_parts.h. */\n{parts}",
        }
