"""Convolutions over time, in floating point and in whole numbers. Time runs along the last axis."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["add_quantized", "convolve", "convolve_quantized"]


@njit(cache=True, nogil=True)
def _gather(line, first, count, n_taps, stride, dilation, columns):
    """Copy what `count` outputs depend on to a column each, the oldest inputs first."""
    n_inputs = line.shape[0]
    for tap in range(n_taps):
        for i in range(n_inputs):
            row, seen = columns[tap * n_inputs + i], line[i, first + tap * dilation :]
            if stride == 1:  # said apart, the compiler copies in wide pieces
                for m in range(count):
                    row[m] = seen[m]
            else:
                for m in range(count):
                    row[m] = seen[m * stride]


@njit(cache=True, nogil=True)
def convolve(line, first, weights, bias, n_taps, stride, dilation, relu, columns, out):
    """Write the outputs of a layer.

    Parameters
    ----------
    line : float32 (n_inputs, n)
        Output m depends on entries first + m · stride + tap · dilation.
    first : int
    weights : float32 (n_outputs, n_rows)
        By tap, then by input, the oldest tap first; zero beyond n_taps · n_inputs, up to a multiple of 4.
    bias : float32 (n_outputs,)
    n_taps, stride, dilation : int
    relu : bool
    columns : float32 (n_rows, n_block)
        Workspace, zero beyond row n_taps · n_inputs.
    out : float32 (n_outputs, m), out

    Notes
    -----
    Every sum starts with the bias and takes its products one by one in the order of `weights`, whatever surrounds it,
    so an output depends on its inputs only. Time is the innermost loop, which the compiler may do in wide pieces.
    """
    for start in range(0, out.shape[1], columns.shape[1]):
        count = min(columns.shape[1], out.shape[1] - start)
        _gather(line, first + start * stride, count, n_taps, stride, dilation, columns)
        for o in range(out.shape[0]):
            weight, total = weights[o], out[o, start:]
            for m in range(count):
                total[m] = bias[o]
            for j in range(0, weight.size, 4):  # four at a time stay in registers
                a, b, c, d = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
                p, q, r, s = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
                for m in range(count):
                    total[m] = (((total[m] + a * p[m]) + b * q[m]) + c * r[m]) + d * s[m]
            if relu:
                for m in range(count):
                    total[m] = max(total[m], np.float32(0.0))


@njit(cache=True, nogil=True)
def _rescaled(value, multiplier, shift):
    """Return value · multiplier · 2^(shift − 31), rounded twice as LiteRT does: halves up, then away from zero."""
    high = ((value << max(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    mask = (1 << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


@njit(cache=True, nogil=True)
def _rescaled_once(value, multiplier, shift):
    """Return value · multiplier · 2^(shift − 31), rounded once, halves away from zero."""
    size = (abs(value) * multiplier + (1 << (30 - shift))) >> (31 - shift)
    return size if value >= 0 else -size


@njit(cache=True, nogil=True)
def convolve_quantized(
    line,
    first,
    weights,
    bias,
    multipliers,
    shifts,
    n_taps,
    stride,
    dilation,
    zero,
    low,
    high,
    once,
    columns,
    total,
    out,
):
    """Write the outputs of a layer of whole numbers; see `convolve`.

    Parameters
    ----------
    line : int8 (n_inputs, n)
    first : int
    weights : int8 (n_outputs, n_rows)
    bias : int32 (n_outputs,)
        Less what the zero point of the inputs adds to each sum.
    multipliers, shifts : int64 (n_outputs,)
        Of the sums on their way to int8.
    n_taps, stride, dilation : int
    zero, low, high : int
        Zero point and bounds of the outputs.
    once : bool
        Whether the sums are rounded once on their way.
    columns : int8 (n_rows, n_block)
        Workspace.
    total : int32 (n_block,)
        Workspace.
    out : int8 (n_outputs, m), out
    """
    for start in range(0, out.shape[1], columns.shape[1]):
        count = min(columns.shape[1], out.shape[1] - start)
        _gather(line, first + start * stride, count, n_taps, stride, dilation, columns)
        for o in range(out.shape[0]):
            weight, outputs = weights[o], out[o, start:]
            for m in range(count):
                total[m] = bias[o]
            for j in range(0, weight.size, 4):
                a, b = np.int32(weight[j]), np.int32(weight[j + 1])
                c, d = np.int32(weight[j + 2]), np.int32(weight[j + 3])
                p, q, r, s = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
                for m in range(count):
                    total[m] += a * np.int32(p[m]) + b * np.int32(q[m]) + c * np.int32(r[m]) + d * np.int32(s[m])
            multiplier, shift = multipliers[o], shifts[o]
            if once:
                for m in range(count):
                    outputs[m] = min(max(zero + _rescaled_once(np.int64(total[m]), multiplier, shift), low), high)
            else:
                for m in range(count):
                    outputs[m] = min(max(zero + _rescaled(np.int64(total[m]), multiplier, shift), low), high)


@njit(cache=True, nogil=True)
def add_quantized(outputs, others, zeros, multipliers, shifts, low, high):
    """Add to each output another number of another scale, in place.

    Parameters
    ----------
    outputs, others : int8 (n_outputs, m)
        The first also out.
    zeros, multipliers, shifts : int64 (3,)
        Of the outputs, of the others, and of the sums.
    low, high : int
        Bounds of the sums.
    """
    for o in range(outputs.shape[0]):
        own, other = outputs[o], others[o]
        for m in range(own.size):
            # 20 bits more on the way to a common scale, as LiteRT has them, so that little is lost.
            total = _rescaled((np.int64(own[m]) - zeros[0]) << 20, multipliers[0], shifts[0])
            total += _rescaled((np.int64(other[m]) - zeros[1]) << 20, multipliers[1], shifts[1])
            own[m] = min(max(zeros[2] + _rescaled(total, multipliers[2], shifts[2]), low), high)
