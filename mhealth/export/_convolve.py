"""Causal int8 convolutions as tables and kernels for ``runtime/mh_convolve.c``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mhealth.dsp import Convolutions, ConvolutionStream, QuantizedAddition, QuantizedConvolution
from mhealth.errors import InvalidParameterError
from mhealth.export._c_tables import c_array

__all__ = ["ConvolveTable"]

_TOGETHER = 4
"""Outputs that a kernel computes together: their sums, an input and its weights fit the registers of a Cortex-M3."""

_UNROLLED = 128
"""Inputs of all taps up to which `speed` writes out a kernel: 27 bytes of code each."""

_MOST_TAPS = 16
"""``MH_CONVOLVE_TAPS``"""

_GENERIC = "mh_convolve_any"
"""The kernel for layers of any shape, which needs no more than pieces of inputs that lie side by side."""

_DOWN = "MH_CONVOLVE_DOWN"

_MOST = 2**16 - 1
"""Largest size of a layer that its table can hold."""

_SHIFT_BITS = 6
"""Bits that a shift takes of the word that it shares with a bias."""


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
            _check(k, layer)
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
        """Bytes of the rings and of the last output."""
        return self._places[1]

    @property
    def _places(self) -> tuple[list[int], int]:
        """Return where the ring of each layer and the last output start in the memory, and its size.

        What nobody comes back to, inputs of a single tap and the last output, takes turns in two places.
        """
        layers = self.layers
        added = {layer.addition.layer + 1 for layer in layers if layer.addition is not None}
        sizes = [*map(_ring_size, layers), layers[-1].weights.shape[2]]
        turns: list[int | None] = []
        for k in range(len(sizes)):
            stays = k < len(layers) and (layers[k].n_held > 0 or k in added)
            turns.append(None if stays else 1 if turns and turns[-1] == 0 else 0)
        shared = [
            max((size for size, its in zip(sizes, turns, strict=True) if its == turn), default=0) for turn in (0, 1)
        ]
        places, end = [], sum(shared)
        for size, turn in zip(sizes, turns, strict=True):
            places.append(end if turn is None else turn * shared[0])
            end += size if turn is None else 0
        return places, end

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
        channels = np.concatenate(
            [
                np.stack([(bias.astype(np.int64) << _SHIFT_BITS) + shifts + 32, factors], axis=1)
                for bias, factors, shifts in numbers
            ]
        )
        rows = "".join(f"    {{{bias_and_shift}, {factor}}},\n" for bias_and_shift, factor in channels.tolist())
        parts.append(f"static const mh_channel_t {name}_channels[{len(channels)}] = {{\n{rows}}};\n")
        additions = [layer.addition for layer in layers if layer.addition is not None]
        if additions:
            rows = "\n".join(f"    {_addition(addition)}," for addition in additions)
            parts.append(f"static const mh_addition_t {name}_additions[{len(additions)}] = {{\n{rows}\n}};\n")
        places, _ = self._places
        rows, n_added = "", 0
        for layer, ring in zip(layers, places, strict=False):
            n_added += layer.addition is not None
            kernel, _ = kernels.get(layer.weights.shape[:2], (_GENERIC, ""))
            rows += _row(layer, kernel, 0 if layer.addition is None else n_added, ring)
        parts.append(f"static const mh_convolution_t {name}_layers[{len(layers)}] = {{\n{rows}}};\n")
        finish = "down" if all(_rounding(layer) == _DOWN for layer in layers) else "any"
        parts.append(
            f"static const mh_convolve_table_t {name} = {{\n"
            f"    .layers = {name}_layers, .weights = {name}_weights, .channels = {name}_channels,\n"
            f"    .additions = {f'{name}_additions' if additions else 0}, .finish = mh_convolve_finish_{finish},\n"
            f"    .output = {places[-1]}, .n_layers = {len(layers)}, .n_outputs = {layers[-1].bias.size},\n}};\n"
        )
        return "\n".join(parts)


def _check(k: int, layer: QuantizedConvolution) -> None:
    """Raise InvalidParameterError where C would not compute what the layer does."""
    weights = layer.weights
    if max(weights.shape[2], _ring_size(layer), layer.stride) > _MOST or layer.n_taps > _MOST_TAPS or k > 255:
        raise InvalidParameterError(
            f"layer {k} of {layer.n_taps} taps, {layer.dilation} apart, from {weights.shape[1]} to {weights.shape[2]} "
            f"numbers, every {layer.stride}, is too large: expected at most {_MOST_TAPS} taps, and a ring below 64 KB. "
            "Train a smaller network."
        )
    if weights.min() < -127:  # two weights of -128 in a word are too large to be multiplied at once
        raise InvalidParameterError(
            f"layer {k} has weights of -128; expected -127 to 127, as LiteRT has them. Quantise the network anew."
        )
    if layer.addition is not None:
        factors, bounds = _factors(layer.addition), layer.addition.bounds
        if (2**30, 0) not in factors[:2] or factors[2][1] >= 0 or bounds != (-128, 127):
            raise InvalidParameterError(
                f"layer {k} adds with multipliers and shifts {factors} and bounds {bounds}; expected 2^30 and 0 for "
                "one of both sides, a negative shift for the sums, and no bounds, as LiteRT has it (ADD)."
            )
    # As C rescales without a wider number; only a bias beyond all reason comes near.
    largest = 255.0 * np.abs(weights.astype(np.float64)).sum(axis=(0, 1)) + np.abs(layer.bias.astype(np.float64))
    shifts = layer.shifts.astype(np.float64)
    most = float((largest * np.exp2(np.maximum(shifts, 0)) + np.exp2(np.maximum(-shifts, 0))).max())
    if most >= 2**31:
        raise InvalidParameterError(
            f"layer {k} has sums · 2^shift + 2^−shift up to {most:.3g}, expected below 2^31. Quantise the network with "
            "recordings like those it was trained on."
        )
    bias, most_bias = int(np.abs(layer.folded[0].astype(np.int64)).max()), 2 ** (31 - _SHIFT_BITS)
    if bias >= most_bias:
        raise InvalidParameterError(
            f"layer {k} has a bias of {bias}, with the zero point of its inputs; expected less than {most_bias}. "
            "Quantise the network with recordings like those it was trained on."
        )


def _ring_size(layer: QuantizedConvolution) -> int:
    return (layer.n_held + 1) * layer.weights.shape[1]


def _packed(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return weights as ``mh_convolve_any`` reads them: a word for four outputs, by four outputs, tap and input."""
    words = _by_block(weights)[..., [0, 2, 1, 3]] + 128
    return np.ascontiguousarray(words.astype(np.uint8)).view("<u4").astype(np.uint32).ravel()


def _by_block(weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return weights by four outputs, tap, input and output, shape (n_blocks, n_taps, n_inputs, 4), 0 for no output."""
    n_taps, n_inputs, n_outputs = weights.shape
    n_blocks = -(-n_outputs // _TOGETHER)
    padded = np.zeros((n_taps, n_inputs, n_blocks * _TOGETHER), np.int64)
    padded[..., :n_outputs] = weights
    return padded.reshape(n_taps, n_inputs, n_blocks, _TOGETHER).transpose(2, 0, 1, 3)


def _paired(weights: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return weights as kernels of `speed` read them: two words for four outputs, each 2^16 second + first.

    By four outputs, by tap; then both words of the even inputs and both of the odd ones, so that none of the four which
    are loaded together follow each other: pairs would be loaded in one instruction that takes longer.
    """
    blocks = _by_block(weights)
    words = (blocks[..., 0::2] + 2**16 * blocks[..., 1::2]).swapaxes(2, 3)  # block, tap, word, input
    parts = [words[..., parity::2].reshape(*words.shape[:2], -1) for parity in (0, 1)]
    return (np.concatenate(parts, axis=2).ravel() % 2**32).astype(np.uint32)


def _factors(addition: QuantizedAddition) -> list[tuple[int, int]]:
    return list(zip(addition.multipliers, addition.shifts, strict=True))


def _addition(addition: QuantizedAddition) -> str:
    """Return the initialiser of an addition."""
    factors = _factors(addition)
    wide = factors.index((2**30, 0))
    (narrow, narrow_shift), (total, sum_shift) = factors[1 - wide], factors[2]
    zeros = addition.zero_points
    return (
        f"{{{narrow}, {total}, {-narrow_shift}, {-sum_shift}, {zeros[wide]}, {zeros[1 - wide]}, {zeros[2]}, "
        f"{addition.layer}, {int(wide == 0)}}}"
    )


def _rounding(layer: QuantizedConvolution) -> str:
    if layer.rounded_once:
        return "MH_CONVOLVE_ONCE"
    return _DOWN if (layer.shifts < 0).all() and layer.bounds == (-128, 127) else "MH_CONVOLVE_ANY"


def _row(layer: QuantizedConvolution, kernel: str, addition: int, ring: int) -> str:
    """Return the initialiser of a layer."""
    n_taps, n_inputs, n_outputs = layer.weights.shape
    together = kernel == _GENERIC and (layer.dilation == 1 or n_taps == 1)
    run, gap = (n_taps * n_inputs, 0) if together else (n_inputs, (layer.dilation - 1) * n_inputs * (n_taps > 1))
    (silence, zero_point), (low, high) = layer.zero_points, layer.bounds
    return (
        f"    {{ /* {n_taps} taps, {layer.dilation} apart, from {n_inputs} to {n_outputs} numbers, every "
        f"{layer.stride} */\n"
        f"        .kernel = {kernel}, .ring = {ring}, .ring_size = {_ring_size(layer)}, .run = {run}, .gap = {gap}, "
        f".n_used = {n_taps * n_inputs}, .n_inputs = {n_inputs},\n"
        f"        .n_outputs = {n_outputs}, .skipped = {layer.n_skipped}, .stride = {layer.stride}, "
        f".silence = {silence}, .zero_point = {zero_point}, .low = {low}, .high = {high},\n"
        f"        .rounding = {_rounding(layer)}, .addition = {addition},\n"
        "    },\n"
    )


def _kernels(name: str, layers: tuple[QuantizedConvolution, ...]) -> dict[tuple[int, ...], tuple[str, str]]:
    """Return name and definition of a kernel for each number of taps and inputs that layers have."""
    found: dict[tuple[int, ...], tuple[str, str]] = {}
    for n_taps, n_inputs in sorted({layer.weights.shape[:2] for layer in layers}):
        if n_taps * n_inputs > _UNROLLED:
            continue
        kernel = f"{name}_{n_taps}x{n_inputs}"
        lines = []
        for tap in range(n_taps):
            lines += [f"in = taps[{tap}].in;", *_taken(n_inputs, 2 * n_inputs * tap)]
        found[n_taps, n_inputs] = (
            kernel,
            f"/* Layers of {n_taps} taps of {n_inputs} inputs. */\n"
            f"static MH_CONVOLVE_ORDERED const uint32_t *{kernel}(\n"
            "    const mh_convolve_piece_t *taps, const uint32_t *w, int32_t sums[4])\n"
            "{\n"
            "    const int8_t *in;\n"
            "    MH_CONVOLVE_START;\n"
            + "".join(f"    {line}\n" for line in lines)
            + f"    MH_CONVOLVE_END;\n    return w + {2 * n_inputs * n_taps};\n}}\n",
        )
    return found


def _taken(n_inputs: int, first: int) -> list[str]:
    """Return the statements of a tap whose weights start with word `first`, see `_paired`."""
    odd, even = n_inputs // 2, n_inputs - n_inputs // 2
    lines = []
    for k in range(odd):
        words = (k, even + k, 2 * even + k, 2 * even + odd + k)
        loaded = ", ".join(f"w[{first + word}]" for word in words)
        lines.append(f"MH_CONVOLVE_TAKE_TWO(in[{2 * k}], in[{2 * k + 1}], {loaded});")
    if even > odd:
        lines.append(f"MH_CONVOLVE_TAKE_ONE(in[{n_inputs - 1}], w[{first + odd}], w[{first + even + odd}]);")
    return lines
