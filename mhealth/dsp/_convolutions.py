"""Stacks of causal convolutions with state, in floating point or in whole numbers: small networks, sample by sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.errors import InvalidParameterError, InvalidSignalError

__all__ = [
    "Convolution",
    "ConvolutionStream",
    "Convolutions",
    "Quantization",
    "QuantizedAddition",
    "QuantizedConvolution",
    "quantized_multiplier",
]

_BLOCK = 256
"""Outputs that are computed together: long loops over time, and a workspace that stays in the cache."""


class Quantization(NamedTuple):
    """How numbers are written in int8: as number / scale + zero_point, rounded, from −128 to 127.

    Attributes
    ----------
    scale : float
    zero_point : int
        What stands for 0.
    """

    scale: float
    zero_point: int

    def encode(self, numbers: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return numbers in int8."""
        return np.clip(np.round(numbers / np.float32(self.scale)) + self.zero_point, -128, 127).astype(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the numbers that int8 stands for."""
        return (codes.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


def quantized_multiplier(factor: float) -> tuple[int, int]:
    """Return a factor as multiplier · 2^(shift − 31), the multiplier having 31 bits, as LiteRT does.

    Parameters
    ----------
    factor : float
        Positive.

    Returns
    -------
    multiplier, shift : int
        Both 0 for a factor so small that nothing would be left.
    """
    mantissa, shift = math.frexp(factor)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


class _Layer(ABC):
    """What layers have in common, whatever their numbers."""

    NUMBER: ClassVar[type[np.generic]]

    weights: NDArray
    stride: int
    dilation: int
    padded: bool

    @property
    def n_taps(self) -> int:
        """Inputs that an output depends on."""
        return self.weights.shape[0]

    @property
    def n_held(self) -> int:
        """Inputs before the newest one that a stream keeps."""
        return (self.n_taps - 1) * self.dilation

    @property
    def n_skipped(self) -> int:
        """Inputs before the one that completes the first output."""
        return 0 if self.padded else self.n_held

    @property
    @abstractmethod
    def shortcut(self) -> int | None:
        """Index of the layer whose outputs are added to these."""

    @property
    @abstractmethod
    def silence(self) -> int:
        """What stands for 0 among its inputs: they were so before the first."""

    @abstractmethod
    def run(self, line: NDArray, first: int, count: int) -> NDArray:
        """Return outputs, shape (n_outputs, count), of a line of inputs; the first depends on those from `first` on."""

    @abstractmethod
    def add(self, outputs: NDArray, others: NDArray) -> None:
        """Add the outputs of the shortcut's layer, in place."""

    def _check_weights(self) -> None:
        if self.weights.ndim != 3 or not self.weights.size or self.weights.dtype != self.NUMBER:
            raise InvalidParameterError(
                f"weights have shape {self.weights.shape} and type {self.weights.dtype}; expected "
                f"(n_taps, n_inputs, n_outputs), none of them 0, and {np.dtype(self.NUMBER)}."
            )
        if self.stride < 1 or self.dilation < 1:
            raise InvalidParameterError(f"stride={self.stride} and dilation={self.dilation} must be at least 1.")

    def _check_outputs(self, name: str, values: NDArray, kind: type[np.generic]) -> None:
        if values.shape != self.weights.shape[2:] or values.dtype != kind:
            raise InvalidParameterError(
                f"{name} has shape {values.shape} and type {values.dtype}; expected one {np.dtype(kind)} for each of "
                f"{self.weights.shape[2]} outputs."
            )

    @cached_property
    def _rows(self) -> NDArray:
        """The weights as kernels take them."""
        n_used, n_outputs = self.n_taps * self.weights.shape[1], self.weights.shape[2]
        rows = np.zeros((n_outputs, -(-n_used // 4) * 4), self.NUMBER)
        rows[:, :n_used] = self.weights.reshape(n_used, n_outputs).T
        return rows

    def _workspace(self, count: int) -> tuple[NDArray, NDArray]:
        """Return room for the inputs of a block of outputs, and for all outputs."""
        n_outputs, n_rows = self._rows.shape
        return np.zeros((n_rows, min(max(count, 1), _BLOCK)), self.NUMBER), np.empty((n_outputs, count), self.NUMBER)


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(_Layer):
    """A causal convolution over time: output j is about inputs up to j · stride.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_taps, n_inputs, n_outputs)
        The last tap is that of the newest input.
    bias : ndarray of float32, shape (n_outputs,)
    stride : int
        Inputs from one output to the next.
    dilation : int
        Inputs from one tap to the next.
    padded : bool
        Whether all was 0 before the first input; else the first output waits for an input for each of its taps.
    relu : bool
        Whether negative outputs become 0.
    shortcut : int, optional
        Index in the stack of an earlier layer of the same rate whose outputs are then added.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int = 1
    dilation: int = 1
    padded: bool = True
    relu: bool = False
    shortcut: int | None = None

    NUMBER = np.float32

    def __post_init__(self) -> None:
        """Check shapes, types and values."""
        self._check_weights()
        self._check_outputs("bias", self.bias, np.float32)
        if not np.isfinite(self.weights).all() or not np.isfinite(self.bias).all():
            raise InvalidParameterError("weights and bias must be finite.")

    @property
    def silence(self) -> int:
        """Zero."""
        return 0

    def run(self, line: NDArray, first: int, count: int) -> NDArray:
        """Return outputs, see `_Layer`."""
        from mhealth._kernels._convolutions import convolve

        columns, out = self._workspace(count)
        convolve(line, first, self._rows, self.bias, self.n_taps, self.stride, self.dilation, self.relu, columns, out)
        return out

    def add(self, outputs: NDArray, others: NDArray) -> None:
        """Add in place."""
        outputs += others


class QuantizedAddition(NamedTuple):
    """How the outputs of an earlier layer are added to those of a layer in int8.

    Attributes
    ----------
    layer : int
        Index of the earlier one in the stack.
    zero_points, multipliers, shifts : tuple of int
        Of the layer's own outputs, of the others, and of the sums. Both kinds of outputs, less their zero points and
        with 20 bits more, are brought to a common scale, added, and brought to that of the sums.
    bounds : tuple of int
        Of the sums.
    """

    layer: int
    zero_points: tuple[int, int, int]
    multipliers: tuple[int, int, int]
    shifts: tuple[int, int, int]
    bounds: tuple[int, int] = (-128, 127)


@dataclass(frozen=True, eq=False, kw_only=True)
class QuantizedConvolution(_Layer):
    """A causal convolution in whole numbers, with the arithmetic of LiteRT's reference kernels [1]_, to the bit.

    Products of int8 weights and inputs less their zero point are summed in int32 with the bias, multiplied by
    multiplier · 2^(shift − 31), rounded, put above the zero point of the outputs and cut at the bounds.

    Parameters
    ----------
    weights : ndarray of int8, shape (n_taps, n_inputs, n_outputs)
        The last tap is that of the newest input.
    bias : ndarray of int32, shape (n_outputs,)
    multipliers, shifts : ndarray of int32, shape (n_outputs,)
        From `quantized_multiplier`: scale of the inputs · scale of the output's weights / scale of the outputs.
    zero_points : tuple of int
        Of inputs and outputs.
    bounds : tuple of int
        Of the outputs: ReLU is a lower bound at the zero point.
    stride, dilation : int
    padded : bool
        As in `Convolution`.
    rounded_once : bool
        Whether the product is rounded once, halves away from zero, as LiteRT does in dense layers; else twice.
    addition : QuantizedAddition, optional
        The earlier layer whose outputs are then added.

    References
    ----------
    .. [1] Jacob et al. (2018). Quantization and training of neural networks for efficient integer-arithmetic-only
       inference. CVPR. https://arxiv.org/abs/1712.05877
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multipliers: NDArray[np.int32]
    shifts: NDArray[np.int32]
    zero_points: tuple[int, int]
    bounds: tuple[int, int] = (-128, 127)
    stride: int = 1
    dilation: int = 1
    padded: bool = True
    rounded_once: bool = False
    addition: QuantizedAddition | None = None

    NUMBER = np.int8

    def __post_init__(self) -> None:
        """Check shapes, types and ranges: no sum may overflow."""
        self._check_weights()
        for name in ("bias", "multipliers", "shifts"):
            self._check_outputs(name, getattr(self, name), np.int32)
        of_addition = self.addition or QuantizedAddition(0, (0, 0, 0), (0, 0, 0), (0, 0, 0))
        for name, numbers in (
            ("zero_points", (*self.zero_points, *of_addition.zero_points)),
            ("bounds", (*self.bounds, *of_addition.bounds)),
        ):
            if not all(-128 <= number <= 127 for number in numbers):
                raise InvalidParameterError(f"{name}={numbers} must be from -128 to 127, as int8.")
        multipliers = [*self.multipliers.tolist(), *of_addition.multipliers]
        shifts = [*self.shifts.tolist(), *of_addition.shifts]
        largest = 255 * np.abs(self.weights.astype(np.int64)).sum(axis=(0, 1)) + np.abs(self.bias.astype(np.int64))
        most = float((largest * np.exp2(np.maximum(self.shifts, 0, dtype=np.float64))).max())
        if min(multipliers) < 0 or min(shifts) < -31 or max(shifts) > 30 or most >= 2**31:
            raise InvalidParameterError(
                f"multipliers from {min(multipliers)}, shifts from {min(shifts)} to {max(shifts)}, sums · 2^shift to "
                f"{most:.3g}: expected multipliers from 0, shifts from -31 to 30, and sums · 2^shift below 2^31."
            )
        if max(of_addition.shifts) > 0:
            raise InvalidParameterError(f"shifts={of_addition.shifts} of an addition must not be positive.")

    @property
    def shortcut(self) -> int | None:
        """Index of the layer whose outputs are added."""
        return None if self.addition is None else self.addition.layer

    @property
    def silence(self) -> int:
        """Zero point of the inputs."""
        return self.zero_points[0]

    @cached_property
    def folded(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Bias less what the inputs' zero point adds, multipliers and shifts, as kernels take them."""
        offset = self.zero_points[0] * self.weights.sum(axis=(0, 1), dtype=np.int32)
        return (self.bias - offset).astype(np.int32), self.multipliers.astype(np.int64), self.shifts.astype(np.int64)

    def run(self, line: NDArray, first: int, count: int) -> NDArray:
        """Return outputs, see `_Layer`."""
        from mhealth._kernels._convolutions import convolve_quantized

        columns, out = self._workspace(count)
        convolve_quantized(
            line, first, self._rows, *self.folded, self.n_taps, self.stride, self.dilation, self.zero_points[1],
            *self.bounds, self.rounded_once, columns, np.empty(columns.shape[1], np.int32), out,
        )  # fmt: skip
        return out

    def add(self, outputs: NDArray, others: NDArray) -> None:
        """Add in place."""
        from mhealth._kernels._convolutions import add_quantized

        assert self.addition is not None
        numbers = np.array([self.addition.zero_points, self.addition.multipliers, self.addition.shifts], np.int64)
        add_quantized(outputs, others, *numbers, *self.addition.bounds)


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolutions:
    """A stack of causal convolutions, each on the outputs of the one before.

    Parameters
    ----------
    layers : tuple of Convolution or QuantizedConvolution
        All of one kind.
    inputs, outputs : Quantization, optional
        What whole numbers at both ends stand for.

    Notes
    -----
    Output j is complete with input j · stride; before the first input all is 0. Layers that are not `padded` skip the
    first inputs. State: for each layer the latest
    (n_taps − 1) · dilation inputs, which compiled C keeps as a ring.

    Examples
    --------
    >>> weights = np.ones((2, 1, 1), np.float32)  # x[t] + x[t − 3], every second t
    >>> layer = Convolution(weights=weights, bias=np.zeros(1, np.float32), stride=2, dilation=3)
    >>> Convolutions(layers=(layer,)).open().push([[1.0], [2.0], [3.0], [4.0], [5.0]]).ravel()
    array([1., 3., 7.], dtype=float32)
    """

    layers: tuple[Convolution | QuantizedConvolution, ...]
    inputs: Quantization | None = None
    outputs: Quantization | None = None

    def __post_init__(self) -> None:
        """Check that the layers fit together."""
        if not self.layers or len({layer.NUMBER for layer in self.layers}) > 1:
            raise InvalidParameterError(
                f"layers={[type(layer).__name__ for layer in self.layers]} must be at least one, all of one kind."
            )
        for k, layer in enumerate(self.layers):
            width = layer.weights.shape
            if k and width[1] != self.layers[k - 1].weights.shape[2]:
                raise InvalidParameterError(
                    f"layer {k} takes {width[1]} numbers, the one before gives {self.layers[k - 1].weights.shape[2]}."
                )
            of = layer.shortcut
            if of is None:
                continue
            between = self.layers[of + 1 : k + 1]
            if (
                not 0 <= of < k
                or self.layers[of].weights.shape[2] != width[2]
                or any(layer.stride > 1 or layer.n_skipped for layer in between)
            ):
                raise InvalidParameterError(
                    f"layer {k} adds the outputs of layer {of}; that must be an earlier one of the same rate and width "
                    "(and of the same first output)."
                )

    def _stride(self, before: int, last: int) -> int:
        """Return how many outputs of one layer lie between two of a later one."""
        return math.prod(layer.stride for layer in self.layers[before + 1 : last + 1])

    @property
    def stride(self) -> int:
        """Inputs from one output to the next."""
        return self._stride(-1, len(self.layers))

    @property
    def reach(self) -> int:
        """Inputs before the newest one that an output depends on."""
        return sum(layer.n_held * self._stride(-1, k - 1) for k, layer in enumerate(self.layers))

    def open(self) -> ConvolutionStream:
        """Return a stream before the first input."""
        return ConvolutionStream(self)


class ConvolutionStream:
    """A stack at work; made by `Convolutions.open`. Nothing waits in it, so there is nothing to flush.

    Notes
    -----
    State: the latest inputs of each layer, and how many are to come before its next output.
    """

    def __init__(self, stack: Convolutions) -> None:
        self._layers = stack.layers
        self._held = [np.full((x.weights.shape[1], x.n_held), x.silence, x.NUMBER) for x in stack.layers]
        self._wait = [layer.n_skipped for layer in stack.layers]
        self._last_use = {layer.shortcut: k for k, layer in enumerate(stack.layers) if layer.shortcut is not None}

    def push(self, inputs: ArrayLike) -> NDArray:
        """Take the next inputs and return the outputs that are complete now.

        Parameters
        ----------
        inputs : array_like of float32 or int8, as the layers have it, shape (n, n_inputs)
            May be empty.

        Returns
        -------
        outputs : ndarray of float32 or int8, shape (m, n_outputs)

        Raises
        ------
        InvalidSignalError
            If the inputs have another shape, or int8 is expected and they are something else.
        """
        first = self._layers[0]
        given = np.asarray(inputs)
        if given.ndim != 2 or given.shape[1] != first.weights.shape[1]:
            raise InvalidSignalError(
                f"inputs have shape {given.shape}; expected (n, {first.weights.shape[1]}), time along the first axis."
            )
        if not np.can_cast(given.dtype, first.NUMBER, "same_kind" if first.NUMBER is np.float32 else "no"):
            raise InvalidSignalError(f"inputs are {given.dtype}; expected {np.dtype(first.NUMBER)}.")
        passed = np.ascontiguousarray(given.T, first.NUMBER)
        kept: dict[int, NDArray] = {}  # no longer than they are needed: memory that is used again stays in the cache
        for k, layer in enumerate(self._layers):
            passed = self._advance(k, passed)
            if layer.shortcut is not None:
                layer.add(passed, kept[layer.shortcut])
                if self._last_use[layer.shortcut] == k:
                    del kept[layer.shortcut]
            if k in self._last_use:
                kept[k] = passed
        return passed.T

    def _advance(self, k: int, inputs: NDArray) -> NDArray:
        """Return the outputs of layer `k` that its next inputs, shape (n_inputs, n), complete."""
        layer, wait, n = self._layers[k], self._wait[k], inputs.shape[1]
        count = max(0, -((wait - n) // layer.stride))
        line = np.concatenate([self._held[k], inputs], axis=1)
        self._held[k] = line[:, n:].copy()
        self._wait[k] = wait + count * layer.stride - n
        return layer.run(line, wait, count)
