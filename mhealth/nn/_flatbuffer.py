"""LiteRT graphs, read from their flatbuffers without LiteRT: tensors, and what is done with them. Nothing is run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.errors import ModelFileError

__all__ = ["Graph", "Operator", "Tensor", "read_graph"]

# From https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs: fields of a
# table are numbered in the order in which they stand there, and never renumbered.
_IDENTIFIER = b"TFL3"
_OPERATORS = {
    0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 9: "FULLY_CONNECTED", 22: "RESHAPE", 34: "PAD", 43: "SQUEEZE",
    70: "EXPAND_DIMS",
    # What networks of others hold, for messages.
    1: "AVERAGE_POOL_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL",
    19: "RELU", 21: "RELU6", 25: "SOFTMAX", 28: "TANH", 37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND",
    39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE", 65: "SLICE",
    67: "TRANSPOSE_CONV", 69: "TILE", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU", 114: "QUANTIZE",
}  # fmt: skip
_NUMBERS = {0: "<f4", 1: "<f2", 2: "<i4", 3: "<u1", 4: "<i8", 7: "<i2", 9: "<i1", 10: "<f8"}
# Field and kind of the options that count, by operator.
_OPTIONS = {
    "CONV_2D": {
        "padding": (0, "<b"),
        "stride_width": (1, "<i"),
        "stride_height": (2, "<i"),
        "activation": (3, "<b"),
        "dilation_width": (4, "<i"),
        "dilation_height": (5, "<i"),
    },
    "FULLY_CONNECTED": {"activation": (0, "<b"), "weights_format": (1, "<b")},
    "ADD": {"activation": (0, "<b")},
}
_DEFAULTS = {"dilation_width": 1, "dilation_height": 1}


class Tensor(NamedTuple):
    """A tensor of a graph.

    Attributes
    ----------
    shape : tuple of int
    number : str
        Name of its type, such as ``"float32"``.
    values : ndarray or None
        What it holds, if that is fixed.
    scales : ndarray of float32
        Of its quantisation, one, or one for each entry of `axis`; empty without quantisation.
    zero_points : ndarray of int64
    axis : int
    """

    shape: tuple[int, ...]
    number: str
    values: NDArray | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int


class Operator(NamedTuple):
    """Something that is done with tensors.

    Attributes
    ----------
    name : str
        As LiteRT calls it, or ``"operator N"`` for one that few networks have.
    inputs, outputs : tuple of int
        Indices of tensors, −1 for none.
    options : dict of str to int
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int]


@dataclass(frozen=True, eq=False)
class Graph:
    """What a flatbuffer says.

    Attributes
    ----------
    tensors : tuple of Tensor
    operators : tuple of Operator
        In the order in which they run.
    inputs, outputs : tuple of int
        Indices of tensors.
    """

    tensors: tuple[Tensor, ...] = field(repr=False)
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(content: bytes) -> Graph:
    """Read a LiteRT flatbuffer.

    Raises
    ------
    ModelFileError
        If it is damaged, or something else.
    """
    try:
        if content[4:8] != _IDENTIFIER:
            raise ValueError(f"it does not start with {_IDENTIFIER.decode()}")
        model = _Table(content, struct.unpack_from("<I", content)[0])
        (graph,) = model.tables(2)
        names = [_name(code) for code in model.tables(1)]
        buffers = [buffer.vector(0, "<u1") for buffer in model.tables(4)]
        return Graph(
            tensors=tuple(_tensor(table, buffers) for table in graph.tables(0)),
            operators=tuple(_operator(table, names) for table in graph.tables(3)),
            inputs=graph.indices(1),
            outputs=graph.indices(2),
        )
    except (LookupError, ValueError, struct.error) as error:
        raise ModelFileError(
            f"The network's graph cannot be read ({error}). Copy the file again, or train anew."
        ) from error


class _Table:
    """A table of a flatbuffer: a list of places at which its fields are, 0 for those left out."""

    def __init__(self, content: bytes, position: int) -> None:
        self._content, self._position = content, position
        self._fields = position - self._unpack("<i", position)
        self._n_fields = (self._unpack("<H", self._fields) - 4) // 2

    def _unpack(self, kind: str, position: int) -> int:
        if position < 0:
            raise ValueError("it points before its start")
        return struct.unpack_from(kind, self._content, position)[0]

    def _at(self, number: int) -> int:
        """Return where a field is, 0 if it is left out."""
        offset = self._unpack("<H", self._fields + 4 + 2 * number) if number < self._n_fields else 0
        return self._position + offset if offset else 0

    def number(self, number: int, kind: str, default: int = 0) -> int:
        """Return a number."""
        at = self._at(number)
        return self._unpack(kind, at) if at else default

    def vector(self, number: int, kind: str) -> NDArray:
        """Return a vector of numbers, empty if it is left out."""
        at = self._at(number)
        if not at:
            return np.empty(0, kind)
        at += self._unpack("<I", at)
        return np.frombuffer(self._content, kind, self._unpack("<I", at), at + 4)

    def indices(self, number: int) -> tuple[int, ...]:
        """Return a vector of indices."""
        return tuple(self.vector(number, "<i4").tolist())

    def table(self, number: int) -> _Table | None:
        """Return a table, None if it is left out."""
        at = self._at(number)
        return _Table(self._content, at + self._unpack("<I", at)) if at else None

    def tables(self, number: int) -> Iterator[_Table]:
        """Yield the tables of a vector."""
        offsets = self.vector(number, "<u4")
        at = self._at(number)
        first = at + self._unpack("<I", at) + 4 if len(offsets) else 0
        for k, offset in enumerate(offsets.tolist()):
            yield _Table(self._content, first + 4 * k + offset)


def _name(code: _Table) -> str:
    """Return what an operator is called: a byte in old files, an integer beside it in new ones."""
    number = max(code.number(0, "<b"), code.number(3, "<i"))
    return _OPERATORS.get(number, f"operator {number}")


def _tensor(table: _Table, buffers: list[NDArray]) -> Tensor:
    shape, number = table.indices(0), _NUMBERS.get(table.number(1, "<b"), "")
    content = buffers[table.number(2, "<I")]
    values = content.view(number).reshape(shape) if content.size and number else None
    quantization = table.table(4)
    return Tensor(
        shape=shape,
        number=np.dtype(number).name if number else "of another type",
        values=values,
        scales=quantization.vector(2, "<f4") if quantization else np.empty(0, np.float32),
        zero_points=quantization.vector(3, "<i8") if quantization else np.empty(0, np.int64),
        axis=quantization.number(6, "<i") if quantization else 0,
    )


def _operator(table: _Table, names: list[str]) -> Operator:
    name, options = names[table.number(0, "<I")], table.table(4)
    found = {
        option: options.number(number, kind, _DEFAULTS.get(option, 0))
        for option, (number, kind) in _OPTIONS.get(name, {}).items()
        if options
    }
    return Operator(name, table.indices(1), table.indices(2), found)
