"""Causal int8 convolutions as tables and kernels for ``runtime/mh_convolve.c``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mhealth.dsp import Convolutions, ConvolutionStream, QuantizedAddition, QuantizedConvolution
from mhealth.errors import InvalidParameterError

__all__ = ["ConvolveTable", "c_array"]

_TOGETHER = 4
"""Outputs that a kernel computes together: their sums, an input and its weights fit the registers of a Cortex-M3."""

_UNROLLED = 64
"""Inputs up to which `speed` writes out a tap: 36 bytes of code each."""

_MOST = 2**16 - 1
"""Largest size of a layer that its table can hold."""


def c_array(kind: str, name: str, values: ArrayLike) -> str:
    """Return the definition of a constant array of whole numbers, lines of up to 120 characters."""
    numbers = np.asarray(values).ravel().tolist()
    lines, line = [], "   "
    for number in numbers:
        # The smallest numbers have no literal in C.
        text = f" {number}," if number > -(2**31) else f" {number + 1} - 1,"
        if len(line) + len(text) > 120:
            lines.append(line)
            line = "   "
        line += text
    body = "\n".join([*lines, line])
    return f"static const {kind} {name}[{len(numbers)}] = {{\n{body}\n}};\n"


@dataclass(frozen=True, eq=False)
class ConvolveTable:
    """A stack of int8 convolutions as C keeps it; `ConvolveTable.of` checks what C relies on.

    Parameters
    ----------
    stack : Convolutions
        In int8. Its stream is the twin of ``mh_convolve_push``.
    """

    stack: Convolutions = field(repr=False)

    @classmethod
    def of(cls, stack: Convolutions) -> ConvolveTable:
        """Return the table of a stack.

        Raises
        ------
        InvalidParameterError
            If it is not in int8, or a number of a layer does not fit.
        """
        for k, layer in enumerate(stack.layers):
            if not isinstance(layer, QuantizedConvolution):
                raise InvalidParameterError(
                    f"layer {k} of the network is in {np.dtype(layer.NUMBER)}; expected int8. Quantise the network."
                )
            weights = layer.weights
            sizes = (weights[:, :, 0].size, weights.shape[2], _ring_size(layer), layer.stride)
            if max(sizes) > _MOST or k > 255:
                raise InvalidParameterError(
                    f"layer {k} of {weights.shape[0]} taps, {layer.dilation} apart, from {weights.shape[1]} to "
                    f"{weights.shape[2]} numbers, every {layer.stride}, is too large: expected a ring below 64 KB. "
                    "Train a smaller network."
                )
            if layer.addition is not None:
                factors = _factors(layer.addition)
                if (2**30, 0) not in factors[:2] or factors[2][1] >= 0:
                    raise InvalidParameterError(
                        f"layer {k} adds with multipliers and shifts {factors}; expected 2^30 and 0 for one of both "
                        "sides and a negative shift for the sums, as LiteRT has it (ADD)."
                    )
            # As C rescales without a wider number; only a bias beyond all reason comes near.
            largest = 255.0 * np.abs(weights.astype(np.float64)).sum(axis=(0, 1)) + np.abs(
                layer.bias.astype(np.float64)
            )
            shifts = layer.shifts.astype(np.float64)
            most = float((largest * np.exp2(np.maximum(shifts, 0)) + np.exp2(np.maximum(-shifts, 0))).max())
            if most >= 2**31:
                raise InvalidParameterError(
                    f"layer {k} has sums · 2^shift + 2^−shift up to {most:.3g}, expected below 2^31. Quantise the "
                    "network with recordings like those it was trained on."
                )
        return cls(stack)

    def open(self) -> ConvolutionStream:
        """Return a stream before the first input, which computes what the C does."""
        return self.stack.open()

    @property
    def layers(self) -> tuple[QuantizedConvolution, ...]:
        """The layers, all in int8."""
        return tuple(layer for layer in self.stack.layers if isinstance(layer, QuantizedConvolution))

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rings and of the last output, ``MH_CONVOLVE_SIZE``."""
        return sum(map(_ring_size, self.layers)) + self.layers[-1].weights.shape[2]

    def to_c(self, name: str, *, profile: Literal["size", "speed"] = "size") -> str:
        """Return definitions of the constant table `name` and of all that it points to.

        Parameters
        ----------
        name : str
            Prefix of all names.
        profile : {"size", "speed"}
            One kernel for layers of any shape, or one for each shape, with the inputs of a tap written out.
        """
        layers = self.layers
        kernels = {} if profile == "size" else _kernels(name, layers)
        parts = [text for _, text in kernels.values()]
        packed = [_paired(x.weights) if x.weights.shape[:2] in kernels else _packed(x.weights) for x in layers]
        numbers = [layer.folded for layer in layers]
        parts.append(c_array("uint32_t", f"{name}_weights", np.concatenate(packed)))
        for kind, number, values in (
            ("int32_t", "bias", [bias for bias, _, _ in numbers]),
            ("int32_t", "multipliers", [multipliers for _, multipliers, _ in numbers]),
            ("int8_t", "shifts", [shifts for _, _, shifts in numbers]),
        ):
            parts.append(c_array(kind, f"{name}_{number}", np.concatenate(values)))
        additions = [layer.addition for layer in layers if layer.addition is not None]
        if additions:
            rows = "\n".join(f"    {_addition(addition)}," for addition in additions)
            parts.append(f"static const mh_addition_t {name}_additions[{len(additions)}] = {{\n{rows}\n}};\n")
        rows, weight, output, ring, n_additions = "", 0, 0, 0, 0
        for layer, weights in zip(layers, packed, strict=True):
            added = "0"
            if layer.addition is not None:
                added, n_additions = f"{name}_additions + {n_additions}", n_additions + 1
            kernel, _ = kernels.get(layer.weights.shape[:2], ("mh_convolve_any", ""))
            rows += _row(layer, name, kernel, weight, output, added, ring)
            weight, output, ring = weight + weights.size, output + layer.bias.size, ring + _ring_size(layer)
        parts.append(f"static const mh_convolution_t {name}_layers[{len(layers)}] = {{\n{rows}}};\n")
        parts.append(
            f"static const mh_convolve_table_t {name} = {{\n    .layers = {name}_layers, .output = {ring}, "
            f".n_layers = {len(layers)}, .n_outputs = {layers[-1].bias.size},\n}};\n"
        )
        return "\n".join(parts)


def _ring_size(layer: QuantizedConvolution) -> int:
    return (layer.n_held + 1) * layer.weights.shape[1]


def _packed(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return weights as C reads them: a word for four outputs, the first lowest, by tap, by input; zero for none."""
    n_taps, n_inputs, n_outputs = weights.shape
    n_blocks = -(-n_outputs // _TOGETHER)
    padded = np.zeros((n_taps * n_inputs, n_blocks * _TOGETHER), np.int8)
    padded[:, :n_outputs] = weights.reshape(-1, n_outputs)
    by_word = padded.reshape(-1, n_blocks, _TOGETHER).transpose(1, 0, 2)
    return np.ascontiguousarray(by_word).view("<u4").ravel()


def _paired(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return weights as kernels of `speed` read them: two words for four outputs, each 2^16 second + first."""
    n_taps, n_inputs, n_outputs = weights.shape
    n_blocks = -(-n_outputs // _TOGETHER)
    padded = np.zeros((n_taps * n_inputs, n_blocks * _TOGETHER), np.int64)
    padded[:, :n_outputs] = weights.reshape(-1, n_outputs)
    words = padded[:, 0::2] + 2**16 * padded[:, 1::2]
    return (words.reshape(-1, n_blocks, _TOGETHER // 2).transpose(1, 0, 2).ravel() % 2**32).astype(np.uint32)


def _factors(addition: QuantizedAddition) -> list[tuple[int, int]]:
    return list(zip(addition.multipliers, addition.shifts, strict=True))


def _addition(addition: QuantizedAddition) -> str:
    """Return the initialiser of an addition."""
    factors = _factors(addition)
    wide = factors.index((2**30, 0))
    (narrow, narrow_shift), (total, sum_shift) = factors[1 - wide], factors[2]
    low, high = addition.bounds
    zeros = addition.zero_points
    return (
        f"{{{narrow}, {total}, {-narrow_shift}, {-sum_shift}, {zeros[wide]}, {zeros[1 - wide]}, {zeros[2]}, "
        f"{low}, {high}, {addition.layer}, {int(wide == 0)}}}"
    )


def _rounding(layer: QuantizedConvolution) -> str:
    if layer.rounded_once:
        return "MH_CONVOLVE_ONCE"
    return "MH_CONVOLVE_DOWN" if (layer.shifts < 0).all() else "MH_CONVOLVE_ANY"


def _row(
    layer: QuantizedConvolution, name: str, kernel: str, weight: int, output: int, addition: str, ring: int
) -> str:
    """Return the initialiser of a layer."""
    n_taps, n_inputs, n_outputs = layer.weights.shape
    side_by_side = layer.dilation == 1 or n_taps == 1
    run, gap = (n_taps * n_inputs, 0) if side_by_side else (n_inputs, (layer.dilation - 1) * n_inputs)
    (silence, zero_point), (low, high) = layer.zero_points, layer.bounds
    return (
        f"    {{ /* {n_taps} taps, {layer.dilation} apart, from {n_inputs} to {n_outputs} numbers, every "
        f"{layer.stride} */\n"
        f"        .kernel = {kernel}, .weights = {name}_weights + {weight}, .bias = {name}_bias + {output},\n"
        f"        .multipliers = {name}_multipliers + {output}, .shifts = {name}_shifts + {output}, "
        f".addition = {addition},\n"
        f"        .ring = {ring}, .ring_size = {_ring_size(layer)}, .run = {run}, .gap = {gap}, "
        f".n_used = {n_taps * n_inputs}, .n_inputs = {n_inputs},\n"
        f"        .n_outputs = {n_outputs}, .skipped = {layer.n_skipped}, .stride = {layer.stride}, "
        f".silence = {silence}, .zero_point = {zero_point}, .low = {low}, .high = {high},\n"
        f"        .rounding = {_rounding(layer)},\n"
        "    },\n"
    )


def _kernels(name: str, layers: tuple[QuantizedConvolution, ...]) -> dict[tuple[int, ...], tuple[str, str]]:
    """Return name and definition of a kernel for each number of taps and inputs that layers have."""
    found: dict[tuple[int, ...], tuple[str, str]] = {}
    for n_taps, n_inputs in sorted({layer.weights.shape[:2] for layer in layers}):
        weights = [layer.weights for layer in layers if layer.weights.shape[:2] == (n_taps, n_inputs)]
        if n_inputs > _UNROLLED or min(w.min() for w in weights) < -127:
            continue  # two weights of -128 together are too large to be multiplied at once
        kernel = f"{name}_{n_taps}x{n_inputs}"
        taken = [f"MH_CONVOLVE_TAKE_TWO({i});" for i in range(0, n_inputs - 1, 2)]
        taken += [f"MH_CONVOLVE_TAKE_ONE({n_inputs - 1});"] * (n_inputs % 2)
        lines = "\n".join("        " + " ".join(taken[k : k + 4]) for k in range(0, len(taken), 4))
        found[n_taps, n_inputs] = (
            kernel,
            f"/* Layers of {n_taps} taps of {n_inputs} inputs. */\n"
            f"static const uint32_t *{kernel}(\n"
            "    const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, const uint32_t *w, "
            "int32_t sums[4])\n"
            "{\n"
            f"    const uint32_t size = layer->ring_size, step = {n_inputs}u + layer->gap;\n"
            "    MH_CONVOLVE_START;\n"
            f"    for (uint32_t tap = 0; tap < {n_taps}; ++tap, w += {2 * n_inputs}) {{\n"
            "        const int8_t *in = ring + oldest;\n"
            f"{lines}\n"
            "        oldest += step;\n"
            "        if (oldest >= size) { oldest -= size; }\n"
            "    }\n"
            "    MH_CONVOLVE_END;\n"
            "    return w;\n"
            "}\n",
        )
    return found
