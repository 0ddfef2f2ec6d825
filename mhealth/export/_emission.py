"""The emission in whole numbers: quantised layers, for the twin and for C."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_array
from mhealth.export._codes import Codes
from mhealth.export._windows import packed

if TYPE_CHECKING:
    from mhealth.labeling._model import Model

__all__ = ["DENSE_BITS", "HIDDEN_BITS", "POTENTIAL_BITS", "EmissionTable", "EmissionTwin", "LayerTable", "Outputs"]

DENSE_BITS, CODE_BITS, HIDDEN_BITS, POTENTIAL_BITS = 11, 12, 10, 8
"""Bits after the point of each kind of number; all have 16."""

_MOST_ROWS = 511


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTable:
    """A layer as ``mh_layer_t`` has it.

    Parameters
    ----------
    weights : ndarray of int8, shape (n_rows, n_columns)
        Each column times a number of its own, so that its largest value is 127.
    multipliers : ndarray of int32, shape (n_columns,)
        Sums times these / 2^32 are in the format of the layer's outputs.
    """

    weights: NDArray[np.int8]
    multipliers: NDArray[np.int32]

    @classmethod
    def of(cls, weights: NDArray[np.floating], *, bits: int) -> LayerTable:
        """Return the table of a layer.

        Parameters
        ----------
        weights : ndarray of floats, shape (n_rows, n_columns)
        bits : int
            Bits that the outputs have more after the point than the inputs.

        Raises
        ------
        InvalidParameterError
            If it has too many rows or too large weights.
        """
        exact = weights.astype(np.float64)
        step = np.maximum(np.abs(exact).max(axis=0, initial=0.0), 2.0**-20) / 127
        multipliers = np.rint(step * 2.0 ** (32 + bits))
        if multipliers.max() >= 2**31:
            raise InvalidParameterError(
                f"A layer has weights up to {np.abs(exact).max():g}, too large to be exported. Train with more decay."
            )
        return cls(weights=np.rint(exact / step).astype(np.int8), multipliers=multipliers.astype(np.int32))

    def error(self, weights: NDArray[np.floating], *, bits: int) -> float:
        """Return the rounding error of the weights: the norm of the difference, as a share of theirs."""
        restored = self.weights * (self.multipliers / 2.0 ** (32 + bits))
        return float(np.linalg.norm(restored - weights)) / max(float(np.linalg.norm(weights)), 1e-30)


class Outputs(NamedTuple):
    """What the emission says of candidates.

    Attributes
    ----------
    potentials : ndarray of int16, shape (n, 4 · n_states)
        Inside, onset, offset and middle, each of all states, in 1/256 nat.
    shifts : ndarray of int8, shape (n, 2 · n_states)
        How far onset and offset of each state lie from the candidate, in samples at the internal rate.
    """

    potentials: NDArray[np.int16]
    shifts: NDArray[np.int8]


@dataclass(frozen=True, eq=False, kw_only=True)
class EmissionTable:
    """The emission of a model as ``mh_emission_table_t`` has it.

    Parameters
    ----------
    of_dense, of_codes, second, last : LayerTable
    threshold, second_threshold : ndarray of int16
        Q5.10.
    bias : ndarray of int16
        Q7.8; of shifts in 1/256 sample.
    farthest : int
        Samples by which an edge lies off its candidate at most.
    """

    of_dense: LayerTable
    of_codes: LayerTable
    threshold: NDArray[np.int16]
    second: LayerTable
    second_threshold: NDArray[np.int16]
    last: LayerTable
    bias: NDArray[np.int16]
    farthest: int

    @classmethod
    def of(cls, model: Model) -> EmissionTable:
        """Return the table of a model.

        Raises
        ------
        InvalidParameterError
            If it is larger than whole numbers of 16 and 32 bits allow.
        """
        emission, task = model.emission, model.task
        if max(emission.of_dense.shape[0], *emission.second.shape) > _MOST_ROWS:
            raise InvalidParameterError(
                f"An emission with layers of {' and '.join(map(str, emission.second.shape))} codes above "
                f"{emission.of_dense.shape[0]} numbers cannot be exported; expected at most {_MOST_ROWS} each."
            )
        return cls(
            **{name: LayerTable.of(weights, bits=bits) for name, (weights, bits) in _layers(model).items()},
            threshold=_int16(emission.threshold, HIDDEN_BITS),
            second_threshold=_int16(emission.second_threshold, HIDDEN_BITS),
            bias=_int16(emission.bias * _in_samples(model), POTENTIAL_BITS),
            farthest=round(task.farthest_edge * task.front_end.rate),
        )

    def errors(self, model: Model) -> dict[str, float]:
        """Return the rounding error of each layer's weights: the norm of the difference, as a share of theirs."""
        layers = _layers(model).items()
        return {name: getattr(self, name).error(weights, bits=bits) for name, (weights, bits) in layers}

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.bias) // 6

    def open(self) -> EmissionTwin:
        """Return the twin of the C."""
        return EmissionTwin(self)

    def to_c(self, name: str) -> str:
        """Return the C definition of ``static const mh_emission_table_t NAME`` and of what it points to."""
        parts, members = [], []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, LayerTable):
                n_rows, n_columns = value.weights.shape
                weights, multipliers = f"{name}_{field.name}", f"{name}_{field.name}_multipliers"
                if n_rows:
                    parts.append(c_array("uint32_t", weights, packed(value.weights)))
                    parts.append(c_array("int32_t", multipliers, value.multipliers))
                else:
                    weights = multipliers = "NULL"
                members.append(
                    f"    .{field.name} = {{.weights = {weights}, .multipliers = {multipliers}, .n_rows = {n_rows}, "
                    f".n_columns = {n_columns}}}"
                )
            elif isinstance(value, np.ndarray):
                parts.append(c_array("int16_t", f"{name}_{field.name}", value))
                members.append(f"    .{field.name} = {name}_{field.name}")
        members += [f"    .n_states = {self.n_states}", f"    .farthest = {self.farthest}"]
        rows = ",\n".join(members)
        return "\n".join([*parts, f"static const mh_emission_table_t {name} = {{\n{rows}\n}};\n"])


def _in_samples(model: Model) -> NDArray[np.float64]:
    """Return what outputs are multiplied by, so that shifts are in samples at the internal rate."""
    unit = model.task.shift_unit * model.task.front_end.rate
    return np.repeat([1.0, unit], [4 * model.emission.n_states, 2 * model.emission.n_states])


def _layers(model: Model) -> dict[str, tuple[NDArray[np.floating], int]]:
    """Return the weights of each layer, and the bits that its outputs have more after the point than its inputs."""
    emission = model.emission
    return {
        "of_dense": (emission.of_dense, HIDDEN_BITS - DENSE_BITS),
        "of_codes": (emission.of_codes, HIDDEN_BITS - CODE_BITS),
        "second": (emission.second, 0),
        "last": (emission.last * _in_samples(model), POTENTIAL_BITS - HIDDEN_BITS),
    }


def _int16(values: NDArray[np.floating], bits: int) -> NDArray[np.int16]:
    """Return numbers with so many bits after the point.

    Raises
    ------
    InvalidParameterError
        If one does not fit.
    """
    rounded = np.rint(values.astype(np.float64) * 2.0**bits)
    if np.abs(rounded).max(initial=0.0) > 2**15 - 1:
        raise InvalidParameterError(
            f"A threshold or bias of {np.abs(values).max():g} does not fit 16 bits with {bits} after the point."
        )
    return rounded.astype(np.int16)


class EmissionTwin:
    """What the C computes of coded candidates.

    Parameters
    ----------
    table : EmissionTable

    Attributes
    ----------
    saturated : ndarray of int64, shape (3,)
        First codes, second codes and potentials so far that did not fit 16 bits.
    """

    def __init__(self, table: EmissionTable) -> None:
        self._table = table
        self._arrays: list[NDArray[np.int64]] = []
        for field in fields(table):
            value = getattr(table, field.name)
            if isinstance(value, LayerTable):
                self._arrays += [value.weights.astype(np.int64), value.multipliers.astype(np.int64)]
            elif isinstance(value, np.ndarray):
                self._arrays.append(value.astype(np.int64))
        self.saturated = np.zeros(3, np.int64)

    def push(self, dense: NDArray[np.int16], codes: Codes) -> Outputs:
        """Return the outputs of candidates.

        Parameters
        ----------
        dense : ndarray of int16, shape (n, n_dense)
            Numbers of the context, Q4.11.
        codes : Codes
            Without columns if the model has no windows.
        """
        from mhealth._kernels._fixed_emission import emit_fixed

        table = self._table
        potentials = np.empty((len(dense), 4 * table.n_states), np.int16)
        shifts = np.empty((len(dense), 2 * table.n_states), np.int8)
        self.saturated += emit_fixed(
            dense.astype(np.int64), codes.columns.astype(np.int64), codes.values.astype(np.int64), *self._arrays,
            table.farthest, potentials, shifts,
        )  # fmt: skip
        return Outputs(potentials, shifts)
