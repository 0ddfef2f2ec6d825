"""Causal int8 convolutions as tables and kernels for ``runtime/mh_convolve.c``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

    stack: Convolutions

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
        packed = [_packed(layer.weights) for layer in layers]
        numbers = [layer.folded for layer in layers]
        parts.append(c_array("int8_t", f"{name}_weights", np.concatenate(packed)))
        for kind, field, values in (
            ("int32_t", "bias", [bias for bias, _, _ in numbers]),
            ("int32_t", "multipliers", [multipliers for _, multipliers, _ in numbers]),
            ("int8_t", "shifts", [shifts for _, _, shifts in numbers]),
        ):
            parts.append(c_array(kind, f"{name}_{field}", np.concatenate(values)))
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


def _packed(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return weights as C reads them: of four outputs at a time, by tap, by input, by output; zero for no output."""
    n_taps, n_inputs, n_outputs = weights.shape
    n_blocks = -(-n_outputs // _TOGETHER)
    padded = np.zeros((n_taps * n_inputs, n_blocks * _TOGETHER), np.int8)
    padded[:, :n_outputs] = weights.reshape(-1, n_outputs)
    return padded.reshape(-1, n_blocks, _TOGETHER).transpose(1, 0, 2).ravel()


def _braced(numbers: Iterable[int]) -> str:
    return "{" + ", ".join(map(str, numbers)) + "}"


def _addition(addition: QuantizedAddition) -> str:
    low, high = addition.bounds
    return (
        f"{{{_braced(addition.multipliers)}, {_braced(addition.shifts)}, {_braced(addition.zero_points)}, "
        f"{low}, {high}, {addition.layer}}}"
    )


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
        f"        .rounded_once = {int(layer.rounded_once)},\n"
        "    },\n"
    )


def _kernels(name: str, layers: tuple[QuantizedConvolution, ...]) -> dict[tuple[int, ...], tuple[str, str]]:
    """Return name and definition of a kernel for each number of taps and inputs that layers have."""
    found: dict[tuple[int, ...], tuple[str, str]] = {}
    for n_taps, n_inputs in sorted({layer.weights.shape[:2] for layer in layers}):
        if n_inputs > _UNROLLED:
            continue
        kernel = f"{name}_{n_taps}x{n_inputs}"
        taken = [f"MH_CONVOLVE_TAKE({i});" for i in range(n_inputs)]
        lines = "\n".join("            " + " ".join(taken[k : k + 4]) for k in range(0, n_inputs, 4))
        found[n_taps, n_inputs] = (
            kernel,
            f"/* Layers of {n_taps} taps of {n_inputs} inputs. */\n"
            f"static void {kernel}(const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, int8_t *out)\n"
            "{\n"
            f"    const uint32_t size = layer->ring_size, step = {n_inputs}u + layer->gap;\n"
            "    const int8_t *w = layer->weights;\n"
            "    for (uint32_t o = 0; o < layer->n_outputs; o += 4) {\n"
            "        int32_t a = 0, b = 0, c = 0, d = 0;\n"
            "        uint32_t at = oldest;\n"
            f"        for (uint32_t tap = 0; tap < {n_taps}; ++tap, w += {4 * n_inputs}) {{\n"
            "            const int8_t *in = ring + at;\n"
            f"{lines}\n"
            "            at += step;\n"
            "            if (at >= size) { at -= size; }\n"
            "        }\n"
            "        const int32_t sums[4] = {a, b, c, d};\n"
            "        mh_convolve_finish(layer, o, sums, out);\n"
            "    }\n"
            "}\n",
        )
    return found
