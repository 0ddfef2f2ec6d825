"""Whole-number arithmetic is the same in Python and in C, and is what its name says."""

import math
from pathlib import Path

import numpy as np
import pytest

from mhealth._kernels._fixed import clipped, rescaled, root, rounded_shift
from mhealth.export._host import compile_c, run_program

DRIVERS = Path(__file__).parent / "drivers"
EXTREMES = [-(2**31), -(2**31) + 1, -2, -1, 0, 1, 2, 2**31 - 2, 2**31 - 1]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compile_c([DRIVERS / "fixed.c"], tmp_path_factory.mktemp("fixed") / "fixed")


def test_the_c_computes_what_the_twin_does(program, rng):
    values = np.concatenate([EXTREMES, rng.integers(-(2**31), 2**31, 500)])
    rows = []
    for value in values:
        multiplier, shift = int(rng.integers(2**30, 2**31)), int(rng.integers(0, 31))
        rows += [
            (0, value, shift, 0, rounded_shift(value, shift)),
            (1, value, multiplier, -shift, rescaled(value, multiplier, -shift)),
            (1, value >> 8, multiplier, shift % 8, rescaled(value >> 8, multiplier, shift % 8)),
            (2, value, 0, 0, root(value % 2**32)),
            (3, value, 0, 0, clipped(value, 16)),
            (4, value, 0, 0, clipped(value, 8)),
        ]
    table = np.array(rows, np.int64)
    np.testing.assert_array_equal(run_program(program, table[:, :4].astype(np.int32)), table[:, 4])


def test_rounding_and_roots_are_the_nearest_whole_numbers(rng):
    for value in rng.integers(-(2**40), 2**40, 200).tolist():
        assert rounded_shift(value, 9) == math.floor(value / 512 + 0.5)
        assert root(abs(value) % 2**32) == math.isqrt(abs(value) % 2**32)
        assert abs(rescaled(value >> 12, 3 << 29, -4) - (value >> 12) * 0.75 / 16) <= 0.5 + 1 / 32
