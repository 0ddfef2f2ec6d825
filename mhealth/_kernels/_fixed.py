"""Whole-number arithmetic of exported models, bit for bit that of ``export/runtime/mh_fixed.h``. Values are int64."""

from __future__ import annotations

from numba import njit

__all__ = ["clipped", "rescaled", "root", "rounded_shift"]


@njit(cache=True, nogil=True)
def clipped(value, bits):
    """Return a value as a signed number of so many bits, the nearest one where it does not fit."""
    limit = 1 << (bits - 1)
    return max(min(value, limit - 1), -limit)


@njit(cache=True, nogil=True)
def rounded_shift(value, shift):
    """Return value / 2^shift, halves up."""
    if shift == 0:
        return value
    return (value + (1 << (shift - 1))) >> shift


@njit(cache=True, nogil=True)
def rescaled(value, multiplier, shift):
    """Return value · multiplier · 2^(shift − 31), rounded twice as LiteRT does: halves up, then away from zero."""
    high = ((value << max(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    mask = (1 << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


@njit(cache=True, nogil=True)
def root(value):
    """Return the largest whole number whose square is at most `value` < 2^32."""
    result, bit = 0, 1 << 30
    while bit > value:
        bit >>= 2
    while bit != 0:
        if value >= result + bit:
            value -= result + bit
            result = (result >> 1) + bit
        else:
            result >>= 1
        bit >>= 2
    return result
