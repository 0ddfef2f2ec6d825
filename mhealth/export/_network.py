"""A network beside the segmenter in whole numbers: its table for ``runtime/mh_network.c``, and the twin."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.dsp import Quantization
from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_array
from mhealth.export._convolve import ConvolveTable
from mhealth.labeling._network import NetworkContext, Reading

__all__ = ["SPARE", "NetworkTable", "NetworkTwin"]

SPARE = 8
"""Outputs, at least, by which a candidate may be described later than it could be: so many more are kept."""

_MOST_CLASSES = 8
"""``MH_NETWORK_CLASSES``"""

_DENSE_ONE = 2**11
"""What stands for 1 among the numbers that describe a candidate, Q4.11."""


def _scaled(factor: float, bits: int) -> tuple[int, int]:
    """Return a positive factor as number · 2^−shift, the number having so many bits."""
    shift = bits - math.frexp(factor)[1]
    return round(factor * 2.0**shift), shift


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkTable:
    """A network context in whole numbers, made by `NetworkTable.of`.

    Parameters
    ----------
    layers : ConvolveTable
    early : int
        Outputs of the layers that tell of no sample yet.
    gain, leak : int
        High-pass filter: what it takes of a change, and forgets of what it holds in a sample, Q1.31.
    slope : int
        Samples between the two that the slope is the difference of.
    knees : tuple of int
        Parts of the running scale at which lead and slope are half way, Q16.16.
    reading : Reading
    rate : float
        Hz.
    """

    layers: ConvolveTable = field(repr=False)
    early: int
    gain: int
    leak: int
    slope: int
    knees: tuple[int, int]
    reading: Reading = field(repr=False)
    rate: float

    @classmethod
    def of(cls, context: NetworkContext) -> NetworkTable:
        """Return the table of a context.

        Raises
        ------
        InvalidParameterError
            If its network is not causal, not in int8, or has too many classes.
        """
        network = context.network
        if not network.is_causal:
            raise InvalidParameterError(
                f"network={network.name!r} reads whole recordings; expected a causal one. Export a labeler with a TCN."
            )
        if len(network.classes) - 1 > _MOST_CLASSES:
            raise InvalidParameterError(
                f"network={network.name!r} has {len(network.classes) - 1} classes beside {network.classes[0]}; "
                f"expected at most {_MOST_CLASSES}."
            )
        settings, rate = network.input, network.rate
        pole = math.exp(-2 * math.pi * settings.cutoff / rate)
        return cls(
            layers=ConvolveTable.of(network.layers),
            early=network.layout.lookahead // network.layout.stride,
            gain=round((1 + pole) / 2 * 2**31),
            leak=round((1 - pole) * 2**31),
            slope=max(1, round(0.008 * rate)),
            knees=(round(settings.knee * 2**16), round(settings.slope_knee * 2**16)),
            reading=context.reading,
            rate=rate,
        )

    def open(self) -> NetworkTwin:
        """Return a stream before the first sample, which computes what the C does."""
        return NetworkTwin(self)

    @property
    def _ends(self) -> tuple[Quantization, Quantization]:
        stack = self.layers.stack
        assert stack.inputs is not None
        assert stack.outputs is not None
        return stack.inputs, stack.outputs

    @property
    def n_classes(self) -> int:
        """Classes beside that of no wave."""
        return self.layers.stack.layers[-1].weights.shape[2] - 1

    @property
    def n_dense(self) -> int:
        """Numbers that describe a candidate."""
        return (len(self.reading.near) + len(self.reading.starts)) * self.n_classes

    @property
    def stride(self) -> int:
        """Samples of an output."""
        return self.layers.stack.stride

    @property
    def _range(self) -> tuple[int, int]:
        """First and last output that describe a candidate, counted from that of its sample."""
        near, starts, counts, step, _ = self.reading
        within = np.arange(self.stride)[:, None]
        before = (2 * (within + near) - (self.stride - 1)) // (2 * self.stride)
        start = (within + starts) // self.stride
        last = start + (counts - 1) * step
        return int(min(before.min(), start.min())), int(max(before.max() + 1, last.max()))

    @property
    def n_rows(self) -> int:
        """Outputs that are kept."""
        first, last = self._range
        return 1 << (last - first + SPARE).bit_length()

    @property
    def ahead(self) -> int:
        """Outputs after that of its sample that describe a candidate."""
        return self._range[1]

    @property
    def delay_samples(self) -> int:
        """Samples after a candidate's own with which all its outputs are complete, beyond the delay of the scale."""
        return (self.ahead + self.early) * self.stride

    @cached_property
    def code(self) -> tuple[int, int]:
        """From numbers of 15 bits to codes of the inputs: factor and shift."""
        factor, shift = _scaled(1 / self._ends[0].scale, 15)
        return factor, shift + 15

    @property
    def nothing(self) -> int:
        """Code of 0."""
        return self._ends[0].zero_point

    @property
    def one(self) -> int:
        """Code of 1."""
        return int(self._ends[0].encode(np.ones(1, np.float32))[0])

    @cached_property
    def odds(self) -> tuple[int, int]:
        """From differences of logits to log odds: factor and shift."""
        return _scaled(self._ends[1].scale * 2 / self.reading.largest * _DENSE_ONE, 22)

    @property
    def odds_limit(self) -> int:
        """The largest log odds."""
        return 2 * _DENSE_ONE

    @cached_property
    def exponentials(self) -> NDArray[np.int64]:
        """e^(−k · scale of the logits), Q1.15, as long as they are not 0."""
        found = np.round(2**15 * np.exp(-self._ends[1].scale * np.arange(256.0))).astype(np.int64)
        return found[: np.count_nonzero(found)]

    @cached_property
    def factors(self) -> NDArray[np.int64]:
        """From sums of probabilities in parts of 255 to means, with 16 bits more."""
        return np.round(2**16 * _DENSE_ONE / (255.0 * self.reading.counts)).astype(np.int64)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each buffer of ``mh_network_state_t`` that the caller provides."""
        return {
            "memory": self.layers.memory_bytes,
            "layers": len(self.layers.layers),
            "logits": self.n_rows * (self.n_classes + 1),
        }

    def to_c(self, name: str, *, profile: Literal["size", "speed"] = "size") -> str:
        """Return definitions of the constant table `name` and of all that it points to; see `ConvolveTable.to_c`."""
        near, starts, counts, step, _ = self.reading
        means = ", ".join(
            f"{{{factor}, {start}, {count}}}"
            for factor, start, count in zip(self.factors.tolist(), starts.tolist(), counts.tolist(), strict=True)
        )
        fields = {
            "layers": f"&{name}_stack", "exponentials": f"{name}_exponentials", "near": f"{name}_near",
            "means": f"{name}_means", "gain": self.gain, "leak": self.leak,
            "knees": f"{{{self.knees[0]}, {self.knees[1]}}}", "code": self.code[0], "odds": self.odds[0],
            "odds_limit": self.odds_limit, "n_exponentials": len(self.exponentials), "n_rows": self.n_rows,
            "ahead": self.ahead, "early": self.early, "code_shift": self.code[1], "odds_shift": self.odds[1],
            "slope": self.slope, "stride": self.stride, "step": step, "n_classes": self.n_classes,
            "n_near": len(near), "n_means": len(starts), "nothing": self.nothing, "one": self.one,
        }  # fmt: skip
        rows = "".join(f"    .{field} = {value},\n" for field, value in fields.items())
        return "\n".join(
            [
                self.layers.to_c(f"{name}_stack", profile=profile),
                c_array("uint16_t", f"{name}_exponentials", self.exponentials),
                c_array("int16_t", f"{name}_near", near),
                f"static const mh_network_mean_t {name}_means[{len(starts)}] = {{{means}}};\n",
                f"static const mh_network_table_t {name} = {{\n{rows}}};\n",
            ]
        )


class NetworkTwin:
    """Outputs of one stretch and what they say, as the C has them; made by `NetworkTable.open`.

    Attributes
    ----------
    position : int
        Samples so far.
    n_outputs : int
        Outputs so far. All are kept here, where the C keeps `NetworkTable.n_rows`.
    """

    def __init__(self, table: NetworkTable) -> None:
        self._table = table
        self._stream = table.layers.open()
        self._before = np.zeros(table.slope, np.int64)
        self._filtered = 0
        self._early = table.early
        self._logits: list[NDArray[np.int8]] = []
        self.position = 0
        self.n_outputs = 0

    def push(self, samples: ArrayLike, scales: ArrayLike) -> None:
        """Take the next samples in ADC units, int16, and the running scale at each, Q24.8 and below 2^25."""
        from mhealth._kernels._fixed_network import network_inputs

        table = self._table
        line = np.concatenate([self._before, np.asarray(samples, np.int64)])
        inputs = np.empty((len(line) - table.slope, 3), np.int8)
        self._filtered = network_inputs(
            line, np.asarray(scales, np.int64), self.position, self._filtered, table.gain, table.leak,
            np.array(table.knees), *table.code, table.nothing, table.one, table.slope, inputs,
        )  # fmt: skip
        self._before = line[len(line) - table.slope :]
        self.position += len(inputs)
        self._advance(inputs)

    def drain(self) -> None:
        """End the stretch: go on with nothing until all samples have outputs."""
        while self.n_outputs * self._table.stride < self.position:
            self._advance(np.full((1, 3), self._table.nothing, np.int8))

    def _advance(self, inputs: NDArray[np.int8]) -> None:
        logits = self._stream.push(inputs)
        early = min(self._early, len(logits))
        self._early -= early
        self._logits.append(logits[early:])
        self.n_outputs += len(logits) - early

    @property
    def logits(self) -> NDArray[np.int8]:
        """All outputs so far, shape (n_outputs, 1 + n_classes)."""
        self._logits = [np.concatenate([np.empty((0, self._table.n_classes + 1), np.int8), *self._logits])]
        return self._logits[0]

    @property
    def probabilities(self) -> NDArray[np.uint8]:
        """How probable each class but the first is at each output, in parts of 255, shape (n_outputs, n_classes)."""
        from mhealth._kernels._fixed_network import network_probabilities

        found = np.empty((self.n_outputs, self._table.n_classes), np.uint8)
        network_probabilities(self.logits.astype(np.int64), self._table.exponentials, found)
        return found

    def knows(self, position: int) -> bool:
        """Return whether all outputs are there that describe a candidate."""
        return self.n_outputs - position // self._table.stride > self._table.ahead

    def describe(self, positions: ArrayLike) -> NDArray[np.int16]:
        """Return what outputs say around candidates, Q4.11, shape (n_positions, n_dense)."""
        from mhealth._kernels._fixed_network import describe_network

        table, at = self._table, np.asarray(positions, np.int64)
        near, starts, counts, step, _ = table.reading
        dense = np.zeros((len(at), table.n_dense), np.int16)
        if self.n_outputs:
            describe_network(
                self.logits.astype(np.int64), self.probabilities.astype(np.int64), at, table.stride, near, starts,
                counts, table.factors, step, *table.odds, table.odds_limit, dense,
            )  # fmt: skip
        return dense
