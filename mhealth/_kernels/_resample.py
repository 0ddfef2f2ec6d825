"""Polyphase interpolation with tabulated taps."""

from __future__ import annotations

from numba import njit

__all__ = ["interpolate"]


@njit(cache=True, nogil=True)
def interpolate(samples, first, start, num, den, taps, out):
    """Write the interpolated values `start` … `start + len(out) − 1` to `out`.

    Output k sits at k · num / den input samples. `samples` are the inputs from absolute index `first`, float32. Row j
    of `taps`, float64 of shape (den, 4 n), weighs the inputs floor(position) − 2 n + 1 … floor(position) + 2 n where
    the position has the fraction j / den. Every sum runs in one order, so an output depends on its inputs only.
    """
    half = taps.shape[1] // 2
    for m in range(len(out)):
        whole = (start + m) * num // den
        row = taps[(start + m) * num % den]
        near = samples[whole - half + 1 - first : whole + half + 1 - first]
        a = b = c = d = 0.0  # four running sums: additions need not wait for one another
        for i in range(0, len(row), 4):
            a += row[i] * near[i]
            b += row[i + 1] * near[i + 1]
            c += row[i + 2] * near[i + 2]
            d += row[i + 3] * near[i + 3]
        out[m] = (a + b) + (c + d)
