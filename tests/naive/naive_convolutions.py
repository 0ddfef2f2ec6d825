"""Causal convolutions, output by output; whole numbers as gemmlowp and LiteRT's reference kernels write them."""

import numpy as np


def naive_stack(layers, inputs):
    """Return the outputs of float layers: dicts of the fields of `Convolution`, weights by (tap, in, out)."""
    passed = [np.asarray(inputs, np.float64)]
    for layer in layers:
        weights, before = layer["weights"].astype(np.float64), passed[-1]
        n_taps = len(weights)
        rows = []
        for at in range(_first(layer), len(before), layer["stride"]):
            total = layer["bias"].astype(np.float64)
            for tap in range(n_taps):
                source = at - (n_taps - 1 - tap) * layer["dilation"]
                if source >= 0:
                    total = total + before[source] @ weights[tap]
            rows.append(np.maximum(total, 0) if layer["relu"] else total)
        outputs = np.array(rows).reshape(len(rows), weights.shape[2])
        if layer["shortcut"] is not None:
            outputs = outputs + passed[layer["shortcut"] + 1]
        passed.append(outputs)
    return passed[-1]


def _first(layer):
    """Return the input that completes the first output."""
    return 0 if layer["padded"] else (len(layer["weights"]) - 1) * layer["dilation"]


def doubling_high_mul(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul: 2ab / 2^32, to the nearest; C++ divides towards zero."""
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    product = a * b + nudge
    return product // (1 << 31) if product >= 0 else -(-product // (1 << 31))


def rounding_divide(x: int, exponent: int) -> int:
    """gemmlowp's RoundingDivideByPOT: to the nearest, halves away from zero."""
    magnitude = (abs(x) + ((1 << exponent) >> 1)) >> exponent
    return magnitude if x >= 0 else -magnitude


def rescaled(x: int, multiplier: int, shift: int) -> int:
    """LiteRT's MultiplyByQuantizedMultiplier, rounded twice."""
    return rounding_divide(doubling_high_mul(x << max(shift, 0), multiplier), max(-shift, 0))


def rescaled_once(x: int, multiplier: int, shift: int) -> int:
    """What LiteRT's dense layers do: x · multiplier · 2^(shift − 31), to the nearest, halves away from zero."""
    return rounding_divide(x * multiplier, 31 - shift)


def naive_quantized(layers, inputs):
    """Return the outputs of int8 layers: dicts of the fields of `QuantizedConvolution`, one number at a time."""
    passed = [[[int(x) for x in row] for row in inputs]]
    for layer in layers:
        weights, before = layer["weights"].tolist(), passed[-1]
        (zero_in, zero_out), (low, high) = layer["zero_points"], layer["bounds"]
        n_taps, n_outputs = len(weights), len(layer["bias"])
        outputs = []
        for at in range(_first(layer), len(before), layer["stride"]):
            row = []
            for o in range(n_outputs):
                total = int(layer["bias"][o])
                for tap in range(n_taps):
                    source = at - (n_taps - 1 - tap) * layer["dilation"]
                    seen = before[source] if source >= 0 else [zero_in] * len(weights[tap])
                    total += sum((x - zero_in) * w[o] for x, w in zip(seen, weights[tap], strict=True))
                rescale = rescaled_once if layer["rounded_once"] else rescaled
                value = zero_out + rescale(total, int(layer["multipliers"][o]), int(layer["shifts"][o]))
                row.append(min(max(value, low), high))
            outputs.append(row)
        if layer["addition"] is not None:
            outputs = _sums(outputs, passed[layer["addition"]["layer"] + 1], layer["addition"])
        passed.append(outputs)
    return np.array(passed[-1], np.int64).reshape(len(passed[-1]), len(layers[-1]["bias"]))


def _sums(outputs, others, addition):
    zeros, multipliers, shifts = addition["zero_points"], addition["multipliers"], addition["shifts"]
    low, high = addition["bounds"]
    sums = []
    for own_row, other_row in zip(outputs, others, strict=True):
        row = []
        for own, other in zip(own_row, other_row, strict=True):
            total = rescaled((own - zeros[0]) << 20, multipliers[0], shifts[0])
            total += rescaled((other - zeros[1]) << 20, multipliers[1], shifts[1])
            row.append(min(max(zeros[2] + rescaled(total, multipliers[2], shifts[2]), low), high))
        sums.append(row)
    return sums
