"""From a LiteRT graph of causal convolutions to a stack that runs sample by sample."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mhealth.dsp import (
    Convolution,
    Convolutions,
    Quantization,
    QuantizedAddition,
    QuantizedConvolution,
    quantized_multiplier,
)
from mhealth.errors import ModelFileError
from mhealth.nn._flatbuffer import Graph, Operator, Tensor

__all__ = ["to_convolutions"]

_VALID = 1
_NONE, _RELU = 0, 1
_ADD_BITS = 20
"""Bits that LiteRT adds before it adds numbers of int8."""


class _Refused(ValueError):
    """What a stack cannot run."""


class _Source(NamedTuple):
    """Where a tensor comes from: a layer (−1 for the input of the graph), behind so many zeros of padding."""

    layer: int
    padded: int = 0


def to_convolutions(graph: Graph) -> Convolutions:
    """Return the layers of a graph of causal convolutions, dense layers and additions.

    Parameters
    ----------
    graph : Graph
        In float32, or in int8 throughout.

    Raises
    ------
    ModelFileError
        If it holds anything else.
    """
    try:
        return _Reading(graph).stack()
    except (ArithmeticError, LookupError, ValueError) as error:
        raise ModelFileError(
            f"The network's graph cannot run sample by sample: {error}. Expected convolutions that do not look ahead "
            "(PAD, CONV_2D), dense layers (FULLY_CONNECTED) and additions (ADD) of float32 or int8. Train anew."
        ) from error


class _Reading:
    """A graph, as far as it has been read."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._layers: list[Convolution | QuantizedConvolution] = []
        self._sources: dict[int, _Source] = {}

    def stack(self) -> Convolutions:
        """Return the layers."""
        graph = self._graph
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise _Refused(f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
        shape = self._tensor(graph.inputs[0]).shape
        if len(shape) < 2 or math.prod(shape[:-2]) != 1:
            raise _Refused(f"its input has shape {shape}")
        self._sources[graph.inputs[0]] = _Source(-1)
        read = {"ADD": self._add, "CONV_2D": self._convolve, "PAD": self._pad, "RESHAPE": self._reshape}
        read["EXPAND_DIMS"] = read["SQUEEZE"] = self._reshape
        read["FULLY_CONNECTED"] = self._connect
        for operator in graph.operators:
            if operator.name not in read:
                raise _Refused(f"it has {operator.name}")
            read[operator.name](operator)
        if self._source(graph.outputs[0]) != _Source(len(self._layers) - 1):
            raise _Refused("its output is not that of its last layer")
        ends = self._tensor(graph.inputs[0]), self._tensor(graph.outputs[0])
        inputs, outputs = (_quantization(end) if end.number == "int8" else None for end in ends)
        return Convolutions(layers=tuple(self._layers), inputs=inputs, outputs=outputs)

    def _tensor(self, index: int) -> Tensor:
        if index < 0:
            raise _Refused("a tensor is missing")
        return self._graph.tensors[index]

    def _values(self, index: int) -> NDArray:
        values = self._tensor(index).values
        if values is None:
            raise _Refused("something that must be fixed is computed")
        return np.array(values)  # aligned, as the file need not be

    def _source(self, index: int) -> _Source:
        if index not in self._sources:
            raise _Refused("a tensor is not computed before it is used")
        return self._sources[index]

    def _reshape(self, operator: Operator) -> None:
        """Follow a tensor to another number of dimensions."""
        before, after = self._tensor(operator.inputs[0]), self._tensor(operator.outputs[0])
        if before.shape[-2:] != after.shape[-2:] or np.prod(before.shape[:-2]) != 1:
            raise _Refused(f"{operator.name} from {before.shape} to {after.shape} moves numbers")
        self._sources[operator.outputs[0]] = self._source(operator.inputs[0])

    def _pad(self, operator: Operator) -> None:
        """Follow a tensor behind zeros."""
        source, amounts = self._source(operator.inputs[0]), self._values(operator.inputs[1]).tolist()
        before = amounts[-2][0]
        if amounts != [*[[0, 0]] * (len(amounts) - 2), [before, 0], [0, 0]] or source.padded:
            raise _Refused(f"PAD by {amounts} is not causal")
        ends = self._tensor(operator.inputs[0]), self._tensor(operator.outputs[0])
        if ends[0].number == "int8" and _quantization(ends[0]) != _quantization(ends[1]):
            raise _Refused("PAD changes the scale")
        self._sources[operator.outputs[0]] = source._replace(padded=before)

    def _convolve(self, operator: Operator) -> None:
        """Take a convolution."""
        padded, options = self._source(operator.inputs[0]).padded, operator.options
        filters, n_taps = self._values(operator.inputs[1]), self._tensor(operator.inputs[1]).shape[-2]
        if filters.ndim != 4 or filters.shape[1] != 1:
            raise _Refused(f"CONV_2D has filters of shape {filters.shape}")
        dilation = options["dilation_width"]
        if padded not in (0, (n_taps - 1) * dilation) or (n_taps > 1 and options["padding"] != _VALID):
            raise _Refused(f"CONV_2D of {n_taps} taps, {dilation} apart, behind {padded} zeros is not causal")
        weights = np.ascontiguousarray(filters[:, 0].transpose(1, 2, 0))
        self._weigh(
            operator, weights, stride=options["stride_width"], dilation=dilation, padded=padded > 0 or n_taps == 1
        )

    def _connect(self, operator: Operator) -> None:
        """Take a dense layer: a convolution of one tap."""
        weights = self._values(operator.inputs[1])
        if operator.options["weights_format"] or weights.ndim != 2:
            raise _Refused(f"FULLY_CONNECTED has weights of shape {weights.shape} in another format than the usual one")
        if self._tensor(operator.inputs[0]).shape[-1] != weights.shape[1] or self._source(operator.inputs[0]).padded:
            raise _Refused("FULLY_CONNECTED takes more than one moment")
        self._weigh(operator, np.ascontiguousarray(weights.T)[None], stride=1, dilation=1, padded=True)

    def _weigh(self, operator: Operator, weights: NDArray, **geometry: Any) -> None:
        """Take a layer of such weights, shape (n_taps, n_inputs, n_outputs), and such stride, dilation and padding."""
        name, activation = operator.name, operator.options["activation"]
        inputs, outputs = self._tensor(operator.inputs[0]), self._tensor(operator.outputs[0])
        if self._source(operator.inputs[0]).layer != len(self._layers) - 1:
            raise _Refused(f"{name} takes other outputs than those of the layer before")
        if activation not in (_NONE, _RELU):
            raise _Refused(f"{name} has activation {activation}")
        is_float, relu = inputs.number == "float32", activation == _RELU
        if name == "CONV_2D" or operator.inputs[2:] not in ((), (-1,)):
            bias = self._values(operator.inputs[2])
        else:
            bias = np.zeros(weights.shape[2], np.float32 if is_float else np.int32)
        if is_float:
            self._append(operator, Convolution(weights=weights, bias=bias, relu=relu, **geometry))
            return
        scaled, (before, after) = self._tensor(operator.inputs[1]), (_quantization(inputs), _quantization(outputs))
        if scaled.zero_points.any() or scaled.axis != 0 or len(scaled.scales) not in (1, len(bias)):
            raise _Refused(f"{name} has filters with zero points, or with scales of something else than outputs")
        if not np.isfinite(scaled.scales).all():
            raise _Refused(f"{name} has filters without scales")
        factors = before.scale * np.broadcast_to(scaled.scales.astype(np.float64), len(bias)) / after.scale
        multipliers, shifts = np.array([quantized_multiplier(factor) for factor in factors.tolist()], np.int32).T
        layer = QuantizedConvolution(
            weights=weights,
            bias=bias,
            multipliers=multipliers,
            shifts=shifts,
            zero_points=(before.zero_point, after.zero_point),
            bounds=(after.zero_point if relu else -128, 127),
            rounded_once=name == "FULLY_CONNECTED",
            **geometry,
        )
        self._append(operator, layer)

    def _append(self, operator: Operator, layer: Convolution | QuantizedConvolution) -> None:
        self._layers.append(layer)
        self._sources[operator.outputs[0]] = _Source(len(self._layers) - 1)

    def _add(self, operator: Operator) -> None:
        """Let the last layer add the outputs of another one."""
        ends = sorted(operator.inputs, key=lambda index: -self._source(index).layer)
        own, other = (self._source(index) for index in ends)
        layer = self._layers[own.layer] if self._layers else None
        if layer is None or layer.shortcut is not None or own != _Source(len(self._layers) - 1) or other.padded:
            raise _Refused("ADD takes other tensors than the outputs of the last layer and of one before it")
        if operator.options["activation"] != _NONE:
            raise _Refused(f"ADD has activation {operator.options['activation']}")
        # From here on the last layer gives the sum: nothing may take what it gave before.
        self._sources = {index: source for index, source in self._sources.items() if source.layer != own.layer}
        self._sources[operator.outputs[0]] = own
        if isinstance(layer, Convolution):
            self._layers[-1] = replace(layer, shortcut=other.layer)
            return
        tensors = [self._tensor(index) for index in (*ends, operator.outputs[0])]
        of_own, of_other, of_sum = (_quantization(tensor) for tensor in tensors)
        common = 2 * max(of_own.scale, of_other.scale)
        factors = of_own.scale / common, of_other.scale / common, common / (2**_ADD_BITS * of_sum.scale)
        multipliers, shifts = zip(*(quantized_multiplier(factor) for factor in factors), strict=True)
        zero_points = of_own.zero_point, of_other.zero_point, of_sum.zero_point
        addition = QuantizedAddition(other.layer, zero_points, multipliers, shifts)
        self._layers[-1] = replace(layer, addition=addition)


def _quantization(tensor: Tensor) -> Quantization:
    """Return the one scale and zero point of a tensor of int8."""
    scales, zero_points = tensor.scales.tolist(), tensor.zero_points.tolist()
    if tensor.number != "int8" or len(scales) != 1 or len(zero_points) != 1 or not 0 < scales[0] < math.inf:
        raise _Refused(f"a tensor of {tensor.number} has scales {scales} and zero points {zero_points}")
    return Quantization(scales[0], zero_points[0])
